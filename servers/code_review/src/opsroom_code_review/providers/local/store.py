"""The one SQLite file of a repository's reviews and tasks, under the git directory that all its working trees share."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from opsroom_shared.errors import Conflict, Unavailable

T = TypeVar("T")

VERSION = 1

_BUSY_SECONDS = 10.0
_APPLICATION = 0x6F70_7372
_SCHEMA = """
CREATE TABLE changes (
  ref TEXT PRIMARY KEY, title TEXT, summary TEXT, test_plan TEXT, base TEXT,
  state TEXT CHECK (state IN ('draft', 'changes_planned', 'abandoned')),
  said_by TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT;
CREATE TABLE versions (
  ref TEXT NOT NULL, version TEXT NOT NULL, base TEXT NOT NULL, seen_at INTEGER NOT NULL,
  PRIMARY KEY (ref, version)) STRICT, WITHOUT ROWID;
CREATE TABLE reviewers (ref TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (ref, name)) STRICT, WITHOUT ROWID;
CREATE TABLE verdicts (
  id INTEGER PRIMARY KEY, ref TEXT NOT NULL, version TEXT NOT NULL, who TEXT NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('comment', 'accept', 'request_changes')), at INTEGER NOT NULL) STRICT;
CREATE TABLE threads (
  id INTEGER PRIMARY KEY, ref TEXT, task INTEGER REFERENCES tasks (id), version TEXT, path TEXT, side TEXT, line INTEGER,
  end_line INTEGER, quoted TEXT NOT NULL DEFAULT '[]', resolved INTEGER, CHECK ((ref IS NULL) <> (task IS NULL))) STRICT;
CREATE TABLE comments (
  id INTEGER PRIMARY KEY, thread INTEGER NOT NULL REFERENCES threads (id), who TEXT NOT NULL, at INTEGER NOT NULL,
  body TEXT NOT NULL, verdict TEXT) STRICT;
CREATE TABLE tasks (
  id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL, status TEXT NOT NULL, priority TEXT NOT NULL, owner TEXT,
  author TEXT NOT NULL, stage TEXT NOT NULL, parent INTEGER REFERENCES tasks (id), updated_at INTEGER NOT NULL) STRICT;
CREATE TABLE task_projects (task INTEGER NOT NULL REFERENCES tasks (id), project TEXT NOT NULL,
  PRIMARY KEY (task, project)) STRICT, WITHOUT ROWID;
CREATE TABLE task_changes (task INTEGER NOT NULL REFERENCES tasks (id), ref TEXT NOT NULL,
  PRIMARY KEY (task, ref)) STRICT, WITHOUT ROWID;
CREATE INDEX verdicts_ref ON verdicts (ref);
CREATE INDEX threads_ref ON threads (ref);
CREATE INDEX threads_task ON threads (task);
CREATE INDEX comments_thread ON comments (thread);
"""


class Store:
    """Reads and writes in threads of their own. The file is made by the first write."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "opsroom" / "reviews.db"

    async def read(self, question: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """The answer to *question*, or *nothing* while there is no file."""
        return await asyncio.to_thread(self.read_now, question, nothing)

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Makes *change* in one transaction: all of it, or nothing."""
        return await asyncio.to_thread(self.write_now, change)

    def read_now(self, question: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        if not self.file.is_file():
            return nothing
        try:
            with closing(self._open("ro")) as connection:
                if not self._is_ready(connection):
                    return nothing
                connection.execute("BEGIN")  # one state, however many statements ask
                return question(connection)
        except sqlite3.Error as error:
            raise self._unavailable(error) from None

    def write_now(self, change: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self.file.parent.mkdir(mode=0o777, exist_ok=True)
            with closing(self._open("rwc")) as connection:
                connection.execute("BEGIN IMMEDIATE")
                if not self._is_ready(connection):
                    self._make(connection)
                made = change(connection)
                connection.execute("COMMIT")
                return made
        except sqlite3.Error as error:
            raise self._unavailable(error) from None
        except OSError as error:
            raise Unavailable(f"Reviews cannot be stored under {self.file.parent}: {error.strerror}.") from None

    def _open(self, mode: str) -> sqlite3.Connection:
        if self.file.is_symlink() or self.file.parent.is_symlink():
            raise Unavailable(f"{self.file} is a symbolic link, which is not followed.")
        connection = sqlite3.connect(f"{self.file.as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=_BUSY_SECONDS)
        try:
            connection.row_factory = sqlite3.Row
            # the file may have come with the repository: what is in it is data, and runs nothing
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _is_ready(self, connection: sqlite3.Connection) -> bool:
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if (application, version) == (_APPLICATION, VERSION):
            return True
        if application == version == 0 and not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return False
        if application == _APPLICATION and version > VERSION:
            raise Conflict(
                f"{self.file} was written by a newer opsroom (format {version}, this one knows {VERSION}); update opsroom."
            )
        raise Unavailable(f"{self.file} is no file of reviews.")

    def _make(self, connection: sqlite3.Connection) -> None:
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")

    def _unavailable(self, error: sqlite3.Error) -> Unavailable:
        return Unavailable(f"The reviews in {self.file} cannot be used at the moment: {error}.")

"""Remembers what was sent, over restarts too, so that a repeated call sends nothing twice."""

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from opsroom_shared.errors import Conflict, ToolFailure, Unavailable
from pydantic import JsonValue

_KEPT_SECONDS = 180 * 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
  key TEXT PRIMARY KEY, process INTEGER NOT NULL, begun REAL NOT NULL, ended REAL, result TEXT) STRICT, WITHOUT ROWID
"""

State = Literal["sent", "being_sent", "unknown"]


@dataclass(frozen=True)
class Entry:
    """What is known of one thing that was, or may have been, sent."""

    state: State
    """`unknown`: its sending began, and nobody lives to say how it ended."""
    at: float
    result: str | None = None


@dataclass
class Journal:
    """One SQLite file beside what else the server keeps. An entry is there before its sending begins."""

    file: Path
    _sending: set[str] = field(default_factory=set[str])

    def look(self, keys: Sequence[str]) -> dict[str, Entry]:
        """What is known of *keys*; those that were never claimed are left out."""
        if not self.file.exists():
            return {}
        with self._open("Nothing was sent") as database:
            marks = ", ".join("?" * len(keys))
            rows = database.execute(f"SELECT key, process, begun, ended, result FROM sent WHERE key IN ({marks})", keys)  # noqa: S608 - marks only
            return {key: self._entry(key, process, begun, ended, result) for key, process, begun, ended, result in rows}

    def claim(self, keys: Sequence[str]) -> None:
        """Takes *keys* for something whose sending begins now. Raises Conflict where somebody else is sending one of them."""
        with self._open("Nothing was sent") as database, _transaction(database):
            for key in keys:
                row = database.execute("SELECT process, begun, ended, result FROM sent WHERE key = ?", (key,)).fetchone()
                if row is not None and self._entry(key, *row).state == "being_sent":
                    raise Conflict("The same is being sent right now by another call. Nothing was sent by this one.")
            database.execute("DELETE FROM sent WHERE begun < ?", (time.time() - _KEPT_SECONDS,))
            database.executemany(
                "INSERT OR REPLACE INTO sent (key, process, begun) VALUES (?, ?, ?)",
                [(key, os.getpid(), time.time()) for key in keys],
            )
        self._sending.update(keys)

    def finish(self, results: Mapping[str, str | None]) -> None:
        """Takes down that *results* were sent, and what came of each."""
        self._sending.difference_update(results)
        with (
            self._open("It was sent, and could not be remembered: do not repeat it", Conflict) as database,
            _transaction(database),
        ):
            database.executemany(
                "UPDATE sent SET ended = ?, result = ? WHERE key = ?",
                [(time.time(), result, key) for key, result in results.items()],
            )

    def release(self, keys: Sequence[str]) -> None:
        """Gives *keys* back: nothing of it was sent."""
        self._sending.difference_update(keys)
        with self._open("Nothing was sent") as database, _transaction(database):
            database.executemany("DELETE FROM sent WHERE key = ?", [(key,) for key in keys])

    def abandon(self, keys: Sequence[str]) -> None:
        """Leaves *keys* claimed and unfinished: it cannot be said whether they were sent."""
        self._sending.difference_update(keys)

    def _entry(self, key: str, process: int, begun: float, ended: float | None, result: str | None) -> Entry:
        if ended is not None:
            return Entry("sent", ended, result)
        alive = key in self._sending if process == os.getpid() else _is_alive(process)
        return Entry("being_sent" if alive else "unknown", begun)

    @contextlib.contextmanager
    def _open(self, otherwise: str, failure: type[ToolFailure] = Unavailable) -> Generator[sqlite3.Connection]:
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=10, isolation_level=None)) as database:
                database.execute(_SCHEMA)
                yield database
        except (OSError, sqlite3.Error) as error:
            raise failure(
                f"{otherwise}: the server cannot keep its journal in its state folder ({type(error).__name__}). "
                "A person sets --state to a folder that it may write."
            ) from error


def key(*parts: JsonValue) -> str:
    """A key of everything that makes two things the same."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Generator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

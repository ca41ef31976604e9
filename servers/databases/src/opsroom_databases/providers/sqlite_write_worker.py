"""Tries and applies guarded changes to a SQLite file, in a child process of its own kind; standard library only.

It is started as `python -I -S sqlite_write_worker.py`, and speaks like sqlite_worker, whose connections can only read.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Literal, TypedDict, cast

if TYPE_CHECKING or __package__:
    from . import sqlite_worker as reading
    from . import worker_process
else:
    # -I leaves the script's own folder out
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs a third of the start
    import sqlite_worker as reading
    import worker_process


class Change(TypedDict):
    """One statement. `sql` gives the rows that it changes where `returning` says so."""

    path: str
    seconds: float
    sql: str
    kind: Literal["insert", "update", "delete", "definition"]
    returning: bool
    table: str
    key: list[str]
    """What tells the rows of the table apart; these values stand before all others in what `sql` gives."""
    masked: list[int]
    """Positions of columns whose values do not leave this process, without those of the key."""
    rows: int
    cell: int
    expected: list[int] | None
    """The counts with which it may be applied; without them it is only tried."""
    secrets: reading.Secrets | None


class Changed(TypedDict, total=False):
    counts: list[int]
    applied: bool
    columns: list[str]
    before: list[list[reading.Sent]]
    after: list[list[reading.Sent]]
    failure: reading.Failure | Literal["counts", "constraint"]
    message: str
    last: bool


_WRITES = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_DEFINES = frozenset(
    {
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_DROP_TABLE,
        sqlite3.SQLITE_DROP_INDEX,
        sqlite3.SQLITE_DROP_VIEW,
        sqlite3.SQLITE_DROP_TRIGGER,
        sqlite3.SQLITE_ALTER_TABLE,
        sqlite3.SQLITE_REINDEX,
    }
)
# Definitions are rows of the schema table; ALTER and DROP tidy up the statistics and sequences, too.
_SCHEMA = frozenset({"sqlite_master", "sqlite_schema", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4"})
_OF_ALTER = frozenset(
    {"sqlite_rename_column", "sqlite_rename_table", "sqlite_rename_test", "sqlite_rename_quotefix", "sqlite_drop_column"}
)
_TRIGGER_DEPTH = 50


class CountsDiffer(Exception):
    """The statement changes other numbers of rows than those that were approved."""


class WriteGuard(reading.Guard):
    """Lets a statement change rows of ordinary tables, and definitions where they are allowed."""

    def __init__(self, policy: reading.Policy) -> None:
        super().__init__(policy)
        self.defines = False

    def authorize(self, action: int, first: str | None, second: str | None, database: str | None, within: str | None) -> int:
        """As for reading, and for what a change is made of."""
        table = (first or "").lower()
        if action in _WRITES and database == "main":
            if not table.startswith("sqlite_") or (self.defines and table in _SCHEMA):
                return sqlite3.SQLITE_OK
            self.denied = f"changing {first}"
            return sqlite3.SQLITE_DENY
        if self.defines and (action in _DEFINES or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _OF_ALTER)):
            return sqlite3.SQLITE_OK
        return super().authorize(action, first, second, database, within)


def main() -> None:
    reading.serve(WriteGuard, _answer)


def _answer(request: object, guard: WriteGuard) -> Changed:
    change = cast("Change", request)
    deadline = time.monotonic() + change["seconds"]
    guard.begin(change["secrets"])
    guard.defines = change["kind"] == "definition"
    try:
        with worker_process.alarm(change["seconds"]), closing(_connect(change, guard, deadline)) as connection:
            return _change(connection, change, guard)
    except CountsDiffer as error:
        return Changed(failure="counts", counts=[*error.args])
    except sqlite3.IntegrityError as error:
        return Changed(failure="constraint", message=str(error)[:2_000])
    except Exception as error:  # noqa: BLE001 - every failure is an answer; only the owner can tell whose fault it was
        return cast("Changed", reading.failure(error, guard, late=time.monotonic() >= deadline))


def _connect(change: Change, guard: WriteGuard, deadline: float) -> sqlite3.Connection:
    connection = reading.opened(change["path"], "rw", deadline)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, _TRIGGER_DEPTH)
        connection.execute("PRAGMA foreign_keys = ON")
        reading.connect_virtual_tables(connection, guard.built_in_tables(change["sql"]))
        connection.execute("BEGIN IMMEDIATE")
        if secrets := change["secrets"]:
            reading.check_schema(connection, change["path"], secrets["stamp"])
    except BaseException:
        connection.close()
        raise
    return connection


def _change(connection: sqlite3.Connection, change: Change, guard: WriteGuard) -> Changed:
    """Runs the statement inside the transaction, looks at what it did, and ends the transaction."""
    before_it = connection.total_changes
    connection.execute("SAVEPOINT tried")
    connection.set_authorizer(guard.authorize)
    columns: list[str] = []
    keys: list[Sequence[reading.Scalar]] = []
    rows: list[list[reading.Sent]] = []
    width = len(change["key"])
    with closing(connection.execute(change["sql"])) as cursor:
        if change["returning"]:
            columns = [column[0] for column in cursor.description or ()][width:]
            for number, row in enumerate(cursor):
                if number < change["rows"]:
                    keys.append(row[:width])
                    rows.append(_sent(row[width:], change))
    connection.set_authorizer(None)
    (direct,) = connection.execute("SELECT changes()").fetchone()
    direct = 0 if change["kind"] == "definition" else direct
    also = 0 if change["kind"] == "definition" else connection.total_changes - before_it - direct
    changed = Changed(counts=[direct, also], applied=False, columns=columns, before=[], after=rows)
    if change["kind"] == "delete":
        changed["before"], changed["after"] = rows, []
    if change["expected"] is not None:
        if change["expected"] != [direct, also]:
            raise CountsDiffer(direct, also)
        connection.set_progress_handler(None, 0)  # a commit that has begun is worth its time
        connection.execute("COMMIT")
        changed["applied"] = True
    elif change["kind"] == "update" and change["key"]:
        connection.execute("ROLLBACK TO tried")
        changed["before"] = [found for key in keys for found in _row(connection, change, key)]
    return changed


def _row(connection: sqlite3.Connection, change: Change, key: Sequence[reading.Scalar]) -> list[list[reading.Sent]]:
    where = " AND ".join(f"{_quoted(name)} IS ?" for name in change["key"])
    found = connection.execute(f"SELECT * FROM {_quoted(change['table'])} WHERE {where}", key).fetchall()  # noqa: S608 - quoted
    return [_sent(row, change) for row in found[:1]]


def _sent(row: Sequence[reading.Scalar], change: Change) -> list[reading.Sent]:
    return [
        (None if value is None else reading.MASK) if at in change["masked"] else reading.shrunk(value, change["cell"])
        for at, value in enumerate(row)
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    worker_process.run(main)

"""Runs guarded statements on a SQLite file, in a child process that its owner may kill at any time; standard library only.

It is started as `python -I -S sqlite_worker.py`, and gets the policy first, then requests.
"""

import hashlib
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, TypeVar, cast

if TYPE_CHECKING or __package__:
    from . import worker_process
else:
    # -I leaves the script's own folder out
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs a third of the start
    import worker_process

Scalar: TypeAlias = int | float | str | bytes | None
Cut: TypeAlias = list[str | int]
Sent: TypeAlias = int | float | str | Cut | None
Failure: TypeAlias = Literal["sql", "denied", "time", "memory", "size", "busy", "file", "schema", "defect"]
Stamp: TypeAlias = list[int]
"""The number of a file, and the version of the schema in it."""
MASK = "***"


class Policy(TypedDict):
    functions: list[str]
    pragmas: list[str]
    pragmas_with_argument: list[str]
    tables: list[str]
    memory_bytes: int


class Read(TypedDict):
    """One statement. Rows before `skip` are passed over; no more than `rows` and about `bytes` are sent."""

    sql: str
    parameters: list[int | float | str | None]
    skip: int
    rows: int
    bytes: int
    cell: int
    masked: list[int]
    """Positions of columns whose values do not leave this process."""


class Secrets(TypedDict):
    """What must not be read, and the state of the schema for which that was worked out."""

    stamp: Stamp
    denied: list[list[str]]
    """Table and column of each, in lower case."""
    views: list[str]
    """What these read was judged when the rest was."""


class Request(TypedDict):
    path: str
    seconds: float
    reads: list[Read]
    rehearsal: "Rehearsal | None"
    secrets: Secrets | None


class Rehearsal(TypedDict):
    """A query's plan in an empty copy of the schema, without and with each of the hypothetical indexes."""

    sql: str
    indexes: list[str]
    rows: dict[str, int]


class Page(TypedDict):
    columns: list[str]
    rows: list[list[Sent]]
    seen: int
    more: bool
    milliseconds: float


PlanRow: TypeAlias = list[Scalar]


class Answer(TypedDict, total=False):
    pages: list[Page]
    plans: list[list[PlanRow] | None]
    failure: Failure
    message: str
    last: bool
    """The process ends after this answer, and another has to take its place."""


_MAX_VALUE = 64 << 20
_STEPS_BETWEEN_CHECKS = 10_000
_BUSY_SECONDS = 2.0
_WAL_INDEX_BYTES = 64 << 20

_LIMITS = (
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 1_000_000),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 1_000),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (sqlite3.SQLITE_LIMIT_VDBE_OP, 5_000_000),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 5_000),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
)
_FILE_PROBLEMS = frozenset(
    {
        "attempt to write a readonly database",  # a database in WAL mode whose index cannot be made in a read-only folder
        "database disk image is malformed",
        "disk I/O error",
        "file is not a database",
        "unable to open database file",
    }
)
_SILENT_ACTIONS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})


class SchemaChanged(Exception):
    """The schema is not the one for which the request was made."""


class Guard:
    """The authorizer: what is not on the policy's lists is denied, and the last denial is remembered for the message."""

    def __init__(self, policy: Policy) -> None:
        self._functions = frozenset(policy["functions"])
        self._pragmas = frozenset(policy["pragmas"])
        self._pragmas_with_argument = frozenset(policy["pragmas_with_argument"])
        with closing(sqlite3.connect(":memory:")) as connection:
            modules = {row[0].lower() for row in connection.execute("SELECT name FROM pragma_module_list")}
        # modules that may stand as a table of their own, without any CREATE, and that nobody has judged
        self._denied_tables = modules - frozenset(policy["tables"])
        self._allowed_tables = tuple(policy["tables"])
        self._secrets: frozenset[tuple[str, str]] = frozenset()
        self._views: frozenset[str] = frozenset()
        self.denied: str | None = None

    def begin(self, secrets: Secrets | None) -> None:
        self.denied = None
        self._secrets = frozenset((table, column) for table, column in secrets["denied"]) if secrets else frozenset()
        self._views = frozenset(secrets["views"]) if secrets else frozenset()

    def built_in_tables(self, sql: str) -> list[str]:
        """The tables of the engine's own that *sql* may mean; a view's SQL, which is not seen here, may use those for JSON."""
        lower = sql.lower()
        return ["json_each", "json_tree", *(name for name in self._allowed_tables if name in lower)]

    def authorize(self, action: int, first: str | None, second: str | None, _database: str | None, within: str | None) -> int:
        if action in _SILENT_ACTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            table, column = (first or "").lower(), (second or "").lower()
            if (table, column) in self._secrets and (within or "").lower() not in self._views:
                self.denied = f"reading {first}.{second}"
                return sqlite3.SQLITE_DENY
            if table not in self._denied_tables:
                return sqlite3.SQLITE_OK
            self.denied = f"reading {first}"
        elif action == sqlite3.SQLITE_FUNCTION:
            if (second or "").lower() in self._functions:
                return sqlite3.SQLITE_OK
            self.denied = f"the function {second}"
        elif action == sqlite3.SQLITE_PRAGMA:
            name = (first or "").lower()
            if name in self._pragmas_with_argument or (second is None and name in self._pragmas):
                return sqlite3.SQLITE_OK
            self.denied = f"PRAGMA {first}"
        else:
            self.denied = "anything but reading"
        return sqlite3.SQLITE_DENY


G = TypeVar("G", bound=Guard)


def main() -> None:
    serve(Guard, _answer)


def serve(make_guard: Callable[[Policy], G], answer_to: Callable[[object, G], Mapping[str, object]]) -> None:
    """Answers requests, in limited memory, under the guard that is made from the policy."""

    def guarded(received: object) -> G:
        policy = cast("Policy", received)
        worker_process.set_limit(resource.RLIMIT_AS, policy["memory_bytes"])
        return make_guard(policy)

    worker_process.serve(guarded, answer_to)


def _answer(received: object, guard: Guard) -> Answer:
    request = cast("Request", received)
    deadline = time.monotonic() + request["seconds"]
    pages: list[Page] = []
    answer = Answer(pages=pages)
    guard.begin(request["secrets"])
    try:
        with worker_process.alarm(request["seconds"]), closing(_connect(request, guard, deadline)) as connection:
            pages += (_read(connection, read) for read in request["reads"])
            if rehearsal := request["rehearsal"]:
                answer["plans"] = _rehearse(connection, rehearsal, guard, deadline)
    except Exception as error:  # noqa: BLE001 - every failure is an answer; only the owner can tell whose fault it was
        return failure(error, guard, late=time.monotonic() >= deadline)
    return answer


def failure(error: Exception, guard: Guard, *, late: bool) -> Answer:
    message = str(error)[:2_000]
    kind: Failure = "sql"
    if isinstance(error, MemoryError):
        kind = "memory"
    elif isinstance(error, SchemaChanged):
        kind = "schema"
    elif not isinstance(error, sqlite3.Error):
        kind, message = "defect", f"{type(error).__name__}: {message}"
    elif guard.denied is not None:
        kind, message = "denied", guard.denied
    elif message == "interrupted" or late:
        kind = "time"
    elif message == "string or blob too big":
        kind = "size"
    elif message in ("database is locked", "database table is locked", "database schema is locked: main"):
        kind = "busy"
    elif message in _FILE_PROBLEMS:
        kind = "file"
    # after running out of memory nothing is certain, and memory that was once taken is not given back
    return Answer(failure=kind, message=message, last=kind in ("memory", "defect"))


def _connect(request: Request, guard: Guard, deadline: float) -> sqlite3.Connection:
    """A connection that can only read."""
    path = request["path"]
    # Nothing this process does needs to write a file, but for the shared index of a database in WAL mode.
    worker_process.set_limit(resource.RLIMIT_FSIZE, _WAL_INDEX_BYTES if _is_wal(path) else 0)
    connection = opened(path, "ro", deadline)
    try:
        connection.execute("PRAGMA query_only = ON")
        connect_virtual_tables(connection, guard.built_in_tables(" ".join(read["sql"] for read in request["reads"])))
        if secrets := request["secrets"]:
            connection.execute("BEGIN")
            check_schema(connection, path, secrets["stamp"])
        connection.set_authorizer(guard.authorize)
    except BaseException:
        connection.close()
        raise
    return connection


def opened(path: str, mode: Literal["ro", "rw"], deadline: float) -> sqlite3.Connection:
    """A bounded connection, which nothing survives: it is opened for one request."""
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(
        f"file://{escaped}?mode={mode}", uri=True, isolation_level=None, cached_statements=0, timeout=_BUSY_SECONDS
    )
    try:
        connection.text_factory = _text
        for limit, value in _LIMITS:
            connection.setlimit(limit, value)
        for pragma in ("temp_store = MEMORY", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.set_progress_handler(_late(deadline), _STEPS_BETWEEN_CHECKS)
    except BaseException:
        connection.close()
        raise
    return connection


def check_schema(connection: sqlite3.Connection, path: str, stamp: Stamp) -> None:
    """Inside a transaction, from which on the schema stays the expected one. Raises SchemaChanged."""
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    if [os.stat(path).st_ino, version] != stamp:  # noqa: PTH116 - pathlib costs a third of this process's start
        raise SchemaChanged


def _late(deadline: float) -> Callable[[], bool]:
    return lambda: time.monotonic() >= deadline


def connect_virtual_tables(connection: sqlite3.Connection, built_in: list[str]) -> None:
    """Lets virtual tables set themselves up before the authorizer watches.

    They declare themselves through the schema table, and an R-tree prepares writes that it never makes here.
    """
    created = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage = 0").fetchall()
    for name in [*built_in, *(row[0] for row in created)]:
        with suppress(sqlite3.Error):  # its module is missing here: only a query on it should fail
            connection.execute("SELECT 1 FROM pragma_table_info(?)", (name,)).fetchone()


def _is_wal(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs a third of this process's start
            return file.read(20)[18:20] == b"\x02\x02"
    except OSError:
        return False  # connecting says what is wrong


def _read(connection: sqlite3.Connection, read: Read) -> Page:
    begun = time.perf_counter()
    with closing(connection.execute(read["sql"], read["parameters"])) as cursor:
        names = [column[0] for column in cursor.description or ()]
        cell = min(read["cell"], max(16, read["bytes"] // max(1, len(names))))
        rows: list[list[Sent]] = []
        seen, size, more = 0, 0, False
        for row in cursor:
            if seen >= read["skip"]:
                sent = [shrunk(value, cell) for value in row]
                for position in read["masked"]:
                    if position < len(row):  # whoever asked will see that it is not the result that was foreseen
                        sent[position] = None if row[position] is None else MASK
                size += sum(_size(value) for value in sent)
                if len(rows) == read["rows"] or (rows and size > read["bytes"]):
                    more = True
                    break
                rows.append(sent)
            seen += 1
    return Page(
        columns=[name[:cell] for name in names],
        rows=rows,
        seen=seen,
        more=more,
        milliseconds=round((time.perf_counter() - begun) * 1000, 3),
    )


def shrunk(value: Scalar, cell: int) -> Sent:
    """*value* as it is sent: long text as ["text", its start, its length], a blob as ["blob", its length, its hash]."""
    if isinstance(value, str) and len(value) > cell:
        return ["text", value[:cell], len(value)]
    if isinstance(value, bytes):
        return ["blob", len(value), hashlib.sha256(value).hexdigest()[:16]]
    return value


def _size(value: Sent) -> int:
    if isinstance(value, list):
        return 24 + len(str(value[1]))
    return len(value) + 3 if isinstance(value, str) else 8


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _rehearse(connection: sqlite3.Connection, rehearsal: Rehearsal, guard: Guard, deadline: float) -> list[list[PlanRow] | None]:
    """The plan now, then with each index alone; None where an index cannot be made."""
    schema = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' ESCAPE '~' "
        "ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rootpage"
    ).fetchall()
    statistics: Sequence[tuple[str, str | None, str]] = ()
    with suppress(sqlite3.OperationalError):  # there is no sqlite_stat1 before the first ANALYZE
        statistics = connection.execute("SELECT tbl, idx, stat FROM sqlite_stat1").fetchall()
    known = {table for table, _, _ in statistics}
    counted = [(table, None, str(rows)) for table, rows in rehearsal["rows"].items() if table not in known]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        for limit, value in _LIMITS:
            copy.setlimit(limit, value)
        copy.set_progress_handler(_late(deadline), _STEPS_BETWEEN_CHECKS)
        for (statement,) in schema:
            with suppress(sqlite3.Error):  # the tables behind a virtual table are there already
                copy.execute(statement)
        copy.execute("ANALYZE sqlite_schema")
        copy.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", [*statistics, *counted])
        copy.execute("ANALYZE sqlite_schema")
        return [
            _plan(copy, rehearsal["sql"], None, guard),
            *(_plan(copy, rehearsal["sql"], index, guard) for index in rehearsal["indexes"]),
        ]


def _plan(copy: sqlite3.Connection, sql: str, index: str | None, guard: Guard) -> list[PlanRow] | None:
    try:
        if index:
            copy.execute(index)
    except sqlite3.Error:
        return None
    try:
        copy.set_authorizer(guard.authorize)
        return [list(row) for row in copy.execute(f"EXPLAIN QUERY PLAN {sql}")]
    finally:
        copy.set_authorizer(None)
        if index:
            copy.execute("DROP INDEX opsroom_rehearsal")


if __name__ == "__main__":
    worker_process.run(main)

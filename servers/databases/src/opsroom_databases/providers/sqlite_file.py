"""Sends statements to the guarded workers, and turns what goes wrong there into words for the caller."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from opsroom_shared.errors import InvalidInput, NotPermitted, TimedOut, TooLarge, ToolFailure, Unavailable

from .. import cells
from ..cells import Cell
from ..dialects.sqlite import MODULES, RULES
from ..index_advice import aliases
from ..names import nearest
from ..settings import DatabasesSettings
from ..sources import LocalFile, file_problem
from ..sql_position import marked_name
from ..sql_safety import Statement
from . import sqlite_worker
from .places import Places
from .worker_pool import WorkerEnded, WorkerPool

Values: TypeAlias = list[list[sqlite_worker.Sent]]
Query: TypeAlias = tuple[str, tuple[str, ...]]
"""A statement of ours and its parameters."""

SCHEMA_SECONDS = 5.0
_SCHEMA_ROWS = 20_000
_SCHEMA_BYTES = 4_000_000
_SCHEMA_CELL = 2_000

_NO_SUCH = re.compile(r"no such (?P<kind>column|table): (?P<name>.+)")
_AT_A_NAME = re.compile(r"(?:ambiguous column name|no such function|wrong number of arguments to function): ?(?P<name>[^\s(]+)")
_NEAR = re.compile(r'near "(?P<name>.+)": syntax error')

_NAMES = """
    SELECT t.name, c.name FROM pragma_table_list t, pragma_table_xinfo(t.name) c
    WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite~_%' ESCAPE '~'"""


class SchemaChanged(Exception):
    """The schema is no longer the one for which the statement was judged; nothing was read."""


class GuardedFile:
    """One database file, read by killable workers. Every failure leaves here as a ToolFailure."""

    def __init__(self, name: str, source: LocalFile, settings: DatabasesSettings) -> None:
        self.name = name
        self._source, self._settings = source, settings
        script = Path(sqlite_worker.__file__)
        self._pool = WorkerPool(script, cast("Mapping[str, object]", policy(settings)), Places(name, settings.concurrency))

    async def path(self) -> Path:
        return await self._source.path()

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def read(
        self,
        read: sqlite_worker.Read,
        statement: Statement | None = None,
        seconds: float | None = None,
        secrets: sqlite_worker.Secrets | None = None,
    ) -> sqlite_worker.Page:
        """One statement's rows. *statement* is the caller's, where the failure should speak of it. Raises SchemaChanged."""
        answer = await self._run([read], statement, None, seconds or self._settings.query_seconds, secrets)
        return answer.get("pages", [])[0]

    async def rows(self, *queries: Query, seconds: float = SCHEMA_SECONDS) -> list[Values]:
        """Rows of our own statements, such as those about the schema, all on one connection."""
        reads = [
            sqlite_worker.Read(
                sql=sql, parameters=[*parameters], skip=0, rows=_SCHEMA_ROWS, bytes=_SCHEMA_BYTES, cell=_SCHEMA_CELL, masked=[]
            )
            for sql, parameters in queries
        ]
        answer = await self._run(reads, None, None, min(seconds, self._settings.query_seconds))
        return [page["rows"] for page in answer.get("pages", [])]

    async def rehearse(self, statement: Statement, indexes: Sequence[str], rows: Mapping[str, int]) -> list[Values | None]:
        """The plan of *statement* in an empty copy of the schema: now, then with each of *indexes* alone."""
        rehearsal = sqlite_worker.Rehearsal(sql=statement.query_sql, indexes=[*indexes], rows=dict(rows))
        answer = await self._run([], statement, rehearsal, min(SCHEMA_SECONDS, self._settings.query_seconds))
        return cast("list[Values | None]", answer.get("plans", []))

    async def _run(
        self,
        reads: list[sqlite_worker.Read],
        statement: Statement | None,
        rehearsal: sqlite_worker.Rehearsal | None,
        seconds: float,
        secrets: sqlite_worker.Secrets | None = None,
    ) -> sqlite_worker.Answer:
        path = await self._source.path()
        request = sqlite_worker.Request(path=str(path), seconds=seconds, reads=reads, rehearsal=rehearsal, secrets=secrets)
        begun = time.monotonic()
        try:
            answer = cast("sqlite_worker.Answer", await self._pool.run(cast("Mapping[str, object]", request), seconds))
        except WorkerEnded:
            if time.monotonic() - begun >= seconds:
                raise _too_slow(seconds) from None
            raise Unavailable(
                f"The process that read {self.name} ended. Call again; if it ends again, the file may be damaged."
            ) from None
        except TimedOut:
            raise _too_slow(seconds) from None
        if answer.get("failure") == "schema":
            raise SchemaChanged
        if "failure" in answer:
            raise await self._failure(answer, statement, path, seconds)
        return answer

    async def _failure(
        self, answer: sqlite_worker.Answer, statement: Statement | None, path: Path, seconds: float
    ) -> ToolFailure | RuntimeError:
        message = cells.text(answer.get("message", ""), _SCHEMA_CELL)
        kind = answer.get("failure", "defect")
        if kind == "sql":
            return InvalidInput(await self._explained(message, statement))
        if kind == "time":
            return _too_slow(seconds)
        known: dict[str, ToolFailure] = {
            "denied": NotPermitted(f"The engine refused it: {message} is not allowed on a read-only connection."),
            "memory": TooLarge(
                f"The query needs more than {self._settings.memory_mib} MiB of memory. Read or sort less at once."
            ),
            "size": TooLarge("The query makes a value of more than 64 MiB. Take a part of it, such as substr(column, 1, 1000)."),
            "busy": Unavailable(f"{self.name} is locked by a writer. Try again in a moment."),
            "file": Unavailable(f"{self.name} cannot be read: {file_problem(path) or message}."),
        }
        return known.get(kind) or RuntimeError(f"the worker of {self.name} failed: {message}")

    async def _explained(self, message: str, statement: Statement | None) -> str:
        """The engine's message, the nearest names that exist, and the place in the statement that it speaks of."""
        if statement is None:
            return message
        if match := _NO_SUCH.fullmatch(message):
            near = nearest_in_schema(match["name"], match["kind"] == "table", statement, await self._existing())
            hint = f". Did you mean {' or '.join(near)}?" if near else ""
        elif match := _AT_A_NAME.match(message) or _NEAR.fullmatch(message):
            hint = ""
        else:
            return message
        place = marked_name(statement.sql, match["name"].rpartition(".")[2])
        return f"{message}{hint}{place}"

    async def _existing(self) -> list[tuple[str, str]]:
        try:
            return [(shown(table), shown(column)) for table, column in (await self.rows((_NAMES, ())))[0]]
        except ToolFailure:
            return []  # a suggestion is not worth a second failure


def policy(settings: DatabasesSettings) -> sqlite_worker.Policy:
    """What the engine's own guard lets a statement do."""
    return sqlite_worker.Policy(
        functions=sorted(RULES.functions | RULES.operators),
        pragmas=sorted(RULES.pragmas),
        pragmas_with_argument=sorted(RULES.pragmas_with_argument),
        tables=sorted(MODULES),
        memory_bytes=settings.memory_mib << 20,
    )


def nearest_in_schema(name: str, is_table: bool, statement: Statement, existing: Sequence[tuple[str, str]]) -> list[str]:  # noqa: FBT001
    """Tables, or columns as table.column, that look like *name*; those of the statement's own tables first."""
    qualifier, _, last = name.rpartition(".")
    if is_table:
        return nearest(last, {table for table, _ in existing})
    called = aliases(statement.query) if statement.query is not None else {}
    own = {called.get(qualifier.lower(), qualifier).lower()} if qualifier else {table.lower() for table in called.values()}
    for tables in (own, {table.lower() for table, _ in existing}):
        columns = [(table, column) for table, column in existing if table.lower() in tables]
        if near := nearest(last, {column for _, column in columns}):
            return [f"{table}.{column}" for each in near for table, column in columns if column == each][:3]
    return []


def shown(value: sqlite_worker.Sent) -> str:
    """A name, type or definition from the schema, which is outside text like any row."""
    return str(cell(value, _SCHEMA_CELL))


def cell(value: sqlite_worker.Sent, limit: int) -> Cell:
    """A value from a worker as it is shown."""
    if value is None:
        return None
    if isinstance(value, str):
        return cells.text(value, limit)
    if isinstance(value, list):
        if value[0] == "blob":
            return cells.blob(int(value[1]), str(value[2]))
        start = str(value[1])
        return cells.text(start, len(start), int(value[2]))
    return cells.number(value)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _too_slow(seconds: float) -> TimedOut:
    return TimedOut(f"The query was stopped after {seconds:g} s. Narrow it with WHERE; explain_query shows what makes it slow.")

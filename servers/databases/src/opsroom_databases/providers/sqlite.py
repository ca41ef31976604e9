"""SQLite: every statement runs in a guarded child process, on a connection of its own."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote

from opsroom_shared.errors import InvalidInput, ToolFailure

from ..dialects.sqlite import RESERVED, RULES
from ..health import Focus
from ..health.checks import examine
from ..health.sqlite import SqliteHealth
from ..health.thresholds import THRESHOLDS, Thresholds
from ..index_advice import aliases, candidates
from ..models import Column, DatabaseHealth, DatabaseStatus, Explanation, IndexAdvice, TableDescription, TopQueries
from ..plans import gain, plan_rows, scanned, steps
from ..secret_columns import NOTHING_MASKED, Masked
from ..settings import DatabasesSettings
from ..sources import LocalFile, file_problem
from ..sql_safety import Statement, check
from ..workload import Order
from ..workload.sqlite import nothing_counted
from . import Effect, Relation, Rows, Sampling, sqlite_worker
from .sqlite_catalog import Catalog
from .sqlite_file import GuardedFile, cell, quoted, shown
from .sqlite_secrets import Known, Secrets
from .sqlite_writes import SqliteWrites

_ALL = 1 << 60
_WORTH_AN_INDEX = 1_000
_REHEARSAL = "opsroom_rehearsal"

_VERSION = "SELECT sqlite_version()"
_COUNT = """
    SELECT count(*) FROM pragma_table_list
    WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"""


class SqliteDatabase:
    """A database file. It is opened for reading only, anew for each call, so that each call sees what is committed."""

    def __init__(self, name: str, source: LocalFile, settings: DatabasesSettings) -> None:
        self.name = name
        self.dialect = source.dialect
        self._settings = settings
        self._file = GuardedFile(name, source, settings)
        self._catalog = Catalog(self._file)
        self._secrets = Secrets(self._file, settings.masking(name))
        self._writes: SqliteWrites | None = None

    async def aclose(self) -> None:
        await self._file.aclose()
        if self._writes:
            await self._writes.aclose()

    async def status(self) -> DatabaseStatus:
        status = DatabaseStatus(name=self.name, dialect=self.dialect, read_only=True, reachable=False)
        try:
            path = await self._file.path()
            if problem := file_problem(path):
                return status.model_copy(update={"problem": problem})
            version, tables = await self._file.rows((_VERSION, ()), (_COUNT, ()))
        except ToolFailure as failure:
            return status.model_copy(update={"problem": str(failure)})
        size = None
        with suppress(OSError):  # it was there when it was read
            size = path.stat().st_size
        return status.model_copy(update={"reachable": True, "version": version[0][0], "tables": tables[0][0], "size_bytes": size})

    async def relations(self) -> list[Relation]:
        return await self._catalog.relations()

    async def describe(self, relation: str, sampling: Sampling) -> TableDescription:
        return await self._secrets.reading(lambda known: self._catalog.describe(relation, sampling, known))

    async def query(self, sql: str, *, limit: int, skip: int) -> Rows:
        statement = check(sql, RULES)
        return await self._secrets.reading(lambda known: self._page(statement, limit, skip, known))

    async def _page(self, statement: Statement, limit: int, skip: int, known: Known) -> Rows:
        masked = _judged(statement, known)
        state = _state(await self._file.path())
        shows_rows = statement.kind == "query"
        read = sqlite_worker.Read(
            sql=statement.sql,
            parameters=[],
            skip=skip,
            rows=limit,
            bytes=self._settings.max_bytes,
            cell=self._settings.max_cell,
            masked=[*masked.positions] if shows_rows else [],
        )
        page = await self._file.read(read, statement, secrets=known.guarding(masked.used))
        if shows_rows:
            masked.check(page["columns"])
        return Rows(
            columns=[
                Column(name=shown(name), type=_type(row[index] for row in page["rows"]))
                for index, name in enumerate(page["columns"])
            ],
            rows=[[cell(value, self._settings.max_cell) for value in row] for row in page["rows"]],
            more=page["more"],
            state=state,
            masked=tuple(map(shown, masked.words(page["columns"]))) if shows_rows else (),
        )

    async def explain(self, sql: str, *, analyze: bool) -> Explanation:
        statement = check(sql, RULES)
        if statement.query is None:
            raise InvalidInput("Only a query has a plan.")
        return await self._secrets.reading(lambda known: self._explained(statement, known, analyze=analyze))

    async def _explained(self, statement: Statement, known: Known, *, analyze: bool) -> Explanation:
        secrets = known.guarding(_judged(statement, known).used)
        read = sqlite_worker.Read(
            sql=f"EXPLAIN QUERY PLAN {statement.query_sql}", parameters=[], skip=0, rows=500, bytes=100_000, cell=500, masked=[]
        )
        rows = plan_rows((await self._file.read(read, statement, secrets=secrets))["rows"])
        called = aliases(statement.query) if statement.query else {}
        estimates = await self._catalog.estimates([*called.values()])
        counts = {alias: estimates[table.lower()] for alias, table in called.items() if table.lower() in estimates}
        explanation = Explanation(steps=steps(rows, counts))
        large = [name for name in scanned(rows) if counts.get(name.lower(), 0) >= _WORTH_AN_INDEX]
        explanation.advice = await self._advice(
            statement, large, {table: estimates[table.lower()] for table in called.values() if table.lower() in estimates}
        )
        if any(step.costly for step in explanation.steps) and not explanation.advice:
            explanation.notes.append("No index was found that the engine would use instead.")
        if analyze:
            run = await self._file.read(
                sqlite_worker.Read(sql=statement.query_sql, parameters=[], skip=_ALL, rows=0, bytes=1_000, cell=100, masked=[]),
                statement,
                secrets=secrets,
            )
            explanation.rows, explanation.elapsed_ms = run["seen"], run["milliseconds"]
        return explanation

    async def write(self, sql: str, *, definitions: bool, approved: tuple[int, int] | None) -> Effect:
        writes = self._writes = self._writes or SqliteWrites(self._file, self._settings)
        return await self._secrets.reading(lambda known: writes.write(sql, known, definitions=definitions, approved=approved))

    async def role_sql(self) -> str:
        path = quote(str(await self._file.path()))
        return (
            "-- SQLite has no roles: the file's permissions say who may read it. As its owner, in a shell:\n"
            f"chgrp opsroom {path} && chmod g=r,o= {path}"
        )

    async def health(self, focus: Focus, limits: Thresholds = THRESHOLDS) -> DatabaseHealth:
        return await examine(self.name, SqliteHealth(self._file, self._catalog).checks(), focus, limits)

    async def top_queries(self, order: Order, limit: int) -> TopQueries:  # noqa: ARG002 - the same for every engine
        raise nothing_counted(self.name)

    async def _advice(self, statement: Statement, scans: Sequence[str], rows: dict[str, int]) -> list[IndexAdvice]:
        """Indexes that the engine would use, tried in an empty copy of the schema: the database itself is not touched."""
        if statement.query is None or not scans:
            return []
        called = aliases(statement.query)
        tables = dict.fromkeys(called[name.lower()] for name in scans if name.lower() in called)
        columns = {table: [column.name for column in await self._catalog.columns(table)] for table in tables}
        tried = candidates(statement.query, scans, columns)
        if not tried:
            return []
        before, *after = await self._file.rehearse(
            statement, [_create(_REHEARSAL, candidate.table, candidate.columns) for candidate in tried], rows
        )
        found: dict[str, IndexAdvice] = {}
        for candidate, plan in zip(tried, after, strict=True):
            effect = gain(plan_rows(before or ()), plan_rows(plan), _REHEARSAL) if plan else None
            if effect and candidate.table not in found:
                name = "_".join([candidate.table, *candidate.columns, "idx"])
                found[candidate.table] = IndexAdvice(
                    statement=_create(name, candidate.table, candidate.columns), checked=True, effect=effect
                )
        return list(found.values())


def _judged(statement: Statement, known: Known) -> Masked:
    return NOTHING_MASKED if statement.query is None else known.columns.judge(statement.query_sql)


def _create(name: str, table: str, columns: Iterable[str]) -> str:
    return f"CREATE INDEX {_plain(name)} ON {_plain(table)} ({', '.join(map(_plain, columns))})"


def _plain(name: str) -> str:
    plain = name.isidentifier() and name.isascii() and name == name.lower() and name not in RESERVED
    return name if plain else quoted(name)


def _type(values: Iterable[sqlite_worker.Sent]) -> str:
    """The storage classes on the page, as SQLite's typeof() names them. A result's columns have no other type in SQLite."""
    found: dict[str, None] = {}
    for value in values:
        if isinstance(value, list):
            found[str(value[0])] = None
        elif value is not None:
            found["text" if isinstance(value, str) else "real" if isinstance(value, float) else "integer"] = None
    return "|".join(found) or "null"


def _state(path: Path) -> str:
    """What changes with every commit, in the file or beside it."""
    parts: list[str] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        with suppress(OSError):
            stat = file.stat()
            parts.append(f"{stat.st_ino}.{stat.st_mtime_ns}.{stat.st_size}")
    return "/".join(parts)

"""PostgreSQL: every statement is judged by its text and by the engine's catalog, then runs in a read-only transaction."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from opsroom_shared.errors import InvalidInput, ToolFailure

from ..cells import Cell, text
from ..dialects.postgres import HIDDEN_SETTINGS
from ..dialects.postgres_statement import Reading
from ..engine_rows import TAG
from ..health import Focus
from ..health.checks import examine
from ..health.postgres import PostgresHealth
from ..health.thresholds import THRESHOLDS, Thresholds
from ..models import Column, DatabaseHealth, DatabaseStatus, Explanation, IndexAdvice, TableDescription, TopQueries
from ..secret_columns import MASK
from ..settings import DatabasesSettings
from ..sources import NetworkSource
from ..workload import Order
from ..workload.postgres import top_queries
from . import Effect, Relation, Rows, Sampling
from .postgres_account import reader_sql, rights
from .postgres_advice import checked, hypopg_schema, tables, unchecked, wanted
from .postgres_catalog import describe, relations, resolve
from .postgres_driver import type_names
from .postgres_errors import translated
from .postgres_judgement import check_names
from .postgres_memory import Verdict, Verdicts, read_again
from .postgres_plan import Plan, read_plan
from .postgres_rows import Bounds, Taken, cell_limit, copied_rows, cut, value
from .postgres_secrets import judged, secret_columns
from .postgres_session import Session, Sessions, plain
from .postgres_writes import PostgresWrites

_SCHEMA_SECONDS = 5.0
_SAMPLE_BYTES = 16_000
_LINES = 100

_STATUS = """
    SELECT current_setting('server_version'), pg_database_size(current_database()), (
      SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"""


class PostgresDatabase:
    """A database of a PostgreSQL engine. Every call is a transaction of its own."""

    def __init__(self, name: str, source: NetworkSource, settings: DatabasesSettings) -> None:
        self.name = name
        self.dialect = source.dialect
        self._source, self._settings = source, settings
        self._sessions = Sessions(name, source, settings)
        self._verdicts = Verdicts()
        self._writes = PostgresWrites(name, source, settings)

    async def aclose(self) -> None:
        await self._writes.aclose()
        await self._sessions.aclose()

    async def status(self) -> DatabaseStatus:
        status = DatabaseStatus(name=self.name, dialect=self.dialect, read_only=True, reachable=False)
        try:
            async with self._looking() as session:
                ((version, size_bytes, count),) = await session.fetch(_STATUS)
                account = await rights(session)
        except ToolFailure as failure:
            return status.model_copy(update={"problem": str(failure)})
        return status.model_copy(
            update={
                "reachable": True,
                "version": str(version).split(" ")[0],
                "tables": count,
                "size_bytes": size_bytes,
                "account": f"{account}{'; a standby' if session.standby else ''}",
            }
        )

    async def relations(self) -> list[Relation]:
        async with self._looking() as session:
            return await relations(session)

    async def describe(self, relation: str, sampling: Sampling) -> TableDescription:
        async with self._looking() as session:
            named = await resolve(session, relation)
            description = await describe(session, named)
            secret = (await secret_columns([named.name], session, self._settings.masking(self.name))).of(
                f"{named.schema}.{named.name}"
            )
        for column in description.columns:
            column.masked = column.name in secret
        if not sampling.rows:
            return description
        # the table may be a view, so this is judged like a query of the caller
        columns = ", ".join(plain(column.name) for column in description.columns)
        reading = read_again(f"SELECT {columns} FROM {named.sql} LIMIT {sampling.rows}")  # noqa: S608 - quoted
        async with self._reading(reading) as session:
            sample = await _page(reading, Bounds(sampling.rows, 0, _SAMPLE_BYTES, sampling.cell), session)
        return description.model_copy(update={"sample": sample.rows})

    async def query(self, sql: str, *, limit: int, skip: int) -> Rows:
        reading = read_again(sql)
        bounds = Bounds(limit, skip, self._settings.max_bytes, self._settings.max_cell)
        async with self._reading(reading) as session:
            if reading.sort == "query":
                return await _page(reading, bounds, session)
            if reading.sort == "explain":
                await _only_a_query(reading, session)
            return await _lines(reading, bounds, session)

    async def explain(self, sql: str, *, analyze: bool) -> Explanation:
        reading = read_again(sql)
        if reading.sort == "show":
            raise InvalidInput("Only a query has a plan.")
        explain = f"EXPLAIN (FORMAT JSON, VERBOSE) {reading.query_sql}"
        async with self._reading(reading) as session:
            await _only_a_query(reading, session)
            plan = read_plan(str((await session.connection.fetch(explain))[0][0]))
        advice = await self._advice(reading, explain, plan)
        if analyze:
            async with self._reading(reading) as session:
                ran = f"EXPLAIN (FORMAT JSON, VERBOSE, ANALYZE) {reading.query_sql}"
                plan = read_plan(str((await session.connection.fetch(ran))[0][0]))
        return Explanation(steps=plan.steps, advice=advice, rows=plan.rows, elapsed_ms=plan.elapsed_ms)

    async def health(self, focus: Focus, limits: Thresholds = THRESHOLDS) -> DatabaseHealth:
        return await examine(self.name, PostgresHealth(self._ask).checks(), focus, limits)

    async def top_queries(self, order: Order, limit: int) -> TopQueries:
        return await top_queries(self.name, self._ask, order, limit)

    async def write(self, sql: str, *, definitions: bool, approved: tuple[int, int] | None) -> Effect:
        return await self._writes.write(sql, definitions=definitions, approved=approved)

    async def role_sql(self) -> str:
        async with self._looking() as session:
            return await reader_sql(session, self._source.database, self._settings.query_seconds)

    async def _advice(self, reading: Reading, explain: str, plan: Plan) -> list[IndexAdvice]:
        if reading.tree is None or not plan.scans:
            return []
        async with self._looking() as session:
            tried = wanted(reading.tree, plan, await tables(session, plan.scans))
            schema = await hypopg_schema(session)
        if schema is None or not tried:
            return unchecked(tried)
        async with self._reading(reading) as session:
            session.tainted = True  # hypothetical indexes live as long as their session
            return await checked(session, schema, explain, plan, tried)

    async def _ask(self, sql: str, /) -> list[dict[str, object]]:
        """The rows of a statement of ours about the engine, by the names of their columns."""
        async with self._looking() as session:
            return [dict(zip(row.keys(), row, strict=True)) for row in await session.fetch(sql)]

    @asynccontextmanager
    async def _looking(self) -> AsyncGenerator[Session]:
        """A session for our own statements about the schema."""
        seconds = min(_SCHEMA_SECONDS, self._settings.query_seconds)
        with translated(self.name, seconds):
            async with self._sessions.reading(seconds) as session:
                yield session

    @asynccontextmanager
    async def _reading(self, reading: Reading) -> AsyncGenerator[Session]:
        """A session in which the caller's statement was judged and may run."""
        seconds = self._settings.query_seconds
        with translated(self.name, seconds, reading):
            async with self._sessions.reading(seconds, around=True) as session:
                await self._judge(reading, session)
                await session.look_around()
                yield session

    async def _judge(self, reading: Reading, session: Session) -> None:
        verdict = self._verdicts.find(reading, session)
        if verdict is None:
            await check_names(reading, session)
            verdict = Verdict(await judged(reading, session, self._settings.masking(self.name)), session.tainted)
            self._verdicts.keep(reading, session, verdict)
        session.masked, session.tainted = verdict.masked, verdict.tainted


async def _only_a_query(reading: Reading, session: Session) -> None:
    """The engine's grammar says once more that this is a query: nothing else can stand in parentheses behind FROM."""
    await session.prepare(f"SELECT FROM (\n{reading.query_sql}\n) AS q")


async def _page(reading: Reading, bounds: Bounds, session: Session) -> Rows:
    # this reads the statement, and runs nothing of it
    columns = (await session.prepare(reading.query_sql)).get_attributes()
    types = await type_names(session.connection, columns)
    limit = cell_limit(bounds, len(columns))
    masked = session.masked
    masked.check(column.name for column in columns)
    wrapped = cut(reading.query_sql, columns, bounds, masked.positions)
    taken: Taken[Sequence[object]] = Taken(bounds)
    if wrapped.prefetch > bounds.rows:  # all of them fit in memory: one exchange with the engine instead of three
        copied = await session.connection.copied(f"COPY ({TAG}{wrapped.sql}) TO STDOUT")
        taken.all(copied_rows(copied, columns, masked.positions))
    else:
        async for row in (await session.prepare(TAG + wrapped.sql)).cursor(prefetch=wrapped.prefetch):
            if not taken.takes(tuple(row)):
                break
    return Rows(
        columns=[Column(name=text(column.name, limit), type=text(of, limit)) for column, of in zip(columns, types, strict=True)],
        rows=[
            [
                value(raw, column, limit) if at not in masked.positions else None if raw is None else MASK
                for at, (raw, column) in enumerate(zip(row, columns, strict=True))
            ]
            for row in taken.rows
        ],
        more=taken.more,
        state="",
        masked=tuple(text(words, limit) for words in masked.words(column.name for column in columns)),
    )


async def _lines(reading: Reading, bounds: Bounds, session: Session) -> Rows:
    """A page of what SHOW or EXPLAIN gives; all of it is text, a line or a setting a row."""
    statement = await session.prepare(reading.sql)
    columns = [Column(name=text(column.name, bounds.cell), type="text") for column in statement.get_attributes()]
    taken: Taken[list[Cell]] = Taken(bounds)
    seen = 0
    async for row in statement.cursor(prefetch=_LINES):
        if row[0] in HIDDEN_SETTINGS:
            continue
        seen += 1
        if seen <= bounds.skip:
            continue
        shown: list[Cell] = [None if each is None else text(str(each), bounds.cell) for each in row]
        if not taken.takes(shown):
            break
    return Rows(columns, taken.rows, taken.more, "")

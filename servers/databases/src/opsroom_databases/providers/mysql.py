"""MariaDB and MySQL: every statement is judged by its text, the catalog and the engine's parser, then runs read-only."""

from collections.abc import Callable
from typing import TypeVar

from opsroom_shared.errors import InvalidInput, ToolFailure

from ..dialects.mysql_statement import Reading, read
from ..dialects.mysql_write import read_write
from ..engine_rows import TAG
from ..health import Focus
from ..health.checks import examine
from ..health.mysql import MysqlHealth
from ..health.thresholds import THRESHOLDS, Thresholds
from ..models import DatabaseHealth, DatabaseStatus, Explanation, TableDescription, TopQueries
from ..secret_columns import Masked
from ..settings import DatabasesSettings
from ..sources import NetworkSource
from ..workload import Order
from ..workload.mysql import top_queries
from . import Effect, Relation, Rows, Sampling
from .mysql_catalog import columns_of_all, describe, relations, status
from .mysql_errors import NameUnknown, translated, with_names
from .mysql_lookup import check_calls
from .mysql_plan import explain
from .mysql_role import reader_sql
from .mysql_rows import Bounds, page
from .mysql_secrets import judged
from .mysql_session import Session, Sessions
from .mysql_writes import MysqlWrites

T = TypeVar("T")

_SCHEMA_SECONDS = 5.0


class MysqlDatabase:
    """A database of MariaDB or MySQL."""

    def __init__(self, name: str, source: NetworkSource, settings: DatabasesSettings) -> None:
        self.name = name
        self.dialect = source.dialect
        self._database, self._settings = source.database, settings
        self._sessions = Sessions(name, source, settings)
        self._writes = MysqlWrites(name, source, settings)

    async def aclose(self) -> None:
        await self._writes.aclose()
        await self._sessions.aclose()

    async def status(self) -> DatabaseStatus:
        try:
            return await self._about_schema(lambda session: status(session, self.name))
        except ToolFailure as failure:
            return DatabaseStatus(name=self.name, dialect=self.dialect, read_only=True, reachable=False, problem=str(failure))

    async def relations(self) -> list[Relation]:
        return await self._about_schema(relations)

    async def describe(self, relation: str, sampling: Sampling) -> TableDescription:
        return await self._about_schema(
            lambda session: describe(session, self.name, relation, sampling, self._settings.masking(self.name))
        )

    async def query(self, sql: str, *, limit: int, skip: int) -> Rows:
        bounds = Bounds(limit, skip, self._settings.max_bytes, self._settings.max_cell)
        return await self._judged(
            sql, lambda reading, session, masked: page(session.stream(reading.sql), bounds, session.zone, masked)
        )

    async def explain(self, sql: str, *, analyze: bool) -> Explanation:
        def work(reading: Reading, session: Session, _: Masked) -> Explanation:
            if reading.sort == "show":
                raise InvalidInput("Only a query has a plan.")
            return explain(reading, session, analyze=analyze)

        return await self._judged(sql, work)

    async def health(self, focus: Focus, limits: Thresholds = THRESHOLDS) -> DatabaseHealth:
        return await examine(self.name, MysqlHealth(self._ask).checks(), focus, limits)

    async def top_queries(self, order: Order, limit: int) -> TopQueries:
        return await top_queries(self.name, self._ask, order, limit)

    async def write(self, sql: str, *, definitions: bool, approved: tuple[int, int] | None) -> Effect:  # noqa: ARG002 - none are tried
        writing = read_write(sql, self._database)
        try:
            return await self._writes.write(writing, approved=approved)
        except NameUnknown as failure:
            raise with_names(failure, writing.reading, await self._existing()) from failure

    async def role_sql(self) -> str:
        return reader_sql(self._database, self._settings.query_seconds, self._settings.concurrency)

    async def _judged(self, sql: str, work: Callable[[Reading, Session, Masked], T]) -> T:
        """What *work* makes of the statement *sql*, and of what is masked in its rows, once nothing spoke against it."""
        reading = read(sql, self._database)

        def judge(session: Session) -> T:
            check_calls(reading, session, self._database)
            if reading.inner_sql:
                # in parentheses behind EXISTS only a query can stand, says the engine's own grammar
                session.wire.parse(f"SELECT 1 FROM DUAL WHERE EXISTS (\n{reading.inner_sql}\n)")  # noqa: S608 - it was judged
            masked = judged(reading, session, self._settings.masking(self.name))
            return work(reading, session, masked)

        seconds = self._settings.query_seconds
        try:
            with translated(self.name, seconds, reading):
                return await self._sessions.run(judge, seconds)
        except NameUnknown as failure:
            raise with_names(failure, reading, await self._existing()) from failure

    async def _existing(self) -> list[tuple[str, str]]:
        """Every table with its columns; none where that fails, too: a suggestion is not worth a second failure."""
        try:
            return await self._about_schema(columns_of_all)
        except ToolFailure:
            return []

    async def _ask(self, sql: str, /) -> list[dict[str, object]]:
        """The rows of a statement of ours about the engine, by the names of their columns in lower case."""

        def work(session: Session) -> list[dict[str, object]]:
            stream = session.stream(TAG + sql)
            names = [field.name.lower() for field in stream.fields]
            return [dict(zip(names, row, strict=True)) for row in stream.all()]

        return await self._about_schema(work)

    async def _about_schema(self, work: Callable[[Session], T]) -> T:
        seconds = min(_SCHEMA_SECONDS, self._settings.query_seconds)
        with translated(self.name, seconds):
            return await self._sessions.run(work, seconds)

"""The engines behind the tools: one narrow Protocol, one module per engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast, runtime_checkable

from opsroom_shared.errors import Conflict

from ..cells import Cell
from ..health import Focus
from ..health.thresholds import THRESHOLDS, Thresholds
from ..models import (
    Column,
    DatabaseHealth,
    DatabaseStatus,
    Explanation,
    RelationKind,
    RowsAre,
    TableDescription,
    TopQueries,
    WriteKind,
    WritePreview,
)
from ..settings import DatabasesSettings
from ..sources import AlchemySource, LocalFile, NetworkSource, Source
from ..workload import Order


@dataclass(frozen=True)
class Relation:
    """A table, view or function with what a search looks at."""

    name: str
    kind: RelationKind
    columns: tuple[Column, ...] = ()
    indexes: tuple[str, ...] = ()
    """Each as `name (columns)`."""
    rows: int | None = None
    rows_are: RowsAre | None = None
    size_bytes: int | None = None
    comment: str | None = None
    """What its owner says of it; of a function, its arguments and result as well."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a query's result, in order."""

    columns: list[Column]
    rows: list[list[Cell]]
    more: bool
    state: str
    """Differs after the database has changed; empty where the engine cannot tell."""
    masked: tuple[str, ...] = ()
    """Columns whose values are masked, each with what is behind it."""


@dataclass(frozen=True)
class Sampling:
    """How much of a table's rows a description shows."""

    rows: int = 0
    cell: int = 200


class Database(Protocol):
    """One database. Every method is bounded in time, memory and what it returns, and raises a ToolFailure."""

    @property
    def name(self) -> str: ...

    @property
    def dialect(self) -> str: ...

    async def status(self) -> DatabaseStatus:
        """Whether it answers. A database that does not is an answer too, never a failure."""
        ...

    async def relations(self) -> list[Relation]:
        """Every table and view, with sizes, and the functions that users made."""
        ...

    async def describe(self, relation: str, sampling: Sampling) -> TableDescription: ...

    async def query(self, sql: str, *, limit: int, skip: int) -> Rows:
        """Up to *limit* rows of the read-only statement *sql*, after the first *skip*."""
        ...

    async def explain(self, sql: str, *, analyze: bool) -> Explanation: ...

    async def health(self, focus: Focus, limits: Thresholds = THRESHOLDS) -> DatabaseHealth:
        """What is wrong with the database or its engine now, or soon will be, judged by *limits*."""
        ...

    async def top_queries(self, order: Order, limit: int) -> TopQueries:
        """The *limit* most costly queries that the engine has counted. Raises NotPermitted or NotFound where it does not."""
        ...

    async def role_sql(self) -> str:
        """What the owner of the database runs to make an account that may only read it."""
        ...

    async def aclose(self) -> None:
        """Stops what still runs, and lets go of everything."""
        ...


@dataclass(frozen=True)
class Effect:
    """What a statement changes, with a few of the rows; the same for one that was tried and for one that was applied."""

    kind: WriteKind
    rows: int
    also: int
    """Rows that triggers and foreign keys change besides."""
    every_row: bool
    """Whether no condition says which rows it changes."""
    preview: WritePreview

    @property
    def counts(self) -> tuple[int, int]:
        return self.rows, self.also


class Uncertain(Conflict):
    """Nobody knows whether a change was applied: all of it was, or nothing."""


@runtime_checkable
class WritableDatabase(Protocol):
    """A database that can be changed. The caller has made sure that it may be."""

    @property
    def name(self) -> str: ...

    async def write(self, sql: str, *, definitions: bool, approved: tuple[int, int] | None) -> Effect:
        """Runs the statement *sql* in a transaction, and takes it back unless its counts are those *approved*.

        With None it is only tried. Raises Conflict, with nothing applied, where the counts are others by now. *definitions*
        says whether the schema may be changed.
        """
        ...


def open_database(name: str, source: Source, settings: DatabasesSettings) -> Database:
    """The provider for *source*. Nothing is connected or started before the first call of a method."""
    return _OPENERS.get(source.dialect, _generic)(name, source, settings)


# A dialect's driver and rules are imported by the first database that needs them. Which kind of source belongs to a dialect
# is decided by parse_url.
def _sqlite(name: str, source: Source, settings: DatabasesSettings) -> Database:
    from .sqlite import SqliteDatabase

    return SqliteDatabase(name, cast("LocalFile", source), settings)


def _postgres(name: str, source: Source, settings: DatabasesSettings) -> Database:
    from .postgres import PostgresDatabase

    return PostgresDatabase(name, cast("NetworkSource", source), settings)


def _mysql(name: str, source: Source, settings: DatabasesSettings) -> Database:
    from .mysql import MysqlDatabase

    return MysqlDatabase(name, cast("NetworkSource", source), settings)


def _generic(name: str, source: Source, settings: DatabasesSettings) -> Database:
    from .generic import GenericDatabase

    return GenericDatabase(name, cast("AlchemySource", source), settings)


_Opener: TypeAlias = Callable[[str, Source, DatabasesSettings], Database]
_OPENERS: Mapping[str, _Opener] = {"sqlite": _sqlite, "postgres": _postgres, "mysql": _mysql}

"""One database that is reached through SQLAlchemy: each call has a connection of its own; runs in the child process."""

import re
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict, cast

import sqlalchemy
from opsroom_shared.errors import InvalidInput, NotFound, TooLarge, Unavailable
from sqlalchemy import Connection, CursorResult
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from .. import cells
from ..cells import Cell
from ..dialects.generic import engine_of
from ..dialects.generic_statement import Name, Reading, check_relations, read
from ..duckdb_plan import plan_steps
from ..models import (
    Column,
    ColumnDescription,
    DatabaseStatus,
    Explanation,
    IndexDescription,
    TableDescription,
)
from ..names import did_you_mean
from ..secret_columns import Masked
from ..secret_names import Policy
from ..sql_position import marked_name
from . import Relation, Rows, Sampling
from .duckdb_catalog import DuckdbCatalog
from .generic_catalog import Catalog, Field, InspectedCatalog, Listed
from .generic_errors import cleaned, hidden_parts
from .generic_rows import Bounds, page, type_name
from .generic_secrets import secret_columns

_BATCH = 50
_SAMPLE_BYTES = 16_000
_QUOTED = re.compile(r"[\"'`\[](?P<name>[^\"'`\]\n]{1,120})[\"'`\]]")


class Access(TypedDict):
    """What a child process needs to know of a database."""

    url: str
    dialect: str
    name: str
    masks: bool
    also: list[str]
    excepted: list[str]
    memory_mib: int


class Session:
    """The database, with nothing kept between two calls but how it is reached."""

    def __init__(self, access: Access) -> None:
        self._name = access["name"]
        self._policy = Policy(access["masks"], tuple(access["also"]), tuple(access["excepted"]))
        self._engine = engine_of(access["dialect"])
        url = make_url(access["url"])
        arguments = dict(self._engine.connect)
        if self._engine.is_file:
            config = arguments.get("config")
            memory = {"memory_limit": f"{access['memory_mib'] * 3 // 4}MiB"}
            arguments["config"] = {**config, **memory} if isinstance(config, dict) else memory
        self._hidden = hidden_parts(access["url"])
        self._alchemy = sqlalchemy.create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)

    def status(self) -> DatabaseStatus:
        with self._reading() as (connection, catalog):
            relations = {each.shown for each in catalog.listed().values() if each.kind == "table"}
            return DatabaseStatus(
                name=self._name,
                dialect=self._engine.name,
                version=self._version(connection),
                read_only=True,
                reachable=True,
                tables=len(relations),
                weaker=self._engine.weaker,
            )

    def relations(self) -> list[Relation]:
        with self._reading() as (_, catalog):
            listed = list(dict.fromkeys(catalog.listed().values()))
            fields, indexes, estimates = catalog.fields(listed), catalog.indexes(), catalog.estimates()
            return [
                Relation(
                    name=shown(each.shown),
                    kind=each.kind,
                    columns=tuple(Column(name=shown(field.name), type=shown(field.type)) for field in fields.get(each.key, ())),
                    indexes=tuple(
                        f"{shown(index.name)} ({shown(', '.join(index.columns))})" for index in indexes.get(each.key, ())
                    ),
                    rows=estimates.get(each.key),
                    rows_are="estimated" if each.key in estimates else None,
                )
                for each in listed
            ]

    def describe(self, relation: str, sampling: Sampling) -> TableDescription:
        with self._reading() as (connection, catalog):
            listed = catalog.listed()
            found = self._resolve(relation, listed)
            fields = catalog.fields([found]).get(found.key, [])
            keys = catalog.keys(found)
            secret = secret_columns([found.key], listed, catalog, self._engine, self._policy).of(found.shown)
            rows = catalog.estimates().get(found.key)
            sample = self._sample(connection, found, fields, secret, sampling) if sampling.rows and fields else None
            definition = catalog.definition(found) if found.kind != "table" else None
            return TableDescription(
                name=shown(found.shown),
                kind=found.kind,
                rows=rows,
                rows_are=None if rows is None else "estimated",
                comment=_maybe(keys.comment),
                columns=[
                    ColumnDescription(
                        name=shown(field.name),
                        type=shown(field.type),
                        nullable=field.nullable,
                        default=_maybe(field.default),
                        primary_key=keys.primary.index(field.name) + 1 if field.name in keys.primary else None,
                        generated=field.computed,
                        masked=field.name in secret,
                        comment=_maybe(field.comment),
                    )
                    for field in fields
                ],
                indexes=[
                    each.model_copy(update={"name": shown(each.name), "columns": [*map(shown, each.columns)]})
                    for each in keys.indexes
                ],
                foreign_keys=[*keys.foreign],
                referenced_by=catalog.references(found),
                definition=_maybe(definition),
                sample=sample,
            )

    def query(self, sql: str, bounds: Bounds) -> Rows:
        with self._reading() as (connection, catalog):
            reading, masked = self._judged(sql, catalog)
            with self._explained(reading, connection, catalog):
                names, types, rows, more = self._rows(connection, reading.sql, bounds, masked)
            return Rows(
                columns=[Column(name=shown(name), type=shown(kind)) for name, kind in zip(names, types, strict=True)],
                rows=rows,
                more=more,
                state="",
                masked=tuple(map(shown, masked.words(names))),
            )

    def explain(self, sql: str, *, analyze: bool) -> Explanation:
        with self._reading() as (connection, catalog):
            reading, _ = self._judged(sql, catalog)
            if not self._engine.explains:
                raise InvalidInput(
                    f"Plans of {self._engine.name} cannot be shown here. describe_table shows the indexes, and run_query how "
                    "long a narrower query takes."
                )
            with self._explained(reading, connection, catalog):
                answer = self._all(connection, f"EXPLAIN (FORMAT JSON) {reading.sql}")
                explanation = Explanation(
                    steps=plan_steps(str(answer[0][1])), notes=["No index advice is given for this engine."]
                )
                if analyze:
                    begun = time.perf_counter()
                    result = self._run(connection, reading.sql)
                    explanation.rows = 0
                    while batch := result.fetchmany(_BATCH):
                        explanation.rows += len(batch)
                    explanation.elapsed_ms = round((time.perf_counter() - begun) * 1000, 3)
            return explanation

    def indexes(self) -> dict[str, list[IndexDescription]]:
        """The indexes of every relation by its name."""
        with self._reading() as (_, catalog):
            listed = catalog.listed()
            return {shown(listed[key].shown): found for key, found in catalog.indexes().items() if key in listed}

    @contextmanager
    def _reading(self) -> Generator[tuple[Connection, Catalog]]:
        """A new connection in a transaction that is taken back. Raises a ToolFailure for what the engine says."""
        try:
            connection = self._alchemy.connect()
        except (SQLAlchemyError, OSError) as error:
            raise Unavailable(f"{self._name} cannot be reached: {self.cleaned(error)}") from None
        with connection:
            try:
                for statement in (*self._engine.session, *self._engine.begin):
                    self._run(connection, statement)
                yield connection, DuckdbCatalog(connection) if self._engine.name == "duckdb" else InspectedCatalog(connection)
            except (SQLAlchemyError, NotImplementedError) as error:
                raise Unavailable(f"{self._name} does not tell about its schema: {self.cleaned(error)}") from None
            finally:
                connection.rollback()

    def _judged(self, sql: str, catalog: Catalog) -> tuple[Reading, Masked]:
        reading = read(sql, self._engine)
        listed = catalog.listed()
        check_relations(reading, listed)
        columns = secret_columns(reading.relations, listed, catalog, self._engine, self._policy)
        return reading, columns.judge(reading.sql, reading.tree)

    def _rows(
        self, connection: Connection, sql: str, bounds: Bounds, masked: Masked
    ) -> tuple[list[str], list[str], list[list[Cell]], bool]:
        if self._engine.native:
            described = self._all(connection, f"DESCRIBE {sql}")
            names, types = [str(row[0]) for row in described], [str(row[1]).strip('"') for row in described]
            result = self._run(connection, self._as_text(sql, types))
        else:
            result = self._run(connection, sql)
            names = list(result.keys())
            types = [type_name(column[1]) for column in result.cursor.description] if result.cursor else []
        masked.check(names)
        rows, more = page(_streamed(result), bounds, masked.positions, len(names))
        result.close()
        return names, types, rows, more

    def _as_text(self, sql: str, types: Sequence[str]) -> str:
        """*sql* with every value that the driver would not give exactly written as text by the engine."""
        exact = [kind.partition("(")[0] in self._engine.native and not kind.endswith("]") for kind in types]
        if all(exact):
            return sql
        columns = ", ".join(f"c{at}" if fits else f"CAST(c{at} AS VARCHAR)" for at, fits in enumerate(exact))
        return f"SELECT {columns} FROM (\n{sql}\n) AS opsroom_rows ({', '.join(f'c{at}' for at in range(len(types)))})"  # noqa: S608 - it was judged

    def _run(self, connection: Connection, sql: str) -> CursorResult[Any]:
        return connection.exec_driver_sql(sql, execution_options={"no_parameters": True, "stream_results": True})

    def _all(self, connection: Connection, sql: str) -> list[tuple[object, ...]]:
        return [tuple(row) for row in self._run(connection, sql)]

    def _sample(
        self, connection: Connection, found: Listed, fields: Iterable[Field], secret: Iterable[str], sampling: Sampling
    ) -> list[list[Cell]]:
        names = [field.name for field in fields]
        columns = [sqlalchemy.column(name, sqlalchemy.String) for name in names]
        chosen = sqlalchemy.select(sqlalchemy.table(found.name, *columns, schema=found.schema)).limit(sampling.rows)
        sql = str(chosen.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        hidden = {at: (name,) for at, name in enumerate(names) if name in set(secret)}
        try:
            return self._rows(connection, sql, Bounds(sampling.rows, 0, _SAMPLE_BYTES, sampling.cell), Masked(hidden))[2]
        except DBAPIError as error:
            raise InvalidInput(self.cleaned(error)) from None

    def _resolve(self, relation: str, listed: dict[Name, Listed]) -> Listed:
        schema, _, name = relation.strip().casefold().rpartition(".")
        for key in ((schema.strip('"`[]'), name.strip('"`[]')), ("", relation.strip().casefold())):
            if key in listed:
                return listed[key]
        hint = did_you_mean(relation, (shown(each.shown) for each in listed.values()))
        raise NotFound(f"{self._name} has no table or view of that name.{hint} search_schema with * lists them all.")

    @contextmanager
    def _explained(self, reading: Reading, connection: Connection, catalog: Catalog) -> Generator[None]:
        """Turns what the engine says of the caller's statement into words for the caller."""
        try:
            yield
        except DBAPIError as error:
            message = self.cleaned(error)
            if "OutOfMemory" in type(error.orig).__name__ or "out of memory" in message.lower():
                raise TooLarge("The query needs more memory than it may take. Read or sort less at once.") from None
            connection.rollback()  # what failed answers nothing more
            hint, place = "", ""
            for match in _QUOTED.finditer(message):
                if place := marked_name(reading.sql, match["name"].rpartition(".")[2]):
                    hint = did_you_mean(match["name"].rpartition(".")[2], self._columns(reading, catalog))
                    break
            raise InvalidInput(f"{message}{hint}{place}") from None

    def _columns(self, reading: Reading, catalog: Catalog) -> list[str]:
        try:
            listed = catalog.listed()
            fields = catalog.fields([listed[key] for key in reading.relations])
        except SQLAlchemyError:
            return []  # a suggestion is not worth a second failure
        return [f"{key[1]}.{field.name}" for key, each in fields.items() for field in each] + [
            field.name for each in fields.values() for field in each
        ]

    def cleaned(self, error: BaseException) -> str:
        return cleaned(error, self._hidden)

    def _version(self, connection: Connection) -> str | None:
        if self._engine.name == "duckdb":
            return shown(str(self._all(connection, "SELECT version()")[0][0]))
        version: object = getattr(connection.dialect, "server_version_info", None)
        return shown(".".join(map(str, cast("tuple[object, ...]", version)))) if isinstance(version, tuple) else None


def shown(value: str) -> str:
    """A name, type or definition from the schema, which is outside text like any row."""
    return cells.text(value, 2_000)


def _maybe(value: str | None) -> str | None:
    return None if value is None else shown(value)


def _streamed(result: CursorResult[Any]) -> Generator[Sequence[object]]:
    while batch := result.fetchmany(_BATCH):
        yield from batch

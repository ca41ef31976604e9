"""Changes a PostgreSQL database: each statement is judged, then tried or applied on a connection that only it has."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
from opsroom_shared.errors import Conflict, NotPermitted, TimedOut, ToolFailure, Unavailable

from .. import cells
from ..cells import Cell
from ..dialects.postgres_write import Writing, read_write
from ..models import Column, WritePreview
from ..secret_columns import MASK, Masked
from ..settings import DatabasesSettings
from ..sources import NetworkSource
from ..write_safety import says_which_rows
from . import Effect, Uncertain
from .places import Places
from .postgres_driver import Attribute, Connection, Row, type_names
from .postgres_errors import translated, unreachable
from .postgres_rows import Bounds, cell_limit, cut, value
from .postgres_secrets import secret_columns
from .postgres_session import CONNECT_SECONDS, Session, connect, end, quoted
from .postgres_write_judgement import Relation, check_write

_SAMPLE, _CELL, _BYTES = 5, 200, 16_000
_GRACE_SECONDS = 1.0
_COMMIT_SECONDS = 30.0
"""How long a commit may take that has begun."""
_CHANGED = """
    SELECT current_setting('track_counts') = 'on', coalesce(sum(pg_stat_get_xact_tuples_inserted(c.oid)
      + pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid)), 0)::int8
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""


@dataclass(frozen=True)
class _Judged:
    """A statement that may run, and what is masked of its rows."""

    writing: Writing
    target: Relation | None
    masked: Masked
    """Of its own RETURNING."""
    secret: Mapping[str, tuple[str, ...]]
    """The secret columns of the target."""

    @property
    def words(self) -> list[str]:
        """Each masked column of the target, and what it is made of, as the statement calls them."""
        schema = f"{self.target.schema}." if self.target and not self.writing.targets[0].schema else ""
        return [f"{name} ({', '.join(each.removeprefix(schema) for each in made_of)})" for name, made_of in self.secret.items()]

    @property
    def every_row(self) -> bool:
        write, target = self.writing.write, self.target
        if write.kind in ("insert", "definition") or target is None:
            return False
        return not says_which_rows(write, {self.writing.targets[0].called}, target.columns)


class PostgresWrites:
    """Changes of one database, each on a connection of its own, which ends with it."""

    def __init__(self, name: str, source: NetworkSource, settings: DatabasesSettings) -> None:
        self._name, self._source, self._settings = name, source, settings
        self._places = Places(name, 1, long=0)
        self._open: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        await asyncio.gather(*self._open)

    async def write(self, sql: str, *, definitions: bool, approved: tuple[int, int] | None) -> Effect:
        """As WritableDatabase says."""
        writing = read_write(sql, definitions=definitions)
        seconds = self._settings.query_seconds
        place = await self._places.take(seconds)
        try:
            async with self._session(seconds) as session:
                with _explained(self._name, seconds, writing):
                    async with asyncio.timeout(seconds + _GRACE_SECONDS):
                        effect = await self._tried(writing, session)
                        if approved is not None and approved != effect.counts:
                            raise Conflict(_other_counts(effect))
                if approved is not None:
                    await _commit(session.connection, self._name)
        finally:
            place.leave()
        return effect

    @asynccontextmanager
    async def _session(self, seconds: float) -> AsyncGenerator[Session]:
        """A connection that is closed, and what was not committed on it taken back, whatever happens."""
        with _explained(self._name, seconds):
            try:
                session = await connect(self._source, min(CONNECT_SECONDS, seconds))
            except TimeoutError as error:
                raise Unavailable(unreachable(self._name, error)) from None
        try:
            yield session
        finally:
            task = asyncio.ensure_future(end(session))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
            await asyncio.shield(task)

    async def _tried(self, writing: Writing, session: Session) -> Effect:
        """Runs the statement in the transaction that stays open, and looks at what it did."""
        if session.standby:
            raise NotPermitted(f"{self._name} is a standby, which takes no changes.")
        await session.connection.execute(session.begin(self._settings.query_seconds, writes=True))
        judged = await self._judged(writing, session)
        write = writing.write
        ((counts, before),) = await session.fetch(_CHANGED)
        if not counts:
            raise NotPermitted(
                "The engine does not count rows (track_counts = off), so what triggers and foreign keys change is not known."
            )
        await session.look_around()
        rows, preview = 0, WritePreview()
        if write.kind == "definition":
            await (await session.prepare(write.sql)).fetch()
        else:
            rows, preview = await _run(judged, session)
        await session.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        ((_, after),) = await session.fetch(_CHANGED)
        also = 0 if write.kind == "definition" else max(0, int(str(after)) - int(str(before)) - rows)
        return Effect(write.kind, rows, also, judged.every_row, preview)

    async def _judged(self, writing: Writing, session: Session) -> _Judged:
        target = await check_write(writing, session)
        secrets = await secret_columns(writing.reading.names, session, self._settings.masking(self._name))
        masked = secrets.judge_write(writing.write)
        return _Judged(writing, target, masked, secrets.of(f"{target.schema}.{target.name}" if target else ""))


async def _run(judged: _Judged, session: Session) -> tuple[int, WritePreview]:
    """How many rows the statement changes, and some of them.

    It stands in a common table expression, where the engine's grammar admits only a statement that changes rows, and beside it
    a table still has the rows that it had before.
    """
    write, target = judged.writing.write, judged.target
    returned = await session.prepare(write.sql)
    if target is None:
        raise NotPermitted("What the statement changes was not found in the catalog.")  # the engine has found something
    own = judged.masked
    if write.returns:
        own.check(column.name for column in returned.get_attributes())
        changing, width = write.sql, len(returned.get_attributes())
    else:
        if not target.columns:
            raise NotPermitted(f"The account may not read {target.name}, so what it would change there cannot be shown.")
        called = quoted(judged.writing.targets[0].called)
        changing = f"{write.sql}\nRETURNING {', '.join(f'{called}.{quoted(name)}' for name in target.columns)}"
        width = len(target.columns)
    pairs = write.kind == "update" and not write.returns and bool(target.key) and set(target.key) <= set(target.columns)
    query = _with_count(target, pairs=pairs)
    columns = (await session.prepare(f"WITH changed {_names(width)} AS (\n{changing}\n) {query}")).get_attributes()
    secret = [*own.positions] if write.returns else [at for at, name in enumerate(target.columns) if name in judged.secret]
    shift = 2 + width if pairs else 1
    masked = {*(at + shift for at in secret), *(at + 2 for at in secret if pairs)}
    bounds = Bounds(_SAMPLE, 0, _BYTES, _CELL)
    shown = cut(query, columns, bounds, masked).sql
    sample = await (await session.prepare(f"WITH changed {_names(width)} AS (\n{changing}\n) {shown}")).fetch()
    limit = cell_limit(bounds, len(columns))
    before = [_cells(row, columns, range(2, 2 + width), masked, limit) for row in sample if pairs and row[1] is True]
    after = [_cells(row, columns, range(shift, shift + width), masked, limit) for row in sample]
    named = [column.name for column in returned.get_attributes()] if write.returns else target.columns
    types = await type_names(session.connection, columns[shift:])
    words = own.words(named) if write.returns else judged.words
    preview = WritePreview(
        columns=[Column(name=cells.text(name, _CELL), type=cells.text(of, _CELL)) for name, of in zip(named, types, strict=True)],
        before=after if write.kind == "delete" else before,
        after=[] if write.kind == "delete" else after,
        masked=[cells.text(each, _CELL) for each in words],
    )
    return (int(str(sample[0][0])) if sample else 0), preview


def _names(width: int) -> str:
    return f"({', '.join(f'c{number}' for number in range(width))})"


def _with_count(target: Relation, *, pairs: bool) -> str:
    """A query of the number of changed rows and some of them; where they are *pairs*, behind whether each was there, and how."""
    some = f"(SELECT * FROM changed LIMIT {_SAMPLE}) AS changed"  # noqa: S608 - a constant
    count = "(SELECT pg_catalog.count(*) FROM changed)"
    if not pairs:
        return f"SELECT {count}, changed.* FROM {some}"  # noqa: S608 - as above
    old = ", ".join(f"old.{quoted(name)}" for name in target.columns)
    same = " AND ".join(f"old.{quoted(name)} = changed.c{target.columns.index(name)}" for name in target.key)
    both = f"{some} LEFT JOIN {target.sql} AS old ON {same}"
    return f"SELECT {count}, old.tableoid IS NOT NULL, {old}, changed.* FROM {both}"  # noqa: S608 - quoted


def _cells(row: Row, columns: Sequence[Attribute], at: range, masked: set[int], limit: int) -> list[Cell]:
    return [(None if row[each] is None else MASK) if each in masked else value(row[each], columns[each], limit) for each in at]


async def _commit(connection: Connection, name: str) -> None:
    """Ends the transaction. Raises Uncertain where nobody knows how it ended, and otherwise only where nothing was applied."""
    with _explained(name, _COMMIT_SECONDS):
        await connection.execute("SET LOCAL statement_timeout = 0")  # a commit that has begun is worth its time
        committing = asyncio.ensure_future(connection.execute("COMMIT"))
        try:
            await asyncio.wait({committing}, timeout=_COMMIT_SECONDS)
        except asyncio.CancelledError:
            await asyncio.wait({committing}, timeout=_COMMIT_SECONDS)
            if committing.done():
                committing.exception()  # the caller is gone, so nobody is told of it
            raise
        if not committing.done():
            committing.cancel()
            raise Uncertain(_UNCERTAIN)
        error = committing.exception()
        if (
            isinstance(error, asyncpg.PostgresError)
            and getattr(error, "severity", None) == "ERROR"
            and not connection.is_closed()
        ):
            raise error
        if error is not None:
            raise Uncertain(_UNCERTAIN) from error
        if committing.result() != "COMMIT":
            raise Conflict("The engine took it back. Nothing was changed.")


_UNCERTAIN = (
    "The connection was lost while the change was committed: all of it was applied, or nothing. Look at the data before anything "
    "else is tried."
)


@contextmanager
def _explained(name: str, seconds: float, writing: Writing | None = None) -> Generator[None]:
    """Raises a ToolFailure for what goes wrong inside, where nothing of the change stays."""
    try:
        with translated(name, seconds, writing.reading if writing else None):
            try:
                yield
            except asyncpg.PostgresError as error:
                if conflict := _conflict(error):
                    raise conflict from error
                raise
    except TimedOut:
        raise TimedOut(f"It was stopped after {seconds:g} s. Nothing was changed; change fewer rows at a time.") from None
    except ToolFailure as failure:
        if isinstance(failure.__cause__, Exception) and not isinstance(failure, Conflict):
            raise type(failure)(f"{failure}{chr(10) if chr(10) in str(failure) else ' '}Nothing was changed.") from failure
        raise


def _conflict(error: asyncpg.PostgresError) -> Conflict | None:
    """What is about the rows that are there, and not about the statement. Its detail has values in it, and stays away."""
    state = str(getattr(error, "sqlstate", None) or "")
    if state.startswith("23") or state == "P0001":
        return Conflict(f"The engine does not take it: {cells.text(str(error.args[0]), 1_000).rstrip('.')}. Nothing was changed.")
    if state in ("40001", "40P01"):
        return Conflict("Somebody else was changing the same rows. Nothing was changed; call again to see how it would be now.")
    return None


def _other_counts(effect: Effect) -> str:
    also = f" and {effect.also:,} more by triggers and foreign keys" if effect.also else ""
    return (
        f"By now it would change {effect.rows:,} rows{also}, not what was approved. Nothing was changed; call again to see the "
        "change as it would be now."
    )

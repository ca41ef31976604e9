"""Sessions on a PostgreSQL engine: few, each used for one read-only transaction at a time, then reset or thrown away."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlencode

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
from opsroom_shared.errors import ToolFailure, Unavailable

from ..dialects.postgres import GRAMMAR_WORDS
from ..engine_rows import TAG
from ..secret_columns import NOTHING_MASKED, Masked
from ..settings import DatabasesSettings
from ..sources import NetworkSource
from .places import Place, Places
from .postgres_driver import Connection, NamingConnection, Prepared, Row

APPLICATION = "opsroom-databases"
CONNECT_SECONDS = 5.0
_LOCK_SECONDS = 2.0
_GRACE_SECONDS = 1.0
"""How much later than the engine this side ends a query: the engine's own way out leaves the session usable."""
_END_SECONDS = 3.0
_IDLE_SECONDS = 60.0
_TEMPORARY_KIB = 1 << 20
_MOST_RECALLED, _MOST_CHARACTERS = 100, 50_000
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")

# What DISCARD ALL does, in the form that fits behind a ROLLBACK in one message. Prepared statements stay: here nobody but
# this server can make one, and those that it keeps are what makes a call cheap.
_RESET = (
    "ROLLBACK; CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; "
    "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP"
)
_ABOUT = """
    SELECT pg_catalog.max(s.reset_val) FILTER (WHERE s.name OPERATOR(pg_catalog.=) 'search_path'), current_user::pg_catalog.text,
      pg_catalog.bool_or(r.rolsuper), pg_catalog.pg_is_in_recovery(),
      pg_catalog.max(s.reset_val) FILTER (WHERE s.name OPERATOR(pg_catalog.=) 'statement_timeout'),
      pg_catalog.max(s.reset_val) FILTER (WHERE s.name OPERATOR(pg_catalog.=) 'temp_file_limit'),
      pg_catalog.pg_postmaster_start_time()::pg_catalog.text
    FROM pg_catalog.pg_settings s, pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user"""


class Recalled:
    """What was read from the catalog of one database, for as long as nothing in its engine has changed."""

    def __init__(self) -> None:
        self._moment = ""
        self._kept: dict[tuple[object, ...], object] = {}

    def find(self, moment: str | None, key: tuple[object, ...]) -> object | None:
        return self._kept.get(key) if moment == self._moment else None

    def keep(self, moment: str | None, key: tuple[object, ...], found: object, size: int) -> None:
        """*size* is how many characters it was made of; what is very large is read again."""
        if moment is None or size > _MOST_CHARACTERS:
            return
        if moment != self._moment:
            self._moment = moment
            self._kept.clear()
        self._kept[key] = found
        if len(self._kept) > _MOST_RECALLED:
            self._kept.pop(next(iter(self._kept)))


@dataclass
class Session:
    """A connection, and what is known of the account behind it."""

    connection: Connection
    version: int
    superuser: bool
    standby: bool
    schemas: tuple[str, ...]
    """Where a name without a schema is looked for."""
    engine: str
    """Since when the engine runs: tells it from another one behind the same address."""
    milliseconds: int = 0
    """How long a statement of the account may run as the engine is configured; 0 for ever."""
    temporary_kib: int = -1
    """How much it may write into temporary files; -1 without end."""
    tainted: bool = False
    """Code that nobody judged has run here: the session may hold what no reset reaches, so it is not used again."""
    now: str | None = None
    """Names what the transaction sees, where the engine can tell: others with the same name see the same, in the catalog too."""
    recalled: Recalled = field(default_factory=Recalled)
    masked: Masked = NOTHING_MASKED
    """What to mask of the rows of the statement that runs."""
    used: float = field(default_factory=time.monotonic)
    watched: bool = False
    """Somebody will look whether it is still used."""
    _kept: dict[str, Prepared] = field(default_factory=dict[str, Prepared])
    _around: bool = False

    async def recall(self, query: str, *args: list[str]) -> list[Row]:
        """As `fetch`, for what only the catalog decides: the same rows as in an earlier transaction that saw the same."""
        key = (query, *map(tuple, args))
        known = self.recalled.find(self.now, key)
        if known is not None:
            return cast("list[Row]", known)
        rows = await self.fetch(query, *args)
        self.recalled.keep(self.now, key, rows, characters(rows))
        return rows

    async def fetch(self, query: str, *args: object) -> list[Row]:
        """Rows of a statement of ours, which stays prepared. Its names mean the engine's, whoever looked around before."""
        if self._around:
            await self.connection.execute("SET LOCAL search_path = pg_catalog")
            self._around = False
        if query not in self._kept:
            self._kept[query] = await self.connection.prepare(TAG + query, name=f"opsroom_{len(self._kept)}")
        return await self._kept[query].fetch(*args)

    async def open(self, seconds: float, *, around: bool = False) -> None:
        """Begins a read-only transaction with its limits, and names what it sees, in one exchange with the engine.

        The transactions that have ended decide that, and a snapshot lists all that have not. A standby's does not.
        With *around*, names are at once looked for where the account looks for them.
        """
        function = "pg_current_snapshot" if self.version >= 13 else "txid_current_snapshot"
        message = f"{self._opening(seconds)}; COPY ({TAG}SELECT pg_catalog.{function}()) TO STDOUT"
        snapshot = await self.connection.copied(f"{message}; {self._path}" if around else message)
        self._around = around
        self.now = None if self.standby else f"{self.engine} {snapshot.decode().strip()}"

    def begin(self, seconds: float, *, writes: bool = False) -> str:
        """Opens the transaction, with its limits, and takes its snapshot: from then on a read-only one stays that."""
        return f"{self._opening(seconds, writes=writes)}; SELECT 1"

    def _opening(self, seconds: float, *, writes: bool = False) -> str:
        limits = {
            "statement_timeout": f"{min(filter(None, (round(seconds * 1000), self.milliseconds)))}ms",
            "lock_timeout": f"{round(min(seconds, _LOCK_SECONDS) * 1000)}ms",
            "idle_in_transaction_session_timeout": f"{round((seconds + _GRACE_SECONDS) * 1000)}ms",
            # our own statements; the caller's get theirs from `_path`
            "search_path": "pg_catalog",
            # how literals are read and values are written, whatever the role or the database has set
            "standard_conforming_strings": "on",
            "bytea_output": "hex",
            "datestyle": "ISO",
            "intervalstyle": "postgres",
            "extra_float_digits": "1",
            "jit": "off",
            # our statements are planned once a session; the caller's have no parameters, so it makes no difference to them
            "plan_cache_mode": "force_generic_plan",
        }
        if self.version >= 14:
            limits["client_connection_check_interval"] = "1s"
        if self.superuser and not 0 <= self.temporary_kib <= _TEMPORARY_KIB:
            limits["temp_file_limit"] = f"{_TEMPORARY_KIB}kB"
        settings = (f"SET LOCAL {name} = {value!r}" for name, value in limits.items())
        mode = "READ WRITE" if writes else "READ ONLY"
        return f"BEGIN ISOLATION LEVEL REPEATABLE READ {mode}; {'; '.join(settings)}"

    async def prepare(self, query: str) -> Prepared:
        """The caller's statement, read by the engine and not run. Without a name it is gone with the next one, at no cost."""
        return await self.connection.prepare(query, name="")

    async def look_around(self) -> None:
        """From here on, names are looked for where the account looks for them; the engine's own always come first."""
        if not self._around:
            await self.connection.execute(self._path)
            self._around = True

    @property
    def _path(self) -> str:
        path = ", ".join([*(quoted(schema) for schema in self.schemas if schema != "pg_catalog"), "pg_temp"])
        return f"SET LOCAL search_path = {path}"

    def ended(self) -> None:
        """Its transaction is over."""
        self.used, self.now, self._around = time.monotonic(), None, False


class Sessions:
    """At most as many sessions on one database as there are places. Nothing is connected before it is needed, nor long after."""

    def __init__(
        self, name: str, source: NetworkSource, settings: DatabasesSettings, idle_seconds: float = _IDLE_SECONDS
    ) -> None:
        self.name = name
        self._source, self._idle_seconds = source, idle_seconds
        self._places = Places(name, settings.concurrency)
        self._idle: list[Session] = []
        self._recalled = Recalled()
        self._ending: set[asyncio.Task[None]] = set()
        self._resetting: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def reading(self, seconds: float, *, around: bool = False) -> AsyncGenerator[Session]:
        """A session inside a read-only transaction of at most *seconds*, which is rolled back whatever happens.

        With *around*, names mean what they mean to the account, until a statement of ours is run by `fetch`.
        Raises Unavailable when all sessions are busy for too long, TimeoutError, and what asyncpg raises. A query that is
        still running when the block is left, by cancellation too, is cancelled in the engine.
        """
        place = await self._places.take(seconds)
        session: Session | None = None
        usable = False
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                session = await self._begun(seconds, around=around)
                try:
                    yield session
                    usable = True
                except (asyncpg.PostgresError, ToolFailure):  # the engine has answered, or was not asked
                    usable = True
                    raise
        finally:
            await self._after(session, place, usable=usable)

    async def aclose(self) -> None:
        """Cancels what still runs, and closes every session."""
        await asyncio.gather(*self._ending)  # a session that is being reset is idle afterwards
        idle, self._idle = self._idle, []
        await asyncio.gather(*(end(session) for session in idle))

    async def _begun(self, seconds: float, *, around: bool) -> Session:
        """A session with an open transaction. One that was idle may have lost its engine, which a new one finds again."""
        while self._idle or self._resetting:
            if not self._idle:  # cheaper than to connect
                await asyncio.wait(self._resetting, return_when=asyncio.FIRST_COMPLETED)
                continue
            session = self._idle.pop()
            if session.connection.is_closed():
                await end(session)
                continue
            try:
                await session.open(seconds, around=around)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await end(session)
                continue
            except BaseException:
                await end(session)
                raise
            return session
        try:
            session = await connect(self._source, min(CONNECT_SECONDS, seconds))
        except TimeoutError:
            raise Unavailable(f"{self.name} did not answer in time. Check the host and port in its URL.") from None
        session.recalled = self._recalled
        try:
            await session.open(seconds, around=around)
        except BaseException:
            await end(session)
            raise
        return session

    async def _after(self, session: Session | None, place: Place, *, usable: bool) -> None:
        """Resets or ends the session; the place for another query is free only then, even if the caller is gone.

        The caller does not wait for the reset of a session whose query has ended by itself.
        """
        task = asyncio.ensure_future(self._settle(session, place, usable=usable))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        if usable and session is not None and not session.tainted:
            self._resetting.add(task)
            task.add_done_callback(self._resetting.discard)
        else:
            await asyncio.shield(task)

    def _await_idleness(self, session: Session) -> None:
        """Looks after a while whether *session* was left alone, and ends it then."""
        if session.watched:
            return
        session.watched = True
        # without a context of its own, the timer would keep everything of the request in whose context it is set
        wait = session.used + self._idle_seconds - time.monotonic()
        asyncio.get_running_loop().call_later(wait, self._let_go, session, context=Context())

    def _let_go(self, session: Session) -> None:
        session.watched = False
        if session not in self._idle:
            return
        if time.monotonic() < session.used + self._idle_seconds:
            self._await_idleness(session)
            return
        self._idle.remove(session)
        task = asyncio.ensure_future(end(session))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _settle(self, session: Session | None, place: Place, *, usable: bool) -> None:
        try:
            if session is None:
                return
            if usable and not session.tainted and not session.connection.is_closed():
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                    async with asyncio.timeout(_END_SECONDS):
                        await session.connection.execute(_RESET)
                    session.ended()
                    self._idle.append(session)
                    self._await_idleness(session)
                    return
            await end(session)
        finally:
            place.leave()


async def connect(source: NetworkSource, seconds: float = CONNECT_SECONDS) -> Session:
    """A new session. Raises what asyncpg raises, and TimeoutError."""
    connection = cast(
        "Connection",
        await asyncpg.connect(  # pyright: ignore[reportUnknownMemberType] - no stubs
            # the driver reads these options, with the certificates that they name, from a URL only
            dsn=f"postgresql://?{urlencode(source.options)}" if source.options else None,
            host=source.host,
            port=source.port,
            user=source.user,
            password=source.password.get_secret_value() if source.password else None,
            database=source.database,
            timeout=seconds,  # pyright: ignore[reportArgumentType] - a float will do
            statement_cache_size=0,
            connection_class=NamingConnection,
            server_settings={"application_name": APPLICATION},
        ),
    )
    try:
        ((path, user, superuser, standby, milliseconds, temporary_kib, started),) = await connection.fetch(_ABOUT)
    except BaseException:
        connection.terminate()
        raise
    return Session(
        connection=connection,
        version=connection.get_server_version().major,
        superuser=bool(superuser),
        standby=bool(standby),
        schemas=_schemas(str(path), str(user)),
        engine=str(started),
        milliseconds=int(str(milliseconds)),
        temporary_kib=int(str(temporary_kib)),
    )


def _schemas(path: str, user: str) -> tuple[str, ...]:
    """The schemas of the setting search_path, the engine's own first."""
    names = [part.strip().strip('"') for part in path.split(",")]
    listed = [user if name == "$user" else name for name in names]
    return tuple(dict.fromkeys(["pg_catalog", *(name for name in listed if name not in ("", "pg_temp"))]))


def characters(rows: Iterable[Row]) -> int:
    """About how large *rows* are."""
    return sum(len(each) for row in rows for each in row if isinstance(each, str))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def plain(name: str) -> str:
    """*name* as people write it: in quotes only where it has to be."""
    return name if _PLAIN.fullmatch(name) and name not in GRAMMAR_WORDS else quoted(name)


async def end(session: Session) -> None:
    """Closes the session, with the query that it may be running: the driver asks the engine to cancel it first."""
    try:
        await session.connection.close(timeout=_END_SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        session.connection.terminate()

"""The bare drivers: as clients of the mix, and for what the benchmark itself asks of the engines."""

import asyncio
import sqlite3
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
import pymysql
from typing_extensions import override

from .clients import Answer, Client
from .mix import QUERY_SECONDS
from .statements import Statements

T = TypeVar("T")

_STEPS_BETWEEN_LOOKS = 10_000


class _Connection(Protocol):
    """What is used of asyncpg's."""

    async def fetch(self, query: str) -> list[Sequence[object]]: ...

    async def execute(self, query: str) -> str: ...

    async def copy_records_to_table(self, table: str, *, records: Sequence[Sequence[object]]) -> str: ...

    async def close(self) -> None: ...

    def terminate(self) -> None: ...


async def _connected(url: str, **options: object) -> _Connection:
    return cast("_Connection", await asyncpg.connect(url, **options))  # pyright: ignore[reportUnknownMemberType, reportArgumentType] - no stubs


class PostgresClient(Client):
    def __init__(self, url: str, statements: Statements) -> None:
        self._url, self._statements = url, statements
        self._connection: _Connection | None = None

    @override
    async def call(self, sql: str) -> Answer:
        if self._connection is None:
            limit = {"statement_timeout": str(round(QUERY_SECONDS * 1000))}
            self._connection = await _connected(self._url, server_settings=limit)
        try:
            await self._connection.fetch(self._statements.cut(sql))
        except asyncpg.PostgresError as error:
            return Answer(error=True, text=str(error))
        return Answer(error=False)

    @override
    async def leave(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()  # the driver has the engine cancel what was given up


class _ThreadClient(Client):
    """A driver that waits for its engine in a thread."""

    @override
    async def call(self, sql: str) -> Answer:
        return await asyncio.to_thread(self._asked, sql)

    @abstractmethod
    def _asked(self, sql: str) -> Answer: ...


class MariadbClient(_ThreadClient):
    def __init__(self, port: int, user: str, statements: Statements) -> None:
        self._port, self._user, self._statements = port, user, statements
        self._connection: pymysql.Connection[Any] | None = None

    @override
    def _asked(self, sql: str) -> Answer:
        limit = f"SET SESSION max_statement_time = {QUERY_SECONDS}"
        try:
            if self._connection is None:
                self._connection = pymysql.connect(
                    host="127.0.0.1", port=self._port, user=self._user, database="hotel", init_command=limit
                )
            with self._connection.cursor() as cursor:
                cursor.execute(self._statements.cut(sql))
                cursor.fetchall()
        except pymysql.Error as error:
            return Answer(error=True, text=str(error))
        return Answer(error=False)

    @override
    async def leave(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await asyncio.to_thread(self._killed, connection)

    def _killed(self, connection: "pymysql.Connection[Any]") -> None:
        """The driver itself leaves in the engine what was given up."""
        number = cast("int", connection.thread_id())  # pyright: ignore[reportUnknownMemberType] - as the stubs have it
        with (
            pymysql.connect(host="127.0.0.1", port=self._port, user=self._user) as killer,
            killer.cursor() as cursor,
            suppress(pymysql.Error),  # it has ended already
        ):
            cursor.execute(f"KILL {number}")
        with suppress(pymysql.Error, OSError, AttributeError):  # the thread that waits may close it at the same time
            connection.close()


class SqliteClient(_ThreadClient):
    def __init__(self, path: Path, statements: Statements) -> None:
        self._statements, self._end = statements, 0.0
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        self._connection.set_progress_handler(lambda: time.monotonic() > self._end, _STEPS_BETWEEN_LOOKS)
        self._running = threading.Lock()

    @override
    def _asked(self, sql: str) -> Answer:
        with self._running:
            self._end = time.monotonic() + QUERY_SECONDS
            try:
                self._connection.execute(self._statements.cut(sql)).fetchall()
            except sqlite3.Error as error:
                return Answer(error=True, text=str(error))
            return Answer(error=False)

    @override
    async def leave(self) -> None:
        self._end = 0.0


class Asking(Protocol):
    """Runs statements of the benchmark itself, one at a time."""

    def __call__(self, sql: str) -> list[Sequence[object]]: ...

    def fill(self, table: str, rows: list[Sequence[object]]) -> None: ...

    def number(self, sql: str) -> int: ...


class _Postgres:
    """asyncpg in an event loop of its own, so that it can be asked from wherever."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._free = threading.Lock()
        self._connection = self._run(_connected(url))

    def __call__(self, sql: str) -> list[Sequence[object]]:
        with self._free:
            if ";" in sql:
                self._run(self._connection.execute(sql))
                return []
            return self._run(self._connection.fetch(sql))

    def fill(self, table: str, rows: list[Sequence[object]]) -> None:
        for start in range(0, len(rows), 5_000):
            self(f"INSERT INTO {table} VALUES {', '.join(_literal(row) for row in rows[start : start + 5_000])}")  # noqa: S608 - ours

    def number(self, sql: str) -> int:
        return int(str(self(sql)[0][0]))

    def close(self) -> None:
        self._connection.terminate()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class _Mariadb:
    def __init__(self, address: Path) -> None:
        self._connection = pymysql.connect(unix_socket=str(address), user="root", autocommit=True)
        self._free = threading.Lock()

    def __call__(self, sql: str) -> list[Sequence[object]]:
        with self._free, self._connection.cursor() as cursor:
            cursor.execute(sql)
            return [*cursor.fetchall()]

    def fill(self, table: str, rows: list[Sequence[object]]) -> None:
        for start in range(0, len(rows), 5_000):
            self(f"INSERT INTO {table} VALUES {', '.join(_literal(row) for row in rows[start : start + 5_000])}")  # noqa: S608 - ours

    def number(self, sql: str) -> int:
        return int(str(self(sql)[0][0]))

    def close(self) -> None:
        self._connection.close()


def _literal(row: Sequence[object]) -> str:
    return "(" + ", ".join(repr(value) for value in row) + ")"


@contextmanager
def _closing(made: Callable[[], T], close: Callable[[T], None]) -> Generator[T]:
    opened = made()
    try:
        yield opened
    finally:
        close(opened)


def on_postgres(url: str) -> AbstractContextManager[Asking]:
    return _closing(lambda: _Postgres(url), _Postgres.close)


def on_mariadb(address: Path) -> AbstractContextManager[Asking]:
    return _closing(lambda: _Mariadb(address), _Mariadb.close)

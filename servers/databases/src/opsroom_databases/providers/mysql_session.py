"""Sessions on MariaDB or MySQL: a fresh one for every call, in a thread, killed in the engine when the call ends early."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from opsroom_shared.errors import TimedOut

from ..settings import DatabasesSettings
from ..sources import NetworkSource
from .mysql_wire import CONNECT_SECONDS, DriverError, Raw, Stream, Wire
from .places import Place, Places

T = TypeVar("T")

_LOCK_SECONDS = 2
_GRACE_SECONDS = 1.0
"""How much later than the engine this side ends a query."""
_KILL_SECONDS = 1.5
_LINGER_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.005
_TEMPORARY_BYTES = 1 << 30
_RUNNING = "SELECT 1 FROM information_schema.processlist WHERE id = {}"

# Names are read, and literals end, as the guard reads them. A space before the parenthesis of a call changes nothing.
_MODE = "CONCAT('IGNORE_SPACE', IF(FIND_IN_SET('ONLY_FULL_GROUP_BY', @@sql_mode), ',ONLY_FULL_GROUP_BY', ''))"
# A change also keeps what the engine's mode says of values.
_STRICTNESS = """
    ALLOW_INVALID_DATES ERROR_FOR_DIVISION_BY_ZERO NO_AUTO_VALUE_ON_ZERO NO_UNSIGNED_SUBTRACTION NO_ZERO_DATE NO_ZERO_IN_DATE
    ONLY_FULL_GROUP_BY SIMULTANEOUS_ASSIGNMENT STRICT_ALL_TABLES STRICT_TRANS_TABLES TIME_ROUND_FRACTIONAL
"""
_KEPT = ", ".join(f"IF(FIND_IN_SET('{mode}', @@sql_mode), '{mode}', NULL)" for mode in _STRICTNESS.split())
_WRITING_MODE = f"CONCAT_WS(',', 'IGNORE_SPACE', {_KEPT})"


@dataclass(frozen=True)
class Session:
    """A connection inside a transaction. It serves one call and ends with it, so nothing outlives that but what it commits."""

    wire: Wire
    zone: str
    """In which TIMESTAMP values are given."""

    def fetch(self, sql: str) -> list[tuple[Raw, ...]]:
        return self.wire.fetch(sql)

    def stream(self, sql: str) -> Stream:
        return self.wire.stream(sql)


@dataclass
class _Call:
    """What another thread may know of a call: which connection it has, and whether it is to end."""

    wire: Wire | None = None
    stopped: bool = False
    ended: bool = True
    """Whether the engine has let go of it. One long call of a function is nothing that it interrupts."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, wire: Wire) -> bool:
        """Whether the call may go on with *wire*."""
        with self.lock:
            self.wire = wire
            return not self.stopped

    def stop(self) -> Wire | None:
        with self.lock:
            self.stopped = True
            return self.wire


class Stopped(Exception):
    """The call was ended before it had a connection."""


class Sessions:
    """At most as many calls at a time on one database as there are places. Nothing is connected before it is needed."""

    def __init__(self, name: str, source: NetworkSource, settings: DatabasesSettings, *, writes: bool = False) -> None:
        """With *writes*, few run side by side, and their transactions may write; otherwise they are read-only."""
        self.name = name
        self._source, self._settings, self._writes = source, settings, writes
        self._places = Places(name, 1, long=0) if writes else Places(name, settings.concurrency)
        self._threads = ThreadPoolExecutor(self._places.most, thread_name_prefix=f"mysql-{name}")
        self._killers = ThreadPoolExecutor(settings.concurrency, thread_name_prefix=f"mysql-kill-{name}")
        self._running: dict[asyncio.Future[Any], _Call] = {}  # what each gives is for its caller alone
        self._ending: set[asyncio.Task[None]] = set()
        self._lingering: set[asyncio.Task[None]] = set()

    async def run(self, work: Callable[[Session], T], seconds: float) -> T:
        """What *work* makes of a session, in a thread, within *seconds*.

        Raises Unavailable when all sessions are busy for too long, TimedOut, and what the driver raises. A query that is still
        running when the wait ends, by cancellation too, is killed in the engine.
        """
        place = await self._places.take(seconds)
        call = _Call()
        try:
            future = asyncio.get_running_loop().run_in_executor(self._threads, self._work, call, work, seconds)
        except BaseException:
            place.leave()
            raise
        self._running[future] = call
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                return await asyncio.shield(future)
        except TimeoutError:
            raise TimedOut(f"The query was stopped after {seconds:g} s.") from None
        finally:
            task = asyncio.ensure_future(self._after(call, future, place))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            await asyncio.shield(task)

    async def aclose(self) -> None:
        """Kills what still runs, and ends the threads."""
        await asyncio.gather(*(self._stop(call, future) for future, call in [*self._running.items()]))
        await asyncio.gather(*self._ending)
        for task in self._lingering:
            task.cancel()
        await asyncio.gather(*self._lingering, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._killers.shutdown(wait=False, cancel_futures=True)

    async def _after(self, call: _Call, future: "asyncio.Future[T]", place: Place) -> None:
        """The place for another query is free when the engine has let go of this one, even if the caller is gone."""
        try:
            if not future.done():
                await self._stop(call, future)
                if future.done() and not future.cancelled():
                    future.exception()  # its end was asked for, so nobody is told of it
        finally:
            del self._running[future]
            if call.ended or call.wire is None:
                place.leave()
            else:
                task = asyncio.ensure_future(self._linger(call.wire, place))
                self._lingering.add(task)
                task.add_done_callback(self._lingering.discard)

    async def _stop(self, call: _Call, future: "asyncio.Future[T]") -> None:
        """Ends the call in the engine, then its thread, whatever that waits for."""
        wire = call.stop()
        if wire is not None:
            killing = asyncio.get_running_loop().run_in_executor(self._killers, self._kill, wire)
            await asyncio.wait({killing}, timeout=CONNECT_SECONDS + _KILL_SECONDS)
            call.ended = killing.done() and killing.result()
            wire.shut()
        await asyncio.wait({future}, timeout=CONNECT_SECONDS + _KILL_SECONDS)

    async def _linger(self, wire: Wire, place: Place) -> None:
        """Keeps the place of a query that the engine goes on with, so that such queries cannot pile up there."""
        loop = asyncio.get_running_loop()
        try:
            while await loop.run_in_executor(self._killers, self._is_running, wire):  # noqa: ASYNC110 - the engine tells nobody
                await asyncio.sleep(_LINGER_SECONDS)
        finally:
            place.leave()

    def _kill(self, wire: Wire) -> bool:
        """Ends the connection *wire* in the engine, with the query that it runs; whether that was seen to end."""
        try:
            with contextlib.closing(Wire(self._source, _KILL_SECONDS)) as killer:
                with contextlib.suppress(DriverError):  # it has ended already
                    killer.execute(f"KILL {wire.identity:d}")
                deadline = time.monotonic() + _KILL_SECONDS
                while killer.fetch(_RUNNING.format(wire.identity)):
                    if time.monotonic() >= deadline:
                        return False
                    time.sleep(_LOOK_AGAIN_SECONDS)
        except (DriverError, OSError):
            return True  # the engine is gone, and its queries with it
        return True

    def _is_running(self, wire: Wire) -> bool:
        try:
            with contextlib.closing(Wire(self._source, _KILL_SECONDS)) as looking:
                return bool(looking.fetch(_RUNNING.format(wire.identity)))
        except (DriverError, OSError):
            return False  # the engine is gone, and its queries with it

    def _work(self, call: _Call, work: Callable[[Session], T], seconds: float) -> T:
        if call.stopped:
            raise Stopped
        wire = Wire(self._source, seconds + 2 * _GRACE_SECONDS)
        try:
            if not call.take(wire):
                raise Stopped
            return work(self._begun(wire, seconds))
        finally:
            if wire.unfinished:
                call.ended = self._kill(wire)  # the engine notices that nobody reads only when it has a row to send
            wire.close()

    def _begun(self, wire: Wire, seconds: float) -> Session:
        """A transaction with its limits. One for reading is so twice: neither the session nor the transaction can write."""
        mode = _WRITING_MODE if self._writes else _MODE
        settings = f"sql_mode = {mode}, lock_wait_timeout = {_LOCK_SECONDS}, innodb_lock_wait_timeout = {_LOCK_SECONDS}"
        if wire.is_mariadb:
            memory = self._settings.memory_mib << 20
            settings += (
                f", max_statement_time = {seconds:g}, max_session_mem_used = {memory}, tmp_disk_table_size = {_TEMPORARY_BYTES}"
            )
        else:
            settings += f", max_execution_time = {round(seconds * 1000)}"
        wire.execute(f"SET SESSION {settings}")
        if self._writes:
            wire.execute("SET SESSION foreign_key_checks = 1, unique_checks = 1, completion_type = NO_CHAIN")
        access = "READ WRITE" if self._writes else "READ ONLY"
        wire.execute(f"SET SESSION TRANSACTION {access}")
        wire.execute(f"START TRANSACTION {access}")
        ((zone, system),) = wire.fetch("SELECT @@session.time_zone, @@system_time_zone")
        return Session(wire, str(system if zone == "SYSTEM" else zone))

"""A TCP proxy that holds the stable ports: each new connection goes to one of the instances that the pointer names."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_CHUNK = 1 << 16
_CONNECT_SECONDS = 2.0
_ROUNDS = 20
"""How often all instances are tried for one connection, with a short pause between: one that is just restarted comes back."""
_PAUSE_SECONDS = 0.1
_LINGER_SECONDS = 5.0
"""For a client to close its side once the instance has closed its own."""

Placed = tuple[str, int]
"""An instance: release and number."""


@dataclass(frozen=True)
class Upstream:
    placed: Placed
    port: int


class StablePort:
    """One port. Changing where it leads touches new connections only; those that are open stay where they are."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._upstreams: Sequence[Upstream] = ()
        self._next = 0
        self._open: Counter[Placed] = Counter()
        self._closed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    async def listen(self) -> None:
        """Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=_CHUNK, backlog=1024)

    def lead_to(self, upstreams: Sequence[Upstream]) -> None:
        self._upstreams = tuple(upstreams)

    async def emptied(self, placed: Placed) -> None:
        """Returns when the instance has no connection left."""
        async with self._closed:
            await self._closed.wait_for(lambda: self._open[placed] == 0)

    def deafen(self) -> None:
        """Lets the port go. Connections that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def aclose(self) -> None:
        self.deafen()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # either side has gone, or the proxy ends
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = await self._connect()
        if found is None:
            return
        upstream, up_reader, up_writer = found
        sending, answering = asyncio.ensure_future(_pump(reader, up_writer)), asyncio.ensure_future(_pump(up_reader, writer))
        try:
            await asyncio.wait({answering})
            await asyncio.wait({sending}, timeout=_LINGER_SECONDS)
        finally:
            for pump in (sending, answering):
                pump.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)
            up_writer.close()
            async with self._closed:
                self._open[upstream.placed] -= 1
                self._closed.notify_all()

    async def _connect(self) -> tuple[Upstream, asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the next instance that takes one. It counts as open from before it is, so that no drain misses it."""
        for _ in range(_ROUNDS):
            for _ in range(len(self._upstreams)):
                upstream = self._upstreams[self._next % len(self._upstreams)]
                self._next += 1
                self._open[upstream.placed] += 1
                try:
                    pair = await asyncio.wait_for(
                        asyncio.open_connection("127.0.0.1", upstream.port, limit=_CHUNK), _CONNECT_SECONDS
                    )
                except (OSError, TimeoutError):
                    self._open[upstream.placed] -= 1
                    continue
                except BaseException:
                    self._open[upstream.placed] -= 1
                    raise
                return upstream, *pair
            if not self._upstreams:
                return None
            await asyncio.sleep(_PAUSE_SECONDS)
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies until the end of one direction, and passes the end on."""
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError, RuntimeError):
            if writer.can_write_eof():
                writer.write_eof()

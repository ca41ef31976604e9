"""The scripted Anthropic server: a real socket on loopback that plays a script and keeps the requests it got."""

import asyncio
import socket
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from .player import Player, Recorded
from .replies import AnyReply
from .responses import Response, error_response
from .script import Script

HOST = "127.0.0.1"
MAX_HEAD = 64_000
MAX_BODY = 32_000_000
"""What the API takes, too."""


class ScriptedAnthropic:
    """Serves in a thread of its own while entered.

    ```python
    with ScriptedAnthropic(Script.of("overloaded", MessageReply(text="hello"))) as server:
        client = AsyncAnthropic(base_url=server.url, api_key="sk-ant-none")
    ```
    """

    def __init__(self, script: Script | AnyReply | str | None = None, *, port: int = 0) -> None:
        """*script* may be one reply, or the name of one fault, for every request. Port 0 is any that is free."""
        if not 0 <= port <= 65_535:
            raise ValueError(f"a port is a number from 0 to 65535, and not {port}")
        if not isinstance(script, Script):
            script = Script() if script is None else Script.always({"": script})
        self._port = port
        self._player = Player(script)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL must be."""
        return f"http://{HOST}:{self._port}"

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """The requests to the Messages API so far, oldest first; of very many the last ones."""
        return self._player.kept

    def wait_for_requests(self, count: int = 1, seconds: float = 10) -> None:
        """Block until *count* requests have come; from a coroutine through `asyncio.to_thread`. Raises TimeoutError."""
        if not self._player.wait_for(count, seconds):
            raise TimeoutError(f"fewer than {count} requests came within {seconds:g} s")

    @property
    def models(self) -> tuple[str, ...]:
        """The models that were asked, in order."""
        return tuple(request.model for request in self.requests)

    def __enter__(self) -> Self:
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="scripted-anthropic", daemon=True)
        self._thread.start()
        self._port = ready.result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._loop and self._stopping and self._thread:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _run(self, ready: "Future[int]") -> None:
        try:
            asyncio.run(self._serve(ready))
        except Exception as error:
            # whoever waits for the port must hear of it, whatever it is
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: "Future[int]") -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        talks: set[asyncio.Task[None]] = set()

        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talk = asyncio.ensure_future(self._talk(reader, writer))
            talks.add(talk)
            talk.add_done_callback(talks.discard)

        # By host and port asyncio makes sockets for which it sets TCP_NODELAY; without that every answer takes 40 ms more.
        server = await asyncio.start_server(take, HOST, self._port, limit=MAX_HEAD)
        async with server:
            ready.set_result(server.sockets[0].getsockname()[1])
            await self._stopping.wait()
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: request after request until either side has enough."""
        try:
            # A client that goes away in the middle is what half of the scripts are for.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._exchange(reader, writer):
                    pass
        except asyncio.CancelledError:
            # a client that does not read would hold up an orderly close for ever
            writer.transport.abort()
            raise
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its response. Returns whether the connection can take another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (text.partition(":") for text in lines if text)}
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY or "transfer-encoding" in headers:
            await _write(writer, error_response(413, "request_too_large", "the body must have a content-length of at most 32 MB"))
            return False
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        response = self._player.answer(method, path, headers, await reader.readexactly(int(length)))
        await _write(writer, response)
        if response.ending == "hang":
            await reader.read()
        return response.ending == "complete"


@contextmanager
def closed_port() -> Generator[str]:
    """An address at which nobody listens while the block runs: connections are refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.bind((HOST, 0))
        yield f"http://{HOST}:{holder.getsockname()[1]}"


async def _write(writer: asyncio.StreamWriter, response: Response) -> None:
    if response.silent:
        return
    await asyncio.sleep(response.delay)
    framing = "transfer-encoding: chunked" if response.length is None else f"content-length: {response.length}"
    extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
    writer.write(
        f"HTTP/1.1 {response.status} Scripted\r\ncontent-type: {response.content_type}\r\nrequest-id: req_scripted\r\n"
        f"{extra}{framing}\r\n\r\n".encode()
    )
    for part in response.parts:
        writer.write(part if response.length is not None else b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()
        if response.pause:
            await asyncio.sleep(response.pause)
    if response.length is None and response.ending == "complete":
        writer.write(b"0\r\n\r\n")
    await writer.drain()

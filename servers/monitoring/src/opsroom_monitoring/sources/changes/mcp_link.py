"""A connection to an MCP server that is kept between calls, and made anew when it has died."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import httpx2
from opsroom_shared.errors import NotPermitted, TimedOut, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue
from typing_extensions import override

from ...settings import McpChanges

if TYPE_CHECKING:
    from fastmcp import Client
    from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
    from mcp.types import CallToolResult

    Connection = Client[StdioTransport | StreamableHttpTransport]

T = TypeVar("T")

_START_SECONDS = 60.0
"""A server may take longer to start than a call may: it goes on starting, and a later call finds it."""
_CLOSE_SECONDS = 8.0
_MAX_BODY = 8 << 20


class McpLink:
    """Starts or reaches the server at the first call."""

    def __init__(self, name: str, settings: McpChanges) -> None:
        self._name, self._settings = name, settings
        self._connecting: asyncio.Task[Connection] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._status: int | None = None

    async def aclose(self) -> None:
        if self._connecting is not None:
            await self._drop(self._connecting)
        await asyncio.gather(*self._closing)

    async def tools(self) -> list[str]:
        async def listed(client: "Connection") -> list[str]:
            return [tool.name for tool in await client.list_tools()]

        return await self._asked(listed)

    async def call(self, tool: str, arguments: Mapping[str, JsonValue]) -> "CallToolResult":
        """The tool's answer, an error too. It may be asked twice. Raises Unavailable, TimedOut and NotPermitted."""

        async def called(client: "Connection") -> "CallToolResult":
            return await client.call_tool_mcp(tool, dict(arguments))

        return await self._asked(called)

    async def _asked(self, question: "Callable[[Connection], Awaitable[T]]") -> "T":
        connected = False
        try:
            async with asyncio.timeout(self._settings.seconds):
                while True:
                    task = self._connection()
                    kept, connected = task.done(), task.done()
                    try:
                        client = await asyncio.shield(task)
                        connected = True
                        return await question(client)
                    except Exception as error:  # noqa: BLE001 - fastmcp passes on whatever its transport raises
                        await self._drop(task)
                        if not kept:  # a connection that has just been made is not the reason
                            raise self._failure(error) from None
        except TimeoutError:
            if connected and self._connecting is not None:
                await self._drop(self._connecting)  # it may hang for good
            doing = "answer" if connected else "start"
            raise TimedOut(f"{self._name} did not {doing} within {self._settings.seconds:g} s. Try again.") from None

    def _connection(self) -> "asyncio.Task[Connection]":
        task = self._connecting
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._connecting = asyncio.create_task(self._connect())
            task.add_done_callback(_seen)
        return task

    async def _connect(self) -> "Connection":
        from fastmcp import Client

        async def ignore(_: object) -> None:
            """What servers send as logs is for those who run them."""

        self._status = None
        client = Client(self._transport(), init_timeout=_START_SECONDS, log_handler=ignore)
        async with asyncio.timeout(_START_SECONDS):
            await client.__aenter__()
        return client

    def _transport(self) -> "StdioTransport | StreamableHttpTransport":
        from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

        if self._settings.url is None:
            command, *arguments = self._settings.command
            given = {name: os.environ[name] for name in self._settings.environment if name in os.environ}
            return StdioTransport(command, arguments, env=given, keep_alive=False, log_file=sys.__stderr__)
        token = self._settings.token
        headers = {"Accept-Encoding": "identity"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        return StreamableHttpTransport(self._settings.url, headers=headers, httpx_client_factory=self._http)

    def _http(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
        **_: object,
    ) -> httpx2.AsyncClient:
        """A client that keeps the status, which MCP's errors do not carry, and bounds answers. It follows no redirects."""
        return httpx2.AsyncClient(
            headers=headers, timeout=timeout or httpx2.Timeout(_START_SECONDS), auth=auth, event_hooks={"response": [self._note]}
        )

    async def _note(self, response: httpx2.Response) -> None:
        if response.status_code >= 400:
            self._status = response.status_code
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.StreamError("the answer is compressed, although it was asked not to be")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream)

    async def _drop(self, task: "asyncio.Task[Connection]") -> None:
        if self._connecting is task:
            self._connecting = None
        task.cancel()
        closing = asyncio.create_task(_close(task))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.shield(closing)  # whoever waits may be cancelled, and the child has to end all the same

    def _failure(self, error: Exception) -> ToolFailure:
        if isinstance(error, ToolFailure):
            return error
        if self._status in (401, 403):
            return NotPermitted(f"{self._name} does not accept the token in its settings, or wants one (HTTP {self._status}).")
        status = f" (HTTP {self._status})" if self._status else ""
        said = redact(clean(str(error), 300)) or type(error).__name__
        return Unavailable(f"{self._name} cannot be reached{status}: {said}")


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error once it is larger than an answer may be."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > _MAX_BODY:
                raise httpx2.StreamError(f"the answer is larger than {_MAX_BODY:,} bytes")
            yield chunk

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


async def _close(task: "asyncio.Task[Connection]") -> None:
    await asyncio.wait({task}, timeout=_CLOSE_SECONDS)
    if not task.done() or task.cancelled() or task.exception() is not None:
        return
    with contextlib.suppress(Exception):  # closing what has died raises why it did
        async with asyncio.timeout(_CLOSE_SECONDS):
            await task.result().close()


def _seen(task: "asyncio.Task[Connection]") -> None:
    """A failure that nobody waited for any more is no news for the log."""
    if not task.cancelled():
        task.exception()

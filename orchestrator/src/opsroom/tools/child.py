"""Stdio: one MCP session over the pipes of a child, with messages of bounded size.

fastmcp's own stdio transport takes lines of any length, in quadratic time, and adds variables of its choice to the environment.
"""

import contextlib
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Unpack

import anyio
from mcp import ClientSession
from mcp.shared.message import SessionMessage
from mcp.types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from typing_extensions import override

from .lines import EDGE, Lines, Oversize
from .process import CHUNK, HASTE, Child
from .session import MAX_MESSAGE, TOO_LARGE, ServerTransport

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from fastmcp.client.transports.base import SessionKwargs, TransportOptions

MAX_GARBAGE: Final = 100
"""Lines in a row that are not MCP. Some are forgiven: there are servers that greet, or log, on stdout."""

# a JSON-RPC answer names its request at one of its two ends, depending on who wrote it
_ID_AT_HEAD: Final = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,')
_ID_AT_TAIL: Final = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*\}\s*$')


class ChildTransport(ServerTransport):
    """Speaks with *child*, which its owner starts and stops. *on_end* is called when the child has closed its output."""

    def __init__(self, child: Child, on_end: Callable[[], None]) -> None:
        super().__init__()
        self._child = child
        self._on_end = on_end
        self._garbage: str | None = None
        self._floods = False

    @override
    @asynccontextmanager
    async def connect_session(
        self, *, transport_options: "TransportOptions | None" = None, **session_kwargs: "Unpack[SessionKwargs]"
    ) -> AsyncGenerator[ClientSession]:
        incoming, from_child = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_child, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        with incoming, from_child, to_child, outgoing:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, incoming)
                tasks.start_soon(self._write, outgoing)
                async with self.open_session((from_child, to_child), session_kwargs) as session:
                    yield session
                tasks.cancel_scope.cancel()

    @property
    @override
    def diagnosis(self) -> str | None:
        if self._floods:
            return f"it floods its output with something that is not MCP: {self._garbage!r}"
        if self.ended:
            return self._child.ending or "it closed its output"
        if self._garbage is not None:
            return f"it answers with something that is not MCP: {self._garbage!r}"
        return None

    async def _read(self, incoming: "MemoryObjectSendStream[SessionMessage | Exception]") -> None:
        lines = Lines(MAX_MESSAGE)
        garbage = 0
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with incoming:
                while not self._floods and (chunk := await self._child.stdout.read(CHUNK)):
                    for line in lines.feed(chunk):
                        message = self._message(line)
                        garbage = 0 if message is not None else garbage + 1
                        if message is not None:
                            await incoming.send(message)
                    self._floods = garbage > MAX_GARBAGE
                # before `incoming` is closed: whoever then sees a closed connection can also see why
                if not self._floods:
                    await self._child.exited(HASTE)
                self.ended = True
                self._on_end()

    def _message(self, line: bytes | Oversize) -> SessionMessage | None:
        """The message in *line*. One that cannot be read ends the request that it names, or is garbage."""
        if isinstance(line, Oversize):
            return self._unreadable(line.head, line.tail, TOO_LARGE)
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            return self._unreadable(line, line[-EDGE:], "the answer is not valid JSON-RPC")

    def _unreadable(self, head: bytes, tail: bytes, why: str) -> SessionMessage | None:
        if found := _ID_AT_HEAD.match(head) or _ID_AT_TAIL.search(tail):
            error = ErrorData(code=PARSE_ERROR, message=why)
            return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))
        self._garbage = self._garbage or redact(clean(head[:160].decode(errors="replace"), 80))
        return None

    async def _write(self, outgoing: "MemoryObjectReceiveStream[SessionMessage]") -> None:
        stdin = self._child.stdin
        with contextlib.suppress(ConnectionError, anyio.ClosedResourceError):
            async with outgoing:
                async for item in outgoing:
                    stdin.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                    await stdin.drain()

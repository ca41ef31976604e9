"""Stdio: a server as a child process, with bounded messages, its last words on stderr kept, and nothing of it left behind.

fastmcp's own stdio transport reads lines of any length, in quadratic time, and merges variables of its choice into the environment.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Unpack

import anyio
from fastmcp.client.transports import ClientTransport
from fastmcp.client.transports.base import SessionKwargs, TransportOptions
from mcp import ClientSession
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, jsonrpc_message_adapter
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from typing_extensions import override

from .lines import Lines, Oversize
from .session import open_session

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from .program import Launch

MAX_MESSAGE = 8 * 1024 * 1024
STDERR_LINES = 50
STDERR_LINE = 500
MAX_GARBAGE = 100
TOO_LARGE = f"the answer is larger than {MAX_MESSAGE // 1024 // 1024} MiB"

_CHUNK = 65_536
_GRACE = 2.0
_POLL = 0.01
# a JSON-RPC answer names its request at one of its two ends, depending on who wrote it
_ID_AT_HEAD = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,')
_ID_AT_TAIL = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*\}\s*$')


class ChildTransport(ClientTransport):
    """One child process for one session."""

    def __init__(self, launch: "Launch", on_end: Callable[[], None]) -> None:
        self._launch = launch
        self._on_end = on_end
        self._garbage: str | None = None
        self._status: int | None = None
        self._flood: str | None = None
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self.malformed: list[str] = []
        self.ended = False

    @override
    @asynccontextmanager
    async def connect_session(
        self, *, transport_options: TransportOptions | None = None, **session_kwargs: Unpack[SessionKwargs]
    ) -> AsyncGenerator[ClientSession]:
        process = await asyncio.create_subprocess_exec(
            self._launch.program,
            *self._launch.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self._launch.environment),
            cwd=self._launch.folder,
            start_new_session=True,  # Ctrl-C at the terminal is ours to handle, and the whole group can be ended
        )
        incoming, from_child = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_child, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._overhear, process)
            tasks.start_soon(self._read, process, incoming)
            tasks.start_soon(self._write, process, outgoing)
            try:
                async with open_session((from_child, to_child), self.malformed, session_kwargs) as session:
                    yield session
            finally:
                with anyio.CancelScope(shield=True):
                    await self._stop(process)
                tasks.cancel_scope.cancel()
        for stream in (incoming, from_child, to_child, outgoing):
            stream.close()

    @property
    def diagnosis(self) -> str | None:
        """What is known about why it ended or does not answer, in one line; None when nothing is."""
        if self._flood:
            return self._flood
        said = next((line for line in reversed(self.stderr) if line.strip()), None)
        if self.ended and self._status is not None:
            return f"{_ending(self._status)}: {said}" if said else _ending(self._status)
        if self._garbage is not None:
            return f"it answers with something that is not MCP: {self._garbage!r}"
        return f"its last words: {said}" if said else None

    async def _read(
        self, process: asyncio.subprocess.Process, incoming: "MemoryObjectSendStream[SessionMessage | Exception]"
    ) -> None:
        stdout = _pipe(process.stdout)
        lines = Lines(MAX_MESSAGE)
        garbage = 0
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with incoming:
                while chunk := await stdout.read(_CHUNK):
                    for line in lines.feed(chunk):
                        message = self._message(line)
                        if message is not None:
                            await incoming.send(message)
                        elif line and (garbage := garbage + 1) > MAX_GARBAGE:
                            self._flood = f"it floods its output with something that is not MCP: {self._garbage!r}"
                            self._on_end()
                            return
        if stdout.at_eof():
            self.ended = True
            await self._exited(process, _GRACE)
        self._on_end()
        while await stdout.read(_CHUNK):  # a child that still writes must not block on a full pipe while it shuts down
            pass

    def _message(self, line: bytes | Oversize) -> SessionMessage | None:
        if isinstance(line, Oversize):
            found = _ID_AT_HEAD.match(line.head) or _ID_AT_TAIL.search(line.tail)
            if found:
                error = ErrorData(code=-32000, message=TOO_LARGE)
                return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))
            line = line.head
        if not line.strip():
            return None
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            self._garbage = self._garbage or redact(clean(line[:160].decode(errors="replace"), 80))
            return None

    async def _write(self, process: asyncio.subprocess.Process, outgoing: "MemoryObjectReceiveStream[SessionMessage]") -> None:
        stdin = process.stdin
        assert stdin is not None
        with contextlib.suppress(ConnectionError, anyio.ClosedResourceError):
            async with outgoing:
                async for item in outgoing:
                    stdin.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                    await stdin.drain()

    async def _overhear(self, process: asyncio.subprocess.Process) -> None:
        stderr = _pipe(process.stderr)
        lines = Lines(16 * STDERR_LINE)
        while chunk := await stderr.read(_CHUNK):
            for line in lines.feed(chunk):
                self._remember(line)
        if (line := lines.rest()) is not None:
            self._remember(line)

    def _remember(self, line: bytes | Oversize) -> None:
        raw = line.head if isinstance(line, Oversize) else line
        self.stderr.append(redact(clean(raw.decode(errors="replace").rstrip(), STDERR_LINE)))

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        """EOF on its stdin; then SIGTERM and SIGKILL to its whole group. Every wait is bounded."""
        if process.stdin is not None:
            process.stdin.close()
        await self._exited(process, _GRACE)
        for number in (signal.SIGTERM, signal.SIGKILL):
            # also after a clean exit: what it left in its group would outlive us
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
                await self._group_gone(process, _GRACE)
        # a daemon that left the group may hold a pipe open, and nothing public closes our end of it
        transport: asyncio.SubprocessTransport | None = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()

    async def _exited(self, process: asyncio.subprocess.Process, limit: float) -> None:
        """Waits for the exit. It polls, because Process.wait() also waits for pipes that a grandchild may hold open."""
        with anyio.move_on_after(limit):
            while process.returncode is None:
                await anyio.sleep(_POLL)
        self._status = process.returncode

    async def _group_gone(self, process: asyncio.subprocess.Process, limit: float) -> None:
        with anyio.move_on_after(limit):
            while True:
                os.killpg(process.pid, 0)
                await anyio.sleep(_POLL)


def _pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    assert stream is not None
    return stream


def _ending(status: int) -> str:
    if status >= 0:
        return f"it ended with exit status {status}"
    with contextlib.suppress(ValueError):
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it was ended by signal {-status}"

"""A server as a real child process, spoken to line by line, so that a test shares no client code with it."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias, cast

from pydantic import JsonValue

Era: TypeAlias = Literal["modern", "legacy"]
Json: TypeAlias = dict[str, JsonValue]

ERAS: tuple[Era, ...] = ("modern", "legacy")

_MAX_LINE = 16 * 1_048_576
_MODERN_META: Json = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "opsroom-testing", "version": "1"},
}


class ServerProcess:
    """A started server. Everything is bounded by *patience* seconds, and what is not MCP on stdout raises AssertionError."""

    def __init__(self, process: asyncio.subprocess.Process, era: Era, patience: float) -> None:
        self.process = process
        self.era = era
        self.log = ""
        """What it has written to stderr; complete once it has ended."""
        self._patience = patience
        self._last = 0
        self._reading = asyncio.create_task(self._read_log())
        self._logged = asyncio.Condition()
        self._log_is_complete = False

    async def handshake(self) -> Json:
        """Opens the protocol: `initialize` of the legacy era, `server/discover` of the modern one."""
        if self.era == "modern":
            return await self.request("server/discover")
        client: Json = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "opsroom-testing", "version": "1"},
        }
        opened = await self.request("initialize", client)
        await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return opened

    async def list_tools(self) -> list[Json]:
        tools: list[Json] = []
        cursor: JsonValue = None
        while True:
            page = await self.request("tools/list", {"cursor": cursor} if cursor else {})
            tools += cast("list[Json]", page["tools"])
            cursor = page.get("nextCursor")
            if not cursor:
                return tools

    async def call(self, tool: str, **arguments: JsonValue) -> Json:
        return await self.request("tools/call", {"name": tool, "arguments": arguments})

    async def request(self, method: str, params: Json | None = None) -> Json:
        """The result of *method*. A protocol error raises RuntimeError, the end of the server ConnectionError."""
        await self.send(method, params)
        wanted = self._last
        async with asyncio.timeout(self._patience):
            while True:
                answer = await self._receive()
                if answer.get("id") == wanted and "method" not in answer:
                    if "error" in answer:
                        raise RuntimeError(json.dumps(answer["error"]))
                    return cast("Json", answer["result"])

    async def send(self, method: str, params: Json | None = None) -> None:
        """Sends a request and does not wait for its answer."""
        self._last += 1
        params = dict(params or {})
        if self.era == "modern":
            params["_meta"] = {**_MODERN_META, **cast("Json", params.get("_meta") or {})}
        await self._send({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})

    async def logged(self, pattern: str) -> re.Match[str]:
        """Waits until stderr holds *pattern*."""

        def found() -> re.Match[str] | None:
            return re.search(pattern, self.log)

        async with asyncio.timeout(self._patience), self._logged:
            await self._logged.wait_for(lambda: found() or self._log_is_complete)
        match = found()
        assert match, f"the server ended without logging {pattern!r}: {self.log}"
        return match

    async def stop(self, how: signal.Signals | Literal["eof"] = "eof") -> int:
        """Ends it by EOF or a signal. Returns its exit status, negative for a signal that it did not handle."""
        if how == "eof":
            assert self.process.stdin
            self.process.stdin.close()
        else:
            self.process.send_signal(how)
        return await self.ended()

    async def ended(self) -> int:
        """Waits for its end. What it still writes to stdout must be MCP too."""
        async with asyncio.timeout(self._patience):
            while not self.process.stdout or not self.process.stdout.at_eof():
                try:
                    await self._receive()
                except ConnectionError:
                    break
            await self._reading
            return await self.process.wait()

    async def _send(self, message: Json) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def _receive(self) -> Json:
        assert self.process.stdout
        line = await self.process.stdout.readline()
        if not line:
            raise ConnectionError(f"the server ended: {self.log}")
        try:
            message = cast("Json", json.loads(line))
        except ValueError:
            raise AssertionError(f"not MCP on stdout: {line[:200]!r}") from None
        assert message.get("jsonrpc") == "2.0", f"not MCP on stdout: {line[:200]!r}"
        return message

    async def _read_log(self) -> None:
        assert self.process.stderr
        while chunk := await self.process.stderr.read(65_536):
            async with self._logged:
                self.log += chunk.decode(errors="replace")
                self._logged.notify_all()
        async with self._logged:
            self._log_is_complete = True
            self._logged.notify_all()


@asynccontextmanager
async def server_process(
    command: Sequence[str | Path],
    *,
    era: Era = "modern",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    patience: float = 60.0,
) -> AsyncGenerator[ServerProcess]:
    """Starts *command*; *env* is added to this process's environment. What is left of it at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_MAX_LINE,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    server = ServerProcess(process, era, patience)
    try:
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await server.ended()

"""One client each: over MCP on HTTP, in either era of the protocol, or with a driver of its own."""

import asyncio
import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from opsroom_shared.testing.process import Era, Json
from typing_extensions import override

_MODERN, _LEGACY = "2026-07-28", "2025-11-25"
_LARGEST = 1 << 24
_INFO: Json = {"name": "opsroom-benchmark", "version": "1"}
_META: Json = {
    "io.modelcontextprotocol/protocolVersion": _MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": _INFO,
}


@dataclass(frozen=True)
class Answer:
    """What a call came to."""

    error: bool
    text: str = ""


class Client(Protocol):
    @abstractmethod
    async def call(self, sql: str) -> Answer: ...

    @abstractmethod
    async def leave(self) -> None:
        """Gives up what it waits for; the next call begins anew."""
        ...


@dataclass(frozen=True)
class Tool:
    """Where a server is, and the tool of it that runs a statement."""

    host: str
    port: int
    era: Era = "modern"
    name: str = "run_query"
    cut: Callable[[str], str] = str
    """What the client does with a statement before it asks: for servers that do not bound their answers."""


class HttpClient(Client):
    """Speaks HTTP itself, over one connection, so that as little as possible of what is measured is its own."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._session: str | None = None
        self._last = 0

    @override
    async def call(self, sql: str) -> Answer:
        if self._tool.era == "legacy" and self._session is None:
            await self._initialize()
        call: Json = {"name": self._tool.name, "arguments": {"sql": self._tool.cut(sql)}}
        result = await self._request("tools/call", call, f"Mcp-Name: {self._tool.name}\r\n")
        if "content" not in result:
            return Answer(error=True, text=json.dumps(result)[:200])
        content = cast("list[Json]", result["content"])
        return Answer(error=result.get("isError") is True, text=str(content[0].get("text", "")) if content else "")

    @override
    async def leave(self) -> None:
        if self._stream is None:
            return
        writer = self._stream[1]
        self._stream = None
        if self._session is not None:  # in that era, a connection that is closed cancels nothing
            await self._send({"method": "notifications/cancelled", "params": {"requestId": self._last}})
            await self._receive()
        writer.close()

    async def _initialize(self) -> None:
        opening: Json = {"protocolVersion": _LEGACY, "capabilities": {}, "clientInfo": _INFO}
        await self._request("initialize", opening)
        await self._send({"method": "notifications/initialized"})
        await self._receive()

    async def _request(self, method: str, params: Json, headers: str = "") -> Json:
        if self._tool.era == "modern":
            params = {**params, "_meta": _META}
        self._last += 1
        await self._send({"id": self._last, "method": method, "params": params}, headers)
        answer = await self._receive()
        result = answer.get("result")
        return cast("Json", result) if isinstance(result, dict) else answer

    async def _send(self, message: Json, headers: str = "") -> None:
        if self._stream is None:
            self._stream = await asyncio.open_connection(self._tool.host, self._tool.port, limit=_LARGEST)
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        modern = self._tool.era == "modern"
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: {self._tool.host}:{self._tool.port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n"
            f"MCP-Protocol-Version: {_MODERN if modern else _LEGACY}\r\n"
        )
        if modern:
            head += f"Mcp-Method: {message['method']}\r\n{headers}"
        if self._session is not None:
            head += f"Mcp-Session-Id: {self._session}\r\n"
        self._stream[1].write(f"{head}\r\n".encode() + body)

    async def _receive(self) -> Json:
        """The one answer, whether it comes as it is or, for a call that takes long, as the last of some events."""
        assert self._stream is not None  # noqa: S101 - something was sent
        reader = self._stream[0]
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        self._session = headers.get("mcp-session-id", self._session)
        if "content-length" in headers:
            raw = await reader.readexactly(int(headers["content-length"]))
        elif "transfer-encoding" in headers:
            raw = await _chunks(reader)
        else:
            raw = b""
        if headers.get("content-type", "").startswith("text/event-stream"):
            events = [line.removeprefix(b"data:") for line in raw.splitlines() if line.startswith(b"data:") and line[5:].strip()]
            raw = events[-1] if events else b""
        return cast("Json", json.loads(raw)) if raw.strip() else {}


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)

"""A server over HTTP, as a real child process on a loopback port."""

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import Tool as FastmcpTool
from mcp import MCPError
from mcp.types import ListToolsRequest
from opsroom_shared.http import listen
from opsroom_shared.testing.process import Json, ServerProcess, server_process
from opsroom_shared.tools import Answer, Tool, create_server
from typing_extensions import override

MODES = ("auto", "legacy")
SIGNALS = (signal.SIGTERM, signal.SIGINT)
TOKEN = "a-token-of-some-length"  # noqa: S105 - of a server that lives for one test
DISCOVER: Json = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "server/discover",
    "params": {
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    },
}
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "server/discover",
}


class Count(Answer):
    books: int


async def count_books() -> Count:
    """Count the books."""
    return Count(books=2)


def _modern(method: str, params: Json) -> Json:
    meta = cast("Json", DISCOVER["params"])["_meta"]
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


@asynccontextmanager
async def served(notes: Sequence[str], address: str = "127.0.0.1:0", **env: str) -> AsyncGenerator[tuple[ServerProcess, str]]:
    """The notes server over HTTP, and its URL."""
    async with server_process([*notes, "--http", address], env=env) as server:
        match = await server.logged(r"opsroom-notes listens on (http://\S+/mcp)\n")
        yield server, match[1]


def client_of(url: str, mode: str = "auto", token: str | None = None) -> Client[StreamableHttpTransport]:
    return Client(StreamableHttpTransport(url, auth=token), mode=mode, init_timeout=30, timeout=30)


async def test_call_lists_no_tools() -> None:
    """A call over HTTP is answered without listing the tools first, which would cost more than the call."""
    listed: list[str] = []

    class Watching(Middleware):
        @override
        async def on_list_tools(
            self, context: MiddlewareContext[ListToolsRequest], call_next: CallNext[ListToolsRequest, Sequence[FastmcpTool]]
        ) -> Sequence[FastmcpTool]:
            listed.append(context.method or "")
            return await call_next(context)

    server = create_server(
        "shelf", distribution="opsroom-shared", instructions="", tools=[Tool(count_books)], middleware=[Watching()]
    )
    asgi = server.http_app(path="/mcp")
    called: Json = {"name": "count_books", "arguments": {}}
    async with (
        asgi.lifespan(asgi),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(asgi), base_url="http://localhost", headers=HEADERS) as client,
    ):
        answer = await client.post(
            "/mcp", json=_modern("tools/call", called), headers={"Mcp-Method": "tools/call", "Mcp-Name": "count_books"}
        )
        called_for = [*listed]
        await client.post("/mcp", json=_modern("tools/list", {}), headers={"Mcp-Method": "tools/list"})

    assert answer.json()["result"]["structuredContent"] == {"books": 2}
    assert (called_for, listed) == ([], ["tools/list"])


@pytest.mark.parametrize("how", SIGNALS)
async def test_idle_server_stops(notes: list[str], how: signal.Signals) -> None:
    """A signal ends an idle server with status 0, its lifespan torn down."""
    async with served(notes) as (server, _):
        status = await server.stop(how)

    assert status == 0
    assert "shelf closed" in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize("how", SIGNALS)
@pytest.mark.parametrize("mode", MODES)
async def test_server_with_a_client_stops(notes: list[str], mode: str, how: signal.Signals) -> None:
    """A connected client, of a legacy one the open stream, does not hold the server."""
    async with served(notes) as (server, url):
        client = client_of(url, mode)
        async with client:
            answer = await client.call_tool("list_notes", {"limit": 2})
            status = await server.stop(how)

    assert answer.structured_content == {"notes": ["note 0", "note 1"]}
    assert status == 0
    assert "shelf closed" in server.log
    assert "Traceback" not in server.log


async def test_call_in_flight_is_drained(notes: list[str]) -> None:
    """A short call that is in flight when the signal comes is still answered."""
    async with served(notes) as (server, url), client_of(url) as client:
        await client.list_tools()
        call = asyncio.create_task(client.call_tool("wait_briefly", {"seconds": 1}))
        await server.logged("waiting")
        status = await server.stop(signal.SIGTERM)
        answer = await call

    assert answer.structured_content == {"notes": ["waited"]}
    assert status == 0


@pytest.mark.parametrize("mode", MODES)
async def test_long_call_does_not_hold_the_server(notes: list[str], mode: str) -> None:
    """A call that would not end is cancelled a few seconds after the signal, before the lifespan is torn down."""
    async with served(notes) as (server, url):
        client = client_of(url, mode)
        async with client:
            await client.list_tools()
            call = asyncio.create_task(client.call_tool("wait_long"))
            await server.logged("waiting")
            status = await server.stop(signal.SIGTERM)
            outcome = await asyncio.wait_for(asyncio.gather(call, return_exceptions=True), 30)

    assert isinstance(outcome[0], (MCPError, RuntimeError))
    assert status == 0
    assert server.log.index("cancelled") < server.log.index("shelf closed")


async def test_health_and_readiness(notes: list[str]) -> None:
    """/healthz says that the process lives, /readyz that its backends answer, neither asks for the token."""
    async with served(notes, OPSROOM_NOTES_TOKEN=TOKEN) as (_, url), httpx2.AsyncClient() as http:
        health = await http.get(url.replace("/mcp", "/healthz"))
        ready = await http.get(url.replace("/mcp", "/readyz"))

    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "backends": {"shelf": "ok"}})


@pytest.mark.parametrize(
    ("unready", "backends"),
    [
        ("no answer from mysql://me:hunter2@db", {"shelf": "no answer from mysql://me:***@db"}),
        ("defect", {"server": "cannot tell; its log says why"}),
    ],
)
async def test_not_ready(notes: list[str], unready: str, backends: dict[str, str]) -> None:
    """A backend that does not answer, or a probe that fails, is 503 with the reason and without secrets."""
    async with served(notes, OPSROOM_NOTES_UNREADY=unready) as (server, url), httpx2.AsyncClient() as http:
        ready = await http.get(url.replace("/mcp", "/readyz"))
        await server.stop(signal.SIGTERM)

    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "backends": backends})
    assert "hunter2" not in server.log.replace('RuntimeError("password=hunter2")', "")


async def test_token_is_required(notes: list[str]) -> None:
    """With a token set, callers of both eras need exactly it."""
    async with served(notes, OPSROOM_NOTES_TOKEN=TOKEN) as (_, url), httpx2.AsyncClient() as http:
        without = await http.post(url, json=DISCOVER, headers=HEADERS)
        wrong = await http.post(url, json=DISCOVER, headers={**HEADERS, "Authorization": f"Bearer {TOKEN}x"})
        raw = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        strange = await http.post(url, json=DISCOVER, headers=[*raw, (b"Authorization", b"Bearer \xff\xfe")])
        right = await http.post(url, json=DISCOVER, headers={**HEADERS, "Authorization": f"Bearer {TOKEN}"})
        listed: list[int] = []
        for mode in MODES:
            async with client_of(url, mode, TOKEN) as client:
                listed.append(len(await client.list_tools()))

    assert [answer.status_code for answer in (without, wrong, strange, right)] == [401, 401, 401, 200]
    assert listed == [6, 6]


async def test_foreign_hosts_and_origins_are_refused(notes: list[str]) -> None:
    """A page of another site, or a name that was rebound to this machine, reaches nothing; an allowed host does."""
    async with served(notes, OPSROOM_NOTES_ALLOWED_HOSTS="notes.test") as (_, url), httpx2.AsyncClient() as http:
        host = await http.post(url, json=DISCOVER, headers={**HEADERS, "Host": "evil.test"})
        probe = await http.get(url.replace("/mcp", "/healthz"), headers={"Host": "evil.test"})
        origin = await http.post(url, json=DISCOVER, headers={**HEADERS, "Origin": "https://evil.test"})
        allowed = await http.post(url, json=DISCOVER, headers={**HEADERS, "Host": "notes.test:80"})

    assert [answer.status_code for answer in (host, probe, origin, allowed)] == [421, 421, 403, 200]


async def test_ipv6(notes: list[str]) -> None:
    """An IPv6 address is served and shown in brackets."""
    async with served(notes, "[::1]:0") as (_, url), client_of(url) as client:
        tools = await client.list_tools()

    assert url.startswith("http://[::1]:")
    assert len(tools) == 6


def test_port_in_use(notes: list[str]) -> None:
    """A port that somebody else has is one line that says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run([*notes, "--http", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert ended.stderr == (
        f"opsroom-notes: http: cannot listen on 127.0.0.1:{port}: Address already in use. Choose another HOST:PORT\n"
    )


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
def test_answers_leave_at_once(address: str) -> None:
    """A connection sends the body of an answer without waiting until the client has confirmed its head."""
    with listen(address) as listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()

        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

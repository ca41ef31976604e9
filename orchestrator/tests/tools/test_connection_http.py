"""A connection to one server over HTTP, with real sockets on loopback: refusals, restarts, changes in both eras, odd answers."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from fastmcp import Context, FastMCP
from fastmcp.server.auth import StaticTokenVerifier
from fastmcp.tools import ToolResult
from mcp.server import MCPServer
from mcp.types import ToolAnnotations, ToolListChangedNotification
from opsroom.settings import ServerSettings
from opsroom.tools.connection import Connection
from opsroom.tools.listing import ToolChange
from opsroom.tools.state import Pace

WAIT = 60
QUICK = Pace(first=0.01, longest=0.05, check=WAIT)
READ = ToolAnnotations(read_only_hint=True, idempotent_hint=True)
WRITE = ToolAnnotations(read_only_hint=False, idempotent_hint=False)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def clock(name: str = "clock") -> FastMCP:
    """A small server: a read, a write, and a call that ends only with the server."""
    server = FastMCP(name, version="2.0", mask_error_details=True)

    async def tell(what: str = "time") -> str:
        """Tell it."""
        return f"{what} of {name}"

    async def wind() -> str:
        """Wind the clock."""
        return "wound"

    async def wait() -> str:
        """Wait for ever."""
        await asyncio.Event().wait()
        return "never"

    async def large(size: int, context: Context, *, progress: bool = False) -> ToolResult:
        """An answer of a size; with progress it comes as an event stream."""
        if progress:
            await context.report_progress(1, 2, "half\x1b[31m")
        return ToolResult(content="x" * size)

    server.tool(tell, annotations=READ)
    server.tool(wind, annotations=WRITE)
    server.tool(wait, annotations=READ)
    server.tool(large, annotations=READ)
    return server


@asynccontextmanager
async def served(app: App, port: int = 0) -> AsyncGenerator[str]:
    """*app* on loopback; at the end it is gone at once, with whatever was under way."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", ws="none", timeout_graceful_shutdown=0)
    server, bound = uvicorn.Server(config), config.bind_socket()
    task = asyncio.create_task(server.serve([bound]))
    async with asyncio.timeout(WAIT):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/mcp"
    finally:
        server.should_exit = server.force_exit = True
        await task


@asynccontextmanager
async def connection(url: str, pace: Pace = QUICK, **more: object) -> AsyncGenerator[Connection]:
    table = {"url": url, "capabilities": ("x",), "connect_timeout": WAIT, "call_timeout": WAIT} | more
    opened = Connection("far", ServerSettings.model_validate(table), pace=pace)
    try:
        yield opened
    finally:
        await opened.aclose()


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def modern(app: App) -> App:
    return app


def legacy(app: App) -> App:
    """*app* as a server that knows nothing of the modern era answers it."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        modern = any(name == b"mcp-method" for name, _ in scope.get("headers", ()))
        await (plainly(400)(scope, receive, send) if modern else app(scope, receive, send))

    return answer


def plainly(status: int, body: bytes = b"<html>no</html>", kind: bytes = b"text/html", **headers: str) -> App:
    """An app that answers every request alike."""
    fields = [(b"content-type", kind), *((name.encode(), value.encode()) for name, value in headers.items())]

    async def answer(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    return answer


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def clients_tasks() -> set[str]:
    """The tasks that are not the test's own server's."""
    return {task.get_name() for task in asyncio.all_tasks() if "opsroom" in task.get_name()}


@pytest.mark.parametrize(("era", "version"), [(modern, "2026-07-28"), (legacy, "2025-11-25")])
async def test_call_over_http_in_both_eras(era: Callable[[App], App], version: str) -> None:
    """A server is reached by its URL, whichever era it speaks."""
    async with served(era(clock().http_app())) as url, connection(url) as far:
        outcome = await far.call("tell", {"what": "hour"})
        state = far.state

    assert (outcome.text, outcome.is_error, outcome.attempts) == ("hour of clock", False, 1)
    assert (state.status, state.transport, state.target, state.protocol_version) == ("up", "http", url, version)
    assert (state.server_name, state.server_version, state.stderr) == ("clock", "2.0", ())


async def test_token_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of the variable that token_env names opens a server that wants one."""
    monkeypatch.setenv("CLOCK_TOKEN", "s3cret-token")
    server = clock()
    server.auth = StaticTokenVerifier({"s3cret-token": {"client_id": "test", "scopes": []}})
    async with served(server.http_app()) as url, connection(url, token_env="CLOCK_TOKEN") as far:  # noqa: S106 - a variable's name
        outcome = await far.call("tell", {})
        state = far.state

    assert outcome.text == "time of clock"
    assert "s3cret-token" not in repr(state)


@pytest.mark.parametrize(
    ("token", "variable", "reason"),
    [
        (None, None, "HTTP 401: it wants a token; name the variable that holds it in token_env"),
        ("wrong", "CLOCK_TOKEN", "HTTP 401: the token in CLOCK_TOKEN is not accepted"),
        (None, "CLOCK_TOKEN", "set the environment variable CLOCK_TOKEN to its token (servers.far.token_env)"),
        (" ", "CLOCK_TOKEN", "set the environment variable CLOCK_TOKEN to its token (servers.far.token_env)"),
    ],
)
async def test_token_that_is_missing_or_wrong(
    monkeypatch: pytest.MonkeyPatch, token: str | None, variable: str | None, reason: str
) -> None:
    """Without the right token the server is down, with the variable to set."""
    monkeypatch.delenv("CLOCK_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("CLOCK_TOKEN", token)
    server = clock()
    server.auth = StaticTokenVerifier({"s3cret-token": {"client_id": "test", "scopes": []}})
    async with served(server.http_app()) as url, connection(url, token_env=variable) as far:
        outcome = await far.call("tell", {})

    assert (outcome.code, outcome.attempts) == ("unavailable", 0)
    assert outcome.text == f"far is unavailable: {reason}"


async def test_token_that_expires_while_connected() -> None:
    """A server that no longer accepts the token ends the call with that reason, and the session with it."""
    refuse = False
    inner = clock().http_app()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (plainly(401)(scope, receive, send) if refuse and scope["type"] == "http" else inner(scope, receive, send))

    async with served(app) as url, connection(url) as far:
        await far.settle(WAIT)
        refuse = True
        outcome = await far.call("tell", {})
        down = await far.until(lambda: far.state.status == "down", WAIT)

    assert (outcome.is_error, outcome.code, outcome.retryable) == (True, "not_permitted", False)
    assert "HTTP 401" in outcome.text
    assert down


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (plainly(403), "HTTP 403: a caller without a token may not use it"),
        (plainly(404), "HTTP 404: nothing speaks MCP at {url}; the path is usually /mcp"),
        (plainly(421), "HTTP 421: it does not answer to this host name; add the name to its allowed hosts"),
        (plainly(503), "HTTP 503: it cannot answer now"),
        (plainly(200), "Unexpected content type: text/html"),
        (plainly(200, b"{", b"application/json"), "Failed to parse JSON response"),
        (plainly(200, b'{"jsonrpc":"2.0","id":1,"result":[]}', b"application/json"), "Failed to parse JSON response"),
        (plainly(200, b"data: nonsense\n\n", b"text/event-stream"), "Failed to parse SSE message"),
        (plainly(302, location="http://127.0.0.1:1/else"), "Redirect to http://127.0.0.1:1/else not followed"),
        (plainly(202), "server answered a request with 202 Accepted"),
    ],
)
async def test_endpoint_that_does_not_speak_mcp(app: App, reason: str) -> None:
    """An endpoint that refuses or answers nonsense is down, with one bounded line that says so."""
    async with served(app) as url, connection(url) as far:
        outcome = await far.call("tell", {})

    assert (outcome.is_error, outcome.code, outcome.attempts) == (True, "unavailable", 0)
    assert reason.format(url=url) in outcome.text
    assert "\n" not in outcome.text
    assert len(outcome.text) < 600


async def test_compressed_answer() -> None:
    """A server that compresses although it was asked not to is refused: nobody can tell what it would unpack to."""
    bomb = gzip.compress(b" " * 1_000_000)
    app = plainly(200, bomb, b"application/json", **{"content-encoding": "gzip"})
    async with served(app) as url, connection(url) as far:
        outcome = await far.call("tell", {})

    assert (outcome.code, outcome.attempts) == ("unavailable", 0)
    assert "the answer is compressed, although it was asked not to be" in outcome.text


async def test_proxy_of_the_environment_is_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable does not come between opsroom and a server on loopback."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with served(clock().http_app()) as url, connection(url) as far:
        outcome = await far.call("tell", {})

    assert outcome.text == "time of clock"


async def test_nothing_listens() -> None:
    """A port on which nothing listens is named with what to do."""
    async with served(plainly(200)) as url:
        pass
    async with connection(url) as far:
        outcome = await far.call("tell", {})

    assert outcome.text == f"far is unavailable: nothing answers at {url}; start it, or correct servers.far.url"


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
async def test_port_that_speaks_something_else(said: bytes) -> None:
    """A port that hangs up, or speaks another protocol, is a reason and not a traceback."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    async with server, connection(url) as far:
        outcome = await far.call("tell", {})

    assert (outcome.code, outcome.attempts) == ("unavailable", 0)
    assert outcome.text.startswith("far is unavailable: ")


async def test_endpoint_that_never_answers() -> None:
    """An endpoint that takes the request and says nothing ends at connect_timeout."""
    never = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    async with server, connection(url, connect_timeout=0.3) as far:
        outcome = await far.call("tell", {})
        never.set()

    assert outcome.text == "far is unavailable: no answer to the MCP handshake within 0.3 s"


@pytest.mark.parametrize("era", [modern, legacy])
async def test_server_restarted_while_idle(era: Callable[[App], App]) -> None:
    """A server that was restarted on the same port answers the next call, a write too: it knows that it did not run it."""
    async with contextlib.AsyncExitStack() as stack:
        async with served(era(clock("one").http_app())) as url:
            far = await stack.enter_async_context(connection(url))
            await far.call("tell", {})
        await stack.enter_async_context(served(era(clock("two").http_app()), port_of(url)))
        write = await far.call("wind", {})
        read = await far.call("tell", {})

    assert (write.text, write.is_error) == ("wound", False)
    assert read.text == "time of two"


async def test_server_with_subscriptions_that_goes_away_while_idle() -> None:
    """The end of its stream of announcements tells that the server is gone, before anybody calls."""
    server = MCPServer("live")
    server.add_tool(lambda: "old", name="old")
    async with contextlib.AsyncExitStack() as stack:
        async with served(server.streamable_http_app()) as url:
            far = await stack.enter_async_context(connection(url, Pace(first=0.01, longest=0.05, check=0.5)))
            await far.settle(WAIT)
        noticed = await far.until(lambda: not far.up, WAIT)
        await stack.enter_async_context(served(MCPServer("live").streamable_http_app(), port_of(url)))
        back = await far.until(lambda: far.up, WAIT)
        state = far.state

    assert (noticed, back) == (True, True)
    assert (state.changes, state.restarts) == ((ToolChange("removed", "old"),), 1)


@pytest.mark.parametrize("url", ["http://", "http://[::1/mcp", "http://127.0.0.1:99999/mcp", "http://no-such-host.invalid/mcp"])
async def test_url_that_leads_nowhere(url: str) -> None:
    """A URL that no connection can be made to is a reason and not a traceback."""
    async with connection(url) as far:
        outcome = await far.call("tell", {})

    assert (outcome.code, outcome.attempts) == ("unavailable", 0)
    assert outcome.text.startswith("far is unavailable: ")
    assert len(outcome.text) < 300


async def test_server_away_for_a_while() -> None:
    """While it is away calls say so; it is back for the next call without anybody's help."""
    async with served(clock("one").http_app()) as url:
        far = Connection("far", ServerSettings(url=url, capabilities=("x",)), pace=Pace(first=0.01, longest=0.05, reconnect=0.3))
        await far.call("tell", {})
    away = await far.call("tell", {})
    await far.until(lambda: far.known_down, WAIT)
    still_away = await far.call("tell", {})
    async with served(clock("two").http_app(), port_of(url)):
        back = await far.until(lambda: far.up, WAIT)
        there = await far.call("tell", {})
        await far.aclose()

    assert (away.is_error, away.code, away.retryable) == (True, "unavailable", True)
    assert f"nothing answers at {url}" in still_away.text
    assert (back, there.text) == (True, "time of two")


async def test_server_gone_during_a_call() -> None:
    """A call that is under way when the server goes away ends; a read is repeated once the server is back."""
    async with served(clock("one").http_app()) as url:
        far = Connection("far", ServerSettings(url=url, capabilities=("x",), call_timeout=WAIT), pace=QUICK)
        await far.settle(WAIT)
        call = asyncio.create_task(far.call("wait", {}))
        await asyncio.wait({call}, timeout=0.1)
    gone = FastMCP("two")
    gone.tool(lambda: "back", name="wait", annotations=READ)
    async with served(gone.http_app(), port_of(url)):
        outcome = await call
        await far.aclose()

    assert (outcome.text, outcome.is_error, outcome.attempts) == ("back", False, 2)


async def test_32_concurrent_calls() -> None:
    """32 calls at once over one session are each answered with their own answer."""
    async with served(clock().http_app()) as url, connection(url) as far:
        outcomes = await asyncio.gather(*(far.call("tell", {"what": str(n)}) for n in range(32)))

    assert [outcome.text for outcome in outcomes] == [f"{n} of clock" for n in range(32)]


async def test_answer_beyond_the_limit_of_a_message() -> None:
    """A 10 MB answer is refused before it is read as a whole, and the session survives."""
    async with served(clock().http_app()) as url, connection(url) as far:
        outcome = await far.call("large", {"size": 10_000_000})
        streamed = await far.call("large", {"size": 10_000_000, "progress": True})
        allowed = await far.call("large", {"size": 4_000_000, "progress": True})
        after = await far.call("tell", {})

    assert (outcome.is_error, outcome.code) == (True, "too_large")
    assert "larger than 8 MiB" in outcome.text
    assert (streamed.is_error, streamed.code) == (True, "too_large")
    assert (allowed.is_error, allowed.truncated) == (False, True)
    assert (after.text, far.state.restarts) == ("time of clock", 0)


async def test_progress_reaches_the_caller() -> None:
    """A tool's progress arrives while it runs, cleaned."""
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(done: float, total: float | None, message: str | None) -> None:
        seen.append((done, total, message))

    async with served(clock().http_app()) as url, connection(url) as far:
        await far.call("large", {"size": 1, "progress": True}, progress=note)

    assert seen == [(1, 2, "half")]


async def test_announced_change_takes_effect_in_the_modern_era() -> None:
    """A server with subscriptions announces a new tool, and it is there without a reconnect."""
    server = MCPServer("live")
    server.add_tool(lambda: "old", name="old")

    @server.tool()
    async def grow() -> str:
        server.add_tool(lambda: "new", name="new")
        return "grown"

    async with served(server.streamable_http_app()) as url, connection(url, Pace(fresh=600)) as far:
        await far.settle(WAIT)
        await far.call("grow", {})
        listed = await far.until(lambda: far.listing.find("new") is not None, WAIT)
        state = far.state

    assert listed
    assert (state.protocol_version, state.restarts) == ("2026-07-28", 0)
    assert state.changes == (ToolChange("added", "new"),)


async def test_announced_change_takes_effect_in_the_legacy_era() -> None:
    """A session of the legacy era hears the notification on its stream."""
    server = clock()

    async def grow(context: Context) -> str:
        server.tool(lambda: "new", name="new")
        await context.send_notification(ToolListChangedNotification())
        return "grown"

    server.tool(grow)
    async with served(legacy(server.http_app())) as url, connection(url, Pace(fresh=600)) as far:
        await far.settle(WAIT)
        await far.call("grow", {})
        listed = await far.until(lambda: far.listing.find("new") is not None, WAIT)

    assert listed
    assert far.state.changes == (ToolChange("added", "new"),)


async def test_change_of_a_server_that_announces_nothing() -> None:
    """Where no announcement comes, the new tool is found on use once the listing has aged."""
    server = clock()
    async with served(server.http_app()) as url, connection(url, Pace(fresh=0)) as far:
        await far.settle(WAIT)
        server.tool(lambda: "new", name="new")
        await far.keep_fresh(WAIT)

    assert far.listing.find("new") is not None


async def test_tool_that_breaks_its_own_output_schema() -> None:
    """An answer that breaks the tool's output schema is that call's error and costs no reconnect."""
    server = clock()
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    async def lie() -> ToolResult:
        """Lies."""
        return ToolResult(content="x", structured_content={"n": "not a number"})

    server.tool(lie, output_schema=schema, annotations=READ)
    async with served(server.http_app()) as url, connection(url) as far:
        outcome = await far.call("lie", {})
        after = await far.call("tell", {})

    assert (outcome.is_error, outcome.code) == (True, "unavailable")
    assert "outside the protocol" in outcome.text
    assert (after.text, far.state.restarts) == ("time of clock", 0)


async def test_error_details_of_a_tool() -> None:
    """The code and retryable of an error's structured content are the outcome's."""
    server = clock()

    async def throttle() -> ToolResult:
        """Says no."""
        return ToolResult(content="Too fast.", structured_content={"code": "rate_limited", "retryable": True}, is_error=True)

    server.tool(throttle)
    async with served(server.http_app()) as url, connection(url) as far:
        outcome = await far.call("throttle", {})

    assert (outcome.text, outcome.is_error, outcome.code, outcome.retryable) == ("Too fast.", True, "rate_limited", True)


@pytest.mark.parametrize("era", [modern, legacy])
async def test_closing_leaves_nothing_behind(era: Callable[[App], App]) -> None:
    """Twenty connections, used and closed, leave no task and no descriptor."""
    async with served(era(clock().http_app())) as url:
        async with connection(url) as warm_up:
            await warm_up.call("tell", {})
        tasks, before = clients_tasks(), descriptors()
        for _ in range(20):
            async with connection(url) as far:
                await far.call("tell", {})
        after = clients_tasks()
    left = descriptors()

    assert after == tasks
    assert left <= before

"""Deployments that another server tells over MCP."""

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import McpChanges
from opsroom_monitoring.sources.changes import McpHistory
from opsroom_shared.errors import NotPermitted, TimedOut, ToolFailure, Unavailable
from opsroom_shared.testing.process import ServerProcess, server_process

from ..scripted import Answer
from ..scripted import scripted as scripted_http

HOUR = Window(datetime(2025, 11, 24, 11, 0, tzinfo=UTC), datetime(2025, 11, 24, 12, 0, tzinfo=UTC))
TOKEN = "of-no-account-at-all"  # noqa: S105 - of no account
Connect = Callable[..., McpHistory]


@pytest.fixture
async def connect() -> AsyncGenerator[Connect]:
    """Makes sources; keyword arguments are settings. When they are closed, no child of theirs is left."""
    made: list[McpHistory] = []

    def connected(**settings: object) -> McpHistory:
        made.append(McpHistory("deployments", McpChanges.model_validate({"kind": "mcp", "seconds": 60, **settings})))
        return made[-1]

    before = children()
    yield connected
    for source in made:
        await source.aclose()
    assert children() <= before


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


def lately() -> Window:
    """The window in which the demo that a test has just started was deployed."""
    now = datetime.now(UTC)
    return Window(now - timedelta(hours=1), now + timedelta(minutes=5))


def deployments() -> str:
    found = shutil.which("opsroom-deployments", path=str(Path(sys.executable).parent)) or shutil.which("opsroom-deployments")
    if found is None:
        pytest.skip("opsroom-deployments is not installed")
    return found


def scripted(behaviour: str) -> tuple[str, ...]:
    return (sys.executable, str(Path(__file__).with_name("history_server.py")), behaviour)


async def test_the_deployments_server_tells_its_history(connect: Connect, tmp_path: Path) -> None:
    """The real server, as a child: what it has released, the newest first, and narrowed to a service and a window."""
    source = connect(command=(deployments(), "--demo", "--state", str(tmp_path)))

    assert await source.ready() is None
    found = await source.changes(lately(), None)
    assert {(each.service, each.environment, each.release, each.outcome) for each in found} == {
        ("checkout", "production", "1.4.0", "succeeded"),
        ("checkout", "production", "1.4.1", "succeeded"),
        ("checkout", "staging", "1.4.1", "succeeded"),
    }
    assert [each.at for each in found] == sorted((each.at for each in found), reverse=True)
    assert {(each.source, each.by, (each.deployment_id or "")[:4]) for each in found} == {("deployments", "demo", "dep-")}
    assert await source.changes(lately(), "checkout") == found
    assert await source.changes(lately(), "cart") == []
    assert await source.changes(HOUR, None) == []


@asynccontextmanager
async def served(address: str, state: Path) -> AsyncGenerator[ServerProcess]:
    """The deployments server over HTTP, ready."""
    command = [deployments(), "--demo", "--state", str(state), "--http", address]
    async with server_process(command, env={"OPSROOM_DEPLOYMENTS_TOKEN": TOKEN}) as server:
        await server.logged("listens on")
        yield server


async def test_history_over_http_survives_a_restart(connect: Connect, tmp_path: Path) -> None:
    """With its token the server answers over HTTP; down it is a failure, and when it is back it is asked again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    source = connect(url=f"http://{address}/mcp", token=TOKEN)

    async with served(address, tmp_path):
        before = await source.changes(lately(), None)
        with pytest.raises(NotPermitted, match="does not accept the token"):
            await connect(url=f"http://{address}/mcp", token="another-token-entirely").changes(lately(), None)  # noqa: S106 - the wrong one
    with pytest.raises(Unavailable, match="deployments cannot be reached"):
        await source.changes(lately(), None)
    async with served(address, tmp_path):
        after = await source.changes(lately(), None)

    assert len(before) == 3
    assert set(map(str, before)) <= set(map(str, after))


async def test_connection_is_kept_and_made_anew(connect: Connect) -> None:
    """One child answers all questions; when it has died, the next question starts another one."""
    others = children()
    source = connect(command=scripted("well"))
    await source.changes(HOUR, None)
    (child,) = children() - others
    await source.changes(HOUR, None)
    kept = children() - others
    psutil.Process(child).kill()
    found = await source.changes(HOUR, None)
    (another,) = children() - others

    assert kept == {child}
    assert another != child
    assert len(found) == 250


async def test_all_pages_are_read_and_cleaned(connect: Connect) -> None:
    """A history of several pages is one list; what it says is outside text; a rollback is told as one."""
    source = connect(command=scripted("well"))

    found = await source.changes(HOUR, "shop")

    assert [each.deployment_id for each in found] == [f"dep-{number}" for number in range(249, -1, -1)]
    assert (found[0].release, found[0].outcome) == ("1.249", "rollback succeeded")
    assert (found[-1].release, found[-1].outcome) == ("1.0", "succeeded")


async def test_pages_without_end_are_ended(connect: Connect) -> None:
    """A server that always has another page is asked for ten."""
    assert len(await connect(command=scripted("endless")).changes(HOUR, None)) == 10


@pytest.mark.parametrize(("named", "by"), [((), "nobody"), (("HISTORY_BY", "NOT_THERE"), "ann")])
async def test_child_gets_the_variables_that_are_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...], by: str
) -> None:
    """The environment of this server, which may hold its tokens, is not the child's; what is named is passed on."""
    monkeypatch.setenv("HISTORY_BY", "ann")

    found = await connect(command=scripted("well"), environment=named).changes(HOUR, None)

    assert {each.by for each in found} == {by}


@pytest.mark.parametrize(
    ("behaviour", "failure", "words"),
    [
        ("fails", Unavailable, r"did not tell its history: .*locked by token=\*\*\*"),
        ("another form", Unavailable, r"another form \(changes.0.at"),
        ("no tool", Unavailable, "another_tool|not tell|Unknown tool|cannot be reached"),
        ("dies", Unavailable, "cannot be reached"),
    ],
)
async def test_failures_are_told(connect: Connect, behaviour: str, failure: type[ToolFailure], words: str) -> None:
    """A server that fails, answers something else or dies is a failure in its own words, without secrets."""
    with pytest.raises(failure, match=words):
        await connect(command=scripted(behaviour)).changes(HOUR, None)


async def test_server_without_the_tool_is_not_ready(connect: Connect) -> None:
    """Readiness needs the tool, not only a connection."""
    assert await connect(command=scripted("no tool")).ready() == "deployments has no tool deployment_history"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"command": ("no-such-program-anywhere",)}, "No such file"),
        ({"command": (sys.executable, "-c", "raise SystemExit(3)")}, "cannot be reached"),
        ({"url": "http://127.0.0.1:9/mcp"}, "cannot be reached"),
    ],
)
async def test_what_cannot_be_reached_is_not_ready(connect: Connect, settings: dict[str, object], words: str) -> None:
    """A program that is missing or ends, and an address where nothing listens, are told, and nothing is raised."""
    assert words in str(await connect(**settings).ready())


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (Answer(text="x" * (9 << 20)), Unavailable, "larger than 8,388,608 bytes"),
        (Answer(text="<html>Log in</html>", content_type="text/html"), Unavailable, "content type: text/html"),
        (Answer(text="x", headers={"Content-Encoding": "gzip"}), Unavailable, "is compressed"),
        (Answer(text="no", status=403, content_type="text/plain"), NotPermitted, r"HTTP 403"),
        (Answer(text="no", status=500, content_type="text/plain"), Unavailable, r"HTTP 500"),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:9/login"}), Unavailable, "not followed"),
    ],
)
async def test_address_that_speaks_no_mcp_is_told(
    connect: Connect, answer: Answer, failure: type[ToolFailure], words: str
) -> None:
    """A page, a flood, a packed answer or a refusal, where MCP should be, is a failure; the token goes nowhere else."""
    with scripted_http() as server:
        server.answer("POST /mcp", answer)
        server.answer("GET /mcp", answer)
        with pytest.raises(failure, match=words):
            await connect(url=f"{server.url}/mcp", token=TOKEN, seconds=30).changes(HOUR, None)


async def test_hanging_server_is_given_up_in_time(connect: Connect) -> None:
    """A server that never answers costs the time that is set, not more, and its child ends."""
    source = connect(command=scripted("hangs"), seconds=3)
    async with asyncio.timeout(60):
        while await source.ready() is not None:
            pass  # a busy machine may take longer to start it than a call may take

    with pytest.raises(TimedOut, match="did not answer within 3 s"):
        await source.changes(HOUR, None)


async def test_mute_program_is_given_up_in_time(connect: Connect) -> None:
    """A program that says nothing has not started."""
    with pytest.raises(TimedOut, match=r"did not start within 0\.5 s"):
        await connect(command=(sys.executable, "-c", "import sys; sys.stdin.read()"), seconds=0.5).changes(HOUR, None)


async def test_slow_start_goes_on_behind_a_caller_who_left(connect: Connect) -> None:
    """Who does not wait for a start leaves it running: the next caller finds the server started."""
    others = children()
    source = connect(command=scripted("well"))
    first = asyncio.create_task(source.changes(HOUR, None))
    async with asyncio.timeout(30):
        while not children() - others:  # noqa: ASYNC110 - a child that starts sets no event
            await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    started = children() - others

    found = await source.changes(HOUR, None)

    assert first.cancelled()
    assert len(found) == 250
    assert children() - others == started

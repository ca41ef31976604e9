"""The contract that every server of the suite keeps, checked on real processes."""

import asyncio
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from opsroom_shared.testing.contract import contract_problems, listing_tokens
from opsroom_shared.testing.process import Era, Json, server_process
from suite import SERVERS, Server

READ = {
    "databases": {
        "list_databases",
        "search_schema",
        "describe_table",
        "run_query",
        "explain_query",
        "database_health",
        "top_queries",
    },
    "code_review": {"find_changes", "get_change", "read_diff", "read_file", "list_threads", "get_checks", "find_tasks"},
    "deployments": {"deployment_status", "deployment_history", "release_logs", "plan_deployment", "watch_deployment"},
    "monitoring": {
        "system_overview",
        "find_telemetry",
        "query_metrics",
        "plot_metrics",
        "list_alerts",
        "what_changed",
        "search_logs",
    },
}
WRITE = {
    "databases": {"run_write"},
    "code_review": {"submit_review", "reply_thread", "edit_change", "save_task"},
    "deployments": {"apply_deployment", "rollback_deployment", "define_service"},
    "monitoring": {"silence_alert"},
}
PICTURES = {"plot_metrics"}
TOKENS = {"databases": 2_600, "code_review": 2_600, "deployments": 1_500, "monitoring": 1_600}


@dataclass(frozen=True)
class Seen:
    """What one process of a server showed from its start to its end."""

    tools: list[Json]
    wrong: Json
    status: int
    log: str


RUNS: dict[str, tuple[list[str], Era, signal.Signals | Literal["eof"]]] = {
    "demo": (["--demo"], "modern", "eof"),
    "legacy": (["--demo"], "legacy", signal.SIGTERM),
    "writes": (["--demo", "--allow-writes"], "modern", signal.SIGINT),
}
_seen: dict[Server, dict[str, Seen]] = {}


@pytest.fixture(params=SERVERS, ids=str)
def server(request: pytest.FixtureRequest) -> Server:
    return request.param


@pytest.fixture
def seen(server: Server, state: Path) -> dict[str, Seen]:
    """What *server* shows in each way of running it; each is run once."""
    if server not in _seen:
        _seen[server] = asyncio.run(look_at(server, state))
    return _seen[server]


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


async def look_at(server: Server, state: Path) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    for name, (flags, era, how) in RUNS.items():
        async with server_process([server.script, *flags, "--state", state / server.name], era=era, cwd=state) as process:
            await process.handshake()
            tools = await process.list_tools()
            wrong = await process.call(str(tools[0]["name"]), no_such_argument="hunter2")
            found[name] = Seen(tools, wrong, await process.stop(how), process.log)
    return found


def names(tools: list[Json]) -> set[str]:
    return {str(tool["name"]) for tool in tools}


def test_tools_are_the_suites(server: Server, seen: dict[str, Seen]) -> None:
    """A server lists the tools of its own row of the suite's table, and write tools only where they are allowed."""
    assert names(seen["demo"].tools) == READ[server.name]
    assert names(seen["writes"].tools) == READ[server.name] | WRITE[server.name]


def test_tools_keep_the_contract(seen: dict[str, Seen]) -> None:
    """Names, descriptions, parameters, annotations and output schemas are as every client may expect."""
    assert contract_problems(seen["writes"].tools, pictures=PICTURES) == []


def test_tools_say_whether_they_only_read(server: Server, seen: dict[str, Seen]) -> None:
    """The read-only hint is true for the tools of the table's read column, and for no other."""
    hints = {str(tool["name"]): tool["annotations"] for tool in seen["writes"].tools}
    reading = {name for name, hint in hints.items() if isinstance(hint, dict) and hint["readOnlyHint"]}

    assert reading == names(seen["writes"].tools) & READ[server.name]


def test_listing_is_cheap(server: Server, seen: dict[str, Seen]) -> None:
    """The whole list stays within its server's budget of tokens."""
    assert listing_tokens(seen["writes"].tools) <= TOKENS[server.name]


def test_both_eras_are_told_the_same(seen: dict[str, Seen]) -> None:
    """A client of the legacy era sees the tools that a modern one sees."""
    assert seen["legacy"].tools == seen["demo"].tools


@pytest.mark.parametrize("run", RUNS)
def test_unknown_argument_is_refused(seen: dict[str, Seen], run: str) -> None:
    """An argument that a tool does not have is an error with a code, and its value is not echoed."""
    wrong = seen[run].wrong

    assert wrong["isError"] is True
    assert wrong["structuredContent"] == {"code": "invalid_input", "retryable": False}
    assert "no_such_argument" in str(wrong["content"])
    assert "hunter2" not in str(wrong["content"])


@pytest.mark.parametrize("run", RUNS)
def test_server_stops_cleanly(seen: dict[str, Seen], run: str) -> None:
    """EOF, SIGTERM and SIGINT each end the server with status 0 and without a word of complaint."""
    assert (seen[run].status, seen[run].log) == (0, "")


def test_tool_names_are_unique_over_the_suite(state: Path) -> None:
    """No two servers have a tool of the same name."""
    for server in SERVERS:
        _seen.setdefault(server, asyncio.run(look_at(server, state)) if server not in _seen else _seen[server])
    listed = [name for server in SERVERS for name in names(_seen[server]["writes"].tools)]

    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_server_says_what_it_is(server: Server, flag: str) -> None:
    """--help and --version answer on stdout and exit with 0."""
    done = subprocess.run([server.script, flag], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert server.distribution in done.stdout


async def test_server_over_http(server: Server, state: Path) -> None:
    """Over HTTP the same tools are listed, and the two probes answer."""
    command = [server.script, "--demo", "--http", "127.0.0.1:0", "--state", state / server.name]
    async with server_process(command, cwd=state) as process:
        url = (await process.logged(r"http://\S+/mcp"))[0]
        async with httpx2.AsyncClient() as http:
            alive = await http.get(url.replace("/mcp", "/healthz"))
            ready = await http.get(url.replace("/mcp", "/readyz"), timeout=60)
        async with Client(StreamableHttpTransport(url), init_timeout=30, timeout=30) as client:
            listed = {tool.name for tool in await client.list_tools()}
        status = await process.stop(signal.SIGTERM)

    assert alive.json() == {"status": "ok"}
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert listed
    assert listed <= READ[server.name]
    assert status == 0

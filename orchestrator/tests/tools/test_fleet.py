"""All servers of a workspace side by side, from real files, with real children."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from opsroom.settings import Workspace
from opsroom.tools.fleet import Fleet
from opsroom.tools.state import Pace
from opsroom_shared.config import ConfigError

SERVERS = Path(__file__).parent / "servers"
WAIT = 60
QUICK = Pace(first=0.01, longest=0.05, check=5)


class Place:
    """A workspace folder that a test fills with servers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = Workspace(root, root / "opsroom.toml")
        self.configure({})

    def configure(self, servers: Mapping[str, str]) -> None:
        """Writes opsroom.toml with these tables."""
        tables = "".join(f"[servers.{name}]\n{table}" for name, table in servers.items())
        (self.root / "opsroom.toml").write_text(tables or "[servers]\n")

    def drop(self, file: str, text: str) -> Path:
        folder = self.root / "servers.d"
        folder.mkdir(exist_ok=True)
        (folder / file).write_text(text)
        return folder / file

    def raw(self, name: str, capability: str = "databases", mode: str = "", more: str = "") -> str:
        """The table of a raw server that writes its pids into the folder *name*."""
        (self.root / name).mkdir(exist_ok=True)
        command = [sys.executable, str(SERVERS / "raw.py"), str(self.root / name), mode]
        # the second capability is for tests that start some servers before others
        capabilities = [capability, name]
        return f"command = {json.dumps(command)}\ncapabilities = {json.dumps(capabilities)}\nconnect_timeout = {WAIT}\n{more}\n"

    def pids(self, name: str) -> list[int]:
        path = self.root / name / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def all_pids(self) -> list[int]:
        return [int(line) for path in self.root.glob("*/pids") for line in path.read_text().split()]

    def fleet(self) -> Fleet:
        return Fleet(self.workspace, pace=QUICK)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def gone(*pids: int) -> None:
    async with asyncio.timeout(WAIT):
        while any(running(pid) for pid in pids):  # noqa: ASYNC110 - somebody else's process has no event
            await asyncio.sleep(0.01)


async def test_only_the_servers_that_are_needed_are_started(place: Place) -> None:
    """A request starts the servers with one of its capabilities, and no others."""
    place.configure({"one": place.raw("one", "databases"), "two": place.raw("two", "monitoring")})
    async with place.fleet() as fleet:
        before = await fleet.status(connect=False)
        offer = await fleet.tools_for({"databases", "unknown"}, wait=WAIT)
        after = await fleet.status(connect=False)

    assert [state.status for state in before] == ["idle", "idle"]
    assert {tool.server for tool in offer.tools} == {"one"}
    assert offer.down == {}
    assert [(state.name, state.status) for state in after] == [("one", "up"), ("two", "idle")]
    assert place.pids("two") == []


async def test_tool_is_called_on_its_server(place: Place) -> None:
    """A tool of the catalogue carries what the listing says, and answers from its own server."""
    place.configure({"one": place.raw("one")})
    async with place.fleet() as fleet:
        offer = await fleet.tools_for({"databases"}, wait=WAIT)
        tools = {tool.name: tool for tool in offer.tools}
        outcome = await fleet.call(tools["echo"], {"text": "hello"})

    assert (outcome.text, outcome.server, outcome.tool) == ("hello", "one", "echo")
    assert (tools["echo"].read_only, tools["echo"].idempotent, tools["echo"].destructive) == (True, True, False)
    assert (tools["write_and_die"].read_only, tools["write_and_die"].idempotent) == (False, False)
    assert tools["write_and_die"].destructive
    assert tools["echo"].input_schema == {"type": "object", "properties": {"text": {"type": "string"}}}


async def test_dead_and_hanging_servers_next_to_a_live_one(place: Place) -> None:
    """The live server's tools come, with one line on each of the others."""
    place.configure(
        {
            "hangs": place.raw("hangs", mode="hangs"),
            "dies": place.raw("dies", mode="dies"),
            "missing": 'command = ["opsroom-monitoring-x"]\ncapabilities = ["databases", "missing"]\n',
            "refused": 'url = "http://127.0.0.1:1/mcp"\ncapabilities = ["databases", "refused"]\n',
            "live": place.raw("live"),
        }
    )
    async with place.fleet() as fleet:
        await fleet.tools_for({"live", "dies", "missing", "refused"}, wait=WAIT)
        offer = await fleet.tools_for({"databases"}, wait=0.3)
        echo = next(tool for tool in offer.tools if tool.name == "echo")
        outcome = await fleet.call(echo, {"text": "still fine"})

    assert {tool.server for tool in offer.tools} == {"live"}
    assert set(offer.down) == {"hangs", "dies", "missing", "refused"}
    assert offer.down["hangs"] == "it is still starting"
    assert "cannot open the database" in offer.down["dies"]
    assert "not found on PATH" in offer.down["missing"]
    assert "nothing answers at http://127.0.0.1:1/mcp" in offer.down["refused"]
    assert outcome.text == "still fine"
    assert not any(running(pid) for pid in place.all_pids())


async def test_slow_start_next_to_a_fast_one(place: Place) -> None:
    """A server that is not ready in time is missing from one request and there for the next, on the same start."""
    place.configure({"slow": place.raw("slow", mode="late"), "fast": place.raw("fast")})
    async with place.fleet() as fleet:
        await fleet.tools_for({"fast"}, wait=WAIT)
        first = await fleet.tools_for({"databases"}, wait=0.3)
        (place.root / "slow" / "go").touch()
        second = await fleet.tools_for({"databases"}, wait=WAIT)

    assert ({tool.server for tool in first.tools}, set(first.down)) == ({"fast"}, {"slow"})
    assert ({tool.server for tool in second.tools}, set(second.down)) == ({"slow", "fast"}, set())
    assert (len(place.pids("slow")), len(place.pids("fast"))) == (1, 1)


async def test_same_tool_on_two_servers(place: Place) -> None:
    """Both are reachable, and they come in the order of the configuration."""
    place.configure({"zebra": place.raw("zebra"), "ant": place.raw("ant")})
    async with place.fleet() as fleet:
        offer = await fleet.tools_for({"databases"}, wait=WAIT)
        again = await fleet.tools_for({"databases"}, wait=WAIT)
        echoes = [tool for tool in offer.tools if tool.name == "echo"]
        outcomes = [await fleet.call(tool, {"text": tool.server}) for tool in echoes]

    assert [tool.server for tool in echoes] == ["zebra", "ant"]
    assert [(outcome.server, outcome.text) for outcome in outcomes] == [("zebra", "zebra"), ("ant", "ant")]
    assert again.tools == offer.tools


async def test_dropped_file_takes_effect_at_the_next_request(place: Place) -> None:
    """A file put into servers.d is a server at the next refresh; taken away, the server and its child are gone."""
    place.configure({"one": place.raw("one")})
    async with place.fleet() as fleet:
        await fleet.tools_for({"databases"}, wait=WAIT)
        file = place.drop("two.toml", f"[servers.two]\n{place.raw('two')}")
        fleet.refresh()
        with_it = await fleet.tools_for({"databases"}, wait=WAIT)
        echo = next(tool for tool in with_it.tools if tool.server == "two")
        file.unlink()
        fleet.refresh()
        without_it = await fleet.tools_for({"databases"}, wait=WAIT)
        late = await fleet.call(echo, {})
        await gone(*place.pids("two"))

    assert {tool.server for tool in with_it.tools} == {"one", "two"}
    assert {tool.server for tool in without_it.tools} == {"one"}
    assert (late.is_error, late.code, late.text) == (True, "not_found", "The server two is no longer configured.")
    assert len(place.pids("one")) == 1


async def test_only_what_changed_is_restarted(place: Place) -> None:
    """A changed entry restarts its server; the others keep their sessions."""
    place.configure({"one": place.raw("one")})
    file = place.drop("two.toml", f"[servers.two]\n{place.raw('two')}")
    async with place.fleet() as fleet:
        await fleet.tools_for({"databases"}, wait=WAIT)
        file.write_text(f"[servers.two]\n{place.raw('two', more='call_timeout = 7')}")
        fleet.refresh()
        offer = await fleet.tools_for({"databases"}, wait=WAIT)
        await gone(place.pids("two")[0])

    assert {tool.server for tool in offer.tools} == {"one", "two"}
    assert (len(place.pids("one")), len(place.pids("two"))) == (1, 2)


async def test_refresh_without_a_change_does_nothing(place: Place) -> None:
    """However often it is called, sessions stay as they are."""
    place.configure({"one": place.raw("one")})
    place.drop("two.toml", f"[servers.two]\n{place.raw('two')}")
    async with place.fleet() as fleet:
        for _ in range(20):
            fleet.refresh()
            await fleet.tools_for({"databases"}, wait=WAIT)

    assert (len(place.pids("one")), len(place.pids("two"))) == (1, 1)


async def test_call_in_flight_on_a_server_that_is_removed(place: Place) -> None:
    """It ends with an outcome, and nothing waits for it."""
    file = place.drop("one.toml", f"[servers.one]\n{place.raw('one')}")
    async with place.fleet() as fleet:
        offer = await fleet.tools_for({"databases"}, wait=WAIT)
        wedge = next(tool for tool in offer.tools if tool.name == "wedge")
        call = asyncio.create_task(fleet.call(wedge, {}))
        await _written(place.root / "one" / "calls.wedge")
        file.unlink()
        fleet.refresh()
        outcome = await call

    assert (outcome.is_error, outcome.code) == (True, "unavailable")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[servers.two", "servers.d/two.toml: not valid TOML: "),
        ("[servers.two]\ncapabilities = ['x']\n", "expected either `command` (a list of words) or `url`, and not both"),
        ("[servers.two]\nurl = 'http://x/mcp'\ncapabilities = ['x']\ncolour = 1\n", ":4: servers.two.colour: unknown key"),
        ("[servers.one]\nurl = 'http://x/mcp'\ncapabilities = ['x']\n", "servers.one: the name is taken; choose another"),
    ],
)
async def test_broken_file_in_servers_d(place: Place, text: str, problem: str) -> None:
    """It is a problem that the status names, it harms nobody, and it is gone once the file is right."""
    place.configure({"one": place.raw("one")})
    file = place.drop("two.toml", text)
    async with place.fleet() as fleet:
        states = await fleet.status(connect=True)
        file.write_text(f"[servers.two]\n{place.raw('two')}")
        fleet.refresh()
        repaired = await fleet.status(connect=True)

    assert [(state.name, state.status) for state in states] == [("one", "up"), ("servers.d/two.toml", "down")]
    assert problem in (states[1].last_error or "")
    assert [(state.name, state.status) for state in repaired] == [("one", "up"), ("two", "up")]
    assert len(place.pids("one")) == 1


async def test_configuration_that_breaks_while_it_runs(place: Place) -> None:
    """What was configured stays, the status names the problem, and a right file takes it away."""
    place.configure({"one": place.raw("one")})
    async with place.fleet() as fleet:
        await fleet.tools_for({"databases"}, wait=WAIT)
        (place.root / "opsroom.toml").write_text("[servers.one\n")
        fleet.refresh()
        offer = await fleet.tools_for({"databases"}, wait=WAIT)
        broken = await fleet.status(connect=False)
        place.configure({"one": place.raw("one"), "two": place.raw("two")})
        fleet.refresh()
        repaired = await fleet.status(connect=True)

    assert {tool.server for tool in offer.tools} == {"one"}
    assert [(state.name, state.status) for state in broken] == [("one", "up"), ("opsroom.toml", "down")]
    assert "opsroom.toml: not valid TOML" in (broken[1].last_error or "")
    assert [state.name for state in repaired] == ["one", "two"]
    assert len(place.pids("one")) == 1


async def test_configuration_that_is_broken_at_the_start(place: Place) -> None:
    """It ends the start with where and what, before anything runs."""
    (place.root / "opsroom.toml").write_text("[servers.one]\ncommand = 'a string'\n")

    with pytest.raises(ConfigError, match=r"opsroom\.toml:2: servers\.one\.command: "):
        await place.fleet().__aenter__()


async def test_status_asks_every_server_side_by_side(place: Place) -> None:
    """With connect, each server is started and listed; one that hangs costs no more than the wait."""
    place.configure({"hangs": place.raw("hangs", mode="hangs"), "one": place.raw("one"), "dies": place.raw("dies", mode="dies")})
    async with place.fleet() as fleet:
        await fleet.tools_for({"one", "dies"}, wait=WAIT)
        states = {state.name: state for state in await fleet.status(connect=True, wait=0.3)}

    assert (states["hangs"].status, states["one"].status) == ("connecting", "up")
    assert "echo" in states["one"].tools
    assert states["dies"].last_error is not None
    assert states["dies"].stderr == ("cannot open the database: password=*** is wrong",)


async def test_status_finds_out_about_a_server_that_no_longer_answers(place: Place) -> None:
    """Asked for its state, a server that stopped answering is not shown as it was, and is started again."""
    place.configure({"one": place.raw("one")})
    async with place.fleet() as fleet:
        await fleet.tools_for({"databases"}, wait=WAIT)
        os.kill(place.pids("one")[0], signal.SIGSTOP)
        states = await fleet.status(connect=True, wait=WAIT)

    assert (states[0].status, states[0].restarts) == ("up", 1)
    assert not any(running(pid) for pid in place.all_pids())


async def test_environment_of_a_child(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child sees the allow-list, what pass_env and env name, and no secret of ours."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "opsroom")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/x")  # noqa: S108 - it is never opened
    more = 'pass_env = ["DATABASE_URL", "NOT_SET"]\nenv = { MODE = "test" }\n'
    place.configure({"one": place.raw("one", more=more)})
    async with place.fleet() as fleet:
        offer = await fleet.tools_for({"databases"}, wait=WAIT)
        variables = next(tool for tool in offer.tools if tool.name == "variables")
        outcome = await fleet.call(variables, {})

    seen = outcome.structured
    assert isinstance(seen, dict)
    expected = {"DATABASE_URL": "sqlite://", "OTEL_SERVICE_NAME": "opsroom", "LC_ALL": "C.UTF-8", "MODE": "test"}
    assert {name: seen.get(name) for name in expected} == expected
    assert seen["PATH"] == os.environ["PATH"]
    allowed = {"PATH", "HOME", "LANG", "LANGUAGE", "TERM", "TMPDIR", "TZ", *expected}
    assert {name for name in seen if not name.startswith(("LC_", "OTEL_"))} <= allowed


async def test_paths_start_from_the_workspace(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A relative command and cwd are the workspace's, wherever opsroom is run."""
    (place.root / "bin").mkdir()
    (place.root / "bin" / "server").symlink_to(sys.executable)
    arguments = json.dumps(["./bin/server", str(SERVERS / "raw.py"), "../one", ""])
    (place.root / "one").mkdir()
    place.configure({"one": f'command = {arguments}\ncapabilities = ["databases"]\ncwd = "bin"\n'})
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    async with place.fleet() as fleet:
        offer = await fleet.tools_for({"databases"}, wait=WAIT)
        folder = next(tool for tool in offer.tools if tool.name == "folder")
        outcome = await fleet.call(folder, {})

    assert outcome.text == str(place.root / "bin")
    assert len(place.pids("one")) == 1


async def test_closing_leaves_nothing_behind(place: Place) -> None:
    """Whatever state its servers are in, a closed fleet leaves no process, task or descriptor."""
    modes = ("", "hangs", "dies", "forks", "garbage")
    place.configure({f"s{mode}": place.raw(f"s{mode}", mode=mode) for mode in modes})
    async with place.fleet() as fleet:
        await fleet.tools_for({"databases"}, wait=1)
    tasks, descriptors = asyncio.all_tasks(), _descriptors()
    async with place.fleet() as fleet:
        await fleet.tools_for({"s"}, wait=WAIT)
        await fleet.status(connect=True, wait=0.3)

    assert not any(running(pid) for pid in place.all_pids())
    assert asyncio.all_tasks() == tasks
    assert _descriptors() == descriptors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_program_leaves_no_child(place: Place, number: signal.Signals) -> None:
    """A program that is interrupted, or killed outright, leaves no server running."""
    place.configure({"one": place.raw("one")})
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from opsroom.settings import Workspace\n"
        "from opsroom.tools.fleet import Fleet\n"
        "async def main():\n"
        "    root = Path(sys.argv[1])\n"
        "    async with Fleet(Workspace(root, root / 'opsroom.toml')) as fleet:\n"
        "        await fleet.tools_for({'databases'}, wait=60)\n"
        "        print('up', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(place.root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(number)
        process.wait(timeout=WAIT)

    asyncio.run(gone(*place.pids("one")))
    assert said == "up\n"
    assert process.returncode != 0


def test_import_is_cheap() -> None:
    """Importing the fleet imports neither fastmcp nor mcp nor an HTTP library: a command that needs no server pays nothing."""
    program = "import sys, opsroom.tools.fleet; print({name.split('.')[0] for name in sys.modules})"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert "'opsroom'" in modules
    assert not any(f"'{heavy}'" in modules for heavy in ("fastmcp", "mcp", "mcp_types", "httpx2", "anyio", "jsonschema"))


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _written(path: Path) -> None:
    async with asyncio.timeout(WAIT):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - a file has no event
            await asyncio.sleep(0.01)

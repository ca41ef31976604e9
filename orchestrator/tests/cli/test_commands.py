"""The commands as child processes: what they print where, and how they exit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

SHOP = Path(__file__).parents[1] / "workflow" / "servers" / "shop.py"
OPSROOM = Path(sys.executable).parent / "opsroom"


class Run(Protocol):
    def __call__(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def opsroom(tmp_path: Path) -> Run:
    """Runs `opsroom` in a workspace of its own with one small server, an empty HOME, and no key."""
    servers = tmp_path / "servers.d"
    servers.mkdir()
    (tmp_path / "opsroom.toml").write_text("servers = {}\n")
    command = json.dumps([sys.executable, str(SHOP)])
    (servers / "shop.toml").write_text(f'[servers.shop]\ncommand = {command}\ncapabilities = ["databases"]\n')
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "OPSROOM_", "XDG_"))}

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(OPSROOM), *words],
            cwd=tmp_path,
            env={**kept, "HOME": str(home)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_an_answer_without_a_model_is_printed_as_a_table(opsroom: Run) -> None:
    """Rows and the reason on stdout, no progress noise, exit 0."""
    done = opsroom("ask", "which tables are biggest?")

    assert (done.returncode, done.stderr) == (0, "")
    assert "No model was available" in done.stdout
    assert "orders" in done.stdout
    assert "\x1b" not in done.stdout


def test_an_answer_as_json_keeps_its_contract(opsroom: Run) -> None:
    """One JSON document with the fields that programs rely on."""
    done = opsroom("ask", "which tables are biggest?", "--json")

    answer = json.loads(done.stdout)
    assert set(answer) == {"run_id", "status", "answer", "agents", "steps", "usage", "cost_usd", "model", "elapsed_ms"}
    assert answer["status"] == "degraded"
    assert answer["steps"][0]["agent"] == "databases"
    assert {"agent", "status", "summary", "tools"} <= set(answer["steps"][0])
    assert set(answer["steps"][0]["tools"][0]) == {"name", "ok", "ms"}


def test_a_run_can_be_listed_and_shown(opsroom: Run) -> None:
    """What was asked is there afterwards, with its decision and its calls."""
    run_id = json.loads(opsroom("ask", "which tables are biggest?", "--json").stdout)["run_id"]

    listed = json.loads(opsroom("runs", "list", "--json").stdout)
    shown = opsroom("runs", "show", run_id)

    assert [run["id"] for run in listed] == [run_id]
    assert shown.returncode == 0
    assert "databases by rules" in shown.stdout
    assert "search_schema" in shown.stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("ask", "hello", "--agent", "nobody"), 2, "databases"),
        (("ask", ""), 2, "empty"),
        (("ask", "x" * 100_000), 2, "100,000 characters"),
        (("ask",), 2, "text"),
        (("runs", "show", "nothing"), 2, "runs list"),
        (("nonsense",), 2, "nonsense"),
        (("tools", "x", "--agent", "nobody"), 2, "databases"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(opsroom: Run, words: tuple[str, ...], status: int, said: str) -> None:
    """What was wrong and what to do; nothing on stdout, no traceback."""
    done = opsroom(*words)

    assert done.returncode == status
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("text", "status"), [("ship it", 3), ("write me a poem about the sea", 0)])
def test_the_exit_status_tells_how_a_request_ended(opsroom: Run, text: str, status: int) -> None:
    """3 when the person is asked something, 0 when the request was declined."""
    assert opsroom("ask", text).returncode == status


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("servers = {", "opsroom.toml: not valid TOML"),
        ("deadlin = 5\n", "opsroom.toml:1: deadlin: unknown key"),
        ("\n[[chain]]\nmodel = 'x'\ntimeout = 'long'\n", "opsroom.toml:4: chain.0.timeout"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named(opsroom: Run, tmp_path: Path, content: str, said: str) -> None:
    """File, line, key and what was expected, in one line; exit 2."""
    (tmp_path / "opsroom.toml").write_text(content)

    done = opsroom("ask", "which tables are biggest?")

    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_servers_that_cannot_be_used_are_listed_with_the_reason(opsroom: Run, tmp_path: Path) -> None:
    """A missing program and a broken file stand beside the server that is up."""
    (tmp_path / "servers.d" / "gone.toml").write_text('[servers.gone]\ncommand = ["no-such-program"]\ncapabilities = ["x"]\n')
    (tmp_path / "servers.d" / "broken.toml").write_text("[servers.broken\n")

    found = {state["name"]: state for state in json.loads(opsroom("servers", "--json").stdout)}

    assert found["shop"]["state"] == "up"
    assert found["gone"]["state"] == "down"
    assert "no-such-program" in found["gone"]["error"]
    assert "not valid TOML" in found["servers.d/broken.toml"]["error"]


def test_tools_and_agents_are_listed(opsroom: Run) -> None:
    """The connected tools with their effect, what an agent would see for a task, and the four agents."""
    effects = {row["tool"]: row["effect"] for row in json.loads(opsroom("tools", "--json").stdout)}
    seen = [row["tool"] for row in json.loads(opsroom("tools", "describe orders", "--agent", "databases", "--json").stdout)]
    agents = [row["name"] for row in json.loads(opsroom("agents", "--json").stdout)]

    assert effects["run_query"] == "reads"
    assert effects["run_write"] == "destroys"
    assert "describe_table" in seen
    assert agents == ["code_review", "databases", "deployments", "monitoring"]


def test_state_that_cannot_be_written_costs_nobody_the_answer(opsroom: Run, tmp_path: Path) -> None:
    """Without a ledger the request is answered, and one line says that it is not recorded."""
    (tmp_path / ".opsroom").write_text("a file where the folder should be")

    done = opsroom("ask", "which tables are biggest?")

    assert done.returncode == 0
    assert "orders" in done.stdout
    assert "not recorded" in done.stderr

"""`opsroom route` as a program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

OPSROOM = Path(sys.executable).with_name("opsroom")


def opsroom(*arguments: str, cwd: Path, given: str | bytes = "") -> subprocess.CompletedProcess[bytes]:
    data = given.encode() if isinstance(given, str) else given
    return subprocess.run([OPSROOM, *arguments], cwd=cwd, input=data, capture_output=True, check=False, timeout=60)


def test_a_batch_is_answered_in_order(tmp_path: Path) -> None:
    """One decision per line, with its id, in the order of the file."""
    texts = {"a": "which alerts are firing", "b": "ship it", "c": "select 1", "d": "p99 of the report query"}
    batch = tmp_path / "requests.jsonl"
    batch.write_text("\n".join(json.dumps({"id": name, "text": text}) for name, text in texts.items()) + "\n\n")

    done = opsroom("route", "--batch", str(batch), "--offline", cwd=tmp_path)

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [answer["id"] for answer in answers] == ["a", "b", "c", "d"]
    assert [answer["decision"] for answer in answers] == ["route", "clarify", "route", "defer"]
    assert answers[0].keys() >= {"decision", "agents", "stage", "confidence", "candidates", "elapsed_ms"}


def test_a_batch_comes_from_standard_input(tmp_path: Path) -> None:
    """A dash reads standard input; without --offline an unsure request is asked back."""
    done = opsroom("route", "--batch", "-", cwd=tmp_path, given='{"id": 7, "text": "p99 of the report query"}\n')

    answer = json.loads(done.stdout)
    assert (answer["id"], answer["decision"], answer["stage"]) == (7, "clarify", "none")


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b'{"id": 1, "text": "select 1"}\nnope\n', 2, b"invalid JSON"),
        (b'{"id": 1}\n', 1, b"text: field required"),
        (b'{"id": 1, "text": 5}\n', 1, b"valid string"),
        (b'{"id": 1, "text": "a b"}\n{"id": 2, "text": "  "}\n', 2, b"empty"),
        (b'{"id": 1, "text": "' + b"x" * 20_001 + b'"}\n', 1, b"20,000"),
        (b'{"id": 1, "text": "' + b"x" * 300_000 + b'"}\n', 1, b"characters are read"),
        (b'{"id": 1, "text": "\xff"}\n', 1, b"not UTF-8"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_printed(tmp_path: Path, content: bytes, line: int, says: bytes) -> None:
    """The error has the file and the line, the exit status is 2, and no decision was printed."""
    (tmp_path / "bad.jsonl").write_bytes(content)

    done = opsroom("route", "--batch", "bad.jsonl", cwd=tmp_path)

    assert done.returncode == 2
    assert done.stdout == b""
    assert f"bad.jsonl:{line}:".encode() in done.stderr
    assert says in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments", [("route",), ("route", ""), ("route", "x", "--batch", "-"), ("route", "--batch", "missing.jsonl")]
)
def test_bad_usage_is_one_line_and_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """No request, two requests, a blank one, a missing file."""
    done = opsroom(*arguments, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1


def test_a_decision_is_told_in_words_and_in_json(tmp_path: Path) -> None:
    """People read one line with agent, stage and reason; programs read JSON with the call."""
    words = opsroom("route", "roll back checkout", cwd=tmp_path)
    document = json.loads(opsroom("route", '/databases run_query sql="select 1" limit=2', "--json", cwd=tmp_path).stdout)

    assert words.stdout.decode().startswith("deployments · rules, ")
    assert document["call"] == {"tool": "run_query", "arguments": {"sql": "select 1", "limit": 2}}


def test_the_workspace_s_own_agents_are_routed_to(tmp_path: Path) -> None:
    """A definition dropped into agents.d is known to the router, and a broken phrase in it is told."""
    folder = tmp_path / "agents.d"
    (folder / "prompts" / "billing").mkdir(parents=True)
    (tmp_path / "opsroom.toml").touch()
    shipped = Path(__file__).parents[2] / "src" / "opsroom" / "agents" / "prompts" / "databases"
    for prompt in shipped.glob("*.md"):
        (folder / "prompts" / "billing" / prompt.name).write_bytes(prompt.read_bytes())
    head = 'name = "billing"\ntitle = "Billing"\ndescription = "Cloud bills."\ncapabilities = ["billing"]\n[routing]\n'
    (folder / "billing.toml").write_text(head + 'phrases = ["cloud bill|bills"]\n')

    routed = opsroom("route", "explain our cloud bill", cwd=tmp_path)
    (folder / "billing.toml").write_text(head + 'phrases = ["* bill"]\n')
    broken = opsroom("route", "explain our cloud bill", cwd=tmp_path)

    assert routed.stdout.decode().startswith("billing · rules")
    assert broken.returncode == 2
    assert b"agent billing: routing.phrases" in broken.stderr


def test_routing_loads_nothing_heavy(tmp_path: Path) -> None:
    """A decision pays for no model client, no MCP and no database library."""
    heavy = ("fastmcp", "mcp", "anthropic", "sqlalchemy", "genai_prices", "rich.table")
    code = f"""
import sys
import opsroom.cli
sys.argv = ["opsroom", "route", "roll back checkout"]
try:
    opsroom.cli.main()
except SystemExit:
    print([name for name in {heavy} if name in sys.modules])
"""

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True, timeout=60)

    assert done.stdout.decode().splitlines()[-1] == "[]"

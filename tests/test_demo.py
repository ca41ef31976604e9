"""`opsroom demo` in an empty folder: the whole suite answers on real data, without a model and through the turn loop."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import pytest
from opsroom.testing import ScriptedAnthropic, play_named

OPSROOM = Path(sys.executable).parent / "opsroom"
SECONDS = 110


class Answer(TypedDict):
    status: str
    answer: str
    agents: list[str]
    steps: list[dict[str, list[dict[str, object]]]]
    model: str | None
    usage: dict[str, int]


def demo(folder: Path, *words: str, **environment: str) -> str:
    home = folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "OPSROOM_", "XDG_"))}
    done = subprocess.run(
        [str(OPSROOM), "demo", *words],
        cwd=folder,
        env={**kept, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.iterdir()) == []
    return done.stdout


@pytest.fixture(scope="module")
def without_model(tmp_path_factory: pytest.TempPathFactory) -> list[Answer]:
    return json.loads(demo(tmp_path_factory.mktemp("demo"), "--json"))


def test_the_demo_answers_with_rows_of_real_data(without_model: list[Answer]) -> None:
    """At least five requests reach a server and bring back what is in the shop."""
    answered = [one for one in without_model if one["usage"]["tool_calls"]]

    assert len(answered) >= 5
    assert all(use["ok"] for one in answered for step in one["steps"] for use in step["tools"])
    assert "order_lines" in answered[0]["answer"]
    assert all(one["status"] in ("done", "degraded") for one in answered)


def test_the_demo_reviews_code(without_model: list[Answer]) -> None:
    """What waits for review is listed, and the change with the bug is shown with the line that has it."""
    waiting, wrong = (one for one in without_model if one["agents"] == ["code_review"])

    assert "payment-retries" in waiting["answer"]
    assert "for attempt in range(_ATTEMPTS):" in wrong["answer"]
    assert "key=str(uuid.uuid4())" in wrong["answer"]


def test_the_demo_deploys(without_model: list[Answer]) -> None:
    """What runs and what was deployed is told of a service that really runs; a release that would fail can be planned."""
    running, past, plan = (one for one in without_model if one["agents"] == ["deployments"])

    assert "checkout/production on local: live 1.4.1 at http://127.0.0.1:" in running["answer"]
    assert "release 1.4.1" in past["answer"]
    assert "deploy checkout in staging: 1.4.1 → 1.5.0" in plan["answer"]


def test_the_demo_monitors(without_model: list[Answer]) -> None:
    """The slow release is found: its alert, what changed with it, and a picture that is kept as a file."""
    alerting, changed, plot = (one for one in without_model if one["agents"] == ["monitoring"])
    saved = re.search(r"Saved as (\S+\.png)", plot["answer"])

    assert "CheckoutLatencyHigh firing" in alerting["answer"]
    assert "deployed checkout/production 1.5.1" in changed["answer"]
    assert "http_request_duration_seconds mean" in changed["answer"]
    assert saved is not None
    assert Path(saved[1]).read_bytes().startswith(b"\x89PNG")


def test_the_demo_asks_back_once_and_declines_once(without_model: list[Answer]) -> None:
    """One request is unclear and one is none of our business; neither reaches a server."""
    asked = [one for one in without_model if one["status"] == "needs_input"]
    declined = [one for one in without_model if one["status"] == "done" and not one["agents"]]

    assert len(asked) == 1
    assert len(declined) == 1
    assert len(without_model) >= 6


def test_the_demo_runs_through_the_turn_loop_with_a_model(tmp_path: Path) -> None:
    """Against the scripted server the same requests are answered by a model that calls the real tools."""
    with ScriptedAnthropic(play_named("demo")) as server:
        answers: list[Answer] = json.loads(
            demo(tmp_path, "--json", ANTHROPIC_BASE_URL=server.url, ANTHROPIC_API_KEY="sk-ant-none")
        )

    by_model = [one for one in answers if one["model"]]
    assert len(by_model) >= 4
    assert all(one["status"] == "done" for one in by_model)
    assert all(one["usage"]["model_calls"] >= 2 and one["usage"]["tool_calls"] >= 1 for one in by_model)
    assert "orders" in by_model[0]["answer"]


def test_the_demo_prints_decision_tools_and_rows(tmp_path: Path) -> None:
    """What a new user sees: the request, where it went and why, the tool that was called, and rows."""
    printed = demo(tmp_path)

    assert "which tables are biggest?" in printed
    assert "→ databases" in printed
    assert "search_schema" in printed
    assert "order_lines" in printed
    assert "\x1b" not in printed

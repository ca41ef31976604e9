"""`opsroom evals run` as a program."""

import json
import subprocess
import sys
from pathlib import Path

from opsroom.evals.routing import RoutingReport

OPSROOM = Path(sys.executable).with_name("opsroom")


def evals(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([OPSROOM, "evals", "run", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_the_routing_report_is_json_that_a_baseline_is_made_of(tmp_path: Path) -> None:
    """--json prints the whole report, and offline nothing reaches a model."""
    done = evals("routing", "--offline", "--json", cwd=tmp_path)

    report = RoutingReport.model_validate_json(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert report.requests == len(report.answers) == 372
    assert set(report.stages) == {"rules", "none"}


def test_own_requests_are_scored_as_tables(tmp_path: Path) -> None:
    """A file of one's own is scored; a person sees stages, tiers, wrongly routed requests and the confusion."""
    (tmp_path / "mine.jsonl").write_text('{"text": "which alerts are firing", "label": "monitoring", "tier": "easy"}\n')

    done = evals("routing", "--offline", "--data", "mine.jsonl", cwd=tmp_path)

    assert done.returncode == 0
    assert "mine.jsonl: 1 requests, 100.0% decided, 100.0% right, 0.0% wrong" in done.stdout
    for word in ("stage", "easy", "must clarify", "wanted", "p99"):
        assert word in done.stdout


def test_the_tools_suite_prints_recall(tmp_path: Path) -> None:
    """The other suite has its table and its JSON."""
    table = evals("tools", cwd=tmp_path)
    document = json.loads(evals("tools", "--json", cwd=tmp_path).stdout)

    assert "own tools" in table.stdout
    assert document["recall"]


def test_bad_usage_is_status_2(tmp_path: Path) -> None:
    """A data file for the wrong suite, a file that is not there, an unknown suite."""
    done = [
        evals("tools", "--data", "x", cwd=tmp_path),
        evals("routing", "--data", "x", cwd=tmp_path),
        evals("weather", cwd=tmp_path),
    ]

    assert [one.returncode for one in done] == [2, 2, 2]
    assert all(one.stdout == "" and "Traceback" not in one.stderr for one in done)

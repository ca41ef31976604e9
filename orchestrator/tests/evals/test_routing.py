"""Scoring routing decisions: labels in, figures out."""

from pathlib import Path

import pytest
from opsroom.agents.registry import load_agents
from opsroom.errors import UsageError
from opsroom.evals.routing import (
    Case,
    CaseSet,
    Verdict,
    changes,
    load_baseline,
    load_cases,
    regressions,
    run_routing,
    score,
    verdict,
)
from opsroom.evals.routing.cases import Want
from opsroom.router.decision import Decision, Kind, StageName
from opsroom.router.router import build_router


def case(want: Want, *agents: str, name: str = "a", tier: str | None = None) -> Case:
    return Case(id=name, text="x", want=want, agents=agents, tier=tier)


def decided(kind: Kind, *agents: str, stage: StageName = StageName.RULES, elapsed: float = 0.1) -> Decision:
    return Decision(decision=kind, agents=agents, stage=stage, confidence=0.9, elapsed_ms=elapsed)


@pytest.mark.parametrize(
    ("wanted", "got", "expected"),
    [
        (case("single", "databases"), decided(Kind.ROUTE, "databases"), Verdict.RIGHT),
        (case("single", "databases"), decided(Kind.ROUTE, "monitoring"), Verdict.WRONG),
        (case("single", "databases"), decided(Kind.PLAN, "databases", "monitoring"), Verdict.WRONG),
        (case("single", "databases"), decided(Kind.CLARIFY), Verdict.ASKED),
        (case("single", "databases"), decided(Kind.REFUSE), Verdict.WRONG),
        (case("single", "databases"), decided(Kind.DEFER), Verdict.DEFERRED),
        (case("multi", "databases", "monitoring"), decided(Kind.PLAN, "monitoring", "databases"), Verdict.RIGHT),
        (case("multi", "databases", "monitoring"), decided(Kind.ROUTE, "databases"), Verdict.WRONG),
        (case("clarify"), decided(Kind.CLARIFY), Verdict.RIGHT),
        (case("clarify"), decided(Kind.REFUSE), Verdict.WRONG),
        (case("out_of_scope"), decided(Kind.REFUSE), Verdict.RIGHT),
        (case("out_of_scope"), decided(Kind.CLARIFY), Verdict.ASKED),
        (case("out_of_scope"), decided(Kind.ROUTE, "databases"), Verdict.WRONG),
    ],
)
def test_a_decision_is_judged_by_what_was_wanted(wanted: Case, got: Decision, expected: Verdict) -> None:
    """The table of INDEX.md."""
    assert verdict(wanted, got) is expected


def test_the_figures_of_a_small_set() -> None:
    """Coverage, precision, wrongly routed requests, confusion and times are counted from the decisions."""
    cases = (
        case("single", "databases", name="1", tier="easy"),
        case("single", "databases", name="2", tier="easy"),
        case("single", "monitoring", name="3", tier="hard"),
        case("single", "monitoring", name="4", tier="hard"),
        case("clarify", name="5"),
        case("out_of_scope", name="6"),
    )
    decisions = (
        decided(Kind.ROUTE, "databases", elapsed=1),
        decided(Kind.ROUTE, "monitoring", elapsed=2),
        decided(Kind.ROUTE, "monitoring", stage=StageName.MODEL, elapsed=500),
        decided(Kind.DEFER, stage=StageName.NONE, elapsed=900),
        decided(Kind.ROUTE, "databases", elapsed=3),
        decided(Kind.REFUSE, elapsed=4),
    )

    report = score(CaseSet(name="small", cases=cases, digest="d"), decisions, offline=True)

    assert (report.requests, report.accuracy, report.decided, report.wrong) == (6, 0.5, 0.8333, 0.3333)
    assert (report.coverage, report.precision) == (0.75, 0.6667)
    assert {name: (stage.decided, stage.precision) for name, stage in report.stages.items()} == {
        "rules": (4, 0.5),
        "model": (1, 1.0),
        "none": (0, None),
    }
    assert {name: (tier.coverage, tier.precision) for name, tier in report.tiers.items()} == {"easy": (1, 0.5), "hard": (0.5, 1)}
    assert (report.must_clarify.routed, report.must_clarify.share, report.out_of_scope.routed) == (1, 1, 0)
    assert report.confusion["databases"] == {"databases": 1, "monitoring": 1}
    assert (report.local_p50_ms, report.local_p99_ms) == (3, 4)


def test_changes_and_regressions_are_told() -> None:
    """A worse answer is named with what it was and is, and the figures that fell are named."""
    data = CaseSet(name="two", cases=(case("single", "databases", name="1"), case("clarify", name="2")), digest="d")
    before = score(data, (decided(Kind.ROUTE, "databases"), decided(Kind.CLARIFY)), offline=True)
    after = score(data, (decided(Kind.ROUTE, "databases"), decided(Kind.ROUTE, "monitoring")), offline=True)

    assert changes(before, after) == ("2: wants clarify: clarify (right) → monitoring (wrong)",)
    assert regressions(before, before) == ()
    assert {line.split(":")[0] for line in regressions(before, after)} == {
        "accuracy",
        "decided wrongly",
        "must-clarify requests routed",
    }


async def test_the_router_is_no_worse_than_the_baseline() -> None:
    """On the development data: accuracy, precision and requests for nobody; every changed answer is printed."""
    data, baseline = load_cases(), load_baseline()
    texts = {item.id: item.text for item in data.cases}

    report = await run_routing(build_router(load_agents()), data, offline=True)

    changed = "\n".join(f"{line}: {texts[line.partition(': ')[0]]!r}" for line in changes(baseline, report))
    assert data.digest == baseline.digest
    assert regressions(baseline, report) == (), f"changed answers:\n{changed}"


def test_the_baseline_keeps_what_was_promised() -> None:
    """What the local path decides is at least 97 % right, and no request for nobody goes to an agent."""
    baseline = load_baseline()

    assert baseline.offline
    assert baseline.wrong <= 0.03 * baseline.decided
    assert (baseline.precision or 0) >= 0.97
    assert (baseline.must_clarify.routed, baseline.out_of_scope.routed) == (0, 0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"text": "x"}', "label"),
        ('{"text": " ", "label": "databases"}', "blank"),
        ('{"text": "x", "label": "multi", "agents": ["databases"]}', "two or more"),
        ("[]", "object"),
        ("nope", "JSON"),
    ],
)
def test_a_bad_line_of_labels_is_named(tmp_path: Path, line: str, says: str) -> None:
    """File, line and what was expected."""
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "x", "label": "databases"}\n' + line + "\n")

    with pytest.raises(UsageError, match=rf"mine\.jsonl:2: .*{says}"):
        load_cases(path)


def test_labels_of_both_forms_are_read(tmp_path: Path) -> None:
    """The package's `none` with a kind, and the plain labels clarify, out_of_scope and multi."""
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"text": "a", "label": "none", "kind": "ambiguous"}\n{"text": "b", "label": "none", "kind": "oos"}\n\n'
        '{"id": 7, "text": "c", "label": "multi", "agents": ["databases", "monitoring"]}\n{"text": "d", "label": "clarify"}\n'
    )

    data = load_cases(path)

    assert [item.want for item in data.cases] == ["clarify", "out_of_scope", "multi", "clarify"]
    assert [item.id for item in data.cases] == ["mine:1", "mine:2", "7", "mine:5"]


@pytest.mark.parametrize("name", ["missing.jsonl", ".", "empty.jsonl"])
def test_a_file_without_labels_is_a_usage_error(tmp_path: Path, name: str) -> None:
    """Missing, a folder, or nothing in it."""
    (tmp_path / "empty.jsonl").write_text("\n")

    with pytest.raises(UsageError, match=r"cannot be read|no requests"):
        load_cases(tmp_path / name)

"""Running checks: each alone, none hiding another, the answer bounded."""

from collections.abc import Sequence

import pytest
from opsroom_databases.health.checks import CannotCheck, Look, Seen, examine
from opsroom_databases.health.thresholds import THRESHOLDS, Thresholds
from opsroom_databases.health.verdict import Verdict
from opsroom_databases.models import Finding, Severity
from opsroom_shared.errors import InvalidInput, NotPermitted, TimedOut, Unavailable


def finding(severity: Severity, check: str = "sound", subject: str = "x") -> Finding:
    return Finding(severity=severity, check=check, subject=subject, evidence="e", action="a")


def look(
    name: str, *severities: Severity, gaps: tuple[str, ...] = (), failure: Exception | None = None
) -> Look[Sequence[Severity]]:
    """A check that finds *severities*, or fails."""

    async def collect() -> Seen[Sequence[Severity]]:
        if failure:
            raise failure
        return Seen(severities, gaps)

    def judge(facts: Sequence[Severity], _: Thresholds) -> Verdict:
        return Verdict(tuple(finding(each, name) for each in facts), f"{len(facts)} seen")

    return Look(name, "storage", collect, judge)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (NotPermitted("needs PROCESS"), "needs PROCESS"),
        (CannotCheck("it is off"), "it is off"),
        (TimedOut("Narrow it with WHERE."), "it was stopped because it took too long"),
        (Unavailable("The query waits for a lock."), "The query waits for a lock."),
    ],
)
async def test_failing_check_hides_no_other(failure: Exception, reason: str) -> None:
    """What one check cannot see is said with the reason, and the others are made."""
    health = await examine("d", [look("a", "notice"), look("b", failure=failure), look("c", "critical")], "all", THRESHOLDS)

    assert [(each.check, each.reason) for each in health.unchecked] == [("b", reason)]
    assert [each.severity for each in health.findings] == ["critical", "notice"]
    assert [(each.check, each.found) for each in health.checked] == [("a", "1 seen"), ("c", "1 seen")]


async def test_defect_of_a_check_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    """A defect costs one check; its words go to the log and not into the answer."""
    health = await examine("d", [look("a"), look("b", failure=KeyError("s3cret"))], "all", THRESHOLDS)

    assert "failed inside the server" in health.unchecked[0].reason
    assert "s3cret" not in health.text()
    assert "s3cret" in caplog.text


@pytest.mark.parametrize(
    "checks",
    [
        [look("a", failure=Unavailable("nobody answers")), look("b")],
        [look("a", failure=NotPermitted("nobody answers")), look("b", failure=InvalidInput("no"))],
    ],
)
async def test_nothing_checked_is_a_failure(checks: Sequence[Look[Sequence[Severity]]]) -> None:
    """An engine that is not there, or that shows nothing at all, is an error and no clean bill of health."""
    with pytest.raises((Unavailable, NotPermitted), match="nobody answers"):
        await examine("d", checks, "all", THRESHOLDS)


async def test_only_the_focus_is_checked() -> None:
    """A focus leaves the other checks out, and where it leaves nothing, that is no clean bill of health."""
    checks = [look("a"), Look("b", "activity", look("b").collect, look("b").judge)]
    some = await examine("d", checks, "activity", THRESHOLDS)
    nothing = await examine("d", checks, "indexes", THRESHOLDS)

    assert [each.check for each in some.checked] == ["b"]
    assert nothing.text().splitlines() == [
        "d: nothing could be checked.",
        "Not checked: indexes: this engine has nothing of the kind to look at",
    ]


async def test_findings_are_bounded_by_kind() -> None:
    """Many findings of one kind leave room for the others, and their number is said."""
    many: list[Severity] = ["warning"] * 200
    health = await examine("d", [look("a", *many), look("b", "warning", "notice")], "all", THRESHOLDS)

    assert [each.check for each in health.findings] == ["a"] * 10 + ["b"] * 2
    assert (health.truncated, health.hint) == (True, "190 more findings of the same kinds are left out; mend these first")


async def test_text_says_each_thing_once() -> None:
    """The text has a line a finding, all figures in one line, and one line for each reason."""
    gap = ("it is hidden",)
    health = await examine("d", [look("a", "notice", gaps=gap), look("b", gaps=gap)], "all", THRESHOLDS)

    assert health.text().splitlines() == [
        "d: 1 notice.",
        "notice [a] x: e. a.",
        "Checked: a (1 seen); b (0 seen).",
        "Not checked: a, b: it is hidden",
    ]

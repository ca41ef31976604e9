"""Checks of the newest commit."""

import pytest
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import NotFound, NotPermitted, RateLimited

from .forge import Answer, Forge
from .world import HEAD, Node, at, by_id, issue, nodes, pull, repository

JOB = "https://github.example/acme/shop/actions/runs/5/job/77"
LOG = "GET /repos/acme/shop/actions/jobs/77/logs"


def run(identity: str, name: str, status: str = "COMPLETED", conclusion: str | None = "SUCCESS", url: str = JOB) -> Node:
    return {
        "__typename": "CheckRun",
        "id": identity,
        "name": name,
        "status": status,
        "conclusion": conclusion,
        "detailsUrl": url,
        "title": None,
        "annotations": nodes(
            {
                "path": "charge.py",
                "location": {"start": {"line": 3}},
                "annotationLevel": "FAILURE",
                "message": "expected 2",
                "title": "test_charge",
            }
        ),
    }


def status(identity: str, context: str, state: str) -> Node:
    return {
        "__typename": "StatusContext",
        "id": identity,
        "context": context,
        "state": state,
        "targetUrl": "https://ci.example/1",
        "description": None,
    }


def checked(forge: Forge, *contexts: Node, state: str = "FAILURE") -> None:
    def part(_: object, first: int, after: str | None = None) -> Node:
        start = int(after or 0)
        end = start + first
        return nodes(*contexts[start:end], after=str(end) if end < len(contexts) else None)

    rollup = {"state": state, "contexts": part}
    commit = {"oid": HEAD, "committedDate": at(19), "statusCheckRollup": rollup}
    forge.root |= {"repository": repository(pull(commits=nodes({"commit": commit})), issue()), "node": by_id(*contexts)}


async def test_all_checks(forge: Forge, hub: GitHubProvider) -> None:
    """Check runs and statuses come in one list of one request, each with a state of ours."""
    checked(
        forge,
        run("A", "build"),
        run("B", "test", conclusion="TIMED_OUT"),
        run("C", "docs", "IN_PROGRESS", None),
        run("D", "deploy", "QUEUED", None),
        run("E", "extra", conclusion="SKIPPED"),
        run("F", "new", conclusion=None),
        status("S", "lint", "ERROR"),
    )

    found = await hub.checks("acme/shop#12", check=None, log_lines=80)

    assert len(forge.requests) == 1
    assert found.state == "failed"
    assert [(one.id, one.name, one.state) for one in found.checks] == [
        ("A", "build", "passed"),
        ("B", "test", "failed"),
        ("C", "docs", "running"),
        ("D", "deploy", "queued"),
        ("E", "extra", "skipped"),
        ("F", "new", "unknown"),
        ("S", "lint", "failed"),
    ]


async def test_many_checks(forge: Forge, hub: GitHubProvider) -> None:
    """All pages are read, up to a thousand checks, and more are told."""
    checked(forge, *(run(str(number), f"check {number}") for number in range(1_050)))

    found = await hub.checks("acme/shop#12", check=None, log_lines=80)

    assert [one.id for one in found.checks] == [str(number) for number in range(1_000)]
    assert found.hint == "Only the first 1000 checks are listed."


@pytest.mark.parametrize("check", ["B", "test"])
async def test_one_check(forge: Forge, hub: GitHubProvider, check: str) -> None:
    """By id or name, one check comes with its annotations and the last lines of its job's log, without their times."""
    checked(forge, run("A", "build"), run("B", "test", conclusion="FAILURE"))
    lines = "".join(f"2026-11-20T10:00:0{number % 10}.1234567Z line {number}\n" for number in range(200))

    forge.on(LOG, Answer(302, headers={"location": "/api/signed/log"}, kind="text/html", body=b""))
    forge.elsewhere["/signed/log"] = Answer(body=lines.encode(), kind="text/plain")

    found = await hub.checks("acme/shop#12", check=check, log_lines=3)

    (only,) = found.checks
    assert only.log_tail == "line 197\nline 198\nline 199"
    assert [(one.path, one.line, one.level, one.text) for one in only.annotations] == [
        ("charge.py", 3, "failure", "test_charge: expected 2")
    ]


async def test_a_log_that_is_gone(forge: Forge, hub: GitHubProvider) -> None:
    """A log that is no longer kept is told, and does not hide the annotations."""
    checked(forge, run("B", "test", conclusion="FAILURE"))
    forge.on(LOG, Answer(410, {"message": "Gone"}))

    found = await hub.checks("acme/shop#12", check="B", log_lines=3)

    assert found.checks[0].log_tail is None
    assert len(found.checks[0].annotations) == 1
    assert found.hint is not None
    assert "Gone" in found.hint


async def test_rate_limits_are_told(forge: Forge, hub: GitHubProvider) -> None:
    """That the account is out of requests is the answer, not a missing log."""
    checked(forge, run("B", "test"))
    forge.on(LOG, Answer(429, {"message": "slow down"}, {"retry-after": "900"}))

    with pytest.raises(RateLimited, match="900 s"):
        await hub.checks("acme/shop#12", check="B", log_lines=3)


async def test_checks_of_other_systems(forge: Forge, hub: GitHubProvider) -> None:
    """What did not run on GitHub Actions has no log here, and says where it ran."""
    checked(forge, run("A", "build", url="https://ci.example/9"), status("S", "lint", "SUCCESS"))

    elsewhere = await hub.checks("acme/shop#12", check="build", log_lines=3)
    reported = await hub.checks("acme/shop#12", check="lint", log_lines=3)

    assert elsewhere.hint is not None
    assert "Only jobs of GitHub Actions" in elsewhere.hint
    assert (reported.state, reported.checks[0].url) == ("passed", "https://ci.example/1")


async def test_no_checks(forge: Forge, hub: GitHubProvider) -> None:
    """A commit that nothing checks has no checks and an unknown state."""
    forge.root["repository"] = repository(pull())

    found = await hub.checks("acme/shop#12", check=None, log_lines=3)

    assert (found.state, found.checks) == ("unknown", [])


async def test_checks_that_may_not_be_read(forge: Forge, hub: GitHubProvider) -> None:
    """A token without the right to checks is told so, instead of that there are none."""
    forge.root["repository"] = repository(pull())
    forge.errors = [{"type": "FORBIDDEN", "path": ["repository", "item", "tip"], "message": "Resource not accessible"}]

    with pytest.raises(NotPermitted, match="Resource not accessible"):
        await hub.checks("acme/shop#12", check=None, log_lines=3)


async def test_an_unknown_check(forge: Forge, hub: GitHubProvider) -> None:
    """A check that does not exist is refused with those that do."""
    checked(forge, run("A", "build"), status("S", "lint", "SUCCESS"))

    with pytest.raises(NotFound, match="It has: build, lint"):
        await hub.checks("acme/shop#12", check="tests", log_lines=3)
    with pytest.raises(NotFound, match="is an issue"):
        await hub.checks("acme/shop#7", check=None, log_lines=3)

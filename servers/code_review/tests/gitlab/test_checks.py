"""The checks of a merge request."""

import pytest
from gitlab_forge import HEAD, Answer, Forge, Json
from opsroom_code_review.models import Annotation, CheckState
from opsroom_code_review.providers.gitlab import GitLabProvider
from opsroom_code_review.providers.gitlab.pipelines import check_state, log_tail
from opsroom_shared.errors import NotFound

PIPELINE = "GET /projects/8/pipelines/77"
STATUSES = f"GET /projects/group/app/repository/commits/{HEAD}/statuses"
TRACE = "GET /projects/8/jobs/1/trace"
UNIT: Json = {"id": 1, "name": "unit", "status": "failed", "web_url": "https://gitlab.test/j/1"}
LINT: Json = {"id": 2, "name": "lint", "status": "failed", "allow_failure": True}
DEPLOY: Json = {"id": 3, "name": "deploy", "status": "running"}
OUTSIDE: Json = {"id": 9, "name": "jenkins", "status": "success", "target_url": "https://jenkins.test/9"}


@pytest.fixture
def pipeline(forge: Forge) -> Forge:
    """The forge with a failed pipeline in a fork."""
    forge.merge_request["head_pipeline"] = {"id": 77, "project_id": 8, "status": "failed"}
    forge.answers |= {
        f"{PIPELINE}/jobs": [UNIT, LINT],
        f"{PIPELINE}/trigger_jobs": [DEPLOY],
        STATUSES: [UNIT, LINT, DEPLOY, OUTSIDE],
        f"{PIPELINE}/test_report": {"test_suites": []},
        TRACE: b"",
    }
    return forge


async def test_jobs_triggers_and_outside_systems_are_checks(gitlab: GitLabProvider, pipeline: Forge) -> None:
    """Each check is there once, although GitLab lists its own jobs among the statuses of the commit, too."""
    checks = await gitlab.checks("group/app!1", check=None, log_lines=0)

    assert checks.state == "failed"
    assert [(check.id, check.name, check.state, check.url) for check in checks.checks] == [
        ("1", "unit", "failed", "https://gitlab.test/j/1"),
        ("2", "lint (may fail)", "failed", None),
        ("3", "deploy", "running", None),
        ("9", "jenkins", "passed", "https://jenkins.test/9"),
    ]
    assert pipeline.asked(TRACE) == []


async def test_older_gitlab_calls_triggers_bridges(gitlab: GitLabProvider, pipeline: Forge) -> None:
    """Before 19.2 the jobs that start pipelines had another address."""
    pipeline.version = "18.0.0"
    del pipeline.answers[f"{PIPELINE}/trigger_jobs"]
    pipeline.answers[f"{PIPELINE}/bridges"] = [DEPLOY]

    checks = await gitlab.checks("group/app!1", check=None, log_lines=0)

    assert "deploy" in [check.name for check in checks.checks]


async def test_one_check_comes_with_the_end_of_its_log_and_its_failed_tests(gitlab: GitLabProvider, pipeline: Forge) -> None:
    """The last lines without GitLab's marks, and the failures of this job's reports."""
    pipeline.answers[TRACE] = b"section_start:1:step\r\x1b[0Kone\n10%\r50%\rtwo\r\nsection_end:2:step\r\x1b[0K\nthree\n"
    case: Json = {"status": "failed", "name": "test_a", "file": "tests/test_a.py", "stack_trace": "assert 1 == 2"}
    pipeline.answers[f"{PIPELINE}/test_report"] = {
        "test_suites": [
            {
                "name": "unit",
                "test_cases": [
                    case,
                    case | {"status": "success"},
                    {"status": "error", "name": "test_b", "system_output": {"message": "x"}},
                ],
            },
            {"name": "other", "test_cases": [case]},
        ]
    }

    checks = await gitlab.checks("group/app!1", check="1", log_lines=2)

    check = checks.checks[0]
    assert check.log_tail == "two\nthree"
    assert check.annotations == [
        Annotation(path="tests/test_a.py", level="failure", text="test_a\nassert 1 == 2"),
        Annotation(level="failure", text="test_b"),
    ]


async def test_only_the_end_of_a_long_log_is_kept(gitlab: GitLabProvider, pipeline: Forge) -> None:
    """A log of several megabytes is read, and its end is shown."""
    pipeline.answers[TRACE] = b"".join(b"line %d\n" % number for number in range(500_000))

    checks = await gitlab.checks("group/app!1", check="unit", log_lines=2)

    assert checks.checks[0].log_tail == "line 499998\nline 499999"


async def test_check_without_log_is_told(gitlab: GitLabProvider, pipeline: Forge) -> None:
    """Of an outside system, or where it is not to be seen, there is no log, and this is said."""
    pipeline.answers[TRACE] = Answer({"message": "403 Forbidden"}, 403)

    outside = await gitlab.checks("group/app!1", check="9", log_lines=5)
    hidden = await gitlab.checks("group/app!1", check="1", log_lines=5)

    assert outside.hint == "GitLab has no log of this check."
    assert hidden.hint == "There is no log of this check that this account may see."


@pytest.mark.usefixtures("pipeline")
async def test_unknown_check_is_refused_with_those_that_there_are(gitlab: GitLabProvider) -> None:
    """The refusal lists ids and names."""
    with pytest.raises(NotFound, match=r"no check '4'\. Its checks: 1 \(unit\), 2 \(lint\)"):
        await gitlab.checks("group/app!1", check="4", log_lines=5)


async def test_change_without_pipeline_has_what_others_report(gitlab: GitLabProvider, forge: Forge) -> None:
    """Without a pipeline the state is that of the outside systems, or none."""
    forge.answers[STATUSES] = [OUTSIDE]
    reported = await gitlab.checks("group/app!1", check=None, log_lines=0)
    forge.answers[STATUSES] = Answer({"message": "404 Commit Not Found"}, 404)

    nothing = await gitlab.checks("group/app!1", check=None, log_lines=0)

    assert (reported.state, len(reported.checks)) == ("passed", 1)
    assert (nothing.state, nothing.hint) == ("unknown", "No pipeline has run for this merge request.")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", "queued"),
        ("canceling", "running"),
        ("success", "passed"),
        ("manual", "skipped"),
        ("canceled", "skipped"),
        ("new", "unknown"),
    ],
)
def test_state_of_a_check_is_told_in_common_words(status: str, state: CheckState) -> None:
    """GitLab's many words become six; one that is new to us is unknown."""
    assert check_state(status) == state


def test_log_keeps_what_looks_like_a_mark_but_is_none() -> None:
    """Only GitLab's own marks go."""
    assert log_tail("a section_start of sorts\nsection_x:1:2\n", 5) == "a section_start of sorts\nsection_x:1:2"


def test_endless_line_of_a_log_takes_no_endless_time() -> None:
    """A log of one line without an end is gone through once."""
    assert log_tail("x" * 400_000 + "\r" + "y" * 400_000, 5) == "y" * 400_000

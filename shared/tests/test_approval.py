"""Questions to people and their answers: each counts once, and for what was asked alone."""

import pytest
from opsroom_shared.approval import Approvals
from opsroom_shared.errors import Conflict


def test_answer_gives_back_the_plan_once() -> None:
    """The plan of a question comes with its answer; the same handle again is a conflict."""
    approvals = Approvals()
    handle = approvals.asked("drop it", "the plan")
    plan = approvals.answered(handle, "drop it")
    with pytest.raises(Conflict):
        approvals.answered(handle, "drop it")

    assert plan == "the plan"


@pytest.mark.parametrize("handle", [None, "", "made up"])
def test_answer_to_no_question(handle: str | None) -> None:
    """An answer that nobody was asked for is a conflict, whatever it is about."""
    for subject in ("", "drop it"):
        with pytest.raises(Conflict):
            Approvals().answered(handle, subject)


def test_answer_is_for_what_was_asked() -> None:
    """Agreeing to one thing is no agreement to another, and the question is used up by the attempt."""
    approvals = Approvals()
    handle = approvals.asked("drop the index", "the plan")
    with pytest.raises(Conflict):
        approvals.answered(handle, "drop the table")
    with pytest.raises(Conflict):
        approvals.answered(handle, "drop the index")


def test_open_questions_are_bounded() -> None:
    """Of too many open questions the oldest is forgotten."""
    approvals = Approvals()
    handles = [approvals.asked(str(number), number) for number in range(1_001)]
    with pytest.raises(Conflict):
        approvals.answered(handles[0], "0")

    assert approvals.answered(handles[1], "1") == 1
    assert approvals.answered(handles[-1], "1000") == 1_000

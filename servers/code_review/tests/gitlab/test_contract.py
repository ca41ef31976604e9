"""The contract that every request of these tests is held against."""

import pytest
from gitlab_forge import Json, Request, contract

MR = "/projects/group%2Fapp/merge_requests/1"
POSITION: Json = {"base_sha": "b", "start_sha": "5", "head_sha": "f", "position_type": "text", "new_line": 3}


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", MR, {}, {}),
        Request(
            "GET", "/merge_requests", {"state": ["opened"], "page": ["2"], "updated_after": ["2026-11-01T00:00:00+00:00"]}, {}
        ),
        Request("POST", f"{MR}/draft_notes", {}, {"note": "x", "position": POSITION}),
        Request("GET", "/groups/g/members/all", {"user_ids[]": ["1", "2"]}, {}),
    ],
)
def test_what_gitlab_takes_passes(request_: Request) -> None:
    """A call with parameters that it has, of their kinds, has no problem."""
    assert contract().problems(request_, request_.path) == []


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (Request("DELETE", MR, {}, {}), "is no call of the contract"),
        (Request("GET", f"{MR}/merge", {}, {}), "is no call of the contract"),
        (Request("GET", "/projects/group/app/merge_requests/1", {}, {}), "is no call of the contract"),
        (Request("GET", MR, {"page": ["1"]}, {}), "page: is no parameter"),
        (Request("GET", "/merge_requests", {"state": ["open"]}, {}), "state: ['open'] is not"),
        (Request("GET", "/merge_requests", {"page": ["x"]}, {}), "page: ['x'] is not integer"),
        (Request("GET", "/projects/1/repository/compare", {"from": ["a"]}, {}), "to is missing"),
        (Request("POST", f"{MR}/draft_notes", {}, {"text": "x"}), "note is missing"),
        (Request("POST", f"{MR}/draft_notes", {}, {"note": "x", "position": {}}), "position.base_sha is missing"),
        (
            Request("POST", f"{MR}/draft_notes", {}, {"note": "x", "position": POSITION | {"new_line": "3"}}),
            "position.new_line is '3'",
        ),
        (Request("POST", f"{MR}/draft_notes/bulk_publish", {}, {"reviewer_state": "approved"}), "reviewer_state is 'approved'"),
        (Request("PUT", MR, {}, {"reviewer_ids": "1"}), "reviewer_ids is '1'"),
        (Request("PUT", MR, {}, {"state": "closed"}), "state is 'closed', not None"),
    ],
)
def test_what_gitlab_does_not_take_is_named(request_: Request, problem: str) -> None:
    """An unknown call, parameter or word, a wrong kind, and what is missing are each a problem."""
    problems = contract().problems(request_, request_.path)

    assert any(problem in each for each in problems), problems

"""Reviews: drafted, published together, read back, or taken back whole."""

import asyncio
import hashlib
from dataclasses import replace

import pytest
from gitlab_forge import BASE, BOB, CAROL, HEAD, MR, OLDER, START, Answer, Forge, Json, Request, merge_request
from hypothesis import given
from hypothesis import strategies as st
from opsroom_code_review.diff_parser import parse_hunks
from opsroom_code_review.diffs import FileDiff
from opsroom_code_review.models import CommentOutcome
from opsroom_code_review.providers import InlineComment, Review
from opsroom_code_review.providers.gitlab import GitLabProvider
from opsroom_code_review.providers.gitlab.positions import commented, line_code, position
from opsroom_code_review.providers.gitlab.wire import DiffRefs
from opsroom_shared.errors import Conflict, InvalidInput, NotPermitted, ToolFailure, Unavailable

PATH = "/projects/group/app/merge_requests/1"
DRAFT, PUBLISH, APPROVE = f"POST {PATH}/draft_notes", f"POST {PATH}/draft_notes/bulk_publish", f"POST {PATH}/approve"
UNAPPROVE = f"POST {PATH}/unapprove"
SHA = hashlib.sha1(b"src/retry.py", usedforsecurity=False).hexdigest()

ADDED = InlineComment(0, "src/retry.py", "src/retry.py", "new", 3, 3, ((None, 3), (None, 3)), ("limit = 3",), "Why 3?")
REMOVED = replace(ADDED, index=1, side="old", line=2, end_line=2, ends=((2, None), (2, None)), body="Keep this.")
KEPT = replace(ADDED, index=2, line=6, end_line=6, ends=((5, 6), (5, 6)), body="Is this right?")
SEVERAL = replace(ADDED, index=3, line=2, end_line=6, ends=((None, 2), (5, 6)), body="All of it.", suggestion="x = 1\n")
RENAMED = replace(ADDED, index=4, path="docs/new.md", old_path="docs/old.md", line=1, end_line=1, ends=((None, 1), (None, 1)))
REVIEW = Review("group/app!1", HEAD, "comment", "Looks good in general.", (ADDED, REMOVED, KEPT, SEVERAL, RENAMED))


async def test_review_is_published_whole_and_read_back(gitlab: GitLabProvider, forge: Forge) -> None:
    """Summary and comments are drafted in their order, published by one call, and told with the threads that they became."""
    sent = await gitlab.submit(REVIEW)

    assert forge.written() == [DRAFT] * 6 + [PUBLISH]
    assert [request.body["note"] for request in forge.asked(DRAFT)][:2] == ["Looks good in general.", "Why 3?"]
    assert forge.asked(PUBLISH)[0].body == {}
    assert [(each.index, each.state) for each in sent.outcomes] == [(index, "published") for index in range(5)]
    assert sent.outcomes[1].thread == forge.thread("Keep this.")
    assert (sent.url, sent.note) == ("https://gitlab.test/group/app/-/merge_requests/1", None)


async def test_each_line_is_given_as_gitlab_finds_it(gitlab: GitLabProvider, forge: Forge) -> None:
    """A new line by its new number, a removed one by its old, an unchanged one by both, all with the three commits."""
    await gitlab.submit(replace(REVIEW, summary=""))

    places = [request.body["position"] for request in forge.asked(DRAFT)]
    common = {"base_sha": BASE, "start_sha": START, "head_sha": HEAD, "position_type": "text"}
    paths = {"old_path": "src/retry.py", "new_path": "src/retry.py"}
    assert places[0] == common | paths | {"new_line": 3}
    assert places[1] == common | paths | {"old_line": 2}
    assert places[2] == common | paths | {"old_line": 5, "new_line": 6}
    assert places[4] == common | {"old_path": "docs/old.md", "new_path": "docs/new.md", "new_line": 1}
    assert places[3] == common | paths | {
        "old_line": 5,
        "new_line": 6,
        "line_range": {
            "start": {"line_code": f"{SHA}_3_2", "type": "new", "new_line": 2},
            "end": {"line_code": f"{SHA}_5_6", "type": None, "old_line": 5, "new_line": 6},
        },
    }


@pytest.mark.parametrize(
    ("patch", "line", "code"),
    [
        ("@@ -0,0 +1,2 @@\n+a\n+b\n", (None, 2), "0_2"),
        ("@@ -1,2 +0,0 @@\n-a\n-b\n", (2, None), "2_0"),
        ("@@ -1,2 +1,3 @@\n a\n b\n+c\n", (None, 3), "3_3"),
        ("@@ -4,3 +4,2 @@\n a\n-b\n c\n", (5, None), "5_5"),
        ("@@ -4,3 +4,2 @@\n a\n-b\n c\n", (6, 5), "6_5"),
    ],
)
def test_line_code_has_the_number_at_which_the_other_side_stands(
    patch: str, line: tuple[int | None, int | None], code: str
) -> None:
    """GitLab numbers every line on both sides: a line of one side stands before the next line of the other."""
    assert line_code("src/retry.py", parse_hunks(patch), *line) == f"{SHA}_{code}"


@given(signs=st.text(" +-", min_size=1, max_size=30), begins=st.integers(1, 500))
def test_line_code_counts_as_gitlab_counts(signs: str, begins: int) -> None:
    """GitLab goes down a hunk with two counters, and names a line by both of them: so do the codes of all of its lines."""
    olds, news = (sum(sign in side for sign in signs) for side in (" -", " +"))
    old, new = (begins if olds else 0), (begins + 7 if news else 0)
    hunks = parse_hunks(f"@@ -{old},{olds} +{new},{news} @@\n" + "".join(f"{sign}x\n" for sign in signs))
    expected: list[str] = []
    for sign in signs:
        expected.append(f"{SHA}_{old}_{new}")
        old, new = old + (sign in " -"), new + (sign in " +")

    assert [line_code("src/retry.py", hunks, line.old, line.new) for line in hunks[0].lines] == expected


def test_line_that_the_diff_does_not_have_has_no_code() -> None:
    """A range is only sent with lines that are there."""
    file = FileDiff("src/retry.py", "modified", hunks=parse_hunks("@@ -1 +1 @@\n-a\n+b\n"))

    with pytest.raises(InvalidInput, match="no such line"):
        position(SEVERAL, DiffRefs(base_sha=BASE, start_sha=START, head_sha=HEAD), [file])


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (ADDED, "Why 3?"),
        (replace(ADDED, suggestion="limit = 5\n"), "Why 3?\n\n```suggestion:-0+0\nlimit = 5\n```"),
        (SEVERAL, "All of it.\n\n```suggestion:-4+0\nx = 1\n```"),
        (replace(ADDED, body="", suggestion="```\na\n```"), "````suggestion:-0+0\n```\na\n```\n````"),
        (replace(REMOVED, suggestion="x"), "Keep this.\n\n```\nx\n```"),
    ],
)
def test_suggestion_replaces_the_commented_lines(comment: InlineComment, text: str) -> None:
    """A suggestion reaches back to the first commented line; on a removed line it is only shown."""
    assert commented(comment) == text


def test_path_that_is_no_utf8_takes_no_comment() -> None:
    """Such a path cannot be sent, so the comment is refused before anything is drafted."""
    comment = replace(ADDED, path="a\udcff", old_path="a\udcff")

    with pytest.raises(InvalidInput, match="no UTF-8"):
        position(comment, DiffRefs(base_sha=BASE, start_sha=START, head_sha=HEAD), [])


async def test_range_of_lines_costs_no_request_for_the_diff_that_was_read(gitlab: GitLabProvider, forge: Forge) -> None:
    """The numbers that a range needs come from the diff that the reader had."""
    await gitlab.diff("group/app!1", version=None, since=None, context=3, wanted=lambda _: True)

    await gitlab.submit(REVIEW)

    assert len(forge.asked(f"{MR}/raw_diffs")) == 1


async def test_accepting_names_the_version(gitlab: GitLabProvider, forge: Forge) -> None:
    """The approval is for the version that was read, so GitLab refuses it for another; comments follow."""
    sent = await gitlab.submit(replace(REVIEW, verdict="accept", comments=(ADDED,)))

    assert forge.written() == [DRAFT, DRAFT, APPROVE, PUBLISH]
    assert forge.asked(APPROVE)[0].body == {"sha": HEAD}
    assert sent.note is None


async def test_accepting_again_is_done_already(gitlab: GitLabProvider, forge: Forge) -> None:
    """GitLab refuses a second approval; the first one stands, and this is said."""
    forge.approvals |= {"user_has_approved": True, "user_can_approve": False}

    sent = await gitlab.submit(Review("group/app!1", HEAD, "accept", ""))

    assert forge.written() == []
    assert sent.note == "This account had approved the change before; GitLab keeps that approval."


async def test_asking_for_changes_is_recorded_by_a_newer_gitlab(gitlab: GitLabProvider, forge: Forge) -> None:
    """From 19.2 the verdict goes with the comments, and an approval of before is withdrawn."""
    forge.approvals |= {"approved": True, "user_has_approved": True}

    sent = await gitlab.submit(replace(REVIEW, verdict="request_changes"))

    assert forge.asked(PUBLISH)[0].body == {"reviewer_state": "requested_changes"}
    assert forge.written()[-1] == UNAPPROVE
    assert sent.note is None


async def test_asking_for_changes_is_a_comment_on_an_older_gitlab(gitlab: GitLabProvider, forge: Forge) -> None:
    """Before 19.2 GitLab would ignore the verdict in silence; it is not sent, and this is said."""
    forge.version = "19.1.4"

    sent = await gitlab.submit(replace(REVIEW, verdict="request_changes"))

    assert forge.asked(PUBLISH)[0].body == {}
    assert sent.note is not None
    assert "comments only" in sent.note


async def test_lost_answer_does_not_hide_a_verdict_that_was_not_recorded(gitlab: GitLabProvider, forge: Forge) -> None:
    """Where GitLab failed after the comments and before the verdict, both are said."""
    forge.reviewers = []
    publish = forge.answers[PUBLISH]
    assert callable(publish)

    def half(request: Request) -> Answer:
        publish(replace(request, body={}))
        return Answer({"message": "500"}, 500)

    forge.answers[PUBLISH] = half

    sent = await gitlab.submit(replace(REVIEW, verdict="request_changes"))

    assert sent.note is not None
    assert "failed while it published" in sent.note
    assert "did not record" in sent.note


async def test_verdict_that_was_not_recorded_is_said(gitlab: GitLabProvider, forge: Forge) -> None:
    """GitLab answers success even if it records no request for changes; it is read back."""
    forge.reviewers = [{"user": CAROL, "state": "unreviewed"}]
    publish = forge.answers[PUBLISH]
    assert callable(publish)
    forge.answers[PUBLISH] = lambda request: publish(replace(request, body={}))

    sent = await gitlab.submit(replace(REVIEW, verdict="request_changes"))

    assert sent.note is not None
    assert "did not record" in sent.note
    assert {each.state for each in sent.outcomes} == {"published"}


async def test_moved_change_is_not_reviewed(gitlab: GitLabProvider, forge: Forge) -> None:
    """A review of an earlier version is refused with the newer one, and nothing is written."""
    with pytest.raises(Conflict, match=f"newer version by now: {HEAD}"):
        await gitlab.submit(replace(REVIEW, version=OLDER))

    assert forge.written() == []


async def test_other_drafts_of_the_account_are_not_published(gitlab: GitLabProvider, forge: Forge) -> None:
    """Publishing takes all drafts of the account, so where a person has some, nothing is sent."""
    forge.drafts = [{"id": 1, "note": "mine, unfinished", "position": None}]

    with pytest.raises(Conflict, match="1 unpublished comments"):
        await gitlab.submit(REVIEW)

    assert forge.written() == []


async def test_refused_comment_takes_all_of_the_review_back(gitlab: GitLabProvider, forge: Forge) -> None:
    """If GitLab refuses one comment, the drafts before it are deleted, and the refusal names the comment."""
    draft = forge.answers[DRAFT]
    assert callable(draft)

    def picky(request: Request) -> Answer:
        if request.body["note"] == "Keep this.":
            return Answer({"message": {"line_code": ["can't be blank", "must be a valid line code"]}}, 400)
        return draft(request)

    forge.answers[DRAFT] = picky

    with pytest.raises(InvalidInput, match=r"does not take comment 1, so nothing was sent: .*line_code can't be blank"):
        await gitlab.submit(REVIEW)

    assert forge.drafts == []
    assert forge.discussions == []


async def test_refused_approval_takes_all_of_the_review_back(gitlab: GitLabProvider, forge: Forge) -> None:
    """A push in the last moment refuses the approval, and with it the comments."""

    def moved(_: Request) -> Answer:
        return Answer({"message": "SHA does not match HEAD of source branch: e"}, 409)

    forge.answers[APPROVE] = moved

    with pytest.raises(Conflict, match="SHA does not match"):
        await gitlab.submit(replace(REVIEW, verdict="accept"))

    assert forge.drafts == []
    assert forge.discussions == []


async def test_failed_publishing_takes_the_approval_back_too(gitlab: GitLabProvider, forge: Forge) -> None:
    """If the comments cannot be published, neither drafts nor the approval are left."""
    forge.answers[PUBLISH] = Answer({"message": "500 Internal Server Error"}, 500)

    with pytest.raises(Unavailable, match="HTTP 500"):
        await gitlab.submit(replace(REVIEW, verdict="accept"))

    assert forge.drafts == []
    assert forge.approvals["user_has_approved"] is False


async def test_publishing_whose_answer_was_lost_is_read_back(gitlab: GitLabProvider, forge: Forge) -> None:
    """An error after the work was done is no reason to send all of it again."""
    publish = forge.answers[PUBLISH]
    assert callable(publish)

    def lost(request: Request) -> Answer:
        publish(request)
        return Answer({"message": "500 Internal Server Error"}, 500)

    forge.answers[PUBLISH] = lost

    sent = await gitlab.submit(REVIEW)

    assert {each.state for each in sent.outcomes} == {"published"}
    assert sent.note is not None
    assert "failed while it published" in sent.note


async def test_what_cannot_be_taken_back_is_named(gitlab: GitLabProvider, forge: Forge) -> None:
    """A draft that GitLab does not delete would be published with the person's next review, so it is named."""
    forge.answers[PUBLISH] = Answer({"message": "500"}, 500)
    draft = forge.answers[DRAFT]
    assert callable(draft)

    def kept(request: Request) -> Answer:
        made = draft(request)
        forge.answers[f"DELETE {request.path}/{forge.drafts[-1]['id']}"] = Answer({"message": "403 Forbidden"}, 403)
        return made

    forge.answers[DRAFT] = kept

    with pytest.raises(Unavailable, match=r"draft \d+ of group/app!1 is still there"):
        await gitlab.submit(Review("group/app!1", HEAD, "comment", "Hm."))


async def test_cancelled_review_leaves_no_drafts(gitlab: GitLabProvider, forge: Forge) -> None:
    """A call that is given up between two drafts deletes those that it made."""
    draft = forge.answers[DRAFT]
    assert callable(draft)
    loop, task = asyncio.get_running_loop(), asyncio.create_task(gitlab.submit(REVIEW))

    def cancelling(request: Request) -> Answer:
        made = draft(request)
        if len(forge.drafts) == 3:
            loop.call_soon_threadsafe(task.cancel)
        return made

    forge.answers[DRAFT] = cancelling

    with pytest.raises(asyncio.CancelledError):
        await task
    assert forge.drafts == []
    assert PUBLISH not in forge.written()


async def test_comment_that_is_not_there_afterwards_is_not_called_published(gitlab: GitLabProvider, forge: Forge) -> None:
    """What GitLab dropped while publishing is told as rejected, and an old comment with the same words is not taken for it."""
    forge.discuss(
        forge.note("Why 3?", BOB, {"created_at": "2026-01-01T00:00:00Z", "position": {"new_path": "src/retry.py", "new_line": 3}})
    )
    forge.answers[PUBLISH] = Answer(None, 204)

    sent = await gitlab.submit(replace(REVIEW, comments=(ADDED,)))

    assert sent.outcomes == [
        CommentOutcome(index=0, state="rejected", reason="GitLab published the review without this comment.")
    ]


async def test_unreadable_outcome_is_not_called_published(gitlab: GitLabProvider, forge: Forge) -> None:
    """If the discussion cannot be read afterwards, it is said that nobody knows."""
    forge.answers[f"{MR}/discussions"] = Answer({"message": "500"}, 500)

    sent = await gitlab.submit(replace(REVIEW, comments=(ADDED,)))

    assert sent.outcomes[0].state == "draft"
    assert sent.note is not None
    assert "could not be read back" in sent.note


@pytest.mark.parametrize(
    ("changes", "approvals", "failure", "words"),
    [
        ({"author": BOB}, {}, NotPermitted, "wrote the change"),
        ({}, {"user_can_approve": False}, NotPermitted, "does not let this account"),
        ({"state": "merged"}, {}, Conflict, "merged by now"),
    ],
)
async def test_impossible_approval_is_refused_first(
    gitlab: GitLabProvider,
    forge: Forge,
    changes: Json,
    approvals: Json,
    failure: type[ToolFailure],
    words: str,
) -> None:
    """One's own change, one that others approve, and a merged one are not accepted, and nothing is written."""
    forge.merge_request = merge_request(1, **changes)
    forge.approvals |= approvals

    with pytest.raises(failure, match=words):
        await gitlab.submit(replace(REVIEW, verdict="accept"))

    assert forge.written() == []


@pytest.mark.parametrize("summary", ["", "  \n", "/approve", "/label ~bug\n\n/close"])
async def test_review_must_say_something(gitlab: GitLabProvider, forge: Forge, summary: str) -> None:
    """Nothing, or nothing but commands that GitLab would carry out, is no review."""
    with pytest.raises(InvalidInput):
        await gitlab.submit(Review("group/app!1", HEAD, "comment", summary))

    assert forge.written() == []

"""Reviews and replies: written once, and read back before they are claimed."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from opsroom_code_review.models import Verdict
from opsroom_code_review.providers import InlineComment, Reply, Review
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted, TimedOut, ToolFailure, Unavailable

from .contract import Contract, Json
from .forge import Answer, Forge, Request
from .world import HEAD, OLD, Node, by_id, comment, issue, nodes, pull, repository, thread

REVIEWS = "POST /repos/acme/shop/pulls/12/reviews"
OWN = "https://github.example/acme/shop/pull/12#pullrequestreview-80"


def inline(index: int, line: int, body: str, **changed: object) -> InlineComment:
    one = InlineComment(
        index=index,
        path="charge.py",
        old_path="charge.py",
        side="new",
        line=line,
        end_line=line,
        ends=((None, line), (None, line)),
        quoted=("x",),
        body=body,
    )
    return replace(one, **changed)  # pyright: ignore[reportArgumentType] - the fields of the dataclass


def review(verdict: Verdict = "comment", summary: str = "Some words.", *comments: InlineComment, version: str = HEAD) -> Review:
    return Review(change="acme/shop#12", version=version, verdict=verdict, summary=summary, comments=comments)


Accept = Callable[..., None]


@pytest.fixture
def accepting(forge: Forge, contract: Contract) -> Accept:
    """A forge that takes a review and shows its comments as threads, but for those whose body holds *loses*."""

    def script(*, loses: str = "\0", state: str = "COMMENTED", **changed: object) -> None:
        written: list[Node] = []
        forge.root["repository"] = repository(pull(reviewThreads=nodes(), **changed), issue())

        def take(request: Request) -> Answer:
            sent = cast("list[Json]", request.payload["comments"])
            for number, one in enumerate(sent):
                if loses in str(one["body"]):
                    continue
                first = comment(f"C{number}", str(one["body"]).replace("\n", "\r\n"))
                first |= {"state": "SUBMITTED", "pullRequestReview": {"id": "PRR_80"}}
                place = {"line": one["line"], "path": one["path"], "diffSide": one["side"]}
                written.append(thread(f"T{number}", first, **place))
            forge.root["repository"] = repository(pull(reviewThreads=nodes(*written)))
            example = contract.example("POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews")
            assert isinstance(example, dict)
            return Answer(body={**example, "node_id": "PRR_80", "state": state, "html_url": OWN})

        forge.on(REVIEWS, take)

    return script


async def test_one_atomic_review(forge: Forge, hub: GitHubProvider, accepting: Accept) -> None:
    """Verdict, summary and comments go in one request, and each comment is claimed with the thread that was read back."""
    accepting()
    comments = (
        inline(0, 3, "Why 2?"),
        inline(4, 8, "Both.", end_line=9, side="old"),
        inline(5, 3, "Why 2?", suggestion="one\ntwo"),
    )

    sent = await hub.submit(review("request_changes", "Not yet.", *comments))

    (request,) = forge.asked(REVIEWS)
    assert request.payload == {
        "commit_id": HEAD,
        "event": "REQUEST_CHANGES",
        "body": "Not yet.",
        "comments": [
            {"path": "charge.py", "line": 3, "side": "RIGHT", "body": "Why 2?"},
            {"path": "charge.py", "line": 9, "side": "LEFT", "start_line": 8, "start_side": "LEFT", "body": "Both."},
            {"path": "charge.py", "line": 3, "side": "RIGHT", "body": "Why 2?\n\n```suggestion\none\ntwo\n```"},
        ],
    }
    assert [(one.index, one.state, one.thread) for one in sent.outcomes] == [
        (0, "published", "T0"),
        (4, "published", "T1"),
        (5, "published", "T2"),
    ]
    assert (sent.url, sent.note) == (OWN, None)


@pytest.mark.parametrize(
    ("suggestion", "side", "body"),
    [
        ("", "new", "Say.\n\n```suggestion\n```"),
        ("x\n", "new", "Say.\n\n```suggestion\nx\n```"),
        ("```\ncode\n```", "new", "Say.\n\n````suggestion\n```\ncode\n```\n````"),
        ("x", "old", "Say.\n\n```\nx\n```"),
    ],
)
async def test_suggestions(forge: Forge, hub: GitHubProvider, accepting: Accept, suggestion: str, side: str, body: str) -> None:
    """A suggestion is fenced so that nothing in it ends the fence; for a line that is gone it is plain code."""
    accepting()

    await hub.submit(review("comment", "", inline(0, 3, "Say.", suggestion=suggestion, side=side)))

    (sent,) = cast("list[Json]", forge.asked(REVIEWS)[0].payload["comments"])
    assert sent["body"] == body


async def test_the_same_words_twice(hub: GitHubProvider, accepting: Accept) -> None:
    """Two comments that say the same at one place are two threads."""
    accepting()

    sent = await hub.submit(review("comment", "", inline(0, 3, "Why 2?"), inline(1, 3, "Why 2?")))

    assert [one.thread for one in sent.outcomes] == ["T0", "T1"]


async def test_a_comment_that_got_lost(hub: GitHubProvider, accepting: Accept) -> None:
    """A comment that is not there when it is read back is not claimed."""
    accepting(loses="Lost")

    sent = await hub.submit(review("comment", "", inline(0, 3, "Here."), inline(1, 4, "Lost.")))

    assert [(one.index, one.state) for one in sent.outcomes] == [(0, "published"), (1, "rejected")]
    assert sent.note is not None
    assert "1 of its comments" in sent.note


async def test_reading_back_fails(forge: Forge, hub: GitHubProvider, accepting: Accept) -> None:
    """A review that was accepted is not reported as a failure, or it would be sent again."""
    accepting()
    before = Answer(
        body={
            "data": {
                "repository": {
                    "item": {
                        "__typename": "PullRequest",
                        "headRefOid": HEAD,
                        "viewerDidAuthor": False,
                        "locked": False,
                        "reviewed": None,
                    }
                }
            }
        }
    )
    forge.graphql_answers = [before, Answer(500, {"message": "oops"})]

    sent = await hub.submit(review("comment", "", inline(0, 3, "Here.")))

    assert [(one.state, one.thread) for one in sent.outcomes] == [("published", None)]
    assert sent.note is not None
    assert "reading it back failed" in sent.note


@pytest.mark.parametrize(
    ("changed", "sent", "failure", "words"),
    [
        ({}, review(version=OLD), Conflict, HEAD),
        ({"viewerDidAuthor": True}, review("accept"), NotPermitted, "own pull request"),
        ({"viewerDidAuthor": True}, review("request_changes"), NotPermitted, "own pull request"),
        (
            {"viewerLatestReview": {"id": "R", "state": "PENDING", "url": "x", "commit": None}},
            review(),
            Conflict,
            "begun a review",
        ),
        ({}, review("request_changes", " "), InvalidInput, "summary"),
        ({}, review("comment", ""), InvalidInput, "summary or comments"),
        ({}, replace(review(), change="acme/shop#7"), NotFound, "is an issue"),
        ({}, replace(review(), change="acme/shop#99"), NotFound, "may see"),
        ({}, review(version="main"), InvalidInput, "commit id"),
    ],
)
async def test_what_is_not_sent(
    forge: Forge,
    hub: GitHubProvider,
    accepting: Accept,
    changed: dict[str, object],
    sent: Review,
    failure: type[ToolFailure],
    words: str,
) -> None:
    """A newer version, one's own change, a review that was begun before, and what GitHub would refuse: nothing is written."""
    accepting(**changed)

    with pytest.raises(failure, match=words):
        await hub.submit(sent)
    assert forge.asked(REVIEWS) == []


async def test_a_line_outside_the_diff(forge: Forge, hub: GitHubProvider, accepting: Accept) -> None:
    """GitHub's refusal of the whole review reaches the reader in its words."""
    accepting()
    refused: Json = {"message": "Unprocessable Entity", "errors": ["Line could not be resolved"], "documentation_url": "x"}
    forge.on(REVIEWS, Answer(422, refused))

    with pytest.raises(InvalidInput, match="Unprocessable Entity; Line could not be resolved"):
        await hub.submit(review("comment", "", inline(0, 999, "Here.")))


async def test_an_answer_that_got_lost(forge: Forge, hub: GitHubProvider, accepting: Accept) -> None:
    """Where the answer to the write is lost, a look at the pull request finds the review that was written."""
    accepting()
    latest = {"id": "PRR_80", "state": "APPROVED", "url": OWN, "commit": {"oid": HEAD}}

    def lost(_: Request) -> Answer:
        forge.root["repository"] = repository(pull(viewerLatestReview=latest))
        return Answer(502, b"", kind="text/html")

    forge.on(REVIEWS, lost)

    sent = await hub.submit(review("accept"))

    assert sent.url == OWN
    assert len(forge.asked(REVIEWS)) == 1


async def test_a_write_that_failed(forge: Forge, hub: GitHubProvider, accepting: Accept) -> None:
    """Where the write failed and left no review, that is what is told."""
    accepting(viewerLatestReview={"id": "PRR_7", "state": "COMMENTED", "url": "x", "commit": {"oid": HEAD}})
    forge.on(REVIEWS, Answer(502, b"", kind="text/html"))

    with pytest.raises(Unavailable, match="none was written"):
        await hub.submit(review("accept"))


async def test_a_review_that_stays_a_draft(hub: GitHubProvider, accepting: Accept) -> None:
    """What GitHub keeps as a draft is not called published."""
    accepting(state="PENDING")

    sent = await hub.submit(review("comment", "x", inline(0, 3, "Here.")))

    assert [one.state for one in sent.outcomes] == ["draft"]


def replying(forge: Forge, changed: dict[str, object] | None = None, *, state: str = "SUBMITTED") -> list[str]:
    """A forge with a thread T1 of acme/shop#12 and a comment I1; the mutations that were made stand in the list."""
    about = {"number": 12, "repository": {"nameWithOwner": "acme/shop"}}
    one = thread("T1", **{"pullRequest": about, **(changed or {})})
    aside = comment("I1", "Hm.", url="https://github.example/acme/shop/pull/12#issuecomment-1", pullRequest=about)
    other = comment("I9", "Hm.", url="https://github.example/acme/till/issues/1#issuecomment-9", pullRequest=None)
    forge.root |= {"node": by_id(one, aside, other), "repository": repository(pull())}
    done: list[str] = []

    def reply(_: object, input: Json) -> Node:  # noqa: A002 - GitHub's name
        done.append(f"reply {input['pullRequestReviewThreadId']}: {input['body']}")
        return {"comment": {"id": "C9", "url": "https://github.example/r9", "state": state}}

    def resolved(value: bool) -> Callable[..., Node]:  # noqa: FBT001 - a factory
        def resolve(_: object, input: Json) -> Node:  # noqa: A002 - GitHub's name
            done.append(f"{'resolve' if value else 'unresolve'} {input['threadId']}")
            return {"thread": {"isResolved": value}}

        return resolve

    forge.root |= {
        "addPullRequestReviewThreadReply": reply,
        "resolveReviewThread": resolved(True),  # noqa: FBT003 - as above
        "unresolveReviewThread": resolved(False),  # noqa: FBT003 - as above
    }
    return done


@pytest.mark.parametrize(
    ("changed", "body", "resolve", "done", "resolved"),
    [
        ({}, "Done.", True, ["reply T1: Done.", "resolve T1"], True),
        ({}, "Done.", None, ["reply T1: Done."], False),
        ({}, None, True, ["resolve T1"], True),
        ({"isResolved": True}, None, False, ["unresolve T1"], False),
        ({"isResolved": True}, None, True, [], True),
    ],
)
async def test_reply_and_resolve(
    forge: Forge,
    hub: GitHubProvider,
    changed: dict[str, object],
    body: str | None,
    done: list[str],
    *,
    resolve: bool | None,
    resolved: bool,
) -> None:
    """A reply and the resolving of its thread are one write, behind a look at what the thread is."""
    made = replying(forge, changed)

    result = await hub.reply(Reply("acme/shop#12", "T1", body, resolve))

    assert made == done
    assert (result.posted, result.resolved) == (body is not None, resolved)
    assert len(forge.requests) == (2 if done else 1)


async def test_a_reply_that_stays_a_draft(forge: Forge, hub: GitHubProvider) -> None:
    """A reply that GitHub puts into a review that is not sent is no reply yet."""
    replying(forge, state="PENDING")

    result = await hub.reply(Reply("acme/shop#12", "T1", "Done."))

    assert not result.posted
    assert result.note is not None
    assert "only this account sees it" in result.note


@pytest.mark.parametrize(
    ("changed", "reply", "failure", "words"),
    [
        ({}, Reply("acme/shop#13", "T1", "x"), NotFound, "has no thread"),
        ({}, Reply("acme/shop#12", "T99", "x"), NotFound, "has no thread"),
        ({}, Reply("acme/shop#12", "I9", "x"), NotFound, "has no thread"),
        ({}, Reply(None, "T1", "x"), InvalidInput, "give the change"),
        ({"viewerCanReply": False}, Reply("acme/shop#12", "T1", "x"), NotPermitted, "may not reply"),
        ({"viewerCanResolve": False}, Reply("acme/shop#12", "T1", None, True), NotPermitted, "may not resolve"),  # noqa: FBT003
        ({}, Reply("acme/shop#12", "I1", "x", True), InvalidInput, "cannot be resolved"),  # noqa: FBT003
    ],
)
async def test_replies_that_are_not_sent(
    forge: Forge, hub: GitHubProvider, changed: dict[str, object], reply: Reply, failure: type[ToolFailure], words: str
) -> None:
    """A thread of another change, one that does not exist and one that is locked get nothing."""
    made = replying(forge, changed)

    with pytest.raises(failure, match=words):
        await hub.reply(reply)
    assert made == []


async def test_a_reply_to_a_comment(forge: Forge, hub: GitHubProvider, contract: Contract) -> None:
    """What has no thread is answered with a comment that links it, without repeating words that could act."""
    replying(forge)
    comments = "POST /repos/acme/shop/issues/12/comments"
    forge.on(comments, Answer(201, contract.example("POST /repos/{owner}/{repo}/issues/{issue_number}/comments")))

    result = await hub.reply(Reply("acme/shop#12", "I1", "Agreed."))

    assert forge.asked(comments)[0].payload == {
        "body": "In reply to https://github.example/acme/shop/pull/12#issuecomment-1:\n\nAgreed."
    }
    assert result.posted
    assert result.note is not None


async def test_a_reply_without_an_answer(forge: Forge, hub: GitHubProvider) -> None:
    """A mutation whose answer is lost is sent once, since it may have been done."""
    replying(forge)
    place: Json = {"__typename": "PullRequestReviewThread", "isResolved": False, "viewerCanReply": True}
    place["pullRequest"] = {"number": 12, "repository": {"nameWithOwner": "acme/shop"}}
    forge.graphql_answers = [Answer(body={"data": {"node": place}}), Answer(503, b"", kind="text/html")]

    with pytest.raises((Unavailable, TimedOut)):
        await hub.reply(Reply("acme/shop#12", "T1", "Done."))
    assert len(forge.requests) == 2

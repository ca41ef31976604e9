"""Reviews and replies: written at once, and read back before they are claimed."""

from collections.abc import Sequence
from typing import Literal

from opsroom_shared.errors import Conflict, InvalidInput, NotPermitted, RateLimited, TimedOut, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from pydantic import Field, JsonValue

from ...models import CommentOutcome, ReplyResult
from .. import InlineComment, Reply, Review, Sent
from . import queries
from .api import GitHubApi
from .changes import variables_of, wrong_kind
from .references import Item, commit
from .wire import AnIssue, CommitId, Connection, Graph, Numbered, RestComment, RestReview, ReviewId

_EVENTS = {"comment": "COMMENT", "accept": "APPROVE", "request_changes": "REQUEST_CHANGES"}
_MOST_PAGES = 30


class _OwnReview(Graph):
    id: str
    state: str
    url: str
    commit: CommitId | None = None


class _Reviewable(Graph):
    kind: Literal["PullRequest"] = Field(alias="__typename")
    head_ref_oid: str
    viewer_did_author: bool
    locked: bool
    reviewed: _OwnReview | None = None


class _Before(Graph):
    item: _Reviewable | AnIssue | None = Field(None, discriminator="kind")


class _BeforeData(Graph):
    repository: _Before | None = None


class _Written(Graph):
    id: str
    body: str
    state: str
    pull_request_review: ReviewId | None = None


class _WrittenThread(Graph):
    id: str
    path: str
    line: int | None = None
    original_line: int | None = None
    diff_side: str
    comments: Connection[_Written]


class _WrittenThreads(Graph):
    review_threads: Connection[_WrittenThread]


class _WrittenRepository(Graph):
    item: _WrittenThreads | None = None


class _WrittenData(Graph):
    repository: _WrittenRepository | None = None


class _Place(Graph):
    """What a thread id stands for, and what can be done there."""

    kind: str = Field(alias="__typename")
    is_resolved: bool | None = None
    viewer_can_reply: bool = False
    viewer_can_resolve: bool = False
    viewer_can_unresolve: bool = False
    pull_request: Numbered | None = None
    about: Numbered | None = None
    """The same of a comment, which can also be an issue's."""
    url: str | None = None


class _PlaceData(Graph):
    node: _Place | None = None


class _RepliedComment(Graph):
    url: str
    state: str


class _Replied(Graph):
    comment: _RepliedComment | None = None


class _ThreadState(Graph):
    is_resolved: bool


class _Resolved(Graph):
    thread: _ThreadState | None = None


class _ReplyData(Graph):
    reply: _Replied | None = None
    resolve: _Resolved | None = None
    unresolve: _Resolved | None = None


class Reviewer:
    def __init__(self, api: GitHubApi) -> None:
        self._api = api

    async def submit(self, item: Item, review: Review) -> Sent:
        version = commit(review.version)
        before = await self._check(item, review, version)
        payload: dict[str, JsonValue] = {
            "commit_id": version,
            "event": _EVENTS[review.verdict],
            "body": review.summary,
            "comments": [_payload(comment) for comment in review.comments],
        }
        written = await self._send(item, payload, version, before)
        if written.state == "PENDING":
            drafts = [CommentOutcome(index=one.index, state="draft") for one in review.comments]
            return Sent(written.html_url, drafts, "GitHub kept the review as a draft.")
        try:
            threads = await self._written(item, written.node_id) if review.comments else []
        except ToolFailure as failure:
            # it is written, so this must not look like a failure, or it would be written again
            outcomes = [
                CommentOutcome(index=one.index, state="published", reason="sent with the review; not read back")
                for one in review.comments
            ]
            return Sent(written.html_url, outcomes, f"The review was accepted, but reading it back failed: {failure}")
        return _read_back(written.html_url, review.comments, threads)

    async def _send(self, item: Item, payload: JsonValue, version: str, before: _OwnReview | None) -> RestReview:
        """The review as GitHub wrote it. Where the answer got lost, a look at the pull request tells whether it was written."""
        try:
            return await self._api.write(RestReview, "POST", f"{item.repository.path}/pulls/{item.number}/reviews", payload)
        except RateLimited:
            raise
        except (TimedOut, Unavailable) as failure:
            latest = (await self._reviewable(item)).reviewed
            new = latest is not None and (before is None or latest.id != before.id)
            if latest is None or not new or latest.commit is None or latest.commit.oid != version:
                raise type(failure)(
                    "GitHub did not answer, and shows no review of this account since: none was written. Try again."
                ) from failure
            return RestReview(node_id=latest.id, state=latest.state, html_url=latest.url)

    async def _check(self, item: Item, review: Review, version: str) -> _OwnReview | None:
        """The latest review of this account before this one."""
        if review.verdict == "request_changes" and not review.summary.strip():
            raise InvalidInput("GitHub wants a summary with a request for changes.")
        if review.verdict == "comment" and not review.summary.strip() and not review.comments:
            raise InvalidInput("A review without a verdict needs a summary or comments.")
        pull = await self._reviewable(item)
        if pull.head_ref_oid != version:
            raise Conflict(f"{item} has a newer version by now, {pull.head_ref_oid}. Read what changed since {version} first.")
        if pull.viewer_did_author and review.verdict != "comment":
            raise NotPermitted("GitHub takes no verdict on one's own pull request. Send the review with the verdict comment.")
        if pull.reviewed is not None and pull.reviewed.state == "PENDING":
            raise Conflict(
                f"This account has begun a review of {item} on GitHub and not sent it. A person sends or discards that one first."
            )
        return pull.reviewed

    async def _reviewable(self, item: Item) -> _Reviewable:
        answered = await self._api.query(_BeforeData, queries.BEFORE_REVIEW, variables_of(item))
        pull = answered.data.repository.item if answered.data.repository else None
        if pull is None:
            raise answered.absence(f"There is no pull request {item} that this account may see.")
        if isinstance(pull, AnIssue):
            raise wrong_kind(item, pull)
        return pull

    async def _written(self, item: Item, review: str) -> list[_WrittenThread]:
        found: list[_WrittenThread] = []
        after: str | None = None
        for _ in range(_MOST_PAGES):
            answered = await self._api.query(_WrittenData, queries.WRITTEN_COMMENTS, {**variables_of(item), "after": after})
            pull = answered.data.repository.item if answered.data.repository else None
            if pull is None:
                raise answered.absence(f"There is no pull request {item} any more.")
            found += [thread for thread in pull.review_threads.items if _review_of(thread) == review]
            after = pull.review_threads.following
            if after is None:
                break
        return found

    async def reply(self, item: Item, reply: Reply) -> ReplyResult:
        answered = await self._api.query(_PlaceData, queries.THREAD_PLACE, {"id": reply.thread})
        place = answered.data.node
        # an id of GitHub is good for all that the account may see, and the change is what was allowed
        home = (place.pull_request or place.about) if place else None
        if place is None or home is None or str(home).lower() != str(item).lower():
            raise answered.absence(f"{item} has no thread {clean(reply.thread, 80)!r}. list_threads names them.")
        if place.kind != "PullRequestReviewThread":
            return await self._comment(item, place, reply)
        return await self._in_thread(place, reply)

    async def _in_thread(self, place: _Place, reply: Reply) -> ReplyResult:
        if reply.body is not None and not place.viewer_can_reply:
            raise NotPermitted("This account may not reply in this thread; the conversation may be locked.")
        resolve = reply.resolve is True and place.is_resolved is False
        unresolve = reply.resolve is False and place.is_resolved is True
        if (resolve and not place.viewer_can_resolve) or (unresolve and not place.viewer_can_unresolve):
            raise NotPermitted(
                "This account may not resolve or reopen this thread: that needs the right to write, or authorship."
            )
        if reply.body is None and not (resolve or unresolve):
            return ReplyResult(posted=False, resolved=place.is_resolved, note="Nothing was left to do.")
        done = await self._api.mutate(
            _ReplyData,
            queries.REPLY,
            {
                "thread": reply.thread,
                "body": reply.body or "",
                "reply": reply.body is not None,
                "resolve": resolve,
                "unresolve": unresolve,
            },
        )
        state = (done.resolve or done.unresolve or _Resolved()).thread
        comment = done.reply.comment if done.reply else None
        draft = comment is not None and comment.state == "PENDING"
        return ReplyResult(
            posted=comment is not None and not draft,
            resolved=state.is_resolved if state else place.is_resolved,
            url=comment.url if comment else None,
            note="It is part of a review that this account has begun and not sent, so only this account sees it."
            if draft
            else None,
        )

    async def _comment(self, item: Item, place: _Place, reply: Reply) -> ReplyResult:
        """Reviews and comments of their own have no threads, so the answer links what it answers."""
        if reply.resolve is not None or reply.body is None:
            raise InvalidInput("A review's summary or a comment of its own cannot be resolved on GitHub; only reply to it.")
        body = f"In reply to {place.url}:\n\n{reply.body}"
        written = await self._api.write(
            RestComment, "POST", f"{item.repository.path}/issues/{item.number}/comments", {"body": body}
        )
        note = "GitHub has no thread there, so it is a comment of its own that links the one it answers."
        return ReplyResult(posted=True, url=written.html_url, note=note)


def _payload(comment: InlineComment) -> dict[str, JsonValue]:
    side = "LEFT" if comment.side == "old" else "RIGHT"
    place: dict[str, JsonValue] = {"path": comment.path, "line": comment.end_line, "side": side}
    if comment.end_line != comment.line:
        place |= {"start_line": comment.line, "start_side": side}
    return {**place, "body": body_of(comment)}


def body_of(comment: InlineComment) -> str:
    """The comment with its suggestion, which GitHub applies only to lines that are there afterwards."""
    if comment.suggestion is None:
        return comment.body
    fence = "```"
    while fence in comment.suggestion:
        fence += "`"
    language = "suggestion" if comment.side == "new" else ""
    text = comment.suggestion if not comment.suggestion or comment.suggestion.endswith("\n") else f"{comment.suggestion}\n"
    return f"{comment.body}\n\n{fence}{language}\n{text}{fence}".lstrip()


def _review_of(thread: _WrittenThread) -> str | None:
    first = next(iter(thread.comments.items), None)
    return first.pull_request_review.id if first and first.pull_request_review else None


def _read_back(url: str, comments: Sequence[InlineComment], threads: Sequence[_WrittenThread]) -> Sent:
    """Which comment became which thread; each thread is taken once, as two comments may say the same."""
    left = list(threads)
    outcomes: list[CommentOutcome] = []
    for comment in comments:
        thread = next((one for one in left if _is(one, comment)), None)
        if thread is None:
            outcomes.append(CommentOutcome(index=comment.index, state="rejected", reason="not there when it was read back"))
        else:
            left.remove(thread)
            outcomes.append(CommentOutcome(index=comment.index, state="published", thread=thread.id))
    missing = sum(outcome.state == "rejected" for outcome in outcomes)
    note = f"GitHub accepted the review, but {missing} of its comments were not there when it was read back." if missing else None
    return Sent(url, outcomes, note)


def _is(thread: _WrittenThread, comment: InlineComment) -> bool:
    first = next(iter(thread.comments.items), None)
    body = "" if first is None else first.body
    side = "LEFT" if comment.side == "old" else "RIGHT"
    same_place = (
        thread.path == comment.path and thread.diff_side == side and comment.end_line in (thread.line, thread.original_line)
    )
    return same_place and _normal(body) == _normal(body_of(comment))


def _normal(text: str) -> str:
    """GitHub stores what it is sent but for line ends and the space around."""
    return text.replace("\r\n", "\n").strip()

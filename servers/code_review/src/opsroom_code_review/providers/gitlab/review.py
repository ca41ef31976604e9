"""One review: its comments are drafted, checked, and then published together, or all of it is taken back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from opsroom_shared.errors import Conflict, InvalidInput, NotPermitted, TimedOut, ToolFailure, Unavailable
from pydantic import JsonValue

from ...models import CommentOutcome
from .. import InlineComment, Review, Sent
from .api import REVIEWER_STATES, GitLabApi
from .changes import REQUESTED, Changes, is_by, may_approve
from .discussions import must_be_text
from .patches import Patches, refs
from .people import People
from .positions import commented, position
from .references import Item
from .wire import Approvals, Discussion, Draft, MergeRequest, Note

_CLOCKS = timedelta(seconds=30)
"""How far the clocks of a GitLab's machines may be apart: one gives the time of an answer, another that of a comment."""
_NO_REQUEST = (
    "This GitLab takes no request for changes over its interface (it needs 19.2): the review was published as comments only."
)
_NOT_RECORDED = (
    "GitLab published the review, but did not record the request for changes; the account may have to be a reviewer of it."
)


@dataclass(frozen=True)
class _Standing:
    """How the account and the change stood before the review."""

    me: int
    approvals: Approvals
    url: str | None


@dataclass
class _Drafted:
    """The drafts of a review: those that GitLab confirmed, and the texts of all that were sent."""

    ids: list[int] = field(default_factory=list[int])
    texts: list[str] = field(default_factory=list[str])
    since: datetime | None = None
    """GitLab's own time just before the first draft."""

    def has(self, draft: Draft) -> bool:
        """Whether *draft* is one of these. One whose answer was lost is known by its text."""
        return draft.id in self.ids or draft.note in self.texts


@dataclass
class _Published:
    """How publishing went."""

    asked: bool = False
    """Whether GitLab was asked to record a request for changes."""
    notes: list[str] = field(default_factory=list[str])


class Reviews:
    def __init__(self, api: GitLabApi, people: People, changes: Changes, patches: Patches) -> None:
        self._api, self._people, self._changes, self._patches = api, people, changes, patches

    async def submit(self, item: Item, review: Review) -> Sent:
        _must_say_something(review)
        me, merge_request, approvals, pending = await asyncio.gather(
            self._people.me(),
            self._changes.merge_request(item),
            self._changes.approvals(item),
            self._drafts(item),
        )
        refs(merge_request, review.version)
        _must_be_possible(review, merge_request, approvals, mine=is_by(merge_request, me))
        if pending:
            raise Conflict(
                f"This account has {len(pending)} unpublished comments on {item}, which would be published together with the"
                " review. A person publishes or deletes them on its page first."
            )
        payloads = await self._payloads(item, review, merge_request)
        drafted = await self._draft_all(item, review, payloads)
        standing = _Standing(me.id, approvals, merge_request.web_url)
        published = await self._verdict_and_publish(item, review, standing, drafted)
        return await self._read_back(item, review, standing, drafted, published)

    async def _drafts(self, item: Item) -> list[Draft]:
        return (await self._api.page(Draft, f"{item.path}/draft_notes")).items

    async def _payloads(self, item: Item, review: Review, merge_request: MergeRequest) -> list[dict[str, JsonValue]]:
        """What is sent for the summary, if there is one, and for each comment."""
        payloads: list[dict[str, JsonValue]] = []
        if review.summary.strip():
            must_be_text(review.summary)
            payloads.append({"note": review.summary})
        ranges = any(comment.line != comment.end_line for comment in review.comments)
        files = (await self._patches.newest(item, merge_request)).files if ranges else []
        places = refs(merge_request, review.version)
        for comment in review.comments:
            text = commented(comment)
            must_be_text(text)
            payloads.append({"note": text, "position": position(comment, places, files)})
        return payloads

    async def _draft_all(self, item: Item, review: Review, payloads: Sequence[dict[str, JsonValue]]) -> _Drafted:
        """The drafts of the review, in its order. If one is refused, none is left."""
        drafted = _Drafted()
        try:
            for payload in payloads:
                drafted.texts.append(str(payload["note"]))
                response = await self._api.send("POST", f"{item.path}/draft_notes", payload)
                drafted.since = drafted.since or _time_of(response.headers.get("date"))
                drafted.ids.append(self._api.parsed(Draft, response).id)
        except InvalidInput as refused:
            await self._take_back(item, drafted)
            at = len(drafted.ids) - (len(payloads) - len(review.comments))
            which = f"comment {review.comments[at].index}" if at >= 0 else "the summary"
            raise InvalidInput(f"GitLab does not take {which}, so nothing was sent: {refused}") from refused
        except BaseException:  # a cancelled call, too, must leave no drafts that a person would publish unawares
            await self._take_back(item, drafted)
            raise
        return drafted

    async def _verdict_and_publish(self, item: Item, review: Review, standing: _Standing, drafted: _Drafted) -> _Published:
        """First the approval, which can be taken back, and then the comments, which cannot."""
        approved = False
        try:
            if review.verdict == "accept" and not standing.approvals.user_has_approved:
                await self._api.send("POST", f"{item.path}/approve", {"sha": review.version})
                approved = True
            return await self._publish(item, review, drafted)
        except BaseException:  # whatever it was, all of the review is taken back
            await self._take_back(item, drafted, approved=approved)
            raise

    async def _publish(self, item: Item, review: Review, drafted: _Drafted) -> _Published:
        published = _Published()
        if not drafted.ids:
            return published
        payload: dict[str, JsonValue] = {}
        if review.verdict == "request_changes":
            published.asked = await self._api.version() >= REVIEWER_STATES
            payload = {"reviewer_state": "requested_changes"} if published.asked else {}
        try:
            await self._api.send("POST", f"{item.path}/draft_notes/bulk_publish", payload)
        except (Unavailable, TimedOut) as failure:
            left = [draft for draft in await self._drafts(item) if drafted.has(draft)]
            if len(left) == len(drafted.ids):
                raise
            if left:
                await self._take_back(item, drafted)
            published.notes.append(f"GitLab failed while it published ({failure}); what was found published is listed.")
        return published

    async def _take_back(self, item: Item, drafted: _Drafted, *, approved: bool = False) -> None:
        """Deletes what was not published, to its end even if the call is cancelled. Raises Unavailable where some is left."""
        await asyncio.shield(self._taken_back(item, drafted, approved=approved))

    async def _taken_back(self, item: Item, drafted: _Drafted, *, approved: bool) -> None:
        left: list[str] = []
        try:
            drafts = [draft.id for draft in await self._drafts(item) if drafted.has(draft)]
        except ToolFailure:
            drafts = drafted.ids
        for draft in drafts:
            try:
                await self._api.send("DELETE", f"{item.path}/draft_notes/{draft}")
            except ToolFailure:
                left.append(f"draft {draft}")
        if approved:
            try:
                await self._api.send("POST", f"{item.path}/unapprove")
            except ToolFailure:
                left.append("the approval")
        if left:
            raise Unavailable(
                f"The review failed, and could not be taken back whole: {', '.join(left)} of {item} is still there. A person"
                " removes it on the page."
            )

    async def _read_back(self, item: Item, review: Review, standing: _Standing, drafted: _Drafted, published: _Published) -> Sent:
        """What became of the review. From here on it is published, so nothing that fails may say otherwise."""
        try:
            read = await self._changes.discussions(item)
        except ToolFailure as failure:
            unknown = f"GitLab took the review, but it could not be read back: {failure}"
            return Sent(standing.url, [_outcome(comment, None, complete=False) for comment in review.comments], unknown)
        mine = [
            (discussion, written)
            for discussion in read.items
            for written in discussion.notes
            if written.author is not None and written.author.id == standing.me and _is_since(written, drafted.since)
        ]
        complete = read.next_page is None
        outcomes = [_outcome(comment, _found(comment, mine), complete=complete) for comment in review.comments]
        notes = [*published.notes, *await self._about_verdict(item, review, standing, mine, asked=published.asked)]
        return Sent(standing.url, outcomes, " ".join(notes) or None)

    async def _about_verdict(
        self, item: Item, review: Review, standing: _Standing, mine: Sequence[tuple[Discussion, Note]], *, asked: bool
    ) -> list[str]:
        """What has to be said of the verdict, and of an approval from before."""
        approved = standing.approvals.user_has_approved
        if review.verdict == "accept" and approved:
            return ["This account had approved the change before; GitLab keeps that approval."]
        if review.verdict != "request_changes":
            return []
        notes = [] if asked else [_NO_REQUEST]
        if asked and not await self._is_requested(item, standing, mine):
            notes.append(_NOT_RECORDED)
        if approved and (failure := await self._withdrawn(item)) is not None:
            notes.append(f"The account's earlier approval still stands: {failure}")
        return notes

    async def _is_requested(self, item: Item, standing: _Standing, mine: Sequence[tuple[Discussion, Note]]) -> bool:
        if any(written.system and written.body.strip() == REQUESTED for _, written in mine):
            return True
        try:
            reviewers = await self._changes.reviewers(item)
        except ToolFailure:
            return False
        return any(each.user.id == standing.me and each.state == "requested_changes" for each in reviewers or ())

    async def _withdrawn(self, item: Item) -> str | None:
        """Takes the approval back: who asks for changes does not approve any more. Why not, if it failed."""
        try:
            if (await self._changes.approvals(item)).user_has_approved:
                await self._api.send("POST", f"{item.path}/unapprove")
        except ToolFailure as failure:
            return str(failure)
        return None


def _must_say_something(review: Review) -> None:
    if review.verdict != "accept" and not review.summary.strip() and not review.comments:
        raise InvalidInput("The review says nothing: give it a summary or comments.")


def _must_be_possible(review: Review, merge_request: MergeRequest, approvals: Approvals, *, mine: bool) -> None:
    if merge_request.state in ("merged", "closed") and review.verdict != "comment":
        raise Conflict(f"The change is {merge_request.state} by now; it takes comments, but no verdict.")
    if review.verdict != "accept":
        return
    if mine:
        raise NotPermitted("This account wrote the change, and one's own change is not accepted.")
    if not may_approve(approvals):
        raise NotPermitted("GitLab does not let this account approve the change.")


def _outcome(comment: InlineComment, thread: str | None, *, complete: bool) -> CommentOutcome:
    if thread is not None:
        return CommentOutcome(index=comment.index, state="published", thread=thread)
    if complete:
        return CommentOutcome(index=comment.index, state="rejected", reason="GitLab published the review without this comment.")
    return CommentOutcome(
        index=comment.index, state="draft", reason="It was sent; whether it is published could not be read back."
    )


def _found(comment: InlineComment, mine: Sequence[tuple[Discussion, Note]]) -> str | None:
    """The newest thread that has the text of *comment* at its place."""
    text, (old, new) = _plain(commented(comment)), comment.ends[1]
    matches = [
        (written.id, discussion.id)
        for discussion, written in mine
        if written.position is not None
        and _plain(written.body) == text
        and (written.position.old_line, written.position.new_line) == (old, new)
        and comment.path in (written.position.new_path, written.position.old_path)
    ]
    return max(matches)[1] if matches else None


def _time_of(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header) - _CLOCKS if header else None
    except ValueError:
        return None


def _is_since(note: Note, since: datetime | None) -> bool:
    return since is None or note.created_at is None or note.created_at >= since


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()

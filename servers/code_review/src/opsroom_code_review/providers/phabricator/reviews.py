"""Sending a review: verdict and summary in one call that is done as a whole or not at all, then the comments on lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsroom_shared.errors import Conflict, InvalidInput, NotPermitted, ToolFailure, Unavailable

from ...models import CommentOutcome, ReplyResult
from ...settings import InlineMode
from .. import InlineComment, Reply, Review, Sent
from . import remarkup
from .conduit import Conduit
from .inlines import Inlines, rejected
from .names import Names
from .revisions import Current, Revisions, own_status
from .threads import discussion, newest_entries
from .wire import Account, Edited, Transaction

if TYPE_CHECKING:
    from pydantic import JsonValue

_EDIT = "differential.revision.edit"
_VERBS = {"accept": "accept", "request_changes": "reject"}
_KINDS = {"accept": "accept", "reject": "request-changes"}
"""How the verbs of an edit are called in the history."""
_DONE_ALREADY = {"accept": "accepted", "reject": "rejected"}


@dataclass(frozen=True)
class _Said:
    """What was written in one call."""

    done: frozenset[str]
    """The transactions that it made."""
    notes: tuple[str, ...] = ()
    verb: str | None = None
    """The verdict that was part of it."""


class Reviews:
    def __init__(self, conduit: Conduit, names: Names, revisions: Revisions, inline: InlineMode) -> None:
        self._conduit, self._names, self._revisions = conduit, names, revisions
        self._inlines = Inlines(conduit, names, inline)

    @property
    def publishes_inline(self) -> bool:
        return self._inlines.publishes

    async def submit(self, review: Review) -> Sent:
        """Once something is written, what fails later is told in the outcomes, because what was written stays."""
        current = await self._revisions.current(review.change)
        me = await self._names.me()
        self._check(review, current, me)
        mode = await self._inlines.mode() if review.comments else "summary"
        # lint results know no old side
        beside = [c for c in review.comments if mode in ("draft", "legacy") or (mode == "lint" and c.side == "new")]
        in_text = [comment for comment in review.comments if comment not in beside]
        text = remarkup.with_items(review.summary, current.version, in_text)
        verb = _VERBS.get(review.verdict)
        notes: list[str] = []
        if verb and own_status(current.revision, me) == _DONE_ALREADY[verb]:
            notes.append("This account's verdict was so already; it stands.")
            verb = None
        said = await self._say(review.change, verb, text)
        outcomes, entry = await self._read_back(review.change, said, text, in_text, notes)
        if beside:
            placed = await self._inlines.place(mode, beside, current, review.verdict, written=bool(said.done))
            outcomes += placed.outcomes
            notes += [placed.note] if placed.note else []
            if placed.left:
                more, entry = await self._say_more(review, current, placed.left, notes)
                outcomes += more
        url = self._conduit.page(f"{review.change}#{entry.id}" if entry else review.change)
        return Sent(url=url, outcomes=sorted(outcomes, key=lambda each: each.index), note=" ".join(notes) or None)

    async def reply(self, reply: Reply, *, task: bool) -> ReplyResult:
        """A comment of its own that quotes: Conduit can neither answer in a thread nor mark one as done."""
        ref = reply.change or ""
        url = self._conduit.page(ref)
        if reply.resolve is not None:
            raise NotPermitted(
                f"{self._conduit.name} lets nobody resolve or reopen a thread over its API: a person marks it as done at {url}."
                " Call again without `resolve` to post only the answer."
            )
        if not (reply.body and reply.body.strip()):
            raise InvalidInput("A reply needs a body.")
        history = await discussion(self._conduit, ref)
        entry, place = history.find(reply.thread)
        known = await self._names.known([entry.author])
        author = known.person(entry.author)
        where = None
        if place is not None and place.line is not None:
            where = f"{place.path}:{place.line}"
        quoted = entry.wording.raw if entry.wording else entry.kind or ""
        text = remarkup.reply(author.name if author else "someone", where, quoted, reply.body)
        method = "maniphest.edit" if task else _EDIT
        params: dict[str, JsonValue] = {"objectIdentifier": ref, "transactions": [{"type": "comment", "value": text}]}
        saved = await self._conduit.read(Edited, method, params, writes=True)
        posted = next((e for e in await newest_entries(self._conduit, ref) if e.phid in saved.done and e.kind == "comment"), None)
        note = f"{self._conduit.name} cannot answer inside a thread over its API: this is a comment on {ref} that quotes it."
        if posted is None:
            raise Unavailable(
                f"{self._conduit.name} took the reply, but it is not in the history of {ref}. Look there first: {url}"
            )
        return ReplyResult(posted=True, url=self._conduit.page(f"{ref}#{posted.id}"), note=note)

    def _check(self, review: Review, current: Current, me: Account) -> None:
        revision = current.revision
        if review.version != current.version:
            raise Conflict(
                f"{revision.ref} has moved on: its version is {current.version}, not {review.version}. Read the new one first."
            )
        if review.verdict != "comment":
            if revision.author == me.phid:
                raise NotPermitted(f"{revision.ref} is this account's own: it cannot give a verdict on it.")
            if revision.closed:
                raise Conflict(f"{revision.ref} is {revision.status}: it takes no verdict any more, only comments.")
        if review.verdict == "comment" and not review.summary.strip() and not review.comments:
            raise InvalidInput("A review needs a verdict, a summary or a comment.")

    async def _say(self, ref: str, verb: str | None, text: str) -> _Said:
        """Verdict and text in one call. A list as the value of a verdict, though documented, fails inside the server."""
        verdict: list[JsonValue] = [{"type": verb, "value": True}] if verb else []
        comment: list[JsonValue] = [{"type": "comment", "value": text}] if text else []
        if not verdict and not comment:
            return _Said(frozenset())
        outcome = await self._conduit.ask(_EDIT, {"objectIdentifier": ref, "transactions": [*verdict, *comment]}, writes=True)
        notes: tuple[str, ...] = ()
        if outcome.code is not None and "already accepted" in outcome.words:
            # another session did it in the meantime; the call was refused as a whole, the comment with it
            notes, verb = ("This account had accepted already; that stands.",), None
            if not comment:
                return _Said(frozenset(), notes)
            outcome = await self._conduit.ask(_EDIT, {"objectIdentifier": ref, "transactions": comment}, writes=True)
        if outcome.code is not None:
            raise self._conduit.failure(outcome, _EDIT)
        return _Said(self._conduit.validated(Edited, outcome.result, _EDIT).done, notes, verb)

    async def _say_more(
        self, review: Review, current: Current, comments: list[InlineComment], notes: list[str]
    ) -> tuple[list[CommentOutcome], Transaction | None]:
        """A comment of its own for what could not be placed beside the lines after all."""
        text = remarkup.with_items("", current.version, comments)
        try:
            said = await self._say(review.change, None, text)
        except ToolFailure as failure:
            return [rejected(comment, str(failure)) for comment in comments], None
        return await self._read_back(review.change, said, text, comments, notes)

    async def _read_back(
        self, ref: str, said: _Said, text: str, comments: Sequence[InlineComment], notes: list[str]
    ) -> tuple[list[CommentOutcome], Transaction | None]:
        """Tells of *comments*, which are part of the text, what the history shows now."""
        notes += said.notes
        if not said.done:
            return [rejected(comment, "the server took the text and did nothing") for comment in comments], None
        try:
            entries = [entry for entry in await newest_entries(self._conduit, ref) if entry.phid in said.done]
        except ToolFailure:
            notes.append("It was taken, and could not be read back.")
            return [CommentOutcome(index=c.index, state="in_summary", reason="not read back") for c in comments], None
        if said.verb and not any(entry.kind == _KINDS[said.verb] for entry in entries):
            notes.append("The verdict was taken, but it does not stand in the history.")
        entry = next((entry for entry in entries if entry.kind == "comment" and entry.wording), None)
        if entry is None:
            return [rejected(comment, "it does not stand in the history") for comment in comments], None
        if entry.wording and entry.wording.raw.strip() != text.strip():
            notes.append("The text stands in the history otherwise than it was sent.")
        thread = f"{ref}#{entry.id}"
        return [CommentOutcome(index=comment.index, state="in_summary", thread=thread) for comment in comments], entry

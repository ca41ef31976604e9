"""Sending a review: a verdict and a summary in one call, and inline comments in one of the ways that Phabricator leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from opsroom_shared.errors import Conflict, InvalidInput, NotPermitted, ToolFailure, Unavailable
from pydantic import Field, JsonValue

from ...models import CommentOutcome, ReplyResult
from ...settings import InlineMode
from .. import InlineComment, Reply, Review, Sent
from . import remarkup
from .conduit import Conduit
from .names import Names
from .revisions import Current, Revisions, own_status
from .threads import discussion, newest_entries
from .wire import Account, AnyMap, Edited, Number, Target, Transaction, Wire

Mode = Literal["summary", "draft", "lint", "legacy"]

_EDIT = "differential.revision.edit"
_TARGETS = ("arcanist.lint", "arcanist.unit")
_VERBS = {"accept": "accept", "request_changes": "reject"}
_KINDS = {"accept": "accept", "request_changes": "request-changes"}
_DONE_ALREADY = {"accept": "accepted", "request_changes": "rejected"}
_MAX_LINT_NAME = 200
_FINISHED = ("target/passed", "target/failed")


class _Drafted(Wire):
    """What createinline says that it stored."""

    id: Number
    new_side: Number = Field(alias="isNewFile")
    line: Number = Field(alias="lineNumber")
    more_lines: Number = Field(alias="lineLength")


class _AutoTargets(Wire):
    targets: AnyMap = Field(default={}, alias="targetMap")


@dataclass
class _Progress:
    """What has been done of a review so far. Once something is written, what fails later is told, not raised."""

    outcomes: list[CommentOutcome]
    notes: list[str]
    in_text: list[InlineComment]
    """The comments that the summary has to say."""


class Reviews:
    def __init__(self, conduit: Conduit, names: Names, revisions: Revisions, inline: InlineMode) -> None:
        self._conduit, self._names, self._revisions = conduit, names, revisions
        self._inline: InlineMode = inline
        self._attaches_inlines: bool | None = None
        """Whether the server publishes drafts with createcomment, as one fork does; unknown until it was tried."""

    @property
    def publishes_inline(self) -> bool:
        """Whether a comment on lines is seen beside them by everybody at once, as far as this is known."""
        return self._inline == "lint" or (self._inline == "legacy" and self._attaches_inlines is True)

    async def mode(self) -> Mode:
        """Nobody can see the drafts of a bot, so it says everything in the summary; a person's wait for that person."""
        if self._inline == "auto":
            return "summary" if (await self._names.me()).is_bot else "draft"
        return self._inline

    async def submit(self, review: Review) -> Sent:
        current = await self._revisions.current(review.change)
        me = await self._names.me()
        self._check(review, current, me)
        progress = _Progress([], [], [])
        if review.comments:
            match await self.mode():
                case "summary":
                    progress.in_text = list(review.comments)
                case "draft":
                    await self._draft(current, review.comments, progress)
                case "lint":
                    await self._lint(review, current, progress)
                case "legacy":
                    await self._legacy(review, current, progress)
        url = await self._say(review, current, me, progress)
        progress.outcomes.sort(key=lambda outcome: outcome.index)
        return Sent(url=url, outcomes=progress.outcomes, note=" ".join(progress.notes) or None)

    async def reply(self, reply: Reply, *, task: bool) -> ReplyResult:
        """A comment of its own that quotes: Conduit can neither answer in a thread nor mark one as done."""
        ref = reply.change or ""
        url = self._conduit.page(reply.thread if "#" in reply.thread else ref)
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
        quoted = entry.wording.raw if entry.wording else ""
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

    async def _say(self, review: Review, current: Current, me: Account, progress: _Progress) -> str | None:
        """The verdict and everything that is said in words, in one call that is done as a whole or not at all."""
        ref = current.revision.ref
        text = remarkup.with_items(review.summary, current.version, progress.in_text)
        verb = _VERBS.get(review.verdict)
        if verb and own_status(current.revision, me) == _DONE_ALREADY[review.verdict]:
            progress.notes.append("This account's verdict was so already; it stands.")
            verb = None
        transactions: list[JsonValue] = [{"type": verb, "value": True}] if verb else []
        if text:
            transactions.append({"type": "comment", "value": text})
        if not transactions:
            return self._conduit.page(ref)
        try:
            saved, judged = await self._edited(ref, transactions, progress)
            entries = [e for e in await newest_entries(self._conduit, ref) if e.phid in saved.done]
        except ToolFailure as failure:
            if not progress.outcomes:
                raise
            progress.notes.append(f"The verdict and the summary were not sent: {failure}")
            progress.outcomes += [_rejected(comment, "the summary was not sent") for comment in progress.in_text]
            return self._conduit.page(ref)
        said = self._read_back(review, text, entries, progress, verdict=verb is not None and judged)
        return self._conduit.page(f"{ref}#{said.id}" if said else ref)

    async def _edited(self, ref: str, transactions: list[JsonValue], progress: _Progress) -> tuple[Edited, bool]:
        """What was done, and whether the verdict was part of it."""
        params: dict[str, JsonValue] = {"objectIdentifier": ref, "transactions": transactions}
        outcome, judged = await self._conduit.ask(_EDIT, params, writes=True), True
        if outcome.code is not None and "already accepted" in outcome.words:
            # somebody else's session did it in the meantime; the call was refused as a whole, the comment with it
            progress.notes.append("This account had accepted already; that stands.")
            rest = [part for part in transactions if not (isinstance(part, dict) and part.get("type") == "accept")]
            if not rest:
                return Edited.model_validate({"object": {"id": ref[1:], "phid": ""}}), False
            outcome, judged = await self._conduit.ask(_EDIT, {**params, "transactions": rest}, writes=True), False
        if outcome.code is not None:
            raise self._conduit.failure(outcome, _EDIT)
        return self._conduit.validated(Edited, outcome.result, _EDIT), judged

    def _read_back(
        self, review: Review, text: str, entries: list[Transaction], progress: _Progress, *, verdict: bool
    ) -> Transaction | None:
        """Tells only what stands in the history now."""
        said = next((e for e in entries if e.kind == "comment" and e.wording and e.wording.raw.strip() == text.strip()), None)
        if text and said is None:
            progress.notes.append("The text was taken, but it does not stand in the history as it was sent.")
        if verdict and not any(entry.kind == _KINDS[review.verdict] for entry in entries):
            progress.notes.append("The verdict was taken, but it does not stand in the history.")
        for comment in progress.in_text:
            if said is not None:
                progress.outcomes.append(
                    CommentOutcome(index=comment.index, state="in_summary", thread=f"{review.change}#{said.id}")
                )
            else:
                progress.outcomes.append(_rejected(comment, "it does not stand in the history"))
        return said

    async def _draft(self, current: Current, comments: Sequence[InlineComment], progress: _Progress) -> list[InlineComment]:
        """Private drafts of this account, which no call of the API publishes. Gives back those that were stored."""
        me = await self._names.me()
        reason = f"only {me.name} sees until they press Submit at {self._conduit.page(current.revision.ref)}"
        stored: list[InlineComment] = []
        for comment in comments:
            try:
                in_place = await self._draft_one(current, comment)
            except ToolFailure as failure:
                if not progress.outcomes and not isinstance(failure, InvalidInput):
                    raise
                progress.outcomes.append(_rejected(comment, str(failure)))
                continue
            if in_place:
                stored.append(comment)
                progress.outcomes.append(CommentOutcome(index=comment.index, state="draft", reason=f"a draft that {reason}"))
            else:
                progress.outcomes.append(_rejected(comment, f"the server stored it at another place, as a draft that {reason}"))
        return stored

    async def _draft_one(self, current: Current, comment: InlineComment) -> bool:
        """Whether the server says that it stored the comment where it was sent to.

        Line numbers are not checked by the server, and a missing one is an error of its database: all are always sent.
        """
        params: dict[str, JsonValue] = {
            "revisionID": current.revision.id,
            "diffID": current.diff.id,
            "filePath": comment.path,
            "isNewFile": comment.side == "new",
            "lineNumber": comment.line,
            "lineLength": comment.end_line - comment.line,  # lines beyond the first
            "content": remarkup.body(comment),
        }
        drafted = await self._conduit.read(_Drafted, "differential.createinline", params, writes=True)
        stored = (bool(drafted.new_side), drafted.line, drafted.more_lines)
        return stored == (comment.side == "new", comment.line, comment.end_line - comment.line)

    async def _lint(self, review: Review, current: Current, progress: _Progress) -> None:
        """Results of a lint run, which the page of the diff shows beside the lines. They know no old side and no replies."""
        shown = [comment for comment in review.comments if comment.side == "new"]
        progress.in_text = [comment for comment in review.comments if comment.side == "old"]
        if not shown:
            return
        asked: dict[str, JsonValue] = {"objectPHID": current.diff.phid, "targetKeys": list[JsonValue](_TARGETS)}
        found = await self._conduit.read(_AutoTargets, "harbormaster.queryautotargets", asked, writes=True)
        target = found.targets.get(_TARGETS[0])
        if not isinstance(target, str):
            raise Unavailable(f"{self._conduit.name} has no target for lint results of version {current.version}.")
        message: dict[str, JsonValue] = {
            "receiver": target,
            "type": "fail" if review.verdict == "request_changes" else "pass",
            "lint": [_lint(comment, review) for comment in shown],
        }
        await self._conduit.call("harbormaster.sendmessage", message, writes=True)
        done = await self._finished(target)
        reason = "shown as a lint result beside the line; results cannot be read back, only that the run is finished"
        if not done:
            reason = "sent as a lint result; the server does not show the run as finished yet"
        progress.outcomes += [CommentOutcome(index=comment.index, state="published", reason=reason) for comment in shown]

    async def _finished(self, target: str) -> bool:
        try:
            page = await self._conduit.search(Target, "harbormaster.target.search", constraints={"phids": [target]})
        except ToolFailure:
            return False
        return any(found.status in _FINISHED for found in page.data)

    async def _legacy(self, review: Review, current: Current, progress: _Progress) -> None:
        """Drafts that an old call publishes on one fork. Elsewhere it is ignored, which one comment is enough to find out."""
        comments = list(review.comments)
        if self._attaches_inlines is None:
            first = comments.pop(0)
            stored = await self._draft(current, [first], progress)
            if not stored:
                progress.in_text = comments
                return
            self._attaches_inlines = bool(await self._attached(current, stored, progress))
            if not self._attaches_inlines:
                progress.outcomes = []
                progress.in_text = [first, *comments]
                progress.notes.append(
                    "This server does not publish inline comments over its API, so all of them are in the summary;"
                    " a draft of the first one is left, which only this account sees."
                )
                return
        if not self._attaches_inlines:
            progress.in_text = comments
            return
        stored = await self._draft(current, comments, progress)
        if stored:
            await self._attached(current, stored, progress)

    async def _attached(self, current: Current, stored: list[InlineComment], progress: _Progress) -> set[int]:
        """Publishes the drafts, and says of which the history shows it."""
        ref = current.revision.ref
        params: dict[str, JsonValue] = {
            "revision_id": current.revision.id,
            "message": f"Inline comments on version {current.version}.",
            "action": "none",
            "attach_inlines": True,
        }
        await self._conduit.call("differential.createcomment", params, writes=True)
        entries = [entry for entry in await newest_entries(self._conduit, ref) if entry.kind == "inline" and entry.wording]
        published: set[int] = set()
        for comment in stored:
            entry = next((e for e in entries if e.wording and e.wording.raw.strip() == remarkup.body(comment).strip()), None)
            if entry is not None:
                published.add(comment.index)
                progress.outcomes = [outcome for outcome in progress.outcomes if outcome.index != comment.index]
                progress.outcomes.append(
                    CommentOutcome(index=comment.index, state="published", thread=f"{ref}#inline-{entry.comments[0].id}")
                )
        return published


def _lint(comment: InlineComment, review: Review) -> JsonValue:
    text = comment.body.strip()
    end = f" (to line {comment.end_line})" if comment.end_line > comment.line else ""
    return {
        "name": (text.splitlines() or ["Comment"])[0][:_MAX_LINT_NAME],
        "code": "REVIEW",
        # an unknown severity is accepted in silence, so only words that the page knows are sent
        "severity": "warning" if review.verdict == "request_changes" else "advice",
        "path": comment.path,
        "line": comment.line,
        "description": remarkup.body(comment) + end,
    }


def _rejected(comment: InlineComment, reason: str) -> CommentOutcome:
    return CommentOutcome(index=comment.index, state="rejected", reason=reason)

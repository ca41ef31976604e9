"""One review: its version, the places of its comments, what was sent before, then all of it, or nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from opsroom_shared.errors import Conflict, InvalidInput, NotPermitted
from opsroom_shared.outside import clean
from pydantic import BaseModel, ConfigDict, Field

from .anchors import Misplaced, Place, place
from .diffs import FileDiff, Side
from .journal import key
from .models import ChangeDetails, CommentOutcome, ReviewResult, Thread, Verdict
from .outgoing import neutralised
from .paths import shown
from .providers import ChangeDiff, InlineComment, Review, Sent
from .registry import Named, Registry
from .sending import is_said, normalised, settle

_MOST_UNREAD = 5


class NewComment(BaseModel):  # without docstring and with few descriptions: all of it is part of every listing
    model_config = ConfigDict(extra="forbid")

    path: str = Field(max_length=4_000)
    line: int = Field(description="First line in the file", ge=1, le=9_999_999)
    end_line: int | None = Field(default=None, ge=1, le=9_999_999)
    side: Side = Field(default="new", description="old for a removed line")
    body: str = Field(max_length=20_000)
    suggestion: str | None = Field(default=None, max_length=20_000)


@dataclass
class _Drafted:
    """One comment on its way."""

    index: int
    outcome: CommentOutcome
    inline: InlineComment | None = None
    key: str = ""

    @property
    def is_to_send(self) -> bool:
        return self.outcome.state == "unsent" and self.inline is not None


@dataclass
class _Draft:
    named: Named
    version: str
    verdict: Verdict
    summary: str
    key: str
    comments: list[_Drafted] = field(default_factory=list[_Drafted])
    summary_known: str | None = None
    """Why summary and verdict are not sent again, if they are not."""

    @property
    def to_send(self) -> list[_Drafted]:
        return [comment for comment in self.comments if comment.is_to_send]

    @property
    def says_something(self) -> bool:
        return bool(self.to_send) or (self.summary_known is None and bool(self.summary or self.verdict != "comment"))


async def review(
    registry: Registry,
    named: Named,
    *,
    version: str,
    verdict: Verdict,
    summary: str,
    comments: Sequence[NewComment],
    dry_run: bool,
) -> ReviewResult:
    """Sends a review, or with *dry_run* only says what would become of it."""
    if not (summary.strip() or comments or verdict != "comment"):
        raise InvalidInput("There is nothing to send: give a summary, comments, or a verdict other than comment.")
    details = await named.provider.change(named.ref)
    registry.check_repo(named.provider, details.change.repo)
    version = _checked_version(details, version)
    _check_verdict(registry, details, verdict)
    diff = (await registry.diffs.get(named.provider, named.ref, version=version)).diff
    if verdict == "accept" and registry.settings.accept_needs_reading:
        _check_read(registry, named, diff)
    draft = _drafted(registry, named, diff, verdict=verdict, summary=summary, comments=comments)
    if any(comment.outcome.state == "rejected" for comment in draft.comments):
        return _unsent(draft, details, "Nothing was sent: a comment has no place in this diff. Correct it and repeat the call.")
    await _mark_duplicates(registry, draft, shows_comments=details.can.publish_inline)
    if not draft.says_something:
        return _unsent(draft, details, "Nothing was sent now: all of it was sent before.")
    if dry_run:
        return _unsent(draft, details, "Nothing was sent: dry_run. The rest would be.")
    return await _sent(registry, draft, details)


def _checked_version(details: ChangeDetails, version: str) -> str:
    newest = details.change.version
    if newest is None:
        raise Conflict("The newest version of this change cannot be told; nothing was sent.")
    if newest == version or (len(version) >= 7 and newest.startswith(version) and not newest.isdecimal()):
        return newest
    raise Conflict(
        f"The change has moved on: its newest version is {clean(newest, 100)}. Nothing was sent. "
        "Read what is different with read_diff and since_version, then repeat the call with the new version."
    )


def _check_verdict(registry: Registry, details: ChangeDetails, verdict: Verdict) -> None:
    if not details.can.comment:
        raise NotPermitted("The account of this server may not comment on this change.")
    if verdict != "accept":
        return
    if not registry.settings.allow_accept:
        raise NotPermitted(
            "This server may not accept changes; a person allows that with allow_accept = true in its settings. "
            "Send the review with the verdict comment, and let a person accept."
        )
    if not details.can.accept:
        raise NotPermitted(
            "This change cannot be accepted by this account: it is its own, or closed, or the account lacks the right."
        )


def _check_read(registry: Registry, named: Named, diff: ChangeDiff) -> None:
    unread = registry.readings.unread(named.key, diff.version, diff.files)
    if diff.missing is not None:
        raise NotPermitted(
            f"Not accepted: not all of its files can be read here ({clean(diff.missing, 200)}). A person accepts it."
        )
    if unread:
        names = ", ".join(shown(path) for path in unread[:_MOST_UNREAD])
        more = f" and {len(unread) - _MOST_UNREAD} more" if len(unread) > _MOST_UNREAD else ""
        raise NotPermitted(
            f"Not accepted: of version {clean(diff.version, 100)}, {len(unread)} files have not been read to their end with "
            f"read_diff: {names}{more}. Read them first."
        )


def _drafted(
    registry: Registry, named: Named, diff: ChangeDiff, *, verdict: Verdict, summary: str, comments: Sequence[NewComment]
) -> _Draft:
    summary = _outgoing(registry, named, summary.strip())
    about = key("review", named.key, diff.version, verdict, normalised(summary))
    draft = _Draft(named, diff.version, verdict, summary, about)
    seen: dict[str, int] = {}
    for index, comment in enumerate(comments):
        found = place(diff.files, comment.path, comment.side, comment.line, comment.end_line)
        if isinstance(found, Place) and comment.suggestion is not None and comment.side == "old":
            found = Misplaced("A suggestion replaces lines of the new side; this comment is on the old one.")
        if isinstance(found, Misplaced):
            outcome = CommentOutcome(
                index=index, state="rejected", reason=clean(found.reason, 1_000), nearest_line=found.nearest_line
            )
            draft.comments.append(_Drafted(index, outcome))
            continue
        drafted = _Drafted(index, CommentOutcome(index=index, state="unsent"), _inline(registry, named, index, comment, found))
        drafted.key = _fingerprint(named, drafted.inline, found)
        if drafted.key in seen:
            drafted.outcome = CommentOutcome(index=index, state="duplicate", reason=f"The same as comment {seen[drafted.key]}.")
        seen.setdefault(drafted.key, index)
        draft.comments.append(drafted)
    return draft


def _inline(registry: Registry, named: Named, index: int, comment: NewComment, found: Place) -> InlineComment:
    return InlineComment(
        index=index,
        path=found.file.path,
        old_path=found.file.old_path or found.file.path,
        side=comment.side,
        line=comment.line,
        end_line=comment.end_line or comment.line,
        ends=found.ends,
        quoted=found.quoted,
        body=_outgoing(registry, named, comment.body.strip()),
        suggestion=comment.suggestion,
    )


def _outgoing(registry: Registry, named: Named, text: str) -> str:
    return text if registry.settings.allow_mentions else neutralised(text, named.provider.kind)


def _fingerprint(named: Named, comment: InlineComment | None, found: Place) -> str:
    """The same for a comment that says the same about the same lines, also in a later version where they have moved."""
    if comment is None:
        raise AssertionError("a comment without a place has no fingerprint")
    quoted = [normalised(line) for line in found.quoted]
    before = _count_before(found.file, comment.side, comment.line, quoted[0])
    return key(
        "comment", named.key, comment.path, comment.side, "\n".join(quoted), before, normalised(comment.body), comment.suggestion
    )


def _count_before(file: FileDiff, side: Side, number: int, text: str) -> int:
    """How many equal lines of the diff stand before the line: the same words may be about each of them."""
    lines = ((line.new if side == "new" else line.old, line.text) for line in file.lines())
    return sum(1 for at, other in lines if at is not None and at < number and normalised(other) == text)


async def _mark_duplicates(registry: Registry, draft: _Draft, *, shows_comments: bool) -> None:
    """Marks what the journal or the discussion already has. *shows_comments*: whether whatever was sent can be seen there."""
    keys = [comment.key for comment in draft.to_send]
    known = await asyncio.to_thread(registry.journal.look, [*keys, draft.key])
    if any(entry.state == "being_sent" for entry in known.values()):
        raise Conflict("The same review is being sent right now by another call. Nothing was sent by this one.")
    threads = await draft.named.provider.threads(change=draft.named.ref, task=None)
    for comment in draft.to_send:
        there, entry = _same_comment(threads, comment.inline, draft.version), known.get(comment.key)
        if there is None and (entry is None or (entry.state == "unknown" and shows_comments)):
            continue
        reason = "It was sent before."
        if there is None and entry is not None and entry.state == "unknown":
            reason = (
                "An earlier call that sent it was cut off, and it cannot be seen in the discussion: it may be a draft, or not "
                "have arrived. Change its words to send it again."
            )
        comment.outcome = CommentOutcome(
            index=comment.index, state="duplicate", reason=reason, thread=there.id if there else None
        )
    entry = known.get(draft.key)
    if entry is not None and entry.state == "sent":
        draft.summary_known = "Summary and verdict were sent before."
    elif (draft.verdict == "comment" or entry is not None) and draft.summary and is_said(threads, draft.summary):
        draft.summary_known = "The summary stands there already."


def _same_comment(threads: list[Thread], comment: InlineComment | None, version: str) -> Thread | None:
    """The thread that has *comment*: on the same lines, or about it by name where a system has no places."""
    if comment is None:
        return None
    body = normalised(comment.body)
    for thread in threads:
        texts = [normalised(each.text) for each in thread.comments]
        anchor = thread.anchor
        if anchor is None:
            if any(body in text and f"{comment.path}:{comment.line}" in text for text in texts):
                return thread
        elif (
            anchor.path == comment.path
            and (anchor.line in (None, comment.line) or anchor.outdated or anchor.version != version)
            and any(text == body or (comment.suggestion is not None and text.startswith(body)) for text in texts)
        ):
            return thread
    return None


async def _sent(registry: Registry, draft: _Draft, details: ChangeDetails) -> ReviewResult:
    sending = draft.to_send
    with_summary = draft.summary_known is None
    keys = [comment.key for comment in sending] + ([draft.key] if with_summary else [])
    await asyncio.to_thread(registry.journal.claim, keys)
    whole = Review(
        change=draft.named.ref,
        version=draft.version,
        verdict=draft.verdict if with_summary else "comment",
        summary=draft.summary if with_summary else "",
        comments=tuple(comment.inline for comment in sending if comment.inline is not None),
    )
    try:
        sent = await draft.named.provider.submit(whole)
    except BaseException as error:
        await settle(registry.journal, keys, error)
        raise
    outcomes = {outcome.index: outcome for outcome in sent.outcomes}
    lost = [comment.key for comment in sending if outcomes.get(comment.index, comment.outcome).state in ("rejected", "unsent")]
    await asyncio.to_thread(registry.journal.finish, {each: None for each in keys if each not in lost})
    if lost:
        await asyncio.to_thread(registry.journal.release, lost)
    return _result(draft, details, sent, outcomes)


def _result(draft: _Draft, details: ChangeDetails, sent: Sent, outcomes: dict[int, CommentOutcome]) -> ReviewResult:
    notes = [note for note in (sent.note, draft.summary_known) if note]
    return ReviewResult(
        submitted=True,
        verdict=draft.verdict,
        url=sent.url or details.change.url,
        comments=[outcomes.get(comment.index, comment.outcome) for comment in draft.comments],
        note=" ".join(notes) or None,
    )


def _unsent(draft: _Draft, details: ChangeDetails, note: str) -> ReviewResult:
    return ReviewResult(
        submitted=False,
        verdict=draft.verdict,
        url=details.change.url,
        comments=[comment.outcome for comment in draft.comments],
        note=note,
    )

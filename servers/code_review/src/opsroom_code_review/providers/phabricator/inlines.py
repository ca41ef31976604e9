"""Comments beside the lines of a diff: as drafts, as lint results, or the way that one fork has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from opsroom_shared.errors import InvalidInput, ToolFailure, Unavailable
from pydantic import Field, JsonValue

from ...models import CommentOutcome, Verdict
from ...settings import InlineMode
from .. import InlineComment
from . import remarkup
from .conduit import Conduit
from .names import Names
from .revisions import Current
from .threads import newest_entries
from .wire import AnyMap, Number, Target, Wire

Mode = Literal["summary", "draft", "lint", "legacy"]

_TARGETS = ("arcanist.lint", "arcanist.unit")
_MAX_LINT_NAME = 200
_FINISHED = ("target/passed", "target/failed")


class _Drafted(Wire):
    """What createinline says that it stored."""

    new_side: Number = Field(alias="isNewFile")
    line: Number = Field(alias="lineNumber")
    more_lines: Number = Field(alias="lineLength")


class _AutoTargets(Wire):
    targets: AnyMap = Field(default={}, alias="targetMap")


@dataclass
class Placed:
    """What became of the comments. Those in *left* have to be said in words."""

    outcomes: list[CommentOutcome] = field(default_factory=list[CommentOutcome])
    left: list[InlineComment] = field(default_factory=list[InlineComment])
    note: str | None = None


class Inlines:
    """No method of Conduit publishes a comment on lines for everybody; each of these ways lacks something."""

    def __init__(self, conduit: Conduit, names: Names, inline: InlineMode) -> None:
        self._conduit, self._names = conduit, names
        self._inline: InlineMode = inline
        self._attaches: bool | None = None
        """Whether the server publishes drafts with createcomment, as one fork does; unknown until it was tried."""

    @property
    def publishes(self) -> bool:
        """Whether a comment on lines is seen beside them by everybody at once, as far as this is known."""
        return self._inline == "lint" or (self._inline == "legacy" and self._attaches is True)

    async def mode(self) -> Mode:
        """Nobody can see the drafts of a bot, so it says everything in the summary; a person's wait for that person."""
        if self._inline == "auto":
            return "summary" if (await self._names.me()).is_bot else "draft"
        if self._inline == "legacy" and self._attaches is False:
            return "summary"
        return self._inline

    async def place(
        self, mode: Mode, comments: Sequence[InlineComment], current: Current, verdict: Verdict, *, written: bool
    ) -> Placed:
        """Sends *comments*. Raises only as long as nothing of the review is *written*; later, failures are outcomes."""
        match mode:
            case "draft":
                return Placed(await self._drafts(comments, current, written=written))
            case "lint":
                return Placed(await self._lint(comments, current, verdict, written=written))
            case "legacy":
                return await self._legacy(comments, current, written=written)
            case "summary":
                return Placed(left=list(comments))

    async def _drafts(self, comments: Sequence[InlineComment], current: Current, *, written: bool) -> list[CommentOutcome]:
        """Private drafts of this account, which no call of the API publishes, shows or takes back."""
        me = await self._names.me()
        reason = f"a draft that only {me.name} sees until they press Submit at {self._conduit.page(current.revision.ref)}"
        outcomes: list[CommentOutcome] = []
        for comment in comments:
            try:
                in_place = await self._draft(current, comment)
            except ToolFailure as failure:
                if not (written or outcomes or isinstance(failure, InvalidInput)):
                    raise
                outcomes.append(rejected(comment, str(failure)))
                continue
            if in_place:
                outcomes.append(CommentOutcome(index=comment.index, state="draft", reason=reason))
            else:
                outcomes.append(rejected(comment, f"the server stored it at another place, as {reason}"))
        return outcomes

    async def _draft(self, current: Current, comment: InlineComment) -> bool:
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

    async def _lint(
        self, comments: Sequence[InlineComment], current: Current, verdict: Verdict, *, written: bool
    ) -> list[CommentOutcome]:
        """Results of a lint run, which the page of the diff shows beside the lines. They know no old side and no replies."""
        try:
            target = await self._lint_target(current)
            message: dict[str, JsonValue] = {
                "receiver": target,
                "type": "fail" if verdict == "request_changes" else "pass",
                "lint": [_result(comment, verdict) for comment in comments],
            }
            await self._conduit.call("harbormaster.sendmessage", message, writes=True)
        except ToolFailure as failure:
            if not written:
                raise
            return [rejected(comment, str(failure)) for comment in comments]
        reason = "shown as a lint result beside the line; results cannot be read back, only that the run is finished"
        if not await self._is_finished(target):
            reason = "sent as a lint result; the server does not show the run as finished yet"
        return [CommentOutcome(index=comment.index, state="published", reason=reason) for comment in comments]

    async def _lint_target(self, current: Current) -> str:
        asked: dict[str, JsonValue] = {"objectPHID": current.diff.phid, "targetKeys": list[JsonValue](_TARGETS)}
        found = await self._conduit.read(_AutoTargets, "harbormaster.queryautotargets", asked, writes=True)
        target = found.targets.get(_TARGETS[0])
        if not isinstance(target, str):
            raise Unavailable(f"{self._conduit.name} has no target for lint results of version {current.version}.")
        return target

    async def _is_finished(self, target: str) -> bool:
        try:
            page = await self._conduit.search(Target, "harbormaster.target.search", constraints={"phids": [target]})
        except ToolFailure:
            return False
        return any(found.status in _FINISHED for found in page.data)

    async def _legacy(self, comments: Sequence[InlineComment], current: Current, *, written: bool) -> Placed:
        """Drafts that an old call publishes on one fork. Elsewhere it is ignored, which one comment is enough to find out."""
        if self._attaches is None:
            probe = await self._attached(comments[:1], current, written=written)
            if probe[0].state == "rejected":
                return Placed(probe, list(comments[1:]))
            self._attaches = probe[0].state == "published"
            if not self._attaches:
                note = (
                    "This server does not publish inline comments over its API, so all of them are said in a comment;"
                    " a draft of the first one is left, which only this account sees."
                )
                return Placed(left=list(comments), note=note)
            return Placed([*probe, *await self._attached(comments[1:], current, written=True)])
        return Placed(await self._attached(comments, current, written=written))

    async def _attached(self, comments: Sequence[InlineComment], current: Current, *, written: bool) -> list[CommentOutcome]:
        """Drafts, which are then published, as far as the history shows them."""
        outcomes = {outcome.index: outcome for outcome in await self._drafts(comments, current, written=written)}
        stored = [comment for comment in comments if outcomes[comment.index].state == "draft"]
        if not stored:
            return list(outcomes.values())
        ref = current.revision.ref
        params: dict[str, JsonValue] = {
            "revision_id": current.revision.id,
            "message": f"Inline comments on version {current.version}.",
            "action": "none",
            "attach_inlines": True,
        }
        try:
            await self._conduit.call("differential.createcomment", params, writes=True)
            entries = [entry for entry in await newest_entries(self._conduit, ref) if entry.kind == "inline"]
        except ToolFailure:
            return list(outcomes.values())  # drafts are what they are for certain
        for comment in stored:
            text = remarkup.body(comment).strip()
            entry = next((entry for entry in entries if entry.wording and entry.wording.raw.strip() == text), None)
            if entry is not None:
                thread = f"{ref}#inline-{entry.comments[0].id}"
                outcomes[comment.index] = CommentOutcome(index=comment.index, state="published", thread=thread)
        return list(outcomes.values())


def rejected(comment: InlineComment, reason: str) -> CommentOutcome:
    return CommentOutcome(index=comment.index, state="rejected", reason=reason)


def _result(comment: InlineComment, verdict: Verdict) -> JsonValue:
    text = comment.body.strip()
    end = f" (to line {comment.end_line})" if comment.end_line > comment.line else ""
    return {
        "name": (text.splitlines() or ["Comment"])[0][:_MAX_LINT_NAME],
        "code": "REVIEW",
        # an unknown severity is accepted in silence, so only words that the page knows are sent
        "severity": "warning" if verdict == "request_changes" else "advice",
        "path": comment.path,
        "line": comment.line,
        "description": remarkup.body(comment) + end,
    }

"""Check runs and statuses of a pull request's newest commit, their annotations, and the end of a job's log."""

import asyncio
import re
from typing import Literal

from opsroom_shared.errors import NotFound, RateLimited, ToolFailure
from opsroom_shared.outside import clean
from pydantic import Field

from ...models import Annotation, Check, Checks, CheckState
from . import queries, wire
from .api import GitHubApi, names
from .changes import variables_of, wrong_kind
from .mapping import check_state
from .references import Item
from .wire import AnIssue, Connection, Context, Graph

_MOST_PAGES = 10
_MOST_LOG = 64 << 20
_KEPT_LOG = 512 << 10
_LONGEST_LINE = 2_000
_JOB = re.compile(r"/actions/runs/\d+/job/(\d{1,20})(?:[?#]|$)")
_STAMP = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT[\d:.]+Z ?")


class _Rollup(Graph):
    state: str
    contexts: Connection[Context]


class _Commit(Graph):
    status_check_rollup: _Rollup | None = None


class _Tip(Graph):
    commit: _Commit


class _Checked(Graph):
    kind: Literal["PullRequest"] = Field(alias="__typename")
    tip: Connection[_Tip]


class _Repository(Graph):
    item: _Checked | AnIssue | None = Field(None, discriminator="kind")


class _Data(Graph):
    repository: _Repository | None = None


class _Run(Graph):
    annotations: Connection[wire.Annotation] | None = None


class _RunData(Graph):
    node: _Run | None = None


class CheckReader:
    def __init__(self, api: GitHubApi) -> None:
        self._api = api

    async def read(self, item: Item, *, check: str | None, log_lines: int) -> Checks:
        state, contexts, whole = await self._all(item)
        if check is None:
            hint = None if whole else f"Only the first {len(contexts)} checks are listed."
            return Checks(state=state, checks=[_check(context) for context in contexts], hint=hint)
        found = next((one for one in contexts if check in (one.id, one.name, one.context)), None)
        if found is None:
            known = [one.name or one.context or one.id for one in contexts]
            raise NotFound(f"{item} has no check {clean(check, 80)!r} on its newest commit. It has: {names(known)}.")
        return await self._one(item, found, log_lines)

    async def _one(self, item: Item, found: Context, log_lines: int) -> Checks:
        shown = _check(found)
        if found.kind == "StatusContext":
            hint = "A commit status has no annotations and no log on GitHub; its URL leads to who reported it."
            return Checks(state=shown.state, checks=[shown], hint=hint)
        annotations, (tail, hint) = await asyncio.gather(self._annotations(found), self._log(item, found, log_lines))
        detailed = shown.model_copy(update={"annotations": annotations, "log_tail": tail})
        return Checks(state=shown.state, checks=[detailed], hint=hint)

    async def _all(self, item: Item) -> tuple[CheckState, list[Context], bool]:
        contexts: list[Context] = []
        after: str | None = None
        state: CheckState = "unknown"
        for _ in range(_MOST_PAGES):
            answered = await self._api.query(_Data, queries.CHECKS, {**variables_of(item), "after": after})
            found = answered.data.repository.item if answered.data.repository else None
            if found is None:
                raise answered.absence(f"There is no pull request {item} that this account may see.")
            if isinstance(found, AnIssue):
                raise wrong_kind(item, found)
            rollup = next((tip.commit.status_check_rollup for tip in found.tip.items), None)
            if rollup is None:
                if answered.problems:
                    raise answered.absence(f"The checks of {item} cannot be read.")
                return "unknown", [], True
            state = check_state(rollup.state)
            contexts += rollup.contexts.items
            after = rollup.contexts.following
            if after is None:
                return state, contexts, True
        return state, contexts, False

    async def _annotations(self, found: Context) -> list[Annotation]:
        answered = await self._api.query(_RunData, queries.ANNOTATIONS, {"id": found.id})
        annotations = answered.data.node.annotations if answered.data.node else None
        return [
            Annotation(
                path=one.path,
                line=one.location.start.line,
                level=(one.annotation_level or "notice").lower(),
                text=f"{one.title}: {one.message}" if one.title else one.message,
            )
            for one in (annotations.items if annotations else [])
        ]

    async def _log(self, item: Item, found: Context, lines: int) -> tuple[str | None, str | None]:
        """The end of the log, or why there is none. A log that is missing does not hide the annotations."""
        job = _JOB.search(found.details_url or "")
        if job is None:
            return None, "Only jobs of GitHub Actions have a log here; the check's URL leads to where it ran."
        if lines <= 0:
            return None, None
        try:
            response = await self._api.tail(f"{item.repository.path}/actions/jobs/{job[1]}/logs", most=_MOST_LOG, keep=_KEPT_LOG)
        except RateLimited:
            raise
        except ToolFailure as failure:
            return None, f"The log cannot be read: {failure}"
        return _last_lines(response.text(), lines), None


def _last_lines(text: str, count: int) -> str:
    """The last lines without the time at the start of each, which costs more than it says."""
    lines = text.rstrip("\n").split("\n")[-count:]
    return "\n".join(clean(_STAMP.sub("", line.rstrip("\r")), _LONGEST_LINE) for line in lines)


def _check(context: Context) -> Check:
    if context.kind == "StatusContext":
        return Check(id=context.id, name=context.context or "", state=check_state(context.state), url=context.target_url)
    word = context.conclusion if context.status == "COMPLETED" else context.status
    return Check(id=context.id, name=context.name or "", state=check_state(word), url=context.details_url)

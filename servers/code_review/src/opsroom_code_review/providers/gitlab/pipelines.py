"""The checks of a merge request: the jobs of its newest pipeline, and what other systems reported about its head."""

import asyncio
import re
from dataclasses import dataclass

from opsroom_shared.errors import NotFound, NotPermitted, TooLarge
from opsroom_shared.outside import clean

from ...models import Annotation, Check, Checks, CheckState
from .api import REVIEWER_STATES, GitLabApi
from .patches import head
from .references import Item, project_path
from .wire import CaseResult, Job, MergeRequest, PipelineHead, TestsReport

_MOST_PAGES = 3
_MOST_LOG = 64 << 20
_KEPT_LOG = 256 << 10
_MOST_ANNOTATIONS = 50
_MOST_WORDS = 1_000

_STATES: dict[str, CheckState] = {
    **dict.fromkeys(("created", "waiting_for_resource", "preparing", "pending", "scheduled", "waiting_for_callback"), "queued"),
    **dict.fromkeys(("running", "canceling"), "running"),
    "success": "passed",
    "failed": "failed",
    **dict.fromkeys(("canceled", "skipped", "manual"), "skipped"),
}
_WORST_FIRST: tuple[CheckState, ...] = ("failed", "running", "queued", "passed", "skipped")
_SECTION = re.compile(r"section_(?:start|end):\d+:[^\r\n]*\r?(?:\x1b\[0K)?")


@dataclass(frozen=True)
class _Found:
    """A check, and where its log is, if GitLab has it."""

    job: Job
    log: str | None


class Pipelines:
    def __init__(self, api: GitLabApi) -> None:
        self._api = api

    async def checks(self, item: Item, merge_request: MergeRequest, *, check: str | None, log_lines: int) -> Checks:
        pipeline = merge_request.head_pipeline
        jobs, triggers, statuses = await asyncio.gather(
            self._jobs(item, pipeline), self._triggers(item, pipeline), self._statuses(item, head(merge_request))
        )
        own = {found.job.id for found in [*jobs, *triggers]}
        # GitLab lists its own jobs among the statuses of a commit, too
        others = [found for found in statuses if found.job.id not in own]
        every = [*jobs, *triggers, *others]
        state = check_state(pipeline.status) if pipeline else _together([found.job for found in every])
        if check is None:
            hint = None if every else "No pipeline has run for this merge request."
            return Checks(state=state, checks=[_check(found.job) for found in every], hint=hint)
        return await self._one(item, pipeline, every, check, log_lines)

    async def _one(self, item: Item, pipeline: PipelineHead | None, every: list[_Found], check: str, log_lines: int) -> Checks:
        found = next((each for each in every if str(each.job.id) == check), None)
        if found is None:
            named = [each for each in every if each.job.name == check]
            if len(named) != 1:
                known = ", ".join(f"{each.job.id} ({clean(each.job.name, 60)})" for each in every[:20])
                raise NotFound(f"{item} has no check {clean(check, 60)!r}. Its checks: {known or 'none'}.")
            found = named[0]
        log, annotations = await asyncio.gather(self._log(found, log_lines), self._annotations(item, pipeline, found.job))
        shown = _check(found.job)
        return Checks(
            state=shown.state,
            checks=[shown.model_copy(update={"annotations": annotations, "log_tail": log[0]})],
            hint=log[1],
        )

    async def _jobs(self, item: Item, pipeline: PipelineHead | None) -> list[_Found]:
        if pipeline is None:
            return []
        path = pipeline_path(item, pipeline)
        listed = await self._api.pages(Job, f"{path}/jobs", most=_MOST_PAGES)
        owner = path.partition("/pipelines/")[0]
        return [_Found(job, f"{owner}/jobs/{job.id}/trace") for job in listed.items]

    async def _triggers(self, item: Item, pipeline: PipelineHead | None) -> list[_Found]:
        """The jobs that start other pipelines, which have another address since they were renamed."""
        if pipeline is None:
            return []
        name = "trigger_jobs" if await self._api.version() >= REVIEWER_STATES else "bridges"
        listed = await self._api.page(Job, f"{pipeline_path(item, pipeline)}/{name}")
        return [_Found(job, None) for job in listed.items]

    async def _statuses(self, item: Item, commit: str) -> list[_Found]:
        path = f"{project_path(item.project)}/repository/commits/{commit}/statuses"
        try:
            listed = await self._api.pages(Job, path, most=_MOST_PAGES)
        except (NotFound, NotPermitted):
            return []  # the head of a fork that this account may not see
        return [_Found(job, None) for job in listed.items]

    async def _log(self, found: _Found, lines: int) -> tuple[str | None, str | None]:
        """The end of the log, or why there is none."""
        if found.log is None or lines == 0:
            return None, None if found.log else "GitLab has no log of this check."
        try:
            raw = await self._api.log(found.log, most=_MOST_LOG, keep=_KEPT_LOG)
        except TooLarge:
            return None, "The log is too large to be read."
        except (NotFound, NotPermitted):
            return None, "There is no log of this check that this account may see."
        return log_tail(raw.decode(errors="replace"), lines) or None, None

    async def _annotations(self, item: Item, pipeline: PipelineHead | None, job: Job) -> list[Annotation]:
        """The failed tests of a job, from the reports that it uploaded."""
        if pipeline is None or job.status != "failed":
            return []
        try:
            report = await self._api.one(TestsReport, f"{pipeline_path(item, pipeline)}/test_report")
        except (NotFound, NotPermitted, TooLarge):
            return []
        failed = [
            case
            for suite in report.test_suites
            if suite.name == job.name
            for case in suite.test_cases
            if case.status in ("failed", "error")
        ]
        return [_annotation(case) for case in failed[:_MOST_ANNOTATIONS]]


def pipeline_path(item: Item, pipeline: PipelineHead) -> str:
    """Where the pipeline is: that of a fork's branch belongs to the fork."""
    owner = f"projects/{pipeline.project_id}" if pipeline.project_id else project_path(item.project)
    return f"{owner}/pipelines/{pipeline.id}"


def check_state(status: str) -> CheckState:
    return _STATES.get(status, "unknown")


def log_tail(log: str, lines: int) -> str:
    """The last *lines* of a job's log, without the marks of its sections and what was overwritten on the terminal."""
    shown = (line.rstrip("\r").rpartition("\r")[2] for line in _SECTION.sub("", log).split("\n"))
    return "\n".join([line for line in shown if line.strip()][-lines:])


def _check(job: Job) -> Check:
    allowed = " (may fail)" if job.allow_failure and job.status == "failed" else ""
    return Check(id=str(job.id), name=f"{job.name}{allowed}", state=check_state(job.status), url=job.web_url or job.target_url)


def _together(jobs: list[Job]) -> CheckState:
    """The state of all of them, where no pipeline says it."""
    states = {check_state(job.status) for job in jobs if not (job.allow_failure and job.status == "failed")}
    for state in _WORST_FIRST:
        if state in states:
            return state
    return "unknown"


def _annotation(case: CaseResult) -> Annotation:
    output = case.system_output if isinstance(case.system_output, str) else None
    words = "\n".join(part for part in (case.name, case.stack_trace or output or "") if part)
    return Annotation(path=case.file, level="failure", text=clean(words, _MOST_WORDS))

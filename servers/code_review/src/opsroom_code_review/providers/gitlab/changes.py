"""One merge request: its state, its reviewers, its files and what it is linked to."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from opsroom_shared.errors import NotFound, NotPermitted
from pydantic import BaseModel

from ...diffs import FileDiff
from ...models import Can, Change, ChangeDetails, ChangedFile, ChangeState, ChecksSummary, Reviewer, ReviewerVerdict, Version
from .api import GitLabApi, Listed
from .patches import Patches
from .people import DEVELOPER, People, person
from .pipelines import check_state, pipeline_path
from .references import Item
from .wire import Approvals, Blocking, DiffVersion, Discussion, Job, Linked, MergeRequest, Note, Reviewing, User

Model = TypeVar("Model", bound=BaseModel)

APPROVED, UNAPPROVED, REQUESTED = "approved this merge request", "unapproved this merge request", "requested changes"
"""What GitLab writes into the discussion of a verdict."""

_MOST_FILES = 1_000
_MOST_ABSENT = 1_000
_VERDICTS: dict[str, ReviewerVerdict] = {
    "approved": "accepted",
    "requested_changes": "changes_requested",
    "reviewed": "commented",
}
_ENDED: dict[str, ChangeState] = {"merged": "closed", "closed": "abandoned"}


class Changes:
    """Reads merge requests. What a GitLab does not offer to a project is asked for once, and then no more."""

    def __init__(self, api: GitLabApi, people: People, patches: Patches) -> None:
        self._api, self._people, self._patches = api, people, patches
        self._absent: set[tuple[str, str]] = set()

    async def merge_request(self, item: Item) -> MergeRequest:
        return await self._api.one(MergeRequest, item.path, missing=_absent(item))

    async def reviewers(self, item: Item) -> list[Reviewing] | None:
        """None where this GitLab does not tell how far reviewers are."""
        return await self._offered(Reviewing, item, "reviewers")

    async def discussions(self, item: Item) -> Listed[Discussion]:
        """The discussion, or the first thousand threads of it."""
        return await self._api.pages(Discussion, f"{item.path}/discussions", missing=_absent(item))

    async def approvals(self, item: Item) -> Approvals:
        return await self._api.one(Approvals, f"{item.path}/approvals")

    async def details(self, item: Item) -> ChangeDetails:
        me, merge_request = await asyncio.gather(self._people.me(), self.merge_request(item))
        (patch, versions, discussions, trusted), (approvals, reviewers, tasks, parents, failed) = await asyncio.gather(
            asyncio.gather(
                self._patches.newest(item, merge_request),
                self._patches.versions(item),
                self.discussions(item),
                self._people.trusted(item.project, [merge_request.author, me]),
            ),
            asyncio.gather(
                self.approvals(item),
                self.reviewers(item),
                self._tasks(item),
                self._parents(item),
                self._failed(item, merge_request),
            ),
        )
        pipeline = merge_request.head_pipeline
        mine = is_by(merge_request, me)
        may_push = await self._people.level(item.project, me) >= DEVELOPER
        return ChangeDetails(
            change=change(merge_request, reviewers, approvals),
            summary=merge_request.description or "",
            trusted=merge_request.author is not None and merge_request.author.username in trusted,
            base=merge_request.target_branch,
            head=merge_request.source_branch,
            versions=[Version(id=each.head_commit_sha, created_at=each.created_at) for each in versions if each.head_commit_sha],
            reviewers=_reviewers(merge_request, reviewers, approvals, _verdict_times(discussions.items), versions),
            files=[_changed(file) for file in patch.files[:_MOST_FILES]],
            files_total=len(patch.files) if len(patch.files) > _MOST_FILES else None,
            tasks=tasks,
            parents=parents,
            checks=ChecksSummary(state=check_state(pipeline.status), failed=failed) if pipeline else None,
            open_threads=None if discussions.next_page else sum(is_open(thread) for thread in discussions.items),
            can=Can(
                comment=True,
                accept=not mine and merge_request.state == "opened" and may_approve(approvals),
                publish_inline=merge_request.diff_refs is not None,
                reply=True,
                resolve=mine or may_push,
            ),
        )

    async def _tasks(self, item: Item) -> list[str]:
        """The issues that it mentions or closes; an older GitLab tells only of those that it closes."""
        found = await self._offered(Linked, item, "related_issues")
        if found is None:
            found = await self._offered(Linked, item, "closes_issues")
        return [issue.references.full for issue in found or [] if issue.references]

    async def _parents(self, item: Item) -> list[str]:
        """The merge requests that must be merged before it."""
        blocks = await self._offered(Blocking, item, "blocks")
        return [block.blocking_merge_request.references.full for block in blocks or [] if block.blocking_merge_request]

    async def _failed(self, item: Item, merge_request: MergeRequest) -> int:
        pipeline = merge_request.head_pipeline
        if pipeline is None or pipeline.status != "failed":
            return 0
        jobs = await self._api.page(Job, f"{pipeline_path(item, pipeline)}/jobs", {"scope[]": ["failed"]})
        return sum(not job.allow_failure for job in jobs.items)

    async def _offered(self, model: type[Model], item: Item, name: str) -> list[Model] | None:
        """The first page of a listing that not every GitLab has; None where this one has not."""
        if (item.project, name) in self._absent:
            return None
        try:
            return (await self._api.page(model, f"{item.path}/{name}")).items
        except (NotFound, NotPermitted):
            if len(self._absent) < _MOST_ABSENT:
                self._absent.add((item.project, name))
            return None


def change(
    merge_request: MergeRequest, reviewers: Sequence[Reviewing] | None = None, approvals: Approvals | None = None
) -> Change:
    """*merge_request* for the reader. Whether it is accepted can only be told with its *approvals*."""
    return Change(
        ref=merge_request.references.full,
        title=merge_request.title,
        state=_state(merge_request, reviewers or (), approvals),
        native_state=merge_request.state,
        author=person(merge_request.author),
        repo=merge_request.project,
        version=merge_request.diff_refs.head_sha if merge_request.diff_refs else merge_request.sha,
        updated_at=merge_request.updated_at,
        url=merge_request.web_url,
    )


def is_by(merge_request: MergeRequest, user: User) -> bool:
    return merge_request.author is not None and merge_request.author.id == user.id


def may_approve(approvals: Approvals) -> bool:
    """Whether the account may approve. Who has done so may not do it again, and does not have to."""
    return approvals.user_can_approve or approvals.user_has_approved


def is_open(discussion: Discussion) -> bool:
    """Whether something in it waits to be resolved."""
    return any(note.resolvable and not note.resolved for note in discussion.notes)


def verdict_of(note: Note) -> str | None:
    """The verdict that GitLab recorded with a note of its own."""
    if not note.system:
        return None
    return {APPROVED: "accept", REQUESTED: "request_changes", UNAPPROVED: "unapprove"}.get(note.body.strip())


def _absent(item: Item) -> str:
    return f"There is no merge request {item}, or this account may not see it."


def _state(merge_request: MergeRequest, reviewers: Iterable[Reviewing], approvals: Approvals | None) -> ChangeState:
    if (ended := _ENDED.get(merge_request.state)) is not None:
        return ended
    if merge_request.draft:
        return "draft"
    asks = merge_request.detailed_merge_status == "requested_changes"
    if asks or any(reviewer.state == "requested_changes" for reviewer in reviewers):
        return "needs_changes"
    # where none is required, GitLab calls a merge request approved that nobody looked at
    return "accepted" if approvals is not None and approvals.approved and approvals.approved_by else "open"


def _verdict_times(discussions: Iterable[Discussion]) -> dict[str, datetime]:
    """When each person gave the last verdict."""
    times: dict[str, datetime] = {}
    for note in (note for discussion in discussions for note in discussion.notes):
        if verdict_of(note) and note.author and note.created_at:
            times[note.author.username] = max(note.created_at, times.get(note.author.username, note.created_at))
    return times


def _reviewers(
    merge_request: MergeRequest,
    reviewing: Sequence[Reviewing] | None,
    approvals: Approvals,
    times: dict[str, datetime],
    versions: Sequence[DiffVersion],
) -> list[Reviewer]:
    users = {user.username: user for user in merge_request.reviewers}
    verdicts: dict[str, ReviewerVerdict] = {}
    for each in reviewing or ():
        users.setdefault(each.user.username, each.user)
        verdicts[each.user.username] = _VERDICTS.get(each.state, "none")
    for approver in approvals.approved_by:
        users.setdefault(approver.user.username, approver.user)
        verdicts[approver.user.username] = "accepted"
    newest = versions[0].created_at if versions else None
    found: list[Reviewer] = []
    for name, user in users.items():
        verdict, at = verdicts.get(name, "none"), times.get(name)
        stale = verdict in ("accepted", "changes_requested") and newest is not None and at is not None and at < newest
        if (who := person(user)) is not None:
            found.append(Reviewer(who=who, verdict=verdict, stale=stale))
    return found


def _changed(file: FileDiff) -> ChangedFile:
    counted = file.withheld is None and not file.binary
    return ChangedFile(
        path=file.path,
        old_path=file.old_path,
        kind=file.kind,
        added=file.added if counted else None,
        removed=file.removed if counted else None,
        binary=file.binary,
    )

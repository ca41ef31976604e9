"""Making merge requests and editing what stands around their code."""

import asyncio
import re
from collections.abc import Iterable, Sequence

from opsroom_shared.errors import Conflict, InvalidInput
from opsroom_shared.outside import clean
from pydantic import JsonValue

from ...models import ChangeEdited
from .. import ChangeEdit
from .api import GitLabApi
from .changes import Changes, change
from .people import People
from .references import Item, Site, project_path
from .wire import MergeRequest, Project

_DRAFT = re.compile(r"\A\s*(?:\[draft\]|\(draft\)|draft:|draft -|\[wip\]|wip:)\s*", re.IGNORECASE)
_BRANCH = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\]{1,250}")
_EVENTS = {"abandoned": "close", "reopened": "reopen"}


class Editing:
    def __init__(self, api: GitLabApi, site: Site, people: People, changes: Changes) -> None:
        self._api, self._site, self._people, self._changes = api, site, people, changes

    async def edit(self, edit: ChangeEdit) -> ChangeEdited:
        if edit.test_plan is not None:
            raise InvalidInput("GitLab has no test plan; write it into the summary.")
        if edit.state == "changes_planned":
            raise InvalidInput("GitLab has no such state; draft says that a change is still being worked on.")
        return await (self._make(edit) if edit.change is None else self._change(edit, edit.change))

    async def _make(self, edit: ChangeEdit) -> ChangeEdited:
        if edit.repo is None or edit.source is None or not edit.title:
            raise InvalidInput("A new change needs repo, source (a branch that is on GitLab) and title.")
        if edit.state in _EVENTS:
            raise InvalidInput("A new change is draft or ready.")
        path = project_path(edit.repo)
        base = edit.base or await self._default_branch(edit.repo)
        reviewers = await self._ids(edit.add_reviewers)
        payload: dict[str, JsonValue] = {
            "source_branch": _branch(edit.source),
            "target_branch": _branch(base),
            "title": _titled(edit.title, draft=edit.state == "draft"),
            "description": self._linked(edit.summary or "", edit.link_tasks, edit.repo),
        }
        if reviewers:
            payload["reviewer_ids"] = list(reviewers.values())
        missing = f"There is no project {edit.repo}, or this account may not see it."
        made = await self._api.made(MergeRequest, "POST", f"{path}/merge_requests", payload, missing=missing)
        return ChangeEdited(change=change(made), changed=["created"], note=_unheard(made, reviewers, ()))

    async def _change(self, edit: ChangeEdit, reference: str) -> ChangeEdited:
        item = self._site.change(reference)
        if item is None:
            raise InvalidInput(f"{clean(reference, 80)!r} is no merge request; one looks like group/project!12.")
        if edit.source is not None:
            raise InvalidInput("A merge request takes the commits that are pushed to its branch; push there.")
        merge_request, adds, removes = await asyncio.gather(
            self._changes.merge_request(item), self._ids(edit.add_reviewers), self._ids(edit.remove_reviewers)
        )
        payload = self._payload(edit, item, merge_request, adds, removes)
        if not payload:
            return ChangeEdited(change=change(merge_request), changed=[], note="All of it is as asked already.")
        edited = await self._api.made(MergeRequest, "PUT", item.path, payload)
        names = {"target_branch": "base", "description": "summary", "reviewer_ids": "reviewers", "state_event": "state"}
        changed = [names.get(key, key) for key in payload]
        if "title" in payload and edit.title is None:
            changed[changed.index("title")] = "state"
        return ChangeEdited(change=change(edited), changed=changed, note=_unheard(edited, adds, removes))

    def _payload(
        self, edit: ChangeEdit, item: Item, merge_request: MergeRequest, adds: dict[str, int], removes: dict[str, int]
    ) -> dict[str, JsonValue]:
        """What differs from what is asked."""
        draft = merge_request.draft if edit.state not in ("draft", "ready") else edit.state == "draft"
        title = _titled(edit.title if edit.title is not None else _untitled(merge_request.title), draft=draft)
        before = merge_request.description or ""
        description = self._linked(before if edit.summary is None else edit.summary, edit.link_tasks, item.project)
        present = {user.id for user in merge_request.reviewers}
        wanted = (present | set(adds.values())) - set(removes.values())
        payload: dict[str, JsonValue] = {}
        if (edit.title is not None or draft != merge_request.draft) and title != merge_request.title:
            payload["title"] = title
        if description != before:
            payload["description"] = description
        if edit.base is not None and edit.base != merge_request.target_branch:
            payload["target_branch"] = _branch(edit.base)
        if wanted != present:
            payload["reviewer_ids"] = [*sorted(wanted)] or [0]
        event = _EVENTS.get(edit.state or "")
        if event is not None and merge_request.state != {"close": "closed", "reopen": "opened"}[event]:
            if merge_request.state == "merged":
                raise Conflict(f"{item} is merged; it can be neither closed nor reopened.")
            payload["state_event"] = event
        return payload

    async def _default_branch(self, repo: str) -> str:
        missing = f"There is no project {repo}, or this account may not see it."
        branch = (await self._api.one(Project, project_path(repo), missing=missing)).default_branch
        if branch is None:
            raise InvalidInput(f"{repo} has no default branch; say the base.")
        return branch

    async def _ids(self, names: Iterable[str]) -> dict[str, int]:
        users = await asyncio.gather(*(self._people.named(name) for name in names))
        return {user.username: user.id for user in users}

    def _linked(self, text: str, tasks: Sequence[str], project: str) -> str:
        return with_links(text, [self._task(task, project) for task in tasks])

    def _task(self, reference: str, project: str) -> str:
        task = self._site.task(reference)
        if task is None:
            raise InvalidInput(f"{clean(reference, 80)!r} is no issue; one looks like group/project#12.")
        return f"#{task.number}" if task.project.casefold() == project.casefold() else str(task)


def with_links(text: str, references: Iterable[str]) -> str:
    """*text* with a line for each of *references* that it does not name yet. The words link, and close nothing."""
    lines = [
        f"Relates to {reference}"
        for reference in dict.fromkeys(references)
        if not re.search(rf"(?<!\S){re.escape(reference)}\b", text)
    ]
    return "\n\n".join(part for part in (text.rstrip(), "\n".join(lines)) if part) if lines else text


def _titled(title: str, *, draft: bool) -> str:
    bare = _untitled(title)
    if not bare:
        raise InvalidInput("A change has a title.")
    return f"Draft: {bare}" if draft else bare


def _untitled(title: str) -> str:
    return _DRAFT.sub("", title).strip()


def _branch(name: str) -> str:
    if not _BRANCH.fullmatch(name) or ".." in name:
        raise InvalidInput(f"{clean(name, 80)!r} is no name of a branch.")
    return name


def _unheard(merge_request: MergeRequest, adds: Iterable[str], removes: Iterable[str]) -> str | None:
    """What GitLab did not do of what it was asked: some editions keep one reviewer, and who may not see it is none."""
    present = {user.username for user in merge_request.reviewers}
    wrong = [name for name in adds if name not in present] + [name for name in removes if name in present]
    return f"GitLab did not change these reviewers as asked: {', '.join(wrong)}." if wrong else None

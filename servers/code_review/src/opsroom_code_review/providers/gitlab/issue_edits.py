"""Making issues and changing them: only what is asked, and only with words that the project has."""

import asyncio
from collections.abc import Iterable

from opsroom_shared.errors import InvalidInput, ToolFailure
from opsroom_shared.outside import clean
from pydantic import JsonValue

from ...models import TaskSaved
from .. import TaskEdit
from .api import GitLabApi
from .boards import STATUSES, Words
from .discussions import must_be_text
from .editing import with_links
from .issues import MILESTONE, Issues, state_of, task_of
from .people import People
from .references import Item, Site, project_path
from .wire import Issue, Milestone, Note

_MOST_PAGES = 5
_CHANGED = {
    "description": "body",
    "state_event": "status",
    "assignee_ids": "owner",
    **dict.fromkeys(("add_labels", "remove_labels", "milestone_id"), "projects"),
}
"""What a parameter of GitLab's changes, where it has another name here."""


class IssueEdits:
    def __init__(self, api: GitLabApi, site: Site, people: People, issues: Issues) -> None:
        self._api, self._site, self._people, self._issues = api, site, people, issues

    async def save(self, edit: TaskEdit) -> TaskSaved:
        if edit.parent is not None:
            raise InvalidInput("Issues of GitLab have no parent that can be set here; name the other issue in the body.")
        if edit.comment is not None:
            must_be_text(edit.comment)
        return await (self._make(edit) if edit.task is None else self._change(edit, edit.task))

    async def _make(self, edit: TaskEdit) -> TaskSaved:
        if edit.project is None or not edit.title:
            raise InvalidInput("A new task needs project, such as group/project, and title.")
        if edit.status is not None and state_of(edit.status) != "opened":
            raise InvalidInput("A new issue is opened; it can be closed afterwards.")
        words = await self._issues.words(edit.project)
        adds, _, milestone = await self._marks(edit, words, edit.project)
        payload: dict[str, JsonValue] = {"title": edit.title, "description": self._linked(edit.body or "", edit)}
        if adds:
            payload["labels"] = ",".join(adds)
        if milestone is not None:
            payload["milestone_id"] = milestone
        if edit.owner is not None and edit.owner != "none":
            payload["assignee_ids"] = [(await self._people.named(edit.owner)).id]
        issue = await self._api.made(Issue, "POST", f"{project_path(edit.project)}/issues", payload)
        changed, note = ["created"], None
        if edit.comment is not None:
            try:
                await self._comment(Item(issue.project, issue.iid, "#"), edit.comment)
                changed.append("comment")
            except ToolFailure as failure:  # the issue is there: a failure of the whole would make a second one
                note = f"The comment was not posted: {failure}"
        return await self._saved(issue, words, changed, note)

    async def _change(self, edit: TaskEdit, reference: str) -> TaskSaved:
        item = self._issues.item(reference)
        if edit.project is not None and edit.project.casefold() != item.project.casefold():
            raise InvalidInput("An issue cannot be moved to another project here.")
        issue, words = await asyncio.gather(
            self._api.one(Issue, item.path, missing=f"There is no issue {item}, or this account may not see it."),
            self._issues.words(item.project),
        )
        payload = await self._payload(edit, issue, words)
        if payload:
            issue = await self._api.made(Issue, "PUT", item.path, payload)
        changed = list(dict.fromkeys(_CHANGED.get(key, key) for key in payload))
        if edit.comment is not None:
            await self._comment(item, edit.comment)
            changed.append("comment")
        return await self._saved(issue, words, changed, None)

    async def _payload(self, edit: TaskEdit, issue: Issue, words: Words) -> dict[str, JsonValue]:
        """What differs from what is asked."""
        adds, removes, milestone = await self._marks(edit, words, issue.project)
        adds = [label for label in adds if label not in issue.labels]
        removes = [label for label in removes if label in issue.labels and label not in adds]
        payload: dict[str, JsonValue] = {}
        if edit.title is not None and edit.title != issue.title:
            payload["title"] = edit.title
        before = issue.description or ""
        body = self._linked(before if edit.body is None else edit.body, edit)
        if body != before:
            payload["description"] = body
        if adds:
            payload["add_labels"] = ",".join(adds)
        if removes:
            payload["remove_labels"] = ",".join(removes)
        if milestone is not None and milestone != (issue.milestone.id if issue.milestone else 0):
            payload["milestone_id"] = milestone
        return payload | await self._standing(edit, issue)

    async def _standing(self, edit: TaskEdit, issue: Issue) -> dict[str, JsonValue]:
        """Owner and status, where they differ from what is asked."""
        payload: dict[str, JsonValue] = {}
        if edit.owner is not None:
            owners = [] if edit.owner == "none" else [(await self._people.named(edit.owner)).id]
            if owners != [user.id for user in issue.assignees]:
                payload["assignee_ids"] = [*owners] or [0]
        if edit.status is not None:
            state = state_of(edit.status)
            if state not in STATUSES:
                raise InvalidInput("An issue is either open or closed.")
            if state != issue.state:
                payload["state_event"] = "close" if state == "closed" else "reopen"
        return payload

    async def _marks(self, edit: TaskEdit, words: Words, project: str) -> tuple[list[str], list[str], int | None]:
        """The labels to add and to remove, and the milestone; 0 takes it away."""
        adds = await self._labels(project, edit.add_projects)
        removes = await self._labels(project, edit.remove_projects)
        if edit.column is not None:
            column = words.column(edit.column)
            adds.append(column)
            removes += words.beside(column)
        if edit.priority is not None:
            label = words.priority(edit.priority)
            adds.append(label)
            removes += [each for each in words.priority_labels if each != label]
        milestones = [each for each in edit.add_projects if each.startswith(MILESTONE)]
        if len(milestones) > 1:
            raise InvalidInput("An issue has one milestone.")
        if milestones:
            return adds, removes, await self._milestone(project, milestones[0][1:].strip('"'))
        return adds, removes, 0 if any(each.startswith(MILESTONE) for each in edit.remove_projects) else None

    async def _labels(self, project: str, words: Iterable[str]) -> list[str]:
        return [await self._issues.label(project, each) for each in words if not each.startswith(MILESTONE)]

    async def _milestone(self, project: str, title: str) -> int:
        params = {"state": "active", "include_ancestors": "true"}
        listed = await self._api.pages(Milestone, f"{project_path(project)}/milestones", params, most=_MOST_PAGES)
        for milestone in listed.items:
            if milestone.title.casefold() == title.casefold():
                return milestone.id
        names = ", ".join(clean(each.title, 60) for each in listed.items[:20]) or "none"
        raise InvalidInput(f"There is no milestone {clean(title, 60)!r} here. There are: {names}.")

    async def _comment(self, item: Item, comment: str) -> None:
        response = await self._api.send("POST", f"{item.path}/notes", {"body": comment})
        if response.status == 202:
            raise InvalidInput("GitLab carried out commands in the comment, and posted nothing.")
        self._api.parsed(Note, response)

    async def _saved(self, issue: Issue, words: Words, changed: list[str], note: str | None) -> TaskSaved:
        trusted = await self._issues.trusted([issue])
        return TaskSaved(task=task_of(issue, words, trusted=issue.references.full in trusted), changed=changed, note=note)

    def _linked(self, body: str, edit: TaskEdit) -> str:
        references: list[str] = []
        for reference in edit.link_changes:
            item = self._site.change(reference)
            if item is None:
                raise InvalidInput(f"{clean(reference, 80)!r} is no merge request; one looks like group/project!12.")
            references.append(str(item))
        return with_links(body, references)

"""Issues as tasks: labels are their projects, and the columns of a board are labels, too."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted
from opsroom_shared.outside import clean

from ...models import Task, Vocabulary
from .. import Page, TaskQuery, TasksFound
from .api import PER_PAGE, GitLabApi
from .boards import PRIORITY, STATUSES, Words, only, priority_of
from .people import People, person
from .references import Item, Site, is_project, listing_path, project_path
from .wire import Board, Issue, Label, MergeRequest

_MOST_REFS = 100
_STATES = {"open": "opened", "opened": "opened", "closed": "closed", "all": "all"}
MILESTONE = "%"
"""How GitLab marks a milestone in texts, and how one is told from a label here."""


class Issues:
    def __init__(self, api: GitLabApi, site: Site, people: People, projects: Sequence[str]) -> None:
        self._api, self._site, self._people, self._projects = api, site, people, tuple(projects)

    async def find(self, query: TaskQuery, page: Page) -> TasksFound:
        if query.refs:
            return TasksFound(await self._named(query.refs))
        number = page.position if page.position is not None else [1, min(page.limit, PER_PAGE)]
        match number:
            case [int(at), int(size)] if at >= 1 and 1 <= size <= PER_PAGE:
                pass
            case _:
                raise InvalidInput("The cursor is not one of this listing. Repeat the call without it.")
        project = query.project if query.project is not None and is_project(query.project) else None
        words = await self.words(project) if project else None
        params = await self._params(query, words)
        narrow = project_path(project) if project else listing_path(self._projects)
        path = f"{narrow}/issues" if narrow else "issues"
        missing = f"There is no project {project}, or this account may not see it." if project else None
        listed = await self._api.page(Issue, path, {**params, "per_page": size, "page": at}, missing=missing)
        trusted = await self.trusted(listed.items)
        tasks = [
            task_of(issue, words, trusted=issue.references.full in trusted).model_copy(update={"body": None})
            for issue in listed.items
        ]
        vocabulary = words.vocabulary() if words else Vocabulary(statuses=list(STATUSES))
        return TasksFound(tasks, [listed.next_page, size] if listed.next_page else None, vocabulary)

    async def _named(self, refs: Sequence[str]) -> list[Task]:
        """The issues *refs* in full, in that order. Raises NotFound for those that are not there."""
        if len(refs) > _MOST_REFS:
            raise InvalidInput(f"At most {_MOST_REFS} tasks are read at once.")
        items = [self.item(ref) for ref in refs]
        numbers: dict[str, list[str]] = defaultdict(list)
        for item in items:
            numbers[item.project].append(str(item.number))
        pages = await asyncio.gather(*(self._by_number(project, each) for project, each in numbers.items()))
        found = {(issue.project.casefold(), issue.iid): issue for page in pages for issue in page}
        absent = [str(item) for item in items if (item.project.casefold(), item.number) not in found]
        if absent:
            raise NotFound(f"There is no issue {', '.join(absent[:10])}, or this account may not see it.")
        issues = [found[item.project.casefold(), item.number] for item in items]
        words = dict(zip(numbers, await asyncio.gather(*(self.words(project) for project in numbers)), strict=True))
        trusted, related = await asyncio.gather(self.trusted(issues), asyncio.gather(*(self._changes_of(item) for item in items)))
        return [
            task_of(issue, words[item.project], trusted=issue.references.full in trusted).model_copy(update={"changes": changes})
            for item, issue, changes in zip(items, issues, related, strict=True)
        ]

    async def _by_number(self, project: str, numbers: list[str]) -> list[Issue]:
        missing = f"There is no project {project}, or this account may not see it."
        return (await self._api.page(Issue, f"{project_path(project)}/issues", {"iids[]": numbers}, missing=missing)).items

    async def _changes_of(self, item: Item) -> list[str]:
        listed = await self._api.page(MergeRequest, f"{item.path}/related_merge_requests")
        return [merge_request.references.full for merge_request in listed.items]

    async def trusted(self, issues: Sequence[Issue]) -> frozenset[str]:
        """The issues whose authors are trusted."""
        projects: dict[str, list[Issue]] = defaultdict(list)
        for issue in issues:
            projects[issue.project].append(issue)
        names = await asyncio.gather(
            *(self._people.trusted(project, [each.author for each in part]) for project, part in projects.items())
        )
        return frozenset(
            issue.references.full
            for trusted, part in zip(names, projects.values(), strict=True)
            for issue in part
            if issue.author is not None and issue.author.username in trusted
        )

    async def words(self, project: str) -> Words:
        path = project_path(project)
        missing = f"There is no project {project}, or this account may not see it."
        labels, boards = await asyncio.gather(
            self._api.page(Label, f"{path}/labels", {"search": PRIORITY}, missing=missing), self._boards(path)
        )
        return Words.of(labels.items, boards)

    async def label(self, project: str, word: str) -> str:
        """The label of *project* that is called *word*. Raises InvalidInput with some that there are."""
        path = f"{project_path(project)}/labels"
        found = [label.name for label in (await self._api.page(Label, path, {"search": word})).items]
        if not any(name.casefold() == word.strip().casefold() for name in found):
            found += [label.name for label in (await self._api.page(Label, path)).items]
        return only(word, list(dict.fromkeys(found)), "label")

    async def _boards(self, path: str) -> list[Board]:
        try:
            return (await self._api.page(Board, f"{path}/boards")).items
        except (NotFound, NotPermitted):
            return []  # guests may see issues without boards

    async def _params(self, query: TaskQuery, words: Words | None) -> dict[str, str | int | list[str]]:
        state = state_of(query.status or "open")
        params: dict[str, str | int | list[str]] = {"scope": "all", "state": state, "order_by": "updated_at", "sort": "desc"}
        if query.owner == "none":
            params["assignee_id"] = "None"
        elif query.owner is not None:
            params["assignee_username[]"] = [(await self._people.named(query.owner)).username]
        if query.text:
            params |= {"search": query.text, "in": "title,description"}
        if query.updated_since is not None:
            params["updated_after"] = query.updated_since.isoformat()
        return params | _marks(query, words)

    def item(self, reference: str) -> Item:
        item = self._site.task(reference)
        if item is None:
            raise InvalidInput(f"{clean(reference, 80)!r} is no issue; one looks like group/project#12.")
        return item


def task_of(issue: Issue, words: Words | None, *, trusted: bool) -> Task:
    milestone = [f"{MILESTONE}{issue.milestone.title}"] if issue.milestone else []
    return Task(
        ref=issue.references.full,
        title=issue.title,
        status=issue.state,
        open=issue.state == "opened",
        body=issue.description or "",
        trusted=trusted,
        priority=priority_of(issue.labels),
        owner=person(issue.assignees[0]) if issue.assignees else None,
        author=person(issue.author),
        projects=[*issue.labels, *milestone],
        columns=words.columns_of(issue.labels) if words else [],
        updated_at=issue.updated_at,
        url=issue.web_url,
    )


def state_of(word: str) -> str:
    """GitLab's word for the status *word*. Raises InvalidInput."""
    state = _STATES.get(word.casefold())
    if state is None:
        raise InvalidInput(f"An issue of GitLab is open or closed, not {clean(word, 40)!r}; all finds both.")
    return state


def _marks(query: TaskQuery, words: Words | None) -> dict[str, str]:
    """The labels and the milestone that are asked for."""
    labels: list[str] = []
    marks: dict[str, str] = {}
    if query.project is not None and words is None:
        if query.project.startswith(MILESTONE):
            marks["milestone"] = query.project[1:].strip('"')
        else:
            labels.append(query.project)
    if query.column is not None:
        labels.append(words.column(query.column) if words else query.column)
    if query.priority is not None:
        if words is None:
            raise InvalidInput("Priorities are labels of a project; say which project.")
        labels.append(words.priority(query.priority))
    return marks | ({"labels": ",".join(labels)} if labels else {})

"""Issues: found, made and changed. Labels and the milestone are their projects."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from opsroom_shared.errors import InvalidInput, NotFound
from opsroom_shared.outside import clean
from pydantic import Field, JsonValue, model_validator

from ...models import Person, Task, TaskSaved, Vocabulary
from .. import Page, TaskEdit, TaskQuery, TasksFound
from . import queries
from .api import Answered, GitHubApi, names
from .changes import wrong_kind
from .document import Document
from .editing import Mutated, Steps
from .mapping import linked, person, with_links
from .references import Item, Repository, login, repository
from .search import Searched, merged, position_of, position_value, scopes, since, words
from .trust import Trust, TrustReader
from .wire import (
    APull,
    Connection,
    Graph,
    IssueNode,
    Login,
    Named,
    Numbered,
    RepositoryName,
    RestComment,
    RestMade,
    RestNumbered,
    Titled,
)

_REASONS: Mapping[str, str] = {"completed": "completed", "not_planned": "not planned", "duplicate": "duplicate"}
STATUSES = ("open", *_REASONS)
_OPEN = "first: 100, states: [OPEN]"
_MOST_REFS = 50
_MOST_NAMES = 30
_NO_PRIORITY = "GitHub's issues have no priority of their own. Where labels say it, use the label as the project."
_NO_COLUMN = "The columns of GitHub's projects are not read or changed here. Use labels or milestones as projects."


class _Issue(IssueNode):
    kind: Literal["Issue"] = Field(alias="__typename")


class _Milestone(Graph):
    title: str
    number: int


class _Home(Graph):
    """A repository, as far as an issue in it needs it."""

    name_with_owner: str
    item: _Issue | APull | None = Field(None, discriminator="kind")
    labels: Connection[Named] | None = None
    milestones: Connection[_Milestone] | None = None
    assignable_users: Connection[Login] | None = None
    by_name: dict[str, Named | None] = Field(default_factory=dict[str, Named | None])

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
        named = {key: value for key, value in data.items() if key.startswith("label_")}
        return {**{key: value for key, value in data.items() if key not in named}, "byName": named}


class _Homes(Graph):
    """Repositories r0, r1 and so on of one query."""

    viewer: Login | None = None
    homes: dict[str, _Home | None]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
        homes = {key: value for key, value in data.items() if key != "viewer"}
        return {"viewer": data.get("viewer"), "homes": homes}


class _Named(Graph):
    """A repository, as far as it knows a name that is looked for."""

    label: Named | None = None
    labels: Connection[Named] | None = None
    milestones: Connection[Titled] | None = None

    def knows(self, name: str) -> bool:
        titles = [one.title.lower() for one in (self.milestones.items if self.milestones else [])]
        return self.label is not None or name.lower() in titles


class _FoundIssues(Searched[IssueNode]):
    owner: Login | None = None
    repository: RepositoryName | None = None
    knowing: dict[str, _Named | None]
    """Repositories n0, n1 and so on, where a label or milestone is looked for."""

    @model_validator(mode="before")
    @classmethod
    def _gather_names(cls, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
        named = {key: value for key, value in data.items() if key.startswith("n") and key[1:].isdecimal()}
        return {**{key: value for key, value in data.items() if key not in named}, "knowing": named}


class TaskFinder:
    def __init__(self, api: GitHubApi, trust: TrustReader, allowed: Sequence[str], item_of: Callable[[str], Item | None]) -> None:
        self._api, self._trust, self._allowed, self._item_of = api, trust, allowed, item_of

    async def find(self, query: TaskQuery, page: Page) -> TasksFound:
        if query.priority is not None:
            raise InvalidInput(_NO_PRIORITY)
        if query.column is not None:
            raise InvalidInput(_NO_COLUMN)
        vocabulary = Vocabulary(statuses=list(STATUSES))
        trust = await self._trust.read()
        if query.refs:
            items = [_item(self._item_of, ref) for ref in query.refs]
            return TasksFound([task_of(issue, trust) for issue in await self._named(items)], vocabulary=vocabulary)
        searches = self._searches(query)
        position = position_of(page.position, len(searches))
        document = self._document(query, searches, position, page.limit)
        answered = await self._api.query(_FoundIssues, document.text, document.variables)
        _refuse_unknown(answered, query)
        answers = {key: answer for key, answer in answered.data.searches.items() if answer is not None}
        if answers.keys() != position.keys():
            raise answered.absence("GitHub did not answer the search.")
        issues, position = merged(answers, position, page.limit)
        tasks = [task_of(issue, trust).model_copy(update={"body": None}) for issue in issues]
        return TasksFound(tasks, position_value(position), vocabulary)

    def _document(self, query: TaskQuery, searches: Sequence[str], position: Mapping[str, str | None], limit: int) -> Document:
        """The searches, and a look at each name that they use: a search for one that does not exist just finds nothing."""
        document = Document()
        most = document.value("Int!", limit)
        for key, cursor in position.items():
            text = document.value("String!", searches[int(key.removeprefix("s"))])
            after = document.value("String", cursor)
            document.ask(
                f"{key}: search(type: ISSUE, query: {text}, first: {most}, after: {after}) {{ ...foundIssues }}",
                queries.FOUND_ISSUES,
            )
        if query.owner not in (None, "me", "none"):
            document.ask(f"owner: user(login: {document.value('String!', login(query.owner))}) {{ login }}")
        if query.project is not None and "/" in query.project:
            document.ask(f"repository({_place(document, repository(query.project))}) {{ nameWithOwner }}")
        elif query.project is not None:
            self._ask_who_knows(document, query.project)
        return document

    def _ask_who_knows(self, document: Document, name: str) -> None:
        """Asks the repositories of the settings for a label or milestone, where the settings name all of them."""
        limits = scopes(None, self._allowed)
        if not limits or not all(limit.startswith("repo:") for limit in limits):
            return
        value = document.value("String!", name)
        for index, limit in enumerate(limits):
            document.ask(
                f"n{index}: repository({_place(document, repository(limit.removeprefix('repo:')))}) {{"
                f" label(name: {value}) {{ name }} labels(first: 50) {{ nodes {{ name }} }}"
                f" milestones(first: 20, query: {value}) {{ nodes {{ title }} }} }}"
            )

    def _searches(self, query: TaskQuery) -> list[str]:
        qualifiers = ["is:issue", "sort:updated-desc", *_status(query.status)]
        if query.owner == "none":
            qualifiers.append("no:assignee")
        elif query.owner is not None:
            qualifiers.append("assignee:@me" if query.owner == "me" else f"assignee:{login(query.owner)}")
        if query.updated_since is not None:
            qualifiers.append(since(query.updated_since))
        if query.text is not None:
            qualifiers += [*words(query.text), "in:title,body"]
        is_home = query.project is not None and "/" in query.project
        limits = scopes(query.project if is_home else None, self._allowed)
        if not limits and query.owner in (None, "none"):
            raise InvalidInput(
                "GitHub would search everything that is public. Give a repository (owner/name) as project, or an owner."
            )
        name = (query.project or "").replace('"', "").replace("\\", "")
        projects = [f'label:"{name}"', f'milestone:"{name}"'] if query.project is not None and not is_home else [""]
        return [" ".join(filter(None, [*qualifiers, project, limit])) for project in projects for limit in limits or [""]]

    async def _named(self, items: Sequence[Item]) -> list[_Issue]:
        if len(items) > _MOST_REFS:
            raise InvalidInput(f"{len(items)} tasks are too many for one call; give at most {_MOST_REFS}.")
        document = Document()
        for index, item in enumerate(items):
            number = document.value("Int!", item.number)
            document.ask(
                f"r{index}: repository({_place(document, item.repository)})"
                f" {{ nameWithOwner item: issueOrPullRequest(number: {number}) {{ __typename ...issue }} }}",
                queries.ISSUE,
            )
        answered = await self._api.query(_Homes, document.text, document.variables)
        found: list[_Issue] = []
        for index, item in enumerate(items):
            home = answered.data.homes.get(f"r{index}")
            if home is None or home.item is None:
                raise answered.absence(f"There is no issue {item} that this account may see.")
            if isinstance(home.item, APull):
                raise wrong_kind(item, home.item)
            found.append(home.item)
        return found


@dataclass(frozen=True)
class _TaskPlan:
    """What an edit comes down to, with all of its names known to exist."""

    issue: _Issue | None = None
    """As it is before."""
    add_labels: tuple[str, ...] = ()
    remove_labels: tuple[str, ...] = ()
    milestone: _Milestone | None = None
    leaves_milestone: bool = False
    assignees: tuple[str, ...] | None = None
    """None: as they are."""
    parent: str | None = None
    """The id of the issue to stand under."""


class TaskEditor:
    def __init__(self, api: GitHubApi, trust: TrustReader, item_of: Callable[[str], Item | None]) -> None:
        self._api, self._trust, self._item_of = api, trust, item_of

    async def save(self, edit: TaskEdit) -> TaskSaved:
        _refuse(edit)
        item = _item(self._item_of, edit.task) if edit.task is not None else None
        if item is None and (edit.project is None or edit.title is None):
            raise InvalidInput("To open an issue, give the repository (owner/name) as project, and a title.")
        home = item.repository if item is not None else repository(edit.project or "")
        if edit.project is not None and str(home).lower() != str(repository(edit.project)).lower():
            raise InvalidInput(f"An issue stays in its repository, {home}. Labels and milestones are add_projects.")
        changes = [_item(self._item_of, text) for text in edit.link_changes]
        plan = await self._plan(edit, home, item)
        steps, created = Steps(), item is None
        if item is None:
            made = await self._create(edit, home, plan, changes)
            item, identity = Item(home, made.number), made.node_id
            _add_state(steps, self._api, edit, item, None)
        else:
            identity = plan.issue.id if plan.issue else ""
            self._add_fields(steps, edit, item, plan, changes)
        self._add_rest(steps, edit, item, plan, identity)
        done, note = await steps.run(written=created)
        after = (await self._plan(TaskEdit(task=str(item)), home, item)).issue
        if after is None:
            raise NotFound(f"{item} was written, but cannot be read any more.")
        dropped = _dropped(plan, after)
        if dropped:
            note = " ".join(
                filter(None, [note, f"GitHub dropped in silence: {', '.join(dropped)}. These need the right to write."])
            )
        elif not (created or done):
            note = note or "It was so already."
        changed = [word for words_of in dict.fromkeys(done) for word in words_of.split(", ") if word not in dropped]
        task = task_of(after, await self._trust.read())
        return TaskSaved(task=task, changed=[*(["created"] if created else []), *changed], note=note)

    async def _create(self, edit: TaskEdit, home: Repository, plan: _TaskPlan, changes: Sequence[Item]) -> RestMade:
        payload: dict[str, JsonValue] = {"title": edit.title, "body": with_links(edit.body or "", changes, home)}
        if plan.add_labels:
            payload["labels"] = list(plan.add_labels)
        if plan.milestone is not None:
            payload["milestone"] = plan.milestone.number
        if plan.assignees:
            payload["assignees"] = list(plan.assignees)
        return await self._api.write(RestMade, "POST", f"{home.path}/issues", payload)

    def _add_fields(self, steps: Steps, edit: TaskEdit, item: Item, plan: _TaskPlan, changes: Sequence[Item]) -> None:
        before = plan.issue
        if before is None:
            raise NotFound(f"There is no issue {item} that this account may see.")
        _add_state(steps, self._api, edit, item, before)
        payload: dict[str, JsonValue] = {}
        words: list[str] = []
        body = with_links(before.body if edit.body is None else edit.body, changes, item.repository)
        if edit.title is not None and edit.title != before.title:
            payload["title"] = edit.title
            words.append("title")
        if body != before.body:
            payload["body"] = body
            words += [*(["body"] if edit.body is not None else []), *(["changes"] if changes else [])]
        if plan.assignees is not None and set(plan.assignees) != {one.login for one in before.assignees.items}:
            payload["assignees"] = list(plan.assignees)
            words.append("owner")
        if plan.milestone is not None or plan.leaves_milestone:
            payload["milestone"] = plan.milestone.number if plan.milestone else None
            words.append("milestone")
        if payload:
            steps.add(", ".join(words), lambda: self._api.write(RestNumbered, "PATCH", _path(item), payload))
        if plan.add_labels:
            labels: dict[str, JsonValue] = {"labels": list(plan.add_labels)}
            steps.add("projects", lambda: self._api.write(list[Named], "POST", f"{_path(item)}/labels", labels))

    def _add_rest(self, steps: Steps, edit: TaskEdit, item: Item, plan: _TaskPlan, identity: str) -> None:
        for label in plan.remove_labels:
            path = f"{_path(item)}/labels/{quote(label, safe='')}"
            steps.add("projects", functools.partial(self._api.write, list[Named], "DELETE", path, None))
        if edit.comment is not None:
            comment: dict[str, JsonValue] = {"body": edit.comment}
            steps.add("comment", lambda: self._api.write(RestComment, "POST", f"{_path(item)}/comments", comment))
        if plan.parent is not None:
            ids: dict[str, JsonValue] = {"parent": plan.parent, "child": identity}
            steps.add("parent", lambda: self._api.mutate(Mutated, queries.ADD_SUB_ISSUE, ids))

    async def _plan(self, edit: TaskEdit, home: Repository, item: Item | None) -> _TaskPlan:
        """What is there and what the names of the edit stand for, in one query. Raises for a name that does not exist."""
        document = Document()
        adding = edit.add_projects
        parts = ["nameWithOwner", "labels(first: 100) { nodes { name } }", f"milestones({_OPEN}) {{ nodes {{ title number }} }}"]
        for index, name in enumerate(adding):
            parts.append(f"label_{index}: label(name: {document.value('String!', name)}) {{ name }}")
        if edit.owner not in (None, "me", "none"):
            parts.append(
                f"assignableUsers(first: 20, query: {document.value('String!', login(edit.owner))}) {{ nodes {{ login }} }}"
            )
        if item is not None:
            number = document.value("Int!", item.number)
            parts.append(f"item: issueOrPullRequest(number: {number}) {{ __typename ...issue }}")
        parent = _item(self._item_of, edit.parent) if edit.parent is not None else None
        used = [queries.ISSUE] if item is not None or parent is not None else []
        document.ask(f"r0: repository({_place(document, home)}) {{ {' '.join(parts)} }}", *used)
        if parent is not None:
            number = document.value("Int!", parent.number)
            document.ask(
                f"r1: repository({_place(document, parent.repository)})"
                f" {{ nameWithOwner item: issueOrPullRequest(number: {number}) {{ __typename ...issue }} }}"
            )
        document.ask("viewer { login }")
        answered = await self._api.query(_Homes, document.text, document.variables)
        found = answered.data.homes.get("r0")
        if found is None or (item is not None and found.item is None):
            raise answered.absence(f"There is no {f'issue {item}' if item else f'repository {home}'} that this account may see.")
        if item is not None and isinstance(found.item, APull):
            raise wrong_kind(item, found.item)
        issue = found.item if isinstance(found.item, _Issue) else None
        labels, milestone = _projects(found, adding)
        removed, leaves = _removed(issue, edit.remove_projects)
        me = answered.data.viewer.login if answered.data.viewer else None
        under = _parent(answered.data.homes.get("r1"), parent)
        return _TaskPlan(issue, labels, removed, milestone, leaves, _assignees(found, edit.owner, me), under)


def task_of(issue: IssueNode, trust: Trust) -> Task:
    home = issue.repository.name_with_owner
    author = person(issue.author)
    closed = (issue.state_reason or "closed").lower()
    linking = [str(pull) for pull in (issue.closed_by_pull_requests_references or Connection[Numbered]()).items]
    labels = [label.name for label in (issue.labels.items if issue.labels else [])]
    owner = next(iter(issue.assignees.items), None)
    return Task(
        ref=f"{home}#{issue.number}",
        title=issue.title,
        status="open" if issue.state == "OPEN" else closed,
        open=issue.state == "OPEN",
        body=issue.body,
        trusted=trust.of(author, issue.author_association),
        owner=Person(name=owner.login) if owner else None,
        author=author,
        projects=[*labels, *([issue.milestone.title] if issue.milestone else [])],
        parents=[str(issue.parent)] if issue.parent else [],
        changes=list(dict.fromkeys([*linking, *linked(issue.body, repository(home))])),
        updated_at=issue.updated_at,
        url=issue.url,
    )


def _item(item_of: Callable[[str], Item | None], text: str) -> Item:
    item = item_of(text)
    if item is None:
        raise InvalidInput(f"{clean(text, 80)!r} is no reference of GitHub. Say owner/repo#12.")
    return item


def _place(document: Document, home: Repository) -> str:
    return f"owner: {document.value('String!', home.owner)}, name: {document.value('String!', home.name)}"


def _path(item: Item) -> str:
    return f"{item.repository.path}/issues/{item.number}"


def _refuse_unknown(answered: Answered[_FoundIssues], query: TaskQuery) -> None:
    found, project = answered.data, query.project
    if query.owner not in (None, "me", "none") and found.owner is None:
        raise answered.absence(f"GitHub knows no user {clean(query.owner, 80)!r}.")
    if project is not None and "/" in project and found.repository is None:
        raise answered.absence(
            f"There is no repository {clean(project, 80)} that this account may see. A project with a slash is taken for one."
        )
    knowing = [one for one in found.knowing.values() if one is not None]
    if project is not None and knowing and not any(one.knows(project) for one in knowing):
        known = list(dict.fromkeys(label.name for one in knowing for label in (one.labels.items if one.labels else [])))
        raise InvalidInput(f"No repository here has a label or milestone {clean(project, 80)!r}. Labels: {names(known, 50)}.")


def _status(word: str | None) -> list[str]:
    """Qualifiers for a status of ours; open ones without one."""
    if word in (None, "open", "closed"):
        return [f"is:{word or 'open'}"]
    if word == "all":
        return []
    if word in _REASONS:
        return ["is:closed", f'reason:"{_REASONS[word]}"']
    raise InvalidInput(
        f"{clean(word or '', 80)!r} is no status of an issue. The statuses are all, closed, {', '.join(STATUSES)}."
    )


def _refuse(edit: TaskEdit) -> None:
    if edit.priority is not None:
        raise InvalidInput(_NO_PRIORITY)
    if edit.column is not None:
        raise InvalidInput(_NO_COLUMN)
    if edit.status not in (None, "closed", *STATUSES):
        raise InvalidInput(f"{clean(edit.status, 80)!r} is no status of an issue. The statuses are {', '.join(STATUSES)}.")
    if len(edit.add_projects) + len(edit.remove_projects) > _MOST_NAMES:
        raise InvalidInput(f"These are too many projects for one call; give at most {_MOST_NAMES}.")


def _add_state(steps: Steps, api: GitHubApi, edit: TaskEdit, item: Item, before: IssueNode | None) -> None:
    """The change of the status, if it is another one than before."""
    is_open = before is None or before.state == "OPEN"
    if edit.status is None or (edit.status == "open" and is_open):
        return
    reason = "completed" if edit.status == "closed" else edit.status
    if before is not None and not is_open and (before.state_reason or "").lower() == reason:
        return
    payload: dict[str, JsonValue] = {"state": "open"} if edit.status == "open" else {"state": "closed", "state_reason": reason}
    steps.add("status", lambda: api.write(RestNumbered, "PATCH", _path(item), payload))


def _projects(home: _Home, wanted: Sequence[str]) -> tuple[tuple[str, ...], _Milestone | None]:
    """Labels, and the milestone. GitHub would make a label of any word, so what does not exist is refused."""
    milestones = {one.title.lower(): one for one in (home.milestones.items if home.milestones else [])}
    labels: list[str] = []
    chosen: list[_Milestone] = []
    for index, name in enumerate(wanted):
        label = home.by_name.get(f"label_{index}")
        if label is not None:
            labels.append(label.name)
        elif name.lower() in milestones:
            chosen.append(milestones[name.lower()])
        else:
            known = [one.name for one in (home.labels.items if home.labels else [])]
            titles = [one.title for one in milestones.values()]
            raise InvalidInput(
                f"{home.name_with_owner} has no label or open milestone {clean(name, 80)!r}."
                f" Labels: {names(known, 50)}. Milestones: {names(titles)}."
            )
    if len(chosen) > 1:
        raise InvalidInput("An issue of GitHub has one milestone; give only one.")
    return tuple(labels), chosen[0] if chosen else None


def _removed(issue: _Issue | None, wanted: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Labels that the issue has and is to lose, and whether it loses its milestone."""
    if issue is None:
        return (), False
    names_of = {name.lower() for name in wanted}
    labels = tuple(one.name for one in (issue.labels.items if issue.labels else []) if one.name.lower() in names_of)
    return labels, issue.milestone is not None and issue.milestone.title.lower() in names_of


def _assignees(home: _Home, owner: str | None, me: str | None) -> tuple[str, ...] | None:
    """Who it is given to. GitHub drops people in silence who cannot have it, so they are refused."""
    if owner is None:
        return None
    if owner == "none":
        return ()
    if owner == "me":
        return (me,) if me else None
    known = [one.login for one in (home.assignable_users.items if home.assignable_users else [])]
    found = next((one for one in known if one.lower() == owner.lower().removeprefix("@")), None)
    if found is None:
        near = f" Similar names: {names(known)}." if known else ""
        raise InvalidInput(f"Nobody called {clean(owner, 80)!r} can be given issues of {home.name_with_owner}.{near}")
    return (found,)


def _parent(home: _Home | None, item: Item | None) -> str | None:
    if item is None:
        return None
    if home is None or home.item is None:
        raise NotFound(f"There is no issue {item} that this account may see.")
    if isinstance(home.item, APull):
        raise wrong_kind(item, home.item)
    return home.item.id


def _dropped(plan: _TaskPlan, after: IssueNode) -> list[str]:
    """What was accepted and not done: without the right to write, GitHub leaves out labels, milestones and people."""
    labels = {one.name.lower() for one in (after.labels.items if after.labels else [])}
    dropped: list[str] = []
    if any(label.lower() not in labels for label in plan.add_labels) or any(
        label.lower() in labels for label in plan.remove_labels
    ):
        dropped.append("projects")
    if plan.milestone is not None and (after.milestone is None or after.milestone.title != plan.milestone.title):
        dropped.append("milestone")
    if plan.assignees is not None and {one.login for one in after.assignees.items} != set(plan.assignees):
        dropped.append("owner")
    return dropped

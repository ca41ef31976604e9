"""Maniphest's tasks: found, made and changed with words that are checked first, because the server takes any."""

import asyncio
from dataclasses import dataclass
from typing import TypeAlias

from opsroom_shared.errors import InvalidInput, NotFound
from pydantic import JsonValue

from ...models import BoardColumn, Task, TaskSaved, Vocabulary
from .. import Page, TaskEdit, TaskQuery, TasksFound
from .cache import Cache
from .conduit import Conduit, own_cursor, page_size
from .names import Known, Names, listed
from .references import number
from .trust import Trust, Trusting
from .wire import Edge, Edited, Project, Results, TaskPriority, TaskRecord, TaskStatus

_SECONDS = 600.0
_METHOD = "maniphest.search"
_ATTACHMENTS = ("columns", "projects", "subscribers")
_MAX_REFS = 100
_NO_BOARD = "A column belongs to the board of a project: give the project, too."

_Step: TypeAlias = dict[str, JsonValue]
"""One transaction of an edit."""


@dataclass(frozen=True)
class Words:
    """The statuses and priorities of this server."""

    statuses: tuple[TaskStatus, ...]
    priorities: tuple[TaskPriority, ...]

    def status(self, word: str) -> TaskStatus:
        wanted = word.strip().casefold()
        found = next((status for status in self.statuses if wanted in (status.value.casefold(), status.name.casefold())), None)
        if found is None:
            raise InvalidInput(f"There is no status {word!r}. There are: {listed(status.value for status in self.statuses)}.")
        return found

    def priority(self, word: str) -> TaskPriority:
        wanted = word.strip().casefold()
        for priority in self.priorities:
            if wanted in (priority.name.casefold(), str(priority.value), *(keyword.casefold() for keyword in priority.keywords)):
                return priority
        there = listed(priority.keywords[0] for priority in self.priorities if priority.keywords)
        raise InvalidInput(f"There is no priority {word!r}. There are: {there}.")

    def is_open(self, value: str) -> bool:
        """A word that the server took without knowing it counts as closed there."""
        return any(status.value == value and not status.closed for status in self.statuses)

    def vocabulary(self, columns: list[str]) -> Vocabulary:
        return Vocabulary(
            statuses=[status.value for status in self.statuses],
            priorities=[priority.keywords[0] for priority in self.priorities if priority.keywords],
            columns=columns,
        )


class Tasks:
    def __init__(self, conduit: Conduit, names: Names, trusting: Trusting) -> None:
        self._conduit, self._names, self._trusting = conduit, names, trusting
        self._words: Cache[str, Words] = Cache(most=1, seconds=_SECONDS)

    async def words(self) -> Words:
        known = self._words.get("")
        if known is None:
            statuses, priorities = await asyncio.gather(
                self._conduit.read(Results[TaskStatus], "maniphest.status.search"),
                self._conduit.read(Results[TaskPriority], "maniphest.priority.search"),
            )
            known = self._words.put("", Words(tuple(statuses.data), tuple(priorities.data)))
        return known

    async def find(self, query: TaskQuery, page: Page) -> TasksFound:
        words, trust, constraints, columns = await self._asked(query)
        results = await self._conduit.search(
            TaskRecord,
            _METHOD,
            constraints=constraints,
            attachments=_ATTACHMENTS,
            order="updated",
            limit=page_size(page.limit),
            after=own_cursor(page.position),
        )
        records = results.data
        if query.refs and page.position is None and results.cursor.after is None and not _narrowed(query):
            there = {record.ref for record in records}
            if missing := [ref for ref in query.refs if ref not in there]:
                raise NotFound(f"{self._conduit.name} has no {listed(missing)}, or this account may not see it.")
        tasks = await self.tasks(records, words, trust, links=bool(query.refs))
        if not query.refs:
            tasks = [task.model_copy(update={"body": None}) for task in tasks]
        return TasksFound(tasks, results.cursor.after, words.vocabulary(columns))

    async def tasks(self, records: list[TaskRecord], words: Words, trust: Trust, *, links: bool) -> list[Task]:
        edges = await self._links(records) if links and records else list[Edge]()
        phids: list[str | None] = [edge.target for edge in edges]
        for record in records:
            phids += [record.author, record.owner, *record.projects, *record.boards]
        known = await self._names.known(phids)
        return [self._task(record, words, trust, known, edges) for record in records]

    async def record(self, ref: str) -> TaskRecord:
        page = await self._conduit.search(TaskRecord, _METHOD, constraints={"ids": [number(ref)]}, attachments=_ATTACHMENTS)
        if not page.data:
            raise NotFound(f"{self._conduit.name} has no {ref}, or this account may not see it.")
        return page.data[0]

    async def save(self, edit: TaskEdit) -> TaskSaved:
        """One call for the task, and one for each change that is linked, because only changes take that link."""
        before = await self.record(edit.task) if edit.task else None
        if before is None and not (edit.title and edit.title.strip()):
            raise InvalidInput("A new task needs a title.")
        words, trust = await asyncio.gather(self.words(), self._trusting.now())
        changes = await self._names.objects(edit.link_changes)
        transactions = await self._transactions(edit, before, words)
        if not transactions and not changes:
            raise InvalidInput("Nothing to change: give at least one thing to make of the task.")
        saved: Edited | None = None
        if transactions:
            params: dict[str, JsonValue] = {"transactions": list[JsonValue](transactions)}
            if before is not None:
                params = {"objectIdentifier": before.ref, **params}
            saved = await self._conduit.read(Edited, "maniphest.edit", params, writes=True)
        ref = f"T{saved.id}" if saved else edit.task or ""
        phid = saved.phid if saved else (before.phid if before else "")
        unlinked = [change for change in changes if not await self._linked(change, phid)]
        after = await self.record(ref)
        task = (await self.tasks([after], words, trust, links=True))[0]
        changed = _changed(edit, before, after, commented=bool(edit.comment and saved and saved.done))
        if edit.parent and edit.parent in task.parents:
            changed.append("parent")
        changed += ["changes"] if len(unlinked) < len(changes) else []
        note = f"Not linked: {listed(unlinked)}." if unlinked else None
        if not changed:
            note = "Everything was so already: nothing changed." if note is None else note
        return TaskSaved(task=task, changed=changed, note=note)

    async def _asked(self, query: TaskQuery) -> tuple[Words, Trust, dict[str, JsonValue], list[str]]:
        words, trust, owner, projects = await asyncio.gather(
            self.words(),
            self._trusting.now(),
            self._owner(query.owner),
            self._names.projects([query.project] if query.project else []),
        )
        constraints = _constraints(query, words)
        if owner is not None:
            constraints["assigned"] = [owner]
        columns: list[str] = []
        if projects:
            constraints["projects"] = [projects[0].phid]
            columns = [column.name for column in await self._names.columns(projects[0])]
        if query.column:
            if not projects:
                raise InvalidInput(_NO_BOARD)
            constraints["columnPHIDs"] = [(await self._names.column(projects[0], query.column)).phid]
        return words, trust, constraints, columns

    async def _owner(self, name: str | None) -> str | None:
        if name is None:
            return None
        if name == "me":
            return (await self._names.me()).phid
        return "none()" if name == "none" else (await self._names.users([name]))[0]

    async def _links(self, records: list[TaskRecord]) -> list[Edge]:
        return await self._conduit.everything(
            Edge,
            "edge.search",
            more={"sourcePHIDs": list[JsonValue](record.phid for record in records), "types": ["task.parent", "task.revision"]},
            most=2_000,
            what="links of these tasks",
        )

    def _task(self, record: TaskRecord, words: Words, trust: Trust, known: Known, edges: list[Edge]) -> Task:
        def linked(kind: str) -> list[str]:
            names = (known.name(edge.target) for edge in edges if edge.source == record.phid and edge.kind == kind)
            return [name for name in names if name]

        columns = [
            BoardColumn(board=known.name(project) or "(hidden)", column=column.name or "(default)")
            for project, board in record.boards.items()
            for column in board.columns
        ]
        return Task(
            ref=record.ref,
            title=record.title,
            status=record.status,
            open=words.is_open(record.status),
            body=record.body,
            trusted=trust.in_author(record.author, known),
            priority=_keyword(record, words),
            owner=known.person(record.owner),
            author=known.person(record.author),
            projects=[name for project in record.projects if (name := known.name(project))],
            columns=columns,
            parents=linked("task.parent"),
            changes=linked("task.revision"),
            updated_at=record.modified,
            url=self._conduit.page(record.ref),
        )

    async def _transactions(self, edit: TaskEdit, before: TaskRecord | None, words: Words) -> list[_Step]:
        found = _texts(edit, words)
        if edit.owner is not None:
            found.append(_step("owner", None if edit.owner == "none" else await self._owner(edit.owner)))
        added = await self._names.projects([*([edit.project] if edit.project else []), *edit.add_projects])
        new = dict.fromkeys(project.phid for project in added if before is None or project.phid not in before.projects)
        if new:
            found.append(_step("projects.add", list[JsonValue](new)))
        if edit.remove_projects:
            removed = await self._names.projects(edit.remove_projects)
            found.append(_step("projects.remove", list[JsonValue](project.phid for project in removed)))
        if edit.column is not None:
            # a list of PHIDs is the only form that Phorge takes, whatever its help says
            found.append(_step("column", [await self._column(edit.column, added, before)]))
        if edit.parent is not None:
            found.append(_step("parents.add", list[JsonValue]((await self._names.objects([edit.parent])).values())))
        if edit.comment is not None and edit.comment.strip():
            found.append(_step("comment", edit.comment))
        return found

    async def _column(self, name: str, added: list[Project], before: TaskRecord | None) -> str:
        """A column of the project that is named, or of the only board that the task is on."""
        if added:
            return (await self._names.column(added[0], name)).phid
        on = list(before.boards) if before else []
        if len(on) != 1:
            raise InvalidInput(_NO_BOARD)
        names = (await self._names.known(on)).names
        return (await self._names.column((await self._names.projects([names.get(on[0], "")]))[0], name)).phid

    async def _linked(self, change: str, task: str) -> bool:
        params: dict[str, JsonValue] = {"objectIdentifier": change, "transactions": [{"type": "tasks.add", "value": [task]}]}
        outcome = await self._conduit.ask("differential.revision.edit", params, writes=True)
        return outcome.code is None


def _constraints(query: TaskQuery, words: Words) -> dict[str, JsonValue]:
    """Those that need nothing more of the server."""
    found: dict[str, JsonValue] = {}
    if len(query.refs) > _MAX_REFS:
        raise InvalidInput(f"At most {_MAX_REFS} tasks can be asked for by reference.")
    if query.refs:
        found["ids"] = list[JsonValue](number(ref) for ref in query.refs)
    if query.text and query.text.strip():
        found["query"] = query.text.strip()
    if query.status in ("open", "closed"):
        found["statuses"] = list[JsonValue](s.value for s in words.statuses if s.closed == (query.status == "closed"))
    elif query.status not in (None, "all"):
        found["statuses"] = [words.status(query.status or "").value]
    if query.priority:
        found["priorities"] = [words.priority(query.priority).value]
    if query.updated_since is not None:
        found["modifiedStart"] = max(int(query.updated_since.timestamp()), 0)
    return found


def _texts(edit: TaskEdit, words: Words) -> list[_Step]:
    """What needs no PHID. The words of status and priority are checked, because the server would store any status."""
    if edit.title is not None and not edit.title.strip():
        raise InvalidInput("A task needs a title.")
    priority = words.priority(edit.priority) if edit.priority is not None else None
    pairs: list[tuple[str, JsonValue]] = [
        ("title", edit.title),
        ("description", edit.body),
        ("priority", (priority.keywords or [priority.name])[0] if priority else None),
        ("status", words.status(edit.status).value if edit.status is not None else None),
    ]
    return [_step(kind, value) for kind, value in pairs if value is not None]


def _step(kind: str, value: JsonValue) -> _Step:
    return {"type": kind, "value": value}


def _changed(edit: TaskEdit, before: TaskRecord | None, after: TaskRecord, *, commented: bool) -> list[str]:
    """What is otherwise than before, as it was read back."""
    pairs = {
        "title": (before and before.title, after.title),
        "body": (before and before.body, after.body or None),
        "status": (before and before.status, after.status),
        "priority": (before and before.priority, after.priority),
        "owner": (before and before.owner, after.owner),
        "projects": (sorted(before.projects) if before else [], sorted(after.projects)),
        "column": (_columns(before) if before else set[str](), _columns(after)),
    }
    asked = {
        "title": edit.title is not None,
        "body": edit.body is not None,
        "status": edit.status is not None,
        "priority": edit.priority is not None,
        "owner": edit.owner is not None,
        "projects": bool(edit.project or edit.add_projects or edit.remove_projects),
        "column": edit.column is not None,
    }
    return [name for name, (old, new) in pairs.items() if asked[name] and old != new] + (["comment"] if commented else [])


def _columns(record: TaskRecord) -> set[str]:
    return {column.phid for board in record.boards.values() for column in board.columns}


def _keyword(record: TaskRecord, words: Words) -> str | None:
    """The word that edits take, for the number that a task has."""
    found = next((priority for priority in words.priorities if priority.value == record.priority), None)
    return found.keywords[0] if found and found.keywords else record.priority_name or None


def _narrowed(query: TaskQuery) -> bool:
    return any((query.text, query.status not in (None, "all"), query.owner, query.project, query.priority, query.updated_since))

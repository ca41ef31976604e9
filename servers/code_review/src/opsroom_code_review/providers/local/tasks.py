"""Tasks as the tools give and take them."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence

from opsroom_shared.errors import InvalidInput, NotFound

from ...models import BoardColumn, Task, TaskSaved, Vocabulary
from .. import Page, TaskEdit, TaskQuery, TasksFound
from .describing import person
from .people import find_person, known_people, need_name
from .references import read_task
from .repository import Me, Repository
from .task_records import (
    COLUMNS,
    OPEN_STATUSES,
    PRIORITIES,
    STATUSES,
    TaskChange,
    TaskRecord,
    add_task,
    change_task,
    same_task,
    tasks,
)

_TITLE = 300
_BODY = 100_000
_PROJECT = 100


class TaskList:
    """The tasks of one repository."""

    def __init__(self, repository: Repository, me: Me, repo: str, trusts: Callable[[str], bool]) -> None:
        self._repository = repository
        self._store = repository.store
        self._me = me
        self._repo = repo
        self._trusts = trusts

    async def find(self, query: TaskQuery, page: Page) -> TasksFound:
        words = Vocabulary(statuses=list(STATUSES), priorities=list(PRIORITIES), columns=list(COLUMNS))
        every = await self._store.read(tasks, list[TaskRecord]())
        if query.refs:
            numbers = [task_number(ref) for ref in query.refs]
            by_number = {task.id: task for task in every}
            if missing := [f"T{number}" for number in numbers if number not in by_number]:
                raise NotFound(f"There is no task {', '.join(missing)} here.")
            return TasksFound([self.described(by_number[number], whole=True) for number in numbers], vocabulary=words)
        await self._check(query, every)
        owner = await self._owner(query.owner)
        found = [task for task in every if self._fits(task, query, owner)]
        start = page.position if isinstance(page.position, int) else 0
        end = start + page.limit
        shown = [self.described(task, whole=False) for task in found[start:end]]
        return TasksFound(shown, end if len(found) > end else None, words)

    async def save(self, edit: TaskEdit, changes: Sequence[str]) -> TaskSaved:
        """*changes* are the store's names of the changes to link."""
        who = need_name(self._me)
        if edit.task is None and not (edit.title or "").strip():
            raise InvalidInput("A new task needs a title.")
        every = await self._store.read(tasks, list[TaskRecord]())
        number = None if edit.task is None else task_number(edit.task)
        if number is not None and number not in {task.id for task in every}:
            raise NotFound(f"There is no task {edit.task} here.")
        change = await self._change(edit, changes, every, number)
        at = int(time.time())
        title, body = (edit.title or "").strip(), edit.body or ""

        def write(db: sqlite3.Connection) -> tuple[int, list[str], bool]:
            again = None if number is not None else same_task(db, title, body, who)
            task = number or again or add_task(db, title, body, who, at)
            changed = change_task(db, task, change, who, at)
            return task, changed if number or again else ["created", *changed], again is not None

        task, changed, again = await self._store.write(write)
        saved = await self._store.read(lambda db: tasks(db, [task]), list[TaskRecord]())
        note = f"T{task} said the same already; no second task was made." if again else None
        return TaskSaved(task=self.described(saved[0], whole=True), changed=changed, note=note)

    async def numbers(self, refs: Iterable[str]) -> list[int]:
        """The numbers of tasks that exist. Raises NotFound."""
        wanted = [task_number(ref) for ref in refs]
        known = {task.id for task in await self._store.read(tasks, list[TaskRecord]())} if wanted else set[int]()
        if missing := [f"T{number}" for number in wanted if number not in known]:
            raise NotFound(f"There is no task {', '.join(missing)} here.")
        return wanted

    def described(self, task: TaskRecord, *, whole: bool) -> Task:
        boards = task.projects or (self._repo,)
        return Task(
            ref=f"T{task.id}",
            title=task.title,
            status=task.status,
            open=task.status in OPEN_STATUSES,
            body=task.body if whole else None,
            trusted=self._trusts(task.author),
            priority=task.priority,
            owner=person(task.owner) if task.owner else None,
            author=person(task.author),
            projects=list(task.projects),
            columns=[BoardColumn(board=board, column=task.stage) for board in boards],
            parents=[f"T{task.parent}"] if task.parent else [],
            changes=list(task.changes),
            updated_at=task.updated_at,
        )

    def _fits(self, task: TaskRecord, query: TaskQuery, owner: str | None) -> bool:
        status = query.status or "open"
        words = (query.text or "").casefold().split()
        text = f"{task.title}\n{task.body}".casefold()
        return (
            status in {"all", task.status, "open" if task.status in OPEN_STATUSES else "closed"}
            and all(word in text for word in words)
            and (query.owner is None or task.owner == owner)
            and (query.project in {None, self._repo} or query.project in task.projects)
            and query.column in {None, task.stage}
            and query.priority in {None, task.priority}
            and (query.updated_since is None or task.updated_at >= query.updated_since)
        )

    async def _owner(self, name: str | None) -> str | None:
        if name is None or name == "none":
            return None
        return find_person(name, await known_people(self._repository, self._me), self._me)

    async def _check(self, query: TaskQuery, every: Iterable[TaskRecord]) -> None:
        check_word("status", query.status, ("open", "closed", "all", *STATUSES))
        check_word("priority", query.priority, PRIORITIES)
        check_word("column", query.column, COLUMNS)
        check_word("project", query.project, (self._repo, *sorted({name for task in every for name in task.projects})))

    async def _change(
        self, edit: TaskEdit, changes: Sequence[str], every: Sequence[TaskRecord], number: int | None
    ) -> TaskChange:
        check_word("status", edit.status, STATUSES)
        check_word("priority", edit.priority, PRIORITIES)
        check_word("column", edit.column, COLUMNS)
        values: dict[str, str | int | None] = {}
        if edit.title is not None:
            values["title"] = _bounded("title", edit.title.strip(), _TITLE)
        if edit.body is not None:
            values["body"] = _bounded("body", edit.body, _BODY)
        words = (("status", edit.status), ("priority", edit.priority), ("stage", edit.column))
        values |= {name: word for name, word in words if word is not None}
        if edit.owner is not None:
            values["owner"] = await self._owner(edit.owner)
        if edit.parent is not None:
            values["parent"] = _parent(task_number(edit.parent), number, every)
        added = [
            _bounded("project", name.strip(), _PROJECT) for name in (edit.project, *edit.add_projects) if name and name.strip()
        ]
        added = [name for name in added if name != self._repo]
        comment = None if edit.comment is None else _bounded("comment", edit.comment, _BODY)
        return TaskChange(values, added, edit.remove_projects, changes, comment)


def task_number(ref: str) -> int:
    name = read_task(ref)
    if name is None:
        raise InvalidInput(f"{ref!r} is no task here; tasks are called T1, T2 and so on.")
    return int(name[1:])


def check_word(what: str, word: str | None, words: Sequence[str]) -> None:
    if word is not None and word not in words:
        raise InvalidInput(f"{word!r} is no {what} here. There are: {', '.join(words)}.")


def _parent(parent: int, child: int | None, every: Sequence[TaskRecord]) -> int:
    by_number = {task.id: task for task in every}
    if parent not in by_number:
        raise NotFound(f"There is no task T{parent} here.")
    above: int | None = parent
    while above is not None and (task := by_number.get(above)):
        if above == child:
            raise InvalidInput(f"T{parent} lies below T{child}; a task cannot be above itself.")
        above = task.parent
    return parent


def _bounded(what: str, text: str, most: int) -> str:
    if len(text) > most:
        raise InvalidInput(f"The {what} has {len(text):,} characters; at most {most:,} are stored.")
    if what != "body" and not text:
        raise InvalidInput(f"The {what} is empty.")
    return text

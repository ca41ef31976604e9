"""What the store knows of tasks, and the words that they take."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .change_records import add_comment

OPEN_STATUSES = ("open", "in_progress")
STATUSES = (*OPEN_STATUSES, "resolved", "wontfix", "duplicate")
PRIORITIES = ("urgent", "high", "normal", "low")
COLUMNS = ("backlog", "doing", "review", "done")

_SETTABLE = ("title", "body", "status", "priority", "owner", "stage", "parent")


@dataclass(frozen=True)
class TaskRecord:
    id: int
    title: str
    body: str
    status: str
    priority: str
    owner: str | None
    author: str
    stage: str
    """The column that it is in."""
    parent: int | None
    updated_at: datetime
    projects: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskChange:
    """What to write of a task."""

    values: dict[str, str | int | None] = field(default_factory=dict[str, str | int | None])
    add_projects: Sequence[str] = ()
    remove_projects: Sequence[str] = ()
    link: Sequence[str] = ()
    comment: str | None = None


def tasks(db: sqlite3.Connection, ids: Iterable[int] | None = None) -> list[TaskRecord]:
    """The tasks of these numbers, or all; those that were touched last first."""
    projects: dict[int, list[str]] = {}
    for row in db.execute("SELECT task, project FROM task_projects ORDER BY project"):
        projects.setdefault(row["task"], []).append(row["project"])
    changes: dict[int, list[str]] = {}
    for row in db.execute("SELECT task, ref FROM task_changes ORDER BY ref"):
        changes.setdefault(row["task"], []).append(row["ref"])
    wanted = None if ids is None else set(ids)
    return [
        TaskRecord(
            row["id"],
            row["title"],
            row["body"],
            row["status"],
            row["priority"],
            row["owner"],
            row["author"],
            row["stage"],
            row["parent"],
            datetime.fromtimestamp(row["updated_at"], UTC),
            tuple(projects.get(row["id"], ())),
            tuple(changes.get(row["id"], ())),
        )
        for row in db.execute("SELECT * FROM tasks ORDER BY updated_at DESC, id DESC")
        if wanted is None or row["id"] in wanted
    ]


def same_task(db: sqlite3.Connection, title: str, body: str, author: str) -> int | None:
    """The open task that says the same, so that a call that is made again makes no second one."""
    statement = "SELECT id FROM tasks WHERE title = ? AND body = ? AND author = ? AND status IN (?, ?)"
    row = db.execute(statement, (title, body, author, *OPEN_STATUSES)).fetchone()
    return None if row is None else int(row["id"])


def add_task(db: sqlite3.Connection, title: str, body: str, author: str, at: int) -> int:
    statement = "INSERT INTO tasks VALUES (NULL, ?, ?, 'open', 'normal', NULL, ?, 'backlog', NULL, ?)"
    return db.execute(statement, (title, body, author, at)).lastrowid or 0


def change_task(db: sqlite3.Connection, task: int, change: TaskChange, who: str, at: int) -> list[str]:
    """Writes *change* and tells what became different."""
    before = tasks(db, [task])[0]
    changed: list[str] = []
    for name in _SETTABLE:
        if name in change.values and change.values[name] != getattr(before, name):
            db.execute(f"UPDATE tasks SET {name} = ? WHERE id = ?", (change.values[name], task))  # noqa: S608 - names of our own
            changed.append("column" if name == "stage" else name)
    added = [project for project in change.add_projects if project not in before.projects]
    removed = [project for project in change.remove_projects if project in before.projects]
    db.executemany("INSERT OR IGNORE INTO task_projects VALUES (?, ?)", [(task, project) for project in added])
    db.executemany("DELETE FROM task_projects WHERE task = ? AND project = ?", [(task, project) for project in removed])
    linked = [ref for ref in change.link if ref not in before.changes]
    db.executemany("INSERT OR IGNORE INTO task_changes VALUES (?, ?)", [(task, ref) for ref in linked])
    changed += ["projects"] * bool(added or removed) + ["changes"] * bool(linked)
    if change.comment is not None and _comment(db, task, who, change.comment, at):
        changed.append("comment")
    if changed:
        db.execute("UPDATE tasks SET updated_at = ? WHERE id = ?", (at, task))
    return changed


def _comment(db: sqlite3.Connection, task: int, who: str, body: str, at: int) -> bool:
    """Adds to the one thread of a task, unless these were its last words."""
    row = db.execute("SELECT id FROM threads WHERE task = ?", (task,)).fetchone()
    thread = int(row["id"]) if row else db.execute("INSERT INTO threads (task) VALUES (?)", (task,)).lastrowid or 0
    if said_last(db, thread, who, body):
        return False
    add_comment(db, thread, (who, body, at))
    return True


def said_last(db: sqlite3.Connection, thread: int, who: str, body: str) -> bool:
    last = db.execute("SELECT who, body FROM comments WHERE thread = ? ORDER BY id DESC LIMIT 1", (thread,)).fetchone()
    return last is not None and (last["who"], last["body"]) == (who, body)

"""What the store knows of changes: titles, reviewers, verdicts, threads."""

import json
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, cast

from ...models import ReviewerVerdict, Verdict
from .. import Review

StoredState = Literal["draft", "changes_planned", "abandoned"]

_VERDICTS: dict[str, ReviewerVerdict] = {"accept": "accepted", "request_changes": "changes_requested", "comment": "commented"}


@dataclass(frozen=True)
class Stand:
    """The last verdict of one reviewer, and the version that it was about."""

    verdict: ReviewerVerdict
    version: str


@dataclass
class ChangeRecord:
    """What was said about one change."""

    title: str | None = None
    summary: str | None = None
    test_plan: str | None = None
    base: str | None = None
    state: StoredState | None = None
    said_by: str | None = None
    updated_at: datetime | None = None
    versions: dict[str, tuple[str, datetime]] = field(default_factory=dict[str, tuple[str, datetime]])
    """Base and time of each version that something was said about, the oldest first."""
    reviewers: set[str] = field(default_factory=set[str])
    stands: dict[str, Stand] = field(default_factory=dict[str, Stand])
    """By name; a mere comment does not take a verdict back."""
    tasks: list[str] = field(default_factory=list[str])
    open_threads: list[str] = field(default_factory=list[str])
    """Who spoke last in each thread that is not resolved."""

    def touch(self, seconds: int) -> None:
        at = datetime.fromtimestamp(seconds, UTC)
        self.updated_at = max(self.updated_at or at, at)


@dataclass(frozen=True)
class CommentRecord:
    id: int
    who: str
    at: datetime
    body: str
    verdict: str | None


@dataclass(frozen=True)
class ThreadRecord:
    id: int
    version: str | None
    path: str | None
    """In the quoted form, as it is shown."""
    side: str | None
    line: int | None
    end_line: int | None
    quoted: tuple[str, ...]
    resolved: bool | None
    comments: tuple[CommentRecord, ...]


@dataclass(frozen=True)
class ThreadPlace:
    ref: str | None
    """The change that it is of; None for a task's."""
    resolved: bool | None
    """None for what cannot be resolved."""


@dataclass(frozen=True)
class ReviewPlace:
    """What a review is stored under."""

    ref: str
    base: str
    paths: tuple[str, ...]
    """Of its comments, in the quoted form."""


@dataclass(frozen=True)
class Written:
    """The thread that a comment of a review became, or that had said the same before."""

    index: int
    thread: int
    is_new: bool


def changes(db: sqlite3.Connection, ref: str | None = None) -> dict[str, ChangeRecord]:
    """What is known of the change *ref*, or of all."""
    found: dict[str, ChangeRecord] = {}
    where, values = ("", ()) if ref is None else ("WHERE ref = ?", (ref,))

    def of(row: sqlite3.Row) -> ChangeRecord:
        return found.setdefault(row["ref"], ChangeRecord())

    for row in db.execute(f"SELECT * FROM changes {where}", values):  # noqa: S608 - a condition of our own
        record = of(row)
        record.title, record.summary, record.test_plan = row["title"], row["summary"], row["test_plan"]
        record.base, record.state, record.said_by = row["base"], cast("StoredState | None", row["state"]), row["said_by"]
        record.touch(row["updated_at"])
    for row in db.execute(f"SELECT * FROM versions {where} ORDER BY seen_at", values):  # noqa: S608 - the same
        of(row).versions[row["version"]] = (row["base"], datetime.fromtimestamp(row["seen_at"], UTC))
    for row in db.execute(f"SELECT * FROM reviewers {where}", values):  # noqa: S608 - the same
        of(row).reviewers.add(row["name"])
    for row in db.execute(f"SELECT * FROM verdicts {where} ORDER BY id", values):  # noqa: S608 - the same
        record, verdict = of(row), _VERDICTS[row["verdict"]]
        record.touch(row["at"])
        if verdict != "commented" or row["who"] not in record.stands:
            record.stands[row["who"]] = Stand(verdict, row["version"])
    for row in db.execute(f"SELECT * FROM task_changes {where} ORDER BY task", values):  # noqa: S608 - the same
        of(row).tasks.append(f"T{row['task']}")
    last = "SELECT who, at FROM comments WHERE thread = threads.id ORDER BY id DESC LIMIT 1"
    threads = (
        f"SELECT ref, resolved, (SELECT who FROM ({last})) AS who, (SELECT at FROM ({last})) AS at "  # noqa: S608 - the same
        f"FROM threads {where or 'WHERE ref IS NOT NULL'}"
    )
    for row in db.execute(threads, values):
        of(row).touch(row["at"])
        if row["resolved"] == 0:
            of(row).open_threads.append(row["who"])
    return found


def threads(db: sqlite3.Connection, *, ref: str | None = None, task: int | None = None) -> list[ThreadRecord]:
    rows = db.execute("SELECT * FROM threads WHERE ref IS ? AND task IS ? ORDER BY id", (ref, task)).fetchall()
    said: dict[int, list[CommentRecord]] = {row["id"]: [] for row in rows}
    spoken = db.execute(
        "SELECT comments.* FROM comments JOIN threads ON threads.id = thread WHERE ref IS ? AND task IS ? ORDER BY comments.id",
        (ref, task),
    )
    for row in spoken:
        at = datetime.fromtimestamp(row["at"], UTC)
        said[row["thread"]].append(CommentRecord(row["id"], row["who"], at, row["body"], row["verdict"]))
    return [
        ThreadRecord(
            row["id"],
            row["version"],
            row["path"],
            row["side"],
            row["line"],
            row["end_line"],
            tuple(cast("list[str]", json.loads(row["quoted"]))),
            None if row["resolved"] is None else bool(row["resolved"]),
            tuple(said[row["id"]]),
        )
        for row in rows
    ]


def remember_version(db: sqlite3.Connection, ref: str, version: str, base: str, at: int) -> None:
    db.execute("INSERT OR IGNORE INTO versions VALUES (?, ?, ?, ?)", (ref, version, base, at))


def add_review(db: sqlite3.Connection, review: Review, place: ReviewPlace, who: str, at: int) -> list[Written]:
    """Stores a review whole. What the same person has said in the same place before is not said again."""
    ref = place.ref
    remember_version(db, ref, review.version, place.base, at)
    same = (ref, review.version, who, review.verdict)
    known = db.execute("SELECT 1 FROM verdicts WHERE ref = ? AND version = ? AND who = ? AND verdict = ?", same).fetchone()
    if review.verdict != "comment" or not known:
        db.execute("INSERT INTO verdicts (ref, version, who, verdict, at) VALUES (?, ?, ?, ?, ?)", (*same, at))
    if (review.summary.strip() or review.verdict != "comment") and not _said_summary(db, ref, review, who):
        thread = db.execute("INSERT INTO threads (ref, version) VALUES (?, ?)", (ref, review.version)).lastrowid
        add_comment(db, thread or 0, (who, review.summary, at), verdict=review.verdict)
    written: list[Written] = []
    for comment, path in zip(review.comments, place.paths, strict=True):
        body = comment.body
        if comment.suggestion is not None:
            body = f"{body}\n\n{suggestion_block(comment.suggestion)}".lstrip("\n")
        quoted = json.dumps(comment.quoted)
        before = db.execute(
            "SELECT threads.id FROM threads JOIN comments ON thread = threads.id "
            "WHERE ref = ? AND path = ? AND side = ? AND quoted = ? AND who = ? AND body = ? AND (version <> ? OR line = ?)",
            (ref, path, comment.side, quoted, who, body, review.version, comment.line),
        ).fetchone()
        if before:
            written.append(Written(comment.index, before["id"], is_new=False))
            continue
        anchor = (ref, review.version, path, comment.side, comment.line, comment.end_line, quoted)
        thread = db.execute(
            "INSERT INTO threads (ref, version, path, side, line, end_line, quoted, resolved) VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            anchor,
        ).lastrowid
        add_comment(db, thread or 0, (who, body, at))
        written.append(Written(comment.index, thread or 0, is_new=True))
    return written


def _said_summary(db: sqlite3.Connection, ref: str, review: Review, who: str) -> bool:
    same = (ref, review.version, who, review.summary, review.verdict)
    found = db.execute(
        "SELECT 1 FROM threads JOIN comments ON thread = threads.id "
        "WHERE ref = ? AND version = ? AND path IS NULL AND who = ? AND body = ? AND verdict = ?",
        same,
    )
    return found.fetchone() is not None


def suggestion_block(text: str) -> str:
    """A suggested text in a fence that nothing in it closes."""
    longest = max((len(run) for run in _runs(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}suggestion\n{text}\n{fence}"


def _runs(text: str) -> list[str]:
    return ["`" * len(part) for part in "".join(c if c == "`" else " " for c in text).split()]


def add_comment(db: sqlite3.Connection, thread: int, said: tuple[str, str, int], verdict: Verdict | None = None) -> int:
    """*said* is who, what and when."""
    statement = "INSERT INTO comments (thread, who, body, at, verdict) VALUES (?, ?, ?, ?, ?)"
    return db.execute(statement, (thread, *said, verdict)).lastrowid or 0


def thread_place(db: sqlite3.Connection, thread: int) -> ThreadPlace | None:
    row = db.execute("SELECT ref, resolved FROM threads WHERE id = ?", (thread,)).fetchone()
    return None if row is None else ThreadPlace(row["ref"], None if row["resolved"] is None else bool(row["resolved"]))


def set_resolved(db: sqlite3.Connection, thread: int, *, resolved: bool) -> None:
    db.execute("UPDATE threads SET resolved = ? WHERE id = ?", (int(resolved), thread))

"""What is written about changes: reviews, replies and edits, each in one transaction and read back."""

import sqlite3
import time
from dataclasses import dataclass

from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted

from ...models import ChangeState, CommentOutcome, ReplyResult
from ...paths import shown
from .. import ChangeEdit, Reply, Review, Sent
from .change_records import (
    ReviewPlace,
    Written,
    add_comment,
    add_review,
    remember_version,
    set_resolved,
    thread_place,
    threads,
)
from .discussion import thread_name, thread_number
from .people import need_name
from .repository import Me, Repository, Resolved
from .task_records import said_last

_TITLE = 300
_TEXT = 100_000
_STATES = {"draft": "draft", "changes_planned": "changes_planned", "abandoned": "abandoned", "ready": None, "reopened": None}


@dataclass(frozen=True)
class Subject:
    """The change that is written about, as it is at the moment."""

    resolved: Resolved
    state: ChangeState
    mine: bool


async def send_review(repository: Repository, subject: Subject, review: Review, me: Me) -> Sent:
    who = need_name(me)
    resolved = subject.resolved
    if review.version != resolved.version:
        raise Conflict(
            f"{resolved.ref} has moved on from {review.version}: its newest version is {resolved.version}. Read it first."
        )
    if review.verdict != "comment" and subject.state in {"closed", "abandoned"}:
        raise Conflict(f"{resolved.ref} is {subject.state}; it takes comments, and no verdict.")
    if review.verdict == "accept" and subject.mine:
        raise NotPermitted(f"{resolved.ref} is your own change; somebody else has to accept it.")
    if not review.summary.strip() and not review.comments and review.verdict == "comment":
        raise InvalidInput("The review says nothing: give a summary, comments, or a verdict.")
    _check_length(review.summary, *(comment.body for comment in review.comments))
    place = ReviewPlace(resolved.key, resolved.base, tuple(shown(comment.path) for comment in review.comments))
    at = int(time.time())

    written = await repository.store.write(lambda db: add_review(db, review, place, who, at))
    stored = await repository.store.read(lambda db: {thread.id for thread in threads(db, ref=resolved.key)}, set[int]())
    return Sent(url=None, outcomes=[_outcome(part, stored) for part in written])


def _outcome(part: Written, stored: set[int]) -> CommentOutcome:
    name = thread_name(part.thread)
    if part.thread not in stored:
        return CommentOutcome(index=part.index, state="rejected", reason="it was not found again after it was written")
    if not part.is_new:
        return CommentOutcome(index=part.index, state="duplicate", reason=f"{name} says the same", thread=name)
    return CommentOutcome(index=part.index, state="published", thread=name)


async def send_reply(repository: Repository, reply: Reply, change_key: str | None, me: Me) -> ReplyResult:
    who = need_name(me)
    number = thread_number(reply.thread)
    body = (reply.body or "").strip()
    if number is None:
        raise NotFound(f"{reply.thread!r} is no thread; they are called r1, r2 and so on.")
    if not body and reply.resolve is None:
        raise InvalidInput("Give a body, or say whether to resolve the thread.")
    _check_length(body)
    at = int(time.time())

    def write(db: sqlite3.Connection) -> bool:
        place = thread_place(db, number)
        if place is None or (change_key is not None and place.ref != change_key):
            raise NotFound(
                f"There is no thread {reply.thread} here." if place is None else f"{reply.thread} is not of this change."
            )
        if reply.resolve is not None and place.resolved is None:
            raise InvalidInput(f"{reply.thread} has no place in the diff, and cannot be resolved.")
        if reply.resolve is not None:
            set_resolved(db, number, resolved=reply.resolve)
        if not body or said_last(db, number, who, body):
            return False
        add_comment(db, number, (who, body, at))
        return True

    if not await repository.store.read(lambda db: thread_place(db, number) is not None, nothing=False):
        raise NotFound(f"There is no thread {reply.thread} here.")  # and no file is made to say so
    posted = await repository.store.write(write)
    after = await repository.store.read(lambda db: thread_place(db, number), None)
    note = "These were your last words there already; they were not repeated." if body and not posted else None
    return ReplyResult(posted=posted, resolved=after.resolved if after else None, note=note)


@dataclass(frozen=True)
class EditWords:
    """An edit whose names have been looked up."""

    add_reviewers: tuple[str, ...]
    remove_reviewers: tuple[str, ...]
    tasks: tuple[int, ...]
    base: str | None


async def write_edit(repository: Repository, subject: Subject, edit: ChangeEdit, words: EditWords, me: Me) -> list[str]:
    """Writes what is different and tells what that was."""
    who = need_name(me)
    resolved = subject.resolved
    if edit.state is not None and subject.state == "closed":
        raise Conflict(f"{resolved.ref} is merged; its state cannot be changed.")
    if edit.title is not None and (not edit.title.strip() or len(edit.title) > _TITLE):
        raise InvalidInput(f"A title has 1 to {_TITLE} characters.")
    _check_length(edit.summary or "", edit.test_plan or "")
    key, at = resolved.key, int(time.time())
    values: dict[str, str | None] = {
        name: value
        for name, value in (("title", edit.title), ("summary", edit.summary), ("test_plan", edit.test_plan), ("base", words.base))
        if value is not None
    }
    if edit.state is not None:
        values["state"] = _STATES[edit.state]

    def write(db: sqlite3.Connection) -> list[str]:
        before = db.execute("SELECT * FROM changes WHERE ref = ?", (key,)).fetchone()
        changed = [name for name, value in values.items() if value != (before[name] if before else None)]
        if changed or edit.change is None:
            db.execute("INSERT OR IGNORE INTO changes (ref, said_by, updated_at) VALUES (?, ?, ?)", (key, who, at))
            remember_version(db, key, resolved.version, resolved.base, at)
        for name in changed:
            db.execute(f"UPDATE changes SET {name} = ?, updated_at = ? WHERE ref = ?", (values[name], at, key))  # noqa: S608
        if {"title", "summary"} & set(changed):
            db.execute("UPDATE changes SET said_by = ? WHERE ref = ?", (who, key))
        added = db.executemany("INSERT OR IGNORE INTO reviewers VALUES (?, ?)", [(key, name) for name in words.add_reviewers])
        removed = db.executemany(
            "DELETE FROM reviewers WHERE ref = ? AND name = ?", [(key, name) for name in words.remove_reviewers]
        )
        if max(added.rowcount, 0) + max(removed.rowcount, 0):
            changed.append("reviewers")
        linked = db.executemany("INSERT OR IGNORE INTO task_changes VALUES (?, ?)", [(task, key) for task in words.tasks])
        if linked.rowcount > 0:
            changed.append("tasks")
        return changed if before or edit.change is not None else ["created", *changed]

    return await repository.store.write(write)


def _check_length(*texts: str) -> None:
    if any(len(text) > _TEXT for text in texts):
        raise InvalidInput(f"A text has more than {_TEXT:,} characters, which is more than is stored.")

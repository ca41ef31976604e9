"""Changes as the tools give them, out of what git and the store know of them."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from opsroom_shared.outside import clean

from ...models import Can, Change, ChangedFile, ChangeState, Person, Reviewer, Version
from ...paths import shown
from .change_records import ChangeRecord
from .graph import Author, Commit, Graph, Ref
from .listing import Entry
from .repository import Me, Resolved

_TITLE = 300
_SUMMARY = 20_000
_COMMITS_TOLD = 50


def person(name: str) -> Person:
    return Person(name=name, bot=name.endswith("[bot]"))


def author_of(graph: Graph, ref: Ref) -> str:
    """Who wrote the head of a branch, by the name that a .mailmap gives."""
    commit = graph.commits.get(ref.head)
    return commit.author.name if commit else ref.author.name


def is_mine(graph: Graph, ref: Ref, me: Me) -> bool:
    commit = graph.commits.get(ref.head)
    return _is_of(commit.author if commit else ref.author, me)


def wrote(commit: Commit, me: Me) -> bool:
    return _is_of(commit.author, me)


def _is_of(author: Author, me: Me) -> bool:
    return is_me(author.name, me) or (me.email is not None and author.email.casefold() == me.email.casefold())


def is_me(name: str | None, me: Me) -> bool:
    return me.name is not None and name == me.name


def state_of(record: ChangeRecord, version: str, *, merged: bool) -> ChangeState:
    """Only verdicts on the newest version count: those on an earlier one are stale."""
    if merged:
        return "closed"
    if record.state is not None and record.state != "changes_planned":
        return record.state
    current = {stand.verdict for stand in record.stands.values() if stand.version == version}
    if record.state == "changes_planned" or "changes_requested" in current:
        return "needs_changes"
    return "accepted" if "accepted" in current else "open"


def title_of(record: ChangeRecord, subject: str, ref: str) -> str:
    return clean(record.title or subject or ref, _TITLE)


def summary_of(commits: Sequence[Commit]) -> str:
    """The message of one commit without its subject, or the messages of several, the oldest first."""
    if len(commits) == 1:
        return commits[0].body[:_SUMMARY]
    told = [f"{commit.subject}\n\n{commit.body}".strip() for commit in commits[:_COMMITS_TOLD]]
    if len(commits) > len(told):
        told.append(f"(and {len(commits) - len(told):,} more commits)")
    return "\n\n".join(told)[:_SUMMARY]


def reviewers_of(record: ChangeRecord, version: str) -> list[Reviewer]:
    found: list[Reviewer] = []
    for name in sorted(record.reviewers | set(record.stands)):
        stand = record.stands.get(name)
        if stand is None:
            found.append(Reviewer(who=person(name)))
        else:
            found.append(Reviewer(who=person(name), verdict=stand.verdict, stale=stand.version != version))
    return found


def versions_of(record: ChangeRecord, version: str, at: datetime | None) -> list[Version]:
    """The oldest first, the one of now at the end."""
    found = [Version(id=known, created_at=seen) for known, (_, seen) in record.versions.items() if known != version]
    return [*found, Version(id=version, created_at=at)]


def files_of(entries: Iterable[Entry]) -> list[ChangedFile]:
    return [
        ChangedFile(
            path=shown(entry.path),
            old_path=None if entry.old_path is None else shown(entry.old_path),
            kind=entry.kind,
            added=entry.added,
            removed=entry.removed,
            binary=entry.binary,
        )
        for entry in entries
    ]


def branch_change(graph: Graph, spelling: str, ref: Ref, record: ChangeRecord, repo: str) -> Change:
    merged = graph.is_merged(ref)
    proposed = graph.proposed(spelling) if record.title is None else []
    return Change(
        ref=spelling,
        title=title_of(record, proposed[0].subject if proposed else ref.subject, spelling),
        state=state_of(record, ref.head, merged=merged),
        native_state="merged" if merged else record.state,
        author=person(author_of(graph, ref)),
        repo=repo,
        version=ref.head,
        updated_at=_latest(ref.at, record.updated_at),
    )


def waits_for(me: Me, record: ChangeRecord, version: str, *, mine: bool) -> bool:
    """Whether a change waits for this account: to be reviewed, or as its author to go on."""
    if not mine:
        stand = record.stands.get(me.name or "")
        return record.state is None and (stand is None or stand.version != version)
    asked = any(stand.verdict == "changes_requested" and stand.version == version for stand in record.stands.values())
    return record.state != "abandoned" and (asked or any(not is_me(who, me) for who in record.open_threads))


def can_do(me: Me, *, mine: bool, is_open: bool) -> Can:
    known = me.name is not None
    return Can(comment=known, accept=known and is_open and not mine, publish_inline=known, reply=known, resolve=known)


def uncommitted_change(resolved: Resolved, record: ChangeRecord, me: Me, repo: str, written: float | None) -> Change:
    state = state_of(record, resolved.version, merged=False)
    return Change(
        ref=resolved.ref,
        title=title_of(record, f"Uncommitted changes on {resolved.base_name}", resolved.ref),
        state="draft" if state == "open" else state,
        native_state="uncommitted",
        author=person(me.name) if me.name else None,
        repo=repo,
        version=resolved.version,
        updated_at=_latest(None if written is None else datetime.fromtimestamp(written, UTC), record.updated_at),
    )


def range_change(resolved: Resolved, record: ChangeRecord, commits: Sequence[Commit], repo: str) -> Change:
    last = commits[-1] if commits else None
    subject = last.subject if last and len(commits) == 1 else f"{len(commits):,} commits"
    return Change(
        ref=resolved.ref,
        title=title_of(record, subject, resolved.ref),
        state=state_of(record, resolved.version, merged=False),
        native_state=record.state,
        author=person(last.author.name) if last else None,
        repo=repo,
        version=resolved.version,
        updated_at=_latest(last.at if last else None, record.updated_at),
    )


def newest(paths: Iterable[str], top: Path) -> float | None:
    """When the last of the files was written."""
    times: list[float] = []
    for path in paths:
        with suppress(OSError):
            times.append((top / path).lstat().st_mtime)
    return max(times, default=None)


def _latest(*times: datetime | None) -> datetime | None:
    return max((time for time in times if time is not None), default=None)

"""The threads of a change as they stand on its newest version."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from opsroom_shared.errors import ToolFailure

from ...diffs import Hunk
from ...models import Anchor, Comment, Thread
from ...paths import given, shown
from .change_records import ChangeRecord, ThreadRecord
from .describing import person
from .file_text import uncommitted_text
from .moved_lines import found_again, moved_range
from .repository import Repository, Resolved
from .versions import version_of

_THREAD = re.compile(r"r([1-9][0-9]{0,14})")
_FOLLOWED = 20
"""Threads of so many pairs of commits are followed to the newest version; those of others are called outdated."""


@dataclass(frozen=True)
class _Spot:
    path: str
    line: int
    end_line: int


def thread_name(number: int) -> str:
    return f"r{number}"


def thread_number(name: str) -> int | None:
    match = _THREAD.fullmatch(name.strip())
    return int(match[1]) if match else None


async def placed_threads(
    repository: Repository,
    resolved: Resolved,
    record: ChangeRecord,
    threads: Sequence[ThreadRecord],
    trusts: Callable[[str], bool],
) -> list[Thread]:
    """*threads* with their anchors moved to where their lines are now."""
    spots = await _spots(repository, resolved, record, threads)
    return [described(thread, trusts, _anchor(thread, resolved, spots.get(thread.id))) for thread in threads]


def described(thread: ThreadRecord, trusts: Callable[[str], bool], anchor: Anchor | None = None) -> Thread:
    return Thread(
        id=thread_name(thread.id),
        anchor=anchor,
        resolved=thread.resolved,
        comments=[
            Comment(
                id=f"{thread_name(thread.id)}.{comment.id}",
                author=person(comment.who),
                trusted=trusts(comment.who),
                at=comment.at,
                text=comment.body,
                verdict=comment.verdict,
            )
            for comment in thread.comments
        ],
    )


def _anchor(thread: ThreadRecord, resolved: Resolved, spot: _Spot | None) -> Anchor | None:
    if thread.path is None:
        return None
    side = "old" if thread.side == "old" else "new"
    if spot is None:
        return Anchor(
            path=thread.path, line=thread.line, end_line=thread.end_line, side=side, version=thread.version, outdated=True
        )
    return Anchor(path=shown(spot.path), line=spot.line, end_line=spot.end_line, side=side, version=resolved.version)


async def _spots(
    repository: Repository, resolved: Resolved, record: ChangeRecord, threads: Iterable[ThreadRecord]
) -> dict[int, _Spot]:
    """Where each thread stands now; nothing of those whose lines are gone."""
    found: dict[int, _Spot] = {}
    moves: dict[tuple[str, str], list[tuple[ThreadRecord, _Spot]]] = defaultdict(list)
    for thread in threads:
        if thread.path is None or thread.line is None or thread.version is None:
            continue
        spot = _Spot(given(thread.path), thread.line, thread.end_line or thread.line)
        if thread.version == resolved.version:
            found[thread.id] = spot
        elif resolved.status is not None and thread.side != "old":
            if again := await _on_disk(repository, thread, spot):
                found[thread.id] = again
        elif ends := await _ends(repository, resolved, record, thread):
            moves[ends].append((thread, spot))
    for ends in sorted(moves, key=lambda ends: -max(thread.id for thread, _ in moves[ends]))[:_FOLLOWED]:
        paths = {spot.path for _, spot in moves[ends]}
        changed = await _changed(repository, *ends, paths)
        for thread, spot in moves[ends]:
            path, hunks = changed.get(spot.path, (spot.path, ()))
            if path is not None and (lines := moved_range(spot.line, spot.end_line, hunks)):
                found[thread.id] = _Spot(path, *lines)
    return found


async def _ends(repository: Repository, resolved: Resolved, record: ChangeRecord, thread: ThreadRecord) -> tuple[str, str] | None:
    """The commits between which the lines of a thread are followed."""
    try:
        if resolved.status is not None:
            known = record.versions.get(thread.version or "")
            return (known[0], resolved.base) if known else None
        base, head, _ = await version_of(repository, resolved, record, thread.version)
    except ToolFailure:  # the version is gone, and with it what could be followed
        return None
    return (base, resolved.base) if thread.side == "old" else (head, resolved.head)


async def _changed(repository: Repository, old: str, new: str, paths: set[str]) -> dict[str, tuple[str | None, tuple[Hunk, ...]]]:
    """Of those of *paths* that differ: what they are called now, if they are there, and the hunks."""
    try:
        listed = [] if old == new else await repository.comparing.listing(old, new)
        before = {entry.old_path or entry.path: entry for entry in listed if entry.kind not in {"added", "copied"}}
        chosen = {entry.path for path, entry in before.items() if path in paths}
        files = (
            await repository.comparing.files(
                old, new, context=0, wanted=lambda entry: entry.path in chosen and entry.kind not in {"added", "copied"}
            )
            if chosen
            else []
        )
    except ToolFailure:  # too large, or gone: an outdated thread is better than none
        return dict.fromkeys(paths, (None, ()))
    return {
        file.old_path or file.path: (None if file.kind == "deleted" or file.withheld or file.binary else file.path, file.hunks)
        for file in files
    }


async def _on_disk(repository: Repository, thread: ThreadRecord, spot: _Spot) -> _Spot | None:
    """Where the quoted lines are in the working tree: its earlier states are not kept, so only the text can tell."""
    try:
        text = await uncommitted_text(repository, spot.path)
    except ToolFailure:  # the file is gone, or is no text any more
        return None
    line = found_again(thread.quoted, text.content.split("\n"), spot.line)
    return None if line is None else _Spot(spot.path, line, line + spot.end_line - spot.line)

"""The working tree as a change: what git says of it, and the files that git does not know yet."""

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from opsroom_shared.errors import Conflict

from ...diffs import FileDiff
from .comparing import SHAPE, parsed_listing
from .listing import Entry
from .repository import Repository, Resolved
from .working_tree import Status, fingerprint, measured_on_disk, no_filters, untracked_diff, untracked_entry


async def uncommitted_entries(repository: Repository, resolved: Resolved, status: Status) -> list[Entry]:
    """Which files differ from the commit that the working tree stands on."""
    drivers = await repository.filters()
    data = await repository.git.read(
        "diff-index", *SHAPE, "--raw", "--numstat", "-z", resolved.base, "--", config=no_filters(drivers)
    )
    # a file that was only touched is listed, too; the status has looked into it
    tracked = [entry for entry in parsed_listing(data) if not status.tracked.isdisjoint(entry.paths)]
    tracked = await repository.comparing.measured(tracked)
    entries = await asyncio.to_thread(_on_disk, repository.top, tracked, status.untracked)
    if drivers and entries:
        entries = await _without_filtered(repository, entries, drivers)
    return entries


async def uncommitted_files(
    repository: Repository, resolved: Resolved, status: Status, context: int, wanted: Callable[[Entry], bool]
) -> list[FileDiff]:
    """The same with their hunks. Raises Conflict if a file was written meanwhile."""
    listed = await uncommitted_entries(repository, resolved, status)
    chosen = [entry for entry in listed if wanted(entry)]
    untracked = {path.rstrip("/") for path in status.untracked}
    tracked = [entry for entry in chosen if entry.path not in untracked]
    files = await repository.comparing.patched(
        ("diff-index", *SHAPE, f"--unified={context}", "--patch", resolved.base),
        tracked,
        of=len(listed),
        config=no_filters(await repository.filters()),
    )
    files += await asyncio.to_thread(_untracked, repository.top, [entry for entry in chosen if entry.path in untracked])
    if await asyncio.to_thread(fingerprint, repository.top, status) != resolved.version:
        raise Conflict("Files of the working tree were written while they were read. Try again.")
    return sorted(files, key=lambda file: file.path)


def _on_disk(top: Path, tracked: Iterable[Entry], untracked: Iterable[str]) -> list[Entry]:
    entries = [measured_on_disk(top, entry) for entry in tracked]
    entries += [untracked_entry(top, path) for path in untracked]
    return sorted(entries, key=lambda entry: entry.path)


def _untracked(top: Path, entries: Iterable[Entry]) -> list[FileDiff]:
    return [untracked_diff(top, entry) for entry in entries]


async def _without_filtered(repository: Repository, entries: list[Entry], drivers: Iterable[str]) -> list[Entry]:
    """*entries*, where those that a filter would change on their way into a commit are withheld."""
    names = b"".join(os.fsencode(entry.path) + b"\0" for entry in entries)
    answer = await repository.git.read("check-attr", "-z", "--stdin", "filter", stdin=names)
    words = answer.decode(errors="surrogateescape").split("\0")
    filters = {words[at]: words[at + 2] for at in range(0, len(words) - 2, 3)}
    known = set(drivers)
    return [_withheld(entry, filters.get(entry.path, "")) if filters.get(entry.path) in known else entry for entry in entries]


def _withheld(entry: Entry, driver: str) -> Entry:
    reason = f"what is committed of it depends on the filter {driver!r}, which is not run here"
    return replace(entry, binary=False, added=None, removed=None, withheld=reason)

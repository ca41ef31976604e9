"""Differences between two trees or commits: few processes, bounded answers, and what could not be shown said."""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

from opsroom_shared.errors import TooLarge, Unavailable

from ...diff_parser import parse_patch
from ...diffs import FileDiff
from .git import LARGEST_TEXT, Git
from .listing import NO_ID, Entry, parse_listing

SHAPE = (
    "-r",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--ignore-submodules=dirty",
    "--submodule=short",
    "--find-renames",
    "--no-abbrev",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
"""How every diff is asked for, whatever the configuration says."""

_PATCH = 16 << 20
_NAMED_PATHS = 500
"""Up to so many files are named to git; of more, the whole patch is taken and the others are left out."""
_KEPT_LISTINGS = 64
_TOO_LARGE = "the patch is too large to be sent whole; ask for this file by its path"


class Comparing:
    """Reads differences through git, and remembers which files differ between two commits, which never changes."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._listings: OrderedDict[tuple[str, str], list[Entry]] = OrderedDict()

    async def listing(self, old: str, new: str) -> list[Entry]:
        key = (old, new)
        if key not in self._listings:
            data = await self._git.read("diff-tree", *SHAPE, "--raw", "--numstat", "-z", old, new, "--")
            self._listings[key] = await self.measured(parsed_listing(data))
            if len(self._listings) > _KEPT_LISTINGS:
                self._listings.popitem(last=False)
        self._listings.move_to_end(key)
        return self._listings[key]

    async def files(self, old: str, new: str, *, context: int, wanted: Callable[[Entry], bool]) -> list[FileDiff]:
        """What is different in the wanted files, with *context* lines around it."""
        listed = await self.listing(old, new)
        chosen = [entry for entry in listed if wanted(entry)]
        return await self.patched(("diff-tree", *SHAPE, f"--unified={context}", "--patch", old, new), chosen, of=len(listed))

    async def patched(
        self, command: Sequence[str], chosen: list[Entry], *, of: int, config: Sequence[str] = ()
    ) -> list[FileDiff]:
        """The chosen files among *of*, with their hunks out of the patch that *command* gives."""
        shown = [entry for entry in chosen if entry.has_hunks]
        if not shown:
            return [entry.diff() for entry in chosen]
        names = pathspecs(shown) if len(shown) < of else []
        output = await self._git.run(*command, "--", *names, limit=_PATCH, may_cut=True, config=config)
        if output.code:
            raise output.failure()
        return joined(chosen, await asyncio.to_thread(parsed_patch, output.data, cut=output.cut))

    async def measured(self, entries: list[Entry]) -> list[Entry]:
        """*entries* with the size of those that git called binary for being large."""
        asked = {blob for entry in entries if entry.binary for blob in entry.ids if blob.strip(NO_ID)}
        if not asked:
            return entries
        lines = "".join(f"{blob}\n" for blob in sorted(asked)).encode()
        answer = await self._git.read("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=lines)
        sizes: dict[str, int] = {}
        for line in answer.decode().splitlines():
            blob, _, size = line.partition(" ")
            if size.isdecimal():
                sizes[blob] = int(size)
        largest = [max((sizes.get(blob, 0) for blob in entry.ids), default=0) for entry in entries]
        return [
            entry.too_large(size) if entry.binary and size > LARGEST_TEXT else entry
            for entry, size in zip(entries, largest, strict=True)
        ]


def pathspecs(entries: Sequence[Entry]) -> list[bytes]:
    """What names the files to git: both paths, so that a rename is seen. Nothing if they are too many."""
    if len(entries) > _NAMED_PATHS:
        return []
    return [os.fsencode(path) for entry in entries for path in entry.paths]


def parsed_listing(data: bytes) -> list[Entry]:
    try:
        return parse_listing(data)[0]
    except ValueError as error:
        raise Unavailable(f"The list of files that git gave could not be read: {error}.") from None


def parsed_patch(data: bytes, *, cut: bool) -> list[FileDiff]:
    """The files of a patch; of a cut one, those that are whole."""
    if cut:
        data = data[: max(data.rfind(b"\ndiff --git "), 0) + 1]
    try:
        return parse_patch(data)
    except ValueError as error:
        raise Unavailable(f"The patch that git gave could not be read: {error}.") from None


def joined(chosen: Sequence[Entry], parsed: Sequence[FileDiff]) -> list[FileDiff]:
    """The chosen files in git's order: with their hunks, or with why they have none."""
    patches: dict[str, FileDiff] = {}
    for file in parsed:
        before = patches.get(file.path)  # a file that became a link, or the reverse: removed, and added again
        if before is not None:
            hunks = (*before.hunks, *file.hunks)
            file = replace(file, hunks=hunks, added=before.added + file.added, removed=before.removed + file.removed)  # noqa: PLW2901
        patches[file.path] = file
    files: list[FileDiff] = []
    for entry in chosen:
        found = patches.get(entry.path)
        if entry.has_hunks and found is not None:
            files.append(
                replace(entry.diff(), hunks=found.hunks, added=found.added, removed=found.removed, withheld=found.withheld)
            )
        else:
            files.append(entry.diff(_TOO_LARGE if entry.has_hunks else None))
    if len(chosen) == 1 and files[0].withheld == _TOO_LARGE:
        raise TooLarge(f"The patch of this one file has more than {_PATCH >> 20} MiB; read the file instead.")
    return files

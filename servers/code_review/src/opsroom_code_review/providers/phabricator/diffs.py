"""The diffs of a revision: which there are, what they change, and what lies between two of them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from opsroom_shared.errors import InvalidInput, NotFound, Unavailable
from pydantic import Field, JsonValue

from ...diff_context import with_context
from ...diff_parser import parse_hunks, parse_patch
from ...diffs import FileDiff, FileKind, Hunk
from .cache import Cache
from .conduit import Conduit
from .interdiff import between
from .wire import AnyMap, Diff, Number, Revision, Text, Wire, as_map

_SECONDS = 3_600.0
_MOST_VERSIONS = 1_000
_MOST_KEPT_CHARACTERS = 2_000_000
_RENDERED_CONTEXT = 3
"""Lines around a change in getrawdiff's text, whatever was uploaded."""

_KINDS: dict[int, FileKind] = {1: "added", 2: "modified", 3: "deleted", 5: "modified", 6: "renamed", 7: "copied"}
_MOVED_AWAY = (4, 8)
"""Entries without lines of a file that a rename took away; the file's new place has an entry of its own."""
_BINARY = (2, 3)


class StoredHunk(Wire):
    old: Number = Field(alias="oldOffset")
    old_length: Number = Field(alias="oldLength")
    new: Number = Field(alias="newOffset")
    new_length: Number = Field(alias="newLength")
    corpus: Text = ""

    def parsed(self) -> Hunk:
        header = f"@@ -{self.old},{self.old_length} +{self.new},{self.new_length} @@\n"
        return parse_hunks(header + self.corpus)[0]


class StoredFile(Wire):
    """A file of a diff as querydiffs has it: with all the context that was uploaded."""

    path: str = Field(alias="currentPath")
    old_path: str | None = Field(None, alias="oldPath")
    type: Number
    file_type: Number = Field(1, alias="fileType")
    old_properties: AnyMap = Field(default={}, alias="oldProperties")
    new_properties: AnyMap = Field(default={}, alias="newProperties")
    hunks: list[StoredHunk] = Field(default_factory=list[StoredHunk])

    def file(self) -> FileDiff:
        hunks = tuple(hunk.parsed() for hunk in self.hunks if hunk.corpus)
        binary = self.file_type in _BINARY
        before, after = (str(part.get("unix:filemode", "")) for part in (self.old_properties, self.new_properties))
        modes = (before, after) if before and after and before != after else None
        kind = _KINDS.get(self.type, "modified")
        signs = [line.sign for hunk in hunks for line in hunk.lines]
        return FileDiff(
            self.path,
            "mode" if kind == "modified" and modes and not hunks and not binary else kind,
            old_path=self.old_path if self.old_path != self.path and kind in ("renamed", "copied") else None,
            hunks=hunks,
            added=signs.count("+"),
            removed=signs.count("-"),
            binary=binary,
            modes=modes,
        )


class StoredDiff(Wire):
    changes: list[StoredFile]


class Diffs:
    def __init__(self, conduit: Conduit) -> None:
        self._conduit = conduit
        self._by_phid: Cache[str, Diff] = Cache(most=5_000, seconds=_SECONDS)
        self._patches: Cache[int, list[FileDiff]] = Cache(most=16, seconds=_SECONDS)

    async def by_phid(self, phids: set[str]) -> dict[str, Diff]:
        """Diffs by PHID; their numbers are what a version is called."""
        found = {phid: diff for phid in phids if (diff := self._by_phid.get(phid))}
        if missing := sorted(phids - found.keys()):
            for start in range(0, len(missing), 100):
                page = await self._search({"phids": list[JsonValue](missing[start : start + 100])})
                found.update({diff.phid: diff for diff in page})
        return found

    async def newest(self, revision: Revision) -> Diff:
        """The diff that the revision is about now."""
        found = (await self.by_phid({revision.diff})).get(revision.diff) if revision.diff else None
        if found is None:
            raise NotFound(f"{revision.ref} has no diff that this account may see.")
        return found

    async def of(self, revision: Revision) -> list[Diff]:
        """All versions of a revision, newest first."""
        found = await self._conduit.everything(
            Diff,
            "differential.diff.search",
            constraints={"revisionPHIDs": [revision.phid]},
            attachments=("commits",),
            most=_MOST_VERSIONS,
            what=f"versions of {revision.ref}",
        )
        for diff in found:
            self._by_phid.put(diff.phid, diff)
        return found

    async def by_id(self, numbers: set[int]) -> dict[int, Diff]:
        return {diff.id: diff for diff in await self._search({"ids": list[JsonValue](sorted(numbers))})}

    async def files(self, number: int, *, context: int = _RENDERED_CONTEXT) -> list[FileDiff]:
        """What a diff changes, with *context* lines where they were uploaded."""
        if context > _RENDERED_CONTEXT:
            return _with_context(await self._stored(number), context)
        files = await self._rendered(number)
        return files if context == _RENDERED_CONTEXT else _with_context(files, context)

    async def between(self, since: int, number: int, *, context: int, wanted: Callable[[str], bool]) -> list[FileDiff]:
        """What is different between two versions, each seen as what it makes of the base that they share."""
        before, after = await asyncio.gather(self._rendered(since), self._rendered(number))
        return between(_wanted(before, wanted), _wanted(after, wanted), context=context)

    async def _search(self, constraints: dict[str, JsonValue]) -> list[Diff]:
        page = await self._conduit.search(Diff, "differential.diff.search", constraints=constraints)
        for diff in page.data:
            self._by_phid.put(diff.phid, diff)
        return page.data

    async def _rendered(self, number: int) -> list[FileDiff]:
        """A stored diff never changes. Whether the account may see it is asked anew each time, through its revision."""
        if (known := self._patches.get(number)) is not None:
            return known
        text = await self._conduit.call("differential.getrawdiff", {"diffID": number})
        if not isinstance(text, str):
            raise Unavailable(f"{self._conduit.name} did not answer with the text of diff {number}.")
        try:
            files = parse_patch(text)
        except ValueError as error:
            raise Unavailable(f"The text of diff {number} of {self._conduit.name} cannot be read: {error}.") from None
        return self._patches.put(number, files) if len(text) <= _MOST_KEPT_CHARACTERS else files

    async def _stored(self, number: int) -> list[FileDiff]:
        """The same with all context that was uploaded: the client arc sends whole files, and only this old method has them."""
        answer = as_map(await self._conduit.call("differential.querydiffs", {"ids": [number]}))
        entry = cast("dict[str, JsonValue]", answer).get(str(number))
        if entry is None:
            raise NotFound(f"{self._conduit.name} has no diff {number}, or this account may not see it.")
        stored = self._conduit.validated(StoredDiff, entry, "differential.querydiffs")
        try:
            return [change.file() for change in stored.changes if change.type not in _MOVED_AWAY]
        except ValueError as error:
            raise Unavailable(f"Diff {number} of {self._conduit.name} cannot be read: {error}.") from None


def version_number(text: str) -> int:
    """The number of a diff, which is what a version is called here."""
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 10):
        raise InvalidInput(f"{text!r} is no version: here it is the number of a diff, such as 25. get_change lists them.")
    return int(text)


def _wanted(files: list[FileDiff], wanted: Callable[[str], bool]) -> list[FileDiff]:
    return [file for file in files if wanted(file.path) or (file.old_path is not None and wanted(file.old_path))]


def _with_context(files: list[FileDiff], context: int) -> list[FileDiff]:
    return [replace(file, hunks=with_context(file.hunks, context)) for file in files]

"""What a merge request changes: its patch as git has it, or file by file where that is not to be had."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from opsroom_shared.errors import Conflict, NotFound, NotPermitted, RateLimited, TimedOut, TooLarge, Unavailable
from opsroom_shared.outside import clean

from ...diff_parser import parse_hunks, parse_patch
from ...diffs import FileDiff, FileKind
from .. import ChangeDiff
from .api import GitLabApi
from .references import Item, project_path
from .wire import Comparison, DiffEntry, DiffRefs, DiffVersion, MergeRequest

_MOST_PAGES = 30
_MOST_VERSIONS = 3
_KEPT_LINES = 100_000
_NO_MODE = ("0", "")


@dataclass(frozen=True)
class Patch:
    """The files of one version, and why some are missing, if so."""

    files: list[FileDiff]
    missing: str | None = None

    @cached_property
    def size(self) -> int:
        """How much of it there is to keep: its files and their lines."""
        return len(self.files) + sum(len(hunk.lines) for file in self.files for hunk in file.hunks)


class Patches:
    """Reads diffs, and keeps those of the versions that were read last: a version never changes."""

    def __init__(self, api: GitLabApi) -> None:
        self._api = api
        self._kept: OrderedDict[tuple[str, str], Patch] = OrderedDict()

    async def newest(self, item: Item, merge_request: MergeRequest) -> Patch:
        """The whole diff of the newest version.

        GitLab's patch does not say which version it is of. So *merge_request* is read first: if somebody pushes in between,
        the diff is newer than its name, and a review of it is refused because the change has moved on.
        """
        key = (str(item), head(merge_request))
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        patch = self._kept[key] = await self._whole(item, merge_request.changes_count or "")
        while sum(each.size for each in self._kept.values()) > _KEPT_LINES:
            self._kept.popitem(last=False)
        return patch

    async def diff(
        self, item: Item, merge_request: MergeRequest, *, version: str | None, since: str | None, wanted: Callable[[str], bool]
    ) -> ChangeDiff:
        newest = head(merge_request)
        asked = await self._full(item, newest, version) if version else newest
        if since:
            patch = await self._between(item, await self._full(item, newest, since), asked)
        elif asked == newest:
            patch = await self.newest(item, merge_request)
        else:
            patch = await self._earlier(item, asked)
        files = [file for file in patch.files if wanted(file.path) or (file.old_path is not None and wanted(file.old_path))]
        return ChangeDiff(asked, item.project, files, missing=patch.missing)

    async def versions(self, item: Item) -> list[DiffVersion]:
        """Newest first, and no more than the last few hundred."""
        return (await self._api.pages(DiffVersion, f"{item.path}/versions", most=_MOST_VERSIONS)).items

    async def _whole(self, item: Item, count: str) -> Patch:
        try:
            raw = await self._api.raw(f"{item.path}/raw_diffs", missing=f"There is no merge request {item}.")
            files = parse_patch(raw)
        except RateLimited:
            raise  # asking for each page of files would make it worse
        except (TooLarge, TimedOut, NotPermitted, Unavailable, ValueError):
            return await self._by_file(item)
        # a patch that broke off between two files looks whole; it may have more files, as GitLab sees more renames in its lists
        is_short = count.isascii() and count.isdecimal() and len(files) < int(count)
        return await self._by_file(item) if is_short else Patch(files)

    async def _by_file(self, item: Item) -> Patch:
        listed = await self._api.pages(DiffEntry, f"{item.path}/diffs", most=_MOST_PAGES)
        more = f"GitLab lists more than {len(listed.items):,} files; the others are not here." if listed.next_page else None
        return Patch([file_diff(entry) for entry in listed.items], more)

    async def _full(self, item: Item, newest: str, version: str) -> str:
        """*version*, or the one version that begins like it. Raises NotFound with those that there are."""
        if version == newest:
            return version
        heads = [found.head_commit_sha or "" for found in await self.versions(item)]
        matches = sorted({sha for sha in heads if len(version) >= 7 and sha.startswith(version)})
        if len(matches) == 1:
            return matches[0]
        known = ", ".join(dict.fromkeys(sha[:12] for sha in heads[:10]))
        raise NotFound(f"{item} has no version {clean(version, 60)!r}. Its versions, newest first: {known}.")

    async def _between(self, item: Item, before: str, after: str) -> Patch:
        compared = await self._api.one(
            Comparison,
            f"{project_path(item.project)}/repository/compare",
            {"from": before, "to": after, "straight": "true"},
            missing=f"GitLab no longer has one of the versions {before[:12]} and {after[:12]} of {item}.",
        )
        missing = "GitLab took too long to compare the versions; files may be missing." if compared.compare_timeout else None
        return Patch([file_diff(entry) for entry in compared.diffs], missing)

    async def _earlier(self, item: Item, version: str) -> Patch:
        number = next(found.id for found in await self.versions(item) if found.head_commit_sha == version)
        full = await self._api.one(DiffVersion, f"{item.path}/versions/{number}")
        return Patch([file_diff(entry) for entry in full.diffs])


def head(merge_request: MergeRequest) -> str:
    """The newest version. Raises Unavailable while GitLab is still working it out."""
    version = merge_request.diff_refs.head_sha if merge_request.diff_refs else merge_request.sha
    if not version:
        raise Unavailable("GitLab is still preparing the diff of this merge request. Try again in some seconds.")
    return version


def refs(merge_request: MergeRequest, version: str) -> DiffRefs:
    """The three commits of *version*, which must still be the newest. Raises Conflict."""
    newest = head(merge_request)
    if version != newest:
        raise Conflict(f"The change has a newer version by now: {newest}, not {clean(version, 60)}. Read its diff again.")
    if merge_request.diff_refs is None:
        raise Unavailable("GitLab is still preparing the diff of this merge request. Try again in some seconds.")
    return merge_request.diff_refs


def file_diff(entry: DiffEntry) -> FileDiff:
    """One file as GitLab's lists give it. What they leave out is said, never shown as no change."""
    kind = _kind(entry)
    path = entry.old_path if kind == "deleted" else entry.new_path
    old_path = entry.old_path if entry.old_path != path else None
    modes = (entry.a_mode, entry.b_mode) if _mode_changed(entry) else None
    blank = FileDiff(path, kind, old_path=old_path, modes=modes)
    if entry.diff.startswith("Binary files "):
        return replace(blank, binary=True)
    if not entry.diff:
        return replace(blank, withheld=_withheld(entry))
    try:
        hunks = parse_hunks(entry.diff)
    except ValueError:
        return replace(blank, withheld="GitLab could not decode the diff of this file")
    signs = [line.sign for hunk in hunks for line in hunk.lines]
    return replace(blank, hunks=hunks, added=signs.count("+"), removed=signs.count("-"))


def _kind(entry: DiffEntry) -> FileKind:
    if entry.new_file:
        return "added"
    if entry.deleted_file:
        return "deleted"
    if entry.renamed_file:
        return "renamed"
    return "mode" if _mode_changed(entry) and not entry.diff and not (entry.collapsed or entry.too_large) else "modified"


def _mode_changed(entry: DiffEntry) -> bool:
    return (
        entry.a_mode != entry.b_mode
        and not {entry.a_mode, entry.b_mode} & set(_NO_MODE)
        and not (entry.new_file or entry.deleted_file)
    )


def _withheld(entry: DiffEntry) -> str | None:
    if entry.too_large:
        return "too large for GitLab to show"
    if entry.collapsed:
        return "collapsed by GitLab because the diff is large"
    if entry.collapsed is not None and (entry.renamed_file or _mode_changed(entry)):
        return None  # it need not have another line
    return "GitLab sent no lines for this file; it may be empty, binary, or too large"

"""What a pull request changes: GitHub's list of files with their patches, or what lies between two of its commits."""

import asyncio
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from opsroom_shared.errors import Conflict, NotFound, ToolFailure

from ...diff_context import with_context
from ...diff_parser import parse_hunks
from ...diffs import FileDiff, Hunk
from .. import ChangeDiff
from . import queries
from .api import PER_PAGE, GitHubApi
from .changes import variables_of, wrong_kind
from .files import FileReader
from .mapping import file_kind
from .references import Item, Repository, commit
from .wire import AnIssue, APull, Graph, RestComparison, RestFile, RestPull

MOST_FILES = 3_000
_MOST_COMPARED = 300
"""Files that GitHub names when it compares two commits."""
_GITHUBS_CONTEXT = 3
_MOST_TEXTS = 30
"""Files that are fetched whole, for more context or to compare them here."""
_MOST_LINES = 10_000
_EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
_LISTED_FOR = re.compile(r"[?&]ref=([0-9a-f]{40})")
_TOO_LARGE = "GitHub does not show a change of this size; read_file has both versions"
_NOT_COMPARED = f"more than {_MOST_TEXTS} files differ between these versions; read_file has both"


class _KindRepository(Graph):
    item: AnIssue | APull | None = None


class _KindData(Graph):
    repository: _KindRepository | None = None


@dataclass(frozen=True)
class _Listed:
    """Files, and why there are more that are not among them."""

    files: list[RestFile]
    missing: str | None = None


class DiffReader:
    def __init__(self, api: GitHubApi, files: FileReader) -> None:
        self._api, self._files = api, files

    async def read(
        self, item: Item, *, version: str | None, since: str | None, context: int, wanted: Callable[[str], bool]
    ) -> ChangeDiff:
        if version is not None:
            version = commit(version)
        texts: Mapping[str, FileDiff] = {}
        if since is not None:
            since, pull = commit(since), await self.pull(item)
            shown = version or pull.head.sha
            listed, texts = await self._between(item.repository, pull, since, shown, wanted)
        else:
            first, pull = await asyncio.gather(self._page(item, 1), self.pull(item), return_exceptions=True)
            if isinstance(pull, BaseException):
                raise pull
            if version is None or pull.head.sha.startswith(version):
                shown, listed = pull.head.sha, await self._newest(item, pull, first)
            else:
                shown, listed = version, await self._compared(item.repository, pull.base.sha, version)
        files = [file for file in listed.files if wanted(file.filename) or wanted(file.previous_filename or file.filename)]
        diffs = [texts.get(file.filename) or _diff(file) for file in files]
        return ChangeDiff(
            version=shown,
            repo=str(item.repository),
            files=await self._with_context(item.repository, shown, diffs, context),
            missing=listed.missing,
        )

    async def pull(self, item: Item) -> RestPull:
        """Raises NotFound, with what it is instead, for what is no pull request."""
        try:
            return await self._api.read(RestPull, f"{item.repository.path}/pulls/{item.number}")
        except NotFound:
            answered = await self._api.query(_KindData, queries.KIND, variables_of(item))
            found = answered.data.repository.item if answered.data.repository else None
            if isinstance(found, AnIssue):
                raise wrong_kind(item, found) from None
            raise answered.absence(f"There is no pull request {item} that this account may see.") from None

    async def _page(self, item: Item, page: int) -> list[RestFile]:
        path = f"{item.repository.path}/pulls/{item.number}/files"
        return await self._api.read(list[RestFile], path, {"per_page": PER_PAGE, "page": page})

    async def _newest(self, item: Item, pull: RestPull, first: list[RestFile] | BaseException) -> _Listed:
        """The list of the newest version. It was asked for at once with the version, so a push can lie between the two."""
        if isinstance(first, BaseException):
            raise first
        if not _is_of(first, pull.head.sha):
            first = await self._page(item, 1)
        pages = range(2, -(-min(pull.changed_files, MOST_FILES) // PER_PAGE) + 1)
        files = [*first, *(file for page in await asyncio.gather(*(self._page(item, page) for page in pages)) for file in page)]
        if not _is_of(files, pull.head.sha):
            raise Conflict(f"{item} got a new version while it was read. Read it again.")
        if len(files) >= pull.changed_files:
            return _Listed(files)
        return _Listed(files, f"GitHub lists {len(files):,} of the {pull.changed_files:,} files of this change, and no more.")

    async def _compared(self, repository: Repository, base: str, head: str) -> _Listed:
        """What *head* changes since it left *base*."""
        return _listed(await self._comparison(repository, base, head))

    async def _comparison(self, repository: Repository, base: str, head: str) -> RestComparison:
        try:
            return await self._api.read(RestComparison, f"{repository.path}/compare/{base}...{head}", {"per_page": 1})
        except NotFound:
            raise NotFound(f"{repository} has no commits {base[:12]} and {head[:12]} to compare, or none any more.") from None

    async def _between(
        self, repository: Repository, pull: RestPull, since: str, version: str, wanted: Callable[[str], bool]
    ) -> tuple[_Listed, Mapping[str, FileDiff]]:
        """What is different in *version*: GitHub's own comparison where it follows on *since*, otherwise one made here."""
        direct = await self._comparison(repository, since, version)
        if direct.status == "identical" or direct.merge_base_commit.sha.startswith(since):
            return _listed(direct), {}
        older, newer = await asyncio.gather(
            self._compared(repository, pull.base.sha, since), self._compared(repository, pull.base.sha, version)
        )
        files = [file for file in _differing(older.files, newer.files) if wanted(file.filename)]
        made = await asyncio.gather(*(self._made(repository, file, since, version) for file in files[:_MOST_TEXTS]))
        texts = {diff.path: diff for diff in made}
        for file in files[_MOST_TEXTS:]:
            texts[file.filename] = FileDiff(file.filename, "modified", withheld=_NOT_COMPARED)
        # a file that only the new base brought is in neither list, so a rebase does not drown what its author did
        changed = [file for file in files if texts[file.filename].hunks or texts[file.filename].withheld]
        return _Listed(changed, older.missing or newer.missing), texts

    async def _made(self, repository: Repository, file: RestFile, since: str, version: str) -> FileDiff:
        """The difference of two texts."""
        path = file.filename
        try:
            old, new = await asyncio.gather(
                self._files.text_or_none(repository, path, since), self._files.text_or_none(repository, path, version)
            )
        except ToolFailure as failure:
            return FileDiff(path, "modified", withheld=str(failure))
        if max((old or "").count("\n"), (new or "").count("\n")) > _MOST_LINES:
            return FileDiff(path, "modified", withheld="too long to be compared here; read_file has both versions")
        hunks = await asyncio.to_thread(_compared_here, old or "", new or "")
        signs = [line.sign for hunk in hunks for line in hunk.lines]
        kind = "added" if old is None else "deleted" if new is None else "modified"
        return FileDiff(path, kind, hunks=hunks, added=signs.count("+"), removed=signs.count("-"))

    async def _with_context(
        self, repository: Repository, version: str, diffs: Sequence[FileDiff], context: int
    ) -> list[FileDiff]:
        """More than GitHub gives for the first files only: each of them is fetched whole for it."""
        texts: dict[str, str | None] = {}
        if context > _GITHUBS_CONTEXT:
            paths = [diff.path for diff in diffs if diff.hunks and diff.kind not in ("added", "deleted")][:_MOST_TEXTS]
            found = await asyncio.gather(*(self._text(repository, path, version) for path in paths))
            texts = dict(zip(paths, found, strict=True))
        return [
            replace(diff, hunks=with_context(diff.hunks, context, texts.get(diff.path))) if diff.hunks else diff for diff in diffs
        ]

    async def _text(self, repository: Repository, path: str, version: str) -> str | None:
        """The text for more context; without it, there is just less context."""
        try:
            return await self._files.text_or_none(repository, path, version)
        except ToolFailure:
            return None


def _is_of(files: Iterable[RestFile], head: str) -> bool:
    """Whether the list is of the version *head*, as far as the addresses in it tell."""
    versions = {match[1] for file in files if (match := _LISTED_FOR.search(file.contents_url))}
    return versions <= {head}


def _listed(comparison: RestComparison) -> _Listed:
    files = comparison.files
    if len(files) < _MOST_COMPARED:
        return _Listed(files)
    return _Listed(files, f"GitHub names at most {_MOST_COMPARED} files when it compares two commits; there may be more.")


def _differing(older: Iterable[RestFile], newer: Iterable[RestFile]) -> list[RestFile]:
    """Files that the two versions leave behind differently, or that only one of them touches."""
    before = {file.filename: file for file in older}
    after = {file.filename: file for file in newer}
    return [
        file
        for path, file in {**before, **after}.items()
        if path not in before
        or path not in after
        or (before[path].sha, before[path].status) != (after[path].sha, after[path].status)
    ]


def _diff(file: RestFile) -> FileDiff:
    kind = file_kind(file.status)
    old_path = file.previous_filename if file.previous_filename != file.filename else None
    shown = FileDiff(file.filename, kind, old_path, added=file.additions, removed=file.deletions)
    if file.patch is not None:
        try:
            return replace(shown, hunks=parse_hunks(file.patch))
        except ValueError as error:
            return replace(shown, withheld=f"GitHub's patch cannot be read: {error}")
    if file.changes:
        return replace(shown, withheld=_TOO_LARGE)
    # no patch and no lines: nothing but a new name or mode, an empty file, or bytes that are no text
    plain = kind in ("renamed", "copied", "mode") or file.sha == _EMPTY
    return replace(shown, binary=not plain)


def _lines(text: str) -> list[str]:
    """The lines of a text with their ends. Only the line feed ends one, as git has it."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _compared_here(old: str, new: str) -> tuple[Hunk, ...]:
    """The hunks between two texts, as wide as any reader may want them."""
    lines = list(difflib.unified_diff(_lines(old), _lines(new), n=50))[2:]
    return parse_hunks("".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines))

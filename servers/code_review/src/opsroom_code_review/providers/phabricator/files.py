"""Whole files: as they are at a commit, or as a diff leaves them."""

import re
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput, NotFound, TimedOut, TooLarge
from pydantic import Field

from ...models import FileText
from .applying import applied
from .checks import downloaded
from .conduit import Conduit
from .diffs import Diffs
from .names import Names
from .revisions import Current
from .wire import Repository, Wire

_COMMIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@+-]{0,199}")
_FAILED = "Command failed"


class _Stored(Wire):
    too_slow: bool = Field(default=False, alias="tooSlow")
    too_large: bool = Field(default=False, alias="tooHuge")
    file: str | None = Field(None, alias="filePHID")


@dataclass(frozen=True)
class _Base:
    """What a version started from: a commit that it names, or else the branch that its repository is about."""

    commit: str
    named: bool


class Files:
    def __init__(self, conduit: Conduit, names: Names, diffs: Diffs) -> None:
        self._conduit, self._names, self._diffs = conduit, names, diffs

    async def of_repository(self, name: str, path: str, at: str) -> FileText:
        repository = await self._names.repository(name)
        if at == "base":
            raise InvalidInput("Only a change has a base. Give a commit or a branch, or `head` for the default branch.")
        commit = _branch(repository) if at == "head" else at
        return _text(path, commit, await self._at(repository.phid, commit, path))

    async def of_change(self, current: Current, path: str, at: str) -> FileText:
        phid = current.revision.repository
        changed = next((file for file in await self._diffs.files(current.diff.id) if path in (file.path, file.old_path)), None)
        if at not in ("head", "base"):
            return _text(path, at, await self._at(self._in(current, phid), at, path))
        if at == "head" and changed is not None and changed.path == path:
            if changed.kind == "deleted":
                raise NotFound(f"Version {current.version} of {current.revision.ref} deletes {path}. Read it at `base`.")
            if changed.binary or changed.withheld:
                raise InvalidInput(f"{path} is no text in version {current.version}.")
            if changed.kind == "added":
                return _text(path, None, (applied("", changed) or "").encode())
        if at == "head" and changed is not None and changed.path != path and changed.kind == "renamed":
            raise NotFound(f"Version {current.version} of {current.revision.ref} renames {path} to {changed.path}.")
        base = await self._base(current)
        source = changed.old_path if changed and changed.path == path and changed.old_path else path
        before = await self._at(self._in(current, phid), base.commit, source)
        if at == "base" or changed is None or changed.path != path:
            return _text(path, base.commit, before, hint=None if base.named else _guessed(current, base))
        try:
            after = applied(before.decode(), changed)
        except UnicodeDecodeError:
            after = None
        if after is None:
            raise NotFound(
                f"What {path} is in version {current.version} cannot be told: its changes do not fit the file at {base.commit}."
                " The diff shows the part that it changes."
            )
        return _text(path, None, after.encode(), hint=None if base.named else _guessed(current, base))

    def _in(self, current: Current, repository: str | None) -> str:
        if repository is None:
            raise NotFound(f"{current.revision.ref} belongs to no repository, so only the files of its diff can be read.")
        return repository

    async def _base(self, current: Current) -> _Base:
        if current.diff.base:
            return _Base(current.diff.base, named=True)
        phid = self._in(current, current.revision.repository)
        page = await self._conduit.search(Repository, "diffusion.repository.search", constraints={"phids": [phid]})
        if not page.data:
            raise NotFound(f"The repository of {current.revision.ref} is not visible to this account.")
        return _Base(_branch(page.data[0]), named=False)

    async def _at(self, repository: str, commit: str, path: str) -> bytes:
        if not _COMMIT.fullmatch(commit):
            raise InvalidInput(f"{commit[:100]!r} is no commit and no branch.")
        if not _is_path(path):
            raise InvalidInput(f"{path[:100]!r} is no path inside a repository.")
        method = "diffusion.filecontentquery"
        outcome = await self._conduit.ask(method, {"repository": repository, "commit": commit, "path": path})
        if _FAILED in outcome.words:
            raise NotFound(f"There is no {path} at {commit}.")  # the words are those of git on the server
        if outcome.code is not None:
            raise self._conduit.failure(outcome, method)
        stored = self._conduit.validated(_Stored, outcome.result, method)
        if stored.too_large:
            raise TooLarge(f"{path} is larger than what {self._conduit.name} gives out.")
        if stored.too_slow:
            raise TimedOut(f"{self._conduit.name} took too long to read {path} at {commit}.")
        if stored.file is None:
            raise NotFound(f"There is no {path} at {commit}.")
        return await downloaded(self._conduit, stored.file)


def _is_path(path: str) -> bool:
    parts = path.split("/")
    return 0 < len(path) <= 4_096 and "\0" not in path and ".." not in parts and "" not in parts


def _branch(repository: Repository) -> str:
    if not repository.default_branch:
        raise InvalidInput("This repository has no default branch: name a commit or a branch.")
    return repository.default_branch


def _guessed(current: Current, base: _Base) -> str:
    return (
        f"Version {current.version} does not say which commit it starts from: this is {base.commit}"
        " (with the changes, whose lines all fit, where head was asked for)."
    )


def _text(path: str, commit: str | None, data: bytes, *, hint: str | None = None) -> FileText:
    if b"\0" in data:
        raise InvalidInput(f"{path} is no text.")
    try:
        content = data.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is no UTF-8 text.") from None
    total = content.count("\n") + (bool(content) and not content.endswith("\n"))
    return FileText(path=path, commit=commit, content=content, total_lines=total, hint=hint)

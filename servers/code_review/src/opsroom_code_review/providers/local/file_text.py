"""The text of one file of a commit or of the working tree, and nothing outside of either."""

import asyncio
import os

from opsroom_shared.errors import InvalidInput, NotFound, TooLarge, ToolFailure

from ...models import FileText
from ...paths import shown
from .git import LARGEST_TEXT
from .repository import Repository
from .working_tree import is_binary, read_inside

_LFS = b"version https://git-lfs.github.com/spec/"


def check_path(path: str) -> None:
    """Raises InvalidInput for what is no path below the top of a repository."""
    if "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise InvalidInput(f"{shown(path)} is no path inside the repository; give it from the top, such as src/app.py.")


async def committed_text(repository: Repository, commit: str, path: str) -> FileText:
    check_path(path)
    name = os.fsencode(f"{commit}:{path}")
    output = await repository.git.run("cat-file", "blob", name, limit=LARGEST_TEXT, may_cut=True)
    if output.cut:
        raise TooLarge(f"{shown(path)} has more than {LARGEST_TEXT >> 20} MiB, which is more than is read of a file.")
    if output.code:
        raise await _why_none(repository, commit, path)
    return _text(path, commit, output.data)


async def uncommitted_text(repository: Repository, path: str) -> FileText:
    """The file in the working tree, if git would take it into a commit: what is ignored may be secret."""
    check_path(path)
    name = os.fsencode(path)
    listed = await repository.git.read("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", name)
    if name not in listed.split(b"\0"):
        raise NotFound(f"There is no file {shown(path)} in the working tree that is not ignored.")
    _, data = await asyncio.to_thread(read_inside, repository.top, path)
    return _text(path, None, data)


def _text(path: str, commit: str | None, data: bytes) -> FileText:
    if is_binary(data):
        raise InvalidInput(f"{shown(path)} is binary ({len(data):,} bytes).")
    content = data.decode(errors="replace")
    lines = content.count("\n") + (not content.endswith("\n") and bool(content))
    hint = "a pointer: the content itself is kept by Git LFS, outside of the repository" if data.startswith(_LFS) else None
    return FileText(path=shown(path), commit=commit, content=content, total_lines=lines, hint=hint)


async def _why_none(repository: Repository, commit: str, path: str) -> ToolFailure:
    listed = await repository.git.read("ls-tree", "-z", "--full-tree", commit, "--", os.fsencode(path))
    mode, kind, *_ = [*listed.decode(errors="surrogateescape").split(" ", 2), "", ""]
    if mode == "160000":
        return InvalidInput(f"{shown(path)} is a submodule; its files are in a repository of their own.")
    if kind == "tree":
        return InvalidInput(f"{shown(path)} is a folder; name a file.")
    if kind == "blob":
        return NotFound(f"The content of {shown(path)} is missing in this repository, which was cloned without it.")
    return NotFound(f"There is no file {shown(path)} in {commit[:12]}.")

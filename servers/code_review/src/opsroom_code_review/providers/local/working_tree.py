"""What is in the working tree and not yet in a commit, read without running a filter and without leaving the folder."""

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from opsroom_shared.errors import InvalidInput, NotFound, TooLarge

from ...diffs import FileDiff, Hunk, Line
from .git import LARGEST_TEXT
from .listing import SUBMODULE, Entry

VERSION = "worktree-"
STATUS = ("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty")

_MOST_PATHS = 20_000
_HASHED = 256 << 20
_SNIFFED = 8_000


@dataclass(frozen=True)
class Status:
    head: str | None
    """None before the first commit."""
    branch: str | None
    """None where no branch is checked out."""
    tracked: frozenset[str]
    untracked: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return not self.tracked and not self.untracked


def parse_status(data: bytes) -> Status:
    head = branch = None
    tracked: set[str] = set()
    untracked: list[str] = []
    for item in data.decode(errors="surrogateescape").split("\0"):
        kind, _, rest = item.partition(" ")
        if kind == "#":
            word, _, value = rest.partition(" ")
            if word == "branch.oid" and value != "(initial)":
                head = value
            elif word == "branch.head" and value != "(detached)":
                branch = value
        elif kind in {"1", "u"}:
            tracked.add(item.split(" ", 8 if kind == "1" else 10)[-1])
        elif kind == "?":
            untracked.append(rest)
    if len(tracked) + len(untracked) > _MOST_PATHS:
        raise TooLarge(
            f"More than {_MOST_PATHS:,} files of the working tree are not committed; add what is not wanted to .gitignore."
        )
    return Status(head, branch, frozenset(tracked), tuple(untracked))


def filter_drivers(keys: Iterable[str]) -> list[str]:
    """The filters that a configuration with these keys has."""
    drivers = sorted({key.removeprefix("filter.").rpartition(".")[0] for key in keys if key.startswith("filter.")})
    if odd := next((driver for driver in drivers if "=" in driver), None):
        raise InvalidInput(f"The configuration has a filter {odd!r}, which cannot be turned off; the working tree is not read.")
    return drivers


def no_filters(drivers: Iterable[str]) -> list[str]:
    """The settings that turn filters off: git runs their programs on files that it compares, even for `git status`."""
    off = (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false"))
    return [f"filter.{driver}.{key}={value}" for driver in drivers for key, value in off]


def fingerprint(top: Path, status: Status) -> str:
    """A version of the working tree: it is another one when any file that is not committed has become different."""
    digest = hashlib.sha256((status.head or "").encode())
    left = _HASHED
    for path in sorted((*status.tracked, *status.untracked)):
        digest.update(b"\0" + os.fsencode(path) + b"\0")
        try:
            kind, size, modified = _looked_at(top, path)
            if size > min(LARGEST_TEXT, left):
                digest.update(f"{kind} {size} {modified}".encode())
                continue
            left -= size
            digest.update(kind.encode() + hashlib.sha256(read_inside(top, path)[1]).digest())
        except (OSError, NotFound, InvalidInput):
            digest.update(b"gone")
    return VERSION + digest.hexdigest()[:40]


def _looked_at(top: Path, path: str) -> tuple[str, int, int]:
    found = (top / path).lstat()
    return f"{_mode(found)}", found.st_size, found.st_mtime_ns


def _mode(found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "120000"
    return "100755" if found.st_mode & stat.S_IXUSR else "100644"


def read_inside(top: Path, path: str, limit: int = LARGEST_TEXT) -> tuple[str, bytes]:
    """Mode and content of the file *path* under *top*; of a symbolic link, where it points.

    No link is followed, so that nothing outside is read. Raises NotFound, InvalidInput and TooLarge.
    """
    *folders, name = path.split("/")
    if not name or any(part in {"", ".", ".."} or part.lower() == ".git" for part in (*folders, name)):
        raise InvalidInput(f"{path!r} is no path of a file inside the repository.")
    missing = NotFound(f"There is no file {path!r} in the working tree.")
    opened: list[int] = []
    try:
        opened.append(os.open(top, os.O_RDONLY | os.O_DIRECTORY))
        for folder in folders:
            opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
        found = os.stat(name, dir_fd=opened[-1], follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            return _mode(found), os.fsencode(os.readlink(name, dir_fd=opened[-1]))
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInput(f"{path!r} is no file.")
        if found.st_size > limit:
            raise TooLarge(f"{path!r} has {found.st_size / (1 << 20):,.0f} MiB, more than the {limit >> 20} MiB that are read.")
        opened.append(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened[-1]))
        with open(opened.pop(), "rb") as file:  # noqa: PTH123 - a descriptor
            return _mode(found), file.read(limit + 1)
    except (OSError, ValueError):
        raise missing from None
    finally:
        for descriptor in opened:
            os.close(descriptor)


def untracked_entry(top: Path, path: str) -> Entry:
    """An untracked file as one that is added."""
    if path.endswith("/"):
        reason = "a repository of its own, which is not part of this one"
        return Entry(path.rstrip("/"), None, "added", ("000000", SUBMODULE), ("0", "0"), withheld=reason)
    try:
        found = (top / path).lstat()
    except OSError:
        return Entry(path, None, "added", ("000000", "100644"), ("0", "0"), added=0, removed=0)
    if found.st_size > LARGEST_TEXT:
        return Entry(path, None, "added", ("000000", _mode(found)), ("0", "0")).too_large(found.st_size)
    try:
        mode, data = read_inside(top, path)
    except (NotFound, InvalidInput):
        mode, data = _mode(found), b""
    if is_binary(data):
        return Entry(path, None, "added", ("000000", mode), ("0", "0"), binary=True)
    return Entry(path, None, "added", ("000000", mode), ("0", "0"), added=len(_lines(data)), removed=0)


def untracked_diff(top: Path, entry: Entry) -> FileDiff:
    """All lines of an untracked file as added ones."""
    if entry.binary or entry.withheld:
        return entry.diff()
    try:
        _, data = read_inside(top, entry.path)
    except (NotFound, InvalidInput):
        return entry.diff("the file is gone, or is none")
    texts = _lines(data)
    ends = data.endswith(b"\n")
    lines = tuple(Line("+", text, None, number, ends or number < len(texts)) for number, text in enumerate(texts, 1))
    return FileDiff(entry.path, "added", hunks=(Hunk(lines),) if lines else (), added=len(lines))


def measured_on_disk(top: Path, entry: Entry) -> Entry:
    """*entry* as too large, if git called it binary for the size that it has in the working tree."""
    if not entry.binary:
        return entry
    try:
        size = (top / entry.path).lstat().st_size
    except OSError:
        return entry
    return entry.too_large(size) if size > LARGEST_TEXT else entry


def is_binary(data: bytes) -> bool:
    """As git sees it: a zero byte near the start."""
    return b"\0" in data[:_SNIFFED]


def _lines(data: bytes) -> list[str]:
    return data.decode(errors="replace").removesuffix("\n").split("\n") if data else []

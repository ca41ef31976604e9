"""Which files two trees differ in, read from the machine form of git's diff."""

from dataclasses import dataclass, replace

from ...diffs import FileDiff, FileKind

_KINDS: dict[str, FileKind] = {"A": "added", "D": "deleted", "R": "renamed", "C": "copied"}
SUBMODULE = "160000"
NO_ID = "0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that differs. Paths are as Python's file functions give them."""

    path: str
    old_path: str | None
    kind: FileKind
    modes: tuple[str, str]
    ids: tuple[str, str]
    added: int | None = None
    removed: int | None = None
    binary: bool = False
    withheld: str | None = None
    """Why there is nothing to show of it."""

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if self.old_path is None else (self.old_path, self.path)

    @property
    def has_hunks(self) -> bool:
        """Whether a patch of the file has any: it is text, and not only renamed or given another mode."""
        return not self.binary and self.withheld is None and bool(self.added or self.removed or SUBMODULE in self.modes)

    def too_large(self, size: int) -> "Entry":
        reason = f"the file has {size / (1 << 20):,.0f} MiB, which is too large to compare"
        return replace(self, binary=False, added=None, removed=None, withheld=reason)

    def diff(self, withheld: str | None = None) -> FileDiff:
        """The file without its hunks."""
        modes = self.modes if self.kind not in {"added", "deleted"} and self.modes[0] != self.modes[1] else None
        return FileDiff(
            self.path,
            self.kind,
            old_path=self.old_path,
            added=self.added or 0,
            removed=self.removed or 0,
            binary=self.binary,
            modes=modes,
            withheld=withheld or self.withheld,
        )


def parse_listing(data: bytes) -> tuple[list[Entry], bytes]:
    """What `--raw --numstat -z` answers, and the patch that follows it, if one was asked for. Raises ValueError."""
    entries: dict[str, Entry] = {}
    at = 0
    while data[at : at + 1] == b":":
        end = data.index(b"\0", at)
        old_mode, new_mode, old_id, new_id, status = data[at + 1 : end].decode().split(" ")
        path, at = _path(data, end + 1)
        old_path = None
        if status[0] in "RC":
            old_path = path
            path, at = _path(data, at)
        same = old_id == new_id and old_id.strip(NO_ID) and old_mode != new_mode
        kind: FileKind = "mode" if status[0] in "MT" and same else _KINDS.get(status[0], "modified")
        if status[0] != "U":  # an unmerged path comes a second time, with what is in the working tree
            entries[path] = Entry(path, old_path, kind, (old_mode, new_mode), (old_id, new_id))
    while at < len(data) and data[at : at + 1] != b"\0" and not data.startswith(b"diff ", at):
        first, second = data.index(b"\t", at), data.index(b"\t", data.index(b"\t", at) + 1)
        added, removed = data[at:first], data[first + 1 : second]
        path, at = _path(data, second + 1)
        if not path:
            _, at = _path(data, at)
            path, at = _path(data, at)
        if entry := entries.get(path):
            binary = added == b"-"
            counts = (None, None) if binary else (int(added), int(removed))
            entries[path] = replace(entry, added=counts[0], removed=counts[1], binary=binary)
    return list(entries.values()), data[at:].removeprefix(b"\0")


def _path(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode(errors="surrogateescape"), end + 1

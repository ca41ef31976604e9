"""Which changed lines of which version have been shown, so that nothing is accepted unread."""

from collections import OrderedDict
from dataclasses import dataclass, field

from .diffs import FileDiff

_MOST_VERSIONS = 200
_ALL = 1 << 60


@dataclass
class _Reading:
    totals: dict[str, int]
    shown: dict[str, int] = field(default_factory=dict[str, int])
    """Path → how many changed lines were shown, from the first one on without a gap."""

    def left(self) -> list[str]:
        return [path for path, total in self.totals.items() if self.shown.get(path, 0) < total]


@dataclass
class Readings:
    """What this process has shown, by change, version and the version that it was compared with."""

    _kept: OrderedDict[tuple[str, str, str | None], _Reading] = field(
        default_factory=OrderedDict[tuple[str, str, str | None], _Reading]
    )

    def note(
        self, change: str, version: str, since: str | None, files: list[FileDiff], changes: dict[str, tuple[int, int]]
    ) -> None:
        """Takes down that of *files*, which are all of the version, *changes* were shown: path → from and to which line."""
        key = (change, version, since)
        if key not in self._kept:
            self._kept[key] = _Reading(_totals(files))
        reading = self._kept[key]
        for path, (start, end) in changes.items():
            seen = reading.shown.get(path, 0)
            if start <= seen:
                reading.shown[path] = max(seen, end)
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_VERSIONS:
            self._kept.popitem(last=False)

    def whole_file(self, change: str, version: str | None, path: str) -> None:
        """Takes down that the file was read from end to end, as it is in *version*."""
        for (other, at, _), reading in self._kept.items():
            if (other, at) == (change, version) and path in reading.totals:
                reading.shown[path] = _ALL

    def unread(self, change: str, version: str, files: list[FileDiff]) -> list[str]:
        """Paths of *files*, which are all of the version, that have not been shown to their end.

        What was read of an earlier version counts where all that is different since was read as well.
        """
        if version in self._whole_versions(change):
            return []
        reading = self._kept.get((change, version, None)) or _Reading(_totals(files))
        return reading.left()

    def _whole_versions(self, change: str) -> set[str]:
        read = [(at, since) for (other, at, since), reading in self._kept.items() if other == change and not reading.left()]
        whole = {at for at, since in read if since is None}
        while more := {at for at, since in read if since in whole} - whole:
            whole |= more
        return whole


def _totals(files: list[FileDiff]) -> dict[str, int]:
    """Path → changed lines to read. A binary has none; one that the system withholds can only be read as a file."""
    totals: dict[str, int] = {}
    for file in files:
        changed = _ALL if file.withheld is not None else sum(1 for line in file.lines() if line.sign != " ")
        totals[file.path] = max(totals.get(file.path, 0), changed)  # a new type of file is two files of one path
    return totals

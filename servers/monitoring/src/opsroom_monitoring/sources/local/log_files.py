"""Follows log files: what was added since the last look, across rotation, truncation and restarts."""

import contextlib
import glob
import itertools
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from opsroom_shared.outside import clean

from ...settings import LocalLog
from .store import Store

_MAX_FILES = 100
_MAX_SIBLINGS = 20
_FIRST_BYTES = 2 << 20
"""Of a file that is seen for the first time, from its end."""
_LOOK_BYTES = 4 << 20
"""Of one file at one look; the rest waits for the next."""
_MAX_LINE = 2_000
_LONGEST = 256 << 10
"""Bytes without a line's end that are waited for."""
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:[.,](\d{1,9}))?\s{0,1}(Z|[+-]\d{2}:?\d{2})?")
_EARLY_IN_LINE = 200


@dataclass(frozen=True)
class _Part:
    """Whole lines of a file, and where it was left."""

    lines: list[str]
    inode: int
    position: int


@dataclass
class LogFiles:
    """The files that the settings name."""

    logs: tuple[LocalLog, ...]
    _times: dict[str, float] = field(default_factory=dict[str, float], init=False)

    def follow(self, store: Store, now: float) -> None:
        """Keeps what has been added since the last look."""
        for log in self.logs:
            for path in itertools.islice(glob.iglob(log.path), _MAX_FILES):  # noqa: PTH207 - Path.glob takes no absolute pattern
                labels = {"service": log.service, "filename": path, **log.labels}
                with contextlib.suppress(OSError):  # rotated away between two calls, or not ours to read
                    self._follow(store, Path(path), labels, now)

    def _follow(self, store: Store, path: Path, labels: Mapping[str, str], now: float) -> None:
        row = store.log_position(str(path))
        for part in _news(path, row):
            self._times.setdefault(str(path), now)
            # the position is kept with the lines: a crash in between neither loses nor repeats any
            store.add_lines(str(path), (part.inode, part.position), labels, list(self._dated(str(path), part.lines, now)))

    def _dated(self, path: str, lines: list[str], now: float) -> Iterator[tuple[float, str]]:
        """Lines with their times; one without a time, as in a traceback, has that of the line before it."""
        for line in lines:
            if text := clean(line.rstrip("\r"), _MAX_LINE):
                at = time_of(line)
                if at is not None:
                    self._times[path] = min(at, now)
                yield self._times[path], text


def time_of(line: str) -> float | None:
    """The time in the beginning of *line*. Without a zone it is this machine's local time."""
    found = _TIME.search(line[:_EARLY_IN_LINE])
    if found is None:
        return None
    fraction = f".{found[3][:6]}" if found[3] else ""
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}{fraction}{found[4] or ''}").timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _news(path: Path, known: tuple[int, int] | None) -> Iterator[_Part]:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        return
    begin = 0
    if known is None:
        begin = max(0, about.st_size - _FIRST_BYTES)
    elif known[0] != about.st_ino:
        if rest := _rest_of_rotated(path, known):
            yield rest
    elif known[1] <= about.st_size:
        begin = known[1]
    yield _read(path, begin, inside=known is None and begin > 0)


def _rest_of_rotated(path: Path, known: tuple[int, int]) -> _Part | None:
    """What was written to the file before it got another name."""
    for sibling in itertools.islice(path.parent.glob(f"{glob.escape(path.name)}?*"), _MAX_SIBLINGS):
        about = sibling.stat()
        if about.st_ino == known[0] and stat.S_ISREG(about.st_mode) and about.st_size > known[1]:
            return _read(sibling, known[1], inside=False)
    return None


def _read(path: Path, begin: int, *, inside: bool) -> _Part:
    """Whole lines from *begin*; with *inside* the first is the end of one that began before, and is left out."""
    with path.open("rb") as file:
        inode = os.fstat(file.fileno()).st_ino
        file.seek(begin)
        data = file.read(_LOOK_BYTES)
    end = data.rfind(b"\n") + 1
    if end == 0 and len(data) >= _LONGEST:
        end = len(data)
    lines = data[:end].decode(errors="replace").split("\n")
    return _Part(lines[1:] if inside else lines, inode, begin + end)

"""Diffs as text with the line numbers of both sides, so that nobody counts lines, in pages of a bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .diffs import FileDiff, Hunk, Line, Side
from .models import Commentable, DiffFile, Skipped
from .paths import shown

_LONGEST_LINE = 600
"""Characters after which a line is cut: longer ones are data or generated."""
_JOINERS = "\u200c\u200d"  # parts of scripts and of emoji


@dataclass(frozen=True)
class Position:
    """Where a page begins."""

    file: int = 0
    line: int = 0
    lost: bool = False
    """Whether something was left out of the pages before."""


@dataclass
class Rendered:
    """One page."""

    files: list[DiffFile] = field(default_factory=list[DiffFile])
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    following: Position | None = None
    complete: bool = True
    """Whether this page is the last one, and nothing was left out of it and of those before."""
    changes_shown: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Path → how many of its changed lines stand on earlier pages, and with this one."""


@dataclass(frozen=True)
class _Row:
    line: Line
    first: bool
    """Whether it begins a hunk."""
    heading: str
    commentable: bool


def page(
    files: Sequence[FileDiff], *, context: int, max_chars: int, reach: int | None = None, start: Position | None = None
) -> Rendered:
    """As much of *files*, from *start*, as fits into about *max_chars*; at least one line.

    Comments are said to be possible up to *reach* lines from a change; everywhere without it.

    A file of several pages gives way to those behind it after half a page, unless it is the only one.
    """
    start = start or Position()
    result, left, lost = Rendered(), max_chars, start.lost
    for at in range(start.file, len(files)):
        file, first = files[at], start.line if at == start.file else 0
        if (reason := why_not_shown(file)) is not None:
            cost = len(file.path) + len(reason) + 8
            if cost > left and (result.files or result.skipped):
                result.following = Position(at, 0, lost)
                break
            result.skipped.append(Skipped(path=shown(file.path), reason=reason))
            left, lost = left - cost, True
            continue
        rows = _rows(file, context, context if reach is None else reach)
        head = len(file.path) + len(file.old_path or "") + 60
        room = max(left - head, 0)
        gives_way = len(files) > 1 and sum(len(row.line.text) + 10 for row in rows[first:]) > 2 * max_chars
        may_take = min(room, max_chars // 2) if gives_way else room
        if room < 200 and result.files:
            result.following = Position(at, first, lost)
            break
        part = _Part(file, rows, first, longest=min(_LONGEST_LINE, max_chars // 2))
        end = part.fill(may_take)
        result.files.append(part.file())
        result.changes_shown[file.path] = part.changes()
        left -= head + part.used
        if part.cut_lines:
            result.skipped.append(Skipped(path=shown(file.path), reason=f"{part.cut_lines} lines are cut: they are too long"))
            lost = True
        if end < len(rows):
            if not gives_way:
                result.following = Position(at, end, lost)
                break
            reason = f"{len(rows) - end:,} of its {len(rows):,} lines are not shown: read it alone, with files"
            result.skipped.append(Skipped(path=shown(file.path), reason=reason))
            lost = True
    result.complete = not lost and result.following is None
    return result


def why_not_shown(file: FileDiff) -> str | None:
    """Why there are no lines of *file* to show, where there should be some."""
    if file.withheld is not None:
        return f"{file.kind}; not shown: {visible(file.withheld)}"
    if file.binary:
        return f"{file.kind}; binary"
    return None


def commentable(lines: Sequence[Line], *, all_lines: bool = False) -> list[Commentable]:
    """The line numbers of *lines* as ranges: of the new side, and those of the old side that have no new number.

    With *all_lines* the old numbers of unchanged lines are among them.
    """
    new = [line.new for line in lines if line.new is not None]
    old = [line.old for line in lines if line.old is not None and (all_lines or line.new is None)]
    return [*_ranges("new", new), *_ranges("old", old)]


def visible(text: str) -> str:
    """*text* with what cannot be seen, or turns the writing direction, as its number: a reviewer must see it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" or c in _JOINERS else f"<U+{ord(c):04X}>" for c in text)


def _ranges(side: Side, numbers: list[int]) -> Iterator[Commentable]:
    breaks = [at + 1 for at, (before, after) in enumerate(pairwise(numbers)) if after != before + 1]
    for start, end in pairwise([0, *breaks, len(numbers)]):
        if numbers:
            yield Commentable(side=side, start=numbers[start], end=numbers[end - 1])


def _rows(file: FileDiff, context: int, reach: int) -> list[_Row]:
    rows: list[_Row] = []
    for hunk in file.hunks:
        near, in_reach, heading = _near_changes(hunk, context), _near_changes(hunk, reach), hunk.heading
        for at, line in enumerate(hunk.lines):
            first = near[at] and (at == 0 or not near[at - 1])
            if near[at]:
                rows.append(_Row(line, first, heading if first else "", in_reach[at]))
            # what begins like a definition, as git has it for most languages, is above what follows
            if line.new is not None and (line.text[:1].isalpha() or line.text[:1] in ("_", "$")):
                heading = line.text
    return rows


def _near_changes(hunk: Hunk, context: int) -> list[bool]:
    """Which lines have at most *context* lines between them and a change: systems send as many as they like."""
    changed = [line.sign != " " for line in hunk.lines]
    near = [False] * len(changed)
    for order in (range(len(changed)), range(len(changed) - 1, -1, -1)):
        reach = 0
        for at in order:
            reach = context + 1 if changed[at] else reach - 1
            near[at] = near[at] or reach > 0
    return near


class _Part:
    """The rows of one file that a page shows."""

    def __init__(self, file: FileDiff, rows: Sequence[_Row], start: int, *, longest: int) -> None:
        self._file, self._rows, self._start, self._longest = file, rows, start, longest
        self._end = start
        self._texts: list[str] = []
        self._crlf = bool(rows) and all(row.line.text.endswith("\r") for row in rows)
        self._width = max((len(str(max(row.line.old or 0, row.line.new or 0))) for row in rows), default=1)
        self.used = 0
        self.cut_lines = 0

    def fill(self, room: int) -> int:
        """Takes rows, at least one, until *room* is used, and says where it ended."""
        if self._crlf:
            self._take("(every line ends in CRLF)")
        hunk, texts_before, cut_before = self._start, 0, 0
        for at in range(self._start, len(self._rows)):
            row = self._rows[at]
            if row.first:
                hunk, texts_before, cut_before = at, len(self._texts), self.cut_lines
            lines = self._of(row, continued=at == self._start and not row.first)
            if at > self._start and self.used + sum(len(line) + 1 for line in lines) > room:
                self._end = at
                # a hunk that has only begun is better read as a whole on the next page
                if hunk > self._start and sum(len(text) + 1 for text in self._texts[:texts_before]) * 2 > room:
                    self._texts, self.cut_lines, self._end = self._texts[:texts_before], cut_before, hunk
                return self._end
            for line in lines:
                self._take(line)
        self._end = len(self._rows)
        return self._end

    def changes(self) -> tuple[int, int]:
        signs = [row.line.sign != " " for row in self._rows[: self._end]]
        return sum(signs[: self._start]), sum(signs)

    def file(self) -> DiffFile:
        file = self._file
        return DiffFile(
            path=shown(file.path),
            old_path=shown(file.old_path) if file.old_path is not None else None,
            kind=file.kind,
            text="\n".join(self._texts),
            commentable=commentable([row.line for row in self._rows[self._start : self._end] if row.commentable]),
        )

    def _take(self, text: str) -> None:
        self._texts.append(text)
        self.used += len(text) + 1

    def _of(self, row: _Row, *, continued: bool) -> list[str]:
        line = row.line
        lines = [f"@@ {visible(row.heading)[:120]}".rstrip()] if row.first else ["@@ continued"] if continued else []
        text = line.text[:-1] if self._crlf else line.text
        text = visible(text[:-1]) + "␍" if text.endswith("\r") else visible(text[: self._longest * 2])
        if len(text) > self._longest:
            self.cut_lines += 1
            text = f"{text[: self._longest]}… (+{max(len(line.text) - self._longest, 1):,} characters)"
        old, new = (str(number) if number is not None else "" for number in (line.old, line.new))
        lines.append(f"{old:>{self._width}} {new:>{self._width}} {line.sign}{text}")
        if not line.ends:
            lines.append("\\ no newline at the end")
        return lines

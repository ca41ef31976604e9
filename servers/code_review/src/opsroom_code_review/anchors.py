"""Whether the place of a comment exists in a diff, and if not, which one is meant."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from .diff_text import commentable, why_not_shown
from .diffs import FileDiff, Hunk, Line, Side
from .paths import given, shown

_MOST_RANGES = 6


@dataclass(frozen=True)
class Place:
    """Where a comment stands."""

    file: FileDiff
    side: Side
    first: Line
    last: Line
    quoted: tuple[str, ...]
    """The lines that are commented on."""

    @property
    def ends(self) -> tuple[tuple[int | None, int | None], tuple[int | None, int | None]]:
        return (self.first.old, self.first.new), (self.last.old, self.last.new)


@dataclass(frozen=True)
class Misplaced:
    """Why no comment can stand there, in a sentence that says where one can."""

    reason: str
    nearest_line: int | None = None


def place(files: Sequence[FileDiff], path: str, side: Side, line: int, end_line: int | None = None) -> Place | Misplaced:
    """The place of a comment on *line* to *end_line* of *path*, numbered as the file is on that *side*."""
    wanted = given(path)
    there = [file for file in files if wanted == file.path or (side == "old" and wanted == file.old_path)]
    if not there:
        return Misplaced(_no_such_file(files, wanted))
    with_hunks = next((file for file in there if file.hunks), None)
    if with_hunks is None:
        return Misplaced(f"{shown(there[0].path)} has no lines to comment on ({why_not_shown(there[0]) or there[0].kind}).")
    last = line if end_line is None else end_line
    if last < line:
        return Misplaced(f"end_line {last} is before line {line}.", line)
    for file in there:
        for hunk in file.hunks:
            numbered = _numbered(hunk, side)
            if line in numbered:
                return _range(file, side, numbered, line, last)
    return _nearest(with_hunks, side, line)


def _numbered(hunk: Hunk, side: Side) -> dict[int, Line]:
    numbers = ((line.new if side == "new" else line.old, line) for line in hunk.lines)
    return {number: line for number, line in numbers if number is not None}


def _range(file: FileDiff, side: Side, numbered: dict[int, Line], line: int, last: int) -> Place | Misplaced:
    if last not in numbered:
        end = max(numbered)
        return Misplaced(
            f"Lines {line} to {last} of {shown(file.path)} are not within one hunk; this one ends at line {end} ({side} side).",
            end,
        )
    quoted = tuple(numbered[number].text for number in range(line, last + 1))
    return Place(file, side, numbered[line], numbered[last], quoted)


def _nearest(file: FileDiff, side: Side, line: int) -> Misplaced:
    numbers = [number for hunk in file.hunks for number in _numbered(hunk, side)]
    where = f"Line {line} ({side} side) of {shown(file.path)} is not in this diff."
    other: Side = "old" if side == "new" else "new"
    if any(line in _numbered(hunk, other) for hunk in file.hunks):
        where += f" There is a line {line} on the {other} side."
    if not numbers:
        return Misplaced(f"{where} The file has lines on the {other} side only.")
    nearest = min(numbers, key=lambda number: (abs(number - line), number))
    return Misplaced(f"{where} Nearest: {nearest}. Its {side} lines: {_ranges(file, side, line)}.", nearest)


def _ranges(file: FileDiff, side: Side, line: int) -> str:
    """The ranges of *side*, those that are nearest to *line*."""
    found = [part for hunk in file.hunks for part in commentable(hunk.lines, all_lines=True) if part.side == side]
    near = sorted(found, key=lambda part: max(part.start - line, line - part.end))[:_MOST_RANGES]
    near.sort(key=lambda part: part.start)
    words = ", ".join(f"{part.start}–{part.end}" for part in near)
    return f"{words} and {len(found) - len(near)} more" if len(found) > len(near) else words


def _no_such_file(files: Sequence[FileDiff], path: str) -> str:
    paths = [shown(file.path) for file in files]
    name = path.rpartition("/")[2]
    near = [other for other in paths if other.rpartition("/")[2] == name][:3]
    near = near or difflib.get_close_matches(path, paths[:2_000], n=3)
    hint = f" Nearest: {', '.join(near)}." if near else ""
    return f"{shown(path[:200])} is not among the files of this version.{hint}"

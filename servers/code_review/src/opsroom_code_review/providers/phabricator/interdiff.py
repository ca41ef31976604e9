"""What is different between two versions of a change, worked out from what each of them does to the base they share."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from ...diffs import FileDiff, FileKind, Hunk, Line

_MOST_PAIRS = 25_000_000
"""Lines of one side times lines of the other that are compared. Beyond, a file is withheld."""


@dataclass(frozen=True, slots=True)
class _Unseen:
    """Lines of the base that neither version shows: the same in both."""

    count: int


_Known: TypeAlias = tuple[str, bool]
"""A line, and whether a line end follows."""
_Item: TypeAlias = _Known | _Unseen


class _OtherBase(Exception):
    """The two versions show different lines at the same place of the base."""


def between(before: Iterable[FileDiff], after: Iterable[FileDiff], *, context: int) -> list[FileDiff]:
    """The files in which the two differ. One whose versions have different bases is withheld, and says so."""
    old = {file.path: file for file in before}
    new = {file.path: file for file in after}
    found: list[FileDiff] = []
    for path in dict.fromkeys([*new, *old]):
        was, now = old.get(path), new.get(path)
        if was != now:
            file = _file(path, was, now, context)
            if file is not None:
                found.append(file)
    return found


def _file(path: str, was: FileDiff | None, now: FileDiff | None, context: int) -> FileDiff | None:
    modes = now.modes if now and (was is None or was.modes != now.modes) else None
    bare = FileDiff(path, _kind(was, now), old_path=now.old_path if now and was is None else None, modes=modes)
    if (was and was.binary) or (now and now.binary):
        return replace(bare, binary=True)
    if (was and was.withheld) or (now and now.withheld):
        return replace(bare, withheld="one of the two versions does not show this file")
    try:
        first, second = _texts(was, now)
    except _OtherBase:
        return replace(bare, withheld="the two versions start from different bases: read this file's diff of one version")
    hunks = _hunks(first, second, context)
    if hunks is None:
        return replace(bare, withheld="too large to compare the two versions")
    signs = [line.sign for hunk in hunks for line in hunk.lines]
    if not signs and bare.modes is None and bare.kind == "modified":
        return None
    return replace(bare, hunks=tuple(hunks), added=signs.count("+"), removed=signs.count("-"))


def _kind(was: FileDiff | None, now: FileDiff | None) -> FileKind:
    """What became of the file from one version to the other: a file that only the first adds is gone in the second."""
    if was is None:
        return now.kind if now else "modified"
    before, after = was.kind, now.kind if now else "modified"
    if before == after:
        return "modified"
    if after == "deleted" or (before == "added" and now is None):
        return "deleted"
    return "added" if before == "deleted" else "modified"


def _texts(was: FileDiff | None, now: FileDiff | None) -> tuple[list[_Item], list[_Item]]:
    """What the file reads in each version, as far as either shows it."""
    base: dict[int, _Known] = {}
    for file in (was, now):
        for line in file.lines() if file else ():
            if line.old is not None and base.setdefault(line.old, (line.text, line.ends)) != (line.text, line.ends):
                raise _OtherBase
    last = max(base, default=0)
    return _text(was, base, last), _text(now, base, last)


def _text(file: FileDiff | None, base: dict[int, _Known], last: int) -> list[_Item]:
    removed = {line.old for line in file.lines() if line.sign == "-"} if file else set[int | None]()
    added: dict[int, list[_Known]] = {}
    for hunk in file.hunks if file else ():
        # lines that are added stand before the next line of the base
        waiting: list[_Known] = []
        following = next((line.old for line in hunk.lines if line.old is not None), last + 1)
        for line in hunk.lines:
            if line.sign == "+":
                waiting.append((line.text, line.ends))
            elif line.old is not None:
                added.setdefault(line.old, []).extend(waiting)
                waiting, following = [], line.old + 1
        added.setdefault(following, []).extend(waiting)
    items: list[_Item] = []
    at = 1
    for number in sorted({*base, *added}):
        if number > at:
            items.append(_Unseen(number - at))
        items.extend(added.get(number, []))
        if number in base and number not in removed:
            items.append(base[number])
        at = number + (number in base)
    return items


def _hunks(first: list[_Item], second: list[_Item], context: int) -> list[Hunk] | None:
    """The differences; None where there is too much to compare."""
    hunks: list[Hunk] = []
    old = new = 1
    for (before, skipped), (after, _) in zip(_stretches(first), _stretches(second), strict=True):
        if before != after:
            matcher = _matcher(before, after)
            if matcher is None:
                return None
            hunks += (_hunk(group, before, after, old, new) for group in matcher.get_grouped_opcodes(context))
        old, new = old + len(before) + skipped, new + len(after) + skipped
    return hunks


def _stretches(items: list[_Item]) -> list[tuple[list[_Known], int]]:
    """The known lines between those that are not known, each with how many of these follow. Both versions have as many."""
    found: list[tuple[list[_Known], int]] = []
    lines: list[_Known] = []
    for item in items:
        if isinstance(item, _Unseen):
            found.append((lines, item.count))
            lines = []
        else:
            lines.append(item)
    return [*found, (lines, 0)]


def _matcher(before: list[_Known], after: list[_Known]) -> "difflib.SequenceMatcher[_Known] | None":
    if len(before) * len(after) > _MOST_PAIRS:
        return None
    return difflib.SequenceMatcher(None, before, after, autojunk=False)


def _hunk(group: Iterable[tuple[str, int, int, int, int]], before: list[_Known], after: list[_Known], old: int, new: int) -> Hunk:
    lines: list[Line] = []
    for tag, a1, a2, b1, b2 in group:
        if tag == "equal":
            lines += (
                Line(" ", text, old + at, new + b1 + at - a1, ends) for at, (text, ends) in enumerate(before[a1:a2], start=a1)
            )
            continue
        lines += (Line("-", text, old + at, None, ends) for at, (text, ends) in enumerate(before[a1:a2], start=a1))
        lines += (Line("+", text, None, new + at, ends) for at, (text, ends) in enumerate(after[b1:b2], start=b1))
    return Hunk(tuple(lines))

"""Other numbers of context lines than a forge gives, out of its hunks and, for more of them, the file's text."""

from collections.abc import Iterator, Mapping, Sequence

from .diffs import Hunk, Line


def with_context(hunks: Sequence[Hunk], context: int, text: str | None = None) -> tuple[Hunk, ...]:
    """*hunks* with *context* unchanged lines around what changed, as far as the lines are known.

    *text* is the file as it is afterwards; without it, no line beyond those of the hunks is known. A text that does not fit
    the hunks is not used: a line that is not in the file must not be shown.
    """
    runs = [hunk.lines for hunk in hunks]
    if text is not None and (whole := _whole(hunks, text)) is not None:
        runs = [whole]
    headings = {line: hunk.heading for hunk in hunks for line in hunk.lines}
    return tuple(Hunk(part, _heading(part, headings)) for run in runs for part in _cut(run, context))


def _heading(lines: Sequence[Line], headings: Mapping[Line, str]) -> str:
    return next(headings[line] for line in lines if line.sign != " ")


def _cut(run: Sequence[Line], context: int) -> Iterator[tuple[Line, ...]]:
    """The changed lines of consecutive lines, with those around them, where two that would touch are one."""
    start = end = None
    for at, line in enumerate(run):
        if line.sign == " ":
            continue
        if start is None or end is None or at - context > end:
            if start is not None:
                yield tuple(run[start:end])
            start = max(at - context, 0)
        end = min(at + context + 1, len(run))
    if start is not None:
        yield tuple(run[start:end])


def _whole(hunks: Sequence[Hunk], text: str) -> tuple[Line, ...] | None:
    """All lines of the file, with those that were removed; None if *text* is not what the hunks lead to."""
    lines = text.split("\n")
    ends = lines[-1] == ""
    if ends:
        lines.pop()
    found: list[Line] = []
    new, shift = 1, 0
    for hunk in hunks:
        first = next((line.new for line in hunk.lines if line.new is not None), None)
        if first is not None:
            found += _unchanged(lines, new, first, shift, ends=ends)
            new = first
        for line in hunk.lines:
            found.append(line)
            if line.new is None:
                shift -= 1
                continue
            if line.new != new or new > len(lines) or lines[new - 1] != line.text:
                return None
            new += 1
            shift += line.sign == "+"
    return (*found, *_unchanged(lines, new, len(lines) + 1, shift, ends=ends))


def _unchanged(lines: Sequence[str], start: int, end: int, shift: int, *, ends: bool) -> Iterator[Line]:
    for number in range(start, end):
        yield Line(" ", lines[number - 1], number - shift, number, ends=ends or number < len(lines))

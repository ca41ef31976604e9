"""Where a line of one version of a file stands in another one."""

from collections.abc import Sequence

from ...diffs import Hunk


def moved(line: int, hunks: Sequence[Hunk]) -> int | None:
    """The number that old line *line* has on the new side of *hunks*; None if it is not there any more."""
    shift = 0
    for changed in (found for hunk in hunks for found in hunk.lines):
        if changed.sign == "-" and changed.old is not None:
            if changed.old == line:
                return None
            shift -= changed.old < line
        elif changed.sign == "+" and changed.new is not None and changed.new - shift <= line:
            shift += 1  # it was put in front of the old line that has this number
    return line + shift


def moved_range(start: int, end: int, hunks: Sequence[Hunk]) -> tuple[int, int] | None:
    """The same for consecutive lines, as long as nothing between them has changed."""
    first = moved(start, hunks)
    if first is None or any(moved(line, hunks) != first + line - start for line in range(start + 1, end + 1)):
        return None
    return first, first + end - start


def found_again(quoted: Sequence[str], lines: Sequence[str], near: int) -> int | None:
    """The line at which *quoted* stands in *lines*: at *near*, or at the only place; None if that cannot be told."""
    if not quoted:
        return None
    wanted = list(quoted)
    places = [
        at for at, line in enumerate(lines, 1) if line == wanted[0] and list(lines[at - 1 : at - 1 + len(wanted)]) == wanted
    ]
    if near in places:
        return near
    return places[0] if len(places) == 1 else None

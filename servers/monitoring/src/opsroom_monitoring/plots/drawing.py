"""Draws a picture as SVG: lines with their names at their ends, a light grid, times in UTC, and marks for what happened."""

import html
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from opsroom_shared.outside import clean

from ..series import Series
from .lettering import FAMILY, fitted, spread, width
from .naming import short_names
from .picture import Marker, Picture
from .ticks import scale_of, span, time_ticks, value_ticks

Floats: TypeAlias = npt.NDArray[np.float64]

_PALETTE = ("#1f6fb4", "#d1495b", "#2e8b57", "#8a4fbf", "#c77700", "#008c9e", "#a0522d", "#5b6ee1", "#b83b8f", "#6b7d1f")
_BETWEEN = "\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}"
_REST = "#c4cad1"
"""Of series that are drawn without a name."""
_TEXT, _SOFT, _GRID = "#24292f", "#6e7781", "#e7eaee"
_AXIS, _ZERO = "#8c959f", "#c3c9d0"
_MARKS = {"deployment": "#57606a", "alert": "#cf222e"}
_HARD = ' shape-rendering="crispEdges"'
_MAX_REST = 40
_MAX_MARKS = 40
_ROW = 14.0
_SMALL, _TITLE = 11, 14
_GAP = 1.8
"""A step longer than so many usual ones is a gap."""


@dataclass(frozen=True)
class _Line:
    """The numbers of one series, in time order."""

    name: str
    times: Floats
    values: Floats
    step: float
    """What usually lies between two points."""


@dataclass(frozen=True)
class _Frame:
    """Where on the canvas values and times are."""

    left: float
    right: float
    top: float
    bottom: float
    start: float
    end: float
    low: float
    high: float

    def x(self, at: float) -> float:
        return self.left + (at - self.start) / ((self.end - self.start) or 1.0) * (self.right - self.left)

    def y(self, value: float) -> float:
        # each part by itself: the span of huge values may be more than a float holds
        share = value / 2 - self.low / 2
        return self.bottom - share / ((self.high / 2 - self.low / 2) or 1.0) * (self.bottom - self.top)


@dataclass(frozen=True)
class Drawing:
    """An SVG, the colours that are in it, and how many pixels its lines are long."""

    svg: str
    colours: Sequence[str]
    ink: float


def draw(picture: Picture, *, smooth: bool = True) -> Drawing:
    """The picture as SVG; without *smooth* the edges of its lines are hard."""
    start, end = picture.window.start.timestamp(), picture.window.end.timestamp()
    lines, dropped = _lines(picture.series, start, end)
    named, rest = lines[: len(_PALETTE)], lines[len(_PALETTE) :]
    low, high = _extent(lines)
    scale = scale_of(max(abs(low), abs(high)), picture.unit)
    names = [fitted(line.name, _SMALL, picture.width * 0.26) for line in named]
    lasts = [scale.text(float(line.values[-1])) for line in named]
    more = f"and {len(rest)} more" if rest else ""
    gutter = max((width(f"{name}{_BETWEEN}{last}", _SMALL) for name, last in zip(names, lasts, strict=True)), default=0.0)
    gutter = max(gutter, width(more, _SMALL)) + 18
    ticks = value_ticks(low, high, max(2, picture.height // 70), scale.factor) if lines else []
    texts = [scale.text(tick, 4) for tick in ticks]
    left = 14 + max((width(text, _SMALL) for text in texts), default=0.0)
    marks, rows, unlabelled = _marks(picture.markers, start, end, left, picture.width - gutter)
    notes = [*dropped, *([f"{unlabelled} more marks without room for a label"] if unlabelled else [])]
    frame = _Frame(left, picture.width - gutter, 34 + rows * _ROW, picture.height - (40 if notes else 26), start, end, low, high)
    drawn = [
        *(_stroke(frame, line, _REST, 1.0) for line in rest[:_MAX_REST]),
        *(_stroke(frame, line, colour, 1.7) for line, colour in reversed(list(zip(named, _PALETTE, strict=False)))),
    ]
    parts = [
        *_head(picture, scale.beside),
        *_grid(frame, ticks, texts),
        *_drawn_marks(frame, marks),
        f'<g fill="none" stroke-linejoin="round"{"" if smooth else _HARD}>',
        *(each.svg for each in drawn),
        "</g>",
        *_ends(frame, named, names, lasts, more),
    ]
    if not lines:
        parts.append(
            _write((frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2, "no data in this window", _SOFT, 13, "middle")
        )
    if notes:
        parts.append(_write(left, picture.height - 6, fitted("; ".join(notes), 10, picture.width - left - 8), _SOFT, 10))
    colours = (_TEXT, _SOFT, _GRID, _AXIS, _ZERO, *_MARKS.values(), *_PALETTE[: len(named)], *((_REST,) if rest else ()))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture.width}" height="{picture.height}" '
        f'font-family="{FAMILY}">{"".join(parts)}</svg>'
    )
    return Drawing(svg, colours, sum(each.ink for each in drawn))


def _lines(series: Sequence[Series], start: float, end: float) -> tuple[list[_Line], list[str]]:
    """The series that have numbers in the window, those with the largest first, and what was left out."""
    found: list[_Line] = []
    odd = 0
    for each, name in zip(series, short_names(series), strict=True) if series else ():
        times, values = np.array(each.times, dtype=np.float64), np.array(each.values, dtype=np.float64)
        inside = (times >= start) & (times <= end)
        finite = inside & np.isfinite(values)
        odd += int(inside.sum() - finite.sum())
        if finite.any():
            # the step is taken before values are left out, so that these stay gaps
            steps = np.diff(times[inside])
            found.append(_Line(name, times[finite], values[finite], float(np.median(steps)) if len(steps) else 0.0))
    found.sort(key=lambda line: -float(np.abs(line.values).max()))
    notes = [f"{odd} values that are no finite numbers (NaN, Inf) left out"] if odd else []
    if len(found) > len(_PALETTE) + _MAX_REST:
        notes.append(f"only the {len(_PALETTE) + _MAX_REST} largest of {len(found)} series drawn")
    return found, notes


def _extent(lines: Sequence[_Line]) -> tuple[float, float]:
    """From where to where values are shown. Zero is, unless all values are far from it."""
    if not lines:
        return 0.0, 1.0
    low, high = min(float(line.values.min()) for line in lines), max(float(line.values.max()) for line in lines)
    if low == high:
        return (0.0, 1.0) if low == 0 else (min(0.0, low * 1.25), max(0.0, low * 1.25))
    if low >= 0 and (high - low) > 0.25 * high:
        return 0.0, _above(high, high)
    if high <= 0 and (high - low) > -0.25 * low:
        return _above(low, low), 0.0
    size = high / 2 - low / 2
    return _above(low, -size), _above(high, size)


def _above(value: float, size: float) -> float:
    """A little beyond *value*, but still a finite number."""
    moved = value + size * 0.08
    return moved if math.isfinite(moved) else value


def _head(picture: Picture, unit: str) -> Iterator[str]:
    when = span(picture.window.start, picture.window.end)
    yield _write(picture.width - 10, 20, when, _SOFT, _SMALL, "end")
    title = ", ".join(filter(None, (clean(picture.title.replace("\n", " "), 300), clean(unit, 40))))
    if title:
        room = picture.width - width(when, _SMALL) - 40
        yield _write(12, 20, fitted(title, _TITLE, room), _TEXT, _TITLE)


def _grid(frame: _Frame, ticks: Sequence[float], texts: Sequence[str]) -> Iterator[str]:
    for tick, text in zip(ticks, texts, strict=True):
        y = frame.y(tick)
        colour = _ZERO if tick == 0 else _GRID
        yield f'<path d="M{frame.left:.1f} {y:.1f}H{frame.right:.1f}" stroke="{colour}" fill="none"/>'
        yield _write(frame.left - 6, y + 4, text, _SOFT, _SMALL, "end")
    room = width("00:00:00", _SMALL) + 24
    for at, text in time_ticks(frame.start, frame.end, max(2, int((frame.right - frame.left) / room))):
        x = frame.x(at)
        yield f'<path d="M{x:.1f} {frame.bottom:.1f}v4" stroke="{_AXIS}" fill="none"/>'
        yield _write(x, frame.bottom + 16, text, _SOFT, _SMALL, "middle")
    yield f'<path d="M{frame.left:.1f} {frame.bottom:.1f}H{frame.right:.1f}" stroke="{_AXIS}" fill="none"/>'


def _marks(
    markers: Sequence[Marker], start: float, end: float, left: float, right: float
) -> tuple[list[tuple[Marker, int | None, str, bool]], int, int]:
    """The marks in the window with the row, the text and the side of their labels; how many rows; how many have no label."""
    inside = sorted((each for each in markers if start <= each.at.timestamp() <= end), key=lambda each: each.at)[-_MAX_MARKS:]
    inside.sort(key=lambda each: each.kind != "alert")  # where labels compete, those of alerts win
    taken: list[list[tuple[float, float]]] = [[], [], []]
    placed: list[tuple[Marker, int | None, str, bool]] = []
    for each in inside:
        x = left + (each.at.timestamp() - start) / ((end - start) or 1.0) * (right - left)
        text = fitted(clean(each.label.replace("\n", " "), 100), _SMALL, 170)
        size = width(text, _SMALL) + 8
        leftward = x + size > right
        begin, behind = (x - size, x) if leftward else (x, x + size)
        row = next((index for index, used in enumerate(taken) if all(behind < a or begin > b for a, b in used)), None)
        if row is not None:
            taken[row].append((begin, behind))
        placed.append((each, row, text, leftward))
    rows = sum(1 for used in taken if used)
    return placed, rows, sum(1 for each in placed if each[1] is None)


def _drawn_marks(frame: _Frame, marks: Sequence[tuple[Marker, int | None, str, bool]]) -> Iterator[str]:
    for marker, row, _, _ in marks:
        x, colour = frame.x(marker.at.timestamp()), _MARKS[marker.kind]
        top = frame.top if row is None else 30 + row * _ROW
        yield f'<path d="M{x:.1f} {top:.1f}V{frame.bottom:.1f}" stroke="{colour}" stroke-dasharray="4 3" fill="none"/>'
    for marker, row, text, leftward in marks:
        if row is not None:
            x = frame.x(marker.at.timestamp())
            place, size = (x - 4 if leftward else x + 4), width(text, _SMALL)
            # the white behind it keeps the lines of other marks out of the letters
            begin = place - size if leftward else place
            yield f'<rect x="{begin - 1:.1f}" y="{31 + row * _ROW:.1f}" width="{size + 2:.1f}" height="12" fill="#ffffff"/>'
            yield _write(place, 40 + row * _ROW, text, _MARKS[marker.kind], _SMALL, "end" if leftward else "start")


@dataclass(frozen=True)
class _Stroke:
    svg: str
    ink: float


def _stroke(frame: _Frame, line: _Line, colour: str, thickness: float) -> _Stroke:
    path: list[str] = []
    dots: list[str] = []
    ink = 0.0
    limit = line.step * _GAP
    breaks = np.flatnonzero(np.diff(line.times) > limit) + 1 if limit > 0 else np.array([], dtype=np.intp)
    for times, values in zip(np.split(line.times, breaks), np.split(line.values, breaks), strict=True):
        points = [(frame.x(at), frame.y(value)) for at, value in _thinned(frame, times, values)]
        if len(points) == 1:
            dots.append(f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2.6" fill="{colour}"/>')
        else:
            path.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))
            ink += sum(math.dist(one, other) for one, other in itertools.pairwise(points))
    drawn = f'<path d="{"".join(path)}" stroke="{colour}" stroke-width="{thickness}"/>' if path else ""
    return _Stroke(drawn + "".join(dots), ink)


def _thinned(frame: _Frame, times: Floats, values: Floats) -> list[tuple[float, float]]:
    """No more points than pixels can show: of those in one column the lowest and the highest, so that spikes stay."""
    columns = max(1, int(frame.right - frame.left))
    if len(times) <= 2 * columns:
        return list(zip(times.tolist(), values.tolist(), strict=True))
    column = ((times - frame.start) / (frame.end - frame.start) * columns).astype(np.intp)
    edges = np.flatnonzero(np.diff(column)) + 1
    kept: set[int] = {0, len(times) - 1}
    begin = 0
    for end in [*edges.tolist(), len(times)]:
        kept.update((begin + int(values[begin:end].argmin()), begin + int(values[begin:end].argmax())))
        begin = end
    return [(float(times[index]), float(values[index])) for index in sorted(kept)]


def _ends(frame: _Frame, lines: Sequence[_Line], names: Sequence[str], lasts: Sequence[str], more: str) -> Iterator[str]:
    """The names and last values, in the right margin, each as near to the end of its line as there is room."""
    at = [frame.y(float(line.values[-1])) for line in lines]
    bottom = frame.bottom - (_ROW if more else 0.0)
    places = spread(at, _ROW, frame.top - 4, bottom)
    for line, colour, name, last, y, place in zip(lines, _PALETTE, names, lasts, at, places, strict=False):
        x = frame.x(float(line.times[-1]))
        if abs(place - y) > 2 or frame.right - x > 6:
            yield (
                f'<path d="M{x + 2:.1f} {y:.1f}L{frame.right + 6:.1f} {place:.1f}" stroke="{colour}" stroke-opacity="0.4" '
                'stroke-width="0.8" fill="none"/>'
            )
        yield _write(frame.right + 8, place + 4, f"{name}{_BETWEEN}{last}", colour, _SMALL)
    if more:
        yield _write(frame.right + 8, frame.bottom + 2, more, _SOFT, _SMALL)


def _write(x: float, y: float, text: str, colour: str, size: int, anchor: str = "start") -> str:  # noqa: PLR0917 - as SVG has it
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{html.escape(text)}</text>'

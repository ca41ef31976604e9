"""What a picture shows: the series, the window and the marks on it; as a PNG, or in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from ..series import Series, Window
from .ticks import scale_of, span

MAX_PNG = 20 << 10
_SMOOTH_INK = 9_000.0
"""Pixels that lines may be long together to be drawn with smooth edges: more would not fit, and takes long to find out."""
_DESCRIBED = 10


@dataclass(frozen=True, slots=True)
class Marker:
    """Something that happened, drawn as a dashed line."""

    at: datetime
    label: str
    """A few words, such as `checkout 1.5.1`."""
    kind: Literal["deployment", "alert"] = "deployment"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn. Values that are no numbers are left out, and that is said in the picture."""

    series: Sequence[Series]
    window: Window
    title: str = ""
    unit: str | None = None
    """`seconds`, `bytes`, `ratio` or what stands behind the figures."""
    markers: Sequence[Marker] = ()
    width: int = 800
    height: int = 400


def render(picture: Picture) -> bytes:
    """A PNG of at most 20 KB. What is too restless for that is drawn with hard edges, then smaller."""
    from .drawing import draw
    from .raster import png_of

    picture = replace(picture, width=min(max(picture.width, 240), 2_000), height=min(max(picture.height, 120), 2_000))
    drawing = draw(picture)
    if drawing.ink <= _SMOOTH_INK and len(png := png_of(drawing.svg, drawing.colours)) <= MAX_PNG:
        return png
    share = 1.0
    while True:
        smaller = replace(picture, width=round(picture.width * share), height=round(picture.height * share))
        drawing = draw(smaller, smooth=False)
        if len(png := png_of(drawing.svg, drawing.colours)) <= MAX_PNG:
            return png
        share *= 0.97 * (MAX_PNG / len(png)) ** 0.7  # restless lines need about so much less when they are smaller


def describe(picture: Picture) -> str:
    """What the picture shows, for who cannot see it."""
    lines = [f"{picture.title or 'Series'}, {span(picture.window.start, picture.window.end)}."]
    shown = _by_size(picture.series)
    from .naming import short_names

    for each, name in list(zip(shown, short_names(shown), strict=True))[:_DESCRIBED] if shown else []:
        lines.append(f"{name}: {_figures(each, picture.unit)}")
    if len(shown) > _DESCRIBED:
        lines.append(f"and {len(shown) - _DESCRIBED} more series")
    lines += [
        f"{marker.at.astimezone(UTC):%H:%M} UTC {marker.kind} {marker.label}"
        for marker in sorted(picture.markers, key=_when)[:20]
    ]
    if not shown:
        lines.append("No data in this window.")
    return "\n".join(lines)


def _by_size(series: Sequence[Series]) -> list[Series]:
    return sorted(series, key=lambda each: -max((abs(value) for value in each.values if math.isfinite(value)), default=-1.0))


def _when(marker: Marker) -> datetime:
    return marker.at


def _figures(series: Series, unit: str | None) -> str:
    values = [value for value in series.values if math.isfinite(value)]
    if not values:
        return "no numbers"
    scale = scale_of(max(map(abs, values)), unit)
    return f"last {scale.text(values[-1])}, min {scale.text(min(values))}, max {scale.text(max(values))}"

"""Series in a few figures: step choice, four digits, a sparkline, and what changed over the window. Pure."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from opsroom_shared.errors import InvalidInput

from .models import SeriesSummary
from .series import Labels, Sample, Series, Window

MAX_POINTS = 11_000
_WANTED_POINTS = 240
_NICE_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(ms|s|m|h|d|w|)")
_SECONDS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_BLOCKS = "▁▂▃▄▅▆▇█"
_BUCKETS = 16


def choose_step(window: Window, asked: str | None = None) -> float:
    """Seconds between two points: what was *asked*, if it fits, or one that gives about 240 points. Raises InvalidInput."""
    if asked is not None:
        step = parse_duration(asked)
        if window.seconds / step > MAX_POINTS:
            fitting = nice_step(window.seconds / MAX_POINTS)
            raise InvalidInput(f"A step of {asked} gives more than {MAX_POINTS:,} points. A step of {fitting:g}s would fit.")
        return step
    return nice_step(window.seconds / _WANTED_POINTS)


def nice_step(least: float) -> float:
    return float(next((step for step in _NICE_STEPS if step >= least), math.ceil(least / 86_400) * 86_400))


def parse_duration(text: str) -> float:
    """Seconds of `15s`, `5m` or a bare number. Raises InvalidInput."""
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds <= 0:
        raise InvalidInput(f"{text[:40]!r} is no duration. Write 15s, 5m, 2h or a number of seconds.")
    return seconds


def figure(value: float) -> float | str:
    """Four significant digits; text where JSON has no number for it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return float(f"{value:.4g}")


def summarised(series: Series, window: Window, points: int) -> SeriesSummary:
    values = np.asarray(series.values, dtype=float)
    numbers = values[np.isfinite(values)]
    known = bool(numbers.size)
    low, high, mean = (float(numbers.min()), float(numbers.max()), float(numbers.mean())) if known else (math.nan,) * 3
    if values.size and np.isposinf(values).any():
        high = math.inf
    if values.size and np.isneginf(values).any():
        low = -math.inf
    return SeriesSummary(
        labels=labels_of(series.name, series.labels),
        last=figure(series.values[-1]) if series.values else None,
        min=figure(low),
        max=figure(high),
        avg=figure(mean),
        change=change(series, window),
        spark=sparkline(series, window),
        points=_thinned(series, points),
    )


def of_sample(sample: Sample) -> SeriesSummary:
    value = figure(sample.value)
    return SeriesSummary(labels=labels_of(sample.name, sample.labels), last=value, min=None, max=None, avg=None)


def labels_of(name: str | None, labels: Labels) -> dict[str, str]:
    return {**({"__name__": name} if name else {}), **labels}


def change(series: Series, window: Window) -> float | str | None:
    """Mean of the last tenth of *window* minus mean of its first tenth; None where either has no number."""
    times, values = np.asarray(series.times), np.asarray(series.values, dtype=float)
    finite = np.isfinite(values)
    first = values[finite & (times <= window.start.timestamp() + window.seconds / 10)]
    last = values[finite & (times >= window.end.timestamp() - window.seconds / 10)]
    return figure(float(last.mean() - first.mean())) if first.size and last.size else None


def sparkline(series: Series, window: Window) -> str:
    """Sixteen means on the series' own scale; a blank where there is no point."""
    if not series.times or window.seconds <= 0:
        return ""
    times, values = np.asarray(series.times), np.asarray(series.values, dtype=float)
    place = ((times - window.start.timestamp()) / window.seconds * _BUCKETS).astype(int).clip(0, _BUCKETS - 1)
    means = [
        float(own.mean()) if (own := values[(place == bucket) & np.isfinite(values)]).size else math.nan
        for bucket in range(_BUCKETS)
    ]
    finite = [mean for mean in means if not math.isnan(mean)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if math.isnan(mean) else _BLOCKS[round((mean - low) * scale)] for mean in means)


def shared_labels(sets: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What all of *sets* have, so that it is told once."""
    first, *others = [*sets] or [{}]
    return {key: value for key, value in first.items() if all(each.get(key) == value for each in others)}


def _thinned(series: Series, points: int) -> list[tuple[datetime, float | str]]:
    if not points or not series.times:
        return []
    count = min(points, len(series.times))
    chosen: Sequence[int] = np.unique(np.linspace(0, len(series.times) - 1, count).round().astype(int)).tolist()
    return [(datetime.fromtimestamp(series.times[index], UTC), figure(series.values[index])) for index in chosen]

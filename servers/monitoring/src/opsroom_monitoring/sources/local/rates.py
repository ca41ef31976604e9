"""Functions over the samples of a range, as Prometheus computes them: counter resets, extrapolation, staleness."""

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from .store import STALE, Floats

Bools: TypeAlias = npt.NDArray[np.bool_]
Over: TypeAlias = Callable[[Floats, Floats, Floats, float], tuple[Floats, Bools]]
"""(times, values, steps, range) → a value for each step, and whether there is one. Stale samples have been taken out."""

LOOKBACK = 300.0
_STALE_BITS = STALE.view(np.uint64)[0]


def is_stale(values: Floats) -> Bools:
    return values.view(np.uint64) == _STALE_BITS


def latest(times: Floats, values: Floats, steps: Floats) -> tuple[Floats, Bools]:
    """For each step the newest sample of each column that is at most five minutes old, unless it says that the series is gone."""
    at = np.searchsorted(times, steps, side="right") - 1
    fresh = (at >= 0) & (steps - times[np.maximum(at, 0)] < LOOKBACK)
    found = np.ascontiguousarray(values[np.maximum(at, 0)].T)
    return found, fresh[np.newaxis, :] & ~is_stale(found)


def _ends(times: Floats, steps: Floats, width: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The first sample of each range, and the one behind its last."""
    return np.searchsorted(times, steps - width, side="left"), np.searchsorted(times, steps, side="right")


def _extrapolated(times: Floats, values: Floats, steps: Floats, width: float, *, counter: bool) -> tuple[Floats, Bools]:
    """How much a value changed in each range, extrapolated to the ends of the range where samples come near them."""
    first, behind = _ends(times, steps, width)
    enough = behind - first >= 2
    first, last = np.where(enough, first, 0), np.where(enough, behind - 1, min(1, len(times) - 1))
    change = values[last] - values[first]
    if counter:
        drops = np.where(values[1:] < values[:-1], values[:-1], 0.0)
        lost = np.concatenate(([0.0], np.cumsum(drops)))
        change = change + lost[last] - lost[first]
    sampled = times[last] - times[first]
    apart = sampled / np.maximum(last - first, 1)
    to_start, to_end = times[first] - (steps - width), steps - times[last]
    if counter:
        # a counter is not taken below zero
        with np.errstate(divide="ignore", invalid="ignore"):
            to_zero = sampled * (values[first] / change)
        to_start = np.where((change > 0) & (values[first] >= 0) & (to_zero < to_start), to_zero, to_start)
    near = apart * 1.1
    reach = sampled + np.where(to_start < near, to_start, apart / 2) + np.where(to_end < near, to_end, apart / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return change * (reach / sampled), enough


def rate(times: Floats, values: Floats, steps: Floats, width: float) -> tuple[Floats, Bools]:
    found, there = _extrapolated(times, values, steps, width, counter=True)
    return found / width, there


def increase(times: Floats, values: Floats, steps: Floats, width: float) -> tuple[Floats, Bools]:
    return _extrapolated(times, values, steps, width, counter=True)


def delta(times: Floats, values: Floats, steps: Floats, width: float) -> tuple[Floats, Bools]:
    return _extrapolated(times, values, steps, width, counter=False)


def irate(times: Floats, values: Floats, steps: Floats, width: float) -> tuple[Floats, Bools]:
    first, behind = _ends(times, steps, width)
    enough = behind - first >= 2
    last = np.where(enough, behind - 1, min(1, len(times) - 1))
    before = np.maximum(last - 1, 0)
    change = np.where(values[last] < values[before], values[last], values[last] - values[before])
    with np.errstate(divide="ignore", invalid="ignore"):
        return change / (times[last] - times[before]), enough


def _each(reduce: Callable[[Floats], float]) -> Over:
    def over(times: Floats, values: Floats, steps: Floats, width: float) -> tuple[Floats, Bools]:
        first, behind = _ends(times, steps, width)
        found = [float(reduce(values[a:b])) if b > a else 0.0 for a, b in zip(first, behind, strict=True)]
        return np.array(found), behind > first

    return over


def _least(part: Floats) -> float:
    return float(cast("float", np.fmin.reduce(part)))


def _most(part: Floats) -> float:
    return float(cast("float", np.fmax.reduce(part)))


FUNCTIONS: Mapping[str, Over] = {
    "rate": rate,
    "increase": increase,
    "irate": irate,
    "delta": delta,
    "avg_over_time": _each(lambda part: float(np.mean(part))),
    "min_over_time": _each(_least),
    "max_over_time": _each(_most),
    "sum_over_time": _each(lambda part: float(np.sum(part))),
    "count_over_time": _each(lambda part: float(len(part))),
}


def quantile_of_buckets(quantile: float, bounds: Floats, counts: Floats) -> Floats:
    """The quantile at each step from cumulative *counts*, a row for each of the rising *bounds*."""
    steps: int = counts.shape[1]
    if np.isnan(quantile) or len(bounds) < 2 or not np.isposinf(bounds[-1]):
        return np.full(steps, np.nan)
    if not 0 <= quantile <= 1:
        return np.full(steps, np.inf if quantile > 1 else -np.inf)
    counts = cast("Floats", np.maximum.accumulate(counts, axis=0))
    rank: Floats = quantile * counts[-1]
    reached: Bools = counts >= rank
    at: npt.NDArray[np.intp] = np.where(reached.any(axis=0), reached.argmax(axis=0), len(bounds) - 1)
    below = np.maximum(at - 1, 0)
    every: npt.NDArray[np.intp] = np.arange(steps)
    start: Floats = np.where(at > 0, bounds[below], 0.0)
    under: Floats = np.where(at > 0, counts[below, every], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = start + (bounds[at] - start) * ((rank - under) / (counts[at, every] - under))
    found = np.where((at == 0) & (bounds[0] <= 0), bounds[0], found)
    found = np.where(at == len(bounds) - 1, bounds[-2], found)
    return np.where((counts[-1] == 0) | np.isnan(counts[-1]), np.nan, found)

"""Whether and when a series changed: our own small numpy code, without any I/O."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

MIN_POINTS = 20
_MIN_SIDE = 6
_MIN_SCORE = 12.0
_MIN_EFFECT = 0.1
_MIN_EXPLAINED = 0.5
_MIN_SHARPNESS = 0.6
_STEEP_EFFECT = 0.5
"""How much a series that only creeps has to have changed: what follows the time of day does so, too, but less within hours."""
_MOST_POINTS = 200
_SCORE_CAP, _RATIO_CAP = 60.0, 3.0
_NOISE_FLOOR = 0.02


@dataclass(frozen=True)
class Shift:
    """A level that became another one."""

    index: int
    """Of the first point on the other level."""
    before: float
    after: float
    score: float
    """How surely it is no noise, times how large it is; comparable between series."""


def find_shift(values: Floats) -> Shift | None:
    """The clearest change of level in *values*, for good or for a while; None where there is none worth a line.

    Looks for the stretch whose mean differs most from that of the rest, as circular binary segmentation does; a stretch that
    reaches the end is a step.
    """
    n = len(values)
    if not MIN_POINTS <= n <= _MOST_POINTS or not np.isfinite(values).all():
        return None
    spread = float(np.ptp(values))
    if spread <= 1e-9 * max(float(np.abs(values).max()), 1e-9):
        return None
    begin, end, gain = _best_stretch(values)
    inside, outside = float(values[begin:end].mean()), float((values.sum() - values[begin:end].sum()) / (n - (end - begin)))
    index, before, after = (begin, outside, inside) if begin else (end, inside, outside)
    larger = max(abs(before), abs(after))
    effect = abs(after - before) / larger
    noise = max(_noise(values), _NOISE_FLOOR * larger)
    surety = float(np.sqrt(gain)) / noise
    explained = gain / float(((values - values.mean()) ** 2).sum())
    if surety < _MIN_SCORE or effect < _MIN_EFFECT or explained < _MIN_EXPLAINED:
        return None
    sharpness = _sharpness(values, index, after - before)
    if sharpness < _MIN_SHARPNESS:
        if effect < _STEEP_EFFECT:
            return None
        surety *= 0.5
    ratio = abs(np.log((abs(after) + _NOISE_FLOOR * larger) / (abs(before) + _NOISE_FLOOR * larger)))
    size = max(min(float(ratio), _RATIO_CAP), _MIN_EFFECT if before * after >= 0 else 1.0)
    return Shift(index, before, after, min(surety, _SCORE_CAP) * size)


def rates(times: Floats, values: Floats) -> Floats:
    """What a counter gained per second between neighbours; a restart counts from zero."""
    gained = np.diff(values)
    gained = np.where(gained < 0, values[1:], gained)
    return gained / np.diff(times)


def _best_stretch(values: Floats) -> tuple[int, int, float]:
    """Where the stretch begins and ends, and by how much two means describe the values better than one."""
    n = len(values)
    centred = values - values.mean()
    sums = np.concatenate(([0.0], np.cumsum(centred)))
    lengths = np.arange(n + 1)[None, :] - np.arange(n + 1)[:, None]
    allowed = (lengths >= _MIN_SIDE) & (lengths <= n - _MIN_SIDE)
    # both neighbours of the stretch are either nothing or long enough to be a level
    edge = np.arange(n + 1)
    allowed &= ((edge == 0) | (edge >= _MIN_SIDE))[:, None] & ((edge == n) | (edge <= n - _MIN_SIDE))[None, :]
    weight = np.where(allowed, lengths * (n - lengths) / n, 1.0)
    gains = np.where(allowed, (sums[None, :] - sums[:, None]) ** 2 / weight, 0.0)
    best = int(gains.argmax())
    return best // (n + 1), best % (n + 1), float(gains.flat[best])


def _noise(values: Floats) -> float:
    """Robust against the change itself, and against a few outliers."""
    return float(1.4826 * np.median(np.abs(np.diff(values))) / np.sqrt(2))


def _sharpness(values: Floats, index: int, height: float) -> float:
    """How much of the change happens around *index*: 1 for a step, little for what creeps or swings."""
    near = max(3, len(values) // 20)
    lag = near // 2  # what is averaged over minutes needs some points to arrive
    left = values[max(index - lag - near, 0) : max(index - lag, 1)]
    right = values[min(index + lag, len(values) - 1) : index + lag + near]
    return float(right.mean() - left.mean()) / height

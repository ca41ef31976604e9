"""Change detection on made series."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from opsroom_monitoring.change_detection import find_shift, rates

N = 120
T = np.arange(N, dtype=float)
Chance = np.random.Generator
Made = Callable[[Chance], NDArray[np.floating]]

CHANGED: dict[str, tuple[Made, int, int]] = {
    "a step": (lambda chance: 10 + chance.normal(0, 0.5, N) + (T >= 80) * 5, 80, 1),
    "a step down": (lambda chance: 10 + chance.normal(0, 0.5, N) - (T >= 30) * 5, 30, 1),
    "a step that is averaged over ten points": (
        lambda chance: np.convolve(10 + (np.arange(N + 9) >= 80) * 5 + chance.normal(0, 0.3, N + 9), np.ones(10) / 10, "valid"),
        75,
        5,
    ),
    "a level that comes and goes": (lambda chance: 10 + chance.normal(0, 0.5, N) + ((T >= 50) & (T < 65)) * 8, 50, 1),
    "from nothing": (lambda _: (T >= 80) * 1.0, 80, 0),
    "a steep ramp": (lambda chance: 10 + T / N * 60 + chance.normal(0, 0.1, N), 60, 10),
}
QUIET: dict[str, Made] = {
    "noise": lambda chance: chance.normal(10, 1, N),
    "a flat line": lambda _: np.full(N, 3.0),
    "a spike of one point": lambda chance: 10 + chance.normal(0, 0.5, N) + (T == 60) * 50,
    "a slow ramp": lambda chance: 10 + T / N * 3 + chance.normal(0, 0.1, N),
    "a wave once": lambda chance: 10 + 2 * np.sin(2 * np.pi * T / N) + chance.normal(0, 0.1, N),
    "a wave of four": lambda chance: 10 + 3 * np.sin(8 * np.pi * T / N) + chance.normal(0, 0.1, N),
    "rare events": lambda chance: chance.poisson(0.05, N).astype(float),
    "a wander": lambda chance: 10 + np.cumsum(chance.normal(0, 0.01, N)),
    "too few points": lambda _: (np.arange(15) >= 7) * 1.0,
    "a step below a tenth": lambda chance: 100 + (T >= 60) * 5 + chance.normal(0, 0.1, N),
    "no number": lambda _: np.full(N, np.nan),
}


@pytest.mark.parametrize("name", CHANGED)
def test_change_is_found_where_it_is(name: str) -> None:
    """A change of level is found at its place, whatever the noise."""
    made, place, tolerance = CHANGED[name]
    found = [find_shift(made(np.random.default_rng(seed)).astype(np.float64)) for seed in range(20)]

    assert all(each is not None and abs(each.index - place) <= tolerance for each in found)


@pytest.mark.parametrize("name", QUIET)
def test_what_is_no_change_is_not_found(name: str) -> None:
    """Noise, spikes, seasons and creeping values give nothing."""
    found = [find_shift(QUIET[name](np.random.default_rng(seed)).astype(np.float64)) for seed in range(50)]

    assert [each for each in found if each is not None] == []


def test_larger_change_scores_higher() -> None:
    """Of two sure changes the one by more is first."""
    chance = np.random.default_rng(1)
    small, large = (find_shift(10 + chance.normal(0, 0.1, N) + (T >= 80) * height) for height in (5, 50))

    assert small is not None
    assert large is not None
    assert small.score < large.score


def test_gap_does_not_move_a_counter() -> None:
    """Over a gap a counter's gain is spread over its time; a restart counts from zero."""
    times = np.array([0.0, 10.0, 50.0, 60.0])
    values = np.array([0.0, 100.0, 500.0, 20.0])

    assert rates(times, values).tolist() == [10.0, 10.0, 2.0]

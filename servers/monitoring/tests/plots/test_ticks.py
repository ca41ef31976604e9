"""Axes have round numbers, and figures read as people write them."""

import pytest
from opsroom_monitoring.plots.naming import short_names
from opsroom_monitoring.plots.ticks import scale_of, time_ticks, value_ticks
from opsroom_monitoring.series import Series


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "seconds", "12.3 ms"),
        (90.0, "s", "1.5 min"),
        (3.2e-5, "seconds", "32 µs"),
        (5 * 2**20, "bytes", "5 MiB"),
        (0.034, "ratio", "3.4 %"),
        (12_345_678.0, None, "12.3M"),
        (1_234.0, None, "1234"),
        (-4.5, "°C", "\N{MINUS SIGN}4.5 °C"),
        (0.0, "seconds", "0 s"),
        (1e300, None, "1e+300"),
    ],
)
def test_figures_have_a_fitting_unit(value: float, unit: str | None, text: str) -> None:
    """A figure is scaled to its size."""
    assert scale_of(abs(value), unit).text(value) == text


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-8, 3, [-7.5, -5, -2.5, 0, 2.5]), (0, 950, [0, 200, 400, 600, 800]), (5, 5, [5])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    """Ticks are multiples of 1, 2, 2.5 or 5 and lie within the axis."""
    assert value_ticks(low, high, 5, 1.0) == pytest.approx(ticks)


def test_ticks_are_round_in_their_unit() -> None:
    """For bytes, round means round in MiB."""
    assert value_ticks(0, 3 * 2**20, 3, 2.0**20) == [0, 2**20, 2 * 2**20, 3 * 2**20]


@pytest.mark.parametrize(("span", "first"), [(60, "12:00:00"), (3_600, "12:00"), (86_400, "12:00"), (40 * 86_400, "Nov 26")])
def test_times_are_round(span: float, first: str) -> None:
    """Times fall on whole minutes, hours or days, and there are no more than asked for."""
    ticks = time_ticks(1_795_608_000.0, 1_795_608_000.0 + span, 8)

    assert ticks[0][1] == first
    assert 2 <= len(ticks) <= 9


def _series(**labels: str) -> Series:
    return Series(labels, (0.0,), (0.0,))


def test_names_say_only_what_differs() -> None:
    """Labels that all have in common, or that say the same as another, are left out."""
    shown = [_series(job="a", instance="a-1:8080", zone="x"), _series(job="b", instance="b-1:8080", zone="x")]

    assert short_names(shown) == ["a", "b"]


def test_names_tell_all_series_apart() -> None:
    """As many labels are named as it takes."""
    shown = [_series(method=method, code=code) for method in ("GET", "POST") for code in ("200", "500")]

    assert len(set(short_names(shown))) == 4


@pytest.mark.parametrize(
    ("series", "name"),
    [
        (Series({}, (), ()), "value"),
        (Series({}, (), (), "up"), "up"),
        (Series({"job": "a"}, (), (), "up"), "up{job=a}"),
        (Series({"service": "checkout"}, (), ()), "checkout"),
        (Series({"__name__": "up"}, (), ()), "up"),
    ],
)
def test_a_lone_series_has_its_whole_name(series: Series, name: str) -> None:
    """With nothing to compare to, the name is all there is."""
    assert short_names([series]) == [name]

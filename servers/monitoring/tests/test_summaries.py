"""Series in a few figures."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from opsroom_monitoring.models import Metrics
from opsroom_monitoring.series import Series, Window
from opsroom_monitoring.summaries import MAX_POINTS, choose_step, figure, parse_duration, sparkline, summarised
from opsroom_shared.errors import InvalidInput

START = datetime(2026, 11, 24, 10, tzinfo=UTC)
HOUR = Window(START, START + timedelta(hours=1))


def series_of(values: list[float], step: float = 60.0, **labels: str) -> Series:
    begin = START.timestamp()
    return Series(labels, tuple(begin + step * index for index in range(len(values))), tuple(values))


@pytest.mark.parametrize("seconds", [60, 3_600, 86_400, 86_400 * 30, 86_400 * 400])
def test_chosen_step_fits(seconds: int) -> None:
    """Whatever the window, the step is a round one and gives at most 240 points."""
    step = choose_step(Window(START, START + timedelta(seconds=seconds)))

    assert seconds / step <= 240
    assert seconds / step <= MAX_POINTS
    assert step == int(step)


def test_step_that_does_not_fit_is_refused_with_one_that_does() -> None:
    """The refusal names a step."""
    with pytest.raises(InvalidInput, match="A step of 300s would fit"):
        choose_step(Window(START, START + timedelta(days=30)), "15s")


@pytest.mark.parametrize(("text", "seconds"), [("15s", 15), ("5m", 300), ("2h", 7_200), ("30", 30), ("500ms", 0.5)])
def test_durations(text: str, seconds: float) -> None:
    """Durations are read as Prometheus writes them, and bare numbers as seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-5m", "5y", "soon"])
def test_what_is_no_duration(text: str) -> None:
    """Nothing, zero and other words are refused."""
    with pytest.raises(InvalidInput):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "shown"), [(1.23456, 1.235), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (123_456.0, 123_500.0)]
)
def test_figures(value: float, shown: float | str) -> None:
    """Four digits, and words where JSON has no number."""
    assert figure(value) == shown


def test_summary_of_a_rise() -> None:
    """Last, extremes, mean and the change from the first to the last tenth."""
    summary = summarised(series_of([float(index) for index in range(61)]), HOUR, 0)

    assert (summary.last, summary.min, summary.max, summary.avg, summary.change) == (60.0, 0.0, 60.0, 30.0, 54.0)
    assert summary.spark == "▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"
    assert summary.points == []


def test_gap_stays_a_gap() -> None:
    """Where there are no points, the sparkline is blank."""
    half = Series({}, tuple(START.timestamp() + 60.0 * index for index in range(30)), (1.0,) * 30)

    assert sparkline(half, HOUR) == "▁" * 8 + " " * 8


def test_points_are_few() -> None:
    """Points come on request, first and last among them."""
    summary = summarised(series_of([float(index) for index in range(61)]), HOUR, 5)

    assert [value for _, value in summary.points] == [0.0, 15.0, 30.0, 45.0, 60.0]


def test_special_values_are_kept() -> None:
    """An infinity is an extreme; NaN alone leaves no figures."""
    mixed = summarised(series_of([1.0, math.inf, math.nan]), HOUR, 0)
    nothing = summarised(series_of([math.nan]), HOUR, 0)

    assert (mixed.last, mixed.min, mixed.max) == ("NaN", 1.0, "+Inf")
    assert (nothing.last, nothing.avg, nothing.spark) == ("NaN", "NaN", "")


def test_five_series_of_500_points_are_cheap() -> None:
    """Their text costs at most 300 tokens."""
    window = Window(START, START + timedelta(seconds=500 * 15))
    made = [
        series_of(
            [math.sin(index / 40 + each) * 10 + 20 for index in range(500)], 15.0, job="checkout", instance=f"10.0.0.{each}:8080"
        )
        for each in range(5)
    ]
    answer = Metrics(
        query="rate(x[5m])",
        start=window.start,
        end=window.end,
        step_seconds=15,
        unit="per second",
        series=[summarised(each, window, 0) for each in made],
        total=5,
    )

    assert len(answer.text().encode()) / 4 <= 300

"""Pictures are small, show what they should, and never fail on odd data."""

import io
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import resvg_py
from opsroom_monitoring.plots import Marker, Picture, describe, render
from opsroom_monitoring.plots.drawing import draw
from opsroom_monitoring.plots.lettering import FONT, fitted, spread, width
from opsroom_monitoring.plots.picture import MAX_PNG
from opsroom_monitoring.series import Series, Window
from PIL import Image

START = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
HOUR = Window(START, START + timedelta(hours=1))


def series(value: Callable[[int], float], points: int = 241, name: str | None = None, **labels: str) -> Series:
    step = 3_600 / max(points - 1, 1)
    return Series(
        labels,
        tuple(START.timestamp() + number * step for number in range(points)),
        tuple(float(value(number)) for number in range(points)),
        name,
    )


def picture(*shown: Series, title: str = "", unit: str | None = None, markers: tuple[Marker, ...] = ()) -> Picture:
    return Picture(shown, HOUR, title, unit, markers)


def noise(seed: int) -> Callable[[int], float]:
    values = np.random.default_rng(seed).normal(seed, 1.0, 11_001)
    return lambda number: float(values[number])


CASES = {
    "one": picture(series(lambda n: math.sin(n / 20)), title="one"),
    "restless": picture(*(series(noise(seed), s=str(seed)) for seed in range(5)), title="five", unit="seconds"),
    "sixty": picture(*(series(noise(seed), s=str(seed)) for seed in range(60))),
    "dense": picture(*(series(noise(seed), 11_001, s=str(seed)) for seed in range(5))),
    "zero": picture(series(lambda _: 0.0)),
    "constant": picture(series(lambda _: 42.0)),
    "huge": picture(series(lambda n: 1.7e308 * math.sin(n / 30))),
    "tiny": picture(series(lambda n: 5e-324 * (n % 2))),
    "negative": picture(series(lambda n: -5 - math.sin(n / 20)), unit="°C"),
    "one point": picture(series(lambda _: 3.0, 1)),
    "empty": picture(title="nothing"),
    "no numbers": picture(series(lambda _: math.nan), series(lambda _: math.inf, a="b")),
    "no time": Picture([series(lambda _: 1.0, 1)], Window(START, START)),
    "years": Picture([series(lambda _: 1.0)], Window(START, START + timedelta(days=4_000))),
    "hostile": picture(series(lambda n: n, name='<script>"&\x1b[31m', a="]]>" * 50), title="</svg>\x00\ud800" * 9, unit="<" * 90),
    "small": replace(picture(series(noise(1)), title="small"), width=320, height=160),
    "large": replace(picture(*(series(noise(seed), s=str(seed)) for seed in range(12))), width=1_600, height=800),
}


@pytest.mark.parametrize("case", CASES)
def test_every_picture_is_a_small_png(case: str) -> None:
    """Whatever is shown, the answer is a PNG of at most 20 KB, on white."""
    png = render(CASES[case])

    assert len(png) <= MAX_PNG
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_text_is_drawn() -> None:
    """The letters of a title are pixels of the picture: without its font, resvg would leave them out and say nothing."""
    with_title, without = render(picture(title="Latency of checkout")), render(picture())

    drawn = np.asarray(Image.open(io.BytesIO(with_title)).convert("L"), dtype=np.int32)
    blank = np.asarray(Image.open(io.BytesIO(without)).convert("L"), dtype=np.int32)
    dark = (drawn[:30, :400] < 128).sum() - (blank[:30, :400] < 128).sum()
    assert dark > 150


def test_the_font_is_in_the_package() -> None:
    """The font and its licence ship with the code, and stay small."""
    assert FONT.stat().st_size < 300_000
    assert "Bitstream" in FONT.with_name("LICENSE").read_text(encoding="utf-8")


def test_without_its_font_nothing_is_written() -> None:
    """What the test of the title relies on: the letters come from our font alone, none from the machine."""
    svg = draw(picture(title="Latency of checkout")).svg

    bare = resvg_py.svg_to_bytes(svg_string=svg, background="#ffffff", skip_system_fonts=True)

    assert (np.asarray(Image.open(io.BytesIO(bare)).convert("L"))[:30] < 128).sum() == 0


def test_a_gap_stays_a_gap() -> None:
    """Absent points and values that are no numbers break the line; the latter are said."""
    whole = series(lambda n: 10.0 + n)
    kept = [number for number in range(241) if not 60 < number < 100]
    holed = Series(
        {},
        tuple(whole.times[n] for n in kept),
        tuple(math.nan if 200 < n < 205 else whole.values[n] for n in kept),
    )

    svg = draw(picture(holed)).svg

    assert svg.count("M", svg.index('stroke-linejoin="round"'), svg.index("</g>", svg.index('stroke-linejoin="round"'))) == 3
    assert "4 values that are no finite numbers" in svg


def test_the_time_zone_and_the_units_are_shown() -> None:
    """Times are in UTC and say so; figures have their unit, or the title has it where it is long."""
    latency = draw(picture(series(lambda n: 0.2 + n / 1_000), unit="seconds")).svg
    rate = draw(picture(series(lambda n: 20.0 + n), title="traffic", unit="requests/s")).svg

    assert "2026-11-24 10:30 – 11:30 UTC" in latency
    assert "400 ms" in latency
    assert "traffic, requests/s" in rate


def test_names_stand_at_the_ends_without_overlap() -> None:
    """Lines that end at the same value have their names below each other."""
    svg = draw(picture(*(series(lambda _, k=k: 50.0 + k / 100, s=f"name-{k}") for k in range(8)))).svg

    places = sorted(float(part.split('y="')[1].split('"')[0]) for part in svg.split("<text")[1:] if ">name-" in part)
    assert len(places) == 8
    assert all(b - a >= 13.9 for a, b in itertools.pairwise(places))


def test_more_series_than_colours_are_counted() -> None:
    """The largest are named, the others grey and counted."""
    svg = draw(picture(*(series(lambda _, k=k: float(k), s=f"s{k}") for k in range(14)))).svg

    assert "and 4 more" in svg
    assert ">s13" in svg
    assert ">s3" not in svg


def test_marks_have_labels_that_do_not_overlap() -> None:
    """Deployments close together are all marked; labels without room are counted, and an alert's label comes first."""
    marks = tuple(Marker(START + timedelta(minutes=20, seconds=20 * number), f"checkout 1.5.{number}") for number in range(7))
    alert = Marker(START + timedelta(minutes=21), "CheckoutLatencyHigh", "alert")

    svg = draw(picture(series(float), markers=(*marks, alert))).svg

    assert svg.count("stroke-dasharray") == 8
    assert "CheckoutLatencyHigh" in svg
    assert "5 more marks without room for a label" in svg


def test_a_mark_outside_of_the_window_is_not_drawn() -> None:
    """Only what happened in the window is marked."""
    svg = draw(picture(series(float), markers=(Marker(START - timedelta(hours=1), "before"),))).svg

    assert "before" not in svg


def test_a_picture_in_words() -> None:
    """Who cannot see the picture reads names, figures and marks."""
    shown = picture(
        series(lambda n: 0.1 + (0.9 if n > 100 else 0), service="checkout", job="checkout"),
        series(lambda _: 0.02, service="catalog", job="catalog"),
        title="p95",
        unit="seconds",
        markers=(Marker(START + timedelta(minutes=25), "checkout 1.5.1"),),
    )

    assert describe(shown).split("\n") == [
        "p95, 2026-11-24 10:30 – 11:30 UTC.",
        "checkout: last 1 s, min 0.1 s, max 1 s",
        "catalog: last 20 ms, min 20 ms, max 20 ms",
        "10:55 UTC deployment checkout 1.5.1",
    ]


@pytest.mark.parametrize("wanted", [[], [5.0], [5, 5, 5], [0, 1, 2, 100], [-50, 500], [99, 98, 97, 96]])
def test_labels_are_spread(wanted: list[float]) -> None:
    """Places keep their order and their distance, within the bounds."""
    places = spread(wanted, 10, 0, 100)

    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    assert all(places[b] - places[a] >= 9.999 for a, b in itertools.pairwise(order))
    assert all(-0.001 <= place <= 100.001 for place in places)


def test_long_text_is_cut_in_its_middle() -> None:
    """What does not fit loses its middle, as beginnings and ends tell names apart."""
    cut = fitted("checkout-deployment-7f9c6d5b8-x2k4p", 11, 100)

    assert width(cut, 11) <= 100
    assert (cut[:5], cut[-3:]) == ("check", "k4p")
    assert "…" in cut

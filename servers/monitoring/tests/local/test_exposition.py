"""What targets answer is read with care: bounded, and broken parts left out."""

import math

import pytest
from opsroom_monitoring.sources.local.exposition import MAX_SAMPLES, parse_exposition


def test_samples_labels_and_descriptions_are_read() -> None:
    """Names, labels with escapes, values and what HELP and TYPE say arrive."""
    found = parse_exposition(
        "# HELP requests_total Requests by path.\n# TYPE requests_total counter\n"
        'requests_total{path="/a\\"b\\\\c",code="200"} 12 1700000000000\n'
        "temperature -3.5e1\n"
        "odd NaN\n# EOF\n"
    )

    assert [(each.name, each.labels) for each in found.samples] == [
        ("requests_total", (("code", "200"), ("path", '/a"b\\c'))),
        ("temperature", ()),
        ("odd", ()),
    ]
    assert [each.value for each in found.samples[:2]] == [12.0, -35.0]
    assert math.isnan(found.samples[2].value)
    assert (found.about["requests_total"].type, found.about["requests_total"].help) == ("counter", "Requests by path.")
    assert found.broken == 0


@pytest.mark.parametrize(
    "line",
    [
        "<html><body>404</body></html>",
        'a{b="c" 1',
        'a{b="c",b="d"} 1',
        "a 1_000",
        "a one",
        "1a 1",
        "a" * 300 + " 1",
        'a{b="' + "x" * 5_000 + '"} 1',
        "a" + "{" * 5_000,
        'a{b="' + "\\" * 7_000,
        "a{" + ",".join(f'l{number}="x"' for number in range(40)) + "} 1",
    ],
)
def test_a_broken_line_is_left_out_alone(line: str) -> None:
    """What is no sample is counted, and the lines around it are read."""
    found = parse_exposition(f"before 1\n{line}\nafter 2\n")

    assert [each.name for each in found.samples] == ["before", "after"]
    assert found.broken == 1


def test_more_samples_than_the_limit_are_left_out() -> None:
    """A target that answers without end costs no more than the limit, and what is missing is known."""
    found = parse_exposition("\n".join(f'a{{n="{number}"}} 1' for number in range(MAX_SAMPLES + 7)))

    assert (len(found.samples), found.left_out) == (MAX_SAMPLES, 7)


def test_values_of_labels_lose_what_controls_a_terminal() -> None:
    """An escape sequence in a label does not reach whoever reads answers."""
    found = parse_exposition('a{b="x\x1b[31mred"} 1')

    assert found.samples[0].labels == (("b", "xred"),)


def test_a_series_that_stands_twice_counts_once() -> None:
    """The first value of a repeated series is kept, as two at one time cannot be."""
    found = parse_exposition('a{b="c"} 1\na{b="c"} 2\n')

    assert [each.value for each in found.samples] == [1.0]

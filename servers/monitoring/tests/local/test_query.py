"""What the local source does not do it says; what could cost too much it refuses."""

from pathlib import Path

import numpy as np
import pytest
from opsroom_monitoring.sources.local.matching import pattern_test
from opsroom_monitoring.sources.local.query import MAX_STEPS, evaluate
from opsroom_shared.errors import InvalidInput, TooLarge

from .shelf import NOON, at_noon, exposed, fill, store_in


@pytest.mark.parametrize(
    "query",
    [
        "predict_linear(a[5m], 60)",
        "rate(a[5m:1m])",
        "max_over_time(rate(a[1m])[5m:1m])",
        "quantile(0.9, a)",
        "count_values('x', a)",
        "a and b",
        "a unless b",
        "a or b",
        "a * on (x) group_left (y) b",
        "a @ 1000",
        "label_replace(a, 'x', '$1', 'y', '(.*)')",
        "absent(a)",
        "time()",
    ],
)
def test_what_needs_a_prometheus_is_said(tmp_path: Path, query: str) -> None:
    """PromQL beyond the subset is refused with what is supported."""
    store = store_in(tmp_path)
    fill(store, "a", [(-10, 1.0)])

    with pytest.raises(InvalidInput, match=r"needs a Prometheus, and none is configured. The local source takes selectors"):
        at_noon(store, query)

    store.close()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("rate(a)", "expected type matrix"),
        ("sum(", "cannot be parsed"),
        ("a[5m]", "is a range"),
        ('"text"', "is no metric"),
        ("((" * 200 + "a" + "))" * 200, "nested"),
        ("a" * 5_000, "longer than"),
        ('{x="1" or y="2"}', "`or` between matchers"),
        ("sum(1)", ""),
    ],
)
def test_a_wrong_query_is_refused_in_words(tmp_path: Path, query: str, words: str) -> None:
    """What cannot be evaluated is the caller's to change, and the message says what is wrong."""
    store = store_in(tmp_path)

    with pytest.raises(InvalidInput) as refused:
        at_noon(store, query)

    assert words in str(refused.value)
    store.close()


def test_two_series_that_would_become_one_are_refused(tmp_path: Path) -> None:
    """Series that differ in their names alone cannot both be a rate; the message names the labels."""
    store = store_in(tmp_path)
    for at in (-60, -30):
        store.append("x", NOON + at, [exposed("a", 1.0, job="x"), exposed("b", 2.0, job="x")])

    with pytest.raises(InvalidInput, match="same labels"):
        at_noon(store, 'rate({job="x"}[5m])')

    store.close()


def test_many_to_many_is_refused(tmp_path: Path) -> None:
    """Where several series match one, the labels in conflict are named."""
    store = store_in(tmp_path)
    store.append("x", NOON, [exposed("a", 1.0, job="x", n="1"), exposed("a", 1.0, job="x", n="2"), exposed("b", 1.0, job="x")])

    with pytest.raises(InvalidInput, match=r"'job': 'x'.*one to one"):
        at_noon(store, "a / on (job) b")

    store.close()


def test_a_counter_that_began_again_does_not_fall(tmp_path: Path) -> None:
    """A reset counts as the growth since it, never as a fall."""
    store = store_in(tmp_path)
    fill(store, "a", [(-240 + 60 * number, value) for number, value in enumerate((100.0, 110.0, 5.0, 15.0, 25.0))])

    assert at_noon(store, "increase(a[4m])") == {(): pytest.approx(35.0)}
    store.close()


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "x{1,9999}{1,9999}", "(", "a" * 600])
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    """What is broken, too large or beyond the syntax of Prometheus is refused with the reason."""
    with pytest.raises(InvalidInput):
        pattern_test(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", ".*.*.*.*.*x", "(a*)*b"])
def test_a_pattern_cannot_run_for_ages(pattern: str) -> None:
    """A pattern that would backtrack for years on a hostile text is decided at once; a hang would end the test."""
    assert pattern_test(pattern)("a" * 2_000 + "!") is False


def test_too_many_steps_and_cells_are_refused(tmp_path: Path) -> None:
    """A question that would need too much memory is refused before it is answered."""
    store = store_in(tmp_path)
    store.append("x", NOON, [exposed("a", 1.0, n=str(number)) for number in range(1_000)])

    with pytest.raises(InvalidInput, match="longer step"):
        evaluate(store, "a", NOON + np.arange(MAX_STEPS + 1.0))
    with pytest.raises(TooLarge, match="1,000 series"):
        evaluate(store, "a", NOON + np.arange(10_000.0))

    store.close()

"""The local source answers what a real Prometheus with the same samples answers."""

import math
from collections.abc import Generator

import numpy as np
import pytest
from opsroom_monitoring.sources.local.exposition import LabelSet
from opsroom_monitoring.sources.local.query import Vector, evaluate
from opsroom_monitoring.sources.local.store import STALE, Store

from .prometheus_twin import Points, ask, prometheus_with, require_prometheus
from .shelf import NOON, store_in

START, END, STEP = NOON + 61.7, NOON + 3_500.3, 37.0
BOUNDS = ("0.1", "0.5", "1", "2.5", "+Inf")
QUERIES = (
    "requests_total",
    'requests_total{service="a"}',
    'requests_total{service=~"a|b",status!="500"}',
    'requests_total{service!~"a.*"}',
    '{__name__=~"temp.*"}',
    "requests_total offset 5m",
    "rate(requests_total[5m])",
    "rate(requests_total[1m])",
    "increase(requests_total[10m])",
    "irate(requests_total[3m])",
    "delta(temperature[10m])",
    "rate(requests_total[5m] offset 10m)",
    "avg_over_time(temperature[7m])",
    "max_over_time(temperature[7m])",
    "min_over_time(temperature[7m])",
    "sum_over_time(temperature[7m])",
    "count_over_time(temperature[7m])",
    "sum(rate(requests_total[5m]))",
    "sum by (service) (rate(requests_total[5m]))",
    "sum without (status) (rate(requests_total[5m]))",
    "avg by (status) (requests_total)",
    "min(temperature)",
    "max by (service) (temperature)",
    "count by (service) (requests_total)",
    "topk(2, rate(requests_total[5m]))",
    "bottomk by (service) (1, rate(requests_total[5m]))",
    "temperature * 2 + 1",
    "1 / temperature",
    "-temperature",
    "temperature % 7",
    "temperature ^ 2",
    "2 ^ 3 ^ 0.5 + vector_free * 0",
    "temperature > 20",
    "temperature > bool 20",
    "20 < temperature",
    "temperature == temperature",
    "1 < bool 2",
    'sum by (service) (rate(requests_total{status="500"}[5m])) / sum by (service) (rate(requests_total[5m]))',
    "temperature / on (service) sum by (service) (rate(requests_total[5m]))",
    'requests_total{status="500"} / ignoring (status) requests_total{status="200"}',
    'requests_total{status="500"} < ignoring (status) requests_total{status="200"}',
    "histogram_quantile(0.9, rate(seconds_bucket[5m]))",
    "histogram_quantile(0.5, sum by (le) (rate(seconds_bucket[10m])))",
    "histogram_quantile(1.5, sum by (le) (rate(seconds_bucket[10m])))",
    "histogram_quantile(0.99, sum by (service, le) (seconds_bucket))",
)


def _samples() -> dict[str, tuple[list[tuple[str, LabelSet]], np.ndarray, np.ndarray]]:
    """By source: series, times and values, with resets, a hole, a series that ends and one that is not a number."""
    dice = np.random.default_rng(7)
    found: dict[str, tuple[list[tuple[str, LabelSet]], np.ndarray, np.ndarray]] = {}
    for number, service in enumerate(("a", "b", "ab")):
        times = NOON + 3.217 * number + np.arange(240) * 15.0 + dice.integers(0, 40, 240) / 1_000
        kept = (np.arange(240) < 90) | (np.arange(240) > 125 + 10 * number)
        names: list[tuple[str, LabelSet]] = []
        columns: list[np.ndarray] = []
        for status in ("200", "404", "500"):
            counter = np.cumsum(dice.poisson(3.0 if status == "200" else 0.4, 240)).astype(np.float64)
            counter[160:] -= counter[160] - 2  # it began again
            names.append(("requests_total", (("service", service), ("status", status))))
            columns.append(counter)
        names.append(("temperature", (("service", service),)))
        columns.append(20 + 5 * np.sin(np.arange(240) / 20) + dice.normal(0, 1, 240))
        per_bound = np.cumsum(dice.poisson((1.0, 3.0, 2.0, 0.5, 0.1), (240, 5)), axis=0)
        for place, bound in enumerate(BOUNDS):
            names.append(("seconds_bucket", (("le", bound), ("service", service))))
            columns.append(np.cumsum(per_bound, axis=1)[:, place].astype(np.float64))
        names.append(("vector_free", (("service", service),)))
        columns.append(np.ones(240))
        found[service] = names, times[kept].round(3), np.stack(columns, axis=1)[kept]
    return found


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Store, str]]:
    require_prometheus()
    folder = tmp_path_factory.mktemp("twins")
    store = store_in(folder)
    flat: list[tuple[str, dict[str, str], float, float]] = []
    for source, (names, times, values) in _samples().items():
        store.append_history(source, names, times, values)
        for column, (name, labels) in enumerate(names):
            flat += [(name, dict(labels), float(at), float(value)) for at, value in zip(times, values[:, column], strict=True)]
    with prometheus_with(flat, folder) as url:
        yield store, url
    store.close()


@pytest.mark.parametrize("query", QUERIES)
def test_the_same_answer_as_prometheus(twins: tuple[Store, str], query: str) -> None:
    """Series, times and values of a range query are those of a Prometheus that holds the same samples."""
    store, url = twins

    theirs = ask(url, query, START, END, STEP)
    ours = _ours(store, query)

    assert theirs, "the query must have an answer to be compared"
    assert ours.keys() == theirs.keys()
    for labels, points in theirs.items():
        assert [at for at, _ in ours[labels]] == pytest.approx([at for at, _ in points], abs=0.002)
        assert [value for _, value in ours[labels]] == pytest.approx([value for _, value in points], rel=1e-6, nan_ok=True)


def _ours(store: Store, query: str) -> Points:
    steps = START + np.arange(int((END - START) / STEP + 1e-6) + 1, dtype=np.float64) * STEP
    found = evaluate(store, query, steps)
    if not isinstance(found, Vector):
        return {(): list(zip(steps.tolist(), found.tolist(), strict=True))}
    return {
        tuple(sorted(labels.items())): [
            (at, value) for at, value, there in zip(steps.tolist(), values.tolist(), present.tolist(), strict=True) if there
        ]
        for labels, values, present in zip(found.labels, found.values, found.present, strict=True)
    }


def test_what_is_gone_is_not_what_is_not_a_number() -> None:
    """The mark of a series that has gone is told from a NaN that a target sends."""
    assert math.isnan(float(STALE[0]))
    assert STALE.view(np.uint64)[0] != np.array([math.nan]).view(np.uint64)[0]

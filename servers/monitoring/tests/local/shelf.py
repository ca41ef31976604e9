"""A store on a temporary file, and what tests put into it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from opsroom_monitoring.sources.local.exposition import Exposed
from opsroom_monitoring.sources.local.query import Value, Vector, evaluate
from opsroom_monitoring.sources.local.store import Store

DAY = 86_400.0
NOON = 1_795_600_800.0
"""A fixed moment; a store does not mind what time it is."""


def store_in(folder: Path, **limits: int) -> Store:
    return Store(folder / "telemetry.db", DAY, **limits)


def exposed(name: str, value: float, **labels: str) -> Exposed:
    return Exposed(name, tuple(sorted(labels.items())), value)


def fill(store: Store, name: str, points: Iterable[tuple[float, float]], **labels: str) -> None:
    """Points of one series, each seen in a look of its own."""
    for at, value in points:
        store.append("test", NOON + at, [exposed(name, value, **labels)])


def at_noon(store: Store, query: str, offset: float = 0.0) -> Mapping[tuple[tuple[str, str], ...], float]:
    """The values of *query* at one moment, by labels."""
    found: Value = evaluate(store, query, np.array([NOON + offset]))
    if not isinstance(found, Vector):
        return {(): float(found[0])}
    return {tuple(sorted(labels.items())): float(value) for labels, value in zip(found.labels, found.values[:, 0], strict=True)}

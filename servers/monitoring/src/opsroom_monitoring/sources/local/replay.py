"""Evaluates rules over a past that is already in the store, as if this server had watched it."""

import numpy as np

from ...settings import LocalRule
from .exposition import Exposed, LabelSet
from .query import Vector, evaluate
from .rules import SOURCE, alert_labels, holds, samples_of
from .store import Floats, Store


def replay(store: Store, rules: tuple[LocalRule, ...], times: Floats) -> None:
    """Writes what the alerts of *rules* were at each of *times*."""
    seen: list[list[Exposed]] = [[] for _ in times]
    for rule in rules:
        found = evaluate(store, rule.query, times)
        if not isinstance(found, Vector):
            continue
        for labels, values, present in zip(found.labels, found.values, found.present, strict=True):
            began: float | None = None
            named = alert_labels(rule, labels)
            for step in np.flatnonzero(np.concatenate((present, [False]))).tolist():
                at = float(times[step])
                if not holds(rule, float(values[step])):
                    began = None
                    continue
                began = at if began is None or not present[step - 1] else began
                seen[step] += samples_of(rule, named, began, at)
    begin = 0
    for end in range(1, len(times) + 1):
        # looks at the same alerts are written together, which is much faster
        if end == len(times) or _names(seen[end]) != _names(seen[begin]):
            values = np.array([[each.value for each in samples] for samples in seen[begin:end]], dtype=np.float64)
            store.append_history(SOURCE, _names(seen[begin]), times[begin:end], values)
            begin = end


def _names(samples: list[Exposed]) -> list[tuple[str, LabelSet]]:
    return [(each.name, each.labels) for each in samples]

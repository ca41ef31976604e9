"""Evaluates rules over a past that is already in the store, as if this server had watched it."""

from typing import TYPE_CHECKING

import numpy as np

from ...settings import LocalRule
from .query import Vector, evaluate
from .rules import SOURCE, alert_labels, holds, samples_of
from .store import Floats, Store

if TYPE_CHECKING:
    from .exposition import Exposed


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
    for at, samples in zip(times.tolist(), seen, strict=True):
        store.append(SOURCE, at, samples)

"""Threshold rules: which alerts are pending or firing, kept as the series ALERTS and ALERTS_FOR_STATE like in Prometheus."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from opsroom_shared.errors import ToolFailure

from ...settings import LocalRule
from .exposition import Exposed, LabelSet
from .query import Vector, evaluate
from .store import Known, Store

SOURCE = "rules"
_OUTAGE = 3_600.0
"""How long this server may have been away for an alert to go on as it was."""
_MAX_ALERTS = 500
"""Of one rule."""
_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def expression(rule: LocalRule) -> str:
    return f"{rule.query} {rule.op} {rule.threshold:g}"


def breaches(store: Store, rule: LocalRule, at: float) -> dict[LabelSet, float]:
    """The values beyond the threshold, by the labels of the alert. Raises a ToolFailure."""
    found = evaluate(store, rule.query, np.array([at]))
    if not isinstance(found, Vector):
        value = float(found[0])
        return {alert_labels(rule, {}): value} if holds(rule, value) else {}
    beyond = [(labels, float(value)) for labels, value in zip(found.labels, found.values[:, 0], strict=True)]
    kept = [(labels, value) for labels, value in beyond if holds(rule, value)]
    return {alert_labels(rule, labels): value for labels, value in kept[:_MAX_ALERTS]}


def holds(rule: LocalRule, value: float) -> bool:
    return _HOLDS[rule.op](value, rule.threshold)


def samples_of(rule: LocalRule, labels: LabelSet, began: float, at: float) -> tuple[Exposed, Exposed]:
    """How an alert is kept that has been beyond its threshold since *began*."""
    state = "firing" if at - began >= rule.for_seconds else "pending"
    return (
        Exposed("ALERTS", tuple(sorted((*labels, ("alertstate", state)))), 1.0),
        Exposed("ALERTS_FOR_STATE", labels, began),
    )


def alert_labels(rule: LocalRule, labels: Mapping[str, str]) -> LabelSet:
    own = {name: value for name, value in labels.items() if name != "__name__"}
    return tuple(sorted({**own, **rule.labels, "alertname": rule.name}.items()))


@dataclass
class RuleBook:
    """The rules, and since when each alert is beyond its threshold."""

    rules: tuple[LocalRule, ...]
    _since: dict[LabelSet, float] | None = field(default=None, init=False)

    def judge(self, store: Store, at: float) -> None:
        """Evaluates every rule and writes down what is pending and what fires."""
        before = self._since if self._since is not None else _left_behind(store, at)
        since: dict[LabelSet, float] = {}
        samples: list[Exposed] = []
        for rule in self.rules:
            try:
                found = breaches(store, rule, at)
            except ToolFailure:
                continue  # `rules` of the source says what is wrong with it
            for labels in found:
                began = since[labels] = before.get(labels, at)
                samples += samples_of(rule, labels, began, at)
        store.append(SOURCE, at, samples)
        self._since = since


def _left_behind(store: Store, at: float) -> dict[LabelSet, float]:
    """What an earlier process of this server knew at its last look."""
    known = [each for each in store.known("ALERTS_FOR_STATE") if each.source == SOURCE]
    return {
        tuple(sorted(series.labels.items())): value
        for block in store.read(known, at - _OUTAGE, at)
        for series, value in zip(block.series, block.values[-1], strict=True)
        if not np.isnan(value)
    }


@dataclass(frozen=True)
class Active:
    """An alert that is pending or fires now."""

    labels: Mapping[str, str]
    """With `alertname`."""
    state: str
    since: float
    """When it was first beyond its threshold."""


def active(store: Store, at: float, fresh_seconds: float) -> list[Active]:
    """What the last evaluation found, if that is not older than *fresh_seconds*."""
    known = [each for each in (*store.known("ALERTS"), *store.known("ALERTS_FOR_STATE")) if each.source == SOURCE]
    latest: dict[LabelSet, tuple[Known, float]] = {}
    states: list[Known] = []
    for block in store.read(known, at - fresh_seconds, at):
        for series, value in zip(block.series, block.values[-1], strict=True):
            if np.isnan(value):
                continue
            if series.name == "ALERTS":
                states.append(series)
            else:
                latest[tuple(sorted(series.labels.items()))] = series, float(value)
    found: list[Active] = []
    for series in states:
        labels = {name: value for name, value in series.labels.items() if name != "alertstate"}
        _, since = latest.get(tuple(sorted(labels.items())), (series, at))
        found.append(Active(labels, series.labels["alertstate"], since))
    return found


@dataclass(frozen=True)
class Turn:
    """An alert that began or ceased to fire."""

    labels: Mapping[str, str]
    at: float
    fires: bool


def turns(store: Store, start: float, end: float) -> list[Turn]:
    """When alerts began and ended between two times. While this server was away, nothing is known to have changed."""
    known = [each for each in store.known("ALERTS") if each.source == SOURCE and each.labels.get("alertstate") == "firing"]
    found: list[Turn] = []
    for block in store.read(known, start - _OUTAGE, end):
        fires = ~np.isnan(block.values)
        for column, series in enumerate(block.series):
            labels = {name: value for name, value in series.labels.items() if name != "alertstate"}
            # the state before the first look at all counts as not firing
            before = np.concatenate(([False], fires[:-1, column]))
            found += [
                Turn(labels, float(block.times[row]), bool(fires[row, column]))
                for row in np.flatnonzero(fires[:, column] != before)
                if block.times[row] >= start
            ]
    return sorted(found, key=lambda turn: turn.at)

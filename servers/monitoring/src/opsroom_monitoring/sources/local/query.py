"""Evaluates the part of PromQL that needs no Prometheus, over the local store."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias, cast

import numpy as np
import promql_parser as promql
from opsroom_shared.errors import InvalidInput, TooLarge

from .matching import matches, selector_of
from .rates import FUNCTIONS, LOOKBACK, Bools, is_stale, latest, quantile_of_buckets
from .store import Block, Floats, Store

MAX_STEPS = 11_000
_MAX_CELLS = 4_000_000
"""Series times steps of one part of an expression."""
_MAX_LENGTH = 4_000
_MAX_DEPTH = 100

SUPPORTED = (
    "selectors with matchers and offset, rate, increase, irate, delta, avg/min/max/sum/count_over_time of a range such as x[5m], "
    "sum, avg, min, max, count, topk and bottomk with by or without, histogram_quantile, + - * / % ^, comparisons, and two "
    "vectors one to one"
)

Names: TypeAlias = Mapping[str, str]
"""Labels, with `__name__` where the series has kept it."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A value for each series (row) and step (column), where *present* says that there is one."""

    labels: Sequence[Names]
    values: Floats
    present: Bools


Value: TypeAlias = "Vector | Floats"
"""A vector, or a scalar's value at each step."""

_ARITHMETIC: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
}
_COMPARISONS: Mapping[str, Callable[[Floats, Floats], Bools]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_AGGREGATIONS = ("sum", "avg", "min", "max", "count", "topk", "bottomk")


def parse(query: str) -> promql.Expr:
    """*query* as a tree. Raises InvalidInput."""
    if len(query) > _MAX_LENGTH:
        raise InvalidInput(f"The query is longer than {_MAX_LENGTH:,} characters.")
    try:
        return promql.parse(query)
    except ValueError as error:
        raise InvalidInput(f"{query[:100]!r} cannot be parsed: {error}.") from None


def evaluate(store: Store, query: str, steps: Floats) -> Value:
    """The value of *query* at each of *steps*. Raises InvalidInput and TooLarge."""
    if len(steps) > MAX_STEPS:
        raise InvalidInput(f"{len(steps):,} steps are more than {MAX_STEPS:,}. Use a longer step.")
    with np.errstate(all="ignore"):  # a division by zero is a value here
        return _Evaluation(store, steps).value(parse(query), 0)


class _Evaluation:
    def __init__(self, store: Store, steps: Floats) -> None:
        self._store, self._steps = store, steps

    def value(self, expression: promql.Expr, depth: int) -> Value:  # noqa: PLR0911 - one per kind of expression
        if depth > _MAX_DEPTH:
            raise InvalidInput(f"The query is nested deeper than {_MAX_DEPTH}.")
        match expression:
            case promql.ParenExpr():
                return self.value(expression.expr, depth + 1)
            case promql.NumberLiteral():
                return np.full(len(self._steps), expression.val)
            case promql.UnaryExpr():
                inner = self.value(expression.expr, depth + 1)
                return Vector(_unnamed(inner.labels), -inner.values, inner.present) if isinstance(inner, Vector) else -inner
            case promql.VectorSelector():
                return self._selected(expression)
            case promql.AggregateExpr():
                return self._aggregated(expression, depth)
            case promql.Call():
                return self._called(expression, depth)
            case promql.BinaryExpr():
                return self._combined(expression, depth)
            case _:
                raise _without_value(expression)

    def _vector(self, expression: promql.Expr, depth: int) -> Vector:
        found = self.value(expression, depth + 1)
        if isinstance(found, Vector):
            return found
        raise InvalidInput(f"{expression.prettify()} is a number where series are needed.")

    def _blocks(self, expression: promql.VectorSelector, back: float) -> tuple[list[Block], Floats]:
        if expression.at is not None:
            raise _unsupported("@")
        selector = selector_of(expression)
        tests = selector.tests()
        wanted = [each for each in self._store.known(selector.name) if matches(tests, each.labels, each.name)]
        if len(wanted) * len(self._steps) > _MAX_CELLS:
            raise TooLarge(f"{len(wanted):,} series at {len(self._steps):,} steps are too many. Use matchers, or a longer step.")
        steps = self._steps - _seconds(expression.offset)
        if not len(steps):
            return [], steps
        return self._store.read(wanted, float(steps[0]) - back, float(steps[-1])), steps

    def _selected(self, expression: promql.VectorSelector) -> Vector:
        blocks, steps = self._blocks(expression, LOOKBACK)
        parts = [latest(block.times, block.values, steps) for block in blocks]
        labels = [{"__name__": each.name, **each.labels} for block in blocks for each in block.series]
        return self._stacked(labels, parts)

    def _over_range(self, name: str, expression: promql.MatrixSelector) -> Vector:
        width = expression.range.total_seconds()
        blocks, steps = self._blocks(expression.vector_selector, width)
        labels: list[Names] = []
        parts: list[tuple[Floats, Bools]] = []
        for block in blocks:
            for column, each in enumerate(block.series):
                samples = block.values[:, column]
                there = ~is_stale(samples)
                if there.any():
                    values, present = FUNCTIONS[name](block.times[there], samples[there], steps, width)
                    parts.append((values[np.newaxis, :], present[np.newaxis, :]))
                    labels.append(each.labels)
        return _distinct(self._stacked(labels, parts))

    def _stacked(self, labels: Sequence[Names], parts: Sequence[tuple[Floats, Bools]]) -> Vector:
        if not parts:
            return Vector([], np.empty((0, len(self._steps))), np.empty((0, len(self._steps)), dtype=np.bool_))
        return _present_only(Vector(labels, np.vstack([each[0] for each in parts]), np.vstack([each[1] for each in parts])))

    def _called(self, call: promql.Call, depth: int) -> Vector:
        name, arguments = call.func.name, cast("list[promql.Expr]", call.args)
        if name in FUNCTIONS:
            inner = _bare(arguments[0])
            if not isinstance(inner, promql.MatrixSelector):
                raise _unsupported("A subquery")
            return self._over_range(name, inner)
        if name == "histogram_quantile":
            quantile = self.value(arguments[0], depth + 1)
            if isinstance(quantile, Vector):
                raise InvalidInput("The first argument of histogram_quantile is a number between 0 and 1.")
            return _quantiles(float(quantile[0]) if len(quantile) else np.nan, self._vector(arguments[1], depth))
        raise _unsupported(f"{name}()")

    def _aggregated(self, expression: promql.AggregateExpr, depth: int) -> Vector:
        name = str(expression.op)
        if name not in _AGGREGATIONS:
            raise _unsupported(name)
        vector, modifier = self._vector(expression.expr, depth), expression.modifier
        names = tuple(modifier.labels) if modifier else ()
        without = modifier is not None and modifier.type == promql.AggModifierType.Without

        def kept(labels: Names) -> Names:
            if without:
                return {key: value for key, value in labels.items() if key not in names and key != "__name__"}
            return {key: value for key in names if (value := labels.get(key))}

        groups = _grouped(vector.labels, kept)
        if name in ("topk", "bottomk"):
            number = self.value(cast("promql.Expr", expression.param), depth + 1)
            if isinstance(number, Vector):
                raise InvalidInput(f"The first argument of {name} is a number.")
            count = int(np.clip(np.nan_to_num(number[0]), 0, 10_000)) if len(number) else 0
            return _best(vector, list(groups.values()), count, highest=name == "topk")
        rows = [_reduced(name, vector.values[members], vector.present[members]) for members in groups.values()]
        return self._stacked([dict(key) for key in groups], [(row[np.newaxis, :], there[np.newaxis, :]) for row, there in rows])

    def _combined(self, expression: promql.BinaryExpr, depth: int) -> Value:
        op, modifier = str(expression.op), expression.modifier
        if op not in _ARITHMETIC and op not in _COMPARISONS:
            raise _unsupported(op)
        as_number = modifier is not None and modifier.return_bool
        left, right = self.value(expression.lhs, depth + 1), self.value(expression.rhs, depth + 1)
        if not isinstance(left, Vector) and not isinstance(right, Vector):
            return _ARITHMETIC[op](left, right) if op in _ARITHMETIC else _COMPARISONS[op](left, right).astype(np.float64)
        if isinstance(left, Vector) and isinstance(right, Vector):
            left, right, labels = _paired(left, right, modifier, keep_name=op in _COMPARISONS and not as_number)
            both = Vector(labels, left.values, left.present & right.present)
            return _present_only(_applied(op, both, left.values, right.values, as_number=as_number))
        vector = left if isinstance(left, Vector) else cast("Vector", right)
        first = left.values if isinstance(left, Vector) else left
        second = right.values if isinstance(right, Vector) else right
        labels = vector.labels if op in _COMPARISONS and not as_number else _unnamed(vector.labels)
        kept = Vector(labels, vector.values, vector.present)
        return _distinct(_present_only(_applied(op, kept, first, second, as_number=as_number)))


def _applied(op: str, kept: Vector, first: Floats, second: Floats, *, as_number: bool) -> Vector:
    """An operator on both sides; *kept* is what a comparison lets through where it holds."""
    if op in _ARITHMETIC:
        return Vector(kept.labels, _ARITHMETIC[op](first, second), kept.present)
    holds = _COMPARISONS[op](first, second)
    if as_number:
        return Vector(kept.labels, np.broadcast_to(holds, kept.present.shape).astype(np.float64), kept.present)
    return Vector(kept.labels, kept.values, kept.present & holds)


def _paired(
    left: Vector, right: Vector, modifier: promql.BinModifier | None, *, keep_name: bool
) -> tuple[Vector, Vector, Sequence[Names]]:
    """The rows of both sides that belong together, in the same order, and the labels of what they give."""
    if modifier is not None and modifier.card != promql.VectorMatchCardinality.OneToOne:
        raise _unsupported("group_left and group_right")
    matching = modifier.matching if modifier else None
    listed = frozenset(matching.labels) if matching else frozenset[str]()
    on = matching is not None and matching.type == promql.LabelModifierType.Include

    def key(labels: Names) -> Names:
        return {name: value for name, value in labels.items() if name != "__name__" and (name in listed) == on}

    sides = [_grouped(side.labels, key) for side in (left, right)]
    pairs: list[tuple[int, int]] = []
    labels: list[Names] = []
    for shared, here in sides[0].items():
        there = sides[1].get(shared)
        if there is None:
            continue
        for side, rows in ((left, here), (right, there)):
            if len(rows) > 1 and (side.present[rows].sum(axis=0) > 1).any():
                raise InvalidInput(
                    f"Several series have the same labels {dict(shared)}, so that both sides do not match one to one. "
                    "Aggregate first, such as sum by (…), or match with on (…)."
                )
        for row in here:
            for other in there:
                pairs.append((row, other))
                named = (
                    {"__name__": left.labels[row]["__name__"]} if keep_name and not on and "__name__" in left.labels[row] else {}
                )
                labels.append({**named, **dict(shared)})
    mine, others = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return (
        Vector(labels, left.values[mine], left.present[mine]),
        Vector(labels, right.values[others], right.present[others]),
        labels,
    )


def _grouped(labels: Sequence[Names], key: Callable[[Names], Names]) -> dict[tuple[tuple[str, str], ...], list[int]]:
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for row, each in enumerate(labels):
        groups.setdefault(tuple(sorted(key(each).items())), []).append(row)
    return groups


def _reduced(name: str, values: Floats, present: Bools) -> tuple[Floats, Bools]:
    count = present.sum(axis=0)
    if name == "count":
        found = count.astype(np.float64)
    elif name in ("min", "max"):
        reduce = np.fmin if name == "min" else np.fmax
        found = reduce.reduce(np.where(present, values, np.nan), axis=0)
    else:
        total = np.where(present, values, 0.0).sum(axis=0)
        found = total if name == "sum" else total / np.maximum(count, 1)
    return found, count > 0


def _best(vector: Vector, groups: Sequence[list[int]], count: int, *, highest: bool) -> Vector:
    kept = np.zeros_like(vector.present)
    for members in groups:
        sign = -1.0 if highest else 1.0
        # what is not a number comes last, what is absent never
        ranks = np.where(np.isnan(vector.values[members]), np.inf, sign * vector.values[members])
        order = np.lexsort((ranks, ~vector.present[members]), axis=0)[:count]
        chosen = np.zeros((len(members), kept.shape[1]), dtype=np.bool_)
        np.put_along_axis(chosen, order, values=True, axis=0)
        kept[members] = chosen & vector.present[members]
    return _present_only(Vector(vector.labels, vector.values, kept))


def _quantiles(quantile: float, buckets: Vector) -> Vector:
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = {}
    for row, labels in enumerate(buckets.labels):
        try:
            bound = float(labels.get("le", ""))
        except ValueError:
            continue
        key = tuple(sorted((name, value) for name, value in labels.items() if name not in ("le", "__name__")))
        groups.setdefault(key, []).append((bound, row))
    steps = buckets.values.shape[1]
    values = np.full((len(groups), steps), np.nan)
    present = np.zeros((len(groups), steps), dtype=np.bool_)
    for place, members in enumerate(groups.values()):
        members.sort()
        bounds, rows = np.array([bound for bound, _ in members]), [row for _, row in members]
        there = buckets.present[rows]
        # steps that have the same buckets are computed together
        patterns, which = np.unique(there, axis=1, return_inverse=True)
        for number in range(patterns.shape[1]):
            chosen, columns = patterns[:, number], np.flatnonzero(which.reshape(-1) == number)
            if chosen.any():
                counts = buckets.values[np.ix_(np.array(rows)[chosen], columns)]
                values[place, columns] = quantile_of_buckets(quantile, bounds[chosen], counts)
                present[place, columns] = True
    return _present_only(Vector([dict(key) for key in groups], values, present))


def _present_only(vector: Vector) -> Vector:
    """Without the series that have no value at any step."""
    rows: list[int] = np.flatnonzero(vector.present.any(axis=1)).tolist()
    if len(rows) == len(vector.labels):
        return vector
    return Vector([vector.labels[row] for row in rows], vector.values[rows], vector.present[rows])


def _distinct(vector: Vector) -> Vector:
    """Raises InvalidInput where two series have the same labels at the same time; joins those that take turns."""
    groups = _grouped(vector.labels, lambda labels: labels)
    if len(groups) == len(vector.labels):
        return vector
    values, present = (
        np.empty((len(groups), vector.values.shape[1])),
        np.empty((len(groups), vector.values.shape[1]), dtype=np.bool_),
    )
    for place, (labels, rows) in enumerate(groups.items()):
        if (vector.present[rows].sum(axis=0) > 1).any():
            raise InvalidInput(f"Several series have the same labels {dict(labels)} once their name is gone. Name one metric.")
        values[place] = np.where(vector.present[rows], vector.values[rows], 0.0).sum(axis=0)
        present[place] = vector.present[rows].any(axis=0)
    return Vector([dict(labels) for labels in groups], values, present)


def _unnamed(labels: Sequence[Names]) -> Sequence[Names]:
    return [{name: value for name, value in each.items() if name != "__name__"} for each in labels]


def _bare(expression: promql.Expr) -> promql.Expr:
    while isinstance(expression, promql.ParenExpr):
        expression = expression.expr
    return expression


def _seconds(offset: timedelta | None) -> float:
    return offset.total_seconds() if offset is not None else 0.0


def _without_value(expression: promql.Expr) -> InvalidInput:
    match expression:
        case promql.MatrixSelector():
            return InvalidInput(
                f"{expression.prettify()} is a range, which has no value by itself. Put it into rate(), for example."
            )
        case promql.SubqueryExpr():
            return _unsupported("A subquery")
        case _:
            return InvalidInput(f"{expression.prettify()[:100]} is no metric.")


def _unsupported(what: str) -> InvalidInput:
    return InvalidInput(f"{what} needs a Prometheus, and none is configured. The local source takes {SUPPORTED}.")

"""Why a query gave nothing: no such metric, no data in the window, or a label that does not match."""

import difflib
from collections.abc import Sequence

import promql_parser

from .promql import BadQuery, Selector, metric_of, parsed
from .series import Window
from .sources import MetricsSource

_MOST = 5


async def explain(metrics: MetricsSource, query: str, window: Window) -> str:
    """One sentence with what to try. Asks the source a few cheap questions."""
    try:
        selectors = parsed(query).selectors
    except BadQuery:
        selectors = ()
    for selector in selectors:
        name = metric_of(selector)
        if name is not None and (reason := await _reason(metrics, selector, name, window)):
            return reason
    return "Nothing matched. The metrics exist: labels of two sides may not agree, or a comparison has filtered everything out."


async def _reason(metrics: MetricsSource, selector: Selector, name: str, window: Window) -> str | None:
    names = await metrics.metric_names()
    if name not in names:
        near = nearest(name, names)
        return f"There is no metric {name}." + (f" Similar: {', '.join(near)}." if near else " find_telemetry finds metrics.")
    if not await metrics.label_sets(name, window, 1):
        return f"{name} exists, but has no data in this window. Give another `start`."
    for matcher in selector.matchers.matchers:
        if matcher.name == "__name__" or matcher.op != promql_parser.MatchOp.Equal or not matcher.value:
            continue
        values = await metrics.label_values(matcher.name, name, window)
        if matcher.value not in values:
            return f"No series of {name} has {matcher.name}={matcher.value!r}. {_there_is(matcher.name, values)}"
    return None


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """The names that are most like *name*."""
    inside = [each for each in names if name in each or each in name]
    return list(dict.fromkeys([*sorted(inside, key=len)[:_MOST], *difflib.get_close_matches(name, names, _MOST, 0.6)]))[:_MOST]


def _there_is(label: str, values: Sequence[str]) -> str:
    if not values:
        return f"It has no label {label}."
    more = f" and {len(values) - _MOST} more" if len(values) > _MOST else ""
    return f"There are: {', '.join(values[:_MOST])}{more}."

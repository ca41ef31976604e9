"""The panels in a dashboard's JSON: what they ask of which data source, with the dashboard's variables filled in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue

from . import Panel

_MAX_PANELS = 500
_MAX_QUERIES = 30
_MAX_QUERY = 5_000
_MAX_TITLE = 200
_MAX_DEPTH = 3
"""Rows hold panels, and no more rows; what is nested deeper was made by hand."""
_ANY = "$__all"
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w{0,99})(?::\w{1,20})?\}|\[\[([A-Za-z_]\w{0,99})(?::\w{1,20})?\]\]|\$([A-Za-z_]\w{0,99})")
_QUERY_KEYS = ("expr", "query", "rawSql", "target")
# what Grafana computes from the width of the panel and its window; these fit the window that is usual, an hour or so
_BUILT_IN: Mapping[str, str] = {
    "__interval": "1m",
    "__rate_interval": "5m",
    "__range": "1h",
    "__range_s": "3600",
    "__range_ms": "3600000",
    "__interval_ms": "60000",
    "__auto": "5m",
}

Json = Mapping[str, JsonValue]


@dataclass(frozen=True)
class _Source:
    uid: str | None = None
    type: str | None = None


def panels_of(dashboard: str, model: Json) -> list[Panel]:
    """Panels without queries (texts, lists) are told too: a title may be what is looked for."""
    variables = _variables(model)
    found: list[Panel] = []
    for panel in _walk(model, 0):
        found += _panels(dashboard, panel, variables)
        if len(found) >= _MAX_PANELS:
            break
    return found[:_MAX_PANELS]


def _walk(holder: Json, depth: int) -> Iterator[Json]:
    """The panels of a dashboard or row. A row that is open has its panels beside it, a collapsed one and one of old inside."""
    if depth > _MAX_DEPTH:
        return
    for panel in _tables(holder.get("panels")):
        if panel.get("type") != "row":
            yield panel
        yield from _walk(panel, depth + 1)
    for row in _tables(holder.get("rows")):
        yield from _walk(row, depth + 1)


def _panels(dashboard: str, panel: Json, variables: Mapping[str, str]) -> list[Panel]:
    """One for each data source: a mixed panel has several."""
    number = panel.get("id")
    library = _table(panel.get("libraryPanel"))
    title = _text(panel.get("title")) or _text(library.get("name")) or "untitled"
    title = f"{title} (library panel {_text(library.get('name'))})" if library else title
    own = _source(panel.get("datasource"), variables)
    queries: dict[_Source, list[str]] = {}
    for target in _tables(panel.get("targets"))[:_MAX_QUERIES]:
        text = next((each for key in _QUERY_KEYS if isinstance(each := target.get(key), str) and each.strip()), None)
        if text is None or target.get("hide") is True:
            continue
        given = _source(target.get("datasource"), variables)
        source = given if given.uid or given.type else own
        queries.setdefault(source, []).append(redact(clean(_filled(text.strip(), variables), _MAX_QUERY)))
    blank = Panel(
        dashboard=dashboard,
        panel_id=number if isinstance(number, int) else 0,
        title=_filled(title, variables),
        queries=(),
        unit=_unit(panel),
        datasource=own.uid,
        datasource_type=own.type,
    )
    if not queries:
        return [blank]
    return [
        replace(blank, queries=tuple(texts), datasource=source.uid, datasource_type=source.type)
        for source, texts in queries.items()
    ]


def _variables(model: Json) -> dict[str, str]:
    """The chosen value of each variable, as it stands in a query: several are a regular expression of them."""
    found = dict(_BUILT_IN)
    for variable in _tables(_table(model.get("templating")).get("list")):
        name = variable.get("name")
        if not isinstance(name, str):
            continue
        chosen = _table(variable.get("current")).get("value", variable.get("query"))
        values = [str(each) for each in (chosen if isinstance(chosen, list) else [chosen]) if isinstance(each, (str, int, float))]
        if _ANY in values:
            everything = variable.get("allValue")
            values = [everything] if isinstance(everything, str) and everything else [".+"]
        if values:
            found[name] = values[0] if len(values) == 1 else f"({'|'.join(values)})"
    return found


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """A variable that is not known stays as it stands, so that it can be seen what is missing."""

    def value(found: re.Match[str]) -> str:
        return variables.get(found[1] or found[2] or found[3], found[0])

    return _VARIABLE.sub(value, text[:_MAX_QUERY])


def _source(value: JsonValue, variables: Mapping[str, str]) -> _Source:
    """A data source is an object with uid and type, its name in old dashboards, or a variable; `-- Mixed --` is none."""
    if isinstance(value, str):
        name = _filled(value, variables)
        return _Source() if name.startswith("--") else _Source(uid=_text(name))
    table = _table(value)
    uid, kind = table.get("uid"), table.get("type")
    name = _filled(uid, variables) if isinstance(uid, str) else ""
    if name.startswith("--") or kind == "datasource":
        return _Source()
    return _Source(uid=_text(name) or None, type=_text(kind) or None)


def _unit(panel: Json) -> str | None:
    unit = _table(_table(panel.get("fieldConfig")).get("defaults")).get("unit") or panel.get("format")
    if not unit:
        axes = _tables(panel.get("yaxes"))
        unit = axes[0].get("format") if axes else None
    return _text(unit) or None


def _text(value: JsonValue) -> str:
    return clean(value, _MAX_TITLE).strip() if isinstance(value, str) else ""


def _table(value: JsonValue) -> Json:
    return value if isinstance(value, dict) else {}


def _tables(value: JsonValue) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []

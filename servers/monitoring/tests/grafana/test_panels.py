"""What the panels of a dashboard ask."""

import pytest
from opsroom_monitoring.sources.grafana_panels import panels_of
from opsroom_shared.errors import InvalidInput, NotFound, Unavailable
from pydantic import JsonValue

from ..scripted import Answer, Scripted
from .conftest import Connect

PROMETHEUS: dict[str, JsonValue] = {"type": "prometheus", "uid": "p1"}


def panel(number: int, title: str, *queries: str, **more: JsonValue) -> JsonValue:
    targets: list[JsonValue] = [{"refId": "A", "expr": query} for query in queries]
    return {"id": number, "type": "timeseries", "title": title, "datasource": PROMETHEUS, "targets": targets, **more}


def dashboard(*panels: JsonValue, **more: JsonValue) -> dict[str, JsonValue]:
    return {"uid": "shop1", "title": "Shop", "panels": list(panels), **more}


async def test_panels_carry_query_unit_and_data_source(grafana: Scripted, connect: Connect) -> None:
    """A panel says what it asks, of whom, and in what unit."""
    model = dashboard(panel(4, "Latency", "up", fieldConfig={"defaults": {"unit": "s"}}))
    grafana.answer("GET /api/dashboards/uid/shop1", Answer({"dashboard": model, "meta": {"folderTitle": "Prod"}}))

    (found,) = await connect().panels("shop1")

    assert (found.dashboard, found.panel_id, found.title, found.queries, found.unit) == ("shop1", 4, "Latency", ("up",), "s")
    assert (found.datasource, found.datasource_type) == ("p1", "prometheus")


@pytest.mark.parametrize(
    "reference", ["https://g.example.com/d/shop1/shop?orgId=1&viewPanel=4", "/d-solo/shop1/shop", "https://g.example.com/d/shop1"]
)
async def test_pasted_address_is_a_reference(grafana: Scripted, connect: Connect, reference: str) -> None:
    """The address of a dashboard, as a browser shows it, names it."""
    grafana.answer("GET /api/dashboards/uid/shop1", Answer({"dashboard": dashboard(panel(1, "A", "up")), "meta": {}}))

    assert len(await connect().panels(reference)) == 1


async def test_unknown_dashboard_says_how_to_find_one(grafana: Scripted, connect: Connect) -> None:
    """A dashboard that is not there is not found, by its uid."""
    grafana.answer("GET /api/dashboards/uid/nope", Answer({"message": "Dashboard not found"}, 404))

    with pytest.raises(NotFound, match="has no dashboard 'nope'"):
        await connect().panels("nope")


async def test_path_is_no_dashboard(connect: Connect) -> None:
    """What is no uid is refused before anything is sent."""
    with pytest.raises(InvalidInput, match="no uid of a dashboard"):
        await connect().panels("../../admin/settings")


async def test_answer_without_a_dashboard_is_a_failure(grafana: Scripted, connect: Connect) -> None:
    """An empty dashboard and no dashboard are different answers."""
    grafana.answer("GET /api/dashboards/uid/x", Answer({"meta": {}}))

    with pytest.raises(Unavailable, match="no dashboard"):
        await connect().panels("x")


@pytest.mark.parametrize(
    "model",
    [
        dashboard({"type": "row", "title": "Open"}, panel(1, "A", "up")),
        dashboard({"type": "row", "title": "Collapsed", "panels": [panel(1, "A", "up")]}),
        {"rows": [{"title": "Old", "panels": [panel(1, "A", "up")]}]},
    ],
)
def test_panels_in_rows_are_found(model: dict[str, JsonValue]) -> None:
    """Open rows, collapsed rows and rows of old dashboards are the same to the reader."""
    assert [(each.title, each.queries) for each in panels_of("d", model)] == [("A", ("up",))]


def test_endless_nesting_ends() -> None:
    """A dashboard of rows in rows in rows costs no more than a real one."""
    row: JsonValue = panel(1, "deep", "up")
    for _ in range(500):
        row = {"type": "row", "panels": [row]}

    assert panels_of("d", dashboard(row)) == []


def test_number_of_panels_is_bounded() -> None:
    """A dashboard with thousands of panels is cut."""
    assert len(panels_of("d", dashboard(*(panel(number, "x", "up") for number in range(2_000))))) == 500


def test_library_panel_is_told() -> None:
    """A panel of the library says so; one whose content was not sent along is told by its name."""
    full = panel(1, "Errors", "up", libraryPanel={"uid": "l1", "name": "Shared errors"})
    bare: JsonValue = {"id": 2, "libraryPanel": {"uid": "l2", "name": "Shared load"}}

    found = panels_of("d", dashboard(full, bare))

    assert [each.title for each in found] == ["Errors (library panel Shared errors)", "Shared load (library panel Shared load)"]
    assert [each.queries for each in found] == [("up",), ()]


def test_mixed_panel_is_one_for_each_data_source() -> None:
    """A panel that asks several data sources is told once for each, with its own queries."""
    targets: list[JsonValue] = [
        {"expr": "up", "datasource": PROMETHEUS},
        {"expr": '{app="x"}', "datasource": {"type": "loki", "uid": "l1"}},
        {"expr": "down", "datasource": PROMETHEUS, "hide": True},
        {"rawSql": "select 1", "datasource": {"type": "mysql", "uid": "m1"}},
    ]
    mixed: JsonValue = {"id": 1, "title": "Mix", "datasource": {"type": "datasource", "uid": "-- Mixed --"}, "targets": targets}

    found = panels_of("d", dashboard(mixed))

    assert [(each.datasource_type, each.datasource, each.queries) for each in found] == [
        ("prometheus", "p1", ("up",)),
        ("loki", "l1", ('{app="x"}',)),
        ("mysql", "m1", ("select 1",)),
    ]


@pytest.mark.parametrize(
    ("query", "filled"),
    [
        ('up{job="$job"}', 'up{job="shop"}'),
        ('up{pod=~"${pod:regex}"}', 'up{pod=~"(a|b)"}'),
        ('up{zone=~"[[zone]]"}', 'up{zone=~".+"}'),
        ('up{cell=~"$cell"}', 'up{cell=~"c.*"}'),
        ("rate(x[$__rate_interval])", "rate(x[5m])"),
        ("x{y=~'$unknown$'}", "x{y=~'$unknown$'}"),
        ("up > $limit", "up > 3"),
    ],
)
def test_variables_are_filled_in(query: str, filled: str) -> None:
    """A query can be run as it is told: with what the dashboard has chosen; an unknown variable stays to be seen."""
    chosen: list[JsonValue] = [
        {"name": "job", "current": {"value": "shop"}},
        {"name": "pod", "current": {"value": ["a", "b"]}},
        {"name": "zone", "current": {"value": ["$__all"]}},
        {"name": "cell", "allValue": "c.*", "current": {"value": "$__all"}},
        {"name": "limit", "type": "constant", "query": "3"},
    ]

    (found,) = panels_of("d", dashboard(panel(1, "A", query), templating={"list": chosen}))

    assert found.queries == (filled,)


def test_data_source_by_variable_or_name() -> None:
    """A data source may be a variable, a name as of old, or missing."""
    chosen: list[JsonValue] = [{"name": "ds", "type": "datasource", "current": {"value": "p9"}}]
    model = dashboard(
        panel(1, "A", "up", datasource={"type": "prometheus", "uid": "${ds}"}),
        panel(2, "B", "up", datasource="Prometheus"),
        panel(3, "C", "up", datasource=None),
        templating={"list": chosen},
    )

    assert [each.datasource for each in panels_of("d", model)] == ["p9", "Prometheus", None]


@pytest.mark.parametrize("panels", [3, None, [None, 1, "x", []], {"a": 1}])
def test_broken_model_has_no_panels(panels: JsonValue) -> None:
    """JSON of another shape is an empty dashboard, not a crash."""
    assert panels_of("d", {"panels": panels, "templating": [], "rows": 3}) == []


def test_unit_of_an_old_panel() -> None:
    """Graphs of old keep the unit at their axis."""
    (found,) = panels_of("d", dashboard(panel(1, "A", "up", yaxes=[{"format": "bytes"}])))

    assert found.unit == "bytes"

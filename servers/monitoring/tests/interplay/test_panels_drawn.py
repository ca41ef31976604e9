"""Panels of a dashboard, drawn: only those whose queries the metrics source understands."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastmcp import Client
from opsroom_monitoring.server import build
from opsroom_monitoring.settings import MonitoringSettings

from ..scripted import Answer, Scripted, scripted

if TYPE_CHECKING:
    from pydantic import JsonValue


def panel(number: int, kind: str, query: str) -> "JsonValue":
    target: JsonValue = {"refId": "A", "expr": query, "datasource": {"type": kind, "uid": kind}}
    return {"id": number, "type": "timeseries", "title": f"Panel {number}", "datasource": {"type": kind}, "targets": [target]}


@pytest.fixture
def grafana() -> Generator[Scripted]:
    """A Grafana with one dashboard of two panels."""
    panels: list[JsonValue] = [panel(4, "prometheus", "node_load1"), panel(5, "loki", '{service="shop"}')]
    model: JsonValue = {"uid": "shop1", "title": "Shop", "panels": panels}
    with scripted() as server:
        server.answer("GET /api/dashboards/uid/shop1", Answer({"dashboard": model, "meta": {}}))
        yield server


@pytest.fixture
async def client(grafana: Scripted, tmp_path: Path) -> AsyncGenerator[Client[Any]]:
    """A server that reads dashboards from that Grafana, and metrics from the machine itself."""
    settings = MonitoringSettings.model_validate({"state": tmp_path, "grafana": {"url": grafana.url}, "local": {}})
    async with Client(build(settings).mcp, timeout=60) as found:
        yield found


async def test_panel_on_metrics_is_drawn(client: Client[Any]) -> None:
    """A panel that asks a Prometheus gives a picture under its title."""
    result = await client.call_tool("plot_metrics", {"panel": "shop1/4"})

    assert [content.type for content in result.content] == ["text", "image"]
    assert "Panel 4" in str(result.content[0])


@pytest.mark.parametrize(("asked", "words"), [("shop1/5", "The panel asks loki"), ("shop1/9", "no panel 9")])
async def test_other_panel_is_refused(client: Client[Any], asked: str, words: str) -> None:
    """A query in another language is never sent to the metrics source, and a panel that is not there is said."""
    result = await client.call_tool("plot_metrics", {"panel": asked}, raise_on_error=False)

    assert result.is_error
    assert words in str(result.content)

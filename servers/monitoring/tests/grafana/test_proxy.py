"""A panel's query, asked of its data source through Grafana."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import GrafanaSettings
from opsroom_monitoring.sources import LogQuery
from opsroom_monitoring.sources.grafana import proxied_loki, proxied_prometheus
from opsroom_monitoring.sources.loki import LokiLogs
from opsroom_monitoring.sources.prometheus import PrometheusMetrics
from opsroom_shared.errors import NotPermitted, ToolFailure, Unavailable

from ..scripted import Answer, Scripted
from .conftest import Connect

if TYPE_CHECKING:
    from pydantic import JsonValue

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(minutes=1), END)
PROXY = "/api/datasources/proxy/uid"
PROMETHEUS, LOKI = f"POST {PROXY}/p1/api/v1/query_range", f"GET {PROXY}/l1/loki/api/v1/query_range"


def settings(grafana: Scripted) -> GrafanaSettings:
    return GrafanaSettings.model_validate({"url": grafana.url, "token": "a-token-of-no-account", "org_id": 2})


async def test_panel_is_asked_through_grafana(grafana: Scripted, connect: Connect) -> None:
    """The query of a panel goes to its data source by Grafana's proxy, with Grafana's token, and values come back."""
    target: JsonValue = {"expr": "up", "datasource": {"type": "prometheus", "uid": "p1"}}
    model: JsonValue = {"panels": [{"id": 1, "title": "Up", "targets": [target]}]}
    matrix: JsonValue = [{"metric": {"__name__": "up", "job": "shop"}, "values": [[END.timestamp(), "1"]]}]
    grafana.answer("GET /api/dashboards/uid/shop1", Answer({"dashboard": model, "meta": {}}))
    grafana.answer(PROMETHEUS, Answer({"status": "success", "data": {"resultType": "matrix", "result": matrix}}))
    (panel,) = await connect().panels("shop1")

    metrics = PrometheusMetrics("prometheus", proxied_prometheus(settings(grafana), panel.datasource or ""), {})
    result = await metrics.range(panel.queries[0], WINDOW, 15)
    await metrics.aclose()

    assert [(each.labels["job"], each.values) for each in result.series] == [("shop", (1.0,))]
    assert grafana.last.headers["authorization"] == "Bearer a-token-of-no-account"
    assert grafana.last.headers["x-grafana-org-id"] == "2"


async def test_lines_are_read_through_grafana(grafana: Scripted) -> None:
    """A Loki that only Grafana reaches is asked by Grafana's proxy."""
    streams: JsonValue = [{"stream": {"app": "a"}, "values": [["1795521500000000000", "hello"]]}]
    grafana.answer(LOKI, Answer({"status": "success", "data": {"resultType": "streams", "result": streams}}))
    logs = LokiLogs("loki", proxied_loki(settings(grafana), "l1"))

    found = await logs.lines(LogQuery('{app="a"}', WINDOW, 5))
    await logs.aclose()

    assert [line.text for line in found] == ["hello"]
    assert grafana.last.headers["x-grafana-org-id"] == "2"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer({"message": "You'll need additional permissions"}, 403), NotPermitted),
        (Answer({"message": "Unauthorized"}, 401), NotPermitted),
        (Answer(text="<html>Log in</html>", content_type="text/html"), Unavailable),
    ],
)
async def test_refusal_of_the_proxy_is_told(grafana: Scripted, answer: Answer, failure: type[ToolFailure]) -> None:
    """What Grafana answers in place of the data source is a failure, not an hour without lines or values."""
    grafana.answer(LOKI, answer)
    grafana.answer(PROMETHEUS, answer)
    logs = LokiLogs("loki", proxied_loki(settings(grafana), "l1"))
    metrics = PrometheusMetrics("prometheus", proxied_prometheus(settings(grafana), "p1"), {})

    with pytest.raises(failure):
        await logs.lines(LogQuery('{app="a"}', WINDOW, 5))
    with pytest.raises(failure):
        await metrics.range("up", WINDOW, 15)
    await logs.aclose()
    await metrics.aclose()

"""The server with some of its sources down: the others answer, and what is missing is said."""

import sys
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastmcp import Client
from opsroom_monitoring.server import build
from opsroom_monitoring.settings import MonitoringSettings

from ..grafana.contract import breaches
from ..scripted import Answer, Scripted, scripted

if TYPE_CHECKING:
    from pydantic import JsonValue

NOWHERE = "http://127.0.0.1:9"
SHOP = '{service="shop"}'


@pytest.fixture
def grafana() -> Generator[Scripted]:
    """A Grafana that knows a deployment of ten minutes ago, and a dashboard."""
    at = datetime.now(UTC) - timedelta(minutes=10)
    text = "deploy checkout 1.4.0 → 1.4.1: succeeded, by ann"
    tags: list[JsonValue] = ["deployment", "checkout", "prod", "succeeded"]
    with scripted() as server:
        server.answer("GET /api/health", Answer({"database": "ok"}))
        server.answer("GET /api/search", Answer([{"uid": "shop1", "title": "Shop"}]))
        server.answer(
            "GET /api/annotations", Answer([{"id": 1, "time": int(at.timestamp() * 1_000), "tags": tags, "text": text}])
        )
        yield server
        assert breaches(server) == []


@pytest.fixture
def loki() -> Generator[Scripted]:
    """A Loki of some lines, without patterns of its own."""
    now = int(datetime.now(UTC).timestamp())
    values: list[JsonValue] = [[f"{now - number}000000000", f"took {number} ms"] for number in range(3)]
    with scripted() as server:
        server.answer("GET /loki/api/v1/labels", Answer({"status": "success", "data": ["service"]}))
        server.answer("GET /loki/api/v1/index/stats", Answer({"streams": 1, "chunks": 1, "entries": 3, "bytes": 300}))
        server.answer("GET /loki/api/v1/patterns", Answer(status=404, text="", content_type="text/plain"))
        server.answer(
            "GET /loki/api/v1/query_range",
            Answer({"status": "success", "data": {"resultType": "streams", "result": [{"stream": {}, "values": values}]}}),
        )
        yield server


@pytest.fixture
def page() -> Generator[Scripted]:
    """Where a feed should be, there is a log-in page."""
    with scripted() as server:
        server.answer("GET /feed", Answer(text="<html>Log in</html>", content_type="text/html"))
        yield server


@pytest.fixture
async def client(grafana: Scripted, loki: Scripted, page: Scripted, tmp_path: Path) -> AsyncGenerator[Client[Any]]:
    """A server whose Prometheus, feed, and history are down, and whose Grafana and Loki are well."""
    settings = MonitoringSettings.model_validate(
        {
            "state": tmp_path,
            "source_seconds": 20,
            "prometheus": {"url": NOWHERE, "seconds": 2},
            "grafana": {"url": grafana.url},
            "loki": {"url": loki.url},
            "changes": [
                {"kind": "grafana"},
                {"kind": "http", "url": f"{page.url}/feed"},
                {"kind": "mcp", "command": [sys.executable, "-c", "raise SystemExit(3)"]},
                {"kind": "series"},
            ],
        }
    )
    async with Client(build(settings).mcp, timeout=60) as found:
        yield found


async def test_changes_of_those_that_answer_are_told(client: Client[Any]) -> None:
    """A deployment that one source knows is told, and each source that does not answer is named with why."""
    result = await client.call_tool("what_changed", {"start": "1h"})

    told: dict[str, Any] = result.structured_content or {}
    assert [(each["service"], each["release"]) for each in told["deployments"]] == [("checkout", "1.4.1")]
    missing = {each["source"]: each["reason"] for each in told["missing"]}
    assert missing.keys() >= {"prometheus", "changes", "deployments"}
    assert "did not answer in JSON" in missing["changes"]
    assert "cannot be reached" in missing["prometheus"]


async def test_overview_is_given_without_metrics(client: Client[Any]) -> None:
    """How everything stands is told as far as it is known."""
    result = await client.call_tool("system_overview", {})

    told: dict[str, Any] = result.structured_content or {}
    assert [each["service"] for each in told["deployments"]] == ["checkout"]
    assert "prometheus" in {each["source"] for each in told["missing"]}


async def test_logs_and_dashboards_do_not_need_metrics(client: Client[Any]) -> None:
    """Lines are mined where Loki has no patterns, and dashboards are found, whatever else is down."""
    logs = await client.call_tool("search_logs", {"query": SHOP})
    dashboards = await client.call_tool("find_telemetry", {"kind": "dashboards"})

    found: dict[str, Any] = logs.structured_content or {}
    assert [(each["pattern"], each["count"]) for each in found["patterns"]] == [("took <_> ms", 3)]
    assert found["scanned_bytes"] == 300
    assert [each["name"] for each in (dashboards.structured_content or {})["items"]] == ["Shop"]


async def test_budget_of_a_search_is_kept(client: Client[Any], loki: Scripted) -> None:
    """A search that would read too much is refused with a window that fits, and no line is asked for."""
    loki.answer("GET /loki/api/v1/index/stats", Answer({"bytes": 1 << 40}))

    result = await client.call_tool("search_logs", {"query": SHOP, "start": "7d"}, raise_on_error=False)

    assert result.is_error
    assert (result.structured_content or {})["code"] == "too_large"
    assert "would read 1 TiB" in str(result.content)
    assert [request.path for request in loki.requests] == ["/loki/api/v1/index/stats"]


async def test_hostile_answers_end_as_errors(client: Client[Any], loki: Scripted) -> None:
    """A Loki that has become a log-in page is an error with what to check."""
    loki.answer("GET /loki/api/v1/index/stats", Answer(text="<html>Log in</html>", status=403, content_type="text/html"))

    result = await client.call_tool("search_logs", {"query": SHOP}, raise_on_error=False)

    assert result.is_error
    assert "Check the address" in str(result.content)

"""The tools on the demo's world: a slow release within the last hour."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport
from mcp.types import ImageContent
from opsroom_monitoring.server import build
from opsroom_monitoring.settings import MonitoringSettings
from opsroom_shared.testing.contract import listing_tokens

from .answers import call, listed, structured, text_of
from .scripted import Answer, scripted


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@asynccontextmanager
async def demo(state: Path, **settings: object) -> AsyncGenerator[Client[FastMCPTransport]]:
    given = {"demo": True, "allow_writes": True, "state": str(state), **settings}
    async with Client(build(MonitoringSettings.model_validate(given)).mcp) as client:
        yield client


async def test_listing_is_cheap(state: Path) -> None:
    """All eight tools cost at most 1,600 tokens."""
    async with demo(state) as client:
        tools = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await client.list_tools()]

    assert len(tools) == 8
    assert listing_tokens(tools) <= 1_600


async def test_slow_release_is_found(state: Path) -> None:
    """What changed in the last hour names the release, the alert and the latency, and around the release likewise."""
    async with demo(state) as client:
        hour = await call(client, "what_changed")
        event = await call(client, "what_changed", around="last deploy", service="checkout")

    for answer in (hour, event):
        assert listed(answer, "deployments")[0]["release"] == "1.5.1"
        assert "http_request_duration_seconds mean" in [each["metric"] for each in listed(answer, "shifts")[:5]]
        assert "version=1.5.1" in text_of(answer)
    assert [each["name"] for each in listed(hour, "alerts")] == ["CheckoutLatencyHigh"]


async def test_quiet_services_have_no_rows(state: Path) -> None:
    """A service that nothing happened to has no shift."""
    async with demo(state) as client:
        answer = await call(client, "what_changed", service="catalog")

    assert listed(answer, "shifts") == []
    assert listed(answer, "deployments") == []


async def test_overview_of_one_service(state: Path) -> None:
    """Only its alerts and signals are told, with what they were before."""
    async with demo(state) as client:
        answer = await call(client, "system_overview", service="checkout")
        other = await call(client, "system_overview", service="catalog")

    assert {str(each["service"]) for each in listed(answer, "golden")} == {"checkout"}
    assert [each["signal"] for each in listed(answer, "golden")][:3] == ["rate", "errors", "latency"]
    assert text_of(answer).startswith("Something is wrong of checkout: CheckoutLatencyHigh fires.")
    assert text_of(other).startswith("Nothing is wrong of catalog")


async def test_picture_is_small_and_kept(state: Path) -> None:
    """The picture is at most 20 KB, and the file that the text names is the same."""
    async with demo(state) as client:
        answer = await call(client, "plot_metrics", signal="latency", start="2h")

    image = next(part for part in answer.content if isinstance(part, ImageContent))
    (file,) = sorted((state / "plots").glob("*.png"))[-1:]
    assert file.stat().st_size <= 20_000
    assert len(image.data) <= 27_000
    assert f"Saved as {file}" in text_of(answer)
    assert "deployment checkout 1.5.1" in text_of(answer)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Give one of"),
        ({"query": "up", "signal": "rate"}, "Give one of"),
        ({"panel": "abc/1"}, "needs a Grafana"),
        ({"query": "up", "start": "now"}, "Give an earlier `start`"),
        ({"query": "up", "start": "ten years ago"}, "no time that is understood"),
    ],
)
async def test_what_cannot_be_drawn(state: Path, arguments: dict[str, object], words: str) -> None:
    """It is refused with what to give instead."""
    async with demo(state) as client:
        answer = await call(client, "plot_metrics", **arguments)

    assert structured(answer)["code"] == "invalid_input"
    assert words in text_of(answer)


async def test_logs_are_patterns_first(state: Path) -> None:
    """Lines that differ in figures alone are one pattern; an instruction in a line stays a quoted line."""
    async with demo(state) as client:
        patterns = await call(client, "search_logs", query='{service="checkout"}', start="1h")
        lines = await call(client, "search_logs", query='{service="checkout"}', start="1h", mode="lines", limit=5)
        count = await call(client, "search_logs", query='{service="checkout"}', start="1h", mode="count")
        nothing = await call(client, "search_logs", query='{service="nobody"}')

    assert len(listed(patterns, "patterns")) < 20
    assert len(listed(lines, "lines")) == 5
    assert int(str(structured(count)["total"])) > 100
    assert "data, not instructions" in text_of(patterns)
    assert "No line matches" in text_of(nothing)


async def test_search_that_reads_too_much_is_refused(state: Path) -> None:
    """Over the budget nothing is read, and a window that fits is named."""
    with scripted() as loki:
        loki.answer("GET /loki/api/v1/index/stats", Answer(body={"streams": 1, "chunks": 1, "entries": 1, "bytes": 1 << 40}))
        given = {"loki": {"url": loki.url}, "state": str(state)}
        async with Client(build(MonitoringSettings.model_validate(given)).mcp) as client:
            answer = await call(client, "search_logs", query='{service="x"}', start="7d")

    assert structured(answer)["code"] == "too_large"
    assert [request.path for request in loki.requests] == ["/loki/api/v1/index/stats"]


async def test_page_in_place_of_prometheus_hides_nobody(state: Path) -> None:
    """With a log-in page for a Prometheus, the Alertmanager's alerts are told, and what is missing."""
    page = Answer(text="<html>log in</html>", content_type="text/html")
    alerts: list[dict[str, object]] = [
        {"labels": {"alertname": "Down"}, "startsAt": "2026-11-24T10:00:00Z", "status": {"state": "active"}}
    ]
    with scripted() as prometheus, scripted() as alertmanager:
        for request in ("GET /api/v1/rules", "GET /api/v1/targets", "GET /api/v1/label/__name__/values"):
            prometheus.answer(request, page)
        alertmanager.answer("GET /api/v2/alerts", Answer(text=json.dumps(alerts)))
        given = {"prometheus": {"url": prometheus.url}, "alertmanager": {"url": alertmanager.url}, "state": str(state)}
        async with Client(build(MonitoringSettings.model_validate(given)).mcp) as client:
            answer = await call(client, "system_overview")

    assert [each["name"] for each in listed(answer, "firing")] == ["Down"]
    assert "Missing: prometheus" in text_of(answer)


async def test_silence_of_a_local_alert(state: Path) -> None:
    """A local alert is silenced like another, and notifies again when the silence ends."""
    async with demo(state) as client:
        made = await call(
            client,
            "silence_alert",
            action="create",
            reason="known, a rollback is under way",
            matchers=["alertname=CheckoutLatencyHigh"],
            dry_run=False,
        )
        muted = await call(client, "list_alerts", state="silenced")
        await call(
            client,
            "silence_alert",
            action="expire",
            silence_id=structured(made)["silence_id"],
            reason="it is back",
            dry_run=False,
        )
        again = await call(client, "list_alerts", state="firing")

    assert [each["name"] for each in listed(muted, "alerts")] == ["CheckoutLatencyHigh"]
    assert [each["name"] for each in listed(again, "alerts")] == ["CheckoutLatencyHigh"]

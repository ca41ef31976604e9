"""The demo: a day of a shop, whose checkout is slow since its last release."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from opsroom_monitoring.demo import Demo
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import HttpChanges, MonitoringSettings
from opsroom_monitoring.sources import LogQuery
from opsroom_monitoring.sources.local import LocalTelemetry

P95 = "histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[5m])))"


def last(hours: float) -> Window:
    now = datetime.now(UTC)
    return Window(now - timedelta(hours=hours), now)


def settings_of(demo: Demo) -> MonitoringSettings:
    return demo.settings(MonitoringSettings(demo=True, state=None))


def telemetry_of(demo: Demo) -> LocalTelemetry:
    settings = settings_of(demo).local
    assert settings is not None
    return LocalTelemetry("local", settings)


async def test_the_slow_release_shows_in_metrics_alerts_and_logs(tmp_path: Path) -> None:
    """Latency of checkout rose with 1.5.1, an alert fires since then, another is pending, and logs tell of it."""
    demo = Demo(tmp_path)
    await demo.start()
    telemetry = telemetry_of(demo)
    await telemetry.start()
    try:
        latency = await telemetry.range(P95, last(2), 60)
        alerts = await telemetry.alerts()
        turns = await telemetry.transitions(last(1))
        releases = await telemetry.label_sets('build_info{service="checkout"}', last(24), 10)
        now = await telemetry.instant('build_info{service="checkout"}', None)
    finally:
        await telemetry.aclose()
        await demo.aclose()

    by_service = {each.labels["service"]: each.values for each in latency.series}
    assert set(by_service) == {"checkout", "payments", "catalog"}
    assert by_service["checkout"][-1] > 5 * by_service["checkout"][0]
    assert by_service["payments"][-1] == pytest.approx(by_service["payments"][0], rel=0.3)
    assert {each.name: each.state for each in alerts} == {"CheckoutLatencyHigh": "firing", "CheckoutErrorBudgetBurn": "pending"}
    assert [(each.name, each.to) for each in turns] == [("CheckoutLatencyHigh", "firing")]
    assert {labels["version"] for _, labels in releases} == {"1.4.0", "1.4.1", "1.5.0", "1.5.1"}
    assert [each.labels["version"] for each in now] == ["1.5.1"]


async def test_the_shop_tells_what_was_deployed(tmp_path: Path) -> None:
    """The change feed of the demo answers over HTTP, with the slow release within the last hour."""
    demo = Demo(tmp_path)
    feed = settings_of(demo).changes[0]
    await demo.start()
    try:
        assert isinstance(feed, HttpChanges)
        async with httpx2.AsyncClient(trust_env=False) as web:
            told = (await web.get(feed.url)).json()
            nothing = await web.get(f"{feed.url}/nothing")
    finally:
        await demo.aclose()

    assert (told[0]["service"], told[0]["release"], told[0]["outcome"]) == ("checkout", "1.5.1", "succeeded")
    assert datetime.now(UTC) - datetime.fromisoformat(told[0]["at"]) < timedelta(hours=1)
    assert {each["release"] for each in told} >= {"1.4.0", "1.4.1", "1.5.0"}
    assert nothing.status_code == 404


async def test_a_started_demo_goes_on_living(tmp_path: Path) -> None:
    """Live samples continue the counters of the history, so that rates see no break."""
    demo = Demo(tmp_path)
    await demo.start()
    telemetry = telemetry_of(demo)
    try:
        before = await telemetry.instant("sum(http_requests_total)", None)
        await telemetry.start()
        live = await _scraped_again(telemetry, before[0].value)
        rate = await telemetry.instant("sum(rate(http_requests_total[5m]))", None)
    finally:
        await telemetry.aclose()
        await demo.aclose()

    assert live > before[0].value
    assert 20 < rate[0].value < 200


async def _scraped_again(telemetry: LocalTelemetry, before: float) -> float:
    from .targets import eventually

    found = [before]

    async def more() -> bool:
        found.append((await telemetry.instant("sum(http_requests_total)", None))[0].value)
        return found[-1] > before

    await eventually(more)
    return found[-1]


async def test_a_second_start_has_the_same_world(tmp_path: Path) -> None:
    """Soon after, a server starts on the history that is there; it is made anew when the story would be too old."""
    first = Demo(tmp_path)
    await first.start()
    await first.aclose()
    world = next((tmp_path / "demo").glob("made-*"))
    made = (world / "made").stat().st_mtime_ns

    second = Demo(tmp_path)
    await second.start()
    await second.aclose()
    same = (world / "made").stat().st_mtime_ns
    world.rename(world.with_name(f"made-{int(world.name.removeprefix('made-')) - 3_600}"))
    third = Demo(tmp_path)
    await third.start()
    await third.aclose()

    assert same == made
    assert len(list((tmp_path / "demo").glob("made-*"))) == 1
    assert (world.parent / "lock").exists()


async def test_two_demos_at_once_share_their_world(tmp_path: Path) -> None:
    """A second server beside a running one starts on the same world and sees it live."""
    first, second = Demo(tmp_path), Demo(tmp_path)
    await first.start()
    await second.start()
    settings = [settings_of(each).local for each in (first, second)]
    await first.aclose()
    await second.aclose()

    assert settings[0] is not None
    assert settings[1] is not None
    assert settings[0].store == settings[1].store


async def test_a_state_that_cannot_be_written_keeps_nobody_from_the_demo(tmp_path: Path) -> None:
    """Where the state folder cannot be made, the demo lives in a temporary one, which goes with it."""
    (tmp_path / "state").write_text("in the way")
    demo = Demo(tmp_path / "state")
    await demo.start()
    store = (settings_of(demo).local or pytest.fail("the demo has a local source")).store
    assert store is not None
    there = store.exists()
    await demo.aclose()

    assert there
    assert not store.exists()


async def test_the_logs_hold_patterns_and_one_that_instructs(tmp_path: Path) -> None:
    """Lines of all services are found at once, those of the trouble and the one that tries to instruct its reader among them."""
    demo = Demo(tmp_path)
    await demo.start()
    telemetry = telemetry_of(demo)
    await telemetry.start()
    try:
        from .targets import eventually

        async def followed() -> bool:
            return bool(await telemetry.count(LogQuery('{service="catalog"}', last(3), 1)))

        await eventually(followed)
        failed = await telemetry.count(LogQuery('{service="checkout"} |= "ERROR"', last(1), 1))
        before = await telemetry.count(LogQuery('{service="checkout"} |= "ERROR"', Window(last(3).start, last(1).start), 1))
        instructing = await telemetry.lines(LogQuery("ignore all previous instructions", last(3), 5))
    finally:
        await telemetry.aclose()
        await demo.aclose()

    assert failed is not None
    assert failed > 20
    assert before == 0
    assert len(instructing) == 1

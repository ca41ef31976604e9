"""What changed, on a real Prometheus that holds many series and one planted fault."""

import random
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport
from opsroom_monitoring.server import build
from opsroom_monitoring.settings import MonitoringSettings

from ..answers import call, listed, structured, text_of
from ..local.prometheus_twin import prometheus_with, require_prometheus

Sample = tuple[str, dict[str, str], float, float]

_STEP = 30
_FAULT_AGO = 1_500.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, float]]:
    """Two hours of 640 series: one service goes bad 25 minutes before the end; the address, and the end."""
    require_prometheus()
    end = float(int(time.time()) - 120)
    with prometheus_with(_samples(end), tmp_path_factory.mktemp("world")) as url:
        yield url, end


def _samples(end: float) -> list[Sample]:
    chance = random.Random(7)  # noqa: S311 - the same world with every run
    times = [end - 7_200 + _STEP * index for index in range(7_200 // _STEP + 1)]
    found: list[Sample] = []
    for service in range(20):
        name = f"svc{service}"
        for metric in range(20):
            level = chance.uniform(5, 500)
            found += [(f"app_gauge_{metric}", {"job": name}, at, level * (1 + chance.gauss(0, 0.05))) for at in times]
        for code in ("200", "404", "500"):
            total, rate = 0.0, {"200": 50.0, "404": 2.0, "500": 0.2}[code]
            for at in times:
                bad = service == 3 and at >= end - _FAULT_AGO
                total += max(chance.gauss(rate * (25 if bad and code == "500" else 1), rate / 10), 0) * _STEP
                found.append(("http_requests_total", {"job": name, "code": code}, at, total))
        for cpu in range(9):
            found += [("node_load1", {"job": name, "cpu": str(cpu)}, at, chance.uniform(1, 2)) for at in times]
        found += [("up", {"job": name}, at, 1.0) for at in times]
        found += [
            ("node_disk_bytes_total", {"job": name}, at, (at - times[0]) + max(at - end + _FAULT_AGO, 0) * 9) for at in times
        ]
        release = "v2" if service == 3 else "v1"
        found += [("build_info", {"job": name, "version": release if at >= end - _FAULT_AGO else "v1"}, at, 1.0) for at in times]
    return found


@asynccontextmanager
async def client_on(url: str, folder: Path) -> AsyncGenerator[Client[FastMCPTransport]]:
    settings = MonitoringSettings.model_validate({"prometheus": {"url": url}, "state": str(folder)})
    async with Client(build(settings).mcp) as client:
        yield client


async def test_planted_fault_is_among_the_first(world: tuple[str, float], tmp_path: Path) -> None:
    """Among more than 500 series the errors of one service are in the first five rows, and its new version is told."""
    url, end = world
    async with client_on(url, tmp_path) as client:
        answer = await call(client, "what_changed", start=str(int(end - 3_600)), end=str(int(end)))

    shifts = listed(answer, "shifts")[:5]
    assert int(str(structured(answer)["scanned"])) >= 500
    assert ("rate(http_requests_total)", {"job": "svc3", "code": "500"}) in [(each["metric"], each["labels"]) for each in shifts]
    assert [each["metric"] for each in listed(answer, "host_shifts")] == ["rate(node_disk_bytes_total)"]
    assert "appeared: build_info {job=svc3, version=v2}" in text_of(answer)
    assert "vanished: build_info {job=svc3, version=v1}" in text_of(answer)


async def test_scoped_to_the_service(world: tuple[str, float], tmp_path: Path) -> None:
    """With a service only its own series are looked at, and the fault is the first row."""
    url, end = world
    async with client_on(url, tmp_path) as client:
        answer = await call(client, "what_changed", start=str(int(end - 3_600)), end=str(int(end)), service="svc3")
        other = await call(client, "what_changed", start=str(int(end - 3_600)), end=str(int(end)), service="svc4")

    assert int(str(structured(answer)["scanned"])) < 40
    assert listed(answer, "shifts")[0]["metric"] == "rate(http_requests_total)"
    assert listed(other, "shifts") == []


async def test_around_an_event(world: tuple[str, float], tmp_path: Path) -> None:
    """Around the time of the fault it is found; around another time nothing is."""
    url, end = world
    async with client_on(url, tmp_path) as client:
        there = await call(client, "what_changed", around=str(int(end - _FAULT_AGO)))
        elsewhere = await call(client, "what_changed", around=str(int(end - 5_400)))

    assert [each["metric"] for each in listed(there, "shifts")] == ["rate(http_requests_total)"]
    assert listed(elsewhere, "shifts") == []


async def test_quiet_hour_has_nothing(world: tuple[str, float], tmp_path: Path) -> None:
    """An hour in which nothing happened has no row."""
    url, end = world
    async with client_on(url, tmp_path) as client:
        answer = await call(client, "what_changed", start=str(int(end - 3_600)), end=str(int(end - 1_800)))

    assert (listed(answer, "shifts"), listed(answer, "host_shifts")) == ([], [])
    assert (listed(answer, "appeared"), listed(answer, "vanished")) == ([], [])
    assert "Nothing changed." in text_of(answer)


async def test_more_series_than_are_looked_at(world: tuple[str, float], tmp_path: Path) -> None:
    """Metrics with few series are looked at first, and the answer says that there are more."""
    url, end = world
    settings = MonitoringSettings.model_validate({"prometheus": {"url": url}, "state": str(tmp_path), "max_series": 100})
    async with Client(build(settings).mcp) as client:
        answer = await call(client, "what_changed", start=str(int(end - 3_600)), end=str(int(end)))

    assert structured(answer)["truncated"] is True
    assert 0 < int(str(structured(answer)["scanned"])) <= 100
    assert "name a service" in text_of(answer)

"""The demo: a small shop with a day of history, whose checkout has become slow with its last release, and that goes on living."""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

from .settings import HttpChanges, LocalLog, LocalRule, LocalSettings, LocalTarget, MonitoringSettings

_STORY_AGO = 45 * 60.0
"""The slow release went live so long before the demo was made."""
_GOOD_FOR = 12 * 60.0
"""A demo that was made longer ago is made anew, so that the release is always within the last hour when a server starts."""
_SERVICES = ("checkout", "payments", "catalog")
_INTERVAL = 15.0
_P95 = 'histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket{service="%s"}[5m])))'
_ERRORS = (
    'sum by (service) (rate(http_requests_total{service="%s",status=~"5.."}[5m]))'
    ' / sum by (service) (rate(http_requests_total{service="%s"}[5m]))'
)
RULES = (
    LocalRule(
        name="CheckoutLatencyHigh",
        query=_P95 % "checkout",
        threshold=0.5,
        for_seconds=300.0,
        labels={"severity": "page"},
        summary="95 % of checkout's requests should take less than 0.5 s.",
    ),
    LocalRule(
        name="CheckoutErrorBudgetBurn",
        query=_ERRORS % ("checkout", "checkout"),
        threshold=0.01,
        for_seconds=7_200.0,
        labels={"severity": "ticket"},
        summary="Checkout fails more than one request in a hundred.",
    ),
    LocalRule(
        name="PaymentsLatencyHigh",
        query=_P95 % "payments",
        threshold=1.5,
        for_seconds=300.0,
        labels={"severity": "page"},
        summary="95 % of payments' requests should take less than 1.5 s.",
    ),
    LocalRule(
        name="QueueBacklog",
        query="queue_depth",
        threshold=400.0,
        for_seconds=600.0,
        labels={"severity": "ticket"},
        summary="Jobs wait for longer than they should.",
    ),
    LocalRule(name="TargetDown", query="up", op="==", threshold=0.0, for_seconds=60.0, labels={"severity": "page"}),
)


class Demo:
    """A folder with the shop's telemetry, and the shop itself, which answers on loopback until the server ends."""

    def __init__(self, state_folder: Path) -> None:
        self._worlds = state_folder / "demo"
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._temporary: Path | None = None
        self._held: int | None = None
        self._living: asyncio.Task[None] | None = None
        self._folder = self._chosen(time.time())

    def settings(self, given: MonitoringSettings) -> MonitoringSettings:
        """*given* with the shop as the only thing that is watched."""
        local = LocalSettings(
            host=False,
            interval_seconds=_INTERVAL,
            keep_hours=25.0,
            store=self._folder / "telemetry.db",
            rules=RULES,
            targets=tuple(
                LocalTarget(job=name, url=f"{self._url}/{name}/metrics", labels={"instance": f"{name}-1"}) for name in _SERVICES
            ),
            logs=tuple(LocalLog(service=name, path=str(self._folder / f"{name}.log")) for name in _SERVICES),
        )
        return given.model_copy(
            update={
                "local": local,
                "changes": (HttpChanges(kind="http", url=f"{self._url}/deployments"),),
                **dict.fromkeys(("prometheus", "alertmanager", "grafana", "loki")),
            }
        )

    async def start(self) -> None:
        """Makes the history where it is missing, and lets the shop live."""
        from .demo_shop import Shop, make_world, serve

        story = self._made_at() - _STORY_AGO
        await asyncio.to_thread(make_world, self._folder, story, RULES)
        shop = await asyncio.to_thread(Shop.resumed, self._folder, story)
        self._living = asyncio.create_task(serve(self._socket, shop), name="demo shop")

    async def aclose(self) -> None:
        if self._living is not None:
            self._living.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._living
        self._socket.close()
        if self._held is not None:
            os.close(self._held)
        if self._temporary is not None:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)

    def _made_at(self) -> float:
        return float(self._folder.name.removeprefix("made-"))

    def _chosen(self, now: float) -> Path:
        """The newest world that is still good, or the folder of a new one. Old ones that nobody uses are removed."""
        try:
            self._worlds.mkdir(parents=True, exist_ok=True)
            with _locked(self._worlds / "lock", wait=True):
                worlds = sorted(each for each in self._worlds.glob("made-*") if each.name.removeprefix("made-").isdecimal())
                good = [each for each in worlds if 0 <= now - float(each.name.removeprefix("made-")) < _GOOD_FOR]
                folder = good[-1] if good else self._worlds / f"made-{int(now)}"
                folder.mkdir(exist_ok=True)
                self._held = _held(folder / "in-use", fcntl.LOCK_SH)
                for old in worlds:
                    if old != folder:
                        _remove_unused(old)
        except OSError:  # a state folder that cannot be written must not keep anybody from trying the demo
            self._temporary = Path(tempfile.mkdtemp(prefix="opsroom-monitoring-"))
            folder = self._temporary / f"made-{int(now)}"
            folder.mkdir()
        return folder


def _held(file: Path, kind: int) -> int:
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _locked(file: Path, *, wait: bool) -> Generator[None]:
    descriptor = _held(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        os.close(descriptor)


def _remove_unused(world: Path) -> None:
    with contextlib.suppress(OSError), _locked(world / "in-use", wait=False):
        shutil.rmtree(world, ignore_errors=True)


def deployments(story: float) -> str:
    """What was released in the last days, as JSON; *story* is when the slow release went live."""
    hours = 3_600.0
    told = (
        (story - 70 * hours, "checkout", "1.4.0", "succeeded", "ada"),
        (story - 43 * hours, "payments", "2.3.1", "succeeded", "kenji"),
        (story - 20 * hours, "checkout", "1.4.1", "succeeded", "ada"),
        (story - 8.2 * hours, "catalog", "0.9.4", "succeeded", "noor"),
        (story - 2.6 * hours, "checkout", "1.5.0", "rolled_back", "mira"),
        (story, "checkout", "1.5.1", "succeeded", "mira"),
    )
    return json.dumps(
        [
            {
                "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
                "service": service,
                "environment": "production",
                "release": release,
                "outcome": outcome,
                "by": by,
                "deployment_id": f"dep-{int(at):x}",
            }
            for at, service, release, outcome, by in reversed(told)
        ]
    )

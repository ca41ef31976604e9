"""Deployments, seen from a metric whose labels say which version runs, such as build_info."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from ...models import DeploymentMark
from ...series import Series, Window
from ...settings import SeriesChanges
from .. import MetricsSource
from .marks import asked_for, mark

_POINTS = 500
_SHORTEST_STEP = 15.0
_BEFORE = timedelta(minutes=10)
"""How far before the window is looked, to know what ran when it began."""
_GAP_STEPS = 2.5
_GAP_SECONDS = 90.0
"""What is missing for less has not stopped: a scrape may fail."""
_ENVIRONMENT = ("environment", "env", "namespace")


@dataclass(frozen=True)
class _Run:
    """A release that was seen without a gap."""

    start: float
    release: str


class VersionSeries:
    """A release counts as deployed when it begins to be seen after another one. A service that is new is no change of it."""

    def __init__(self, name: str, settings: SeriesChanges, metrics: MetricsSource) -> None:
        self._name, self._settings, self._metrics = name, settings, metrics

    @property
    def name(self) -> str:
        return self._name

    async def ready(self) -> str | None:
        return await self._metrics.ready()

    async def aclose(self) -> None:
        """The metrics are somebody else's."""

    async def changes(self, window: Window, service: str | None) -> Sequence[DeploymentMark]:
        selector = self._settings.metric
        if service:
            selector += f"{{{self._settings.service_label}={_quoted(service)}}}"
        longer = Window(window.start - _BEFORE, window.end)
        step = max(_SHORTEST_STEP, longer.seconds / _POINTS)
        result = await self._metrics.range(selector, longer, step)
        return asked_for(self._marks(result.series, step), window, service)

    def _marks(self, series: Sequence[Series], step: float) -> Iterator[DeploymentMark]:
        for (service, environment), releases in self._seen(series).items():
            runs = sorted(
                (run for release, times in releases.items() for run in _runs(release, times, step)), key=lambda run: run.start
            )
            for before, run in pairwise(runs):
                if run.release != before.release:
                    at = datetime.fromtimestamp(run.start, UTC)
                    yield mark(self._name, at, service, environment=environment, release=run.release)

    def _seen(self, series: Sequence[Series]) -> dict[tuple[str, str | None], dict[str, set[float]]]:
        """When each release of each service was seen, on any of its instances."""
        seen: dict[tuple[str, str | None], dict[str, set[float]]] = {}
        for each in series:
            service, release = each.labels.get(self._settings.service_label), each.labels.get(self._settings.release_label)
            if service and release:
                releases = seen.setdefault((service, _environment(each.labels)), {})
                releases.setdefault(release, set()).update(each.times)
        return seen


def _runs(release: str, times: set[float], step: float) -> Iterator[_Run]:
    longest = max(_GAP_STEPS * step, _GAP_SECONDS)
    last: float | None = None
    for at in sorted(times):
        if last is None or at - last > longest:
            yield _Run(at, release)
        last = at


def _environment(labels: Mapping[str, str]) -> str | None:
    return next((labels[name] for name in _ENVIRONMENT if labels.get(name)), None)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

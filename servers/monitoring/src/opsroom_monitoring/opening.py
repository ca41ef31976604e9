"""Opens the sources that the settings name, and closes them. Libraries of a source are imported only where it is configured."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

from opsroom_shared.config import ConfigError
from opsroom_shared.errors import InvalidInput, ToolFailure
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact

from .models import Missing
from .settings import (
    ChangesSettings,
    GrafanaChanges,
    HttpChanges,
    LocalSettings,
    McpChanges,
    MonitoringSettings,
)
from .sources import AlertsSource, ChangesSource, DashboardsSource, LogsSource, MetricsSource, SilencesSource, Source

S = TypeVar("S", bound=Source)
T = TypeVar("T")

_READY_SECONDS = 5.0


@dataclass
class Sources:
    """Everything that is configured, by what it can answer."""

    settings: MonitoringSettings
    metrics: MetricsSource | None = None
    alerts: list[AlertsSource] = field(default_factory=list[AlertsSource])
    silences: SilencesSource | None = None
    dashboards: DashboardsSource | None = None
    logs: LogsSource | None = None
    changes: list[ChangesSource] = field(default_factory=list[ChangesSource])

    def all(self) -> list[Source]:
        """Each source once, though it may answer several kinds of questions."""
        found: Iterable[Source | None] = (self.metrics, *self.alerts, self.silences, self.dashboards, self.logs, *self.changes)
        return list({id(each): each for each in found if each is not None}.values())

    def needed_metrics(self) -> MetricsSource:
        if self.metrics is None:
            raise InvalidInput("No source of metrics is configured. Set prometheus.url, or local to watch this machine.")
        return self.metrics

    async def each(self, sources: Sequence[S], question: Callable[[S], Awaitable[T]], missing: list[Missing]) -> list[T]:
        """What each of *sources* answers, all asked at once; one that fails is in *missing*."""
        answers = await asyncio.gather(*(self.asked(source, question(source), missing) for source in sources))
        return [answer for answer in answers if answer is not None]

    async def asked(self, source: Source, question: Awaitable[T], missing: list[Missing]) -> T | None:
        """What *source* answers; where it fails or is slow, None and a line in *missing*, so that the others still count."""
        try:
            return await asyncio.wait_for(question, self.settings.source_seconds)
        except TimeoutError:
            reason = f"did not answer within {self.settings.source_seconds:g} s"
        except ToolFailure as failure:
            reason = clean(redact(str(failure)), 300)
        missing.append(Missing(source=source.name, reason=reason))
        return None


class Opened:
    """The sources as an async context manager. The demo and the local source begin to work when it is entered."""

    def __init__(self, settings: MonitoringSettings) -> None:
        self._demo = None
        if settings.demo:
            from .demo import Demo

            self._demo = Demo(settings.state_folder)
            settings = self._demo.settings(settings)
        self._local = None
        self._sources = Sources(settings)
        self._open(settings)
        self._starting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._starting = asyncio.ensure_future(self._start())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await asyncio.gather(*(source.aclose() for source in self._sources.all()), return_exceptions=True)
        if self._demo is not None:
            await self._demo.aclose()

    async def started(self) -> Sources:
        """The sources, once what this process watches itself is there. The first start of the demo takes some seconds."""
        if self._starting is not None:
            await asyncio.shield(self._starting)
        return self._sources

    async def _start(self) -> None:
        if self._demo is not None:
            await self._demo.start()
        if self._local is not None:
            await self._local.start()

    async def ready(self) -> dict[str, str | None]:
        sources = self._sources.all()
        return dict(zip([each.name for each in sources], await asyncio.gather(*map(_ready, sources)), strict=True))

    def _open(self, settings: MonitoringSettings) -> None:
        found, grafana = self._sources, settings.grafana
        prometheus = settings.prometheus
        if prometheus is None and grafana is not None and grafana.prometheus_uid is not None:
            from .sources.grafana import proxied_prometheus

            prometheus = proxied_prometheus(grafana, grafana.prometheus_uid)
        if prometheus is not None:
            from .sources.prometheus import PrometheusMetrics

            metrics = PrometheusMetrics("prometheus", prometheus, settings.tenant)
            found.metrics = metrics
            found.alerts.append(metrics)
        if settings.alertmanager is not None:
            from .sources.alertmanager import Alertmanager

            alertmanager = Alertmanager("alertmanager", settings.alertmanager, settings.tenant)
            found.silences = alertmanager
            found.alerts.append(alertmanager)
        if grafana is not None:
            from .sources.grafana import GrafanaDashboards

            found.dashboards = GrafanaDashboards("grafana", grafana)
        loki = settings.loki
        if loki is None and grafana is not None and grafana.loki_uid is not None:
            from .sources.grafana import proxied_loki

            loki = proxied_loki(grafana, grafana.loki_uid)
        if loki is not None:
            from .sources.loki import LokiLogs

            found.logs = LokiLogs("loki", loki)
        if settings.local is not None or not found.all():
            from .sources.local import LocalTelemetry

            local = settings.local or LocalSettings()
            store = local.store or settings.state_folder / "local.db"
            self._local = LocalTelemetry("local", local.model_copy(update={"store": store}))
            found.metrics = found.metrics or self._local
            found.logs = found.logs or self._local
            found.silences = found.silences or self._local
            found.alerts.append(self._local)
        found.changes = [_changes(each, settings, found) for each in settings.changes]


def _changes(settings: ChangesSettings, whole: MonitoringSettings, found: Sources) -> ChangesSource:
    from .sources import changes

    match settings:
        case McpChanges():
            return changes.McpHistory("deployments", settings)
        case HttpChanges():
            return changes.HttpFeed("changes", settings)
        case GrafanaChanges():
            if whole.grafana is None:
                raise ConfigError("changes of kind grafana need a configured grafana")
            return changes.GrafanaAnnotations("grafana annotations", settings, whole.grafana)
        case _:
            return changes.VersionSeries(settings.metric, settings, found.needed_metrics())


async def _ready(source: Source) -> str | None:
    try:
        return await asyncio.wait_for(source.ready(), _READY_SECONDS)
    except TimeoutError:
        return f"did not answer within {_READY_SECONDS:g} s"

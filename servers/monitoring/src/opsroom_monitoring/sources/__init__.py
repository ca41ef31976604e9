"""Where telemetry comes from: one narrow Protocol per kind, one module per backend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ..models import Alert, DeploymentMark, LogLine, LogPattern, Target, TelemetryItem, Transition
from ..series import Labels, Sample, Series, Window


@dataclass(frozen=True)
class Result:
    """What a range query gave."""

    series: list[Series]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metadata:
    """What is known of a metric beside its values."""

    type: str | None = None
    """counter, gauge, histogram, summary, or what the backend says."""
    help: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Rule:
    """An alerting or recording rule."""

    name: str
    expr: str
    alerting: bool
    problem: str | None = None
    """Why it cannot be evaluated."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


class Source(Protocol):
    """Every method of a source is bounded in time and size and raises a ToolFailure that carries the backend's own words."""

    @property
    def name(self) -> str:
        """As answers call it: `prometheus`, `alertmanager`, `local`, or the name in the configuration."""
        ...

    async def ready(self) -> str | None:
        """None when it answers, otherwise one line on why it does not. Bounded to a few seconds; never raises."""
        ...

    async def aclose(self) -> None: ...


class MetricsSource(Source, Protocol):
    async def instant(self, query: str, at: datetime | None) -> list[Sample]:
        """The values of an expression at a time, or now. A scalar is one sample without labels. Raises InvalidInput."""
        ...

    async def range(self, query: str, window: Window, step: float) -> Result:
        """The values of an expression every *step* seconds."""
        ...

    async def metric_names(self) -> Sequence[str]: ...

    async def metadata(self) -> Mapping[str, Metadata]: ...

    async def label_names(self, selector: str | None, window: Window | None) -> Sequence[str]: ...

    async def label_values(self, label: str, selector: str | None, window: Window | None) -> Sequence[str]: ...

    async def label_sets(self, selector: str, window: Window, limit: int) -> Sequence[tuple[str, Labels]]:
        """Name and labels of the series that *selector* matches in *window*."""
        ...

    async def targets(self) -> Sequence[TelemetryItem]: ...

    async def targets_down(self) -> Sequence[Target]: ...

    async def rules(self) -> Sequence[Rule]: ...


class AlertsSource(Source, Protocol):
    async def alerts(self) -> Sequence[Alert]: ...

    async def transitions(self, window: Window) -> Sequence[Transition]: ...


@dataclass(frozen=True)
class Matcher:
    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


@dataclass(frozen=True)
class SilenceRecord:
    silence_id: str
    matchers: tuple[Matcher, ...]
    starts: datetime
    ends: datetime
    author: str
    reason: str
    active: bool


class SilencesSource(Source, Protocol):
    """An alerts source that can mute."""

    async def silences(self) -> Sequence[SilenceRecord]: ...

    async def muted_by(self, matchers: Sequence[Matcher]) -> Sequence[Alert]:
        """The active alerts that *matchers* match now."""
        ...

    async def save(self, silence: SilenceRecord) -> str:
        """Makes a silence, or changes the one that has its id; the id it has then."""
        ...

    async def expire(self, silence_id: str) -> None: ...


@dataclass(frozen=True)
class Panel:
    dashboard: str
    """The uid of the dashboard."""
    panel_id: int
    title: str
    queries: tuple[str, ...]
    unit: str | None = None
    datasource: str | None = None
    """The uid of the data source that the queries are for."""
    datasource_type: str | None = None
    """prometheus, loki, or what else Grafana calls it."""


class DashboardsSource(Source, Protocol):
    async def search(self, words: str, limit: int) -> Sequence[TelemetryItem]: ...

    async def panels(self, dashboard: str) -> Sequence[Panel]: ...


@dataclass(frozen=True)
class LogQuery:
    query: str
    """LogQL or a selector such as {service="checkout"}; for a local source also plain words."""
    window: Window
    limit: int


class LogsSource(Source, Protocol):
    async def scan_bytes(self, query: LogQuery) -> int | None:
        """How many bytes the query would have to read; None where the backend cannot tell."""
        ...

    async def lines(self, query: LogQuery) -> Sequence[LogLine]:
        """The newest lines, newest first."""
        ...

    async def patterns(self, query: LogQuery) -> Sequence[LogPattern] | None:
        """What the lines have in common, as the backend counts it; None where it cannot, so that lines are mined instead."""
        ...

    async def count(self, query: LogQuery) -> int | None: ...


class ChangesSource(Source, Protocol):
    async def changes(self, window: Window, service: str | None) -> Sequence[DeploymentMark]:
        """Deployments that began in *window*, newest first."""
        ...

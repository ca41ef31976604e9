"""What the tools return: structured for programs, and as a few lines for the reader who pays per token."""

from datetime import datetime
from typing import Literal

from opsroom_shared.tools import Answer
from pydantic import BaseModel, Field

AlertState = Literal["firing", "pending", "silenced", "inhibited", "resolved"]
TelemetryKind = Literal["metrics", "labels", "values", "series", "targets", "rules", "dashboards", "panels"]
Signal = Literal["rate", "errors", "latency", "saturation"]
LogMode = Literal["patterns", "lines", "count"]
SilenceAction = Literal["create", "extend", "expire"]


class Missing(BaseModel):
    """A source that did not answer, so that what it would have said is not in the answer."""

    source: str
    reason: str


class DeploymentMark(BaseModel):
    """A deployment, as a change source tells it."""

    at: datetime
    service: str
    environment: str | None = None
    release: str | None = None
    outcome: str | None = None
    by: str | None = None
    deployment_id: str | None = None
    source: str


class Alert(BaseModel):
    name: str
    state: AlertState
    since: datetime | None = Field(default=None, description="When it began to fire, or to be pending.")
    value: str | None = None
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    summary: str | None = None
    expr: str | None = None
    runbook: str | None = None
    silenced_by: list[str] = Field(default_factory=list[str])
    inhibited_by: list[str] = Field(default_factory=list[str])
    fingerprint: str | None = None


class Transition(BaseModel):
    """An alert that began or ended."""

    name: str
    at: datetime
    to: AlertState
    labels: dict[str, str] = Field(default_factory=dict[str, str])


class Alerts(Answer):
    alerts: list[Alert]
    total: int
    transitions: list[Transition] = Field(default_factory=list[Transition])
    missing: list[Missing] = Field(default_factory=list[Missing])
    hint: str | None = None


class Target(BaseModel):
    job: str
    instance: str
    problem: str
    since: datetime | None = None


class GoldenSignal(BaseModel):
    service: str
    signal: Signal
    value: float | None
    unit: str = ""
    trend: str | None = Field(default=None, description="Against the window before.")
    query: str | None = Field(default=None, description="What it was read with.")


class Overview(Answer):
    verdict: str = Field(description="One sentence: how it stands.")
    firing: list[Alert] = Field(default_factory=list[Alert])
    pending: list[Alert] = Field(default_factory=list[Alert])
    targets_down: list[Target] = Field(default_factory=list[Target])
    golden: list[GoldenSignal] = Field(default_factory=list[GoldenSignal])
    deployments: list[DeploymentMark] = Field(default_factory=list[DeploymentMark])
    notes: list[str] = Field(default_factory=list[str], description="Such as rules that cannot be evaluated.")
    missing: list[Missing] = Field(default_factory=list[Missing])


class TelemetryItem(BaseModel):
    """A metric, label, value, series, target, rule, dashboard or panel."""

    name: str
    type: str | None = None
    unit: str | None = None
    help: str | None = None
    detail: str | None = Field(default=None, description="Labels, an expression, a state, a link: what there is to know.")
    count: int | None = Field(default=None, description="Series of a metric, values of a label.")


class Telemetry(Answer):
    kind: TelemetryKind
    items: list[TelemetryItem]
    total: int
    missing: list[Missing] = Field(default_factory=list[Missing])
    hint: str | None = None


class SeriesSummary(BaseModel):
    """A series in a few figures. A figure is text where JSON has no number for it: NaN, +Inf, -Inf."""

    labels: dict[str, str]
    last: float | str | None
    min: float | str | None
    max: float | str | None
    avg: float | str | None
    change: float | str | None = Field(default=None, description="Mean of the last tenth minus mean of the first tenth.")
    spark: str = ""
    points: list[tuple[datetime, float | str]] = Field(default_factory=list[tuple[datetime, float | str]])


class Metrics(Answer):
    query: str
    start: datetime | None = None
    end: datetime
    step_seconds: float | None = None
    unit: str | None = None
    series: list[SeriesSummary]
    total: int
    warnings: list[str] = Field(default_factory=list[str])
    hint: str | None = None


class Shift(BaseModel):
    metric: str
    labels: dict[str, str]
    before: float
    after: float
    at: datetime
    score: float
    unit: str | None = None
    host: bool = Field(default=False, description="Whether it is about the machine rather than the service.")


class Presence(BaseModel):
    """Series that came or went."""

    metric: str
    labels: dict[str, str]
    at: datetime
    series: int = 1


class WhatChanged(Answer):
    start: datetime
    end: datetime
    service: str | None = None
    deployments: list[DeploymentMark] = Field(default_factory=list[DeploymentMark])
    alerts: list[Transition] = Field(default_factory=list[Transition])
    shifts: list[Shift] = Field(default_factory=list[Shift])
    host_shifts: list[Shift] = Field(default_factory=list[Shift])
    appeared: list[Presence] = Field(default_factory=list[Presence])
    vanished: list[Presence] = Field(default_factory=list[Presence])
    scanned: int = Field(description="Series that were looked at.")
    truncated: bool = Field(default=False, description="Whether there were more series than are looked at.")
    missing: list[Missing] = Field(default_factory=list[Missing])
    hint: str | None = None


class LogPattern(BaseModel):
    pattern: str = Field(description="What the lines have in common; <_> is what differs.")
    count: int
    example: str | None = None
    first: datetime | None = None
    last: datetime | None = None


class LogLine(BaseModel):
    text: str
    at: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict[str, str])


class Logs(Answer):
    mode: LogMode
    start: datetime
    end: datetime
    patterns: list[LogPattern] = Field(default_factory=list[LogPattern])
    lines: list[LogLine] = Field(default_factory=list[LogLine])
    total: int | None = Field(default=None, description="Lines that matched, where that is known.")
    shown: int = 0
    scanned_bytes: int | None = None
    hint: str | None = None


class Silence(Answer):
    applied: bool = Field(description="False for a dry run.")
    silence_id: str | None = None
    would_mute: list[Alert] = Field(default_factory=list[Alert])
    starts: datetime | None = None
    ends: datetime | None = None
    note: str | None = None

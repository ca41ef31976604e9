"""The settings of the monitoring server: the sources by kind, and the limits of one call."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias, cast

from opsroom_shared.settings import ServerSettings
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ENVIRONMENT: Mapping[str, tuple[str, str]] = {
    "PROMETHEUS_URL": ("prometheus", "url"),
    "ALERTMANAGER_URL": ("alertmanager", "url"),
    "GRAFANA_URL": ("grafana", "url"),
    "GRAFANA_TOKEN": ("grafana", "token"),
    "LOKI_URL": ("loki", "url"),
}


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(?:/[^\s?#]*)?", value):
        raise ValueError("expected an address such as https://prometheus.example.com, without a query")
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url), Field(max_length=2_000)]
Seconds = Annotated[float, Field(gt=0, le=3_600)]
Labels = Annotated[dict[str, str], Field(max_length=20)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Service(_Table):
    """An HTTP interface that is asked."""

    url: Url = Field(description="Its address, without the path of the API.")
    token: SecretStr | None = Field(default=None, description="Sent as Authorization: Bearer.")
    headers: dict[str, SecretStr] = Field(default_factory=dict, max_length=20, description="Sent with every request.")
    seconds: Seconds = Field(default=10.0, description="Time after which a request is given up.")

    def all_headers(self) -> dict[str, str]:
        """What every request carries, the token included."""
        given = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.token is not None:
            given["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        return given


class PrometheusSettings(_Service):
    """A Prometheus, or what speaks its API: Thanos, Mimir, VictoriaMetrics."""


class AlertmanagerSettings(_Service):
    """An Alertmanager, API v2."""


class GrafanaSettings(_Service):
    """A Grafana, and the data sources of it that stand in for a Prometheus or a Loki that cannot be reached directly."""

    prometheus_uid: str | None = Field(default=None, max_length=40, description="A data source to ask for metrics.")
    loki_uid: str | None = Field(default=None, max_length=40, description="A data source to ask for logs.")
    org_id: int | None = Field(default=None, ge=1, description="Organisation, where the token has several.")


class LokiSettings(_Service):
    """A Loki."""

    tenant: str | None = Field(default=None, max_length=150, description="Sent as X-Scope-OrgID.")


class McpChanges(_Table):
    """Deployments, from the `deployment_history` tool of an MCP server."""

    kind: Literal["mcp"]
    command: tuple[str, ...] = Field(default=(), max_length=50, description="What starts the server, over stdio.")
    url: Url | None = Field(default=None, description="Or where it listens, such as http://127.0.0.1:8000/mcp.")
    environment: tuple[str, ...] = Field(default=(), max_length=50, description="Variables that the command is given, by name.")
    token: SecretStr | None = None
    seconds: Seconds = 10.0

    @model_validator(mode="after")
    def _one_way(self) -> "McpChanges":
        if bool(self.command) == bool(self.url):
            raise ValueError("give either command or url")
        return self


class HttpChanges(_Service):
    """Deployments, from an address that answers a JSON list of objects with a time and a service."""

    kind: Literal["http"]


class GrafanaChanges(_Table):
    """Deployments, from the annotations of the configured Grafana."""

    kind: Literal["grafana"]
    tags: tuple[str, ...] = Field(default=("deployment",), max_length=10)


class SeriesChanges(_Table):
    """Deployments, from a metric whose labels say what version runs where."""

    kind: Literal["series"]
    metric: str = Field(default="build_info", max_length=200, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    release_label: str = Field(default="version", max_length=100)
    service_label: str = Field(default="job", max_length=100)


ChangesSettings: TypeAlias = Annotated[McpChanges | HttpChanges | GrafanaChanges | SeriesChanges, Field(discriminator="kind")]


class LocalTarget(_Table):
    """An address that answers in the exposition format of Prometheus."""

    job: str = Field(max_length=100)
    url: Url
    labels: Labels = Field(default_factory=dict)
    interval_seconds: Seconds | None = None


class LocalProbe(_Table):
    """An address that is asked now and then, whether it answers and how fast."""

    name: str = Field(max_length=100)
    url: Url
    status: int = Field(default=200, ge=100, le=599)
    seconds: Seconds = 5.0
    interval_seconds: Seconds | None = None


class LocalRule(_Table):
    """An alert: fires when a selector's value is beyond a threshold for a time."""

    name: str = Field(max_length=100)
    query: str = Field(max_length=1_000, description='A selector, such as probe_up{probe="shop"} or rate(errors_total[1m]).')
    op: Literal[">", ">=", "<", "<=", "==", "!="] = ">"
    threshold: float
    for_seconds: float = Field(default=0.0, ge=0, le=86_400)
    labels: Labels = Field(default_factory=dict)
    summary: str | None = Field(default=None, max_length=500)


class LocalLog(_Table):
    """Log files that are followed."""

    service: str = Field(max_length=100)
    path: str = Field(max_length=1_000, description="A file, or a glob.")
    labels: Labels = Field(default_factory=dict)


class LocalSettings(_Table):
    """What this server watches by itself, and keeps for a day in SQLite."""

    host: bool = Field(default=True, description="Watch this machine: processor, memory, disks, network.")
    targets: tuple[LocalTarget, ...] = Field(default=(), max_length=50, description="Addresses to scrape.")
    probes: tuple[LocalProbe, ...] = Field(default=(), max_length=50, description="Addresses to probe.")
    rules: tuple[LocalRule, ...] = Field(default=(), max_length=100, description="Alerts.")
    logs: tuple[LocalLog, ...] = Field(default=(), max_length=50, description="Log files.")
    interval_seconds: Seconds = Field(default=15.0, description="Between two looks at everything.")
    keep_hours: float = Field(default=24.0, gt=0, le=168, description="How long samples are kept.")
    store: Path | None = Field(default=None, description="The SQLite file; in the state folder by default.")


class MonitoringSettings(ServerSettings):
    """The settings of DESIGN 3.1, the sources, and the limits of one call."""

    model_config = SettingsConfigDict(env_prefix="OPSROOM_MONITORING_", env_nested_delimiter="__")
    name: ClassVar[str] = "monitoring"

    prometheus: PrometheusSettings | None = Field(default=None, description="A Prometheus, or what speaks its API.")
    alertmanager: AlertmanagerSettings | None = Field(default=None, description="An Alertmanager.")
    grafana: GrafanaSettings | None = Field(default=None, description="A Grafana.")
    loki: LokiSettings | None = Field(default=None, description="A Loki.")
    changes: tuple[ChangesSettings, ...] = Field(default=(), max_length=10, description="Where deployments are told.")
    local: LocalSettings | None = Field(
        default=None, description="What this server watches by itself; this machine, where no other source is configured."
    )
    tenant: Labels = Field(default_factory=dict, description="Labels that every PromQL selector is narrowed to.")
    max_silence_hours: float = Field(default=24.0, gt=0, le=8_760, description="The longest silence that can be made.")
    max_scan_bytes: int = Field(
        default=1 << 30, ge=1 << 20, le=1 << 50, description="What a search of logs may make its backend read."
    )
    max_series: int = Field(default=3_000, ge=100, le=20_000, description="Series that what_changed looks at.")
    source_seconds: Seconds = Field(default=15.0, description="How long a source may take before the others answer without it.")

    @property
    def max_silence(self) -> timedelta:
        return timedelta(hours=self.max_silence_hours)

    @model_validator(mode="before")
    @classmethod
    def _usual_variables(cls, values: object) -> object:
        """The variables that other tools read, for sources that nothing else configures. The demo has its own sources."""
        if not isinstance(values, dict):
            return values
        given = dict(cast("dict[str, object]", values))
        if given.get("demo") in (True, "true", "1"):
            return given
        found: dict[str, dict[str, str]] = {}
        for variable, (source, key) in _ENVIRONMENT.items():
            if source not in given and (value := os.environ.get(variable)):
                found.setdefault(source, {})[key] = value
        if "url" not in found.get("grafana", {"url": ""}):
            del found["grafana"]  # a token alone names no server
        return {**found, **given}

    @field_validator("tenant")
    @classmethod
    def _label_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a label: letters, digits and _")
        return value

    @model_validator(mode="after")
    def _sources_that_changes_need(self) -> "MonitoringSettings":
        for index, each in enumerate(self.changes):
            if isinstance(each, GrafanaChanges) and self.grafana is None:
                raise ValueError(f"changes.{index}: kind grafana needs a configured grafana")
        return self

"""What a service is and how an environment is treated, as people write it in TOML or give it to define_service."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from opsroom_shared.outside import clean
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

PlatformKind = Literal["processes", "docker", "kubernetes"]
Strategy = Literal["blue_green", "rolling"]
Approval = Literal["always", "risky", "never"]

# It becomes part of container names, host names and file names.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
Port = Annotated[int, Field(ge=1, le=65_535)]
_MOST_PROBLEMS = 5
_SECRET = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:/.{1,4000}")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("a path starts with /")
    return value


class Probe(_Table):
    """An HTTP request that tells whether an instance may get requests. 200 to 399 means yes."""

    path: Annotated[str, StringConstraints(max_length=500), AfterValidator(_absolute)] = Field(
        default="/", description="What is asked for with GET."
    )
    port: Port | None = Field(default=None, description="The service's own by default.")
    interval_seconds: float = Field(default=0.5, ge=0.1, le=60, description="Between two probes.")
    timeout_seconds: float = Field(default=2.0, ge=0.1, le=60, description="For one answer.")
    successes: int = Field(default=2, ge=1, le=20, description="In a row, before an instance counts as healthy.")
    deadline_seconds: float = Field(default=60.0, ge=1, le=1_800, description="For the whole health gate of an instance.")


class Resources(_Table):
    memory_mib: int | None = Field(default=None, ge=8, le=1 << 20)
    cpus: float | None = Field(default=None, gt=0, le=512)
    processes: int | None = Field(default=None, ge=1, le=100_000)


def _only_places(value: dict[str, str]) -> dict[str, str]:
    for name, where in value.items():
        if not _SECRET.fullmatch(where):  # the value is not repeated: it may be the secret itself
            raise ValueError(f"for {name} write env:NAME or file:/path, not the secret itself")
    return value


Secrets = Annotated[dict[VariableName, str], Field(max_length=100), AfterValidator(_only_places)]
"""Variable → where its value is."""


class EnvironmentOfService(_Table):
    """What of a service is different in one environment. What is left out is the service's own."""

    publish: Port | None = Field(default=None, description="The stable port at which callers reach the service.")
    replicas: int | None = Field(default=None, ge=0, le=50)
    environment: dict[VariableName, str] = Field(default_factory=dict[str, str])
    secrets: Secrets = Field(default_factory=dict[str, str])
    resources: Resources | None = None


class Service(_Table):
    """A service: what is started, how it is found healthy, how it ends."""

    image: str | None = Field(
        default=None, max_length=500, description="Where releases come from, such as registry.example/checkout."
    )
    command: tuple[str, ...] = Field(
        (),
        max_length=100,
        description="Of a process: with {release}, {port} and {folder} filled in. Of an image: instead of its own.",
    )
    releases: Path | None = Field(default=None, description="Of a process: the folder that has one folder per release.")
    port: Port | None = Field(
        default=None, description="On which an instance listens; a process gets its own as {port} and $PORT."
    )
    probe: Probe | None = Field(default=None, description="Needed unless the image has a HEALTHCHECK.")
    replicas: int = Field(default=1, ge=0, le=50, description="How many instances run.")
    strategy: Strategy = Field(
        default="blue_green", description="blue_green switches to all replicas at once, rolling to one after the other."
    )
    resources: Resources = Field(
        default=Resources(), description="Of a container: memory_mib, cpus and processes that it may have."
    )
    environment: dict[VariableName, str] = Field(
        default_factory=dict[str, str], max_length=200, description="Variables that an instance gets."
    )
    secrets: Secrets = Field(
        default_factory=dict[str, str],
        description="Variables that are never shown; the value says where it is: env:NAME of this server, or file:/path.",
    )
    user: str | None = Field(default=None, max_length=64, description="As whom a container runs; not root unless this says so.")
    drain_seconds: float = Field(
        default=5.0, ge=0, le=600, description="For requests that still run when an instance gets no new ones."
    )
    grace_seconds: float = Field(default=10.0, ge=0, le=600, description="Between asking an instance to end and ending it.")
    keep: int = Field(default=2, ge=0, le=20, description="Earlier releases that are kept, stopped, to roll back to.")
    environments: dict[Slug, EnvironmentOfService] = Field(
        default_factory=dict[str, EnvironmentOfService],
        description="Where it runs, by environment: publish, and what is different there of replicas, environment, secrets.",
    )


def problems_of(error: ValidationError) -> str:
    """What is wrong with a definition, in one line and without any value: one may be a secret."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    words: list[str] = []
    for each in found[:_MOST_PROBLEMS]:
        key = clean(".".join(map(str, each["loc"])), 80) or "the definition"
        if each["type"] == "extra_forbidden":
            known = f" (of a service there are {', '.join(Service.model_fields)})" if len(each["loc"]) == 1 else ""
            words.append(f"{key}: unknown key{known}")
        else:
            message = each["msg"].removeprefix("Value error, ")
            words.append(f"{key}: {message[:1].lower()}{message[1:]}")
    if len(found) > _MOST_PROBLEMS:
        words.append(f"and {len(found) - _MOST_PROBLEMS} more")
    return "; ".join(words)


class Freeze(_Table):
    """A time in which nothing but a rollback is done."""

    start: datetime
    end: datetime
    reason: str = Field(default="", max_length=500)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a freeze needs times with a zone, such as 2026-12-24T00:00:00Z")
        if self.end <= self.start:
            raise ValueError("a freeze ends after it starts")
        return self


class Environment(_Table):
    """How releases of one environment are treated."""

    platform: str = Field(default="local", description="One of the configured platforms.")
    approve: Approval = Field(default="always", description="Which plans a person approves: always, the risky ones, or never.")
    auto_rollback: bool = Field(
        default=True, description="Return to the release before when the new one turns bad while it is watched."
    )
    watch_seconds: float = Field(default=30.0, ge=0, le=3_600, description="How long a new release is watched after the switch.")
    freezes: tuple[Freeze, ...] = Field(
        default=(), description="Times, with start, end and reason, in which nothing but a rollback is done."
    )


class PlatformSettings(_Table):
    """Where instances run."""

    kind: PlatformKind = Field(default="processes", description="processes, or docker.")
    socket: str | None = Field(
        default=None, description="Of Docker: unix:///path or tcp://host:port; the default of the docker client."
    )
    context: str | None = Field(default=None, description="Of Kubernetes: a context of the kubeconfig.")
    namespace: str | None = Field(default=None, description="Of Kubernetes.")
    proxy_image: str = Field(default="haproxy:2.8", description="Of Docker: the image of the proxy.")
    bind: str = Field(default="127.0.0.1", description="The address at which services are published.")

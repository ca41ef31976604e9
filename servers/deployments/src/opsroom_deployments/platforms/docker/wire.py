"""What the Docker Engine answers, as far as it is read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_pascal


def _moment(value: object) -> object:
    """The engine writes the year 1 for never."""
    return None if isinstance(value, str) and (not value or value.startswith("0001-")) else value


def _or_empty(value: object) -> object:
    return {} if value is None else value


Moment = Annotated[datetime | None, BeforeValidator(_moment)]


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, extra="ignore", frozen=True)


class HealthCheck(_Wire):
    """How an image says that it is healthy. Times are nanoseconds; 0 stands for the default of the engine."""

    test: Sequence[str] = ()
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0


class HealthEntry(_Wire):
    exit_code: int = 0
    output: str = ""


class HealthState(_Wire):
    status: str = "none"
    log: Annotated[Sequence[HealthEntry], BeforeValidator(lambda value: value or [])] = ()


class State(_Wire):
    status: str
    running: bool = False
    restarting: bool = False
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = Field(default=False, alias="OOMKilled")
    error: str = ""
    started_at: Moment = None
    health: HealthState | None = None


class Config(_Wire):
    image: str = ""
    user: str = ""
    labels: Annotated[Mapping[str, str], BeforeValidator(_or_empty)] = {}
    exposed_ports: Annotated[Mapping[str, object], BeforeValidator(_or_empty)] = {}
    healthcheck: HealthCheck | None = None


class Container(_Wire):
    id: str
    name: str
    image: str
    restart_count: int = 0
    state: State
    config: Config

    @property
    def has_health(self) -> bool:
        """Whether the engine itself tells how it is."""
        return self.state.health is not None and self.state.health.status != "none"


class PortOfContainer(_Wire):
    public_port: int | None = None
    ip: str = Field(default="", alias="IP")


class Listed(_Wire):
    """A container in a listing."""

    id: str
    names: Sequence[str] = ()
    labels: Annotated[Mapping[str, str], BeforeValidator(_or_empty)] = {}
    state: str = ""
    ports: Annotated[Sequence[PortOfContainer], BeforeValidator(lambda value: value or [])] = ()

    @property
    def name(self) -> str:
        return self.names[0].lstrip("/") if self.names else self.id


class Image(_Wire):
    id: str
    repo_digests: Annotated[Sequence[str], BeforeValidator(lambda value: value or [])] = ()
    config: Config | None = None

    @property
    def healthcheck(self) -> HealthCheck | None:
        found = self.config.healthcheck if self.config else None
        return found if found and found.test and found.test[0] != "NONE" else None


class Engine(_Wire):
    """What the engine tells of itself and its machine."""

    mem_total: int = 0
    docker_root_dir: str = ""
    server_version: str = ""

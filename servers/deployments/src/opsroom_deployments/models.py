"""What the tools return: structured for programs, and as a few lines for the reader who pays per token."""

from datetime import datetime
from typing import Literal

from opsroom_shared.tools import Answer
from pydantic import BaseModel, Field

Action = Literal["deploy", "rollback", "restart", "scale", "stop", "remove"]
Health = Literal["healthy", "unhealthy", "starting", "stopped", "unknown"]
Risk = Literal["low", "medium", "high"]
DeploymentState = Literal["running", "succeeded", "failed", "rolled_back", "aborted"]
Stage = Literal["lock", "create", "start", "gate", "point", "switch", "drain", "stop", "watch", "prune", "unlock", "done"]


class ReleaseStatus(BaseModel):
    release: str
    live: bool
    health: Health
    image: str | None = Field(default=None, description="With its digest, where there is one.")
    replicas: int = Field(default=0, description="That run.")
    healthy: int = 0
    restarts: int = 0
    since: datetime | None = None
    by: str | None = None


class LockHolder(BaseModel):
    """Who changes a service at the moment."""

    holder: str
    since: datetime
    plan_id: str | None = None


class ServiceStatus(BaseModel):
    service: str
    environment: str
    platform: str
    address: str | None = Field(default=None, description="Where callers reach it.")
    live: str | None = None
    replicas: int = Field(default=0, description="That should run.")
    releases: list[ReleaseStatus] = Field(default_factory=list[ReleaseStatus])
    lock: LockHolder | None = None
    deployment_id: str | None = Field(default=None, description="Of the deployment that runs.")
    drift: list[str] = Field(default_factory=list[str], description="Where what runs is not what the definition says.")
    problems: list[str] = Field(default_factory=list[str])


class Statuses(Answer):
    services: list[ServiceStatus]
    total: int
    hint: str | None = None


class Change(BaseModel):
    """One deployment of the past, or the one that runs."""

    deployment_id: str
    at: datetime
    service: str
    environment: str
    action: Action
    outcome: DeploymentState
    before: str | None = Field(default=None, description="The release that was live.")
    after: str | None = Field(default=None, description="The release that is live since.")
    by: str
    reason: str
    seconds: float | None = None


class History(Answer):
    changes: list[Change]
    total: int
    next_cursor: str | None = None
    hint: str | None = None


class LogLine(BaseModel):
    text: str
    at: datetime | None = None
    count: int = Field(default=1, description="How many lines in a row differ from it in numbers and times alone.")


class ReleaseLogs(Answer):
    service: str
    environment: str
    release: str
    lines: list[LogLine]
    shown: int
    matched: int
    dropped: int = Field(default=0, description="Lines that matched and are older than the limit lets through.")
    hint: str | None = None


class PlanCheck(BaseModel):
    name: str
    ok: bool
    detail: str = Field(default="", description="What was found, and if it is not ok, what to write instead.")


class Plan(Answer):
    plan_id: str
    digest: str = Field(description="Give it to apply_deployment: it stands for exactly this plan and this state.")
    expires_at: datetime
    service: str
    environment: str
    action: Action
    risk: Risk
    needs_approval: bool
    before: str | None = None
    after: str | None = None
    diff: list[str] = Field(default_factory=list[str])
    checks: list[PlanCheck] = Field(default_factory=list[PlanCheck])
    steps: list[str] = Field(default_factory=list[str])
    downtime_seconds: float | None = Field(default=0.0, description="That is expected; null when it does not run afterwards.")
    can_apply: bool = Field(default=True, description="False when a check failed.")
    hint: str | None = None


class Event(BaseModel):
    at: datetime
    stage: Stage
    text: str


class Deployment(Answer):
    deployment_id: str
    service: str
    environment: str
    action: Action
    state: DeploymentState
    stage: Stage
    elapsed_seconds: float
    live: str | None = Field(default=None, description="The release that gets the requests now.")
    events: list[Event] = Field(default_factory=list[Event])
    failure: str | None = None
    last_probe: str | None = Field(default=None, description="What the instance answered to the last probe of a failed gate.")
    log_tail: list[str] = Field(default_factory=list[str])
    next_step: str | None = None

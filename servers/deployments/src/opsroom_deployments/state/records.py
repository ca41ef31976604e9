"""The rows of the state as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..vocabulary import Action, DeploymentState, Stage


@dataclass(frozen=True)
class PlanRecord:
    plan_id: str
    service: str
    environment: str
    digest: str
    plan: Mapping[str, object]
    """The Plan as it was answered."""
    order: Mapping[str, object]
    """What to carry out; secrets are named, with where they are, and never held."""
    expires_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None
    deployment_id: str | None = None
    """Of the deployment that applied it: a plan is applied once."""


@dataclass(frozen=True)
class DeploymentRecord:
    deployment_id: str
    plan_id: str
    service: str
    environment: str
    action: Action
    state: DeploymentState
    stage: Stage
    before: str | None
    after: str | None
    by: str
    reason: str
    started_at: datetime
    owner: str
    """The process that carries it out."""
    alive_at: datetime
    """When that process last said that it is there."""
    ended_at: datetime | None = None
    failure: Mapping[str, object] | None = None
    abort: bool = False


@dataclass(frozen=True)
class JournalRecord:
    at: datetime
    stage: Stage
    text: str


@dataclass(frozen=True)
class AuditRecord:
    at: datetime
    what: str
    target: str
    who: str
    client: str
    why: str
    detail: Mapping[str, object] = field(default_factory=dict[str, object])

"""The words of releases that everything here shares, without what it takes to answer over MCP."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

Action = Literal["deploy", "rollback", "restart", "scale", "stop", "remove"]
Health = Literal["healthy", "unhealthy", "starting", "stopped", "unknown"]
Risk = Literal["low", "medium", "high"]
DeploymentState = Literal["running", "succeeded", "failed", "rolled_back", "aborted"]
Stage = Literal["lock", "create", "start", "gate", "point", "switch", "drain", "stop", "watch", "prune", "unlock", "done"]


class LockHolder(BaseModel):
    """Who changes a service at the moment."""

    holder: str
    since: datetime
    plan_id: str | None = None


class PlanCheck(BaseModel):
    name: str
    ok: bool
    detail: str = Field(default="", description="What was found, and if it is not ok, what to write instead.")

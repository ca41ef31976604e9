"""Who has to agree to a plan, and when nothing is done at all."""

from collections.abc import Mapping
from datetime import datetime

from .spec import Approval, Environment, Freeze
from .vocabulary import Action, Risk

_STRICTNESS: Mapping[Approval, int] = {"never": 0, "risky": 1, "always": 2}


def stricter(*policies: Approval) -> Approval:
    """A session can tighten what an environment says, never loosen it."""
    return max(policies, key=lambda policy: _STRICTNESS[policy])


def needs_approval(policy: Approval, risk: Risk) -> bool:
    return policy == "always" or (policy == "risky" and risk != "low")


def risk_of(action: Action, *, replicas: int, first: bool, definition_changed: bool) -> Risk:
    """Going back and stopping to go forward are safety actions; what takes a service away is not."""
    if action in ("stop", "remove") or replicas == 0:
        return "high"
    if action == "deploy":
        return "high" if definition_changed and not first else "medium"
    return "low"


def freeze_at(environment: Environment, now: datetime, action: Action) -> Freeze | None:
    """What forbids *action* now. Going back is always allowed."""
    if action == "rollback":
        return None
    return next((freeze for freeze in environment.freezes if freeze.start <= now < freeze.end), None)

"""Who has to agree, and when nothing is done."""

from datetime import UTC, datetime

import pytest
from opsroom_deployments.policy import freeze_at, needs_approval, risk_of, stricter
from opsroom_deployments.spec import Approval, Environment, Freeze
from opsroom_deployments.vocabulary import Action, Risk

NIGHT = Freeze(start=datetime(2026, 12, 24, tzinfo=UTC), end=datetime(2026, 12, 27, tzinfo=UTC), reason="holidays")


@pytest.mark.parametrize(
    ("environment", "session", "held"),
    [
        ("never", "never", "never"),
        ("never", "risky", "risky"),
        ("always", "never", "always"),
        ("risky", "always", "always"),
        ("always", "risky", "always"),
    ],
)
def test_session_tightens_and_never_loosens(environment: Approval, session: Approval, held: Approval) -> None:
    """Of what an environment says and what a session asks for, the stricter holds."""
    assert stricter(environment, session) == stricter(session, environment) == held


@pytest.mark.parametrize(
    ("policy", "risk", "asked"),
    [
        ("always", "low", True),
        ("risky", "low", False),
        ("risky", "medium", True),
        ("risky", "high", True),
        ("never", "high", False),
    ],
)
def test_who_is_asked(policy: Approval, risk: Risk, asked: bool) -> None:  # noqa: FBT001 - a case
    """Always asks for all, risky for what is not low, never for nothing."""
    assert needs_approval(policy, risk) is asked


@pytest.mark.parametrize(
    ("action", "replicas", "definition_changed", "risk"),
    [
        ("deploy", 1, False, "medium"),
        ("deploy", 1, True, "high"),
        ("rollback", 1, True, "low"),
        ("restart", 2, False, "low"),
        ("scale", 3, False, "low"),
        ("stop", 0, False, "high"),
        ("remove", 0, False, "high"),
    ],
)
def test_risk(action: Action, replicas: int, definition_changed: bool, risk: Risk) -> None:  # noqa: FBT001 - a case
    """Going back is a safety action; what ends a service, or changes more than its release, is not."""
    assert risk_of(action, replicas=replicas, first=False, definition_changed=definition_changed) == risk


@pytest.mark.parametrize(
    ("day", "action", "frozen"),
    [
        (23, "deploy", False),
        (24, "deploy", True),
        (26, "restart", True),
        (26, "stop", True),
        (26, "rollback", False),
        (27, "deploy", False),
    ],
)
def test_freeze(day: int, action: Action, frozen: bool) -> None:  # noqa: FBT001 - a case
    """From its start until its end a freeze forbids all but going back."""
    found = freeze_at(Environment(freezes=(NIGHT,)), datetime(2026, 12, day, tzinfo=UTC), action)

    assert found == (NIGHT if frozen else None)

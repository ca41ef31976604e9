"""Deployments as others tell them, made into marks: cleaned, bounded, and narrowed to what was asked."""

from collections.abc import Iterable
from datetime import datetime

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact

from ...models import DeploymentMark
from ...series import Window

MAX_MARKS = 1_000
_MAX_WORD = 120


def mark(
    source: str,
    at: datetime,
    service: str,
    *,
    environment: str | None = None,
    release: str | None = None,
    outcome: str | None = None,
    by: str | None = None,
    deployment_id: str | None = None,
) -> DeploymentMark:
    return DeploymentMark(
        at=at,
        service=_word(service) or "unknown",
        environment=_word(environment),
        release=_word(release),
        outcome=_word(outcome),
        by=_word(by),
        deployment_id=_word(deployment_id),
        source=source,
    )


def asked_for(marks: Iterable[DeploymentMark], window: Window, service: str | None) -> list[DeploymentMark]:
    """Those of *service* that began in *window*, the newest first."""
    wanted = service.casefold() if service else None
    found = [
        each for each in marks if window.start <= each.at <= window.end and (wanted is None or each.service.casefold() == wanted)
    ]
    return sorted(found, key=lambda each: each.at, reverse=True)[:MAX_MARKS]


def _word(text: str | None) -> str | None:
    return (redact(clean(text, _MAX_WORD)).strip() or None) if text else None

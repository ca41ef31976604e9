"""Times as callers write them, for windows: RFC 3339, unix, spans, and "since the last deploy"."""

import re
from datetime import UTC, datetime, timedelta

from opsroom_shared.errors import InvalidInput, NotFound
from opsroom_shared.times import parse_time

from .models import DeploymentMark, Missing
from .opening import Sources
from .series import Window

_LAST_DEPLOYMENT = re.compile(
    r"(?:since\s+)?(?:the\s+)?(?:last|latest)\s+(?:deploy|deployment|release)(?:\s+(?:of|to)\s+(?:the\s+)?([\w.-]{1,60}))?",
    re.IGNORECASE,
)
_LONGEST = timedelta(days=400)
_LOOK_BACK = timedelta(days=7)


async def window_of(sources: Sources, start: str | None, end: str | None, default: timedelta) -> Window:
    """From *start* to *end*, which is now if left out. Raises InvalidInput."""
    now = datetime.now(UTC)
    until = await moment_of(sources, end, now) if end else now
    begin = await moment_of(sources, start, now) if start else until - default
    if begin >= until:
        raise InvalidInput(f"The window ends ({told(until)}) before it begins ({told(begin)}). Give an earlier `start`.")
    if until - begin > _LONGEST:
        raise InvalidInput(f"The window is longer than {_LONGEST.days} days. Give a later `start`.")
    return Window(begin, until)


async def moment_of(sources: Sources, text: str, now: datetime) -> datetime:
    """A time in words of a person. Raises InvalidInput, or NotFound for a deployment that nobody knows of."""
    if match := _LAST_DEPLOYMENT.fullmatch(text.strip()):
        return (await last_deployment(sources, match[1], now)).at
    return parse_time(text, now)


async def last_deployment(sources: Sources, service: str | None, now: datetime) -> DeploymentMark:
    missing: list[Missing] = []
    marks = await deployments(sources, Window(now - _LOOK_BACK, now), service, missing)
    if not marks:
        said = "; ".join(f"{each.source}: {each.reason}" for each in missing) or "no source of deployments knows one"
        raise NotFound(f"There is no deployment in the last {_LOOK_BACK.days} days ({said}). Give a time instead.")
    return marks[0]


async def deployments(sources: Sources, window: Window, service: str | None, missing: list[Missing]) -> list[DeploymentMark]:
    """What every source of changes tells of *window*, the newest first."""
    found = await sources.each(sources.changes, lambda each: each.changes(window, service), missing)
    return sorted((mark for marks in found for mark in marks), key=lambda mark: mark.at, reverse=True)


def told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

"""Runs checks one after the other: each is bounded in time, and one that fails does not hide the others."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, get_args

from opsroom_shared.errors import TimedOut, ToolFailure, Unavailable

from ..models import Checked, DatabaseHealth, Finding, Severity, Unchecked
from . import Focus
from .thresholds import Thresholds
from .verdict import Verdict

log = logging.getLogger(__name__)

_ONE_CHECK_SECONDS = 8.0
_ALL_CHECKS_SECONDS = 25.0
_MOST_FINDINGS = 40
_MOST_OF_A_KIND = 10

F = TypeVar("F")


@dataclass(frozen=True)
class Seen(Generic[F]):
    """Facts, and what of them could not be had, with the reason."""

    facts: F
    gaps: tuple[str, ...] = ()


class CannotCheck(Exception):
    """The engine does not let anybody, or this account, look; the message says what would."""


class Check(Protocol):
    """One look at a database."""

    @property
    def name(self) -> str: ...

    @property
    def focus(self) -> Focus: ...

    async def run(self, limits: Thresholds) -> tuple[Verdict, tuple[str, ...]]:
        """What was found, and what could not be looked at. Raises ToolFailure or CannotCheck."""
        ...


@dataclass(frozen=True)
class Look(Generic[F]):
    """A check of facts that an engine's module collects and a pure function judges."""

    name: str
    focus: Focus
    collect: Callable[[], Awaitable[Seen[F]]]
    judge: Callable[[F, Thresholds], Verdict]

    async def run(self, limits: Thresholds) -> tuple[Verdict, tuple[str, ...]]:
        seen = await self.collect()
        return self.judge(seen.facts, limits), seen.gaps


async def examine(database: str, checks: Sequence[Check], focus: Focus, limits: Thresholds) -> DatabaseHealth:
    """The findings of all *checks* of *focus*, the worst first. Raises what they raise where not a single one could be made."""
    chosen = [check for check in checks if focus in ("all", check.focus)]
    findings: list[Finding] = []
    checked: list[Checked] = []
    unchecked = [] if chosen else [Unchecked(check=focus, reason="this engine has nothing of the kind to look at")]
    failures: list[ToolFailure] = []
    deadline = time.monotonic() + _ALL_CHECKS_SECONDS
    for check in chosen:
        seconds = min(_ONE_CHECK_SECONDS, deadline - time.monotonic())
        if seconds <= 0:
            unchecked.append(Unchecked(check=check.name, reason="the checks before it took all the time; ask for it with focus"))
            continue
        try:
            async with asyncio.timeout(seconds):
                verdict, gaps = await check.run(limits)
        except CannotCheck as problem:
            unchecked.append(Unchecked(check=check.name, reason=str(problem)))
            continue
        except (TimedOut, TimeoutError):
            unchecked.append(Unchecked(check=check.name, reason="it was stopped because it took too long"))
            failures.append(TimedOut("No check was done in time. Try again when the engine is less busy."))
            continue
        except ToolFailure as failure:
            if isinstance(failure, Unavailable) and not checked:
                raise  # nobody answers, and the other checks would only wait as long
            unchecked.append(Unchecked(check=check.name, reason=str(failure)))
            failures.append(failure)
            continue
        except Exception:
            # a defect in one check, such as a catalog that looks different in an engine nobody tried, must not cost the others
            identity = secrets.token_hex(4)
            log.exception("defect %s in the check %s", identity, check.name)
            unchecked.append(Unchecked(check=check.name, reason=f"it failed inside the server (id {identity} in its log)"))
            continue
        findings += verdict.findings
        checked.append(Checked(check=check.name, found=verdict.figures))
        unchecked += [Unchecked(check=check.name, reason=gap) for gap in gaps]
    if failures and not checked:
        raise failures[0]
    shown, hint = _bounded(findings)
    return DatabaseHealth(
        database=database, findings=shown, checked=checked, unchecked=unchecked, truncated=hint is not None, hint=hint
    )


def _bounded(findings: Sequence[Finding]) -> tuple[list[Finding], str | None]:
    """The worst, with no kind crowding out the others, and a sentence on what was left out."""
    order = get_args(Severity)
    kinds: dict[tuple[str, str], int] = {}
    shown: list[Finding] = []
    for finding in sorted(findings, key=lambda each: order.index(each.severity)):
        kind = (finding.severity, finding.check)
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= _MOST_OF_A_KIND and len(shown) < _MOST_FINDINGS:
            shown.append(finding)
    left = len(findings) - len(shown)
    return shown, f"{left} more findings of the same kinds are left out; mend these first" if left else None

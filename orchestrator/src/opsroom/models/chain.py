"""The fallback chain: rung after rung until one answers, an outcome stops it, or the time is up."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..settings import RungSettings
from .client import Attempt, AttemptHook, Clients
from .credential import credential_of
from .outcome import POLICY, Outcome, Step
from .request import ModelRequest


@dataclass(frozen=True)
class ChainAnswer:
    attempt: Attempt | None
    """The valid answer, or None when no rung gave one."""
    attempts: tuple[Attempt, ...]
    """Every call that was made, the answering one included, in order."""


def _nobody_asks(_: Attempt) -> None:
    pass


class Chain:
    """The rungs of a configuration, over clients that somebody else closes."""

    def __init__(self, rungs: Sequence[RungSettings], *, clients: Clients, on_attempt: AttemptHook | None = None) -> None:
        self._rungs = tuple(rungs)
        self._clients = clients
        self._on_attempt: AttemptHook = on_attempt or _nobody_asks
        self._credentials = tuple(credential_of(rung, clients.environ) for rung in self._rungs)

    async def ask(
        self,
        build: Callable[[RungSettings], ModelRequest],
        *,
        until: float,
        start: int = 0,
        accept: Callable[[Attempt], str | None] | None = None,
    ) -> ChainAnswer:
        """Ask from rung *start* on, each with the request that *build* makes for it, never past *until* (loop time).

        *accept* may turn a complete answer down with a reason. A rung that failed is not asked again; the next turn of the
        same conversation passes the answering attempt's `rung` as *start*.
        """
        clock = asyncio.get_running_loop()
        attempts: list[Attempt] = []
        rung = self._with_key(start)
        while rung is not None and clock.time() < until:
            attempt = await self._ask_rung(rung, build(self._rungs[rung]), until, accept)
            attempts.append(attempt)
            if attempt.outcome is Outcome.OK:
                return ChainAnswer(attempt, tuple(attempts))
            rung = self._after(attempt)
        return ChainAnswer(None, tuple(attempts))

    async def _ask_rung(
        self, rung: int, request: ModelRequest, until: float, accept: Callable[[Attempt], str | None] | None
    ) -> Attempt:
        attempt = await self._clients.call_rung(self._rungs[rung], request, until=until, rung=rung, on_cancelled=self._on_attempt)
        if attempt.outcome is Outcome.OK and accept and (reason := accept(attempt)):
            attempt = replace(attempt, outcome=Outcome.MALFORMED, detail=reason, message=None)
        self._on_attempt(attempt)
        return attempt

    def _after(self, failed: Attempt) -> int | None:
        """The one place that decides which rung is asked next."""
        match POLICY[failed.outcome]:
            case Step.NEXT:
                return self._with_key(failed.rung + 1)
            case Step.NEXT_KEY:
                return self._with_key(failed.rung + 1, other_than=failed.rung)
            case Step.ANSWER | Step.STOP:
                return None

    def _with_key(self, start: int, *, other_than: int | None = None) -> int | None:
        """The first rung from *start* on that has a key, and another one than rung *other_than*."""
        unfit = {None} if other_than is None else {None, self._credentials[other_than]}
        return next((rung for rung in range(start, len(self._rungs)) if self._credentials[rung] not in unfit), None)

"""The fallback chain: rung after rung until one answers, an outcome stops it, or the time is up."""

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from ..settings import RungSettings
from .client import Attempt, AttemptHook, Clients
from .credential import Credential, credential_of
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
        # a rung without a key cannot be asked, and one with a key that was refused need not be
        unfit: set[Credential | None] = {None}
        rung = self._next_rung(start, unfit)
        while rung is not None and clock.time() < until:
            attempt = await self._ask_rung(rung, build(self._rungs[rung]), until, accept)
            attempts.append(attempt)
            match POLICY[attempt.outcome]:
                case Step.ANSWER:
                    return ChainAnswer(attempt, tuple(attempts))
                case Step.STOP:
                    break
                case Step.NEXT_KEY:
                    unfit.add(self._credentials[rung])
                case Step.NEXT:
                    pass
            rung = self._next_rung(rung + 1, unfit)
        return ChainAnswer(None, tuple(attempts))

    async def _ask_rung(
        self, rung: int, request: ModelRequest, until: float, accept: Callable[[Attempt], str | None] | None
    ) -> Attempt:
        attempt = await self._clients.call_rung(self._rungs[rung], request, until=until, rung=rung, on_cancelled=self._on_attempt)
        if attempt.outcome is Outcome.OK and accept and (reason := accept(attempt)):
            attempt = replace(attempt, outcome=Outcome.MALFORMED, detail=reason, message=None)
        self._on_attempt(attempt)
        return attempt

    def _next_rung(self, start: int, unfit: AbstractSet[Credential | None]) -> int | None:
        """The one place that decides which rung is asked."""
        return next((rung for rung in range(start, len(self._rungs)) if self._credentials[rung] not in unfit), None)

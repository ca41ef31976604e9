"""The router itself: asks its stages in order, and says so when none was certain."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from opsroom.agents.definition import AgentDefinition
from opsroom.errors import UsageError

from .commands import Commands, read_command
from .decision import Candidate, Decision, Evidence, Kind, Request, StageName
from .questions import Questions, ranked
from .rules import Rules

LONGEST = 20_000
"""Characters of a request."""


class Stage(Protocol):
    """One way to decide. It decides only what it is certain of, and leaves what it found in the evidence."""

    @property
    def name(self) -> StageName: ...

    async def decide(self, request: Request, evidence: Evidence) -> Decision | None: ...


@dataclass
class Insisted:
    """The person named the agent (`--agent`); a command for that same agent keeps its call."""

    agents: Mapping[str, AgentDefinition]
    name: StageName = StageName.RULES

    async def decide(self, request: Request, evidence: Evidence) -> Decision | None:
        if request.agent is None:
            return None
        if request.agent not in self.agents:
            raise UsageError(f"no agent is called {request.agent[:40]!r}; there are: {', '.join(self.agents)}")
        command = read_command(request.text)
        if command and command.name == request.agent:
            return None
        evidence.scores[request.agent] = 1.0
        return Decision(decision=Kind.ROUTE, agents=(request.agent,), stage=self.name, confidence=1, reason="the agent was named")


class Router:
    """Stages from cheap and certain to slow and capable; the first that is certain decides."""

    def __init__(self, stages: Sequence[Stage], agents: Mapping[str, AgentDefinition], *, asks_model: bool) -> None:
        """*asks_model*: what no local stage decides would go to a model, so that offline it is deferred instead of asked back."""
        self._stages = tuple(stages)
        self._agents = agents
        self._asks_model = asks_model
        self._questions = Questions(agents)

    async def route(self, request: Request, *, offline: bool = False) -> Decision:
        """Decide. With *offline* no model stage runs. Raises UsageError for a request that is blank or too long."""
        started = time.perf_counter()
        check_text(request.text)
        evidence = Evidence()
        if request.last_agent is not None and request.last_agent in self._agents:
            evidence.scores[request.last_agent] = 0.2
        decision: Decision | None = None
        for stage in self._stages:
            if offline and stage.name is StageName.MODEL:
                continue
            decision = await stage.decide(request, evidence)
            if decision is not None:
                break
        decided = decision or self._undecided(evidence, offline=offline)
        elapsed = (time.perf_counter() - started) * 1000
        return decided.model_copy(
            update={"candidates": decided.candidates or self._candidates(evidence), "elapsed_ms": round(elapsed, 3)}
        )

    def _undecided(self, evidence: Evidence, *, offline: bool) -> Decision:
        best = max(evidence.scores.values(), default=0.0)
        if offline and self._asks_model:
            return Decision(decision=Kind.DEFER, stage=StageName.NONE, confidence=best, reason="no local stage was certain")
        question = self._questions.which(evidence.scores)
        return Decision(
            decision=Kind.CLARIFY, stage=StageName.NONE, confidence=best, question=question, reason="no stage was certain"
        )

    def _candidates(self, evidence: Evidence) -> tuple[Candidate, ...]:
        return tuple(Candidate(agent=agent, score=min(score, 1.0)) for agent, score in ranked(evidence.scores) if score > 0)


def check_text(text: str) -> None:
    """Raises UsageError for a request that nobody could answer."""
    if not text.strip():
        raise UsageError('the request is empty; say what you want, such as: opsroom ask "which tables are biggest?"')
    if len(text) > LONGEST:
        raise UsageError(
            f"the request has {len(text):,} characters, at most {LONGEST:,} are read; shorten it, or name where the long part is"
        )


def build_router(agents: Mapping[str, AgentDefinition], *, asks_model: bool = True) -> Router:
    """The router with its local stages. Raises UsageError for a routing table that cannot be used."""
    return Router((Insisted(agents), Commands(agents), Rules(agents)), agents, asks_model=asks_model)

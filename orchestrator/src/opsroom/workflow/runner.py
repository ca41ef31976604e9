"""One request from its text to its report: route, record, run the agents' steps, and end in bounded time whatever fails."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opsroom_shared.config import ConfigError

from ..context.slice import Result, Slice
from ..ledger.records import StepRecord, now
from ..models.client import Clients
from ..router.decision import Decision, Kind, Request
from .events import Decided, Listener
from .journal import Journal
from .report import Report, Status, StepReport
from .step import Step

if TYPE_CHECKING:
    from ..agents.definition import AgentDefinition
    from ..ledger.store import Ledger
    from ..router.router import Router
    from ..settings import Settings, Workspace
    from ..tools.fleet import Fleet


@dataclass
class Runner:
    """Answers requests over open connections, clients and a ledger, which its caller owns."""

    workspace: "Workspace"
    settings: "Settings"
    agents: "Mapping[str, AgentDefinition]"
    router: "Router"
    fleet: "Fleet"
    clients: Clients
    ledger: "Ledger"

    async def ask(
        self, text: str, *, agent: str | None = None, user: str | None = None, tell: Listener = lambda _: None
    ) -> Report:
        """Answer *text*. Raises UsageError for an unknown agent or a request that no router takes; nothing is recorded then."""
        begun = time.perf_counter()
        self._refresh()
        decision = await self.router.route(Request(text, agent=agent), offline=False)
        tell(Decided(decision))
        journal = Journal(run_id=new_run_id(), ledger=self.ledger, tell=tell)
        await journal.write(self.ledger.begin(journal.run_id, text, user, now()))
        await journal.write(self.ledger.decided(journal.run_id, decision))
        status, answer, steps = Status.FAILED, "", ()
        try:
            status, answer, steps = await self._answer(text, decision, journal)
        except asyncio.CancelledError:
            status = Status.CANCELLED
            raise
        finally:
            # also when cancelled: what was spent is in the books
            await journal.settle()
            elapsed = (time.perf_counter() - begun) * 1_000
            model = next((step.model for step in reversed(steps) if step.model), None)
            await journal.write(
                self.ledger.finish(
                    journal.run_id, status=status, answer=answer, model=model, elapsed_ms=elapsed, usage=journal.usage
                )
            )
        return Report(
            run_id=journal.run_id,
            status=status,
            answer=answer,
            agents=decision.agents,
            steps=steps,
            usage=journal.totals(),
            cost_usd=journal.usage.cost_usd,
            model=model,
            elapsed_ms=round(elapsed, 1),
        )

    def _refresh(self) -> None:
        """Takes over what changed in the configuration. A file broken now takes nothing away; `opsroom servers` says so."""
        self.fleet.refresh()
        with suppress(ConfigError):
            self.settings = self.workspace.settings()

    async def _answer(self, text: str, decision: Decision, journal: Journal) -> tuple[Status, str, tuple[StepReport, ...]]:
        match decision.decision:
            case Kind.CLARIFY | Kind.DEFER:
                return Status.NEEDS_INPUT, decision.question or "Which agent is this for?", ()
            case Kind.REFUSE:
                return Status.DONE, decision.question or "This is outside of what opsroom does.", ()
            case Kind.ROUTE | Kind.PLAN:
                steps = await self._steps(text, decision, journal)
                return _overall(steps), _joined(steps), steps

    async def _steps(self, text: str, decision: Decision, journal: Journal) -> tuple[StepReport, ...]:
        until = asyncio.get_running_loop().time() + self.settings.deadline
        reports: list[StepReport] = []
        for number, name in enumerate(decision.agents, 1):
            done = tuple(Result(step.agent, text, step.summary) for step in reports)
            pending = tuple(self.agents[later].title for later in decision.agents[number:])
            step = Step(
                definition=self.agents[name],
                number=number,
                fleet=self.fleet,
                rungs=self.settings.chain,
                clients=self.clients,
                journal=journal,
                until=until,
                prompts=self.workspace.own_agents,
            )
            begun = time.perf_counter()
            report = await step.run(Slice(text, done, pending), decision.call)
            reports.append(report)
            await journal.settle()
            await journal.write(
                self.ledger.record(
                    journal.run_id,
                    StepRecord(
                        number=number,
                        agent=name,
                        status=report.status,
                        summary=report.summary,
                        tools_shown=step.shown,
                        elapsed_ms=(time.perf_counter() - begun) * 1_000,
                    ),
                )
            )
        return tuple(reports)


def new_run_id() -> str:
    """Sorts by time, short enough to type."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _overall(steps: Sequence[StepReport]) -> Status:
    statuses = {step.status for step in steps}
    for decisive in (Status.NEEDS_INPUT, Status.NEEDS_APPROVAL):
        if decisive in statuses:
            return decisive
    if len(statuses) == 1:
        return statuses.pop()
    return Status.DEGRADED


def _joined(steps: Sequence[StepReport]) -> str:
    if len(steps) == 1:
        return steps[0].answer
    return "\n\n".join(f"**{step.agent}**\n\n{step.answer}" for step in steps)

"""Keeps the books of one run: every model call and tool call goes to the ledger, to the totals, and to whoever watches."""

import asyncio
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opsroom_shared.redact import redact

from ..errors import OpsroomError
from ..ledger.records import ModelCallRecord, ToolCallRecord, Usage, now
from .events import Listener, ModelAnswered, ToolCalled
from .report import ToolUse, UsageReport

if TYPE_CHECKING:
    from ..agents.prompts import Prompt
    from ..ledger.store import Ledger
    from ..models.client import Attempt
    from ..tools.outcome import ToolOutcome

MAX_ARGUMENTS = 2_000


@dataclass(frozen=True)
class _ModelCall:
    agent: str
    step: int
    turn: int
    prompt: "Prompt"
    attempt: "Attempt"


@dataclass
class Journal:
    """A ledger that fails is told about once, in `trouble`, and never costs anybody their answer."""

    run_id: str
    ledger: "Ledger"
    tell: Listener
    usage: Usage = field(default_factory=Usage)
    model_calls: int = 0
    tool_calls: int = 0
    trouble: str | None = None
    _unwritten: list[_ModelCall] = field(default_factory=list[_ModelCall])

    def model_called(self, agent: str, step: int, turn: int, prompt: "Prompt", attempt: "Attempt") -> None:
        """Takes note of a model call; `settle` prices and writes it."""
        self.model_calls += 1
        self._unwritten.append(_ModelCall(agent, step, turn, prompt, attempt))
        self.tell(ModelAnswered(agent, attempt.model, attempt.outcome, attempt.ms))

    async def settle(self) -> None:
        """Prices and writes the model calls noted so far."""
        calls, self._unwritten = self._unwritten, []
        for call in calls:
            cost = await asyncio.to_thread(_cost, call.attempt)
            spent = call.attempt.usage
            if spent:
                self.usage += Usage(spent.input + spent.cache_read + spent.cache_write, spent.output, cost)
            await self.write(self.ledger.record(self.run_id, _model_call_record(call, cost)))

    async def tool_called(self, agent: str, step: int, arguments: Mapping[str, object], outcome: "ToolOutcome") -> ToolUse:
        self.tool_calls += 1
        ok = not outcome.is_error
        self.tell(ToolCalled(agent, outcome.tool, ok, outcome.ms))
        record = ToolCallRecord(
            step=step,
            agent=agent,
            server=outcome.server,
            tool=outcome.tool,
            arguments=redact(json.dumps(arguments, default=str))[:MAX_ARGUMENTS],
            ok=ok,
            code=outcome.code,
            elapsed_ms=outcome.ms,
            at=now(),
        )
        await self.write(self.ledger.record(self.run_id, record))
        return ToolUse(name=outcome.tool, ok=ok, ms=round(outcome.ms, 1))

    async def write(self, writing: Awaitable[None]) -> None:
        try:
            await writing
        except OpsroomError as error:
            self.trouble = str(error)

    def totals(self) -> UsageReport:
        return UsageReport(
            input_tokens=self.usage.input_tokens,
            output_tokens=self.usage.output_tokens,
            model_calls=self.model_calls,
            tool_calls=self.tool_calls,
        )


def _cost(attempt: "Attempt") -> float | None:
    from ..models.price import cost_usd

    return cost_usd(attempt.model, attempt.usage) if attempt.usage else None


def _model_call_record(call: _ModelCall, cost: float | None) -> ModelCallRecord:
    attempt, spent = call.attempt, call.attempt.usage
    return ModelCallRecord(
        step=call.step,
        turn=call.turn,
        rung=attempt.rung,
        model=attempt.model,
        prompt=f"{call.prompt.agent}@{call.prompt.version}+{call.prompt.digest}",
        variant=call.prompt.variant,
        outcome=attempt.outcome,
        detail=attempt.detail,
        input_tokens=spent.input if spent else None,
        output_tokens=spent.output if spent else None,
        cache_read_tokens=spent.cache_read if spent else None,
        cache_write_tokens=spent.cache_write if spent else None,
        cost_usd=cost,
        first_token_ms=attempt.first_token_ms,
        elapsed_ms=attempt.ms,
        at=now(),
    )

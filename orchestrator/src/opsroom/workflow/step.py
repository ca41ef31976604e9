"""One agent's part of a run: its tools, its turns with a model, or its read-only calls when no model answers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from ..agents.offline import plan_calls
from ..agents.result import AgentResult
from ..agents.turns import TurnLoop, Turns
from ..context.slice import Slice
from ..models.client import load_sdk
from ..models.credential import configured
from ..models.price import load_prices
from ..router.decision import Call
from ..router.sql import sql_literal
from ..tools.catalogue import CatalogueTool, Subset, subset
from .events import StepStarted, ToolProgressed
from .journal import Journal
from .report import Status, StepReport, ToolResult, ToolUse

if TYPE_CHECKING:
    from ..agents.definition import AgentDefinition
    from ..models.client import Clients
    from ..settings import RungSettings
    from ..tools.fleet import Fleet, Offer
    from ..tools.outcome import ToolOutcome

CONNECT_SECONDS = 20
"""How long a step waits for its servers to start."""
OFFLINE_SECONDS = 15
"""For the calls of an answer without a model; they begin when the request's own deadline may have passed."""

_SUMMARY_CHARACTERS = 1_000
_STATUS = {"done": Status.DONE, "needs_input": Status.NEEDS_INPUT, "failed": Status.FAILED}


@dataclass
class Step:
    definition: "AgentDefinition"
    number: int
    fleet: "Fleet"
    rungs: "Sequence[RungSettings]"
    clients: "Clients"
    journal: Journal
    until: float
    prompts: Path | None = None
    shown: tuple[str, ...] = ()
    """The tools that the agent saw, each with the reason, once it has run."""
    uses: list[ToolUse] = field(default_factory=list[ToolUse])
    _loading: "asyncio.Task[None] | None" = None

    async def run(self, task: Slice, call: Call | None = None) -> StepReport:
        """Do *task*, or make just the *call* that the request spelled out."""
        if self._has_key() and not call:
            self._loading = asyncio.create_task(_load())
        left = self.until - asyncio.get_running_loop().time()
        offer = await self.fleet.tools_for(self.definition.capabilities, wait=min(CONNECT_SECONDS, left))
        if call:
            return await self._spelled_out(call, offer)
        # Tools that change something need an approval, and nothing can ask for one yet: no agent is shown them.
        readable = [tool for tool in offer.tools if tool.read_only]
        if not readable:
            return self._report(Status.DEGRADED, self._no_tools(offer))
        chosen = subset(self.definition, task.task, readable)
        self.shown = tuple(f"{name}: {chosen.why[name]}" for name in chosen.names)
        self.journal.tell(StepStarted(self.definition.name, chosen.names))
        turns = await self._turns(task, chosen)
        if turns.result is None:
            return await self._without_model(task.task, readable, turns)
        return self._from_result(turns.result, turns.model)

    def _has_key(self) -> bool:
        return bool(configured(self.rungs, self.clients.environ))

    async def _turns(self, task: Slice, chosen: Subset) -> Turns:
        if not self._has_key():
            return Turns(None, reason="no API key is set")

        async def call_tool(tool: CatalogueTool, arguments: dict[str, JsonValue]) -> "ToolOutcome":
            return await self._call(tool, arguments, self.until)

        loop = TurnLoop(
            definition=self.definition,
            rungs=self.rungs,
            clients=self.clients,
            subset=chosen,
            call_tool=call_tool,
            on_attempt=lambda turn, prompt, attempt: self.journal.model_called(
                self.definition.name, self.number, turn, prompt, attempt
            ),
            until=self.until,
            prompts=self.prompts,
        )
        return await loop.run(task.render())

    async def _spelled_out(self, call: Call, offer: "Offer") -> StepReport:
        tool = next((tool for tool in offer.tools if tool.name == call.tool), None)
        if tool is None:
            if not offer.tools:
                return self._report(Status.DEGRADED, self._no_tools(offer))
            names = ", ".join(sorted(tool.name for tool in offer.tools))
            return self._report(Status.FAILED, f"{self.definition.title} has no tool {call.tool!r}. There are: {names}.")
        if not tool.read_only:
            return self._report(
                Status.FAILED,
                f"{call.tool} changes something and needs an approval, which this version cannot ask for. Nothing was done.",
            )
        outcome = await self._call(tool, call.arguments, self.until)
        shown = _shown(outcome, call.arguments)
        return self._report(Status.FAILED if outcome.is_error else Status.DONE, outcome.text, results=(shown,))

    async def _without_model(self, text: str, tools: Sequence[CatalogueTool], turns: Turns) -> StepReport:
        """What the tools say by themselves: the results already there, else the calls that the definition names."""
        results = [_shown(outcome, None) for outcome in turns.tool_outcomes if not outcome.is_error]
        if not results:
            until = asyncio.get_running_loop().time() + OFFLINE_SECONDS
            for call in plan_calls(self.definition, text, tools, {"sql": sql_literal(text)}):
                outcome = await self._call(call.tool, call.arguments, until)
                results.append(_shown(outcome, call.arguments))
        opening = f"No model was available ({turns.reason})"
        if not results:
            answer = f"{opening}, and no read-only call fits this request. Try again later, or call a tool yourself: "
            answer += f'`opsroom ask "/{self.definition.name} {tools[0].name} …"`.'
        else:
            answer = f"{opening}; this is what the {self.definition.title} tools say.\n\n"
            answer += "\n\n".join(f"{result.title}\n{result.text}" for result in results)
        return self._report(Status.DEGRADED, answer, results=tuple(results), opening=opening)

    def _from_result(self, result: AgentResult, model: str | None) -> StepReport:
        answer = result.question if result.status == "needs_input" and result.question else result.answer
        return StepReport(
            agent=self.definition.name,
            status=_STATUS[result.status],
            summary=result.summary or answer[:_SUMMARY_CHARACTERS],
            tools=tuple(self.uses),
            output=result.model_dump(mode="json", exclude={"status", "answer", "question", "summary"}),
            answer=answer,
            model=model,
        )

    def _report(
        self, status: Status, answer: str, *, results: tuple[ToolResult, ...] = (), opening: str | None = None
    ) -> StepReport:
        return StepReport(
            agent=self.definition.name,
            status=status,
            summary=answer[:_SUMMARY_CHARACTERS],
            tools=tuple(self.uses),
            answer=answer,
            results=results,
            opening=opening,
        )

    def _no_tools(self, offer: "Offer") -> str:
        why = "; ".join(f"{name}: {reason}" for name, reason in sorted(offer.down.items()))
        return f"Nothing could be looked up: no {self.definition.title} server can be reached ({why or 'none is configured'})."

    async def _call(self, tool: CatalogueTool, arguments: Mapping[str, JsonValue], until: float) -> "ToolOutcome":
        async def progressed(done: float, total: float | None, message: str | None) -> None:
            text = message or (f"{done:g}" if total is None else f"{done:g} of {total:g}")
            self.journal.tell(ToolProgressed(self.definition.name, tool.name, text))

        left = until - asyncio.get_running_loop().time()
        outcome = await self.fleet.call(tool, arguments, timeout=max(left, 0.0), progress=progressed)
        self.uses.append(await self.journal.tool_called(self.definition.name, self.number, arguments, outcome))
        return outcome


async def _load() -> None:
    """Imports what model calls need, seconds in all: while the servers start, and while the first model thinks."""
    await load_sdk()
    await load_prices()


def _shown(outcome: "ToolOutcome", arguments: Mapping[str, object] | None) -> ToolResult:
    given = ", ".join(f"{name}={value!r}" for name, value in (arguments or {}).items())
    structured = outcome.structured if isinstance(outcome.structured, dict) and not outcome.is_error else None
    return ToolResult(title=f"{outcome.tool}({given})", text=outcome.text, structured=structured)

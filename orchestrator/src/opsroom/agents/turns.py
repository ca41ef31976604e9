"""The turn loop of one agent: ask a model, run the tools it calls, until it gives its typed answer or a limit is reached."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from ..models.chain import Chain
from ..models.request import ModelRequest, ToolSpec
from .prompts import Prompt, load_prompt
from .result import AgentResult, parse_result, result_schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anthropic.types import MessageParam, ToolResultBlockParam, ToolUseBlock
    from pydantic import JsonValue

    from ..models.client import Attempt, Clients
    from ..settings import RungSettings
    from ..tools.catalogue import CatalogueTool, Subset
    from ..tools.outcome import ToolOutcome
    from .definition import AgentDefinition, Variant

MAX_TURNS = 8
MAX_SAME_CALL = 3
MAX_CALLS_PER_TURN = 8
MAX_RESULT_CHARACTERS = 12_000

CallTool: TypeAlias = "Callable[[CatalogueTool, dict[str, JsonValue]], Awaitable[ToolOutcome]]"
OnAttempt: TypeAlias = "Callable[[int, Prompt, Attempt], None]"


@dataclass(frozen=True)
class Turns:
    """How the loop ended. Without a `result` no model gave a valid answer, and `reason` says why in a few words."""

    result: AgentResult | None
    model: str | None = None
    reason: str = ""
    tool_outcomes: "tuple[ToolOutcome, ...]" = ()


@dataclass
class TurnLoop:
    """One agent on one task. `until` is a time of the running loop's clock that nothing here outlives."""

    definition: "AgentDefinition"
    rungs: "Sequence[RungSettings]"
    clients: "Clients"
    subset: "Subset"
    call_tool: CallTool
    on_attempt: OnAttempt
    """Told of every model call as it ends: the turn, the prompt, and how it went."""
    until: float
    prompts: Path | None = None
    """The workspace's `agents.d`, for agents that do not ship."""
    turn: int = 0
    outcomes: "list[ToolOutcome]" = field(default_factory=list["ToolOutcome"])
    made: Counter[str] = field(default_factory=Counter[str])

    async def run(self, task: str) -> Turns:
        chain = Chain(self.rungs, clients=self.clients, on_attempt=self._attempted)
        messages: list[MessageParam] = [{"role": "user", "content": task}]
        start = 0
        for self.turn in range(1, MAX_TURNS + 1):
            answer = await chain.ask(
                lambda rung: self._request(rung, messages), until=self.until, start=start, accept=self._refusal
            )
            if answer.attempt is None or answer.attempt.message is None:
                return self._ended(_why_none(answer.attempts))
            start, message = answer.attempt.rung, answer.attempt.message
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                result = parse_result(self.definition, _text(message.content))
                return Turns(result, answer.attempt.model, tool_outcomes=tuple(self.outcomes))
            messages.append({"role": "assistant", "content": message.content})
            messages.append({"role": "user", "content": await self._results(calls)})
        return self._ended(f"no answer after {MAX_TURNS} turns")

    def _attempted(self, attempt: "Attempt") -> None:
        self.on_attempt(self.turn, self._prompt(attempt.prompt), attempt)

    def _ended(self, reason: str) -> Turns:
        return Turns(None, reason=reason, tool_outcomes=tuple(self.outcomes))

    def _prompt(self, variant: "Variant") -> Prompt:
        return load_prompt(self.definition.name, variant, extra=self.prompts)

    def _request(self, rung: "RungSettings", messages: "Sequence[MessageParam]") -> ModelRequest:
        named = zip(self.subset.names, self.subset.tools, strict=True)
        return ModelRequest(
            system=self._prompt(rung.prompt).text,
            messages=messages,
            tools=tuple(ToolSpec(name, tool.description, tool.input_schema) for name, tool in named),
            tool_choice="none" if self.turn == MAX_TURNS else "auto",
            output_schema=result_schema(self.definition),
        )

    def _refusal(self, attempt: "Attempt") -> str | None:
        """Why a complete message cannot be used, so that the chain asks the next rung; None when it can."""
        if attempt.message is None or any(block.type == "tool_use" for block in attempt.message.content):
            return None
        try:
            parse_result(self.definition, _text(attempt.message.content))
        except ValueError as error:
            return str(error)
        return None

    async def _results(self, calls: "Sequence[ToolUseBlock]") -> "list[ToolResultBlockParam]":
        return list(await asyncio.gather(*(self._one(call, number) for number, call in enumerate(calls))))

    async def _one(self, call: "ToolUseBlock", number: int) -> "ToolResultBlockParam":
        tool = self.subset.find(call.name)
        if tool is None:
            return _result(call, f"There is no tool {call.name!r}. There are: {', '.join(self.subset.names)}.", is_error=True)
        if number >= MAX_CALLS_PER_TURN:
            return _result(call, f"Not made: at most {MAX_CALLS_PER_TURN} calls in one turn.", is_error=True)
        key = json.dumps([call.name, call.input], sort_keys=True, default=str)
        self.made[key] += 1
        if self.made[key] > MAX_SAME_CALL:
            return _result(call, "Not made: this very call was made before; its result stands above. Answer now.", is_error=True)
        outcome = await self.call_tool(tool, cast("dict[str, JsonValue]", call.input))
        self.outcomes.append(outcome)
        return _result(call, outcome.text, is_error=outcome.is_error)


def _result(call: "ToolUseBlock", text: str, *, is_error: bool) -> "ToolResultBlockParam":
    if len(text) > MAX_RESULT_CHARACTERS:
        text = f"{text[:MAX_RESULT_CHARACTERS]}\n… cut: {len(text) - MAX_RESULT_CHARACTERS} more characters; ask for less."
    return {"type": "tool_result", "tool_use_id": call.id, "content": text or "(empty)", "is_error": is_error}


def _why_none(attempts: "Sequence[Attempt]") -> str:
    if not attempts:
        return "no time was left to ask one"
    return "; ".join(f"{attempt.model}: {attempt.outcome.replace('_', ' ')}" for attempt in attempts)


def _text(content: "Sequence[object]") -> str:
    from anthropic.types import TextBlock

    return "".join(block.text for block in content if isinstance(block, TextBlock))

import asyncio
import json
from dataclasses import dataclass, field
from typing import cast

from opsroom.agents.registry import load_agents
from opsroom.agents.turns import MAX_CALLS_PER_TURN, MAX_RESULT_CHARACTERS, MAX_SAME_CALL, MAX_TURNS, TurnLoop
from opsroom.models.client import Attempt, Clients
from opsroom.settings import RungSettings
from opsroom.testing import FAULTS, Cue, MessageReply, Script, ScriptedAnthropic, StructuredReply, ToolCall
from opsroom.tools.catalogue import CatalogueTool, subset
from opsroom.tools.outcome import ToolOutcome
from pydantic import JsonValue

DATABASES = load_agents()["databases"]
RUNGS = (
    RungSettings(model="claude-opus-5-5", prompt="full", timeout=5),
    RungSettings(model="claude-haiku-5-5", prompt="minimal", timeout=5),
)
QUERY = ToolCall(name="run_query", input={"sql": "select 1"})
ANSWER = StructuredReply(values={"status": "done", "answer": "There is one.", "confidence": 0.9})


def tool(name: str) -> CatalogueTool:
    schema = {"type": "object", "properties": {"sql": {"type": "string"}}}
    return CatalogueTool(name, "shop", f"{name} of the shop", schema, read_only=True, destructive=False, idempotent=True)


@dataclass
class Desk:
    """Answers tool calls, and keeps what it was asked."""

    text: str = "1 row"
    is_error: bool = False
    calls: list[tuple[str, dict[str, JsonValue]]] = field(default_factory=list[tuple[str, dict[str, JsonValue]]])

    async def __call__(self, called: CatalogueTool, arguments: dict[str, JsonValue]) -> ToolOutcome:
        self.calls.append((called.name, arguments))
        return ToolOutcome(tool=called.name, server=called.server, text=self.text, is_error=self.is_error)


def loop_on(server: ScriptedAnthropic, desk: Desk, attempts: list[tuple[int, Attempt]] | None = None) -> TurnLoop:
    kept = [] if attempts is None else attempts
    environ = {"ANTHROPIC_API_KEY": "sk-ant-none", "ANTHROPIC_BASE_URL": server.url}
    return TurnLoop(
        definition=DATABASES,
        rungs=RUNGS,
        clients=Clients(environ),
        subset=subset(DATABASES, "count", [tool("run_query"), tool("search_schema"), tool("describe_table")]),
        call_tool=desk,
        on_attempt=lambda turn, _, attempt: kept.append((turn, attempt)),
        until=asyncio.get_running_loop().time() + 60,
    )


def last_results(server: ScriptedAnthropic) -> list[dict[str, JsonValue]]:
    """The tool results in the last request."""
    messages = cast("list[dict[str, list[dict[str, JsonValue]]]]", server.requests[-1].body["messages"])
    return messages[-1]["content"]


async def test_a_tool_call_is_made_and_its_result_goes_back() -> None:
    """The model asks for a tool, gets its result, and its typed answer ends the loop."""
    desk = Desk()
    with ScriptedAnthropic(Script(cues=(Cue(reply=MessageReply(calls=(QUERY,)), round=0), Cue(reply=ANSWER)))) as server:
        loop = loop_on(server, desk)
        async with loop.clients:
            turns = await loop.run("Task: count")

    assert desk.calls == [("run_query", {"sql": "select 1"})]
    assert [(block["type"], block["content"], block["is_error"]) for block in last_results(server)] == [
        ("tool_result", "1 row", False)
    ]
    assert turns.result is not None
    assert turns.result.answer == "There is one."
    assert turns.model == "claude-opus-5-5"
    assert [outcome.tool for outcome in turns.tool_outcomes] == ["run_query"]


async def test_an_agent_is_shown_its_prompt_its_tools_and_its_answers_shape() -> None:
    """Each rung gets its own prompt variant; the tools are the subset; the answer is held to the agent's schema."""
    with ScriptedAnthropic(Script(cues=(Cue(reply=FAULTS["overloaded"], model="opus"), Cue(reply=ANSWER)))) as server:
        loop = loop_on(server, Desk())
        async with loop.clients:
            turns = await loop.run("Task: count")

    first, second = (request.body for request in server.requests)
    assert turns.model == "claude-haiku-5-5"
    assert len(json.dumps(first["system"])) > len(json.dumps(second["system"]))
    assert first["tools"] == second["tools"]
    assert {shown["name"] for shown in cast("list[dict[str, str]]", first["tools"])} == set(loop.subset.names)
    assert "sql" in json.dumps(first["output_config"])


async def test_a_rung_that_failed_is_not_asked_again_in_the_next_turn() -> None:
    """After a fall the conversation stays with the rung that answered."""
    script = Script(
        cues=(
            Cue(reply=FAULTS["overloaded"], model="opus"),
            Cue(reply=MessageReply(calls=(QUERY,)), round=0),
            Cue(reply=ANSWER),
        )
    )
    with ScriptedAnthropic(script) as server:
        loop = loop_on(server, Desk())
        async with loop.clients:
            await loop.run("Task: count")

    assert server.models == ("claude-opus-5-5", "claude-haiku-5-5", "claude-haiku-5-5")


async def test_an_answer_that_does_not_parse_goes_to_the_next_rung() -> None:
    """Plain text where a typed answer was asked for is no answer."""
    script = Script(cues=(Cue(reply=MessageReply(text="All is well."), model="opus"), Cue(reply=ANSWER)))
    attempts: list[tuple[int, Attempt]] = []
    with ScriptedAnthropic(script) as server:
        loop = loop_on(server, Desk(), attempts)
        async with loop.clients:
            turns = await loop.run("Task: count")

    assert turns.result is not None
    assert [(turn, attempt.outcome.value) for turn, attempt in attempts] == [(1, "malformed"), (1, "ok")]


async def test_what_the_tools_said_is_kept_when_every_rung_fails() -> None:
    """A chain that breaks after the first turn leaves the results that were already there."""
    script = Script(cues=(Cue(reply=MessageReply(calls=(QUERY,)), round=0), Cue(reply=FAULTS["server_error"])))
    with ScriptedAnthropic(script) as server:
        loop = loop_on(server, Desk())
        async with loop.clients:
            turns = await loop.run("Task: count")

    assert turns.result is None
    assert turns.reason == "claude-opus-5-5: server; claude-haiku-5-5: server"
    assert [outcome.text for outcome in turns.tool_outcomes] == ["1 row"]


async def test_a_model_that_never_stops_calling_is_stopped() -> None:
    """The same call is made a few times at most, and the last turn may only answer."""
    desk = Desk()
    with ScriptedAnthropic(Script(cues=(Cue(reply=MessageReply(calls=(QUERY,))),))) as server:
        loop = loop_on(server, desk)
        async with loop.clients:
            turns = await loop.run("Task: count")

    assert turns.result is not None
    assert len(server.requests) == MAX_TURNS
    assert len(desk.calls) == MAX_SAME_CALL
    assert server.requests[-1].body["tool_choice"] == {"type": "none"}


async def test_results_are_cut_and_calls_counted() -> None:
    """A flood of text or of calls in one turn reaches neither the model nor the server."""
    many = tuple(ToolCall(name="run_query", input={"sql": f"select {number}"}) for number in range(MAX_CALLS_PER_TURN + 3))
    desk = Desk(text="x" * (MAX_RESULT_CHARACTERS * 2))
    with ScriptedAnthropic(Script(cues=(Cue(reply=MessageReply(calls=many), round=0), Cue(reply=ANSWER)))) as server:
        loop = loop_on(server, desk)
        async with loop.clients:
            await loop.run("Task: count")

    results = last_results(server)
    assert len(desk.calls) == MAX_CALLS_PER_TURN
    assert len(results) == len(many)
    assert all(len(str(block["content"])) < MAX_RESULT_CHARACTERS + 100 for block in results)
    assert [block["is_error"] for block in results].count(True) == 3


async def test_a_tools_error_reaches_the_model_as_an_error() -> None:
    """The model reads what was wrong and may try again."""
    desk = Desk(text="no such table: ordres. Did you mean orders?", is_error=True)
    with ScriptedAnthropic(Script(cues=(Cue(reply=MessageReply(calls=(QUERY,)), round=0), Cue(reply=ANSWER)))) as server:
        loop = loop_on(server, desk)
        async with loop.clients:
            await loop.run("Task: count")

    assert [(block["content"], block["is_error"]) for block in last_results(server)] == [(desk.text, True)]

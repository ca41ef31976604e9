import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from opsroom.agents.registry import load_agents
from opsroom.errors import UsageError
from opsroom.ledger.store import Ledger
from opsroom.models.client import Clients
from opsroom.router.router import build_router
from opsroom.settings import Workspace
from opsroom.testing import FAULTS, Cue, MessageReply, Script, ScriptedAnthropic, StructuredReply, ToolCall, closed_port
from opsroom.tools.fleet import Fleet
from opsroom.workflow.events import Event, ToolCalled
from opsroom.workflow.report import Status
from opsroom.workflow.runner import Runner

SHOP = Path(__file__).parent / "servers" / "shop.py"
CONFIG = """
deadline = 60

[servers.shop]
command = [{python!r}, {shop!r}]
capabilities = ["databases"]

[servers.gone]
command = ["opsroom-monitoring-that-nobody-has"]
capabilities = ["monitoring"]

[[chain]]
model = "claude-opus-5-5"
timeout = 5

[[chain]]
model = "claude-haiku-5-5"
prompt = "minimal"
timeout = 5
"""
TABLES = "which tables are biggest?"
QUERY = ToolCall(name="run_query", input={"sql": "select count(*) from orders"})
ANSWER = StructuredReply(
    values={"status": "done", "answer": "Three orders.", "summary": "3 orders", "confidence": 0.9, "sql": ["select 1"]}
)


def workspace(folder: Path) -> Workspace:
    config = folder / "opsroom.toml"
    config.write_text(CONFIG.format(python=sys.executable, shop=str(SHOP)).replace("'", '"'))
    return Workspace(folder, config)


@asynccontextmanager
async def runner(folder: Path, url: str | None = None) -> AsyncGenerator[Runner]:
    """A runner on the shop; without *url* no key is set."""
    place = workspace(folder)
    agents = load_agents()
    environ = {"ANTHROPIC_API_KEY": "sk-ant-none", "ANTHROPIC_BASE_URL": url} if url else {}
    async with Ledger.at(place.state) as ledger, Clients(environ) as clients, Fleet(place) as fleet:
        yield Runner(place, place.settings(), agents, build_router(agents, asks_model=False), fleet, clients, ledger)


async def test_without_a_key_the_tools_answer_by_themselves(tmp_path: Path) -> None:
    """The request is routed, the real server called, and the answer says that no model was available."""
    async with runner(tmp_path) as desk:
        report = await desk.ask(TABLES)

    assert report.status == Status.DEGRADED
    assert report.agents == ("databases",)
    assert report.model is None
    assert report.cost_usd == 0
    assert "No model was available (no API key is set)" in report.answer
    assert '"name":"orders"' in report.answer
    assert [(use.name, use.ok) for use in report.steps[0].tools] == [("search_schema", True)]


async def test_with_a_model_the_agent_answers_and_everything_is_recorded(tmp_path: Path) -> None:
    """Two model calls and one tool call: the answer, its typed fields, and each call in the ledger."""
    script = Script(cues=(Cue(reply=MessageReply(calls=(QUERY,)), round=0), Cue(reply=ANSWER)))
    with ScriptedAnthropic(script) as server:
        async with runner(tmp_path, server.url) as desk:
            report = await desk.ask("how many orders are in the orders table?", user="ada")
            detail = await desk.ledger.run(report.run_id)

    assert report.status == Status.DONE
    assert report.answer == "Three orders."
    assert report.model == "claude-opus-5-5"
    assert report.steps[0].output["sql"] == ["select 1"]
    assert report.usage.model_calls == 2
    assert report.cost_usd is not None
    assert report.cost_usd > 0
    assert (detail.run.status, detail.run.user, detail.run.answer) == ("done", "ada", "Three orders.")
    assert [call.outcome for call in detail.model_calls] == ["ok", "ok"]
    assert [(call.tool, call.server, call.ok) for call in detail.tool_calls] == [("run_query", "shop", True)]
    assert sum(call.cost_usd or 0 for call in detail.model_calls) == pytest.approx(report.cost_usd)


async def test_when_every_rung_fails_the_tools_answer(tmp_path: Path) -> None:
    """The answer names what each rung did, and carries rows all the same."""
    script = Script(cues=(Cue(reply=FAULTS["overloaded"], model="opus"), Cue(reply=FAULTS["server_error"])))
    with ScriptedAnthropic(script) as server:
        async with runner(tmp_path, server.url) as desk:
            report = await desk.ask(TABLES)
            detail = await desk.ledger.run(report.run_id)

    assert report.status == Status.DEGRADED
    assert "claude-opus-5-5: overloaded; claude-haiku-5-5: server" in report.answer
    assert [use.name for use in report.steps[0].tools] == ["search_schema"]
    assert [call.outcome for call in detail.model_calls] == ["overloaded", "server"]


async def test_results_that_are_already_there_are_not_fetched_again(tmp_path: Path) -> None:
    """A chain that breaks after a tool call answers with that call's result."""
    script = Script(cues=(Cue(reply=MessageReply(calls=(QUERY,)), round=0), Cue(reply=FAULTS["server_error"])))
    with ScriptedAnthropic(script) as server:
        async with runner(tmp_path, server.url) as desk:
            report = await desk.ask(TABLES)

    assert report.status == Status.DEGRADED
    assert [use.name for use in report.steps[0].tools] == ["run_query"]


async def test_a_spelled_out_call_needs_no_model(tmp_path: Path) -> None:
    """`/databases run_query …` makes just that call, with its typed arguments."""
    with closed_port() as url:
        async with runner(tmp_path, url) as desk:
            report = await desk.ask('/databases run_query sql="select 1" limit=3')

    assert report.status == Status.DONE
    assert report.usage.model_calls == 0
    assert '"limit":3' in report.answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('/databases run_query sql="select * from ordres"', "no such table: ordres"),
        ('/databases drop_table table="orders"', "has no tool 'drop_table'"),
        ('/databases run_write sql="delete from orders"', "needs an approval"),
    ],
)
async def test_a_spelled_out_call_that_cannot_be_made_says_why(tmp_path: Path, text: str, said: str) -> None:
    """A tool's error, an unknown tool and a tool that writes each end as failed, with the reason."""
    async with runner(tmp_path) as desk:
        report = await desk.ask(text)

    assert report.status == Status.FAILED
    assert said in report.answer


async def test_no_agent_is_shown_a_tool_that_writes(tmp_path: Path) -> None:
    """Without approvals an agent reads only, whatever its servers offer."""
    with ScriptedAnthropic(Script(cues=(Cue(reply=ANSWER),))) as server:
        async with runner(tmp_path, server.url) as desk:
            report = await desk.ask("delete all rows of the orders table", agent="databases")
            detail = await desk.ledger.run(report.run_id)

    assert "run_write" not in str(server.requests[0].body["tools"])
    assert not any("run_write" in shown for shown in detail.steps[0].tools_shown)


async def test_a_server_that_is_down_is_named_and_no_model_guesses(tmp_path: Path) -> None:
    """Without tools there are no facts: the answer says which server is missing and why."""
    with ScriptedAnthropic() as server:
        async with runner(tmp_path, server.url) as desk:
            report = await desk.ask("is anything alerting?", agent="monitoring")

    assert report.status == Status.DEGRADED
    assert "gone" in report.answer
    assert server.requests == ()


async def test_an_unclear_request_is_asked_back(tmp_path: Path) -> None:
    """No agent runs; the question goes to the person; the run is kept."""
    async with runner(tmp_path) as desk:
        report = await desk.ask("ship it")
        detail = await desk.ledger.run(report.run_id)

    assert report.status == Status.NEEDS_INPUT
    assert report.steps == ()
    assert "?" in report.answer
    assert detail.decision is not None
    assert detail.decision.decision == "clarify"


async def test_a_request_out_of_scope_is_declined(tmp_path: Path) -> None:
    """A polite refusal is an answer."""
    async with runner(tmp_path) as desk:
        report = await desk.ask("write me a poem about the sea")

    assert report.status == Status.DONE
    assert report.agents == ()
    assert report.usage.tool_calls == 0


@pytest.mark.parametrize(("text", "agent"), [("hello", "nobody"), ("", None), ("x" * 100_000, None)])
async def test_a_request_that_nobody_can_take_is_refused_and_not_recorded(tmp_path: Path, text: str, agent: str | None) -> None:
    """An unknown agent, an empty request and a huge one are usage errors; nothing is half-written."""
    async with runner(tmp_path) as desk:
        with pytest.raises(UsageError):
            await desk.ask(text, agent=agent)

        assert await desk.ledger.runs() == []


async def test_a_changed_configuration_takes_effect_with_the_next_request(tmp_path: Path) -> None:
    """Another chain is used without a restart, and a file broken in between changes nothing."""
    with ScriptedAnthropic(Script(cues=(Cue(reply=ANSWER),))) as server:
        async with runner(tmp_path, server.url) as desk:
            config = tmp_path / "opsroom.toml"
            before = config.read_text()
            await desk.ask(TABLES)
            config.write_text(before.replace("claude-opus-5-5", "claude-sonnet-5-5"))
            await desk.ask(TABLES)
            config.write_text("deadline = ")
            await desk.ask(TABLES)

    assert server.models == ("claude-opus-5-5", "claude-sonnet-5-5", "claude-sonnet-5-5")


async def test_a_cancelled_request_is_booked_as_cancelled(tmp_path: Path) -> None:
    """Ctrl-C during a model call leaves a run that says so, with the call in it."""
    asked = asyncio.Event()
    with ScriptedAnthropic(Script(cues=(Cue(reply=MessageReply(calls=(QUERY,)), round=0), Cue(reply=FAULTS["hang"])))) as server:
        async with runner(tmp_path, server.url) as desk:

            def watch(event: Event) -> None:
                if isinstance(event, ToolCalled):
                    asked.set()

            task = asyncio.create_task(desk.ask(TABLES, tell=watch))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            run = (await desk.ledger.runs())[0]
            detail = await desk.ledger.run(run.id)

    assert run.status == "cancelled"
    assert detail.model_calls[0].outcome == "ok"
    assert [call.tool for call in detail.tool_calls] == ["run_query"]

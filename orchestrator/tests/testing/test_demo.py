"""The demo's script: against the agent's own answer schema, and its tool calls against the real demo shop."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from mcp.types import TextContent
from opsroom.agents.registry import load_agents
from opsroom.agents.result import AgentResult, parse_result, result_schema
from opsroom.context.slice import Slice
from opsroom.models.client import Clients
from opsroom.models.request import ModelRequest, ToolSpec
from opsroom.settings import RungSettings
from opsroom.testing import ScriptedAnthropic, play_named

if TYPE_CHECKING:
    from anthropic.types import Message, MessageParam, ToolResultBlockParam, ToolUseBlock

PROGRAM = Path(sys.executable).with_name("opsroom-databases")
AGENT = load_agents()["databases"]
RUNG = RungSettings(model="claude-opus-5-5", timeout=60)

# the request → the tools that are called for it, in order, and something that only the shop's own rows can have put there
REQUESTS = {
    "which tables are biggest?": (["search_schema"], "order_lines,table,"),
    "describe the orders table": (["describe_table"], "orders_placed_at_idx"),
    "show the schema of support_tickets": (["describe_table"], "support_tickets_customer_id_idx"),
    "how many orders were refunded last week?": (
        ["describe_table", "describe_table", "run_query"],
        "orders_refunded,refunds,amount",
    ),
    "why is looking up support tickets by customer email slow?": (["explain_query", "explain_query"], "SCAN"),
    "why is finding the orders of a customer slow?": (["explain_query"], "CREATE INDEX"),
    "select status, count(*) as orders from orders group by status": (["run_query"], "delivered,"),
    "explain select * from orders where customer_id = 42": (["explain_query"], "SCAN orders"),
    "what do we store about refunds?": (["search_schema", "describe_table"], "refunds_payment_id_idx"),
    "what was the revenue of the last days?": (["run_query"], "day,orders,revenue"),
    "what databases can you see?": (["list_databases"], "shop"),
}
NAMES = ("list_databases", "search_schema", "describe_table", "run_query", "explain_query")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Client[StdioTransport]]:
    """A client of the real databases server on its demo shop."""
    if not PROGRAM.exists():
        pytest.skip(f"{PROGRAM.name} is not installed beside this Python")
    transport = StdioTransport(str(PROGRAM), ["--demo", "--state", str(tmp_path_factory.mktemp("shop"))])
    async with Client(transport) as client:
        yield client


async def converse(server: ScriptedAnthropic, shop: Client[StdioTransport], text: str) -> tuple[AgentResult, list[str]]:
    """The agent's answer and the tools it called, by the shortest turn loop there is."""
    tools = tuple(ToolSpec(tool.name, tool.description or "", tool.input_schema) for tool in await shop.list_tools())
    messages: list[MessageParam] = [{"role": "user", "content": Slice(text).render()}]
    called: list[str] = []
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(Clients({"ANTHROPIC_API_KEY": "sk-ant-none", "ANTHROPIC_BASE_URL": server.url}))
        while True:
            request = ModelRequest("You are an agent.", messages, tools=tools, output_schema=result_schema(AGENT))
            attempt = await clients.call_rung(RUNG, request, until=asyncio.get_running_loop().time() + 60)
            message = cast("Message", attempt.message)
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                return parse_result(AGENT, "".join(block.text for block in message.content if block.type == "text")), called
            called += [call.name for call in calls]
            messages.append({"role": "assistant", "content": message.content})
            messages.append({"role": "user", "content": [await result_of(shop, call) for call in calls]})


async def result_of(shop: Client[StdioTransport], call: "ToolUseBlock") -> "ToolResultBlockParam":
    result = await shop.call_tool(call.name, call.input)
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    return {"type": "tool_result", "tool_use_id": call.id, "content": text}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("text", REQUESTS)
async def test_the_demo_does_real_work_on_the_shop(shop: Client[StdioTransport], text: str) -> None:
    """Every scripted call succeeds on the real server, and its result stands in a valid answer of the agent."""
    tools, shown = REQUESTS[text]

    with ScriptedAnthropic(play_named("demo")) as server:
        result, called = await converse(server, shop, text)

    assert result.status == "done"
    assert called == tools
    assert shown in result.answer
    assert {source.tool for source in result.sources} <= set(called)


async def test_a_request_without_a_line_is_said_to_have_none() -> None:
    """The scripted model does not pretend to know."""
    request = ModelRequest("s", [{"role": "user", "content": "Task: rename everything"}], output_schema=result_schema(AGENT))

    with ScriptedAnthropic(play_named("demo")) as server:
        async with Clients({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": server.url}) as clients:
            attempt = await clients.call_rung(RUNG, request, until=asyncio.get_running_loop().time() + 60)

    block = cast("Message", attempt.message).content[0]
    assert block.type == "text"
    assert parse_result(AGENT, block.text).status == "failed"


@pytest.mark.parametrize("left_out", NAMES)
async def test_the_demo_calls_no_tool_that_is_not_offered(left_out: str) -> None:
    """An agent that is shown fewer tools is never asked for another one."""
    offered = tuple(ToolSpec(name, "", {"type": "object"}) for name in NAMES if name != left_out)

    with ScriptedAnthropic(play_named("demo")) as server:
        async with Clients({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": server.url}) as clients:
            called: set[str] = set()
            for text in REQUESTS:
                request = ModelRequest("s", [{"role": "user", "content": text}], tools=offered)
                attempt = await clients.call_rung(RUNG, request, until=asyncio.get_running_loop().time() + 60)
                called |= {block.name for block in cast("Message", attempt.message).content if block.type == "tool_use"}

    assert called <= {tool.name for tool in offered}
    assert called

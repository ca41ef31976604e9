import pytest
from opsroom.agents.definition import AgentDefinition, OfflineCall
from opsroom.agents.offline import MAX_CALLS, plan_calls, unknown_placeholders
from opsroom.tools.catalogue import CatalogueTool


def tool(name: str, *, read_only: bool = True) -> CatalogueTool:
    return CatalogueTool(name, "shop", "", {"type": "object"}, read_only=read_only, destructive=False, idempotent=True)


def agent(*calls: OfflineCall) -> AgentDefinition:
    return AgentDefinition(name="databases", title="Databases", description="x", capabilities=("databases",), offline=calls)


DESCRIBE = OfflineCall(match=r"describe (?P<table>\w+)", tool="describe_table", arguments={"table": "{table}", "sample_rows": 3})
QUERY = OfflineCall(match="select", tool="run_query", arguments={"sql": "{sql}"})
ANYTHING = OfflineCall(tool="search_schema", arguments={"query": "{text}"})
TOOLS = [tool("describe_table"), tool("run_query"), tool("search_schema")]


def test_a_named_group_fills_an_argument() -> None:
    """What the pattern caught is what the tool is asked for; numbers stay numbers."""
    planned = plan_calls(agent(DESCRIBE, ANYTHING), "Describe orders", TOOLS, {"sql": None})

    assert [(call.tool.name, call.arguments) for call in planned] == [("describe_table", {"table": "orders", "sample_rows": 3})]


def test_a_call_without_a_pattern_is_made_only_when_no_other_fits() -> None:
    """The catch-all answers what nothing else recognises."""
    planned = plan_calls(agent(DESCRIBE, ANYTHING), "refunds?", TOOLS, {"sql": None})

    assert [(call.tool.name, call.arguments) for call in planned] == [("search_schema", {"query": "refunds?"})]


def test_a_call_whose_literal_is_absent_is_passed_over() -> None:
    """The word `select` without a statement runs nothing."""
    planned = plan_calls(agent(QUERY, ANYTHING), "select a good table", TOOLS, {"sql": None})

    assert [call.tool.name for call in planned] == ["search_schema"]


def test_a_value_is_never_read_as_a_placeholder() -> None:
    """Braces in the request's own text go to the tool as they are."""
    planned = plan_calls(agent(QUERY), "select", TOOLS, {"sql": "select '{text}'"})

    assert planned[0].arguments == {"sql": "select '{text}'"}


@pytest.mark.parametrize("tools", [[], [tool("describe_table", read_only=False)]])
def test_a_tool_that_is_absent_or_writes_is_never_called(tools: list[CatalogueTool]) -> None:
    """Without a model nothing is changed, and nothing is invented."""
    assert plan_calls(agent(DESCRIBE), "describe orders", tools, {}) == []


def test_no_more_than_two_calls_are_made() -> None:
    """An answer without a model stays short."""
    calls = [OfflineCall(match="orders", tool="search_schema", arguments={"query": str(number)}) for number in range(5)]

    assert len(plan_calls(agent(*calls), "orders", TOOLS, {})) == MAX_CALLS


def test_the_same_call_is_made_once() -> None:
    """Two patterns that ask the same thing cost one call."""
    planned = plan_calls(agent(DESCRIBE, DESCRIBE), "describe orders", TOOLS, {})

    assert len(planned) == 1


def test_a_placeholder_that_nothing_can_fill_is_found() -> None:
    """A definition with a misspelt group is caught when it is read."""
    call = OfflineCall(
        match=r"(?P<table>\w+)", tool="describe_table", arguments={"table": "{tabel}", "a": "{text}", "b": "{table}"}
    )

    assert unknown_placeholders(call) == ["tabel"]

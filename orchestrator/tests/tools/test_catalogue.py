import re
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom.agents.definition import AgentDefinition
from opsroom.tools.catalogue import MIN_TOOLS, CatalogueTool, qualified, subset
from opsroom.tools.words import is_question, stem, tokens

AGENT = AgentDefinition(
    name="stock",
    title="Stock",
    description="Knows what lies in which warehouse.",
    capabilities=("warehouse",),
    examples=("how many crates are in hall B", "where is crate 7"),
)


def tool(
    name: str, description: str = "", server: str = "warehouse", *, writes: bool = False, **parameters: object
) -> CatalogueTool:
    schema = {"type": "object", "properties": parameters}
    return CatalogueTool(name, server, description, schema, read_only=not writes, destructive=writes, idempotent=not writes)


COUNT = tool("count_crates", "How many crates lie in a hall.")
FIND = tool("find_crate", "Where a crate lies.", number={"type": "string", "description": "Its number"})
MAP = tool("draw_map", "A picture of the halls.")
WEIGH = tool("weigh_crate", "Weight of a crate in kilograms.")
STAFF = tool("list_staff", "Who works in which shift.")
DOORS = tool("list_doors", "Doors and when they were opened.")
MOVE = tool("move_crate", "Carry a crate to another hall.", writes=True)
DROP = tool("scrap_crate", "Throw a crate away.", writes=True)
STOCK = (COUNT, FIND, MAP, WEIGH, STAFF, DOORS, MOVE, DROP)

words = st.sampled_from(["crate", "hall", "move", "count", "query", "read_diff", "deploy", "Zürich", "17", "", "select a from b"])
names = st.text("abc_d", min_size=1, max_size=6) | st.sampled_from(["run_query", "move_crate", "a.b", "a/b", "a_b", "1", "é"])
any_tool = st.builds(
    CatalogueTool,
    name=names,
    server=st.sampled_from(["warehouse", "yard", "a", "a__b"]),
    description=st.lists(words, max_size=6).map(" ".join),
    input_schema=st.sampled_from(
        [
            {},
            {"properties": None},
            {"properties": {"crate": {"description": "hall", "enum": ["count"]}}},
            {"properties": {"x": 1}},
        ]
    ),
    read_only=st.booleans(),
    destructive=st.booleans(),
    idempotent=st.booleans(),
)


@given(st.lists(any_tool, max_size=12), st.lists(words, max_size=8).map(" ".join), st.lists(names, max_size=5), st.integers(3, 5))
def test_a_subset_is_three_to_five_of_the_agent_s_tools(
    tools: list[CatalogueTool], task: str, pins: list[str], most: int
) -> None:
    """Never a tool that was not offered, never more than the agent's maximum, fewer than three only where there are fewer."""
    agent = AGENT.model_copy(update={"pins": tuple(pins), "max_tools": most})
    distinct = len({(tool.server, tool.name) for tool in tools})

    shown = subset(agent, task, tools)

    assert all(tool in tools for tool in shown.tools)
    assert min(MIN_TOOLS, distinct) <= len(shown.tools) <= min(most, distinct)
    assert list(shown.why) == list(shown.names)
    assert all(shown.why.values())
    assert [shown.find(name) for name in shown.names] == list(shown.tools)


@given(st.lists(any_tool, max_size=10), st.lists(words, max_size=8).map(" ".join), st.randoms(use_true_random=False))
def test_the_order_of_the_tools_does_not_matter(tools: list[CatalogueTool], task: str, random: Random) -> None:
    """Servers answer in any order, and a task sees the same tools each time."""
    shuffled = list(tools)
    random.shuffle(shuffled)

    assert subset(AGENT, task, shuffled) == subset(AGENT, task, tools)


@given(st.lists(any_tool, max_size=12))
def test_every_tool_has_a_name_that_a_model_can_call(tools: list[CatalogueTool]) -> None:
    """Names are distinct, within the letters that the API takes, and none is lost."""
    named = qualified(tools)

    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name) for name in named)
    assert {(tool.server, tool.name) for tool in named.values()} == {(tool.server, tool.name) for tool in tools}


def test_a_name_on_two_servers_is_qualified() -> None:
    """Both can be called, each by its server, and other names stay as they are."""
    yard = replace(FIND, server="yard")

    assert qualified([yard, COUNT, FIND]) == {"count_crates": COUNT, "warehouse__find_crate": FIND, "yard__find_crate": yard}


def test_a_qualified_name_never_takes_another_tool_s() -> None:
    """A tool that is really called SERVER__NAME keeps its name."""
    yard, odd = replace(FIND, server="yard"), tool("yard__find_crate")

    assert qualified([yard, FIND, odd]) == {"warehouse__find_crate": FIND, "yard__find_crate": odd, "yard__find_crate_2": yard}


def test_a_long_name_on_two_servers_stays_distinct() -> None:
    """Cutting names to what the API takes makes none of them the same."""
    twins = [tool("x" * 128, server=server) for server in ("warehouse_of_the_north", "warehouse_of_the_south")]

    assert sorted(map(len, qualified(twins))) == [128, 128]


def test_pins_come_first() -> None:
    """In the agent's order, whatever the task says; one that no server has is passed over."""
    agent = AGENT.model_copy(update={"pins": ("list_doors", "no_such_tool", "list_staff")})

    shown = subset(agent, "weight of crate 7", STOCK)

    assert shown.names[:2] == ("list_doors", "list_staff")
    assert (shown.why["list_doors"], shown.why["list_staff"]) == ("pinned", "pinned")
    assert "weigh_crate" in shown.names


def test_what_the_task_says_decides() -> None:
    """Words of names, descriptions and parameters count, also in another form, and the trace says which."""
    shown = subset(AGENT, "what do these crates weigh, by number?", STOCK)

    assert shown.names[0] == "weigh_crate"
    assert "weigh" in shown.why["weigh_crate"]
    assert "number" in shown.why["find_crate"]


@pytest.mark.parametrize(
    ("task", "name", "reason"),
    [
        ("which rows are in it: select a from b", "run_query", "a SQL statement"),
        ("how is D123 coming along", "get_change", "a change reference"),
        ('how is up{job="web"}', "query_metrics", "a PromQL expression"),
        ("keep the pager quiet tonight", "silence_alert", "quiet"),
    ],
)
def test_the_field_s_forms_and_synonyms_count(task: str, name: str, reason: str) -> None:
    """A statement, a reference or a word of the trade points to the tool whose name says it otherwise."""
    tools = [*STOCK, tool("run_query"), tool("get_change"), tool("query_metrics"), tool("silence_alert", writes=True)]

    shown = subset(AGENT, task, tools)

    assert reason in shown.why[name]


def test_a_question_is_shown_no_tool_that_writes_and_does_not_fit() -> None:
    """Places that are left go to tools that read."""
    shown = subset(AGENT, "who is on shift?", STOCK)

    assert len(shown.tools) == 5
    assert all(tool.read_only for tool in shown.tools)


def test_a_command_is_shown_the_likeliest_tool_that_writes() -> None:
    """People ask for a change in words that no description foresees."""
    shown = subset(AGENT, "shove number seven over there", STOCK)

    assert [tool.read_only for tool in shown.tools].count(False) == 1
    assert "the task may ask for a change" in shown.why.values()


def test_writes_fill_up_only_where_nothing_else_is_there() -> None:
    """Three tools are shown even when two of them write."""
    shown = subset(AGENT, "who is on shift?", [STAFF, MOVE, DROP])

    assert set(shown.names) == {"list_staff", "move_crate", "scrap_crate"}


def test_no_tools_give_an_empty_subset() -> None:
    """A server that is down is not an error here."""
    shown = subset(AGENT, "where is crate 7", [])

    assert (shown.tools, shown.names, shown.why, shown.find("find_crate")) == ((), (), {}, None)


def test_a_tool_that_was_not_shown_is_not_found() -> None:
    """A model that makes a name up, or remembers one, cannot call it."""
    agent = AGENT.model_copy(update={"max_tools": 3})

    assert subset(agent, "who is on shift?", STOCK).find("scrap_crate") is None


@pytest.mark.parametrize("task", ["x" * 100_000, "crate " * 20_000, "a/" * 50_000, "select " * 20_000, "can you " * 15_000])
def test_a_long_task_is_read_in_part(task: str) -> None:
    """100 kB of task cost no more than 4 kB."""
    assert len(subset(AGENT, task, STOCK).tools) == 5


@pytest.mark.parametrize(
    ("said", "root"),
    [
        ("deployments", "deploy"),
        ("deployed", "deploy"),
        ("deploying", "deploy"),
        ("queries", "query"),
        ("stopped", "stop"),
        ("changes", "chang"),
        ("change", "chang"),
        ("process", "process"),
        ("logs", "log"),
        ("ids", "ids"),
    ],
)
def test_forms_of_a_word_have_one_stem(said: str, root: str) -> None:
    """Plurals, tenses and nouns of one verb meet."""
    assert stem(said) == root


def test_words_come_apart() -> None:
    """Snake case, camel case, hyphens and apostrophes; empty words and bare numbers go."""
    assert tokens("readDiff of run_query: the P95's on-call 42 Größe") == [
        "read",
        "diff",
        "run",
        "query",
        "p95s",
        "call",
        "größe",
    ]


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("which tables are biggest?", True),
        ("show me the alerts", True),
        ("could you tell me who is on call", True),
        ("the mailer died, what did it print", True),
        ("please put checkout on staging", False),
        ("can you restart the mailer?", False),
        ("tell Ola thanks", False),
        ("give the worker more memory", False),
        ("roll it back", False),
        ("", False),
    ],
)
def test_questions_are_told_from_commands(text: str, *, asks: bool) -> None:
    """Politeness makes no question, and a question may stand in a later clause."""
    assert is_question(text) is asks

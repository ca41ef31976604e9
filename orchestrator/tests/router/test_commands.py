"""Structured commands: who is named, and what the call says."""

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom.router.commands import Malformed, quote, read_arguments, read_call, read_command
from opsroom.router.decision import Decision, Kind

Ask = Callable[[str], Awaitable[Decision]]

keys = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@given(st.dictionaries(keys, st.text(max_size=60), max_size=5))
def test_quoted_values_come_back_as_they_were(values: dict[str, str]) -> None:
    """Whatever a value holds, quoting it and reading it gives the same string."""
    written = " ".join(f"{key}={quote(value)}" for key, value in values.items())

    assert read_arguments(written) == values


@given(st.dictionaries(keys, st.one_of(st.booleans(), st.integers(-(10**17), 10**17)), max_size=5))
def test_bare_values_keep_their_type(values: dict[str, bool | int]) -> None:
    """Numbers and booleans that are not quoted come back typed."""
    written = " ".join(f"{key}={str(value).lower()}" for key, value in values.items())

    read = read_arguments(written)

    assert read == values
    assert {key: type(value) for key, value in read.items()} == {key: type(value) for key, value in values.items()}


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is a call, a sentence, or Malformed; nothing else escapes."""
    command = read_command("/databases run_query " + text)

    assert command is not None
    with suppress(Malformed):
        call = read_call(command.rest)
        assert call is None or call.tool == "run_query"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("10", 10),
        ("-3", -3),
        ("0.25", 0.25),
        ("1e3", 1000.0),
        ("true", True),
        ("FALSE", False),
        ("007", "007"),
        ("1.2.3", "1.2.3"),
        ("eu-west", "eu-west"),
        ("9" * 400, "9" * 400),
        ('"10"', "10"),
        ("'it''", None),
        (r'"a \"b\" \\ \d"', r'a "b" \ \d'),
        ("“select 1”", "select 1"),
    ],
)
def test_a_value_is_typed_by_its_look(written: str, value: str | float | None) -> None:
    """Bare numbers and booleans are typed, quoted ones are text, and only quote and backslash are escaped."""
    if value is None:
        with pytest.raises(Malformed):
            read_arguments(f"a={written}")
        return

    read = read_arguments(f"a={written}")["a"]

    assert read == value
    assert type(read) is type(value)
    assert not isinstance(read, float) or math.isfinite(read)


@pytest.mark.parametrize(
    "arguments",
    ['sql="select 1', "sql=", "sql=select 1", "limit=1 limit=2", 'sql="a"limit=1', "sql='a' and more"],
)
def test_a_call_that_cannot_be_read_is_malformed(arguments: str) -> None:
    """Open quotes, stray words, doubled keys and missing values are told, never guessed."""
    with pytest.raises(Malformed):
        read_arguments(arguments)


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("/databases which tables grew this week", "databases"),
        ("@monitoring what happened at noon", "monitoring"),
        ("/code-review D77", "code_review"),
        ("/Deployments: list them", "deployments"),
        ("/sql select 1", "databases"),
        ("/alerts", "monitoring"),
        ("  /rollback checkout", "deployments"),
        ("/mr 45", "code_review"),
    ],
)
async def test_a_command_goes_to_its_agent(ask: Ask, text: str, agent: str) -> None:
    """A name or a command of an agent decides at once, whatever the words after it are about."""
    decision = await ask(text)

    assert (decision.decision, decision.agents, decision.confidence) == (Kind.ROUTE, (agent,), 1)


async def test_a_spelled_out_call_needs_no_model(ask: Ask) -> None:
    """Tool and typed arguments of a spelled-out call stand in the decision."""
    decision = await ask("/databases run_query sql=\"select name from t where a = 'x'\" limit=5 dry=true")

    assert decision.call is not None
    assert decision.call.tool == "run_query"
    assert decision.call.arguments == {"sql": "select name from t where a = 'x'", "limit": 5, "dry": True}


@pytest.mark.parametrize("text", ["/databases order_items has which columns", "/databases list the tables", "/sql select 1"])
async def test_a_sentence_after_a_command_is_no_call(ask: Ask, text: str) -> None:
    """Only a tool name with key=value pairs, or alone, is a call."""
    decision = await ask(text)

    assert decision.decision is Kind.ROUTE
    assert decision.call is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/databse list_tables", "Did you mean /database"),
        ("@monitorng cpu of web-1", "@monitoring"),
        ('/databases run_query sql="select 1', 'key="text"'),
        ("/databases", "Databases"),
        ("/help", "/monitoring"),
    ],
)
async def test_an_unclear_command_is_asked_back(ask: Ask, text: str, says: str) -> None:
    """An unknown name gets the nearest one, a broken call its right form, a bare agent a question."""
    decision = await ask(text)

    assert decision.decision is Kind.CLARIFY
    assert says in (decision.question or "")


@pytest.mark.parametrize("text", ["/var/log is filling up on web-3", "@here is the website down"])
def test_paths_and_calls_to_everybody_are_no_commands(text: str) -> None:
    """A path begins with a slash too, and @here addresses people."""
    assert read_command(text) is None

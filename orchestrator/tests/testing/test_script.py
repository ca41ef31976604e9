"""Which reply a script gives to which request."""

from pathlib import Path

import pytest
from opsroom.testing import FAULTS, Cue, ErrorReply, MessageReply, ToolCall, play_named, read_script, shipped
from opsroom.testing.asked import Asked
from opsroom_shared.config import ConfigError
from pydantic import JsonValue

TOOL: JsonValue = {"name": "run_query", "input_schema": {"type": "object"}}


def asked(*messages: JsonValue, **more: JsonValue) -> Asked:
    body: dict[str, JsonValue] = {"model": "claude-opus-5-5", "max_tokens": 100, "messages": [*messages], "tools": [TOOL]}
    return Asked.model_validate(body | more)


QUESTION: JsonValue = {"role": "user", "content": "Which tables are BIGGEST?"}
CALL: JsonValue = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "run_query", "input": {}}]}
RESULT: JsonValue = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "7 rows"}]}


@pytest.mark.parametrize(
    ("cue", "fits"),
    [
        (Cue(reply=MessageReply()), True),
        (Cue(reply=MessageReply(), model="opus"), True),
        (Cue(reply=MessageReply(), model="haiku"), False),
        (Cue(reply=MessageReply(), says=r"biggest|largest"), True),
        (Cue(reply=MessageReply(), says=r"\bsmallest\b"), False),
        (Cue(reply=MessageReply(), round=0), True),
        (Cue(reply=MessageReply(), round=1), False),
        (Cue(reply=MessageReply(calls=(ToolCall(name="run_query"),))), True),
        (Cue(reply=MessageReply(calls=(ToolCall(name="drop_table"),))), False),
        (Cue(reply=MessageReply(calls=(ToolCall(name="drop_table"), ToolCall(name="run_query")))), True),
    ],
)
def test_a_cue_fits_by_model_text_round_and_offered_tools(cue: Cue, *, fits: bool) -> None:
    """Every condition must hold; a call of a tool that is not offered is no answer."""
    assert (cue.hears(asked(QUESTION)) is not None) is fits


def test_a_cue_hears_the_groups_of_its_expression() -> None:
    """What stands in the text can be put into a tool call."""
    cue = Cue(reply=MessageReply(), says=r"which (\w+) are (\w+)(?: today)?( in \w+)?")

    assert cue.hears(asked(QUESTION)) == ("tables", "BIGGEST", "")


def test_a_tool_that_must_not_be_called_is_not_offered() -> None:
    """Under tool_choice none a cue that calls is passed over."""
    cue = Cue(reply=MessageReply(calls=(ToolCall(name="run_query"),)))

    assert cue.hears(asked(QUESTION, tool_choice={"type": "none"})) is None


def test_a_request_knows_its_question_and_the_answers_of_tools_since() -> None:
    """The text is the person's last words, not the results that follow them."""
    request = asked(QUESTION, CALL, RESULT)

    assert request.text == "Which tables are BIGGEST?"
    assert request.rounds == 1
    assert request.results == ("7 rows",)


def test_a_new_question_starts_again() -> None:
    """What the tools said about the question before does not count."""
    request = asked(QUESTION, CALL, RESULT, {"role": "assistant", "content": "7."}, {"role": "user", "content": "And now?"})

    assert (request.text, request.rounds, request.results) == ("And now?", 0, ())


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ((), "at least 1"),
        (({"role": "assistant", "content": "hi"},), "first message must be the user's"),
        ((QUESTION, CALL), "last message's tool_use has no tool_result"),
        ((QUESTION, CALL, {"role": "user", "content": "never mind"}), "each tool_use must have its tool_result"),
        ((RESULT,), "each tool_use must have its tool_result"),
        (({"role": "user", "content": ""},), "at least 1 character"),
        (({"role": "user", "content": [{"type": "text", "text": " "}]},), "must be non-empty"),
        (({"role": "system", "content": "hi"},), "'user' or 'assistant'"),
    ],
)
def test_a_conversation_that_the_api_refuses_is_refused(messages: tuple[JsonValue, ...], problem: str) -> None:
    """What would only fail in production fails in a test."""
    with pytest.raises(ValueError, match=problem):
        asked(*messages)


REFUSED: list[tuple[dict[str, JsonValue], str]] = [
    ({"temperature": 0.2}, "temperature"),
    ({"tools": [TOOL, TOOL]}, "names must be unique"),
    ({"tools": [{"name": "run query", "input_schema": {}}]}, "should match pattern"),
    ({"tool_choice": {"type": "tool", "name": "drop_table"}}, "no tool is named 'drop_table'"),
    ({"max_tokens": 0}, "max_tokens"),
]


@pytest.mark.parametrize(("more", "problem"), REFUSED)
def test_a_parameter_that_the_api_refuses_is_refused(more: dict[str, JsonValue], problem: str) -> None:
    """A parameter that is gone, a tool's name with a space, a choice that nobody offers."""
    with pytest.raises(ValueError, match=problem):
        asked(QUESTION, **more)


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_script_is_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    """JSON and TOML say the same; a fault may be given by its name."""
    path = tmp_path / f"script{suffix}"
    if suffix == ".json":
        path.write_text(
            '{"cues": [{"model": "opus", "times": 2, "reply": "overloaded"}, {"reply": {"kind": "message", "text": "hi"}}]}'
        )
    else:
        path.write_text(
            '[[cues]]\nmodel = "opus"\ntimes = 2\nreply = "overloaded"\n[[cues]]\nreply = { kind = "message", text = "hi" }\n'
        )

    script = read_script(path)

    assert script.cues == (
        Cue(model="opus", times=2, reply=ErrorReply(status=529, type="overloaded_error")),
        Cue(reply=MessageReply(text="hi")),
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.json", "{", "not valid JSON"),
        ("a.toml", "cues = ", "not valid TOML"),
        ("a.json", '{"cues": [{"reply": "overlord"}]}', "no fault is named 'overlord'"),
        ("a.json", '{"cues": [{"reply": {"kind": "song"}}]}', "song"),
        ("a.json", '{"cues": [{"reply": "hang", "says": "("}]}', "not a regular expression"),
        ("a.json", '{"acts": []}', "acts: unknown key"),
        ("missing.json", None, "cannot be read"),
    ],
)
def test_a_script_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, content: str | None, problem: str) -> None:
    """The line names the file and what is wrong."""
    path = tmp_path / name
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match=problem) as raised:
        read_script(path)

    assert "\n" not in str(raised.value)
    assert name in str(raised.value)


@pytest.mark.parametrize("name", shipped())
def test_everything_that_ships_can_be_played(name: str) -> None:
    """Each script and each fault by its name."""
    assert play_named(name).cues


def test_an_unknown_name_lists_what_ships() -> None:
    """A typo is answered with the names that there are."""
    with pytest.raises(ConfigError, match=r"demo, .*overloaded"):
        play_named("dmeo")


def test_no_script_has_the_name_of_a_fault() -> None:
    """`--play NAME` is never ambiguous."""
    assert len(shipped()) == len(set(shipped()))
    assert set(FAULTS) < set(shipped())

import json
from contextlib import suppress
from typing import cast

import pytest
from anthropic import transform_schema
from hypothesis import given
from hypothesis import strategies as st
from opsroom.agents.definition import AgentDefinition, OutputField
from opsroom.agents.registry import load_agents
from opsroom.agents.result import (
    MAX_CHARS,
    AgentResult,
    JsonSchema,
    Source,
    is_free_field,
    parse_result,
    result_model,
    result_schema,
)

DATABASES = load_agents()["databases"]
EVERY_TYPE = AgentDefinition(
    name="stock",
    title="Stock",
    description="Knows the warehouse.",
    capabilities=("warehouse",),
    output={
        "hall": OutputField(type="string", description="Hall."),
        "crates": OutputField(type="strings", description="Crates."),
        "weight": OutputField(type="number", description="Kilograms."),
        "locked": OutputField(type="boolean", description="Whether it is locked."),
    },
)
ANSWER = {
    "status": "done",
    "answer": "Three crates in hall B.",
    "confidence": 0.9,
    "question": None,
    "summary": "3 crates",
    "sources": [{"tool": "list_crates", "fact": "3 rows"}],
    "hall": "B",
    "crates": ["c1", "c2", "c3"],
    "weight": 12,
    "locked": False,
}


def parse(**changes: object) -> AgentResult:
    return parse_result(EVERY_TYPE, json.dumps({**ANSWER, **changes}))


def objects(schema: object) -> list[JsonSchema]:
    """Every object schema in *schema*, itself included."""
    if isinstance(schema, list):
        return [found for part in cast("list[object]", schema) for found in objects(part)]
    if not isinstance(schema, dict):
        return []
    parts = cast("JsonSchema", schema)
    own = [parts] if "properties" in parts else []
    return own + [found for part in parts.values() for found in objects(part)]


@pytest.mark.parametrize("agent", [*load_agents().values(), EVERY_TYPE], ids=lambda agent: agent.name)
def test_the_schema_is_one_that_structured_output_takes(agent: AgentDefinition) -> None:
    """Anthropic's own transformation has nothing to change in it, and every object is closed with all its properties required."""
    schema = result_schema(agent)

    assert transform_schema(schema) == schema
    for part in objects(schema):
        assert part["additionalProperties"] is False
        assert part["required"] == list(cast("JsonSchema", part["properties"]))


def test_the_schema_has_the_agent_s_own_fields() -> None:
    """The model reads what each of them is for."""
    schema = json.dumps(result_schema(EVERY_TYPE))

    assert '"weight": {"anyOf": [{"type": "number"}, {"type": "null"}], "description": "Kilograms."}' in schema
    assert '"crates": {"description": "Crates.", "items": {"type": "string"}, "type": "array"}' in schema


def test_a_full_answer_is_read() -> None:
    """Base fields and the agent's own arrive with their types."""
    result = parse()

    assert isinstance(result, result_model(EVERY_TYPE))
    assert (result.status, result.confidence, result.sources) == ("done", 0.9, (Source(tool="list_crates", fact="3 rows"),))
    assert result.model_dump(include={*EVERY_TYPE.output}) == {
        "hall": "B",
        "crates": ("c1", "c2", "c3"),
        "weight": 12.0,
        "locked": False,
    }


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```\n", "  \n```JSON\n{}\n  ```  "])
def test_a_fence_around_the_answer_is_tolerated(fence: str) -> None:
    """Models without structured output like to add one."""
    assert parse_result(EVERY_TYPE, fence.replace("{}", json.dumps(ANSWER, indent=1))).answer == ANSWER["answer"]


def test_a_fence_inside_the_answer_is_left_alone() -> None:
    """SQL in an answer is often fenced."""
    assert parse(answer="```sql\nselect 1\n```").answer == "```sql\nselect 1\n```"


def test_what_is_optional_may_be_left_out() -> None:
    """A model that is not held to the schema leaves out what does not apply."""
    result = parse_result(EVERY_TYPE, '{"status": "done", "answer": "Yes.", "confidence": 1}')

    assert (result.question, result.summary, result.sources) == (None, "", ())
    assert result.model_dump(include={*EVERY_TYPE.output}) == {"hall": None, "crates": (), "weight": None, "locked": None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "ok"}, "status: Input should be 'done', 'needs_input' or 'failed'"),
        ({"confidence": 1.01}, "confidence: Input should be less than or equal to 1"),
        ({"confidence": -1}, "confidence: Input should be greater than or equal to 0"),
        ({"confidence": "high"}, "confidence: Input should be a valid number"),
        ({"confidence": float("nan")}, "confidence: Input should be a finite number"),
        ({"weight": float("inf")}, "weight: Input should be a finite number"),
        ({"locked": "no"}, "locked: Input should be a valid boolean"),
        ({"crates": "c1"}, "crates: Input should be a valid array"),
        ({"crates": ["c"] * 101}, "crates: Tuple should have at most 100 items"),
        ({"answer": ""}, "an empty answer"),
        ({"answer": " \n"}, "an empty answer"),
        ({"answer": "x" * 20_001}, "answer: String should have at most 20000 characters"),
        ({"hall": "x" * 20_001}, "hall: String should have at most 20000 characters"),
        ({"status": "needs_input"}, "needs_input without a question"),
        ({"status": "needs_input", "question": " "}, "needs_input without a question"),
        ({"sources": [{"tool": "list_crates"}]}, "sources.0.fact: Field required"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
    ],
)
def test_an_invalid_answer_has_one_short_reason(changes: dict[str, object], reason: str) -> None:
    """The reason names the field and what was expected, and never repeats the input."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is compared below
        parse(**changes)

    assert str(caught.value).startswith(reason)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("```json\n \n```", "empty"),
        ("There are three crates.", "Invalid JSON"),
        ('{"status": "done", "answer": "Th', "Invalid JSON"),
        ("[]", "Input should be an object"),
        ("null", "Input should be an object"),
        ("[" * 50_000, "Invalid JSON"),
        ('{"status": "done", "answer": "\\ud800", "confidence": 1}', "Invalid JSON"),
        ("x" * (MAX_CHARS + 1), "longer than 100,000 characters"),
    ],
    ids=["empty", "empty fence", "prose", "cut", "array", "null", "deep", "surrogate", "long"],
)
def test_what_is_no_answer_at_all_is_refused(text: str, reason: str) -> None:
    """Prose, cut JSON, other JSON and endless text end in a reason, not in a traceback."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is compared below
        parse_result(EVERY_TYPE, text)

    assert reason in str(caught.value)


def test_a_question_needs_no_answer() -> None:
    """An agent that lacks one fact only asks for it."""
    assert parse(status="needs_input", answer="", question="Which hall?").question == "Which hall?"


@given(st.text(max_size=400))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    """Whatever a model writes, the result is an answer or a ValueError."""
    with suppress(ValueError):
        assert parse_result(DATABASES, text).answer


@given(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["done", "failed"]),
            "answer": st.text(min_size=1, max_size=50).filter(str.strip),
            "confidence": st.floats(0, 1),
            "sql": st.lists(st.text(max_size=20), max_size=4),
            "database": st.none() | st.text(max_size=20),
            "truncated": st.none() | st.booleans(),
        }
    )
)
def test_a_valid_answer_survives_its_own_json(answer: dict[str, object]) -> None:
    """What is stored in the ledger can be read again."""
    result = parse_result(DATABASES, json.dumps(answer))

    assert parse_result(DATABASES, result.model_dump_json()) == result


@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("sql", True),
        ("plan_id", True),
        ("answer", False),
        ("model_fields", False),
        ("copy", False),
        ("Sql", False),
        ("_x", False),
    ],
)
def test_an_agent_s_field_never_shadows_another(name: str, *, free: bool) -> None:
    """Names of the answer itself and of pydantic are taken."""
    assert is_free_field(name) is free

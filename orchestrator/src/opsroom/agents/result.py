"""The typed answer of an agent: its model, the JSON schema that a language model is held to, and its validation."""

import re
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from .definition import AgentDefinition, OutputType

MAX_CHARS = 100_000
"""Longer than any valid answer; what is longer is not parsed."""

JsonSchema: TypeAlias = dict[str, object]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Source(_Strict):
    """A tool call that the answer rests on."""

    tool: Annotated[str, Field(min_length=1, max_length=200, description="Name of the tool that was called.")]
    fact: Annotated[str, Field(max_length=1_000, description="What its result showed, in a few words.")]


class AgentResult(_Strict):
    """What every agent hands back to the orchestrator; `result_model` adds the agent's own fields."""

    status: Annotated[
        Literal["done", "needs_input", "failed"],
        Field(description="done: answered. needs_input: one fact is missing, see question. failed: the tools could not tell."),
    ]
    answer: Annotated[str, Field(max_length=20_000, description="The answer for the person, in Markdown; facts from tools only.")]
    confidence: Annotated[float, Field(ge=0, le=1, description="How sure the answer is, from 0 to 1.")]
    question: Annotated[
        str | None, Field(max_length=1_000, description="With needs_input: the one question to ask. Otherwise null.")
    ] = None
    summary: Annotated[
        str, Field(max_length=2_000, description="One or two sentences for the next step: what is known now, with ids.")
    ] = ""
    sources: Annotated[tuple[Source, ...], Field(max_length=40, description="The tool calls that the answer rests on.")] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.status == "needs_input" and not (self.question or "").strip():
            raise ValueError("needs_input without a question")
        if self.status != "needs_input" and not self.answer.strip():
            raise ValueError("an empty answer")
        return self


_FIELD_TYPES: Final[dict[OutputType, object]] = {
    "string": Annotated[str | None, Field(max_length=20_000)],
    "strings": tuple[Annotated[str, Field(max_length=2_000)], ...],
    "number": float | None,
    "boolean": bool | None,
}


def is_free_field(name: str) -> bool:
    """Whether an agent may call a field of its output *name*."""
    return re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) is not None and not hasattr(AgentResult, name) and not _taken(name)


def _taken(name: str) -> bool:
    return name in AgentResult.model_fields or name.startswith("model_")


def result_model(definition: AgentDefinition) -> type[AgentResult]:
    """AgentResult with the agent's `output` fields; a field that does not apply is null or empty."""
    return _model(definition.name, tuple((name, field.type, field.description) for name, field in definition.output.items()))


@lru_cache(maxsize=64)
def _model(agent: str, output: tuple[tuple[str, OutputType, str], ...]) -> type[AgentResult]:
    # Any is what create_model declares for a field made at run time
    fields: dict[str, Any] = {name: (_FIELD_TYPES[kind], _output_field(kind, description)) for name, kind, description in output}
    return create_model(f"{agent}_result", __base__=AgentResult, **fields)


def _output_field(kind: OutputType, description: str) -> object:
    if kind == "strings":
        return Field(default=(), max_length=100, description=description)
    return Field(default=None, description=description)


# what Anthropic's structured output knows; bounds and defaults are ours to check afterwards
_SCHEMA_WORDS = frozenset(
    {"$defs", "$ref", "additionalProperties", "anyOf", "description", "enum", "items", "properties", "type"}
)


def result_schema(definition: AgentDefinition) -> JsonSchema:
    """The JSON schema for structured output: closed objects, every property required, no bounds, no defaults."""
    return _plain(cast("JsonSchema", result_model(definition).model_json_schema()))


def _plain(schema: JsonSchema) -> JsonSchema:
    plain: JsonSchema = {}
    for key, value in schema.items():
        if key not in _SCHEMA_WORDS:
            continue
        if key in {"properties", "$defs"}:
            plain[key] = {name: _plain(cast("JsonSchema", part)) for name, part in cast("JsonSchema", value).items()}
        elif key == "items":
            plain[key] = _plain(cast("JsonSchema", value))
        elif key == "anyOf":
            plain[key] = [_plain(cast("JsonSchema", part)) for part in cast("list[object]", value)]
        else:
            plain[key] = value
    if "properties" in plain:
        plain["required"] = list(cast("JsonSchema", plain["properties"]))
        plain["additionalProperties"] = False
    if "enum" in plain:
        plain.pop("type", None)
    return plain


_FENCE = re.compile(r"\A\s*```(?:json)?[ \t]*\n(.*)\n[ \t]*```\s*\Z", re.DOTALL | re.IGNORECASE)


def parse_result(definition: AgentDefinition, text: str) -> AgentResult:
    """The answer in *text*, a JSON object with or without a Markdown fence. Raises ValueError with one short reason."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"longer than {MAX_CHARS:,} characters")
    fenced = _FENCE.match(text)
    body = fenced[1] if fenced else text
    if not body.strip():
        raise ValueError("empty")
    try:
        return result_model(definition).model_validate_json(body)
    except ValidationError as error:
        raise ValueError(_reason(error)) from None


def _reason(error: ValidationError) -> str:
    # neither the input nor pydantic's URL: the reason goes back to the model and into the ledger
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return (f"{place[:100]}: " if place else "") + first["msg"].removeprefix("Value error, ")[:200]

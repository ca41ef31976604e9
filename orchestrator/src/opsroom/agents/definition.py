"""An agent as data: what it is for, its tools, how it is recognised, what it answers, and what it does without a model."""

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

Variant: TypeAlias = Literal["full", "simplified", "minimal"]
OutputType: TypeAlias = Literal["string", "strings", "number", "boolean"]

Pattern = Annotated[str, Field(max_length=500, description="A regular expression, matched without regard to case.")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Routing(_Strict):
    """How the rules recognise this agent's requests."""

    commands: tuple[str, ...] = ()
    """Slash commands beside the agent's own name: `sql` makes `/sql …` this agent's."""
    literals: tuple[Pattern, ...] = ()
    """Forms that only this agent's requests have: D123, owner/repo#12. `{sql}` and `{promql}` stand for a whole statement."""
    terms: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Named lists of words: `{task}` in a phrase stands for any word of `task`."""
    phrases: tuple[str, ...] = ()
    """Strong phrases, in the notation of `router.phrases`: any makes it this agent's, unless another agent has one too."""
    words: dict[str, float] = Field(default_factory=dict)
    """Vocabulary with weights, for the keyword score."""


class OutputField(_Strict):
    """A field that this agent's typed answer has beside those of every answer."""

    type: OutputType
    description: str


class OfflineCall(_Strict):
    """A read-only call to make when no model is available. The first two that match are made, one without pattern only alone."""

    match: Pattern = ""
    """Empty matches every request. `(?P<group>…)` fills `{group}` in the arguments, `{text}` is the whole request."""
    tool: str
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value, re.IGNORECASE)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value


class AgentDefinition(_Strict):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")
    title: str
    description: str = Field(max_length=300)
    """One sentence on what it does, in the words a person would use; shown by `opsroom agents` and in clarifying questions."""
    capabilities: tuple[str, ...] = Field(min_length=1)
    """Servers that declare one of these are this agent's; it names no server and no required tool."""
    pins: tuple[str, ...] = Field(default=(), max_length=5)
    """Tools that are always in the subset while a connected server has them."""
    max_tools: int = Field(default=5, ge=3, le=5)
    examples: tuple[str, ...] = ()
    routing: Routing = Routing()
    output: dict[str, OutputField] = Field(default_factory=dict)
    offline: tuple[OfflineCall, ...] = ()

"""What the router says about a request, and what it says it from."""

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Kind(StrEnum):
    ROUTE = "route"
    PLAN = "plan"
    CLARIFY = "clarify"
    REFUSE = "refuse"
    DEFER = "defer"
    """Only with --offline: a model would be asked here."""


class StageName(StrEnum):
    RULES = "rules"
    GATE = "gate"
    MODEL = "model"
    NONE = "none"
    """No stage was certain."""


class Candidate(BaseModel):
    model_config = ConfigDict(frozen=True)

    agent: str
    score: float = Field(ge=0, le=1)


class Call(BaseModel):
    """A tool call that the request spells out, such as `/databases run_query sql="select 1"`. It needs no model."""

    model_config = ConfigDict(frozen=True)

    tool: str
    arguments: dict[str, str | int | float | bool]


class Decision(BaseModel):
    """The router's decision; its JSON is the contract of `opsroom route --json` (DESIGN 3.3)."""

    model_config = ConfigDict(frozen=True)

    decision: Kind
    agents: tuple[str, ...] = ()
    """The agent of a route, the agents of a plan in order; empty otherwise."""
    stage: StageName
    confidence: float = Field(ge=0, le=1)
    candidates: tuple[Candidate, ...] = ()
    """Best first."""
    question: str | None = None
    """What to ask the person: one short question with numbered choices (clarify), or why it is declined (refuse)."""
    reason: str = ""
    """Why, for the trace: the rule or the words that decided."""
    call: Call | None = None
    elapsed_ms: float = 0.0


@dataclass(frozen=True)
class Request:
    """What a stage sees. `agent` is the one the person insists on; `last_agent` the conversation's last: a prior, not a lock."""

    text: str
    agent: str | None = None
    last_agent: str | None = None


@dataclass
class Evidence:
    """What earlier stages found without deciding; a later stage adds to it. Scores per agent are in 0..1."""

    scores: dict[str, float] = field(default_factory=dict[str, float])

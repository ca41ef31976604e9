"""The answer to a request as data; its JSON is the contract of `opsroom ask --json` (DESIGN 3.3)."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Status(StrEnum):
    DONE = "done"
    NEEDS_INPUT = "needs_input"
    NEEDS_APPROVAL = "needs_approval"
    DEGRADED = "degraded"
    """Answered without a model, or without a server that was needed; the answer says so."""
    FAILED = "failed"
    CANCELLED = "cancelled"


EXIT_STATUS = {
    Status.DONE: 0,
    Status.DEGRADED: 0,
    Status.FAILED: 1,
    Status.NEEDS_INPUT: 3,
    Status.NEEDS_APPROVAL: 3,
    Status.CANCELLED: 1,
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ToolUse(_Frozen):
    name: str
    ok: bool
    ms: float


class ToolResult(_Frozen):
    """A result that the reader is shown as it came, because no model has put it into words."""

    title: str
    text: str
    structured: dict[str, JsonValue] | None = None


class StepReport(_Frozen):
    agent: str
    status: Status
    summary: str
    tools: tuple[ToolUse, ...] = ()
    output: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """The fields that the agent's answer has beside those of every answer, such as the SQL that was run."""
    answer: str = Field(default="", exclude=True)
    opening: str | None = Field(default=None, exclude=True)
    """Why the results stand by themselves, without a model's words."""
    model: str | None = Field(default=None, exclude=True)
    results: tuple[ToolResult, ...] = Field(default=(), exclude=True)


class UsageReport(_Frozen):
    input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0


class Report(_Frozen):
    run_id: str
    status: Status
    answer: str
    agents: tuple[str, ...]
    steps: tuple[StepReport, ...]
    usage: UsageReport
    cost_usd: float | None
    """None: a model was used whose price is not known."""
    model: str | None
    """The model that gave the answer; None when none did."""
    elapsed_ms: float

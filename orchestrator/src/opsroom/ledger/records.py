"""What the ledger keeps of a run, as typed records; they hold no secret and nothing unbounded."""

from dataclasses import dataclass
from datetime import UTC, datetime

MAX_TEXT = 4_000


def now() -> str:
    """The time in ISO 8601, UTC, to the millisecond; sorts as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Usage:
    """Tokens of one call or of many. Cost is None when any part of it is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        unknown = self.cost_usd is None or other.cost_usd is None
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if unknown else (self.cost_usd or 0) + (other.cost_usd or 0),
        )


@dataclass(frozen=True)
class ModelCallRecord:
    step: int
    turn: int
    rung: int
    model: str
    prompt: str
    variant: str
    outcome: str
    detail: str
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cost_usd: float | None
    """None: no usage was reported, or the model's price is not known."""
    first_token_ms: float | None
    elapsed_ms: float
    at: str


@dataclass(frozen=True)
class ToolCallRecord:
    step: int
    agent: str
    server: str
    tool: str
    arguments: str
    """JSON, redacted and cut."""
    ok: bool
    code: str | None
    elapsed_ms: float
    at: str


@dataclass(frozen=True)
class StepRecord:
    number: int
    agent: str
    status: str
    summary: str
    tools_shown: tuple[str, ...]
    elapsed_ms: float


@dataclass(frozen=True)
class RunRecord:
    id: str
    user: str | None
    text: str
    status: str
    answer: str | None
    model: str | None
    started_at: str
    elapsed_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None

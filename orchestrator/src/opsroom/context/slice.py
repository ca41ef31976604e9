"""The slice of the state that one agent sees: its task, what is done and pending, the results that matter, and no history."""

from dataclasses import dataclass

SLICE_TOKENS = 8_000
_CHARACTERS_PER_TOKEN = 3.5


def estimate_tokens(text: str) -> int:
    """Tokens of *text*, estimated from its length: there is no local tokenizer."""
    return int(len(text) / _CHARACTERS_PER_TOKEN) + 1


@dataclass(frozen=True)
class Result:
    """What an earlier step found, as the orchestrator hands it on."""

    agent: str
    task: str
    summary: str


@dataclass(frozen=True)
class Slice:
    task: str
    done: tuple[Result, ...] = ()
    pending: tuple[str, ...] = ()

    def render(self, limit: int = SLICE_TOKENS) -> str:
        """The slice as the first user message, within *limit* tokens: the task whole, then the newest results that still fit."""
        parts = [f"Task: {self.task}"]
        if self.pending:
            parts.append("Left to others: " + "; ".join(self.pending))
        left = limit - sum(map(estimate_tokens, parts))
        kept: list[str] = []
        for result in reversed(self.done):
            text = f"Already found by {result.agent} ({result.task}):\n{result.summary}"
            left -= estimate_tokens(text)
            if left < 0:
                kept.append(f"({len(self.done) - len(kept)} earlier results are left out.)")
                break
            kept.append(text)
        return "\n\n".join([*parts, *reversed(kept)])

"""What happens during a request, told as it happens to whoever shows progress."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from opsroom.router.decision import Decision


@dataclass(frozen=True)
class Decided:
    decision: Decision


@dataclass(frozen=True)
class StepStarted:
    agent: str
    tools: tuple[str, ...]


@dataclass(frozen=True)
class ModelAnswered:
    agent: str
    model: str
    outcome: str
    ms: float


@dataclass(frozen=True)
class ToolCalled:
    agent: str
    tool: str
    ok: bool
    ms: float


@dataclass(frozen=True)
class ToolProgressed:
    """A tool that takes its time says how far it is, in its server's words."""

    agent: str
    tool: str
    message: str


Event: TypeAlias = Decided | StepStarted | ModelAnswered | ToolCalled | ToolProgressed
Listener: TypeAlias = Callable[[Event], None]

"""The lines that tell what happens during a request: live on stderr where somebody watches, or kept for later."""

import sys
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from opsroom.workflow.events import Decided, Event, ModelAnswered, StepStarted, ToolCalled, ToolProgressed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


def line_of(event: Event) -> str:
    match event:
        case Decided(decision):
            target = ", ".join(decision.agents) or decision.decision.value
            return f"→ {target}  ({decision.stage.value}: {decision.reason}; {decision.elapsed_ms:.1f} ms)"
        case StepStarted(agent, tools):
            return f"  {agent} sees {', '.join(tools)}"
        case ModelAnswered(_, model, outcome, ms):
            return f"  {_mark(ok=outcome == 'ok')} {model}: {outcome.replace('_', ' ')}  {ms / 1000:.1f} s"
        case ToolCalled(_, tool, ok, ms):
            return f"  {_mark(ok=ok)} {tool}  {ms:.0f} ms"
        case ToolProgressed(_, tool, message):
            return f"  … {tool}: {message}"


def _mark(*, ok: bool) -> str:
    return "✓" if ok else "✗"


@dataclass
class Told:
    """Keeps the lines."""

    lines: list[str] = field(default_factory=list[str])

    def __call__(self, event: Event) -> None:
        self.lines.append(line_of(event))


class Progress:
    """Prints the lines under a spinner. Silent when *quiet* or when stderr is not a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console: Console | None = None
        self._status: Status | None = None
        if not quiet and sys.stderr.isatty():
            from .terminal import console

            self._console = console(stderr=True)
            self._status = self._console.status("routing", spinner="dots")

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, event: Event) -> None:
        if not (self._console and self._status):
            return
        from rich.text import Text

        if isinstance(event, ToolProgressed):
            self._status.update(Text(line_of(event)))
            return
        self._console.print(Text(line_of(event), style="dim"))
        match event:
            case Decided(decision) if decision.agents:
                self._status.update(f"connecting {decision.agents[0]}")
            case StepStarted(agent, _) | ToolCalled(agent, _, _, _) | ModelAnswered(agent, _, _, _):
                self._status.update(f"{agent} works")
            case _:
                pass

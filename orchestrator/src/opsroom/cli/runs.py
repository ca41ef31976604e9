"""`opsroom runs`: what was asked, what came of it, and every call that was made."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from . import terminal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opsroom.ledger.store import Ledger, RunDetail

T = TypeVar("T")

app = typer.Typer(help="Past runs: list them, show one.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_runs(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the latest runs."""
    found = _read(lambda ledger: ledger.runs(limit))
    if as_json:
        terminal.print_json([asdict(run) for run in found])
        return
    if not found:
        terminal.print_text('No runs yet. Start with: opsroom ask "which tables are biggest?"')
        return
    terminal.print_table(
        ("run", "status", "model", "time", "cost", "request"),
        [
            (run.id, run.status, run.model or "–", _seconds(run.elapsed_ms), _cost(run.cost_usd, run.model), _line(run.text))
            for run in found
        ],
    )


@app.command("show")
def show_run(
    run_id: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one run: the decision, the steps, every model call and tool call."""
    detail = _read(lambda ledger: ledger.run(run_id))
    if as_json:
        terminal.print_json(asdict(detail))
    else:
        _show(detail)


def _read(query: "Callable[[Ledger], Awaitable[T]]") -> T:
    from opsroom.ledger.store import Ledger
    from opsroom.settings import find_workspace

    async def run() -> T:
        async with Ledger.at(find_workspace().state) as ledger:
            return await query(ledger)

    return asyncio.run(run())


def _show(detail: "RunDetail") -> None:
    run, decision = detail.run, detail.decision
    terminal.print_text(f"{run.id}  {run.status}  {_seconds(run.elapsed_ms)}  {run.started_at}  {run.user or ''}", style="bold")
    terminal.print_text(f"asked     {_line(run.text, 300)}")
    if decision:
        target = ", ".join(decision.agents) or decision.decision
        terminal.print_text(f"decided   {target} by {decision.stage} at {decision.confidence:.2f}: {decision.reason}")
    for step in detail.steps:
        terminal.print_text(f"step {step.number}    {step.agent}: {step.status}, {_seconds(step.elapsed_ms)}")
        for shown in step.tools_shown:
            terminal.print_text(f"          sees {shown}", style="dim")
    if detail.model_calls:
        terminal.print_table(
            ("turn", "model", "prompt", "outcome", "tokens in/out", "cost", "time", "detail"),
            [
                (
                    f"{call.step}.{call.turn}",
                    call.model,
                    f"{call.prompt.partition('+')[0]} {call.variant}",
                    call.outcome,
                    "–" if call.input_tokens is None else f"{call.input_tokens:,}/{call.output_tokens:,}",
                    _cost(call.cost_usd, call.model),
                    _seconds(call.elapsed_ms),
                    call.detail,
                )
                for call in detail.model_calls
            ],
        )
    if detail.tool_calls:
        terminal.print_table(
            ("tool", "server", "arguments", "result", "time"),
            [
                (
                    call.tool,
                    call.server,
                    _line(call.arguments),
                    "ok" if call.ok else call.code or "error",
                    f"{call.elapsed_ms:.0f} ms",
                )
                for call in detail.tool_calls
            ],
        )
    if run.answer:
        terminal.print_text("")
        terminal.print_markdown(run.answer)


def _line(text: str, limit: int = 80) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _seconds(ms: float | None) -> str:
    return "–" if ms is None else f"{ms / 1000:.1f} s"


def _cost(cost: float | None, model: str | None) -> str:
    if model is None:
        return "–"
    return "unknown" if cost is None else f"${cost:.4f}"

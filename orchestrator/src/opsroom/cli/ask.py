"""`opsroom ask`: route and answer, with a live line per step on a terminal."""

import asyncio
import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from . import terminal

if TYPE_CHECKING:
    from opsroom.settings import Workspace
    from opsroom.workflow.report import Report


EPILOG = """Examples:\n
  opsroom ask "which tables are biggest?"\n
  opsroom ask --agent databases "how many orders were refunded last week?"\n
  opsroom ask '/databases run_query sql="select count(*) from orders"'\n
  opsroom ask "why is checkout slow?" --json\n
\n
Exit status: 0 answered (also without a model), 1 failed, 2 bad usage, 3 needs input or approval."""


def ask(
    text: Annotated[str, typer.Argument(help="What you want to know or have done.", show_default=False)],
    *,
    agent: Annotated[str | None, typer.Option(help="Ask this agent; `opsroom agents` lists them.", show_default=False)] = None,
    user: Annotated[str | None, typer.Option(help="Whom the run is booked on; you by default.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as one JSON document.")] = False,
) -> None:
    """Route a request to its agent and answer it."""
    from opsroom.settings import find_workspace
    from opsroom.workflow.report import EXIT_STATUS

    report = asyncio.run(_ask(find_workspace(), text, agent, user, as_json=as_json))
    if as_json:
        terminal.print_json(report)
    else:
        show(report)
    raise typer.Exit(EXIT_STATUS[report.status])


async def _ask(workspace: "Workspace", text: str, agent: str | None, user: str | None, *, as_json: bool) -> "Report":
    from opsroom.workflow.opening import open_runner

    from .progress import Progress

    with Progress(quiet=as_json) as progress:
        async with open_runner(workspace) as (runner, trouble):
            if trouble:
                print(f"opsroom: {trouble}", file=sys.stderr)  # noqa: T201 - the user's terminal
            return await runner.ask(text, agent=agent, user=user or _me(), tell=progress)


def _me() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return None


def show(report: "Report") -> None:
    """Print *report* for a person: tables where no model has put the results into words, then where it came from."""
    for step in report.steps:
        if len(report.steps) > 1:
            terminal.print_text(f"{step.agent}", style="bold")
        if not step.results:
            terminal.print_markdown(step.answer)
            continue
        if step.opening:
            terminal.print_text(f"{step.opening}; this is what the tools say.")
        for result in step.results:
            terminal.print_text(f"\n{result.title}", style="bold")
            table = terminal.rows_of(result.structured)
            if table is None:
                terminal.print_text(result.text)
            else:
                terminal.print_table(*table)
    if not report.steps:
        terminal.print_markdown(report.answer)
    terminal.print_text(_footer(report), style="dim")


def _footer(report: "Report") -> str:
    parts = [f"run {report.run_id}", report.status, *([", ".join(report.agents)] if report.agents else [])]
    if report.model:
        cost = "cost unknown" if report.cost_usd is None else f"${report.cost_usd:.4f}"
        tokens = report.usage.input_tokens + report.usage.output_tokens
        parts += [report.model, f"{tokens:,} tokens", cost]
    if report.usage.tool_calls:
        parts.append(f"{report.usage.tool_calls} tool call{'s' if report.usage.tool_calls > 1 else ''}")
    return " · ".join([*parts, f"{report.elapsed_ms / 1000:.1f} s"])

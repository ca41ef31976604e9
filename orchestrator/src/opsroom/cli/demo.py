"""`opsroom demo`: makes the demo workspace and answers requests on it, with or without a model."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import terminal

if TYPE_CHECKING:
    from opsroom.workflow.report import Report

REQUESTS = (
    "which tables are biggest?",
    "describe the orders table",
    "select status, count(*) as orders from orders group by status order by orders desc",
    '/databases run_query sql="select name, price_cents / 100.0 as price from products order by price desc" limit=3',
    "explain select * from orders where customer_id = 42",
    "show the schema of support_tickets",
    "what waits for review?",
    "what is wrong with the branch payment-retries?",
    "what is running in production?",
    "what was deployed to production this week?",
    "plan a release of checkout 1.5.0 to staging",
    "is anything alerting?",
    "what changed in the last hour?",
    "plot latency of the demo service",
    "ship it",
    "write me a poem about the sea",
)


def demo(
    *,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="Folder of the demo workspace; .opsroom/demo here by default.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as one JSON document.")] = False,
) -> None:
    """Make the demo workspace and answer requests on it. Needs no key; with ANTHROPIC_API_KEY set, a model answers."""
    folder = folder or Path.cwd() / ".opsroom" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    reports = asyncio.run(_answers(folder, quiet=as_json))
    if as_json:
        terminal.print_json(reports)


async def _answers(folder: Path, *, quiet: bool) -> "list[Report]":
    from opsroom.settings import Workspace
    from opsroom.workflow.opening import open_runner

    from .ask import show
    from .progress import Told

    reports: list[Report] = []
    async with open_runner(Workspace(folder, None)) as (runner, _):
        for text in REQUESTS:
            told = Told()
            report = await runner.ask(text, user="demo", tell=told)
            reports.append(report)
            if not quiet:
                terminal.print_text(f"\n$ opsroom ask {text!r}", style="bold")
                terminal.print_text("\n".join(told.lines), style="dim")
                show(report)
    return reports

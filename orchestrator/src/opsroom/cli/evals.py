"""`opsroom evals`: scores the router and the catalogue on the data sets that ship."""

import asyncio
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsroom.errors import UsageError

from . import terminal

if TYPE_CHECKING:
    from opsroom.evals.routing import RoutingReport

app = typer.Typer(help="Score opsroom on labelled requests.", no_args_is_help=True)

EPILOG = """Examples:\n
  opsroom evals run routing --offline\n
  opsroom evals run routing --data my-requests.jsonl --json\n
  opsroom evals run tools"""


class Suite(StrEnum):
    ROUTING = "routing"
    TOOLS = "tools"


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction] - without it typer makes the only command the group itself
    pass


@app.command(epilog=EPILOG)
def run(
    suite: Annotated[Suite, typer.Argument(help="What to score: where requests go, or which tools an agent sees.")],
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask a model: what would go to it is deferred.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Labelled requests of your own (routing only).", metavar="FILE", show_default=False)
    ] = None,
) -> None:
    """Run one suite and print its figures."""
    if suite is Suite.ROUTING:
        _routing(data, offline=offline, as_json=as_json)
    elif data is not None:
        raise UsageError("--data goes with the suite routing only; leave it out")
    else:
        _tools(as_json=as_json)


def _routing(data: Path | None, *, offline: bool, as_json: bool) -> None:
    from opsroom.agents.registry import load_agents
    from opsroom.evals.routing import DEV, load_cases, run_routing
    from opsroom.router.router import build_router
    from opsroom.settings import find_workspace

    router = build_router(load_agents(find_workspace().own_agents))
    report = asyncio.run(run_routing(router, load_cases(data or DEV), offline=offline))
    if as_json:
        terminal.print_json(report)
    else:
        _show_routing(report)


def _show_routing(report: "RoutingReport") -> None:
    terminal.print_text(
        f"{report.data}: {report.requests} requests, {report.decided:.1%} decided, "
        f"{report.accuracy:.1%} right, {report.wrong:.1%} wrong"
    )
    terminal.print_table(
        ("stage", "decided", "coverage", "precision"),
        [(name, str(stage.decided), f"{stage.coverage:.1%}", _percent(stage.precision)) for name, stage in report.stages.items()],
    )
    tiers = [(name, str(tier.requests), f"{tier.coverage:.1%}", _percent(tier.precision)) for name, tier in report.tiers.items()]
    in_scope = sum(
        sum(row.values()) for want, row in report.confusion.items() if want not in ("clarify", "out_of_scope", "multi")
    )
    terminal.print_table(
        ("for one agent", "requests", "routed", "precision"),
        [*tiers, ("all", str(in_scope), f"{report.coverage:.1%}", _percent(report.precision))],
    )
    terminal.print_table(
        ("for no agent", "requests", "wrongly routed"),
        [
            (name, str(wrong.requests), f"{wrong.routed} ({wrong.share:.1%})")
            for name, wrong in (("must clarify", report.must_clarify), ("out of scope", report.out_of_scope))
        ],
    )
    got = sorted({name for row in report.confusion.values() for name in row})
    terminal.print_table(
        ("wanted \\ got", *got),
        [(want, *(str(row.get(name, "·")) for name in got)) for want, row in report.confusion.items()],
    )
    if report.local_p50_ms is not None:
        terminal.print_text(f"local path: p50 {report.local_p50_ms:.2f} ms, p99 {report.local_p99_ms:.2f} ms")


def _tools(*, as_json: bool) -> None:
    from opsroom.agents.registry import load_agents
    from opsroom.evals.tools import load_table, load_tasks, score

    report = score(load_agents(), load_table(), load_tasks())
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n")
        return
    heading, *lines = report.rows()
    terminal.print_table(heading, lines)
    terminal.print_text(f"tools shown per task: {report.shown}; tasks without a tool they need: {len(report.misses)}")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"

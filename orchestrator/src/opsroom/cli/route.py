"""`opsroom route`: only the decision, for one request or for a file of them."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsroom.errors import UsageError

from . import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opsroom.router.decision import Decision
    from opsroom.router.router import Router

    from .batch import BatchLine

EPILOG = """Examples:\n
  opsroom route "roll back checkout"\n
  opsroom route "review D123 and then deploy it to staging" --json\n
  opsroom route --batch requests.jsonl --offline > decisions.jsonl\n
\n
A line of the file is {"id": …, "text": …}; a line of the output is its decision, in the same order. - reads standard input.\n
Exit status: 0 decided, 2 bad usage or a bad line."""


def route(
    text: Annotated[str | None, typer.Argument(help="The request.", show_default=False)] = None,
    *,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="Decide every request of this JSON Lines file; - is standard input.", metavar="FILE", show_default=False
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask a model: what would go to it is deferred.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as JSON. A batch always is.")] = False,
) -> None:
    """Show which agent a request would go to, and why."""
    if (text is None) == (batch is None):
        raise UsageError('give a request, such as: opsroom route "roll back checkout", or a file: opsroom route --batch FILE')
    router = _router()
    if batch is not None:
        from .batch import read_batch

        lines = read_batch(batch)
        asyncio.run(_decide_all(router, lines, offline=offline))
        return
    decision = asyncio.run(_decide(router, text or "", offline=offline))
    if as_json:
        print(_as_json(decision))  # noqa: T201 - the user's terminal
    else:
        terminal.print_text(told(decision))


def told(decision: "Decision") -> str:
    """The decision in one line, and the question behind it."""
    what = " → ".join(decision.agents) if decision.agents else decision.decision.value
    line = f"{what} · {decision.stage.value}, {decision.confidence:.0%} · {decision.reason}"
    if decision.call:
        arguments = ", ".join(f"{key}={value!r}" for key, value in decision.call.arguments.items())
        line += f" · calls {decision.call.tool}({arguments})"
    return f"{line}\n{decision.question}" if decision.question else line


def _router() -> "Router":
    from opsroom.agents.registry import load_agents
    from opsroom.router.router import build_router
    from opsroom.settings import find_workspace

    return build_router(load_agents(find_workspace().own_agents))


async def _decide(router: "Router", text: str, *, offline: bool) -> "Decision":
    from opsroom.router.decision import Request

    return await router.route(Request(text), offline=offline)


async def _decide_all(router: "Router", lines: "Sequence[BatchLine]", *, offline: bool) -> None:
    for line in lines:
        decision = await _decide(router, line.text, offline=offline)
        sys.stdout.write(_as_json(decision, line.id) + "\n")
        sys.stdout.flush()


def _as_json(decision: "Decision", request_id: str | int | None = None) -> str:
    import json

    document = decision.model_dump(mode="json", exclude_none=True)
    return json.dumps(document if request_id is None else {"id": request_id, **document}, ensure_ascii=False)

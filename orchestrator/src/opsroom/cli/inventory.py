"""`opsroom servers`, `opsroom tools`, `opsroom agents`: what is connected, and what each agent would see."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from . import terminal

if TYPE_CHECKING:
    from pydantic import JsonValue

    from opsroom.agents.definition import AgentDefinition
    from opsroom.tools.state import ServerState

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def servers(*, as_json: AsJson = False) -> None:
    """Connect to every configured server and show which are up, and why the others are not."""
    from opsroom.settings import find_workspace
    from opsroom.tools.fleet import Fleet

    async def states() -> "list[ServerState]":
        async with Fleet(find_workspace()) as fleet:
            return await fleet.status(connect=True)

    found = asyncio.run(states())
    if as_json:
        terminal.print_json([_server_json(state) for state in found])
        return
    terminal.print_table(
        ("server", "state", "version", "tools", "detail"),
        [(state.name, state.status, state.server_version or "–", str(len(state.tools)), _detail(state)) for state in found],
    )


def _detail(state: "ServerState") -> str:
    if state.status != "up":
        return state.last_error or "it is still starting"
    return "; ".join(state.problems) or state.target


def _server_json(state: "ServerState") -> "dict[str, JsonValue]":
    return {
        "name": state.name,
        "state": state.status,
        "since": state.since.isoformat(),
        "transport": state.transport,
        "target": state.target,
        "capabilities": list(state.capabilities),
        "version": state.server_version,
        "protocol": state.protocol_version,
        "tools": list(state.tools),
        "problems": list(state.problems),
        "error": state.last_error if state.status != "up" else None,
        "restarts": state.restarts,
    }


def tools(
    task: Annotated[
        str | None, typer.Argument(help="A task: shows the tools that each agent would see for it, and why.", show_default=False)
    ] = None,
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Show every connected tool; with a TASK, the three to five that each agent would see for it."""
    rows = asyncio.run(_tool_rows(task, agent))
    if as_json:
        terminal.print_json([dict(row) for row in rows])
        return
    columns = list(rows[0]) if rows else ["tool"]
    terminal.print_table(columns, [[str(row[name]) for name in columns] for row in rows])


async def _tool_rows(task: str | None, only: str | None) -> "list[dict[str, JsonValue]]":
    from opsroom.agents.registry import load_agents
    from opsroom.errors import UsageError
    from opsroom.settings import find_workspace
    from opsroom.tools.catalogue import subset
    from opsroom.tools.fleet import Fleet

    workspace = find_workspace()
    agents = load_agents(workspace.own_agents)
    if only is not None and only not in agents:
        raise UsageError(f"there is no agent {only!r}; there are: {', '.join(agents)}")
    rows: list[dict[str, JsonValue]] = []
    async with Fleet(workspace) as fleet:
        await fleet.status(connect=True)
        for agent in (agents[only],) if only else agents.values():
            offer = await fleet.tools_for(agent.capabilities, wait=0)
            if task is None:
                rows.extend(
                    {
                        "agent": agent.name,
                        "tool": tool.name,
                        "server": tool.server,
                        "effect": "reads" if tool.read_only else "destroys" if tool.destructive else "writes",
                        "description": tool.description.partition(". ")[0],
                    }
                    for tool in offer.tools
                )
            else:
                chosen = subset(agent, task, offer.tools)
                rows.extend({"agent": agent.name, "tool": name, "why": chosen.why[name]} for name in chosen.names)
    return rows


def agents(*, as_json: AsJson = False) -> None:
    """Show the agents: what each is for, and examples of what to ask it."""
    from opsroom.agents.registry import load_agents
    from opsroom.settings import find_workspace

    found = load_agents(find_workspace().own_agents)
    if as_json:
        terminal.print_json([_agent_json(agent) for agent in found.values()])
        return
    rows = [(agent.name, agent.description, agent.examples[0] if agent.examples else "") for agent in found.values()]
    terminal.print_table(("agent", "what it does", "for example"), rows)


def _agent_json(agent: "AgentDefinition") -> "dict[str, JsonValue]":
    return {
        "name": agent.name,
        "title": agent.title,
        "description": agent.description,
        "capabilities": list(agent.capabilities),
        "pins": list(agent.pins),
        "max_tools": agent.max_tools,
        "examples": list(agent.examples),
    }

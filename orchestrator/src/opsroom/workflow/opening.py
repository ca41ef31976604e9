"""Opens what a request needs, and closes it whatever happens: connections, model clients, the ledger."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ..agents.registry import load_agents
from ..errors import OpsroomError
from ..ledger.store import Ledger
from ..models.client import Clients
from ..router.router import build_router
from ..settings import Workspace
from ..tools.fleet import Fleet
from .runner import Runner


@asynccontextmanager
async def open_runner(workspace: Workspace) -> AsyncGenerator[tuple[Runner, str | None]]:
    """A runner for *workspace*, and one line on what it has to do without, if anything. Raises ConfigError."""
    settings = workspace.settings()
    agents = load_agents(workspace.own_agents)
    ledger, trouble = _ledger(workspace)
    async with ledger, Clients() as clients, Fleet(workspace) as fleet:
        yield Runner(workspace, settings, agents, build_router(agents, asks_model=False), fleet, clients, ledger), trouble


def _ledger(workspace: Workspace) -> tuple[Ledger, str | None]:
    try:
        return Ledger.at(workspace.state), None
    except OpsroomError as error:
        # a request is answered even where nothing can be kept
        return Ledger.in_memory(), f"{error}. This run is not recorded."

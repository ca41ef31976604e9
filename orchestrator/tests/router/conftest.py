"""The shipped agents and the router over them."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
from opsroom.agents.definition import AgentDefinition
from opsroom.agents.registry import load_agents
from opsroom.router.decision import Decision, Request
from opsroom.router.router import Router, build_router

Ask: TypeAlias = Callable[[str], Awaitable[Decision]]


@pytest.fixture(scope="session")
def agents() -> dict[str, AgentDefinition]:
    return load_agents()


@pytest.fixture(scope="session")
def router(agents: dict[str, AgentDefinition]) -> Router:
    return build_router(agents)


@pytest.fixture
def ask(router: Router) -> Ask:
    """Route a text offline: what no rule is sure of is deferred."""

    async def decide(text: str) -> Decision:
        return await router.route(Request(text), offline=True)

    return decide

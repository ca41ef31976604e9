"""What the tests of the deployments server share: a shop to release, and servers on it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import FastMCPTransport
from opsroom_deployments.server import build

from .answers import Connect
from .shops import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Generator[Shop]:
    """A shop with the releases 1.0 and 2.0; whatever runs of it is ended after the test."""
    shop = Shop(tmp_path)
    try:
        yield shop
    finally:
        shop.end()


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    """Both eras of the protocol, one after the other."""
    return request.param


@pytest.fixture
def connect(shop: Shop) -> Connect:
    """Connects a client to a server on the shop, and gives what a person behind it was asked.

    *says* is their answer: what they tick, or `decline`; without one nobody can be asked. *first* is done before it. Other
    keyword arguments are those of `Shop.settings`.
    """

    @asynccontextmanager
    async def connected(
        says: dict[str, bool] | str | None = None,
        first: Callable[[], object] = lambda: None,
        mode: str = "auto",
        **settings: object,
    ) -> AsyncGenerator[tuple[Client[FastMCPTransport], list[str]]]:
        asked: list[str] = []

        async def person(message: str, *_: object) -> object:
            asked.append(message)
            await asyncio.to_thread(first)
            return says if isinstance(says, dict) else ElicitResult(action=says)  # pyright: ignore[reportArgumentType]

        server: FastMCP = build(shop.settings(**settings)).mcp  # pyright: ignore[reportArgumentType] - as a test writes them
        handler = None if says is None else person
        async with Client(server, mode=mode, elicitation_handler=handler) as client:  # pyright: ignore[reportArgumentType, reportCallIssue]
            yield client, asked

    return connected

"""What the tests of the databases server share: a small real database, and servers on it."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Literal

import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.server import build
from opsroom_databases.settings import DatabasesSettings

from .run_write import Writer

Era = Literal["auto", "legacy"]
Connected = AbstractAsyncContextManager[Client[FastMCPTransport]]
Connect = Callable[..., Connected]

DATA = Path(__file__).with_name("data")


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A fresh copy of the clinic's database file."""
    file = tmp_path / "clinic.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((DATA / "clinic.sql").read_text(encoding="utf-8"))
    return file


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    """Both eras of the protocol, one after the other."""
    return request.param


@pytest.fixture
def connect(clinic: Path) -> Connect:
    """Connects a client to a server on the clinic; keyword arguments are settings, *databases* replaces the clinic."""

    @asynccontextmanager
    async def connected(
        mode: Era = "auto", databases: dict[str, Path] | None = None, **settings: object
    ) -> AsyncGenerator[Client[FastMCPTransport]]:
        files = {"clinic": clinic} if databases is None else databases
        configured = {"databases": {name: {"url": str(file)} for name, file in files.items()}, **settings}
        server: FastMCP = build(DatabasesSettings.model_validate(configured)).mcp
        async with Client(server, mode=mode) as client:
            yield client

    return connected


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """Connects a client to a server that may write the database at a URL, and gives what a person behind it was asked.

    *says* is their answer: what they tick, or `decline`; without one nobody can be asked. *first* is done before it. Other
    keyword arguments are settings of the database, *settings* those of the server.
    """

    @asynccontextmanager
    async def connected(
        url: str,
        says: dict[str, bool] | str | None = None,
        first: Callable[[], object] = lambda: None,
        mode: Era = "auto",
        settings: dict[str, object] | None = None,
        **database: object,
    ) -> AsyncGenerator[tuple[Client[FastMCPTransport], list[str]]]:
        asked: list[str] = []

        async def person(message: str, *_: object) -> object:
            asked.append(message)
            await asyncio.to_thread(first)
            return says if isinstance(says, dict) else ElicitResult(action=says)  # pyright: ignore[reportArgumentType]

        section = {"url": url, "writable": True, **database}
        configured = {
            "databases": {"office": section},
            "allow_writes": True,
            "state": str(tmp_path / "state"),
            **(settings or {}),
        }
        server: FastMCP = build(DatabasesSettings.model_validate(configured)).mcp
        handler = None if says is None else person
        async with Client(server, mode=mode, elicitation_handler=handler) as client:  # pyright: ignore[reportArgumentType, reportCallIssue]
            yield client, asked

    return connected

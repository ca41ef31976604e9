"""A DuckDB file, and servers on it, for the tests in this folder."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import duckdb
import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.server import build
from opsroom_databases.settings import DatabasesSettings

from ..corpus import DATA

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]


def make_harbour(folder: Path) -> Path:
    """A database file with the harbour, and a file beside it that nobody may read."""
    folder.mkdir()
    file = folder / "harbour.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute((DATA / "generic" / "harbour.sql").read_text(encoding="utf-8"))
    (folder / "loot.csv").write_text("loot\nhunter2\n", encoding="utf-8")
    return file


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    """A fresh harbour."""
    return make_harbour(tmp_path / "harbour")


@pytest.fixture
def connect(harbour: Path) -> Connect:
    """Connects a client to a server on the harbour; keyword arguments are settings, *more* those of the database."""

    @asynccontextmanager
    async def connected(more: dict[str, object] | None = None, **settings: object) -> AsyncGenerator[Client[FastMCPTransport]]:
        configured = {"databases": {"harbour": {"url": f"duckdb:///{harbour}", **(more or {})}}, **settings}
        server: FastMCP = build(DatabasesSettings.model_validate(configured)).mcp
        async with Client(server) as client:
            yield client

    return connected

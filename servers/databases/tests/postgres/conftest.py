"""A real PostgreSQL, and servers on it, for the tests in this folder."""

import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.server import build
from opsroom_databases.settings import DatabasesSettings

from .postgres_server import BOSS, PostgresServer, programs

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]

DATA = Path(__file__).parents[1] / "data" / "postgres"


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    """A private PostgreSQL with the hotel; skipped where it is not installed, unless services are required."""
    found = programs()
    if found is None:
        reason = "PostgreSQL is not installed: initdb not found; on Debian apt-get install postgresql"
        if os.environ.get("OPSROOM_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    folder.chmod(0o755)
    server = PostgresServer(folder, found)
    try:
        server.install((DATA / "hotel.sql").read_text(encoding="utf-8"))
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def connect(postgres: PostgresServer) -> Connect:
    """Connects a client to a server on the hotel; keyword arguments are settings, *account* is whom it logs in as."""

    @asynccontextmanager
    async def connected(
        account: str = BOSS, databases: dict[str, str] | None = None, **settings: object
    ) -> AsyncGenerator[Client[FastMCPTransport]]:
        urls = {"hotel": postgres.url(account)} if databases is None else databases
        configured = {"databases": {name: {"url": url} for name, url in urls.items()}, **settings}
        server: FastMCP = build(DatabasesSettings.model_validate(configured)).mcp
        async with Client(server) as client:
            yield client

    return connected

"""A real MariaDB, and servers on it, for the tests in this folder."""

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

from .mariadb_server import MariadbServer, program

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]

DATA = Path(__file__).parents[1] / "data" / "mysql"


@pytest.fixture(scope="session")
def mariadb() -> Generator[MariadbServer]:
    """A private MariaDB with the schema of the garage; skipped where it is not installed, unless services are required."""
    missing = [name for name in ("mariadbd", "mariadb-install-db", "mariadb") if program(name) is None]
    if missing:
        reason = f"MariaDB is not installed: {', '.join(missing)} not found; on Debian apt-get install mariadb-server"
        if os.environ.get("OPSROOM_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="mdb-", dir="/tmp"))  # a socket's path has to be short
    server = MariadbServer(folder)
    try:
        folder.chmod(0o755)
        server.install((DATA / "garage.sql").read_text(encoding="utf-8"))
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def connect(mariadb: MariadbServer) -> Connect:
    """Connects a client to a server on the garage; keyword arguments are settings, *account* is whom it logs in as."""

    @asynccontextmanager
    async def connected(
        account: str = "boss", databases: dict[str, str] | None = None, **settings: object
    ) -> AsyncGenerator[Client[FastMCPTransport]]:
        urls = {"garage": mariadb.url(account)} if databases is None else databases
        configured = {"databases": {name: {"url": url} for name, url in urls.items()}, **settings}
        server: FastMCP = build(DatabasesSettings.model_validate(configured)).mcp
        async with Client(server) as client:
            yield client

    return connected

"""A real MariaDB, and servers on it, for the tests in this folder."""

from collections.abc import Generator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport

from ..answers import Connect
from ..engines import at_urls, client_of, missing, private_folder
from .mariadb_server import MariadbServer, program

DATA = Path(__file__).parents[1] / "data" / "mysql"


@pytest.fixture(scope="session")
def mariadb() -> Generator[MariadbServer]:
    """A private MariaDB with the schema of the garage; skipped where it is not installed, unless services are required."""
    absent = [name for name in ("mariadbd", "mariadb-install-db", "mariadb") if program(name) is None]
    if absent:
        missing(f"MariaDB is not installed: {', '.join(absent)} not found; on Debian apt-get install mariadb-server")
    with private_folder("mdb-") as folder:
        server = MariadbServer(folder)
        try:
            server.install((DATA / "garage.sql").read_text(encoding="utf-8"))
            yield server
        finally:
            server.stop()


@pytest.fixture
def connect(mariadb: MariadbServer) -> Connect:
    """Connects a client to a server on the garage; keyword arguments are settings, *account* is whom it logs in as."""

    def connected(
        account: str = "boss", databases: dict[str, str] | None = None, **settings: object
    ) -> AbstractAsyncContextManager[Client[FastMCPTransport]]:
        return client_of(at_urls({"garage": mariadb.url(account)} if databases is None else databases), settings)

    return connected

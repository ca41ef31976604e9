"""A real PostgreSQL, and servers on it, for the tests in this folder."""

from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport

from ..answers import Connect
from ..engines import at_urls, client_of, missing, private_folder
from .postgres_server import BOSS, PostgresServer, programs

DATA = Path(__file__).parents[1] / "data" / "postgres"


@contextmanager
def running(settings: str = "") -> Generator[PostgresServer]:
    """A private PostgreSQL with the hotel and these settings; skipped where it is not installed, unless services are required."""
    found = programs()
    if found is None:
        missing("PostgreSQL is not installed: initdb not found; on Debian apt-get install postgresql")
    with private_folder("pg-") as folder:
        server = PostgresServer(folder, found)
        try:
            server.install((DATA / "hotel.sql").read_text(encoding="utf-8"), settings)
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    """A private PostgreSQL with the hotel."""
    with running() as server:
        yield server


@pytest.fixture
def connect(postgres: PostgresServer) -> Connect:
    """Connects a client to a server on the hotel; keyword arguments are settings, *account* is whom it logs in as."""

    def connected(
        account: str = BOSS, databases: dict[str, str] | None = None, **settings: object
    ) -> AbstractAsyncContextManager[Client[FastMCPTransport]]:
        return client_of(at_urls({"hotel": postgres.url(account)} if databases is None else databases), settings)

    return connected

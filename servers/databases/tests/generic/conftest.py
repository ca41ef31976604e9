"""A DuckDB file, and servers on it, for the tests in this folder."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import duckdb
import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport

from ..answers import Connect
from ..corpus import DATA
from ..engines import client_of


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

    def connected(
        more: dict[str, object] | None = None, **settings: object
    ) -> AbstractAsyncContextManager[Client[FastMCPTransport]]:
        return client_of({"harbour": {"url": f"duckdb:///{harbour}", **(more or {})}}, settings)

    return connected

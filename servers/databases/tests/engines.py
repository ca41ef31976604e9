"""What the tests on real engines share: where an engine lives, what happens where it is missing, and clients of servers on it."""

import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.server import build
from opsroom_databases.settings import DatabasesSettings


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where services are required."""
    if os.environ.get("OPSROOM_REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def private_folder(prefix: str) -> Generator[Path]:
    """A folder for an engine that may run as another user; its name is short, because a socket's path has to be."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def client_of(
    databases: Mapping[str, Mapping[str, object]], settings: Mapping[str, object]
) -> AsyncGenerator[Client[FastMCPTransport]]:
    """A client of a server with *databases*, each with its settings, and the server's other *settings*."""
    server: FastMCP = build(DatabasesSettings.model_validate({"databases": databases, **settings})).mcp
    async with Client(server) as client:
        yield client


def at_urls(urls: Mapping[str, str]) -> dict[str, dict[str, object]]:
    return {name: {"url": url} for name, url in urls.items()}

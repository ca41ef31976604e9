"""A real Prometheus with an Alertmanager, and clients of servers on it."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport
from opsroom_monitoring.server import build
from opsroom_monitoring.settings import MonitoringSettings

from .stack import Stack, running

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    with running(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture
def connect(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Connect:
    """Connects a client to a server on the stack; keyword arguments are settings."""

    @asynccontextmanager
    async def connected(**settings: object) -> AsyncGenerator[Client[FastMCPTransport]]:
        given = {
            "prometheus": {"url": stack.prometheus},
            "alertmanager": {"url": stack.alertmanager},
            "allow_writes": True,
            "state": str(tmp_path_factory.mktemp("state")),
            **settings,
        }
        async with Client(build(MonitoringSettings.model_validate(given)).mcp) as client:
            yield client

    return connected

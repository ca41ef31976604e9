"""A real Docker Engine for the tests in this folder, and shops on it."""

import os
import re
from collections.abc import AsyncGenerator, Generator

import pytest

from .dockerd import DockerMissing, PrivateDocker, private_docker
from .shops import Shop


@pytest.fixture(scope="session")
def docker() -> Generator[PrivateDocker]:
    """A private engine with the images; skipped where none can be started, unless services are required."""
    try:
        with private_docker() as engine:
            yield engine
    except DockerMissing as error:
        if os.environ.get("OPSROOM_REQUIRE_SERVICES"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
async def shop(docker: PrivateDocker, request: pytest.FixtureRequest) -> AsyncGenerator[Shop]:
    """A service that nobody has deployed yet; all of it goes after the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    shop = Shop(docker, name)
    yield shop
    await shop.aclose()

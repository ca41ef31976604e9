"""A Phorge to ask, and a provider that asks it."""

from collections.abc import AsyncGenerator, Callable, Generator

import pytest
import pytest_asyncio
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings
from pydantic import SecretStr

from .conduit_server import TOKEN, ConduitServer, sockets
from .world import World

Connect = Callable[..., PhabricatorProvider]


@pytest.fixture
def world() -> World:
    """The world behind the transcripts, seen by bob."""
    return World()


@pytest.fixture
def phorge(world: World) -> Generator[ConduitServer]:
    """A server that answers from that world, and from the transcripts that a test plays."""
    yield from _running(ConduitServer(world))


@pytest.fixture
def recorder() -> Generator[ConduitServer]:
    """A server that answers only from the transcripts that a test plays."""
    yield from _running(ConduitServer())


def _running(server: ConduitServer) -> Generator[ConduitServer]:
    server.start()
    yield server
    server.stop()
    assert not server.unexpected, f"requests without a transcript: {server.unexpected}"
    assert not server.problems
    assert all(request.token == TOKEN for request in server.requests)


@pytest_asyncio.fixture
async def connect(phorge: ConduitServer) -> AsyncGenerator[Connect]:
    """Makes a provider on the server; keyword arguments are settings."""
    made: list[PhabricatorProvider] = []

    def connected(**settings: object) -> PhabricatorProvider:
        asked = {"kind": "phabricator", "url": phorge.url, "token": SecretStr(TOKEN), **settings}
        provider = PhabricatorProvider(
            "phorge", ProviderSettings.model_validate(asked), CodeReviewSettings.model_validate({}), transport=sockets()
        )
        made.append(provider)
        return provider

    yield connected
    for provider in made:
        await provider.aclose()


@pytest.fixture
def provider(connect: Connect) -> PhabricatorProvider:
    return connect()

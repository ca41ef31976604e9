"""The scripted GitHub, and the provider on it."""

from collections.abc import AsyncGenerator, Callable, Generator

import pytest
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings
from pydantic import SecretStr

from .contract import Contract
from .forge import TOKEN, Forge, ForgeServer

Connect = Callable[..., GitHubProvider]


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract()


@pytest.fixture
def forge(contract: Contract) -> Generator[Forge]:
    """A GitHub Enterprise on a socket of its own. Whatever broke GitHub's contract fails the test at its end."""
    scripted = Forge(contract)
    server = ForgeServer(scripted)
    yield scripted
    server.close()
    assert scripted.breaches == []


@pytest.fixture
async def connect(forge: Forge) -> AsyncGenerator[Connect]:
    """Makes providers on the forge; keyword arguments are settings of theirs."""
    made: list[GitHubProvider] = []

    def connected(*, seconds: float = 30.0, **settings: object) -> GitHubProvider:
        values = {"kind": "github", "url": forge.url, "token": SecretStr(TOKEN), **settings}
        server = CodeReviewSettings.model_validate({"request_seconds": seconds})
        provider = GitHubProvider("hub", ProviderSettings.model_validate(values), server)
        made.append(provider)
        return provider

    yield connected
    for provider in made:
        await provider.aclose()


@pytest.fixture
async def hub(connect: Connect) -> GitHubProvider:
    return connect()

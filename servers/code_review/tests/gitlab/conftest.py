"""A scripted GitLab for each test, and the provider connected to it."""

import sys
import threading
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from opsroom_code_review.providers.gitlab import GitLabProvider
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports each test file alone; this is what they share

from gitlab_forge import TOKEN, Forge, Server, contract


@pytest.fixture
def forge() -> Generator[Forge]:
    """A GitLab that fails the test if it was asked what GitLab does not take, or what the test did not foresee."""
    forge = Forge(contract())
    server = Server(forge)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield forge
    server.shutdown()
    thread.join()
    server.server_close()
    assert forge.problems == []


@pytest.fixture
def settings(forge: Forge) -> ProviderSettings:
    """The account bob's settings for the forge."""
    return ProviderSettings(kind="gitlab", url=forge.url, token=SecretStr(TOKEN))


@pytest.fixture
async def gitlab(settings: ProviderSettings) -> AsyncGenerator[GitLabProvider]:
    """The provider as bob."""
    provider = GitLabProvider("lab", settings, CodeReviewSettings.model_validate({"request_seconds": 30}))
    yield provider
    await provider.aclose()

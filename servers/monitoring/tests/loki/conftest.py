"""A scripted Loki that answers in the shapes that Loki documents, and the source on it."""

from collections.abc import AsyncGenerator, Callable, Generator

import pytest
from opsroom_monitoring.settings import LokiSettings
from opsroom_monitoring.sources.loki import LokiLogs

from ..scripted import Scripted, scripted

Connect = Callable[..., LokiLogs]


@pytest.fixture
def loki() -> Generator[Scripted]:
    with scripted() as server:
        yield server


@pytest.fixture
async def connect(loki: Scripted) -> AsyncGenerator[Connect]:
    """Makes sources on the scripted Loki; keyword arguments are settings."""
    made: list[LokiLogs] = []

    def connected(**settings: object) -> LokiLogs:
        made.append(LokiLogs("loki", LokiSettings.model_validate({"url": loki.url, **settings})))
        return made[-1]

    yield connected
    for source in made:
        await source.aclose()

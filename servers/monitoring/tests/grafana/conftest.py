"""A scripted Grafana that is held to Grafana's contract, and the source on it."""

from collections.abc import AsyncGenerator, Callable, Generator

import pytest
from opsroom_monitoring.settings import GrafanaSettings
from opsroom_monitoring.sources.grafana import GrafanaDashboards

from ..scripted import Scripted, scripted
from .contract import breaches

Connect = Callable[..., GrafanaDashboards]


@pytest.fixture
def grafana() -> Generator[Scripted]:
    """Whatever broke the contract, on either side, fails the test at its end."""
    with scripted() as server:
        yield server
        assert breaches(server) == []


@pytest.fixture
async def connect(grafana: Scripted) -> AsyncGenerator[Connect]:
    """Makes sources on the scripted Grafana; keyword arguments are settings."""
    made: list[GrafanaDashboards] = []

    def connected(**settings: object) -> GrafanaDashboards:
        values = {"url": grafana.url, "token": "a-token-of-no-account", **settings}
        made.append(GrafanaDashboards("grafana", GrafanaSettings.model_validate(values)))
        return made[-1]

    yield connected
    for source in made:
        await source.aclose()

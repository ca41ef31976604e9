"""Deployments that are told as annotations."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import pytest
from opsroom_monitoring.models import DeploymentMark
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import GrafanaChanges, GrafanaSettings
from opsroom_monitoring.sources.changes import GrafanaAnnotations
from opsroom_shared.errors import NotPermitted
from pydantic import JsonValue

from ..grafana.contract import breaches
from ..scripted import Answer, Scripted, scripted

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(hours=1), END)
AT = END - timedelta(minutes=10)
ANNOTATIONS = "GET /api/annotations"


@pytest.fixture
def grafana() -> Generator[Scripted]:
    with scripted() as server:
        yield server
        assert breaches(server) == []


async def told(
    grafana: Scripted, *tags: str, text: str = "", service: str | None = None, **more: JsonValue
) -> list[DeploymentMark]:
    """What is read from one annotation with *tags* beside `deployment`."""
    annotation: dict[str, JsonValue] = {"id": 1, "time": int(AT.timestamp()) * 1_000, "tags": ["deployment", *tags], "text": text}
    grafana.answer(ANNOTATIONS, Answer([{**annotation, **more}]))
    source = GrafanaAnnotations("annotations", GrafanaChanges(kind="grafana"), GrafanaSettings(url=grafana.url))
    try:
        return list(await source.changes(WINDOW, service))
    finally:
        await source.aclose()


async def test_own_annotations_are_read_whole(grafana: Scripted) -> None:
    """What the deployments server writes comes back as it was: service, environment, release, outcome and who."""
    text = "deploy checkout 1.4.0 → 1.4.1: rolled_back, by ann via opsroom"

    found = await told(grafana, "checkout", "production", "rolled_back", text=text)

    assert found == [
        DeploymentMark(
            at=AT,
            service="checkout",
            environment="production",
            release="1.4.1",
            outcome="rolled_back",
            by="ann via opsroom",
            source="annotations",
        )
    ]
    assert grafana.last.query["tags"] == ["deployment"]


async def test_tags_with_keys_are_read(grafana: Scripted) -> None:
    """Tags such as service:checkout, as other tools write them, are understood."""
    found = await told(grafana, "service:checkout", "env=prod", "version: 2.1", "status:ok", text="released", login="bob")

    assert found == [
        DeploymentMark(at=AT, service="checkout", environment="prod", release="2.1", outcome="ok", by="bob", source="annotations")
    ]


async def test_plain_annotation_is_told_by_its_text(grafana: Scripted) -> None:
    """Without keys the first other tag is the service, and the text, without its markup, says what came."""
    (found,) = await told(grafana, "checkout", text='<a href="http://x">Release 7</a>\x1b[2J')

    assert (found.service, found.release, found.environment) == ("checkout", "Release 7", None)


async def test_annotation_without_a_service_is_unknown(grafana: Scripted) -> None:
    """A mark that names no service is told, and is nobody's when one service is asked for."""
    assert [each.service for each in await told(grafana, text="network change")] == ["unknown"]
    assert await told(grafana, text="network change", service="checkout") == []


async def test_other_services_are_left_out(grafana: Scripted) -> None:
    """Asked for one service, the marks of others stay away; case does not matter."""
    assert await told(grafana, "service:cart", service="checkout") == []
    assert len(await told(grafana, "service:Checkout", service="checkout")) == 1


async def test_failure_is_raised(grafana: Scripted) -> None:
    """A Grafana that refuses is a failure, not a quiet hour."""
    grafana.answer(ANNOTATIONS, Answer({"message": "Unauthorized"}, 401))
    source = GrafanaAnnotations("annotations", GrafanaChanges(kind="grafana"), GrafanaSettings(url=grafana.url))

    with pytest.raises(NotPermitted, match="annotations does not accept the token"):
        await source.changes(WINDOW, None)
    await source.aclose()

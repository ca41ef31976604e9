"""Deployments that an address tells."""

from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta

import pytest
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import HttpChanges
from opsroom_monitoring.sources.changes import HttpFeed
from opsroom_shared.errors import NotFound, TooLarge, ToolFailure, Unavailable
from pydantic import JsonValue

from ..scripted import Answer, Scripted, scripted

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(hours=1), END)
AT = END - timedelta(minutes=10)
FEED = "GET /ci/deploys.json"
TOKEN = "of-no-account"  # noqa: S105 - of no account


@pytest.fixture
def server() -> Generator[Scripted]:
    with scripted() as found:
        yield found


@pytest.fixture
async def feed(server: Scripted) -> AsyncGenerator[HttpFeed]:
    settings = HttpChanges.model_validate({"kind": "http", "url": f"{server.url}/ci/deploys.json", "token": TOKEN})
    source = HttpFeed("ci", settings)
    yield source
    await source.aclose()


async def test_list_is_read(server: Scripted, feed: HttpFeed) -> None:
    """Every field that is given is told; the token is sent to exactly the address."""
    whole: JsonValue = {
        "at": "2026-11-24T12:50:00+01:00",
        "service": "checkout",
        "environment": "prod",
        "release": "1.4.1",
        "outcome": "ok",
        "by": "ann",
        "id": 77,
        "extra": {"x": 1},
    }
    server.answer(FEED, Answer([whole, {"at": "2026-11-24T11:55:00Z", "service": "cart"}]))

    cart, checkout = await feed.changes(WINDOW, None)

    assert (cart.service, cart.release) == ("cart", None)
    assert (checkout.at, checkout.service, checkout.environment, checkout.release) == (AT, "checkout", "prod", "1.4.1")
    assert (checkout.outcome, checkout.by, checkout.deployment_id, checkout.source) == ("ok", "ann", "77", "ci")
    assert server.last.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "entry",
    [
        {"time": AT.timestamp(), "service": "a"},
        {"timestamp": int(AT.timestamp()) * 1_000, "service": "a"},
        {"started_at": "2026-11-24 11:50:00", "service": "a"},
        {"at": str(int(AT.timestamp())), "service": "a"},
    ],
)
async def test_times_in_several_forms(server: Scripted, feed: HttpFeed, entry: JsonValue) -> None:
    """RFC 3339 without a zone is UTC; unix seconds and milliseconds are told apart."""
    server.answer(FEED, Answer([entry]))

    (found,) = await feed.changes(WINDOW, None)

    assert found.at == AT


async def test_webhook_body_of_the_deployments_server_is_an_entry(server: Scripted, feed: HttpFeed) -> None:
    """A collector of what the deployments server posts can be read as it is."""
    posted: JsonValue = {
        "deployment_id": "dep-1",
        "service": "checkout",
        "environment": "prod",
        "action": "deploy",
        "state": "succeeded",
        "before": None,
        "after": "1.4.1",
        "by": "ann",
        "reason": "r",
        "started_at": "2026-11-24T11:50:00+00:00",
        "ended_at": None,
    }
    server.answer(FEED, Answer([posted]))

    (found,) = await feed.changes(WINDOW, "checkout")

    assert (found.release, found.outcome, found.deployment_id) == ("1.4.1", "succeeded", "dep-1")


async def test_window_and_service_narrow(server: Scripted, feed: HttpFeed) -> None:
    """Only what was asked for comes back, the newest first."""
    entries: list[JsonValue] = [
        {"at": (END - timedelta(minutes=minutes)).isoformat(), "service": service}
        for minutes, service in ((5, "a"), (90, "a"), (20, "a"), (10, "b"), (-5, "a"))
    ]
    server.answer(FEED, Answer(entries))

    found = await feed.changes(WINDOW, "A")

    assert [(END - each.at).total_seconds() / 60 for each in found] == [5, 20]


async def test_hostile_entries_are_cleaned(server: Scripted, feed: HttpFeed) -> None:
    """What a feed says is outside text: cleaned, bounded, without secrets."""
    server.answer(
        FEED, Answer([{"at": AT.isoformat(), "service": "a\x1b[2J\u202eb", "by": "x" * 5_000, "release": "token=abcdef123456"}])
    )

    (found,) = await feed.changes(WINDOW, None)

    assert (found.service, found.release) == ("ab", "token=***")
    assert len(found.by or "") <= 120


async def test_broken_entries_do_not_hide_the_others(server: Scripted, feed: HttpFeed) -> None:
    """An entry that is no deployment is left out, and said in the log."""
    broken: list[JsonValue] = [
        {"service": "a"},
        3,
        {"at": "yesterdayish", "service": "a"},
        {"at": 1e300, "service": "a"},
        {"at": True, "service": "a"},
    ]
    server.answer(FEED, Answer([*broken, {"at": AT.isoformat(), "service": "good"}]))

    assert [each.service for each in await feed.changes(WINDOW, None)] == ["good"]


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (Answer([{"service": "a"}]), Unavailable, "no deployments: at: Field required"),
        (Answer([{"at": 1e300, "service": "a"}]), Unavailable, "no deployments"),
        (Answer({"deployments": []}), Unavailable, "JSON list"),
        (Answer(list[JsonValue]([0]) * 10_001), Unavailable, "at most 10,000"),
        (Answer(text="x" * (5 << 20)), TooLarge, "more than"),
        (Answer(text="[1", status=200), Unavailable, "broken JSON"),
        (Answer(text="<html>Log in</html>", content_type="text/html"), Unavailable, "JSON"),
        (Answer(text="gone", status=404, content_type="text/plain"), NotFound, "gone"),
    ],
)
async def test_what_is_no_feed_is_a_failure(
    server: Scripted, feed: HttpFeed, answer: Answer, failure: type[ToolFailure], words: str
) -> None:
    """A feed that does not work is not an hour without deployments."""
    server.answer(FEED, answer)

    with pytest.raises(failure, match=words):
        await feed.changes(WINDOW, None)
    assert words.partition(":")[0] in str(await feed.ready())


async def test_empty_list_is_a_quiet_hour(server: Scripted, feed: HttpFeed) -> None:
    """Nothing deployed is an answer."""
    server.answer(FEED, Answer([]))

    assert await feed.changes(WINDOW, None) == []
    assert await feed.ready() is None


@pytest.mark.parametrize("path", ["", "/", "/feed", "/a/b/feed:latest", "/a/b/", "/a%20b/c"])
async def test_address_is_asked_as_it_is_set(server: Scripted, path: str) -> None:
    """A feed may be a file, a folder, or the root of a host; a slash at the end is no part of an address."""
    server.answer(f"GET {path.rstrip('/') or '/'}", Answer([]))
    source = HttpFeed("ci", HttpChanges.model_validate({"kind": "http", "url": server.url + path}))

    assert await source.ready() is None
    await source.aclose()

"""What is read from a Grafana."""

from datetime import UTC, datetime, timedelta

import pytest
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import GrafanaSettings
from opsroom_monitoring.sources.grafana import GrafanaDashboards, proxied_loki, proxied_prometheus, proxy_url
from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted, RateLimited, ToolFailure, Unavailable

from ..scripted import Answer, Scripted
from .conftest import Connect

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(hours=1), END)
SEARCH, HEALTH, ANNOTATIONS = "GET /api/search", "GET /api/health", "GET /api/annotations"


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000


async def test_dashboards_are_found_by_words(grafana: Scripted, connect: Connect) -> None:
    """A hit carries its title, uid, folder and tags, and what is asked for is dashboards with these words."""
    grafana.answer(
        SEARCH,
        Answer([{"uid": "shop1", "title": "Shop", "tags": ["team-a"], "folderTitle": "Prod", "url": "/d/shop1/shop"}]),
    )

    (found,) = await connect().search(" shop ", 20)

    assert (found.name, found.type) == ("Shop", "dashboard")
    assert found.detail == "uid shop1; folder Prod; tags team-a; /d/shop1/shop"
    assert grafana.last.query == {"type": ["dash-db"], "limit": ["20"], "query": ["shop"]}


async def test_token_and_organisation_are_sent(grafana: Scripted, connect: Connect) -> None:
    """Every request carries the service account token, and the organisation where one is set."""
    grafana.answer(SEARCH, Answer([]))

    await connect(org_id=7).search("", 5)

    assert grafana.last.headers["authorization"] == "Bearer a-token-of-no-account"
    assert grafana.last.headers["x-grafana-org-id"] == "7"


async def test_no_organisation_is_sent_unless_set(grafana: Scripted, connect: Connect) -> None:
    """Without an organisation Grafana takes that of the token."""
    grafana.answer(SEARCH, Answer([]))

    await connect().search("", 5)

    assert "x-grafana-org-id" not in grafana.last.headers


async def test_hostile_titles_are_cleaned(grafana: Scripted, connect: Connect) -> None:
    """A title is outside text: terminal sequences and hidden marks do not reach the reader."""
    grafana.answer(SEARCH, Answer([{"uid": "x", "title": "a\x1b[2Jb\u202ec", "tags": ["\x07t"]}]))

    (found,) = await connect().search("", 5)

    assert found.name == "abc"
    assert "tags t" in str(found.detail)


async def test_more_hits_than_asked_for_are_cut(grafana: Scripted, connect: Connect) -> None:
    """A Grafana that ignores the limit does not decide how long the answer is."""
    grafana.answer(SEARCH, Answer([{"uid": f"u{number}", "title": "t"} for number in range(50)]))

    assert len(await connect().search("", 3)) == 3


async def test_ready_asks_what_needs_the_token(grafana: Scripted, connect: Connect) -> None:
    """The health of a Grafana is told to everybody, so that readiness also needs a question that the token answers."""
    grafana.answer(HEALTH, Answer({"database": "ok", "version": "12.1.0"}))
    grafana.answer(SEARCH, Answer([]), Answer({"message": "Invalid API key"}, 401))
    source = connect()

    assert await source.ready() is None
    assert "does not accept the token" in str(await source.ready())


async def test_sick_database_is_not_ready(grafana: Scripted, connect: Connect) -> None:
    """A Grafana without its database says so."""
    grafana.answer(HEALTH, Answer({"database": "failing"}))

    assert await connect().ready() == "grafana says that its database is not ok"


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (Answer({"message": "Unauthorized"}, 401), NotPermitted, "does not accept the token in its settings, or wants one"),
        (Answer({"message": "query too long"}, 422), InvalidInput, "query too long"),
        (Answer({"message": "boom", "error": "db locked"}, 500), Unavailable, "boom: db locked"),
        (Answer(status=403, text="denied by proxy", content_type="text/plain"), NotPermitted, "denied by proxy"),
        (Answer(status=404, text="no such path", content_type="text/plain"), NotFound, "no such path"),
        (Answer(status=412, text="version mismatch", content_type="text/plain"), ToolFailure, "has changed in grafana"),
        (Answer(status=207, text="1 of 2", content_type="text/plain"), Unavailable, "only a part"),
        (Answer(status=200, text="<html>Log in</html>", content_type="text/html"), Unavailable, "did not answer in JSON"),
        (Answer(status=401, text="<html>Log in</html>", content_type="text/html"), Unavailable, "log in"),
        (Answer(status=302, text="", content_type="text/plain", headers={"Location": "/login"}), Unavailable, "log in"),
        (Answer(status=429, text="", content_type="text/plain", headers={"Retry-After": "60"}), RateLimited, "60 s"),
        (Answer(text="[{", status=200), Unavailable, "broken JSON"),
        (Answer(text='{"message": "x"}', status=200, content_type="application/json; charset=utf-8"), Unavailable, "no list"),
    ],
)
async def test_failures_say_what_to_do(
    grafana: Scripted, connect: Connect, answer: Answer, failure: type[ToolFailure], words: str
) -> None:
    """Each shape of an error becomes one of ours, with Grafana's own words."""
    grafana.answer(SEARCH, answer)

    with pytest.raises(failure, match=words):
        await connect().search("", 5)


async def test_token_in_an_error_is_masked(grafana: Scripted, connect: Connect) -> None:
    """An error that repeats a token does not pass it on."""
    grafana.answer(SEARCH, Answer({"message": "bad token glsa_0123456789abcdefghijklmnop"}, 401))

    with pytest.raises(NotPermitted) as caught:
        await connect().search("", 5)

    assert "glsa_" not in str(caught.value)


async def test_nothing_listening_is_unavailable() -> None:
    """A Grafana that is down is a failure with its name."""
    source = GrafanaDashboards("grafana", GrafanaSettings(url="http://127.0.0.1:9", seconds=2))

    with pytest.raises(Unavailable, match="grafana cannot be reached"):
        await source.search("", 5)
    await source.aclose()


async def test_datasources_are_listed_with_health(grafana: Scripted, connect: Connect) -> None:
    """Data sources have a uid to ask them by, and Grafana says whether they answer."""
    grafana.answer("GET /api/datasources", Answer([{"uid": "p1", "name": "Prom", "type": "prometheus", "isDefault": True}]))
    grafana.answer("GET /api/datasources/uid/p1/health", Answer({"message": "OK"}), Answer({"message": "refused"}, 400))
    source = connect()

    (found,) = await source.datasources()

    assert (found.uid, found.name, found.type, found.default) == ("p1", "Prom", "prometheus", True)
    assert await source.datasource_problem("p1") is None
    assert "refused" in str(await source.datasource_problem("p1"))


async def test_annotations_are_asked_for_in_milliseconds(grafana: Scripted, connect: Connect) -> None:
    """The window is sent in milliseconds, tags one by one, and only what began in the window comes back, newest first."""
    early, late = END - timedelta(minutes=50), END - timedelta(minutes=5)
    grafana.answer(
        ANNOTATIONS,
        Answer(
            [
                {
                    "id": 1,
                    "time": milliseconds(early),
                    "timeEnd": milliseconds(late),
                    "text": "one",
                    "tags": ["a"],
                    "login": "ann",
                },
                {"id": 2, "time": milliseconds(late), "timeEnd": milliseconds(late), "text": "two", "tags": []},
                {"id": 3, "time": milliseconds(END - timedelta(hours=2)), "timeEnd": milliseconds(END), "text": "before"},
                {"id": 4, "time": 0, "text": "without a time"},
            ]
        ),
    )

    found = await connect().annotations(WINDOW, ("deployment", "prod"), 50)

    assert [(each.annotation_id, each.at, each.end, each.text) for each in found] == [
        (2, late, None, "two"),
        (1, early, late, "one"),
    ]
    assert (found[1].tags, found[1].by) == (("a",), "ann")
    assert grafana.last.query == {
        "from": [str(milliseconds(WINDOW.start))],
        "to": [str(milliseconds(WINDOW.end))],
        "type": ["annotation"],
        "limit": ["50"],
        "tags": ["deployment", "prod"],
    }


def test_data_source_is_asked_through_grafana() -> None:
    """A Prometheus or Loki behind Grafana is a source with another address, and Grafana's token and organisation."""
    settings = GrafanaSettings.model_validate({"url": "http://g:3000/", "token": "secret-token", "org_id": 3, "seconds": 4})

    prometheus, loki = proxied_prometheus(settings, "p-1"), proxied_loki(settings, "l-1")

    assert prometheus.url == "http://g:3000/api/datasources/proxy/uid/p-1"
    assert loki.url == proxy_url(settings, "l-1")
    assert prometheus.all_headers() == {"Authorization": "Bearer secret-token", "X-Grafana-Org-Id": "3"}
    assert (prometheus.seconds, loki.all_headers()) == (4, prometheus.all_headers())


@pytest.mark.parametrize("uid", ["../admin", "a b", "", "a/b", "x" * 81, "ü"])
def test_hostile_uid_stays_out_of_the_address(uid: str) -> None:
    """What is no uid would be another path of Grafana."""
    with pytest.raises(InvalidInput, match="is no uid"):
        proxy_url(GrafanaSettings(url="http://g:3000"), uid)

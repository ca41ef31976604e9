"""What is read from a Loki. No live one stands behind it: the answers have the shapes of its documentation."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import LokiSettings
from opsroom_monitoring.sources import LogQuery
from opsroom_monitoring.sources.loki import LokiLogs
from opsroom_shared.errors import InvalidInput, NotPermitted, TooLarge, ToolFailure, Unavailable
from pydantic import JsonValue

from ..scripted import Answer, Scripted
from .conftest import Connect

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(minutes=15), END)
START_NS, END_NS = "1795520700000000000", "1795521600000000000"
RANGE, QUERY = "GET /loki/api/v1/query_range", "GET /loki/api/v1/query"
STATS, PATTERNS, VOLUME = "GET /loki/api/v1/index/stats", "GET /loki/api/v1/patterns", "GET /loki/api/v1/index/volume"
TOKEN = "of-no-account"  # noqa: S105 - of no account
SHOP = '{service="shop"}'


def asked(query: str = SHOP, limit: int = 40) -> LogQuery:
    return LogQuery(query, WINDOW, limit)


def streams(*found: tuple[dict[str, JsonValue], list[JsonValue]]) -> Answer:
    result: list[JsonValue] = [{"stream": labels, "values": values} for labels, values in found]
    return Answer({"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}})


def vector(*found: tuple[dict[str, JsonValue], str]) -> Answer:
    result: list[JsonValue] = [{"metric": labels, "value": [1795521600, value]} for labels, value in found]
    return Answer({"status": "success", "data": {"resultType": "vector", "result": result}})


async def test_newest_lines_come_first(loki: Scripted, connect: Connect) -> None:
    """Lines of several streams become one list, the newest first, each with the labels of its stream."""
    loki.answer(
        RANGE,
        streams(
            ({"service": "shop", "pod": "a"}, [["1795521500000000300", "third"], ["1795521500000000100", "first"]]),
            ({"service": "shop", "pod": "b"}, [["1795521500000000200", "second", {"trace_id": "1"}]]),
        ),
    )

    found = await connect().lines(asked())

    assert [line.text for line in found] == ["third", "second", "first"]
    assert [line.labels["pod"] for line in found] == ["a", "b", "a"]
    assert found[0].at == datetime(2026, 11, 24, 11, 58, 20, tzinfo=UTC)


async def test_window_is_sent_in_nanoseconds(loki: Scripted, connect: Connect) -> None:
    """Times are whole nanoseconds as text, without the rounding of a float; the newest lines are asked for."""
    loki.answer(RANGE, streams())

    await connect().lines(asked(f' {SHOP} |= "x" ', 7))

    assert loki.last.query == {
        "query": [f'{SHOP} |= "x"'],
        "start": [START_NS],
        "end": [END_NS],
        "limit": ["7"],
        "direction": ["backward"],
    }


@pytest.mark.parametrize(("limit", "sent"), [(0, "1"), (5_001, "5000"), (40, "40")])
async def test_limit_is_bounded(loki: Scripted, connect: Connect, limit: int, sent: str) -> None:
    """No more is asked for than Loki gives."""
    loki.answer(RANGE, streams())

    await connect().lines(asked(limit=limit))

    assert loki.last.one("limit") == sent


async def test_more_lines_than_asked_for_are_cut(loki: Scripted, connect: Connect) -> None:
    """A Loki that sends more than it was asked for does not decide how long the answer is; the newest stay."""
    loki.answer(RANGE, streams(({}, [[str(1795521500000000000 + number), f"line {number}"] for number in range(50)])))

    found = await connect().lines(asked(limit=2))

    assert [line.text for line in found] == ["line 49", "line 48"]


async def test_hostile_lines_and_labels_are_cleaned(loki: Scripted, connect: Connect) -> None:
    """Control characters, secrets and endless values do not reach the reader."""
    labels: dict[str, JsonValue] = {
        "a\x1b[31m": "v\u202e" * 5,
        "long": "x" * 5_000,
        "number": 3,
        **{f"l{n}": "v" for n in range(50)},
    }
    loki.answer(RANGE, streams((labels, [["1795521500000000000", "password=hunter22 \x1b]0;title\x07end" + "y" * 10_000]])))

    (line,) = await connect().lines(asked())

    assert line.text.startswith("password=*** end")
    assert len(line.text) <= 4_000
    assert line.labels["a"] == "vvvvv"
    assert len(line.labels["long"]) <= 200
    assert len(line.labels) <= 30


@pytest.mark.parametrize(
    "value", [None, 3, ["x"], ["-5", "x"], ["1e18", "x"], [1795521500000000000, "x"], ["9" * 30, "x"], ["1", 5]]
)
async def test_broken_entries_are_left_out(loki: Scripted, connect: Connect, value: JsonValue) -> None:
    """An entry that is not a time in nanoseconds and a line is no line."""
    loki.answer(RANGE, streams(({}, [value, ["1795521500000000000", "good"]])))

    assert [line.text for line in await connect().lines(asked())] == ["good"]


async def test_tenant_and_token_are_sent(loki: Scripted, connect: Connect) -> None:
    """A Loki with several tenants is told which one."""
    loki.answer(RANGE, streams())

    await connect(tenant="team-a", token=TOKEN).lines(asked())

    assert loki.last.headers["x-scope-orgid"] == "team-a"
    assert loki.last.headers["authorization"] == f"Bearer {TOKEN}"


async def test_cost_is_asked_by_selector(loki: Scripted, connect: Connect) -> None:
    """The index knows of streams, not of filters: each selector is asked for once, and they add up."""
    loki.answer(STATS, Answer({"streams": 2, "chunks": 5, "entries": 100, "bytes": 4_000}))
    query = 'sum(rate({app="a"} |= "{x}" [5m])) / sum(rate({app="b"}[5m])) + sum(rate({app="a"}[1m]))'

    scanned = await connect().scan_bytes(asked(query))

    assert scanned == 8_000
    assert [request.one("query") for request in loki.requests] == ['{app="a"}', '{app="b"}']
    assert loki.last.query["start"] == [START_NS]


@pytest.mark.parametrize(
    "answer", [Answer(status=404, text="404 page not found", content_type="text/plain"), Answer({}), Answer({"bytes": "many"})]
)
async def test_cost_may_be_unknown(loki: Scripted, connect: Connect, answer: Answer) -> None:
    """A Loki before 2.8 cannot tell, which is not the same as nothing to read."""
    loki.answer(STATS, answer)

    assert await connect().scan_bytes(asked()) is None


async def test_patterns_are_counted_by_loki(loki: Scripted, connect: Connect) -> None:
    """Loki's own patterns come with their counts over the window, the most frequent first."""
    data: list[JsonValue] = [
        {"pattern": "<_> level=info <_>", "samples": [[1795520710, 3], [1795520720, 2]]},
        {"pattern": "<_> level=error <_>", "samples": [[1795520710, 100]]},
        {"pattern": "unseen", "samples": []},
        "broken",
    ]
    loki.answer(PATTERNS, Answer({"status": "success", "data": data}))

    found = await connect().patterns(asked())

    assert found is not None
    assert [(each.pattern, each.count) for each in found] == [("<_> level=error <_>", 100), ("<_> level=info <_>", 5)]
    assert found[1].first == datetime.fromtimestamp(1795520710, UTC)
    assert found[1].last == datetime.fromtimestamp(1795520720, UTC)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404, text="", content_type="text/plain"),
        Answer({"status": "success", "data": []}),
        Answer({"status": "success"}),
    ],
)
async def test_lines_are_mined_where_loki_has_no_patterns(loki: Scripted, connect: Connect, answer: Answer) -> None:
    """Without its pattern ingester, or for a window that it no longer holds, the caller mines lines instead."""
    loki.answer(PATTERNS, answer)

    assert await connect().patterns(asked()) is None


async def test_filters_are_unknown_to_patterns(connect: Connect) -> None:
    """Patterns of the whole stream would be the wrong answer to a query with filters; nothing is asked."""
    assert await connect().patterns(asked(f'{SHOP} |= "error"')) is None


async def test_lines_are_counted_over_the_window(loki: Scripted, connect: Connect) -> None:
    """The count is one number over exactly the window, also where a comment ends the query."""
    loki.answer(QUERY, vector(({}, "1234")))

    found = await connect().count(asked(f'{SHOP} |= "x" # why'))

    assert found == 1_234
    assert loki.last.query == {"query": [f'sum(count_over_time({SHOP} |= "x" # why\n[900s]))'], "time": [END_NS]}


async def test_nothing_found_counts_zero(loki: Scripted, connect: Connect) -> None:
    """Loki has no sample for nothing."""
    loki.answer(QUERY, vector())

    assert await connect().count(asked()) == 0


async def test_numbers_are_not_counted_again(connect: Connect) -> None:
    """A query that makes numbers has no lines to count."""
    assert await connect().count(asked(f"rate({SHOP}[5m])")) is None


async def test_volume_is_told_by_labels(loki: Scripted, connect: Connect) -> None:
    """Which labels cost how many bytes, the most first."""
    loki.answer(VOLUME, vector(({"service": "shop"}, "10"), ({"service": "cart"}, "2000")))

    found = await connect().volume('{service=~".+"}', WINDOW, 10)

    assert found == [({"service": "cart"}, 2_000), ({"service": "shop"}, 10)]
    assert loki.last.one("limit") == "10"


async def test_volume_may_be_switched_off(loki: Scripted, connect: Connect) -> None:
    """A Loki without volumes says so by a 404."""
    loki.answer(VOLUME, Answer(status=404, text="not found", content_type="text/plain"))

    assert await connect().volume(SHOP, WINDOW, 10) is None


async def test_labels_values_and_streams_are_listed(loki: Scripted, connect: Connect) -> None:
    """What there is to select from, in the window and within a selector."""
    loki.answer("GET /loki/api/v1/labels", Answer({"status": "success", "data": ["app", "service"]}))
    loki.answer("GET /loki/api/v1/label/app/values", Answer({"status": "success", "data": ["a\x07", "b"]}))
    loki.answer("GET /loki/api/v1/series", Answer({"status": "success", "data": [{"app": "a"}, {"app": "b"}]}))
    source = connect()

    assert await source.label_names(WINDOW) == ["app", "service"]
    assert await source.label_values("app", WINDOW, SHOP) == ["a", "b"]
    assert await source.streams(SHOP, WINDOW, 1) == [{"app": "a"}]
    assert loki.requests[1].one("query") == SHOP
    assert loki.last.query["match[]"] == [SHOP]


async def test_no_labels_is_an_empty_list(loki: Scripted, connect: Connect) -> None:
    """Loki leaves `data` out when there is nothing."""
    loki.answer("GET /loki/api/v1/labels", Answer({"status": "success"}))

    assert await connect().label_names(WINDOW) == []


@pytest.mark.parametrize("label", ["../../x", "a b", "", "1a", "a/values?x="])
async def test_hostile_label_stays_out_of_the_address(connect: Connect, label: str) -> None:
    """What is no label would be another path of Loki."""
    with pytest.raises(InvalidInput, match="no name of a label"):
        await connect().label_values(label, WINDOW)


@pytest.mark.parametrize(
    ("status", "text", "failure", "words"),
    [
        (400, "parse error at line 1, col 18: syntax error: unexpected $end", InvalidInput, "line 1, col 18: syntax error"),
        (400, "the query would read too many bytes (query: 5GB, limit: 1GB)", TooLarge, "Give a narrower window"),
        (400, "the query time range exceeds the limit (query length: 800h, limit: 721h)", TooLarge, "limit: 721h"),
        (400, "max entries limit per query exceeded, limit > max_entries_limit (9000 > 5000)", TooLarge, "9000 > 5000"),
        (401, "no org id", NotPermitted, "set loki.tenant"),
        (401, "unauthorized", NotPermitted, "does not accept the token"),
        (403, "forbidden", NotPermitted, "may not do this"),
        (500, "rpc error: token=abcdef123456 unknown", Unavailable, "token="),
        (503, "empty ring", Unavailable, "not available"),
        (302, "", Unavailable, "log in"),
    ],
)
async def test_plain_text_errors_are_relayed(
    loki: Scripted, connect: Connect, status: int, text: str, failure: type[ToolFailure], words: str
) -> None:
    """Loki's errors are plain text: they become one of ours, in its own words, without secrets, and are asked once."""
    loki.answer(RANGE, Answer(status=status, text=text, content_type="text/plain; charset=utf-8"))

    with pytest.raises(failure, match=words) as caught:
        await connect().lines(asked())

    assert "abcdef123456" not in str(caught.value)
    assert len(loki.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(text="<html>Log in</html>", content_type="text/html"), "did not answer in JSON"),
        (Answer(text="{", content_type="application/json"), "broken JSON"),
        (Answer({"status": "success"}), "a form that is not Loki's"),
        (Answer([]), "a form that is not Loki's"),
        (Answer({"data": {"resultType": "matrix", "result": []}}), "'matrix' where streams"),
    ],
)
async def test_answers_of_something_else_are_failures(loki: Scripted, connect: Connect, answer: Answer, words: str) -> None:
    """A log-in page, or another server, is not taken for a Loki without lines."""
    loki.answer(RANGE, answer)

    with pytest.raises(Unavailable, match=words):
        await connect().lines(asked())


async def test_query_for_numbers_has_no_lines(connect: Connect) -> None:
    """A metric query is refused before it is sent, with what to write instead."""
    with pytest.raises(InvalidInput, match="only its selector and filters"):
        await connect().lines(asked(f"sum(rate({SHOP}[5m]))"))


QUESTIONS: dict[str, Callable[[LokiLogs], Awaitable[object]]] = {
    "lines": lambda source: source.lines(asked("error in shop")),
    "cost": lambda source: source.scan_bytes(asked("{}")),
    "patterns": lambda source: source.patterns(asked('{app!="x"}')),
    "count": lambda source: source.count(asked('{app=~".*"}')),
    "volume": lambda source: source.volume(f'{SHOP} |= "x"', WINDOW, 5),
    "streams": lambda source: source.streams(f'{SHOP} or {{a="b"}}', WINDOW, 5),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_what_loki_would_refuse_is_not_sent(connect: Connect, question: Callable[[LokiLogs], Awaitable[object]]) -> None:
    """Each question checks its selector before it goes out."""
    with pytest.raises(InvalidInput):
        await question(connect())


async def test_readiness_is_told(loki: Scripted, connect: Connect) -> None:
    """A Loki that answers its labels is ready; one that does not says why."""
    loki.answer(
        "GET /loki/api/v1/labels", Answer({"status": "success"}), Answer(status=401, text="no org id", content_type="text/plain")
    )
    source = connect()

    assert await source.ready() is None
    assert "set loki.tenant" in str(await source.ready())


async def test_nothing_listening_is_told() -> None:
    """A Loki that is down is not ready, and raises nothing when asked whether it is."""
    source = LokiLogs("loki", LokiSettings(url="http://127.0.0.1:9", seconds=2))

    assert "loki cannot be reached" in str(await source.ready())
    await source.aclose()

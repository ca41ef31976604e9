"""Every refusal that a Prometheus or an Alertmanager was recorded to give, replayed on a real socket."""

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opsroom_monitoring.settings import AlertmanagerSettings, PrometheusSettings
from opsroom_monitoring.sources.alertmanager import Alertmanager
from opsroom_monitoring.sources.prometheus import PrometheusMetrics
from opsroom_shared.errors import (
    Code,
    InvalidInput,
    NotFound,
    NotPermitted,
    TimedOut,
    ToolFailure,
    Unavailable,
)

from ..scripted import Answer, scripted

if TYPE_CHECKING:
    from pydantic import JsonValue

DATA = Path(__file__).parents[1] / "data"

PROMETHEUS: tuple[tuple[str, Code, str], ...] = (
    ("err-bad-promql", "invalid_input", 'invalid parameter "query": 1:34: parse error: unclosed left parenthesis'),
    ("err-bad-function", "invalid_input", "unknown function"),
    ("err-rate-on-instant", "invalid_input", 'expected type range vector in call to function "rate", got instant vector'),
    ("err-range-on-instant", "invalid_input", 'invalid expression type "range vector" for range query'),
    ("err-missing-query", "invalid_input", "no expression found in input"),
    ("err-too-many-points", "invalid_input", "exceeded maximum resolution of 11,000 points per timeseries"),
    ("err-end-before-start", "invalid_input", "end timestamp must not be before start time"),
    ("err-zero-step", "invalid_input", "step"),
    ("err-bad-time", "invalid_input", "time"),
    ("label-values-bad", "invalid_input", "invalid label name"),
    ("series-no-match", "invalid_input", "no match[] parameter provided"),
    ("err-many-to-many", "invalid_input", "many-to-many matching not allowed"),
    ("err-max-samples", "too_large", "would load too many samples into memory"),
    ("err-max-samples-range", "too_large", "would load too many samples into memory"),
    ("err-timeout-param", "timeout", "query timed out in expression evaluation"),
    ("err-admin-disabled-post", "unavailable", "admin APIs disabled"),
    ("err-admin-disabled", "unavailable", "Method Not Allowed"),
    ("err-not-found", "not_found", "404 page not found"),
)
ALERTMANAGER: tuple[tuple[str, type[ToolFailure], str], ...] = (
    ("am-silence-bad-id", InvalidInput, "silenceID in path must be of type uuid"),
    ("am-silence-err-nocomment", InvalidInput, "comment in body is required"),
    ("am-silence-err-nomatch", InvalidInput, "matchers in body should have at least 1 items"),
    ("am-silence-err-matchall", InvalidInput, "at least one matcher must not match the empty string"),
    ("am-silence-err-badregex", InvalidInput, "missing closing )"),
    ("am-silence-err-past", InvalidInput, "end time can't be in the past"),
    ("am-alerts-bad-filter", InvalidInput, "bad matcher format: !!"),
    ("am-alerts-post-err", InvalidInput, "at least one label pair required"),
    ("am-silence-404", NotFound, "no silence of this id"),
)


def recorded(folder: str, name: str) -> Answer:
    """What was recorded as an answer to be given again."""
    file = DATA / folder / f"{name}.json"
    response: dict[str, JsonValue] = json.loads(file.read_text(encoding="utf-8"))["response"]
    body, kind = response["body"], str(response["content_type"] or "text/plain")
    is_text = isinstance(body, str) and "json" not in kind
    return Answer(
        body=None if is_text else body,
        text=str(body) if is_text else None,
        status=int(str(response["status"])),
        content_type=kind,
    )


@pytest.mark.parametrize(("name", "code", "words"), PROMETHEUS)
async def test_error_of_prometheus_keeps_its_words(name: str, code: Code, words: str) -> None:
    """Each recorded refusal becomes the failure that it is, with the server's own words."""
    with scripted() as server:
        server.answer("POST /api/v1/query", recorded("prometheus", name))
        source = PrometheusMetrics("prometheus", PrometheusSettings(url=server.url))
        with pytest.raises(ToolFailure) as caught:
            await source.instant("up", None)
        await source.aclose()

    assert words in str(caught.value)
    assert caught.value.code == code
    assert len(server.requests) == 1


@pytest.mark.parametrize(("name", "kind", "words"), ALERTMANAGER)
async def test_error_of_alertmanager_is_read_in_all_three_shapes(name: str, kind: type[ToolFailure], words: str) -> None:
    """An object, a bare text and an empty body are told apart."""
    with scripted() as server:
        server.answer("GET /api/v2/alerts", recorded("alertmanager", name))
        source = Alertmanager("alertmanager", AlertmanagerSettings(url=server.url))
        with pytest.raises(kind) as caught:
            await source.alerts()
        await source.aclose()

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(text="<html>log in</html>", content_type="text/html"), Unavailable),
        (Answer(text="<html>log in</html>", content_type="text/html", status=401), Unavailable),
        (Answer(body={"error": "no"}, status=401), NotPermitted),
        (Answer(text="{", content_type="application/json"), Unavailable),
        (Answer(body={"status": "success", "data": {"resultType": "vector", "result": [{"value": 1}]}}), Unavailable),
        (Answer(body=[]), Unavailable),
        (Answer(text="x", status=504, content_type="text/plain"), Unavailable),
    ],
)
async def test_what_is_no_prometheus_is_unavailable(answer: Answer, kind: type[ToolFailure]) -> None:
    """A page, broken JSON and another API are refused instead of read as an empty result."""
    with scripted() as server:
        server.answer("POST /api/v1/query", answer)
        source = PrometheusMetrics("prometheus", PrometheusSettings(url=server.url))
        with pytest.raises(kind):
            await source.instant("up", None)
        await source.aclose()


async def test_nothing_listens() -> None:
    """A refused connection is told as such, and by `ready` as a line."""
    with scripted() as server:
        url = server.url
    source = PrometheusMetrics("prometheus", PrometheusSettings(url=url))
    ready = await source.ready()
    await source.aclose()

    assert ready is not None
    assert "cannot be reached" in ready


async def test_slow_prometheus_is_given_up() -> None:
    """An answer that does not come in time is a timeout, which can be tried again."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        source = PrometheusMetrics("prometheus", PrometheusSettings(url=url, seconds=0.3))
        with pytest.raises(TimedOut):
            await source.instant("up", None)
        await source.aclose()


async def test_special_numbers_survive() -> None:
    """NaN and both infinities arrive as numbers."""
    with scripted() as server:
        server.answer("POST /api/v1/query", recorded("prometheus", "query-nan-inf"))
        source = PrometheusMetrics("prometheus", PrometheusSettings(url=server.url))
        samples = await source.instant("vector(0)", None)
        await source.aclose()

    assert [str(each.value) for each in samples] == ["nan", "inf", "-inf"]


@pytest.mark.parametrize(("name", "values"), [("query-scalar", [4.0]), ("query-matrix", [1.0]), ("query-empty", [])])
async def test_every_type_of_result_is_read(name: str, values: list[float]) -> None:
    """A scalar is a sample without labels, a matrix its last points, nothing found an empty list."""
    with scripted() as server:
        server.answer("POST /api/v1/query", recorded("prometheus", name))
        source = PrometheusMetrics("prometheus", PrometheusSettings(url=server.url))
        samples = await source.instant("up", None)
        await source.aclose()

    assert [each.value for each in samples] == values


async def test_tenant_is_in_every_request() -> None:
    """Queries, series and labels are narrowed, and a rule of nobody's is not shown."""
    with scripted() as server:
        server.answer("POST /api/v1/query", recorded("prometheus", "query-empty"))
        server.answer("GET /api/v1/label/job/values", Answer(body={"status": "success", "data": []}))
        server.answer("GET /api/v1/rules", recorded("prometheus", "rules"))
        source = PrometheusMetrics("prometheus", PrometheusSettings(url=server.url), {"team": "a"})
        await source.instant("up", None)
        await source.label_values("job", None, None)
        rules = await source.rules()
        await source.aclose()

    assert server.requests[1].one("match[]") == '{team="a"}'
    assert rules == []

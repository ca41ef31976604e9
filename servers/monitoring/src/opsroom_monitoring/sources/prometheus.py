"""A Prometheus, or what speaks its API, as a source of metrics and alerts."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from opsroom_shared.errors import InvalidInput, NotFound, TimedOut, TooLarge, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue
from typing_extensions import override

from ..models import Alert, Target, TelemetryItem, Transition
from ..promql import BadQuery, Expression, check_selective, check_size, narrowed, parsed, selector_of
from ..series import Labels, Sample, Series, Window
from ..settings import PrometheusSettings
from . import AlertsSource, Metadata, MetricsSource, Result, Rule
from .refusals import refusal
from .web import Parameters, Response, Web, json_of

Json = Mapping[str, JsonValue]

MAX_POINTS = 11_000
_MAX_WORDS = 600
_MAX_LABEL = 300
_MAX_TRANSITIONS = 240
_NARROWER = "Ask for a shorter window, add label matchers, or read a recording rule (find_telemetry kind rules)."
_BY_WORDS: tuple[tuple[re.Pattern[str], type[ToolFailure], str], ...] = (
    (re.compile("exceeded maximum resolution"), InvalidInput, "Leave `step` out: then one is chosen that fits."),
    (re.compile("too many samples"), TooLarge, _NARROWER),
    (re.compile("query timed out"), TimedOut, _NARROWER),
    (re.compile("many-to-many"), InvalidInput, "Aggregate one side, or name the labels that match with on(…)."),
)
_BY_TYPE: Mapping[str, type[ToolFailure]] = {
    "bad_data": InvalidInput,
    "execution": InvalidInput,
    "timeout": TimedOut,
    "canceled": TimedOut,
    "not_found": NotFound,
}
_CANNOT_FORMAT = (404, 405, 501)


class PrometheusMetrics(MetricsSource, AlertsSource):
    """Queries go as form bodies, which have no limit of length; every selector is narrowed to *tenant*."""

    def __init__(self, name: str, settings: PrometheusSettings, tenant: Mapping[str, str] | None = None) -> None:
        self._name, self._tenant = name, dict(tenant or {})
        self._web = Web(name, settings.url, headers=settings.all_headers(), seconds=settings.seconds)

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    async def ready(self) -> str | None:
        try:
            await self._data("GET", "api/v1/query", {"query": "1"})
        except ToolFailure as failure:
            return str(failure)
        return None

    @override
    async def aclose(self) -> None:
        await self._web.aclose()

    @override
    async def instant(self, query: str, at: datetime | None) -> list[Sample]:
        text = await self._checked(query)
        form = {"query": text} if at is None else {"query": text, "time": _unix(at)}
        data = _table(await self._data("POST", "api/v1/query", form=form))
        result, kind = data.get("result"), data.get("resultType")
        if kind == "scalar":
            moment, value = _pair(result)
            return [Sample({}, moment, value)]
        if kind == "string":
            raise InvalidInput("The query is a text, which has no value.")
        if kind == "matrix":
            return [
                Sample(each.labels, each.times[-1], each.values[-1], each.name)
                for each in map(_series, _tables(result))
                if each.times
            ]
        found: list[Sample] = []
        for each in _tables(result):
            moment, value = _pair(each.get("value"))
            name, labels = _labels(each.get("metric"))
            found.append(Sample(labels, moment, value, name))
        return found

    @override
    async def range(self, query: str, window: Window, step: float) -> Result:
        expression = self._expression(query)
        if expression is not None and expression.is_range:
            raise InvalidInput(f"{query} is a range vector, of which nothing can be drawn. Wrap it, such as in rate(…).")
        form = {
            "query": await self._checked(query),
            "start": _unix(window.start),
            "end": _unix(window.end),
            "step": f"{max(step, window.seconds / MAX_POINTS, 0.001):.3f}",
        }
        answer = await self._answer("POST", "api/v1/query_range", form=form)
        series = [_series(each) for each in _tables(_table(answer.get("data")).get("result"))]
        said = answer.get("warnings")
        warnings = tuple(clean(str(each), _MAX_WORDS) for each in said[:5]) if isinstance(said, list) else ()
        return Result(series, warnings)

    @override
    async def metric_names(self) -> Sequence[str]:
        return await self.label_values("__name__", None, None)

    @override
    async def metadata(self) -> Mapping[str, Metadata]:
        data = _table(await self._data("GET", "api/v1/metadata"))
        found: dict[str, Metadata] = {}
        for name, entries in data.items():
            if tables := _tables(entries):
                kind, text, unit = (_text(tables[0].get(key)) for key in ("type", "help", "unit"))
                found[name] = Metadata(kind or None, text or None, unit or None)
        return found

    @override
    async def label_names(self, selector: str | None, window: Window | None) -> Sequence[str]:
        return _texts(await self._data("GET", "api/v1/labels", self._matching(selector, window)))

    @override
    async def label_values(self, label: str, selector: str | None, window: Window | None) -> Sequence[str]:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,199}", label):
            raise InvalidInput(f"{clean(label, 60)!r} is no name of a label: letters, digits and _.")
        return _texts(await self._data("GET", f"api/v1/label/{label}/values", self._matching(selector, window)))

    @override
    async def label_sets(self, selector: str, window: Window, limit: int) -> Sequence[tuple[str, Labels]]:
        parameters = {**self._matching(selector, window), "limit": limit}
        found = [_labels(each) for each in _tables(await self._data("GET", "api/v1/series", parameters))]
        return [(name or "", labels) for name, labels in found[:limit]]

    @override
    async def targets(self) -> Sequence[TelemetryItem]:
        return [
            TelemetryItem(
                name=f"{labels.get('job', '')} {labels.get('instance', '')}".strip(),
                type=_text(each.get("health")),
                detail=redact(_text(each.get("lastError"))) or None,
            )
            for each, labels in await self._targets()
        ]

    @override
    async def targets_down(self) -> Sequence[Target]:
        return [
            Target(
                job=labels.get("job", ""),
                instance=labels.get("instance", ""),
                problem=redact(_text(each.get("lastError"))) or "down",
            )
            for each, labels in await self._targets()
            if each.get("health") == "down"
        ]

    @override
    async def rules(self) -> Sequence[Rule]:
        return [
            Rule(
                name=_text(each.get("name")),
                expr=_text(each.get("query"), 2_000),
                alerting=each.get("type") == "alerting",
                problem=redact(_text(each.get("lastError"))) or None if each.get("health") == "err" else None,
                labels=_labels(each.get("labels"))[1],
                annotations=_labels(each.get("annotations"))[1],
            )
            for each in await self._rules()
        ]

    @override
    async def alerts(self) -> Sequence[Alert]:
        return [
            _alert(each, rule)
            for rule in await self._rules()
            for each in _tables(rule.get("alerts"))
            if self._is_own(_labels(each.get("labels"))[1])
        ]

    @override
    async def transitions(self, window: Window) -> Sequence[Transition]:
        step = max(window.seconds / _MAX_TRANSITIONS, 1.0)
        result = await self.range('ALERTS{alertstate="firing"}', window, step)
        return [each for series in result.series for each in transitions_of(series, window, step)]

    async def _targets(self) -> list[tuple[Json, dict[str, str]]]:
        data = _table(await self._data("GET", "api/v1/targets", {"state": "active"}))
        found = [(each, _labels(each.get("labels"))[1]) for each in _tables(data.get("activeTargets"))]
        return [(each, labels) for each, labels in found if self._is_own(labels)]

    async def _rules(self) -> list[Json]:
        data = _table(await self._data("GET", "api/v1/rules"))
        rules = [rule for group in _tables(data.get("groups")) for rule in _tables(group.get("rules"))]
        return [rule for rule in rules if self._is_own_rule(rule)]

    def _is_own(self, labels: Labels) -> bool:
        return all(labels.get(name) == value for name, value in self._tenant.items())

    def _is_own_rule(self, rule: Json) -> bool:
        """A rule of another tenant could show its names; so only one whose labels or alerts are the tenant's is shown."""
        if not self._tenant or self._is_own(_labels(rule.get("labels"))[1]):
            return True
        return any(self._is_own(_labels(each.get("labels"))[1]) for each in _tables(rule.get("alerts")))

    def _matching(self, selector: str | None, window: Window | None) -> dict[str, "str | int | list[str]"]:
        parameters: dict[str, str | int | list[str]] = {}
        if selector or self._tenant:
            parameters["match[]"] = narrowed(selector, self._tenant) if selector else selector_of(self._tenant)
        if window is not None:
            parameters |= {"start": _unix(window.start), "end": _unix(window.end)}
        return parameters

    def _expression(self, query: str) -> Expression | None:
        try:
            return parsed(query)
        except BadQuery:
            return None

    async def _checked(self, query: str) -> str:
        """*query* as it is sent. What our parser does not understand is not run unless the server's parser does."""
        check_size(query)
        try:
            check_selective(parsed(query))
        except BadQuery as problem:
            if self._tenant:
                raise
            response = await self._web.request("POST", "api/v1/format_query", form={"query": query}, repeatable=True)
            if response.status in _CANNOT_FORMAT:
                raise
            if response.status != 200:
                raise _failure(self._name, response) from problem
        return narrowed(query, self._tenant)

    async def _data(
        self, method: str, path: str, params: Parameters | None = None, form: Mapping[str, str] | None = None
    ) -> JsonValue:
        return (await self._answer(method, path, params, form)).get("data")

    async def _answer(
        self, method: str, path: str, params: Parameters | None = None, form: Mapping[str, str] | None = None
    ) -> Json:
        response = await self._web.request(method, path, params=params, form=form, repeatable=True)
        if response.status != 200:
            raise _failure(self._name, response)
        answer = _table(await asyncio.to_thread(json_of, response, self._name))  # a large one would hold everybody up
        if answer.get("status") != "success":
            raise Unavailable(f"{self._name} answered, but not as a Prometheus does. Check the address in its settings.")
        return answer


def transitions_of(series: Series, window: Window, step: float) -> list[Transition]:
    """When an alert, told by its `ALERTS` series, began and ended within *window*; a point is missing where it did not fire."""
    labels = {name: value for name, value in series.labels.items() if name not in ("alertname", "alertstate")}
    alert, found = series.labels.get("alertname", "?"), list[Transition]()
    before = window.start.timestamp()
    for index, moment in enumerate(series.times):
        if moment - before > 1.5 * step:
            if index:
                found.append(Transition(name=alert, at=datetime.fromtimestamp(before, UTC), to="resolved", labels=labels))
            found.append(Transition(name=alert, at=datetime.fromtimestamp(moment, UTC), to="firing", labels=labels))
        before = moment
    if series.times and window.end.timestamp() - before > 1.5 * step:
        found.append(Transition(name=alert, at=datetime.fromtimestamp(before, UTC), to="resolved", labels=labels))
    return found


def _failure(name: str, response: Response) -> ToolFailure:
    """What the API's error says, word for word, as the failure that it is, and what to do about it."""
    try:
        answer = _table(json_of(response, name) if response.is_json else None)
    except Unavailable as failure:
        return failure
    said = redact(_text(answer.get("error"), _MAX_WORDS))
    if not said or response.status in (401, 403):
        return refusal(name, response, said or ("" if response.is_json else response.text()))
    for pattern, kind, advice in _BY_WORDS:
        if pattern.search(said):
            return kind(f"{name}: {said}. {advice}")
    return _BY_TYPE.get(_text(answer.get("errorType")), Unavailable)(f"{name}: {said}")


def _alert(found: Json, rule: Json) -> Alert:
    labels = _labels(found.get("labels"))[1]
    notes = _labels(found.get("annotations"))[1]
    return Alert(
        name=labels.pop("alertname", _text(rule.get("name"))),
        state="firing" if found.get("state") == "firing" else "pending",
        since=_moment(found.get("activeAt")),
        value=_text(found.get("value")) or None,
        labels=labels,
        summary=redact(notes.get("summary") or notes.get("description") or "") or None,
        expr=_text(rule.get("query"), 1_000) or None,
        runbook=notes.get("runbook_url"),
    )


def _series(found: Json) -> Series:
    name, labels = _labels(found.get("metric"))
    pairs = found.get("values")
    if not isinstance(pairs, list):
        raise Unavailable("A series came without values.")
    points = [_pair(each) for each in pairs]
    return Series(labels, tuple(moment for moment, _ in points), tuple(value for _, value in points), name)


def _pair(found: JsonValue) -> tuple[float, float]:
    match found:
        case [int() | float() as moment, str() as value]:
            try:
                return float(moment), float(value)
            except ValueError:
                pass
        case _:
            pass
    raise Unavailable("A sample came that is no pair of a time and a number.")


def _labels(found: JsonValue | Json) -> tuple[str | None, dict[str, str]]:
    labels = {clean(name, 200): clean(str(value), _MAX_LABEL) for name, value in _table(found).items()}
    return labels.pop("__name__", None), labels


def _moment(found: JsonValue) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(found))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unix(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _text(found: JsonValue, limit: int = _MAX_WORDS) -> str:
    return clean(found, limit) if isinstance(found, str) else ""


def _texts(found: JsonValue) -> list[str]:
    return [clean(each, _MAX_LABEL) for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _table(found: JsonValue | Json) -> Json:
    return found if isinstance(found, Mapping) else {}


def _tables(found: JsonValue) -> list[Json]:
    return [cast("Json", each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []

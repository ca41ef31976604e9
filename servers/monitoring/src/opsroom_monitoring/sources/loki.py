"""Logs of a Loki: lines, patterns, counts, and what a query would cost it."""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted, TooLarge, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue

from ..models import LogLine, LogPattern
from ..series import Labels, Window
from ..settings import LokiSettings
from . import LogQuery
from .logql import Parsed, parse_logql
from .refusals import refusal
from .web import Parameters, Response, Web, json_of

MAX_LINES = 5_000
"""What Loki itself gives at most, unless it is told otherwise."""

_MAX_LINE = 4_000
_MAX_LABELS = 30
_MAX_NAME = 100
_MAX_VALUE = 200
_MAX_PATTERNS = 200
_MAX_PATTERN = 500
_MAX_LISTED = 10_000
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_READ_TOO_MUCH = (
    "too many bytes",
    "too large",
    "maximum of series",
    "max entries limit",
    "length exceeds limit",
    "range exceeds",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Json = Mapping[str, JsonValue]


class LokiLogs:
    """Connects to nothing before the first question. Times are sent in nanoseconds, as Loki counts them."""

    def __init__(self, name: str, settings: LokiSettings) -> None:
        headers = settings.all_headers()
        if settings.tenant is not None:
            headers["X-Scope-OrgID"] = settings.tenant
        self._name = name
        self._web = Web(name, settings.url, headers=headers, seconds=settings.seconds)

    @property
    def name(self) -> str:
        return self._name

    async def aclose(self) -> None:
        await self._web.aclose()

    async def ready(self) -> str | None:
        # not /ready, which a Loki behind a Grafana or a gateway does not have
        try:
            await self._json("loki/api/v1/labels", {"since": "1h"})
        except ToolFailure as failure:
            return str(failure)
        return None

    async def scan_bytes(self, query: LogQuery) -> int | None:
        """What the index knows of; the newest minutes, which are still in memory, are not in it."""
        total = 0
        for selector in dict.fromkeys(parse_logql(query.query).selectors):
            try:
                stats = await self._json("loki/api/v1/index/stats", {"query": selector, **_bounds(query.window)})
            except NotFound:
                return None  # before 2.8
            size = stats.get("bytes") if isinstance(stats, dict) else None
            if not isinstance(size, (int, float)):
                return None
            total += int(size)
        return total

    async def lines(self, query: LogQuery) -> Sequence[LogLine]:
        if parse_logql(query.query).counts:
            raise InvalidInput(
                "This query makes numbers of lines. To see the lines, give only its selector and filters, "
                'such as {service="checkout"} |= "timeout".'
            )
        limit = max(1, min(query.limit, MAX_LINES))
        answer = await self._json(
            "loki/api/v1/query_range",
            {"query": query.query.strip(), **_bounds(query.window), "limit": limit, "direction": "backward"},
        )
        streams = _result(self._name, answer, "streams")
        # thousands of lines to clean would hold everybody else up
        return await asyncio.to_thread(_newest, streams, limit)

    async def patterns(self, query: LogQuery) -> Sequence[LogPattern] | None:
        """None also where the query has filters, of which Loki's patterns know nothing, or the window is older than they are."""
        parsed = parse_logql(query.query)
        if not parsed.bare:
            return None
        try:
            answer = await self._json("loki/api/v1/patterns", {"query": parsed.selectors[0], **_bounds(query.window)})
        except (NotFound, InvalidInput):
            return None  # without its pattern ingester Loki has no such path; lines are mined instead
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, list):
            return None
        found = [pattern for each in data[:_MAX_LISTED] if (pattern := _pattern(each)) is not None]
        found.sort(key=lambda each: -each.count)
        return found[:_MAX_PATTERNS] or None

    async def count(self, query: LogQuery) -> int | None:
        parsed = parse_logql(query.query)
        if parsed.counts:
            return None
        seconds = max(1, math.ceil(query.window.seconds))
        answer = await self._json(
            "loki/api/v1/query",
            {"query": f"sum(count_over_time({query.query.strip()}\n[{seconds}s]))", "time": _nanoseconds(query.window.end)},
        )
        samples = _result(self._name, answer, "vector")
        return sum(int(_number(_pair(each.get("value"))[1])) for each in samples)

    async def volume(self, selector: str, window: Window, limit: int) -> Sequence[tuple[Labels, int]] | None:
        """Bytes by the labels of *selector*, the most first; None where the Loki does not count them."""
        parsed = _selector(selector)
        try:
            answer = await self._json(
                "loki/api/v1/index/volume", {"query": parsed.selectors[0], **_bounds(window), "limit": max(1, min(limit, 1_000))}
            )
        except (NotFound, NotPermitted):
            return None
        found = [
            (_labels(each.get("metric")), int(_number(_pair(each.get("value"))[1])))
            for each in _result(self._name, answer, "vector")
        ]
        return sorted(found, key=lambda each: -each[1])[:limit]

    async def label_names(self, window: Window, selector: str | None = None) -> Sequence[str]:
        return await self._names("loki/api/v1/labels", window, selector)

    async def label_values(self, label: str, window: Window, selector: str | None = None) -> Sequence[str]:
        if not _LABEL.fullmatch(label):
            raise InvalidInput(f"{clean(label, 60)!r} is no name of a label: letters, digits and _.")
        return await self._names(f"loki/api/v1/label/{label}/values", window, selector)

    async def streams(self, selector: str, window: Window, limit: int) -> Sequence[Labels]:
        """The label sets that *selector* matches in *window*."""
        parsed = _selector(selector)
        answer = await self._json("loki/api/v1/series", {"match[]": list(parsed.selectors), **_bounds(window)})
        return [_labels(each) for each in _data(self._name, answer)[:limit]]

    async def _names(self, path: str, window: Window, selector: str | None) -> Sequence[str]:
        narrowed = {"query": _selector(selector).selectors[0]} if selector else {}
        answer = await self._json(path, {**_bounds(window), **narrowed})
        return [clean(each, _MAX_VALUE) for each in _data(self._name, answer)[:_MAX_LISTED] if isinstance(each, str)]

    async def _json(self, path: str, params: Parameters) -> JsonValue:
        # a query that was too much for it once is not sent a second time
        response = await self._web.request("GET", path, params=params, repeatable=False)
        if response.status != 200:
            raise self._refused(response)
        return await asyncio.to_thread(json_of, response, self._name)

    def _refused(self, response: Response) -> ToolFailure:
        words = response.text()[:2_000]
        if response.status == 401 and "no org id" in words.lower():
            return NotPermitted(f"{self._name} has several tenants and wants to know which one: set loki.tenant.")
        if response.status == 400 and any(each in words.lower() for each in _READ_TOO_MUCH):
            return TooLarge(
                f"{self._name} refused the query: {redact(clean(words.strip(), 400))}. Give a narrower window or selector."
            )
        return refusal(self._name, response, words)


def _bounds(window: Window) -> dict[str, str]:
    return {"start": _nanoseconds(window.start), "end": _nanoseconds(window.end)}


def _nanoseconds(moment: datetime) -> str:
    """As text: a float has no room for it."""
    return str((moment - _EPOCH) // timedelta(microseconds=1) * 1_000)


def _moment(nanoseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1_000)
    except OverflowError:
        return None


def _selector(text: str) -> Parsed:
    parsed = parse_logql(text)
    if not parsed.bare:
        raise InvalidInput('Here only a selector is taken, without filters, such as {service="checkout"}.')
    return parsed


def _result(name: str, answer: JsonValue, kind: str) -> list[Json]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise Unavailable(f"{name} answered in a form that is not Loki's. Check the address in its settings.")
    if data.get("resultType") != kind:
        raise Unavailable(f"{name} answered with {clean(str(data.get('resultType')), 40)!r} where {kind} were asked for.")
    return [each for each in cast("list[JsonValue]", data["result"]) if isinstance(each, dict)]


def _data(name: str, answer: JsonValue) -> list[JsonValue]:
    if not isinstance(answer, dict):
        raise Unavailable(f"{name} answered in a form that is not Loki's. Check the address in its settings.")
    data = answer.get("data")
    return data if isinstance(data, list) else []  # it leaves the key out when there is nothing


def _newest(streams: Sequence[Json], limit: int) -> list[LogLine]:
    found = [each for stream in streams for each in _entries(stream)]
    found.sort(key=lambda each: each[0], reverse=True)
    return [
        # a line may bring labels of its own behind it; they stay out, as trace ids would in every line
        LogLine(text=redact(clean(text, _MAX_LINE)), at=_moment(at), labels=dict(labels))
        for at, text, labels in found[:limit]
    ]


def _entries(stream: Json) -> list[tuple[int, str, Labels]]:
    labels, values = _labels(stream.get("stream")), stream.get("values")
    found: list[tuple[int, str, Labels]] = []
    for each in values if isinstance(values, list) else []:
        at, text = _pair(each)
        if isinstance(text, str) and isinstance(at, str) and at.isascii() and at.isdecimal() and len(at) <= 20:
            found.append((int(at), text, labels))
    return found


def _pattern(value: JsonValue) -> LogPattern | None:
    if not isinstance(value, dict) or not isinstance(value.get("pattern"), str):
        return None
    samples = value.get("samples")
    pairs = [_pair(each) for each in (samples if isinstance(samples, list) else [])]
    seen = [(int(_number(at)), int(_number(count))) for at, count in pairs if _number(count) > 0]
    if not seen:
        return None
    times = [at for at, _ in seen]
    return LogPattern(
        pattern=redact(clean(str(value["pattern"]), _MAX_PATTERN)),
        count=sum(count for _, count in seen),
        first=_moment(min(times) * 1_000_000_000),
        last=_moment(max(times) * 1_000_000_000),
    )


def _labels(value: JsonValue) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {
        clean(name, _MAX_NAME): redact(clean(str(text), _MAX_VALUE))
        for name, text in list(value.items())[:_MAX_LABELS]
        if isinstance(text, str)
    }


def _pair(value: JsonValue) -> tuple[JsonValue, JsonValue]:
    return (value[0], value[1]) if isinstance(value, list) and len(value) >= 2 else (None, None)


def _number(value: JsonValue) -> float:
    """0 for what is no finite number."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0

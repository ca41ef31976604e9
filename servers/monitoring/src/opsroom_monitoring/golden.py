"""The golden signals of services: rate, errors, latency and saturation, by the names that instrumentations use."""

import asyncio
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opsroom_shared.errors import NotFound, ToolFailure

from .models import GoldenSignal, Signal
from .promql import quoted
from .series import Window
from .sources import MetricsSource

_COUNT = re.compile(
    r"(?:http|grpc|rpc)_(?:server_)?(?:requests?|request_duration_seconds|handled|handling_seconds|duration_seconds)"
    r"(?:_seconds)?(?:_total|_count)|[a-z_]*requests_total"
)
_BUCKETS = re.compile(r"[a-z_]*(?:request|requests|http|grpc|rpc)[a-z_]*(?:duration|latency|handling)?_seconds_bucket")
_STATUS = ("status", "code", "status_code", "http_status_code", "http_response_status_code", "grpc_code")
_SERVICE = ("service", "job", "app", "service_name")
_SATURATION = (("queue_depth", ""), ("worker_busy_ratio", ""), ("container_memory_usage_bytes", " bytes"))
_MOST_SERVICES = 10


@dataclass(frozen=True)
class _Question:
    signal: Signal
    query: str
    unit: str
    label: str


async def golden_signals(metrics: MetricsSource, service: str | None, window: Window) -> list[GoldenSignal]:
    """Of *service*, or of all services that are instrumented in a usual way."""
    names = await metrics.metric_names()
    questions = await _questions(metrics, names, service)
    answers = await asyncio.gather(*(_answered(metrics, each, window) for each in questions))
    found = [signal for signals in answers for signal in signals if service is None or signal.service == service]
    order = {name: place for place, name in enumerate(dict.fromkeys(each.service for each in found))}
    return [each for each in sorted(found, key=lambda each: order[each.service]) if order[each.service] < _MOST_SERVICES]


async def signal_query(metrics: MetricsSource, signal: Signal, service: str | None) -> tuple[str, str]:
    """The expression that *signal* is read with, and its unit. Raises NotFound where nothing is instrumented so."""
    for each in await _questions(metrics, await metrics.metric_names(), service):
        if each.signal == signal:
            return each.query, each.unit.strip()
    raise NotFound(f"No metric of a usual name tells {signal}. find_telemetry kind metrics shows what there is; give `query`.")


async def _questions(metrics: MetricsSource, names: Sequence[str], service: str | None) -> list[_Question]:
    found: list[_Question] = []
    if count := _first(names, _COUNT):
        labels = await metrics.label_names(count, None)
        by = next((each for each in _SERVICE if each in labels), "job")
        own = f"{by}={quoted(service)}" if service else ""
        rate = f"sum by ({by}) (rate({count}{{{own}}}[5m]))"
        found.append(_Question("rate", rate, "/s", by))
        if status := next((each for each in _STATUS if each in labels), None):
            failed = ",".join(filter(None, (own, f'{status}=~"5..|Internal|Unavailable|Unknown"')))
            ratio = f"sum by ({by}) (rate({count}{{{failed}}}[5m])) / {rate}"
            found.append(_Question("errors", ratio, "", by))
    if buckets := _first(names, _BUCKETS):
        labels = await metrics.label_names(buckets, None)
        by = next((each for each in _SERVICE if each in labels), "job")
        own = f"{by}={quoted(service)}" if service else ""
        inner = f"sum by ({by}, le) (rate({buckets}{{{own}}}[5m]))"
        found.append(_Question("latency", f"histogram_quantile(0.95, {inner})", " s (p95)", by))
    for name, unit in _SATURATION:
        if name in names:
            labels = await metrics.label_names(name, None)
            by = next((each for each in _SERVICE if each in labels), "job")
            own = f"{{{by}={quoted(service)}}}" if service else ""
            found.append(_Question("saturation", f"max by ({by}) ({name}{own})", f"{unit} ({name})", by))
    return found


async def _answered(metrics: MetricsSource, question: _Question, window: Window) -> list[GoldenSignal]:
    try:
        now, before = await asyncio.gather(
            metrics.instant(question.query, window.end), metrics.instant(question.query, window.start)
        )
    except ToolFailure:
        return []  # an unusual instrumentation; the overview is no worse without it
    past = {each.labels.get(question.label): each.value for each in before}
    return [
        GoldenSignal(
            service=name,
            signal=question.signal,
            value=float(f"{each.value:.4g}") if math.isfinite(each.value) else None,
            unit=question.unit,
            trend=_trend(past.get(name), each.value),
            query=question.query,
        )
        for each in now
        if (name := each.labels.get(question.label))
    ]


def _trend(before: float | None, now: float) -> str | None:
    if before is None or not math.isfinite(before) or not math.isfinite(now):
        return None
    if abs(now - before) <= 0.1 * max(abs(now), abs(before)):
        return "steady"
    return f"was {before:.4g}"


def _first(names: Iterable[str], pattern: re.Pattern[str]) -> str | None:
    fitting = [each for each in names if pattern.fullmatch(each)]
    # what is measured at the server is meant, and the plainest name is the most usual one
    return min(fitting, key=lambda name: (name.startswith("prometheus_"), "client" in name, len(name)), default=None)

"""What changed between two times: deployments, alerts, and the series that moved, came or went."""

import asyncio
import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from opsroom_shared.errors import ToolFailure

from .change_detection import MIN_POINTS, Floats, find_shift, rates
from .models import Presence, Shift
from .promql import quoted
from .series import Labels, Series, Window
from .sources import Metadata, MetricsSource
from .summaries import nice_step, shared_labels

_NOISE = re.compile(
    r"scrape_.*|ALERTS.*|go_.*|process_.*|promhttp_.*|prometheus_.*|alertmanager_.*|python_.*|.*_bucket|.*_created|.*_timestamp.*"
)
"""Metrics about the measuring, and buckets, of which quantiles are made."""
_HOST = re.compile(r"(?:rate\()?(?:node|host|windows|container|machine|system|cadvisor|kubelet)_.*")
_SERVICE_LABELS = ("service", "job", "app", "application", "service_name", "container", "deployment")
_COUNTER = re.compile(r".*_(?:total|count)")
_POINTS = 120
_LEAST_STEP = 5.0
_COUNTED = 600
_BATCH_SERIES = 800
_BATCH_NAMES = 2_500
_EDGE = 3
"""Steps at an edge of the window within which a series that comes or goes is none that came or went."""

Key: TypeAlias = tuple[str, frozenset[tuple[str, str]]]


@dataclass
class Findings:
    """What the metrics say, unbounded; the tool cuts it."""

    shifts: list[Shift] = field(default_factory=list[Shift])
    host_shifts: list[Shift] = field(default_factory=list[Shift])
    appeared: list[Presence] = field(default_factory=list[Presence])
    vanished: list[Presence] = field(default_factory=list[Presence])
    scanned: int = 0
    truncated: bool = False
    scope: str | None = None
    """The label by which the service was found; None where it was not, or none was asked for."""


async def scope_of(metrics: MetricsSource, service: str) -> str | None:
    """The matcher that selects the series of *service*, by whichever label names it."""
    for label in _SERVICE_LABELS:
        if service in await metrics.label_values(label, None, None):
            return f"{label}={quoted(service)}"
    return None


async def compare(metrics: MetricsSource, window: Window, matcher: str | None, most: int, around: datetime | None) -> Findings:
    """How the series that *matcher* selects, all without it, moved within *window*."""
    wide = Window(window.start - (window.end - window.start), window.end) if around is None else window
    step = max(nice_step(wide.seconds / _POINTS), _LEAST_STEP)
    interval = await _interval(metrics, window.end)
    # between two scrapes a counter stands still: a step that is no multiple makes rates that are noise
    span = _Span(wide, window, interval * math.ceil(step / interval), around)
    found = Findings(scope=matcher)
    names = await metrics.label_values("__name__", f"{{{matcher}}}" if matcher else None, wide)
    metadata = await metrics.metadata()
    for batch in _batches([each for each in names if not _NOISE.fullmatch(each)]):
        which = ",".join(filter(None, (f'__name__=~"{"|".join(batch)}"', matcher)))
        left = most - found.scanned
        sets = await metrics.label_sets(f"{{{which}}}", wide, left + 1)
        counts = Counter(name for name, _ in sets)
        found.truncated |= len(sets) > left
        for part in _parts(_fitting(counts, left) if len(sets) > left else batch, counts):
            which = ",".join(filter(None, (f'__name__=~"{"|".join(part)}"', matcher)))
            result = await metrics.range(f"{{{which}}}", wide, span.step)
            series = [each for each in result.series if each.name]
            found.scanned += len(series)
            await asyncio.to_thread(_judge, series, metadata, span, found)
    for shifts in (found.shifts, found.host_shifts):
        shifts[:] = _best_of_family(shifts)
    return found


async def _interval(metrics: MetricsSource, at: datetime) -> float:
    """Seconds between two scrapes of most targets; 1 where that is not known."""
    try:
        counts = [each.value for each in await metrics.instant(f"count_over_time(up[{_COUNTED}s])", at)]
    except ToolFailure:
        return 1.0
    return max(round(_COUNTED / statistics.median(counts)), 1.0) if counts else 1.0


@dataclass(frozen=True)
class _Span:
    wide: Window
    """With as much before it as it is long, so that there is something to compare with."""
    asked: Window
    step: float
    around: datetime | None

    @property
    def near(self) -> float:
        """Seconds from the event within which a change may be its doing."""
        return max(6 * self.step, 120.0)


def _judge(series: Sequence[Series], metadata: Mapping[str, Metadata], span: _Span, found: Findings) -> None:
    by_key: dict[Key, Series] = {(each.name or "", frozenset(each.labels.items())): each for each in series}
    come: dict[str, list[tuple[float, Labels]]] = defaultdict(list)
    gone: dict[str, list[tuple[float, Labels]]] = defaultdict(list)
    for name, labels, times, values in _measured(by_key, metadata):
        if shift := _shift(name, labels, times, values, span):
            (found.host_shifts if _HOST.fullmatch(name) else found.shifts).append(shift)
    start, end = span.asked.start.timestamp(), span.asked.end.timestamp()
    reach = _EDGE * span.step
    for each in series:
        name = each.name or ""
        if _HOST.fullmatch(name) or not each.times:
            continue
        if each.times[0] > max(start, span.wide.start.timestamp() + reach):
            come[name].append((each.times[0], each.labels))
        if start < each.times[-1] < end - reach:
            gone[name].append((each.times[-1], each.labels))
    found.appeared += _presences(come)
    found.vanished += _presences(gone)


def _measured(by_key: Mapping[Key, Series], metadata: Mapping[str, Metadata]) -> Iterator[tuple[str, Labels, Floats, Floats]]:
    """What is compared: gauges as they are, counters per second, and of a sum and a count the mean."""
    for (name, own), each in by_key.items():
        times, values = np.asarray(each.times), np.asarray(each.values, dtype=float)
        if len(times) < MIN_POINTS:
            continue
        if name.endswith("_sum") and (count := by_key.get((f"{name[:-4]}_count", own))) is not None:
            if len(count.times) == len(times) and (np.asarray(count.times) == times).all():
                counted = rates(times, np.asarray(count.values, dtype=float))
                summed = rates(times, values)
                there = counted > 0
                yield f"{name[:-4]} mean", each.labels, times[1:][there], summed[there] / counted[there]
        elif _is_counter(name, metadata):
            yield f"rate({name})", each.labels, times[1:], rates(times, values)
        elif not name.endswith("_sum"):
            yield name, each.labels, times, values


def _is_counter(name: str, metadata: Mapping[str, Metadata]) -> bool:
    known = metadata.get(name)
    if known is not None and known.type in ("counter", "gauge"):
        return known.type == "counter"
    return _COUNTER.fullmatch(name) is not None


def _shift(name: str, labels: Labels, times: Floats, values: Floats, span: _Span) -> Shift | None:
    there = np.isfinite(values)
    times, values = times[there], values[there]
    split = find_shift(values)
    if split is None:
        return None
    at = float(times[split.index])
    if not span.asked.start.timestamp() <= at <= span.asked.end.timestamp():
        return None
    if span.around is not None and abs(at - span.around.timestamp()) > span.near:
        return None
    return Shift(
        metric=name,
        labels=dict(labels),
        before=float(f"{split.before:.4g}"),
        after=float(f"{split.after:.4g}"),
        at=datetime.fromtimestamp(at, UTC),
        score=round(split.score, 1),
        host=_HOST.fullmatch(name) is not None,
    )


def _best_of_family(shifts: Sequence[Shift]) -> list[Shift]:
    best: dict[str, Shift] = {}
    for each in sorted(shifts, key=lambda shift: shift.score, reverse=True):
        best.setdefault(each.metric, each)
    return list(best.values())


def _presences(found: Mapping[str, Sequence[tuple[float, Labels]]]) -> list[Presence]:
    presences = [
        Presence(
            metric=name,
            labels=shared_labels(labels for _, labels in each),
            at=datetime.fromtimestamp(min(at for at, _ in each), UTC),
            series=len(each),
        )
        for name, each in found.items()
    ]
    return sorted(presences, key=lambda presence: (-presence.series, presence.metric))


def _batches(names: Sequence[str]) -> Iterator[list[str]]:
    """Names to ask for at once, so that no query is too long. A sum and its count stay together."""
    batch: list[str] = []
    length = 0
    for name in sorted(names, key=_pair):
        if batch and length + len(name) > _BATCH_NAMES and _pair(name) != _pair(batch[-1]):
            yield batch
            batch, length = [], 0
        batch.append(name)
        length += len(name) + 1
    if batch:
        yield batch


def _parts(names: Sequence[str], counts: Mapping[str, int]) -> Iterator[list[str]]:
    """*names* in parts whose answers are not too large."""
    part: list[str] = []
    series = 0
    for name in names:
        if part and series + counts.get(name, 0) > _BATCH_SERIES and _pair(name) != _pair(part[-1]):
            yield part
            part, series = [], 0
        part.append(name)
        series += counts.get(name, 0)
    if part:
        yield part


def _fitting(counts: Mapping[str, int], most: int) -> list[str]:
    """The names with the fewest series, as many as have *most* in all: a metric with thousands would push out all others."""
    chosen: list[str] = []
    for name in sorted(counts, key=lambda each: (counts[each], each)):
        if counts[name] > most:
            break
        chosen.append(name)
        most -= counts[name]
    return sorted(chosen, key=_pair)


def _pair(name: str) -> str:
    return re.sub("_(?:sum|count)$", "", name)

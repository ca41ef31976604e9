"""The local source: answers for metrics, alerts, silences and logs from the store, and keeps it filled."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from opsroom_shared.errors import InvalidInput, NotFound, TimedOut, ToolFailure

from ...models import Alert, LogLine, LogPattern, Target, TelemetryItem, Transition
from ...series import Labels, Sample, Series, Window
from ...settings import LocalRule, LocalSettings
from .. import LogQuery, Matcher, Metadata, Result, Rule, SilenceRecord
from . import rules
from .exposition import LabelSet
from .log_query import parse_log_query
from .matching import matches, parse_selector, test_of
from .query import MAX_STEPS, Value, Vector, evaluate
from .store import Floats, Known, SilenceRow, Store
from .watching import Watch

_MAX_LABEL_SETS = 20_000
_SEARCH_SECONDS = 5.0
_GONE_SECONDS = 300.0
"""A target that was not looked at for so long is no longer in the settings."""
_OLDEST, _NEWEST = 0.0, 1e11


class LocalTelemetry:
    """MetricsSource, AlertsSource, SilencesSource and LogsSource over one store; `start` begins to watch."""

    def __init__(self, name: str, settings: LocalSettings) -> None:
        self._name, self._settings = name, settings
        if settings.store is None:
            raise ValueError("a local source needs the path of its store")
        self._store = Store(settings.store, settings.keep_hours * 3_600)
        self._watching: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self._name

    async def start(self) -> None:
        self._watching = asyncio.create_task(Watch(self._store, self._settings).run(), name="local telemetry")

    async def aclose(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        await self._store.aclose()

    async def ready(self) -> str | None:
        try:
            await self._store.run(lambda store: store.names())
        except ToolFailure as failure:
            return str(failure)
        return None

    # Metrics.

    async def instant(self, query: str, at: datetime | None) -> list[Sample]:
        moment = at.timestamp() if at is not None else time.time()
        found = await self._evaluated(query, np.array([moment]))
        if not isinstance(found, Vector):
            return [Sample({}, moment, float(found[0]))]
        return [
            Sample(_labels(labels), moment, float(value), labels.get("__name__"))
            for labels, value in zip(found.labels, found.values[:, 0], strict=True)
        ]

    async def range(self, query: str, window: Window, step: float) -> Result:
        start, end = window.start.timestamp(), window.end.timestamp()
        if not step > 0 or end < start:
            raise InvalidInput("The end must come after the start, and the step must be longer than nothing.")
        count = int((end - start) / step + 1e-6) + 1
        if count > MAX_STEPS:
            raise InvalidInput(
                f"{count:,} steps are more than {MAX_STEPS:,}. Use a step of {(end - start) / (MAX_STEPS - 1):.0f} s."
            )
        steps = start + np.arange(count, dtype=np.float64) * step
        found = await self._evaluated(query, steps)
        if not isinstance(found, Vector):
            return Result([Series({}, tuple(steps.tolist()), tuple(found.tolist()))])
        return Result(
            [
                Series(_labels(labels), tuple(steps[there].tolist()), tuple(values[there].tolist()), labels.get("__name__"))
                for labels, values, there in zip(found.labels, found.values, found.present, strict=True)
            ]
        )

    async def metric_names(self) -> Sequence[str]:
        return await self._store.run(lambda store: store.names())

    async def metadata(self) -> Mapping[str, Metadata]:
        found = await self._store.run(lambda store: store.descriptions())
        return {name: Metadata(each.type, each.help, each.unit) for name, each in found.items()}

    async def label_names(self, selector: str | None, window: Window | None) -> Sequence[str]:
        found = await self._series(selector, window)
        return sorted({"__name__", *(name for each in found for name in each.labels)} if found else [])

    async def label_values(self, label: str, selector: str | None, window: Window | None) -> Sequence[str]:
        found = await self._series(selector, window)
        if label == "__name__":
            return sorted({each.name for each in found})
        return sorted({each.labels[label] for each in found if label in each.labels})

    async def label_sets(self, selector: str, window: Window, limit: int) -> Sequence[tuple[str, Labels]]:
        return [(each.name, each.labels) for each in (await self._series(selector, window))[:limit]]

    async def targets(self) -> Sequence[TelemetryItem]:
        rows = await self._store.run(lambda store: store.targets(time.time() - self._gone_after()))
        return [
            TelemetryItem(
                name=f"{row.job} {row.instance}",
                type="down" if row.problem else "up",
                detail=f"{row.url}: {row.problem}" if row.problem else row.url,
            )
            for row in rows
        ]

    async def targets_down(self) -> Sequence[Target]:
        rows = await self._store.run(lambda store: store.targets(time.time() - self._gone_after()))
        return [
            Target(job=row.job, instance=row.instance, problem=row.problem, since=_moment(row.since))
            for row in rows
            if row.problem
        ]

    async def rules(self) -> Sequence[Rule]:
        return await self._store.run(lambda store: [_rule(store, each) for each in self._settings.rules])

    async def _evaluated(self, query: str, steps: Floats) -> Value:
        return await self._store.run(lambda store: evaluate(store, query, steps))

    async def _series(self, selector: str | None, window: Window | None) -> list[Known]:
        wanted = parse_selector(selector) if selector is not None else None

        def find(store: Store) -> list[Known]:
            tests = wanted.tests() if wanted else ()
            known = store.known(wanted.name if wanted else None)
            found = [each for each in known if matches(tests, each.labels, each.name)][:_MAX_LABEL_SETS]
            if window is None:
                return found
            return store.seen(found, window.start.timestamp(), window.end.timestamp())

        return sorted(await self._store.run(find), key=lambda each: (each.name, sorted(each.labels.items())))

    def _gone_after(self) -> float:
        return max(_GONE_SECONDS, 3 * self._settings.interval_seconds)

    # Alerts and silences.

    async def alerts(self) -> Sequence[Alert]:
        return await self._store.run(self._alerts)

    def _alerts(self, store: Store) -> list[Alert]:
        now = time.time()
        by_name = {rule.name: rule for rule in self._settings.rules}
        silences = [each for each in map(_record, store.silences()) if _is_active(each, now)]
        values: dict[str, Mapping[LabelSet, float]] = {}
        found: list[Alert] = []
        for each in rules.active(store, now, self._gone_after()):
            rule = by_name.get(each.labels["alertname"])
            if rule is None:
                continue  # taken out of the settings since
            if rule.name not in values:
                values[rule.name] = _values_of(store, rule, now)
            value = values[rule.name].get(tuple(sorted(each.labels.items())))
            muted = [silence.silence_id for silence in silences if _mutes(silence.matchers, each.labels)]
            found.append(
                Alert(
                    name=rule.name,
                    state="silenced" if muted else "firing" if each.state == "firing" else "pending",
                    since=_moment(each.since + (rule.for_seconds if each.state == "firing" else 0.0)),
                    value=None if value is None else f"{value:.4g}",
                    labels={name: text for name, text in each.labels.items() if name != "alertname"},
                    summary=rule.summary,
                    expr=rules.expression(rule),
                    silenced_by=muted,
                )
            )
        return found

    async def transitions(self, window: Window) -> Sequence[Transition]:
        start, end = window.start.timestamp(), window.end.timestamp()
        found = await self._store.run(lambda store: rules.turns(store, start, end))
        return [
            Transition(
                name=turn.labels["alertname"],
                at=_moment(turn.at),
                to="firing" if turn.fires else "resolved",
                labels={name: value for name, value in turn.labels.items() if name != "alertname"},
            )
            for turn in found
        ]

    async def silences(self) -> Sequence[SilenceRecord]:
        return await self._store.run(lambda store: [_record(row) for row in store.silences()])

    async def muted_by(self, matchers: Sequence[Matcher]) -> Sequence[Alert]:
        for matcher in matchers:
            test_of(matcher)  # a broken pattern is refused even where nothing is alerting
        return [alert for alert in await self.alerts() if _mutes(tuple(matchers), {**alert.labels, "alertname": alert.name})]

    async def save(self, silence: SilenceRecord) -> str:
        for matcher in silence.matchers:
            test_of(matcher)
        key = silence.silence_id or str(uuid.uuid4())
        row = SilenceRow(
            key,
            json.dumps([[each.name, each.value, each.is_regex, each.is_equal] for each in silence.matchers]),
            silence.starts.timestamp(),
            silence.ends.timestamp(),
            silence.author,
            silence.reason,
        )
        await self._store.run(lambda store: store.save_silence(row))
        return key

    async def expire(self, silence_id: str) -> None:
        def end(store: Store) -> None:
            row = next((each for each in store.silences() if each.key == silence_id), None)
            if row is None:
                raise NotFound(f"There is no silence {silence_id[:60]!r} of local alerts.")
            store.save_silence(row._replace(ends=min(row.ends, time.time())))

        await self._store.run(end)

    # Logs.

    async def scan_bytes(self, query: LogQuery) -> int | None:
        return await self._store.run(lambda store: store.log_bytes(*_ends(query.window)))

    async def lines(self, query: LogQuery) -> Sequence[LogLine]:
        return await self._store.run(
            lambda store: [
                LogLine(text=text, at=_moment(at), labels=dict(labels)) for at, labels, text in _search(store, query, query.limit)
            ]
        )

    async def patterns(self, query: LogQuery) -> Sequence[LogPattern] | None:  # noqa: ARG002 - the Protocol's; lines are mined instead
        return None

    async def count(self, query: LogQuery) -> int | None:
        return await self._store.run(lambda store: sum(1 for _ in _search(store, query, None)))


def _search(store: Store, query: LogQuery, limit: int | None) -> Iterable[tuple[float, Mapping[str, str], str]]:
    """The lines that are wanted, newest first. Raises TimedOut where that takes too long."""
    wanted = parse_log_query(query.query)
    decoded: dict[str, Mapping[str, str]] = {text: json.loads(text) for text in store.log_labels()}
    chosen = {text for text, labels in decoded.items() if wanted.wants_labels(labels)}
    deadline, found = time.monotonic() + _SEARCH_SECONDS, 0
    for at, labels, text in store.log_lines(*_ends(query.window)):
        if limit is not None and found >= limit:
            return
        if time.monotonic() > deadline:
            raise TimedOut(f"The search took more than {_SEARCH_SECONDS:g} s. Ask for a shorter time, or for plain words.")
        if labels in chosen and wanted.wants(text):
            found += 1
            yield at, decoded[labels], text


def _rule(store: Store, rule: LocalRule) -> Rule:
    problem: str | None = None
    try:
        rules.breaches(store, rule, time.time())
    except ToolFailure as failure:
        problem = str(failure)
    annotations = {"summary": rule.summary} if rule.summary else {}
    return Rule(rule.name, rules.expression(rule), alerting=True, problem=problem, labels=rule.labels, annotations=annotations)


def _values_of(store: Store, rule: LocalRule, at: float) -> Mapping[LabelSet, float]:
    try:
        return rules.breaches(store, rule, at)
    except ToolFailure:
        return {}  # the alert stands, without its value


def _labels(labels: Mapping[str, str]) -> Labels:
    """Without the name, unless the name is all there is."""
    return {name: value for name, value in labels.items() if name != "__name__"} or labels


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(min(max(at, _OLDEST), _NEWEST), UTC)


def _ends(window: Window) -> tuple[float, float]:
    return window.start.timestamp(), window.end.timestamp()


def _record(row: SilenceRow) -> SilenceRecord:
    pairs: list[tuple[str, str, bool, bool]] = json.loads(row.matchers)
    matchers = tuple(Matcher(name, value, is_regex=regex, is_equal=equal) for name, value, regex, equal in pairs)
    now = time.time()
    return SilenceRecord(
        row.key, matchers, _moment(row.starts), _moment(row.ends), row.author, row.reason, active=row.starts <= now < row.ends
    )


def _is_active(silence: SilenceRecord, now: float) -> bool:
    return silence.starts.timestamp() <= now < silence.ends.timestamp()


def _mutes(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    return matches([(matcher.name, test_of(matcher)) for matcher in matchers], labels)

"""The tools: plain functions over the sources; nothing in here knows a backend."""

import asyncio
import base64
import getpass
import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastmcp import Context
from fastmcp.dependencies import CurrentContext, Depends
from fastmcp.tools import ToolResult
from mcp.types import ImageContent, TextContent
from opsroom_shared.errors import InvalidInput
from opsroom_shared.outside import clean
from opsroom_shared.progress import with_progress
from opsroom_shared.tools import Tool, lifespan_value
from pydantic import Field

from .alert_join import joined, matching
from .empty_results import explain
from .finding import find
from .log_search import search
from .models import (
    Alerts,
    LogMode,
    Logs,
    Metrics,
    Missing,
    Overview,
    Signal,
    Silence,
    SilenceAction,
    Telemetry,
    TelemetryKind,
    Transition,
    WhatChanged,
)
from .moments import deployments, moment_of, window_of
from .opening import Opened, Sources
from .overview import overview
from .promql import MAX_QUERY
from .series import Series, Window
from .silencing import silence
from .summaries import choose_step, of_sample, summarised
from .units import unit_of
from .what_changed import Findings, compare, scope_of

_HOUR = timedelta(hours=1)
_AROUND = timedelta(minutes=15)
_MOST_ALERTS = 50


async def the_sources(context: Context = CurrentContext()) -> Sources:
    return await lifespan_value(context, Opened).started()


Query = Annotated[str, Field(description="PromQL; a local source takes part of it.", min_length=1, max_length=MAX_QUERY)]
When = Annotated[str | None, Field(description="RFC 3339, 2h, `last deploy`.", max_length=80)]
End = Annotated[str | None, Field(description="Likewise; now.", max_length=80)]
ServiceName = Annotated[str | None, Field(description="Only this one.", max_length=100)]


async def system_overview(
    service: ServiceName = None,
    window: Annotated[str, Field(description="How far back.", max_length=20)] = "1h",
    *,
    sources: Sources = Depends(the_sources),
    context: Context = CurrentContext(),
) -> Overview:
    """Tell whether anything is wrong: alerts, targets down, broken rules, and rate, errors, latency of services."""
    asked = await window_of(sources, window, None, _HOUR)
    return await with_progress(overview(sources, service, asked), context, "asking the sources")


async def find_telemetry(
    kind: Annotated[TelemetryKind, Field(description="What to list.")],
    match: Annotated[str | None, Field(description="Words, a glob, or a {selector}.", max_length=500)] = None,
    name: Annotated[str | None, Field(description="Metric, label of values, or dashboard.", max_length=200)] = None,
    limit: Annotated[int, Field(description="Most to return.", ge=1, le=200)] = 20,
    *,
    sources: Sources = Depends(the_sources),
    context: Context = CurrentContext(),
) -> Telemetry:
    """Find what can be asked for: metrics with type and help, labels, series, targets, rules, dashboards."""
    return await with_progress(find(sources, kind, match, name, limit), context, "asking the sources")


async def query_metrics(
    query: Query,
    start: When = None,
    end: End = None,
    step: Annotated[str | None, Field(description="Such as 15s.", max_length=20)] = None,
    *,
    top: Annotated[int, Field(description="Most series.", ge=1, le=50)] = 10,
    points: Annotated[int, Field(description="Raw points per series.", ge=0, le=60)] = 0,
    sources: Sources = Depends(the_sources),
    context: Context = CurrentContext(),
) -> Metrics:
    """Evaluate PromQL: now or at `end`, or from `start` as figures and a sparkline per series. An empty result is explained."""
    metrics = sources.needed_metrics()
    if start is None:
        if step is not None or points:
            raise InvalidInput("`step` and `points` are about a range: give `start`, too.")
        at = await moment_of(sources, end, datetime.now(UTC)) if end else None
        samples = await with_progress(metrics.instant(query, at), context, "asking for the metrics")
        samples.sort(key=lambda each: -each.value if math.isfinite(each.value) else math.inf)
        moment = at or datetime.now(UTC)
        answer = Metrics(
            query=query,
            end=moment,
            unit=unit_of(query),
            series=[of_sample(each) for each in samples[:top]],
            total=len(samples),
        )
        window = Window(moment - _HOUR, moment)
    else:
        window = await window_of(sources, start, end, _HOUR)
        chosen = choose_step(window, step)
        result = await with_progress(metrics.range(query, window, chosen), context, "asking for the metrics")
        series = sorted(result.series, key=_size, reverse=True)
        answer = Metrics(
            query=query,
            start=window.start,
            end=window.end,
            step_seconds=chosen,
            unit=unit_of(query),
            series=[summarised(each, window, points) for each in series[:top]],
            total=len(series),
            warnings=[*result.warnings],
        )
    if answer.total:
        return answer
    return answer.model_copy(update={"hint": await explain(metrics, query, window)})


async def plot_metrics(
    query: Annotated[str | None, Field(description="PromQL.", max_length=MAX_QUERY)] = None,
    queries: Annotated[
        list[Annotated[str, Field(max_length=MAX_QUERY)]] | None, Field(description="Or several.", max_length=4)
    ] = None,
    start: When = "1h",
    end: End = None,
    *,
    panel: Annotated[str | None, Field(description="Or a Grafana panel: uid/number.", max_length=80)] = None,
    signal: Annotated[Signal | None, Field(description="Or a usual one of `service`.")] = None,
    service: ServiceName = None,
    sources: Sources = Depends(the_sources),
    context: Context = CurrentContext(),
) -> ToolResult:
    """Draw metrics over time as a PNG, with deployments, alerts and a summary."""
    from .plotting import draw, subject_of

    window = await window_of(sources, start, end, _HOUR)
    subject = await subject_of(sources, [*([query] if query else []), *(queries or [])], panel, signal, service)
    drawn = await with_progress(draw(sources, subject, window), context, "drawing")
    text = TextContent(type="text", text=drawn.text)
    picture = ImageContent(type="image", data=base64.b64encode(drawn.png).decode(), mime_type="image/png")
    return ToolResult(content=[text, picture])


async def list_alerts(
    match: Annotated[str | None, Field(description="Words in name, labels or summary.", max_length=200)] = None,
    state: Annotated[
        Literal["active", "firing", "pending", "silenced", "all"], Field(description="active: firing or pending.")
    ] = "active",
    since: Annotated[str | None, Field(description="Also what began or ended since.", max_length=80)] = None,
    *,
    sources: Sources = Depends(the_sources),
    context: Context = CurrentContext(),
) -> Alerts:
    """List alerts that fire, are pending or silenced: since when, value, rule, runbook."""
    if not sources.alerts:
        raise InvalidInput("No source of alerts is configured. Set prometheus.url or alertmanager.url.")
    missing: list[Missing] = []
    asked = sources.each(sources.alerts, lambda each: each.alerts(), missing)
    everything = matching(joined(await with_progress(asked, context, "asking for the alerts")), match)
    wanted = {
        "active": ("firing", "pending"),
        "silenced": ("silenced", "inhibited"),
        "all": ("firing", "pending", "silenced", "inhibited", "resolved"),
    }.get(state, (state,))
    alerts = [each for each in everything if each.state in wanted]
    turns: list[Transition] = []
    if since is not None:
        turns = await _transitions(sources, await window_of(sources, since, None, _HOUR), missing)
    others = len(everything) - len(alerts)
    return Alerts(
        alerts=alerts[:_MOST_ALERTS],
        total=len(alerts),
        transitions=turns,
        missing=missing,
        hint=f"{others} more are in another state; state=all shows them." if others else None,
    )


async def what_changed(
    start: When = "1h",
    end: End = None,
    service: ServiceName = None,
    around: Annotated[str | None, Field(description="A time, deployment id or alert name.", max_length=120)] = None,
    *,
    top: Annotated[int, Field(description="Most rows of each kind.", ge=1, le=50)] = 10,
    sources: Sources = Depends(the_sources),
    context: Context = CurrentContext(),
) -> WhatChanged:
    """Find what changed: deployments, alerts, metrics whose level shifted, ranked, and series that came or went."""
    missing: list[Missing] = []
    event = await _event(sources, around) if around else None
    if event is None:
        window = await window_of(sources, start, end, _HOUR)
    else:
        window = Window(event - _AROUND, min(event + _AROUND, datetime.now(UTC)))
    work = asyncio.gather(
        deployments(sources, window, service, missing),
        _transitions(sources, window, missing),
        _compared(sources, window, service, event, missing=missing),
    )
    marks, turns, found = await with_progress(work, context, "comparing series")
    hints: list[str] = []
    if service is not None and found.scope is None and found.scanned:
        hints.append(f"No label names the service {clean(service, 60)!r}, so all series were looked at.")
    if found.truncated:
        hints.append("There are more series; name a service to look at all of its own.")
    return WhatChanged(
        start=window.start,
        end=window.end,
        service=service,
        deployments=marks[:top],
        alerts=turns[:top],
        shifts=found.shifts[:top],
        host_shifts=found.host_shifts[: min(top, 5)],
        appeared=found.appeared[:top],
        vanished=found.vanished[:top],
        scanned=found.scanned,
        truncated=found.truncated,
        missing=missing,
        hint=" ".join(hints) or None,
    )


async def search_logs(
    query: Annotated[str, Field(description="LogQL or {selector}; locally also words.", min_length=1, max_length=2_000)],
    start: When = "15m",
    end: End = None,
    mode: Annotated[LogMode, Field(description="What to show of the lines.")] = "patterns",
    limit: Annotated[int, Field(description="Most rows.", ge=1, le=200)] = 40,
    *,
    sources: Sources = Depends(the_sources),
    context: Context = CurrentContext(),
) -> Logs:
    """Search logs for patterns with counts, lines, or a count. Lines are data."""
    window = await window_of(sources, start, end, timedelta(minutes=15))
    return await with_progress(search(sources, query, window, mode, limit), context, "searching the logs")


async def silence_alert(
    action: Annotated[SilenceAction, Field(description="What to do.")],
    reason: Annotated[str, Field(description="For the record.", min_length=3, max_length=500)],
    matchers: Annotated[
        list[Annotated[str, Field(max_length=300)]] | None,
        Field(description='To create: instance=~"db-.*".', max_length=20),
    ] = None,
    silence_id: Annotated[str | None, Field(description="To extend or expire.", max_length=60)] = None,
    duration: Annotated[str, Field(description="From now.", max_length=20)] = "1h",
    *,
    dry_run: Annotated[bool, Field(description="Only show what it would mute.")] = True,
    sources: Sources = Depends(the_sources),
    context: Context = CurrentContext(),
) -> Silence:
    """Silence alerts by label matchers for a time, or end that. Refuses what is too broad."""
    work = silence(
        sources,
        action,
        matchers or [],
        silence_id=silence_id,
        duration=duration,
        reason=reason,
        author=_author(context),
        dry_run=dry_run,
    )
    return await with_progress(work, context, "asking for the alerts")


READ_TOOLS = (
    Tool(system_overview),
    Tool(find_telemetry),
    Tool(query_metrics),
    Tool(plot_metrics),
    Tool(list_alerts),
    Tool(what_changed),
    Tool(search_logs),
)
WRITE_TOOLS = (Tool(silence_alert, read_only=False, idempotent=False),)


async def _transitions(sources: Sources, window: Window, missing: list[Missing]) -> list[Transition]:
    """What began and ended in *window*, the newest first, each once."""
    told = await sources.each(sources.alerts, lambda each: each.transitions(window), missing)
    found: dict[tuple[str, str, int], Transition] = {}
    for transitions in told:
        for each in transitions:
            # an Alertmanager hears of it a little later than the rule fires
            found.setdefault((each.name, each.to, int(each.at.timestamp() // 120)), each)
    return sorted(found.values(), key=lambda each: each.at, reverse=True)


async def _compared(
    sources: Sources, window: Window, service: str | None, event: datetime | None, *, missing: list[Missing]
) -> Findings:
    metrics = sources.metrics
    if metrics is None:
        return Findings()
    matcher = await sources.asked(metrics, scope_of(metrics, service), missing) if service else None
    work = compare(metrics, window, matcher, sources.settings.max_series, event)
    return await sources.asked(metrics, work, missing) or Findings()


async def _event(sources: Sources, around: str) -> datetime:
    """When *around* was: a time, a deployment by its id, or an alert by its name."""
    now = datetime.now(UTC)
    try:
        return await moment_of(sources, around, now)
    except InvalidInput as not_a_time:
        day = Window(now - timedelta(days=7), now)
        for mark in await deployments(sources, day, None, []):
            if mark.deployment_id == around:
                return mark.at
        for each in joined(await sources.each(sources.alerts, lambda source: source.alerts(), [])):
            if each.name == around and each.since:
                return each.since
        raise InvalidInput(f"{not_a_time} Nor is it a known deployment or an active alert.") from None


def _size(series: Series) -> float:
    return max((abs(value) for value in series.values if math.isfinite(value)), default=-1.0)


def _author(context: Context) -> str:
    params = context.session.client_params
    client = clean(params.client_info.name, 60) if params else "unknown client"
    return f"{getpass.getuser()} through {client}"

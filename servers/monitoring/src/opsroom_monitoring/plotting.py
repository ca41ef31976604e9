"""Pictures of what a query gives, with deployments and alerts on the time axis, kept as files for who sees no images."""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opsroom_shared.errors import InvalidInput, NotFound

from .empty_results import explain
from .golden import signal_query
from .models import Missing, Signal
from .moments import deployments
from .opening import Sources
from .plots import Marker, Picture, describe, render
from .series import Series, Window
from .summaries import choose_step

_MOST_SERIES = 12
_MOST_FILES = 50
_MOST_MARKS = 8
_PANEL = re.compile(r"([\w-]{1,64})/(\d{1,6})")
_INTERVAL = re.compile(r"\$\{?__(?:rate_)?interval\}?")


@dataclass(frozen=True)
class Drawn:
    text: str
    png: bytes


@dataclass(frozen=True)
class Subject:
    """What is to be drawn."""

    queries: Sequence[str]
    title: str
    unit: str | None = None


async def subject_of(
    sources: Sources, queries: Sequence[str], panel: str | None, signal: Signal | None, service: str | None
) -> Subject:
    """The expressions to draw. Raises InvalidInput where none, or several kinds, are given."""
    if (bool(queries), panel is not None, signal is not None).count(True) != 1:
        raise InvalidInput("Give one of `query`, `queries`, `panel` and `signal`.")
    if panel is not None:
        return await _panel(sources, panel)
    if signal is not None:
        query, unit = await signal_query(sources.needed_metrics(), signal, service)
        return Subject([query], f"{signal} of {service or 'all services'}", "seconds" if signal == "latency" else unit or None)
    return Subject(queries, "; ".join(queries)[:120])


async def draw(sources: Sources, subject: Subject, window: Window) -> Drawn:
    metrics, missing = sources.needed_metrics(), list[Missing]()
    step = choose_step(window)
    results = await asyncio.gather(*(metrics.range(each, window, step) for each in subject.queries))
    series = [each for result in results for each in result.series]
    marks = await _marks(sources, window, missing)
    picture = Picture(_largest(series), window, subject.title, subject.unit, marks)
    png, lines = await asyncio.to_thread(render, picture), [describe(picture)]
    if not series:
        lines.append(await explain(metrics, subject.queries[0], window))
    if len(series) > _MOST_SERIES:
        lines.append(f"{_MOST_SERIES} of {len(series)} series are drawn; use topk(…), or aggregate.")
    lines += [f"Missing: {each.source}: {each.reason}" for each in missing]
    file = await asyncio.to_thread(_kept, sources.settings.state_folder / "plots", png)
    if file is not None:
        lines.append(f"Saved as {file}")
    return Drawn("\n".join(lines), png)


async def _panel(sources: Sources, panel: str) -> Subject:
    match = _PANEL.fullmatch(panel)
    if not match or sources.dashboards is None:
        raise InvalidInput("`panel` is the uid of a dashboard and a panel's number, such as abc123/4, and needs a Grafana.")
    found = [each for each in await sources.dashboards.panels(match[1]) if each.panel_id == int(match[2])]
    if not found:
        raise NotFound(f"The dashboard has no panel {match[2]}. find_telemetry kind panels lists them.")
    # a panel that mixes data sources is told once for each of them
    own = next((each for each in found if each.datasource_type in (None, "prometheus")), None)
    if own is None:
        raise InvalidInput(f"The panel asks {found[0].datasource_type}; only what asks a Prometheus can be drawn.")
    queries = [_INTERVAL.sub("5m", query) for query in own.queries]
    if not queries or any("$" in re.sub(r'"[^"]*"', "", query) for query in queries):
        raise InvalidInput("The panel's queries have variables. Give `query` with values in their place.")
    return Subject(queries, own.title, own.unit)


async def _marks(sources: Sources, window: Window, missing: list[Missing]) -> list[Marker]:
    deployed, told = await asyncio.gather(
        deployments(sources, window, None, missing),
        sources.each(sources.alerts, lambda each: each.transitions(window), missing),
    )
    marks = [Marker(each.at, f"{each.service} {each.release or ''}".strip()) for each in deployed[:_MOST_MARKS]]
    fired = {(each.name, each.at): each for transitions in told for each in transitions if each.to == "firing"}
    newest = sorted(fired.values(), key=lambda each: each.at, reverse=True)[:_MOST_MARKS]
    return [*marks, *(Marker(each.at, each.name, "alert") for each in newest)]


def _largest(series: Sequence[Series]) -> list[Series]:
    def size(each: Series) -> float:
        return max((abs(value) for value in each.values if value == value), default=0.0)  # noqa: PLR0124 - NaN is not itself

    return sorted(series, key=size, reverse=True)[:_MOST_SERIES]


def _kept(folder: Path, png: bytes) -> Path | None:
    """Where the picture was written; None where that folder cannot be written. The newest ones are kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}.png"
        file.write_bytes(png)
        for old in sorted(folder.glob("*.png"))[:-_MOST_FILES]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return file

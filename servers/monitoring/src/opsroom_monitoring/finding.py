"""What there is to ask for: metrics, labels, values, series, targets, rules, dashboards and panels."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from opsroom_shared.errors import InvalidInput
from opsroom_shared.outside import clean

from .empty_results import nearest
from .models import Missing, Telemetry, TelemetryItem, TelemetryKind
from .opening import Sources
from .series import Labels, Window
from .sources import MetricsSource

_RECENT = timedelta(hours=1)
_MOST_SERIES = 5_000
_MAX_HELP = 160


async def find(sources: Sources, kind: TelemetryKind, match: str | None, name: str | None, limit: int) -> Telemetry:
    """What of *kind* fits *match*; bounded to *limit*, with how many there are."""
    missing: list[Missing] = []
    if kind in ("dashboards", "panels"):
        items = await _dashboards(sources, kind, match, name, limit, missing=missing)
    else:
        items = await _telemetry(sources.needed_metrics(), kind, match, name)
    hint = None
    if not items and kind == "metrics" and match and sources.metrics is not None:
        near = nearest(match, await sources.metrics.metric_names())
        hint = f"Similar: {', '.join(near)}." if near else "Give fewer or other words."
    return Telemetry(kind=kind, items=list(items[:limit]), total=len(items), missing=missing, hint=hint)


async def _telemetry(metrics: MetricsSource, kind: TelemetryKind, match: str | None, name: str | None) -> Sequence[TelemetryItem]:
    now = datetime.now(UTC)
    recent = Window(now - _RECENT, now)
    selector = match if match and match.lstrip().startswith("{") else None
    wanted = _Words(None if selector else match)
    match kind:
        case "metrics":
            names = await (metrics.label_values("__name__", selector, recent) if selector else metrics.metric_names())
            known = await metrics.metadata()
            found: list[TelemetryItem] = []
            for each in names:
                about = known.get(each)
                text = clean(about.help, _MAX_HELP) if about and about.help else None
                if wanted.fit(f"{each} {text or ''}"):
                    found.append(
                        TelemetryItem(
                            name=each, type=about.type if about else None, unit=about.unit if about else None, help=text
                        )
                    )
            return sorted(found, key=lambda item: (not wanted.fit(item.name), len(item.name)))
        case "labels":
            labels = await metrics.label_names(name or selector, recent if name or selector else None)
            return [TelemetryItem(name=each) for each in labels if each != "__name__" and wanted.fit(each)]
        case "values":
            if not name:
                raise InvalidInput("Give `name`: the label whose values are wanted.")
            values = await metrics.label_values(name, selector, recent)
            return [TelemetryItem(name=each) for each in values if wanted.fit(each)]
        case "series":
            if not (name or selector):
                raise InvalidInput('Give `name`, a metric, or `match`, a selector such as {job="api"}.')
            sets = await metrics.label_sets(f"{name or ''}{selector or ''}", recent, _MOST_SERIES)
            items = [TelemetryItem(name=each, detail=_told(labels)) for each, labels in sets]
            return [each for each in items if wanted.fit(f"{each.name} {each.detail}")]
        case "targets":
            targets = await metrics.targets()
            fitting = [each for each in targets if wanted.fit(f"{each.name} {each.type} {each.detail}")]
            return sorted(fitting, key=lambda item: item.type != "down")
        case _:
            rules = [
                TelemetryItem(
                    name=each.name,
                    type="alerting" if each.alerting else "recording",
                    detail=f"broken: {each.problem}" if each.problem else each.expr,
                )
                for each in await metrics.rules()
            ]
            return [each for each in rules if wanted.fit(f"{each.name} {each.type} {each.detail}")]


async def _dashboards(
    sources: Sources, kind: TelemetryKind, match: str | None, name: str | None, limit: int, *, missing: list[Missing]
) -> Sequence[TelemetryItem]:
    if sources.dashboards is None:
        raise InvalidInput("No Grafana is configured, so there are no dashboards. Set grafana.url and grafana.token.")
    if kind == "dashboards":
        return await sources.asked(sources.dashboards, sources.dashboards.search(match or "", limit), missing) or []
    if not name:
        raise InvalidInput("Give `name`: the uid of a dashboard, which find_telemetry kind dashboards shows.")
    wanted = _Words(match)
    return [
        TelemetryItem(name=f"{each.panel_id} {each.title}", unit=each.unit, detail="; ".join(each.queries) or None)
        for each in await sources.dashboards.panels(name)
        if wanted.fit(f"{each.title} {' '.join(each.queries)}")
    ]


class _Words:
    """Words that all have to stand in a text, or a regular expression where it is one."""

    def __init__(self, text: str | None) -> None:
        self._words = (text or "").lower().split()

    def fit(self, text: str) -> bool:
        text = text.lower()
        return all(_globbed(word, text) for word in self._words)


def _globbed(word: str, text: str) -> bool:
    """`http_*` and `http.*` find what begins so; else the word has to stand somewhere."""
    parts = [part for part in re.split(r"\.?\*", word) if part]
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def _told(labels: Labels) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))

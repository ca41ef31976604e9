"""How everything stands, in one answer: alerts, targets, broken rules, recent deployments and the golden signals."""

import asyncio

from .alert_join import joined
from .golden import golden_signals
from .models import Alert, DeploymentMark, GoldenSignal, Missing, Overview, Target
from .moments import deployments
from .opening import Sources
from .series import Window
from .sources import MetricsSource, Rule

_MOST = 20


async def overview(sources: Sources, service: str | None, window: Window) -> Overview:
    missing: list[Missing] = []
    metrics = sources.metrics
    told, marks, (down, rules, golden) = await asyncio.gather(
        sources.each(sources.alerts, lambda each: each.alerts(), missing),
        deployments(sources, window, service, missing),
        _of_metrics(sources, metrics, service, window, missing),
    )
    alerts = [each for each in joined(told) if service is None or service in each.labels.values()]
    firing = [each for each in alerts if each.state == "firing"]
    pending = [each for each in alerts if each.state == "pending"]
    muted = len(alerts) - len(firing) - len(pending)
    down = [each for each in down if service is None or service in (each.job, each.instance)]
    notes = [f"The rule {each.name} cannot be evaluated: {each.problem}" for each in rules if each.problem]
    if muted:
        notes.append(f"{muted} more alerts are silenced or inhibited.")
    if len(firing) > _MOST or len(pending) > _MOST:
        notes.append("list_alerts has the other alerts.")
    return Overview(
        verdict=_verdict(firing, down, marks, golden, missing=missing, service=service),
        firing=firing[:_MOST],
        pending=pending[:_MOST],
        targets_down=down[:_MOST],
        golden=golden,
        deployments=marks[:5],
        notes=notes[:10],
        missing=_once(missing),
    )


async def _of_metrics(
    sources: Sources, metrics: MetricsSource | None, service: str | None, window: Window, missing: list[Missing]
) -> tuple[list[Target], list[Rule], list[GoldenSignal]]:
    if metrics is None:
        return [], [], []
    down, rules, golden = await asyncio.gather(
        sources.asked(metrics, metrics.targets_down(), missing),
        sources.asked(metrics, metrics.rules(), missing),
        sources.asked(metrics, golden_signals(metrics, service, window), missing),
    )
    return [*(down or ())], [*(rules or ())], [*(golden or ())]


def _verdict(
    firing: list[Alert],
    down: list[Target],
    marks: list[DeploymentMark],
    golden: list[GoldenSignal],
    *,
    missing: list[Missing],
    service: str | None,
) -> str:
    about = f" of {service}" if service else ""
    problems: list[str] = []
    if firing:
        problems.append(f"{len(firing)} alerts fire" if len(firing) > 1 else f"{firing[0].name} fires")
    if down:
        problems.append(f"{len(down)} targets are down" if len(down) > 1 else f"the target {down[0].instance} is down")
    if problems:
        recent = f" The last deployment is {marks[0].service} {marks[0].release or ''}".rstrip() + "." if marks else ""
        return f"Something is wrong{about}: {' and '.join(problems)}.{recent}"
    if missing:
        return f"No alert fires{about} as far as can be seen; not every source answers."
    if service and not golden:
        return f"No alert fires{about}, and no metric is known to be its."
    return f"Nothing is wrong{about}: no alert fires, and no target is down."


def _once(missing: list[Missing]) -> list[Missing]:
    """A source that fails three questions for one reason is missing once."""
    return list({(each.source, each.reason): each for each in missing}.values())

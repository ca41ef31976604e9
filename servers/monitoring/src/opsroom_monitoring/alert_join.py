"""The alerts of several sources as one list: pure."""

from collections.abc import Iterable, Sequence

from .models import Alert

_ORDER = {"firing": 0, "pending": 1, "silenced": 2, "inhibited": 3, "resolved": 4}


def joined(told: Sequence[Sequence[Alert]]) -> list[Alert]:
    """Each alert once, though several sources tell it, with what each of them knows.

    An Alertmanager adds the external labels of a Prometheus, so an alert is another one's if it has all of its labels. Those
    with the most labels choose first, the one with the fewest labels more.
    """
    found: list[Alert] = []
    for source in sorted(told, key=lambda alerts: not any(each.fingerprint for each in alerts)):
        free = list(range(len(found)))
        for each in sorted(source, key=lambda alert: len(alert.labels), reverse=True):
            same = [index for index in free if _is_same(each, found[index])]
            if each.state == "pending" or not same:
                found.append(each)
                continue
            best = min(same, key=lambda index: len(found[index].labels))
            free.remove(best)
            found[best] = _merged(found[best], each)
    return sorted(found, key=lambda alert: (_ORDER[alert.state], alert.name, sorted(alert.labels.items())))


def matching(alerts: Iterable[Alert], words: str | None) -> list[Alert]:
    """Those in whose name, labels or summary every one of *words* stands."""
    wanted = (words or "").lower().split()

    def text(alert: Alert) -> str:
        labels = " ".join(f"{key}={value}" for key, value in alert.labels.items())
        return f"{alert.name} {labels} {alert.summary or ''}".lower()

    return [each for each in alerts if all(word in text(each) for word in wanted)]


def _is_same(one: Alert, other: Alert) -> bool:
    """Whether *other*, an Alertmanager's, is *one*."""
    return one.name == other.name and one.labels.items() <= other.labels.items()


def _merged(routed: Alert, evaluated: Alert) -> Alert:
    """What the Alertmanager knows of muting and times, and what the rule says; without the external labels."""
    return routed.model_copy(
        update={
            "labels": evaluated.labels,
            "value": evaluated.value or routed.value,
            "expr": evaluated.expr or routed.expr,
            "summary": evaluated.summary or routed.summary,
            "runbook": evaluated.runbook or routed.runbook,
        }
    )

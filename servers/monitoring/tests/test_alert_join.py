"""The alerts of several sources as one list."""

from datetime import UTC, datetime

from opsroom_monitoring.alert_join import joined, matching
from opsroom_monitoring.models import Alert, AlertState


def alert(
    name: str, state: AlertState = "firing", *, fingerprint: str | None = None, by: str | None = None, **labels: str
) -> Alert:
    return Alert(
        name=name,
        state=state,
        since=datetime(2026, 11, 24, 10, 0, 10 if fingerprint else 0, tzinfo=UTC),
        labels=labels,
        fingerprint=fingerprint,
        silenced_by=[by] if by else [],
        expr=None if fingerprint else "up == 0",
    )


def test_external_labels_do_not_part_an_alert() -> None:
    """The Alertmanager's alert has a label more; the result has the rule's labels and both sides' knowledge."""
    rule = alert("Down", instance="a")
    routed = alert("Down", "silenced", fingerprint="f", by="s1", instance="a", cluster="lab")
    (found,) = joined([[rule], [routed]])

    assert found.labels == {"instance": "a"}
    assert (found.state, found.silenced_by, found.expr, found.fingerprint) == ("silenced", ["s1"], "up == 0", "f")
    assert found.since == routed.since


def test_each_alert_finds_its_own() -> None:
    """An alert whose labels are part of another's does not take that one's place."""
    rules = [alert("Down"), alert("Down", instance="a"), alert("Down", instance="b")]
    routed = [
        alert("Down", fingerprint="f1", instance="b", cluster="lab"),
        alert("Down", fingerprint="f2", cluster="lab"),
        alert("Down", fingerprint="f3", instance="a", cluster="lab"),
    ]
    found = joined([rules, routed])

    assert {(str(each.labels), each.fingerprint) for each in found} == {
        ("{'instance': 'b'}", "f1"),
        ("{}", "f2"),
        ("{'instance': 'a'}", "f3"),
    }


def test_what_only_one_source_knows_is_kept() -> None:
    """Pending alerts and those that others sent to the Alertmanager are told, what fires first."""
    found = joined([[alert("Later", "pending")], [alert("Posted", fingerprint="f")]])

    assert [(each.name, each.state) for each in found] == [("Posted", "firing"), ("Later", "pending")]


def test_words_all_have_to_stand_in_it() -> None:
    """Name, labels and summary are searched, whatever the case."""
    alerts = [alert("DiskFull", instance="db-3"), alert("DiskFull", instance="web-1")]

    assert [each.labels["instance"] for each in matching(alerts, "diskfull DB-3")] == ["db-3"]
    assert matching(alerts, None) == alerts

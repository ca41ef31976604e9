"""The tools on a real Prometheus, Alertmanager and node exporter."""

import math

from opsroom_monitoring.settings import PrometheusSettings
from opsroom_monitoring.sources.prometheus import PrometheusMetrics

from ..answers import call, call_until, listed, structured, text_of
from .conftest import Connect
from .stack import Stack


async def test_alert_of_both_is_one(connect: Connect) -> None:
    """An alert that Prometheus and Alertmanager tell is one row: the rule's labels, the Alertmanager's fingerprint."""
    async with connect() as client:
        answer = await call_until(
            client,
            lambda found: any(each["fingerprint"] for each in listed(found, "alerts")),
            "list_alerts",
            match="InstanceDown",
        )

    (alert,) = listed(answer, "alerts")
    assert alert["state"] == "firing"
    assert "cluster" not in str(alert["labels"])
    assert alert["expr"] == 'up{job="gone"} == 0'
    assert alert["runbook"] == "https://runbooks.example/InstanceDown"


async def test_overview_names_what_is_wrong(connect: Connect) -> None:
    """Alerts that fire and wait, the target that is down and the rule that is broken are in one answer."""
    async with connect() as client:
        answer = await call_until(
            client,
            lambda found: bool(listed(found, "firing") and listed(found, "pending") and structured(found)["notes"]),
            "system_overview",
        )

    assert [each["job"] for each in listed(answer, "targets_down")] == ["gone"]
    assert "StaysPending" in [each["name"] for each in listed(answer, "pending")]
    assert "ManyToMany cannot be evaluated" in text_of(answer)
    assert text_of(answer).startswith("Something is wrong")


async def test_down_source_hides_nobody(connect: Connect) -> None:
    """With the Alertmanager away, Prometheus' alerts are told, and that it is missing."""
    async with connect(alertmanager={"url": "http://127.0.0.1:1"}) as client:
        answer = await call_until(client, lambda found: bool(listed(found, "alerts")), "list_alerts")

    assert "InstanceDown" in text_of(answer)
    assert "Missing: alertmanager" in text_of(answer)


async def test_bad_promql_is_answered_in_the_servers_words(connect: Connect) -> None:
    """The message has the position, which our own parser does not know."""
    async with connect() as client:
        answer = await call(client, "query_metrics", query="sum(rate(up[1m])")

    assert answer.is_error
    assert "1:17: parse error: unclosed left parenthesis" in text_of(answer)


async def test_too_many_samples(connect: Connect) -> None:
    """The server's limit is told as too large, with what to do."""
    async with connect() as client:
        answer = await call(client, "query_metrics", query="sum_over_time(vector(1)[24h:1s])")

    assert structured(answer)["code"] == "too_large"
    assert "too many samples" in text_of(answer)


async def test_no_limit_of_points_is_hit(connect: Connect) -> None:
    """A year is answered with a step that fits; a step that does not is refused with one that does."""
    async with connect() as client:
        year = await call(client, "query_metrics", query="vector(1)", start="365d")
        refused = await call(client, "query_metrics", query="vector(1)", start="365d", step="1s")

    assert listed(year, "series")[0]["last"] == 1.0
    assert "A step of 3600s would fit" in text_of(refused)


async def test_special_values_and_gaps(connect: Connect) -> None:
    """NaN and infinity are text in the answer; a point that is absent is not invented."""
    async with connect() as client:
        nan = await call(client, "query_metrics", query="vector(0) / 0")
        inf = await call(client, "query_metrics", query="vector(-1) / 0", start="10m")
        gap = await call(client, "query_metrics", query="vector(time()) % 2000 < 1000", start="2h")

    assert listed(nan, "series")[0]["last"] == "NaN"
    assert listed(inf, "series")[0]["min"] == "-Inf"
    assert " " in str(listed(gap, "series")[0]["spark"])


async def test_empty_result_is_explained(connect: Connect) -> None:
    """A metric that is not there, a label that does not match, and a window without data are told apart."""
    async with connect() as client:
        await call_until(client, lambda found: bool(listed(found, "series")), "query_metrics", query='up{job="node"}')
        unknown = await call(client, "query_metrics", query="node_laod1")
        label = await call(client, "query_metrics", query='up{job="nod"}')
        window = await call(client, "query_metrics", query="up", start="30d", end="29d")

    assert "node_load1" in text_of(unknown)
    assert "No series of up has job='nod'. There are: gone, node, self." in text_of(label)
    assert "no data in this window" in text_of(window)


async def test_find_telemetry_lists_what_there_is(connect: Connect) -> None:
    """Metrics come with their type, targets with the one that is down first, rules with their expression."""
    async with connect() as client:
        await call_until(client, lambda found: bool(listed(found, "series")), "query_metrics", query="node_load1")
        metrics = await call(client, "find_telemetry", kind="metrics", match="node_load*")
        targets = await call(client, "find_telemetry", kind="targets")
        rules = await call(client, "find_telemetry", kind="rules", match="job:up")
        values = await call(client, "find_telemetry", kind="values", name="job")
        refused = await call(client, "find_telemetry", kind="dashboards")

    assert {str(each["type"]) for each in listed(metrics, "items")} == {"gauge"}
    assert listed(targets, "items")[0]["type"] == "down"
    assert "sum by (job) (up)" in text_of(rules)
    assert text_of(values).split() == ["gone", "node", "self"]
    assert structured(refused)["code"] == "invalid_input"


async def test_silence_from_dry_run_to_its_end(connect: Connect) -> None:
    """A dry run changes nothing; then the silence mutes, keeps its id when extended, and ends."""
    asked = {"action": "create", "reason": "known, a new node is on its way", "matchers": ['alertname="NodeIsUp"']}
    async with connect() as client:
        await call_until(
            client, lambda found: any(each["fingerprint"] for each in listed(found, "alerts")), "list_alerts", match="NodeIsUp"
        )
        dry = await call(client, "silence_alert", **asked)
        before = await call(client, "list_alerts", match="NodeIsUp")
        made = await call(client, "silence_alert", **asked, dry_run=False)
        identity = structured(made)["silence_id"]
        muted = await call_until(
            client, lambda found: bool(listed(found, "alerts")), "list_alerts", match="NodeIsUp", state="silenced"
        )
        extended = await call(
            client, "silence_alert", action="extend", silence_id=identity, reason="it is late", duration="3h", dry_run=False
        )
        ended = await call(client, "silence_alert", action="expire", silence_id=identity, reason="it is there", dry_run=False)
        again = await call_until(
            client, lambda found: bool(listed(found, "alerts")), "list_alerts", match="NodeIsUp", state="firing"
        )

    assert structured(dry)["applied"] is False
    assert structured(dry)["silence_id"] is None
    assert [each["name"] for each in listed(dry, "would_mute")] == ["NodeIsUp"]
    assert listed(before, "alerts")[0]["state"] == "firing"
    assert listed(muted, "alerts")[0]["silenced_by"] == [identity]
    assert structured(extended)["silence_id"] == identity
    assert structured(ended)["applied"] is True
    assert listed(again, "alerts")[0]["silenced_by"] == []


async def test_silence_that_is_too_much_is_refused(connect: Connect) -> None:
    """What mutes everything, lasts too long, has no reason or names no silence is refused."""
    silence = {"action": "create", "reason": "because", "matchers": ['alertname="NodeIsUp"']}
    async with connect(max_silence_hours=2) as client:
        everything = [
            await call(client, "silence_alert", **{**silence, "matchers": matchers})
            for matchers in ([], ['alertname=~".*"'], ['alertname=~".+"'], ['alertname!="x"'], ['alertname=""'])
        ]
        long = await call(client, "silence_alert", **silence, duration="3h")
        blank = await call(client, "silence_alert", **{**silence, "reason": "   "})
        broken = await call(client, "silence_alert", **{**silence, "matchers": ['alertname=~"("']})
        unknown = await call(client, "silence_alert", action="expire", reason="because", silence_id="no")

    assert [structured(each)["code"] for each in everything] == ["not_permitted"] * 5
    assert structured(long)["code"] == "not_permitted"
    assert [structured(each)["code"] for each in (blank, broken, unknown)] == ["invalid_input", "invalid_input", "not_found"]


async def test_tenant_sees_only_its_own(connect: Connect) -> None:
    """With a tenant the series of others cannot be read, whatever is written."""
    async with connect(tenant={"job": "node"}) as client:
        own = await call_until(client, lambda found: bool(listed(found, "series")), "query_metrics", query="up")
        other = await call(client, "query_metrics", query='up{job="self"}')
        evading = await call(client, "query_metrics", query='up{job="self" or job="gone"}')
        jobs = await call(client, "find_telemetry", kind="values", name="job")

    assert [str(each["labels"]) for each in listed(own, "series")] != []
    assert structured(own)["total"] == 1
    assert structured(other)["total"] == 0
    assert evading.is_error
    assert text_of(jobs) == "node"


async def test_plot_of_a_real_metric(connect: Connect) -> None:
    """A picture of at most 20 KB and the same in words come without structured content."""
    async with connect() as client:
        await call_until(client, lambda found: bool(listed(found, "series")), "query_metrics", query="node_load1")
        answer = await call(client, "plot_metrics", query="node_load1", start="5m")

    assert [part.type for part in answer.content] == ["text", "image"]
    assert answer.structured_content is None
    assert "node_load1" in text_of(answer)


async def test_range_values_are_numbers(stack: Stack) -> None:
    """The source gives infinities and NaN as numbers, not as text."""
    source = PrometheusMetrics("prometheus", PrometheusSettings(url=stack.prometheus))
    (sample,) = await source.instant("vector(1) / 0", None)
    ready = await source.ready()
    await source.aclose()

    assert sample.value == math.inf
    assert ready is None

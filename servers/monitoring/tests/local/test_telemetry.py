"""The local source watches real targets, probes, the host and rules, and answers for them."""

import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import LocalProbe, LocalRule, LocalSettings, LocalTarget
from opsroom_monitoring.sources import Matcher, SilenceRecord
from opsroom_monitoring.sources.local import LocalTelemetry
from opsroom_shared.errors import InvalidInput, NotFound

from .targets import Page, eventually, serving


@contextlib.asynccontextmanager
async def watching(folder: Path, **settings: object) -> AsyncGenerator[LocalTelemetry]:
    """A local source that is at work."""
    given = {"host": False, "interval_seconds": 0.05, "store": folder / "local.db", **settings}
    telemetry = LocalTelemetry("local", LocalSettings.model_validate(given))
    await telemetry.start()
    try:
        yield telemetry
    finally:
        await telemetry.aclose()


def last_hour() -> Window:
    now = datetime.now(UTC)
    return Window(now - timedelta(hours=1), now + timedelta(minutes=1))


async def test_a_target_is_scraped_under_its_labels(tmp_path: Path) -> None:
    """Samples carry the labels of their target; a label of the same name is kept as exported_…; `up` is 1."""
    page = Page('# HELP jobs Waiting jobs.\n# TYPE jobs gauge\njobs{job="inner",queue="mail"} 7\n')
    async with serving(page) as url:
        target = LocalTarget(job="worker", url=f"{url}/metrics", labels={"instance": "worker-1", "zone": "a"})
        async with watching(tmp_path, targets=(target,)) as telemetry:

            async def scraped() -> bool:
                return bool(await telemetry.instant("jobs", None))

            await eventually(scraped)

            found = await telemetry.instant("jobs", None)
            up = await telemetry.instant("up", None)
            about = await telemetry.metadata()

    assert [(each.name, dict(each.labels), each.value) for each in found] == [
        ("jobs", {"job": "worker", "instance": "worker-1", "zone": "a", "exported_job": "inner", "queue": "mail"}, 7.0)
    ]
    assert [each.value for each in up] == [1.0]
    assert (about["jobs"].type, about["jobs"].help) == ("gauge", "Waiting jobs.")


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (Page("jobs 1\n", status="503 Service Unavailable"), "HTTP 503"),
        (Page("<html>log in</html>"), "does not answer in the text format"),
        (Page("x" * (9 << 20)), "more than 8 MB"),
        (Page("jobs 1\n", answers=False), "did not answer within"),
    ],
    ids=["status", "html", "endless", "silent"],
)
async def test_a_bad_target_is_down_with_the_reason(tmp_path: Path, page: Page, problem: str) -> None:
    """Whatever a target answers, it costs little, `up` is 0 and the reason is known."""
    async with serving(page) as url:
        target = LocalTarget(job="worker", url=url, interval_seconds=20 if page.answers else 0.2)
        async with watching(tmp_path, targets=(target,)) as telemetry:

            async def seen() -> bool:
                return bool(await telemetry.targets_down())

            await eventually(seen)

            down = await telemetry.targets_down()
            up = await telemetry.instant("up", None)

    assert [(each.job, problem in each.problem) for each in down] == [("worker", True)], down
    assert [each.value for each in up] == [0.0]


async def test_a_target_that_nobody_listens_for_is_down(tmp_path: Path) -> None:
    """A refused connection is a target that is down, and comes up when somebody listens."""
    async with serving(Page("jobs 1\n")) as url:
        pass
    async with watching(tmp_path, targets=(LocalTarget(job="worker", url=url),)) as telemetry:

        async def down() -> bool:
            return bool(await telemetry.targets_down())

        await eventually(down)

        found = await telemetry.targets()

    assert [(each.name.split()[0], each.type) for each in found] == [("worker", "down")]


async def test_what_is_left_out_of_a_target_is_known(tmp_path: Path) -> None:
    """A target with broken lines is up, and the number of them is a metric."""
    async with (
        serving(Page("jobs 1\nbroken\n")) as url,
        watching(tmp_path, targets=(LocalTarget(job="w", url=url),)) as telemetry,
    ):

        async def scraped() -> bool:
            return bool(await telemetry.instant("jobs", None))

        await eventually(scraped)

        left_out = await telemetry.instant("scrape_samples_left_out", None)
        down = await telemetry.targets_down()

    assert [each.value for each in left_out] == [1.0]
    assert down == []


async def test_a_probe_tells_whether_and_how_fast(tmp_path: Path) -> None:
    """A probe with another status than wanted is down; the status is kept."""
    async with serving(Page("teapot", status="418 I am a teapot")) as url:
        probes = (LocalProbe(name="shop", url=url), LocalProbe(name="tea", url=url, status=418))
        async with watching(tmp_path, probes=probes) as telemetry:

            async def probed() -> bool:
                return len(await telemetry.instant("probe_up", None)) == 2

            await eventually(probed)

            up = {each.labels["probe"]: each.value for each in await telemetry.instant("probe_up", None)}
            status = {each.value for each in await telemetry.instant("probe_http_status_code", None)}
            down = await telemetry.targets_down()

    assert up == {"shop": 0.0, "tea": 1.0}
    assert status == {418.0}
    assert [(each.instance, each.problem) for each in down] == [("shop", "HTTP 418 instead of 200")]


async def test_a_password_in_an_address_is_not_shown(tmp_path: Path) -> None:
    """Name and password of a target's address are sent to it and appear in no answer, and not in the store."""
    async with serving(Page("jobs 1\n")) as url:
        secret = url.replace("http://", "http://ada:hunter2-hunter2@")
        targets, probes = (LocalTarget(job="w", url=secret),), (LocalProbe(name="p", url=secret),)
        async with watching(tmp_path, targets=targets, probes=probes) as telemetry:

            async def looked() -> bool:
                return len(await telemetry.targets()) == 2

            await eventually(looked)

            told = await telemetry.targets()
            labels = await telemetry.label_values("instance", None, None)

    assert all(each.type == "up" for each in told)
    assert "hunter2" not in f"{told} {labels}"
    assert b"hunter2" not in (tmp_path / "local.db").read_bytes()


async def test_the_host_is_watched(tmp_path: Path) -> None:
    """Processor, memory, disks and network of this machine are there, under the names of the node exporter."""
    async with watching(tmp_path, host=True) as telemetry:

        async def looked() -> bool:
            return bool(await telemetry.instant("node_memory_MemTotal_bytes", None))

        await eventually(looked)

        names = set(await telemetry.metric_names())
        memory = await telemetry.instant("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", None)

    assert {"node_cpu_seconds_total", "node_load1", "node_network_receive_bytes_total", "node_boot_time_seconds"} <= names
    assert 0 < memory[0].value <= 1


async def test_an_alert_goes_from_pending_to_firing_and_ends(tmp_path: Path) -> None:
    """A rule is pending for its time, then fires with value and since, and its end is a transition."""
    page = Page("depth 9\n")
    rule = LocalRule(name="Deep", query="depth", threshold=5, for_seconds=0.4, labels={"severity": "page"}, summary="Too deep.")
    states: list[str] = []
    async with serving(page) as url, watching(tmp_path, targets=(LocalTarget(job="w", url=url),), rules=(rule,)) as telemetry:

        async def fires() -> bool:
            states.extend(each.state for each in await telemetry.alerts())
            return "firing" in states

        await eventually(fires)
        alerts = await telemetry.alerts()
        page.body = "depth 1\n"

        async def ended() -> bool:
            return not await telemetry.alerts()

        await eventually(ended)

        turns = await telemetry.transitions(last_hour())
        rules = await telemetry.rules()

    assert states[0] == "pending"
    assert [(each.name, each.state, each.value, each.summary, each.expr) for each in alerts] == [
        ("Deep", "firing", "9", "Too deep.", "depth > 5")
    ]
    assert alerts[0].labels["severity"] == "page"
    assert alerts[0].since is not None
    assert [(each.name, each.to) for each in turns] == [("Deep", "firing"), ("Deep", "resolved")]
    assert [(each.name, each.problem) for each in rules] == [("Deep", None)]


async def test_an_alert_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A restarted server knows since when an alert fires, and does not tell it as new."""
    rule = LocalRule(name="Deep", query="depth", threshold=5)
    async with serving(Page("depth 9\n")) as url:
        targets = (LocalTarget(job="w", url=url),)

        async def firing_since() -> datetime | None:
            async with watching(tmp_path, targets=targets, rules=(rule,)) as telemetry:
                asked = 0

                async def judged() -> bool:
                    nonlocal asked
                    looks = await telemetry.instant("count_over_time(ALERTS[1h])", None)
                    asked = int(looks[0].value) if looks else 0
                    return asked > already

                await eventually(judged)
                seen.append(asked)
                turns.append(len(await telemetry.transitions(last_hour())))
                return (await telemetry.alerts())[0].since

        already, seen, turns = 0, list[int](), list[int]()
        before = await firing_since()
        already = seen[-1]
        after = await firing_since()

    assert before == after
    assert turns == [1, 1]


async def test_a_broken_rule_is_a_finding(tmp_path: Path) -> None:
    """A rule that cannot be evaluated says why, and the others are evaluated."""
    rules = (LocalRule(name="Broken", query="absent(x)", threshold=0), LocalRule(name="Always", query="1", threshold=0))
    async with watching(tmp_path, rules=rules) as telemetry:

        async def judged() -> bool:
            return bool(await telemetry.alerts())

        await eventually(judged)

        found = await telemetry.rules()
        alerts = await telemetry.alerts()

    assert found[0].problem is not None
    assert "needs a Prometheus" in found[0].problem
    assert [each.name for each in alerts] == ["Always"]


async def test_a_silence_mutes_until_it_is_expired(tmp_path: Path) -> None:
    """A silence marks the alerts that it matches, with its id; expired, it marks none."""
    async with watching(tmp_path, rules=(LocalRule(name="Always", query="1", threshold=0, labels={"team": "a"}),)) as telemetry:

        async def judged() -> bool:
            return bool(await telemetry.alerts())

        await eventually(judged)
        now = datetime.now(UTC)
        matchers = (Matcher("alertname", "Alw.*", is_regex=True), Matcher("team", "b", is_equal=False))
        would = await telemetry.muted_by(matchers)
        key = await telemetry.save(SilenceRecord("", matchers, now, now + timedelta(hours=1), "ada", "planned work", active=True))
        muted = await telemetry.alerts()
        kept = await telemetry.silences()
        await telemetry.expire(key)
        after = await telemetry.alerts()

        with pytest.raises(NotFound):
            await telemetry.expire("no-such-silence")
        with pytest.raises(InvalidInput):
            await telemetry.muted_by([Matcher("team", "(", is_regex=True)])

    assert [each.name for each in would] == ["Always"]
    assert [(each.state, each.silenced_by) for each in muted] == [("silenced", [key])]
    assert [(each.silence_id, each.matchers, each.author, each.reason) for each in kept] == [
        (key, matchers, "ada", "planned work")
    ]
    assert [each.state for each in after] == ["firing"]


async def test_only_one_of_two_processes_watches(tmp_path: Path) -> None:
    """A second server on the same store reads what the first sees, and takes over when that one has ended."""
    page = Page("depth 1\n")
    async with serving(page) as url, contextlib.AsyncExitStack() as ends:
        targets = (LocalTarget(job="w", url=url, interval_seconds=3_600),)
        first_ends = await ends.enter_async_context(contextlib.AsyncExitStack())
        first = await first_ends.enter_async_context(watching(tmp_path, targets=targets))

        async def scraped() -> bool:
            return bool(await first.instant("depth", None))

        await eventually(scraped)
        second = await ends.enter_async_context(watching(tmp_path, targets=targets))
        seen = await second.instant("depth", None)
        asked = page.asked
        await first_ends.aclose()

        async def taken_over() -> bool:
            return page.asked > asked

        await eventually(taken_over)

    assert [each.value for each in seen] == [1.0]
    assert asked == 1


async def test_names_labels_and_series_are_found(tmp_path: Path) -> None:
    """Labels, their values and label sets can be asked for, narrowed by a selector and a window."""
    page = Page('hits{path="/a"} 1\nhits{path="/b"} 1\nmisses{path="/c"} 1\n')
    async with serving(page) as url, watching(tmp_path, targets=(LocalTarget(job="w", url=url),)) as telemetry:

        async def scraped() -> bool:
            return bool(await telemetry.instant("hits", None))

        await eventually(scraped)
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)

        names = await telemetry.label_names("hits", None)
        paths = await telemetry.label_values("path", "hits", last_hour())
        all_paths = await telemetry.label_values("path", None, None)
        sets = await telemetry.label_sets('{__name__=~"hits|misses",path!="/a"}', last_hour(), 10)
        never = await telemetry.label_sets("hits", Window(long_ago, long_ago), 10)

    assert names == ["__name__", "instance", "job", "path"]
    assert (paths, all_paths) == (["/a", "/b"], ["/a", "/b", "/c"])
    assert [(name, labels["path"]) for name, labels in sets] == [("hits", "/b"), ("misses", "/c")]
    assert never == []


async def test_a_store_that_cannot_be_written_is_not_ready(tmp_path: Path) -> None:
    """Where the file cannot be made, the source says so and the server still starts and stops."""
    (tmp_path / "file").write_text("in the way")
    async with watching(tmp_path / "file") as telemetry:
        reason = await telemetry.ready()

    assert reason is not None
    assert "cannot be used" in reason

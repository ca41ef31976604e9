"""Deployments that are seen from the versions that a metric shows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from opsroom_monitoring.models import Target, TelemetryItem
from opsroom_monitoring.series import Labels, Sample, Series, Window
from opsroom_monitoring.settings import SeriesChanges
from opsroom_monitoring.sources import Metadata, Result, Rule
from opsroom_monitoring.sources.changes import VersionSeries

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(hours=1), END)


class Recorded:
    """Metrics that are given, whatever is asked."""

    name = "recorded"

    def __init__(self, *series: Series) -> None:
        self.series, self.asked = list(series), [("", WINDOW, 0.0)]

    async def range(self, query: str, window: Window, step: float) -> Result:
        self.asked.append((query, window, step))
        return Result(self.series)

    async def ready(self) -> str | None:
        return "recorded long ago"

    async def aclose(self) -> None:
        raise AssertionError("the metrics belong to somebody else")

    async def instant(self, query: str, at: datetime | None) -> list[Sample]:
        raise NotImplementedError

    async def metric_names(self) -> Sequence[str]:
        raise NotImplementedError

    async def metadata(self) -> Mapping[str, Metadata]:
        raise NotImplementedError

    async def label_names(self, selector: str | None, window: Window | None) -> Sequence[str]:
        raise NotImplementedError

    async def label_values(self, label: str, selector: str | None, window: Window | None) -> Sequence[str]:
        raise NotImplementedError

    async def label_sets(self, selector: str, window: Window, limit: int) -> Sequence[tuple[str, Labels]]:
        raise NotImplementedError

    async def targets(self) -> Sequence[TelemetryItem]:
        raise NotImplementedError

    async def targets_down(self) -> Sequence[Target]:
        raise NotImplementedError

    async def rules(self) -> Sequence[Rule]:
        raise NotImplementedError


def seen(version: str, start: int, end: int, **labels: str) -> Series:
    """A version that was seen from *start* to *end* minutes before the end of the window, every 15 seconds."""
    first, last = END.timestamp() - start * 60, END.timestamp() - end * 60
    times = tuple(first + 15 * number for number in range(int((last - first) // 15) + 1))
    return Series({"job": "shop", "version": version, **labels}, times, (1.0,) * len(times))


async def minutes(*series: Series) -> list[tuple[str, str | None, float]]:
    """Service, release, and minutes before the end, of each deployment."""
    source = VersionSeries("build_info", SeriesChanges(kind="series"), Recorded(*series))
    return [(each.service, each.release, (END - each.at).total_seconds() / 60) for each in await source.changes(WINDOW, None)]


async def test_new_version_is_a_deployment() -> None:
    """Where another version follows, it was deployed when it was first seen."""
    assert await minutes(seen("1", 70, 30), seen("2", 30, 0)) == [("shop", "2", 30)]


async def test_rolling_update_is_one_deployment() -> None:
    """Instances follow one by one; the first of them is the time, and old ones that still run are no rollback."""
    found = await minutes(
        seen("1", 70, 31, instance="a"),
        seen("1", 70, 25, instance="b"),
        seen("2", 30, 0, instance="a"),
        seen("2", 24, 0, instance="b"),
    )

    assert found == [("shop", "2", 30)]


async def test_rollback_is_a_deployment() -> None:
    """A version that comes back after another one was deployed again."""
    assert await minutes(seen("1", 70, 40), seen("2", 40, 20), seen("1", 20, 0)) == [("shop", "1", 20), ("shop", "2", 40)]


async def test_gap_in_scraping_is_no_deployment() -> None:
    """The same version before and after a gap has not changed."""
    assert await minutes(seen("1", 70, 40), seen("1", 20, 0)) == []


async def test_what_ran_before_the_window_is_known() -> None:
    """A change in the first minute of the window is seen, one before it is not told."""
    assert await minutes(seen("1", 70, 60), seen("2", 60, 0)) == [("shop", "2", 60)]
    assert await minutes(seen("1", 70, 65), seen("2", 64, 0)) == []


async def test_new_service_is_no_change_of_it() -> None:
    """A service that nobody has seen before may have been scraped for the first time."""
    assert await minutes(seen("1", 30, 0)) == []


async def test_environments_are_apart() -> None:
    """Two environments run two versions without a deployment."""
    assert await minutes(seen("1", 70, 0, env="prod"), seen("2", 50, 0, env="staging")) == []


async def test_series_without_the_labels_are_left_out() -> None:
    """A series that names no version, or no service, tells nothing."""
    first, second = seen("1", 70, 30), seen("2", 30, 0)
    nameless = [Series({"version": each.labels["version"]}, each.times, each.values) for each in (first, second)]

    assert await minutes(*nameless, Series({"job": "shop"}, second.times, second.values)) == []


async def test_question_is_narrow_and_bounded() -> None:
    """One service is asked for by its label, with quotes escaped, ten minutes earlier, in at most 500 points."""
    metrics = Recorded()
    settings = SeriesChanges(kind="series", metric="app_info", service_label="app")

    await VersionSeries("app_info", settings, metrics).changes(Window(END - timedelta(days=7), END), 'a"b\\')

    query, window, step = metrics.asked[-1]
    assert query == 'app_info{app="a\\"b\\\\"}'
    assert window.start == END - timedelta(days=7, minutes=10)
    assert window.seconds / step <= 500


async def test_metrics_stay_open_and_say_whether_they_are_ready() -> None:
    """The source is only a way to look at somebody else's metrics."""
    source = VersionSeries("build_info", SeriesChanges(kind="series"), Recorded())

    assert await source.ready() == "recorded long ago"
    await source.aclose()

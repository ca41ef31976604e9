"""The store keeps a bounded past, and keeps it across restarts."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from opsroom_shared.errors import TooLarge, Unavailable

from .shelf import DAY, NOON, at_noon, exposed, fill, store_in


def test_history_outlives_a_restart(tmp_path: Path) -> None:
    """What was kept is there when the file is opened again, and goes on as the same series."""
    first = store_in(tmp_path)
    fill(first, "a", [(-120, 1.0)], job="x")
    first.close()

    second = store_in(tmp_path)
    fill(second, "a", [(-60, 2.0)], job="x")

    assert at_noon(second, "count_over_time(a[10m])") == {(("job", "x"),): 2.0}
    second.close()


def test_what_is_older_than_a_day_goes(tmp_path: Path) -> None:
    """Trimming drops old samples, and series that have none left."""
    store = store_in(tmp_path)
    fill(store, "old", [(-DAY - 10, 1.0)])
    fill(store, "new", [(-10, 1.0)])

    store.trim(NOON)

    assert list(store.names()) == ["new"]
    assert [each.name for each in store.known()] == ["new"]
    store.close()


def test_no_more_series_than_the_limit(tmp_path: Path) -> None:
    """A target whose labels never end does not fill the store; the series that were there go on."""
    store = store_in(tmp_path, max_series=10)

    left_out = [
        store.append("x", NOON + look, [exposed("a", float(look), n=str(look * 8 + number)) for number in range(8)])
        for look in range(3)
    ]

    assert len(store.known()) == 10
    assert left_out == [0, 6, 8]
    store.close()


def test_no_more_bytes_than_the_limit(tmp_path: Path) -> None:
    """Where the file grows too large, the oldest samples go first."""
    store = store_in(tmp_path, max_bytes=1 << 20)
    names = [(f"m{number}", ()) for number in range(100)]
    times = NOON - 4_000 + np.arange(4_000.0)
    store.append_history("x", names, times, np.ones((4_000, 100)))

    store.trim(NOON)

    assert store.bytes_used() <= 1 << 20
    assert (tmp_path / "telemetry.db").stat().st_size < 3 << 20
    kept = store.read(store.known("m0"), NOON - DAY, NOON)[0].times
    assert kept[-1] == times[-1]
    assert kept[0] > times[0]
    store.close()


def test_a_loud_log_does_not_push_out_the_metrics(tmp_path: Path) -> None:
    """Where the file grows too large, what takes most of it goes first."""
    store = store_in(tmp_path, max_bytes=1 << 20)
    fill(store, "a", [(-600, 1.0), (-1, 2.0)])
    store.add_lines("x.log", (1, 1), {"service": "loud"}, [(NOON - 500 + number / 10, "x" * 1_000) for number in range(4_000)])

    store.trim(NOON)

    kept = [at for at, _, _ in store.log_lines(0, NOON)]
    assert len(store.read(store.known("a"), NOON - DAY, NOON)[0].times) == 2
    assert kept[0] == NOON - 500 + 399.9
    assert len(kept) < 2_000
    store.close()


def test_a_series_that_is_gone_ends_at_once(tmp_path: Path) -> None:
    """A series that its source no longer has is absent from the next look on, and not for five minutes as it was."""
    store = store_in(tmp_path)
    store.append("x", NOON - 30, [exposed("a", 1.0), exposed("b", 1.0)])
    store.append("x", NOON - 15, [exposed("b", 1.0)])

    assert at_noon(store, "a") == {}
    assert at_noon(store, "a", -16.0) == {(("__name__", "a"),): 1.0}
    store.close()


def test_a_source_that_is_silent_counts_for_five_minutes(tmp_path: Path) -> None:
    """Without a new look the last value stands for five minutes, as in Prometheus."""
    store = store_in(tmp_path)
    fill(store, "a", [(-299, 7.0)])

    assert list(at_noon(store, "a").values()) == [7.0]
    assert at_noon(store, "a", 2.0) == {}
    store.close()


def test_two_processes_can_use_one_file(tmp_path: Path) -> None:
    """A second store on the same file sees the series that the first adds after it was opened."""
    first, second = store_in(tmp_path), store_in(tmp_path)
    fill(first, "a", [(-20, 1.0)])
    before = list(second.names())
    fill(first, "b", [(-10, 1.0)])

    assert before == ["a"]
    assert list(second.names()) == ["a", "b"]
    first.close()
    second.close()


async def test_a_file_that_is_no_store_is_said(tmp_path: Path) -> None:
    """A broken file is an unavailable source with a reason, not a defect."""
    (tmp_path / "telemetry.db").write_bytes(b"this is no database" * 500)
    store = store_in(tmp_path)

    with pytest.raises(Unavailable, match="not a database"):
        await store.run(lambda here: here.names())

    await store.aclose()


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """A store of a version that is not known is left alone, and the reason says what to do."""
    connection = sqlite3.connect(tmp_path / "telemetry.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = store_in(tmp_path)

    with pytest.raises(Unavailable, match="another version"):
        store.now(lambda here: here.names())


def test_a_history_of_too_many_series_is_refused(tmp_path: Path) -> None:
    """A history of more series than are kept is refused as a whole, and leaves nothing behind."""
    store = store_in(tmp_path, max_series=3)

    with pytest.raises(TooLarge):
        store.append_history("x", [(f"m{number}", ()) for number in range(5)], np.array([NOON]), np.ones((1, 5)))

    assert list(store.names()) == []
    store.close()

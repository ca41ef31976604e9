"""Log files are followed across rotation and restarts, and searched."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opsroom_monitoring.series import Window
from opsroom_monitoring.settings import LocalLog, LocalSettings
from opsroom_monitoring.sources import LogQuery
from opsroom_monitoring.sources.local import LocalTelemetry
from opsroom_monitoring.sources.local.log_files import LogFiles, time_of
from opsroom_monitoring.sources.local.log_query import parse_log_query
from opsroom_monitoring.sources.local.store import Store
from opsroom_shared.errors import InvalidInput

from .shelf import NOON, store_in


def texts(store: Store) -> list[str]:
    """The lines that are kept, oldest first."""
    return [text for _, _, text in reversed(list(store.log_lines(0, NOON + 1e6)))]


def follower(folder: Path) -> LogFiles:
    return LogFiles((LocalLog(service="shop", path=str(folder / "*.log")),))


def test_what_is_added_is_kept_once(tmp_path: Path) -> None:
    """Every look takes the new whole lines; one that is not ended yet waits."""
    store, files, log = store_in(tmp_path), follower(tmp_path), tmp_path / "a.log"
    log.write_text("one\ntwo\nthr")
    files.follow(store, NOON)
    first = texts(store)
    with log.open("a") as file:
        file.write("ee\n")
    files.follow(store, NOON + 1)
    files.follow(store, NOON + 2)

    assert first == ["one", "two"]
    assert texts(store) == ["one", "two", "three"]
    store.close()


def test_rotation_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """What was written to the old file before it was renamed is read, then the new file from its start."""
    store, files, log = store_in(tmp_path), follower(tmp_path), tmp_path / "a.log"
    log.write_text("one\n")
    files.follow(store, NOON)
    with log.open("a") as file:
        file.write("two\n")
    log.rename(tmp_path / "a.log.1")
    log.write_text("three\n")
    files.follow(store, NOON + 1)
    files.follow(store, NOON + 2)

    assert texts(store) == ["one", "two", "three"]
    store.close()


def test_a_file_that_was_cut_is_read_from_its_start(tmp_path: Path) -> None:
    """A truncated file is a new one."""
    store, files, log = store_in(tmp_path), follower(tmp_path), tmp_path / "a.log"
    log.write_text("one\ntwo\n")
    files.follow(store, NOON)
    log.write_text("new\n")
    files.follow(store, NOON + 1)

    assert texts(store) == ["one", "two", "new"]
    store.close()


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """The place in each file is kept with the lines."""
    store, log = store_in(tmp_path), tmp_path / "a.log"
    log.write_text("one\n")
    follower(tmp_path).follow(store, NOON)
    store.close()
    with log.open("a") as file:
        file.write("two\n")

    again = store_in(tmp_path)
    follower(tmp_path).follow(again, NOON + 60)

    assert texts(again) == ["one", "two"]
    again.close()


def test_a_large_file_is_read_from_near_its_end(tmp_path: Path) -> None:
    """Of a file that is met for the first time only the newest part is taken, from a whole line on."""
    store = store_in(tmp_path)
    (tmp_path / "a.log").write_text("".join(f"line {number:07d}\n" for number in range(300_000)))

    follower(tmp_path).follow(store, NOON)

    kept = texts(store)
    assert kept[-1] == "line 0299999"
    assert kept[0].startswith("line ")
    assert 100_000 < len(kept) < 200_000
    store.close()


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"caf\xc3\xa9 \xff\xfe\n", ["café \ufffd\ufffd"]),
        (b"\x1b[31mred\x1b[0m\x00\x07\n", ["red"]),
        (b"\r\n\n\n", []),
        (b"x" * 5_000 + b"\n", None),
        (b"no end " + b"y" * 300_000, None),
    ],
)
def test_hostile_bytes_become_bounded_text(tmp_path: Path, data: bytes, kept: list[str] | None) -> None:
    """Bytes that are no text, terminal sequences and lines without end are made harmless."""
    store = store_in(tmp_path)
    (tmp_path / "a.log").write_bytes(data)

    follower(tmp_path).follow(store, NOON)

    found = texts(store)
    assert all(len(line) <= 2_000 for line in found)
    assert found == kept if kept is not None else len(found) == 1
    store.close()


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """A folder or a pipe under the name of a log does not hold the others."""
    store = store_in(tmp_path)
    (tmp_path / "a.log").mkdir()
    (tmp_path / "b.log").write_text("one\n")

    follower(tmp_path).follow(store, NOON)

    assert texts(store) == ["one"]
    store.close()


def test_lines_have_their_own_times(tmp_path: Path) -> None:
    """A line's time is the one it carries; a line without one belongs to the line before it."""
    store = store_in(tmp_path)
    (tmp_path / "a.log").write_text(
        "2026-11-24T10:00:00.250Z ERROR broken\n  at line 7\n2026-11-24 12:00:01,5+02:00 INFO again\n"
    )

    follower(tmp_path).follow(store, NOON + 1e6)

    at = datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp()
    assert sorted(each[0] for each in store.log_lines(0, NOON + 1e6)) == pytest.approx([at + 0.25, at + 0.25, at + 1.5])
    store.close()


@pytest.mark.parametrize("line", ["2026-13-45T99:99:99Z", "no time", "x" * 300 + "2026-11-24T10:00:00Z", "0000-00-00 00:00:00"])
def test_what_is_no_time_is_none(line: str) -> None:
    """Numbers that look like a time but are none are not taken for one."""
    assert time_of(line) is None


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("timeout", ["a"]),
        ("TIMEOUT 17", ["a"]),
        ('{service="shop"}', ["a", "b"]),
        ('{service="shop"} |= "order" != "17"', ["b"]),
        ('{service=~"sh.*"} |~ "order \\\\d+ time"', ["a"]),
        ('{service="shop"} |~ `order \\d+ placed`', ["b"]),
        ('{service="shop"} !~ "time"', ["b"]),
        ('{service="other"}', []),
        ("{}", ["a", "b"]),
    ],
)
def test_lines_are_chosen_by_labels_and_words(query: str, wanted: list[str]) -> None:
    """Plain words and the simple part of LogQL choose lines."""
    lines = {"a": "ERROR order 17 timeout", "b": "INFO order 23 placed"}

    chosen = parse_log_query(query)

    assert [key for key, text in lines.items() if chosen.wants_labels({"service": "shop"}) and chosen.wants(text)] == wanted


@pytest.mark.parametrize(
    "query",
    [
        '{service="shop"} | json',
        '{service="shop"',
        '{service="shop"} |~ "(?=a)"',
        "{service=shop}",
        "x" * 3_000,
        "{" * 1_000,
        '{service="shop"}' + ' |= "a"' * 20,
    ],
)
def test_a_search_that_is_not_understood_is_refused(query: str) -> None:
    """More of LogQL is refused rather than taken for words."""
    with pytest.raises(InvalidInput):
        parse_log_query(query)


async def test_the_newest_lines_come_first(tmp_path: Path) -> None:
    """A search gives the newest lines that match, up to the limit, and counts all of them."""
    now = datetime.now(UTC)
    log = tmp_path / "a.log"
    log.write_text(
        "".join(f"{now - timedelta(seconds=100 - number):%Y-%m-%dT%H:%M:%S}Z order {number}\n" for number in range(100))
    )
    settings = LocalSettings(store=tmp_path / "local.db", host=False, logs=(LocalLog(service="shop", path=str(log)),))
    telemetry = LocalTelemetry("local", settings)
    LogFiles(settings.logs).follow(store := store_in(tmp_path), now.timestamp())
    store.close()
    (tmp_path / "telemetry.db").rename(tmp_path / "local.db")
    query = LogQuery('{service="shop"} |= "order"', Window(now - timedelta(hours=1), now), 3)

    lines = await telemetry.lines(query)
    count = await telemetry.count(query)
    size = await telemetry.scan_bytes(query)
    await telemetry.aclose()

    assert [each.text.split()[-1] for each in lines] == ["99", "98", "97"]
    assert lines[0].labels == {"service": "shop", "filename": str(log)}
    assert count == 100
    assert size is not None
    assert size > 2_000

"""What has been shown of a version, and what has not."""

from opsroom_code_review.diffs import FileDiff, Hunk, Line
from opsroom_code_review.readings import Readings


def changed(path: str, lines: int) -> FileDiff:
    return FileDiff(path, "modified", hunks=(Hunk(tuple(Line("+", "x", None, n) for n in range(1, lines + 1))),))


FILES = [changed("a", 10), changed("b", 5), FileDiff("logo", "added", binary=True), FileDiff("moved", "renamed", old_path="m")]


def test_a_file_is_read_when_all_its_pages_were() -> None:
    """Pages count from the first line on; a gap is no reading."""
    readings = Readings()
    before = readings.unread("c", "1", FILES)

    readings.note("c", "1", None, FILES, {"a": (0, 4), "b": (2, 5)})
    half = readings.unread("c", "1", FILES)
    readings.note("c", "1", None, FILES, {"a": (4, 10), "b": (0, 5)})

    assert (before, half, readings.unread("c", "1", FILES)) == (["a", "b"], ["a", "b"], [])
    assert readings.unread("c", "2", FILES) == ["a", "b"]
    assert readings.unread("other", "1", FILES) == ["a", "b"]


def test_what_is_different_since_a_read_version_is_enough() -> None:
    """Version by version, each compared with one that was read; a comparison with one that was not is nothing."""
    readings = Readings()
    readings.note("c", "1", None, FILES, {"a": (0, 10), "b": (0, 5)})
    readings.note("c", "2", "1", [changed("a", 3)], {"a": (0, 3)})
    readings.note("c", "3", "2", [], {})
    readings.note("c", "5", "4", [], {})

    assert readings.unread("c", "3", FILES) == []
    assert readings.unread("c", "5", FILES) == ["a", "b"]


def test_a_withheld_file_is_read_as_a_file() -> None:
    """A diff that a system does not send is read by reading the file of that version."""
    files = [FileDiff("big", "modified", withheld="too large")]
    readings = Readings()
    readings.note("c", "1", None, files, {})
    readings.whole_file("c", "2", "big")
    before = readings.unread("c", "1", files)

    readings.whole_file("c", "1", "big")

    assert (before, readings.unread("c", "1", files)) == (["big"], [])

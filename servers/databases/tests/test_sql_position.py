"""Showing a place in a statement."""

import pytest
from opsroom_databases.sql_position import marked, marked_name


@pytest.mark.parametrize(
    ("sql", "position", "shown"),
    [
        ("SELECT x", 7, "SELECT x\n       ^"),
        ("SELECT\n  x\nFROM t", 9, "  x\n  ^"),
        ("", 0, "\n^"),
        ("abc", 99, "abc\n   ^"),
        ("a" * 100 + "b" + "c" * 100, 100, "…" + "a" * 60 + "b" + "c" * 39 + "…\n" + " " * 61 + "^"),
        ("a\tb\x1b", 2, "a b \n  ^"),
    ],
)
def test_place_is_marked(sql: str, position: int, shown: str) -> None:
    """The line is cut to a window, and the caret stands below the place."""
    assert marked(sql, position) == shown


def test_name_is_found_as_a_word() -> None:
    """A name is marked where it stands alone, not inside another word."""
    assert marked_name("SELECT idx, ID FROM t", "id") == "\nSELECT idx, ID FROM t\n            ^"
    assert not marked_name("SELECT a", "missing")

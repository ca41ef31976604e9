"""How values are shown."""

import csv
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_databases.cells import Cell, blob, number, text, to_csv

SHOWN = st.one_of(
    st.none(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, 1),
        (-(2**53), -(2**53)),
        (2**53 + 1, "9007199254740993"),
        (-(2**63), "-9223372036854775808"),
        (0.1, 0.1),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (True, True),
    ],
)
def test_number_is_exact(value: float, shown: Cell) -> None:
    """A number that a reader of JSON could round or not read at all is given as text."""
    assert number(value) == shown


@given(st.one_of(st.integers(), st.floats()))
def test_number_survives_json(value: float) -> None:
    """What comes out of strict JSON says the same number again."""
    shown = json.loads(json.dumps(number(value), allow_nan=False))

    assert math.isnan(value) if shown == "NaN" else type(value)(shown) == value


@pytest.mark.parametrize(
    ("value", "limit", "shown"),
    [
        ("plain", 10, "plain"),
        ("x" * 30, 10, "xxxxxxxxxx… (+20 characters)"),
        ("\x1b[31mred\x1b[0m\x07", 20, "red"),
        ("left\u202eright", 20, "leftright"),
        ("two\nlines\tand a tab", 30, "two\nlines\tand a tab"),
    ],
)
def test_text_is_harmless_and_bounded(value: str, limit: int, shown: str) -> None:
    """Terminal escapes and direction overrides go, and long text is cut with a mark."""
    assert text(value, limit) == shown


def test_cut_text_says_how_much_is_missing() -> None:
    """Where only the start is at hand, the mark counts from the whole length."""
    assert text("abc", 3, 1_000) == "abc… (+997 characters)"


def test_blob_is_length_and_hash() -> None:
    """A blob's bytes are never shown."""
    assert blob(3, "abcd") == "<blob of 3 bytes, sha256 abcd…>"


def test_null_and_empty_differ() -> None:
    """NULL, the empty string and the word NULL are three different things in the table."""
    assert to_csv(["a", "b", "c"], [[None, "", "NULL"]]) == 'a,b,c\nNULL,"","NULL"'


@given(st.lists(st.lists(SHOWN, min_size=2, max_size=2), max_size=5))
def test_csv_reads_back(rows: list[list[Cell]]) -> None:
    """A CSV reader gets the same fields back."""
    table = to_csv(["first", "second"], rows)

    expected = [["NULL" if value is None else str(value) for value in row] for row in rows]
    assert list(csv.reader(table.splitlines(keepends=True)))[1:] == expected

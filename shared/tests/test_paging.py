"""Cursors."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from opsroom_shared.errors import InvalidInput
from opsroom_shared.paging import MAX_CURSOR, Cursors
from pydantic import JsonValue

JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
CURSORS = Cursors()


@given(ANY_TEXT, JSON)
def test_round_trip(question: str, position: JsonValue) -> None:
    """A cursor leads back to its position, for the same question."""
    assert CURSORS.decode(question, CURSORS.encode(question, position)) == position


@given(JSON, st.data())
def test_altered_cursor_is_refused(position: JsonValue, data: st.DataObject) -> None:
    """A cursor in which any character was changed, added or left out is refused."""
    cursor = CURSORS.encode("q", position)
    at = data.draw(st.integers(0, len(cursor)))
    put = data.draw(st.text("abcXYZ019-_=+/ \né", max_size=2))
    altered = cursor[:at] + put + cursor[at + data.draw(st.integers(0, 2)) :]
    assume(altered != cursor)

    with pytest.raises(InvalidInput):
        CURSORS.decode("q", altered)


@given(ANY_TEXT)
def test_any_text_is_refused(text: str) -> None:
    """Whatever a caller sends as a cursor, it is refused and nothing falls over."""
    with pytest.raises(InvalidInput):
        CURSORS.decode("q", text)


def test_cursor_of_another_question_is_refused() -> None:
    """A cursor is only good for the question that it was made for."""
    with pytest.raises(InvalidInput, match="another call"):
        CURSORS.decode("select 2", CURSORS.encode("select 1", 5))


def test_cursor_of_another_process_is_refused() -> None:
    """A cursor of another process is refused, unless both were given one key."""
    with pytest.raises(InvalidInput, match="expired"):
        CURSORS.decode("q", Cursors().encode("q", 5))

    assert Cursors(b"k" * 16).decode("q", Cursors(b"k" * 16).encode("q", 5)) == 5


def test_short_key_is_refused() -> None:
    """A key that could be guessed is refused."""
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Cursors(b"k")


def test_cursor_fits_its_own_limit() -> None:
    """A position that would make a cursor longer than is accepted back is refused when it is made."""
    longest = CURSORS.encode("q", "x" * 3_000)

    assert len(longest) <= MAX_CURSOR
    with pytest.raises(ValueError, match="does not fit"):
        CURSORS.encode("q", "x" * 3_100)


def test_long_cursor_is_refused() -> None:
    """A cursor longer than any that was made is refused unread."""
    with pytest.raises(InvalidInput):
        CURSORS.decode("q", "A" * 10_000_000)

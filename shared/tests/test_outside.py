"""Text from outside."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_shared.outside import clean

HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=5),
        st.sampled_from(["\x1b", "\x1b[", "\x1b[31m", "\x1b]0;t\x07", "\x1b]", "\x9b", "\x9b1m", "\x07", "\x9c", "m", "\ud800"]),
    )
).map("".join)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred\x9b0m", "red"),
        ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"),
        ("\x1b]0;this hides all that follows", "0;this hides all that follows"),
        ("over\rwritten\x08\x7f", "overwritten"),
        ("\x1b\x1b[31m[31mx", "[31mx"),
        ("ab\u202edc\u2066e\u061cf", "abdcef"),
        ("a\u200bb\u2060c\ufeffd\u00ade", "abcde"),
        ("flag\U000e0067\U000e0062\ufe01\U000e0100", "flag"),
        ("bad\ud800byte", "badbyte"),
        ("👩\u200d🔧 نمی\u200cشد ❤\ufe0f", "👩\u200d🔧 نمی\u200cشد ❤\ufe0f"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    """Controls, terminal sequences and invisible marks go; what people write in any script stays."""
    assert clean(text) == shown


@given(HOSTILE)
def test_nothing_dangerous_is_left(text: str) -> None:
    """Whatever comes in, what is left has no controls but tab and newline, can be encoded, and is clean already."""
    shown = clean(text)

    assert all(char in "\t\n" or unicodedata.category(char) not in ("Cc", "Cs") for char in shown)
    assert shown.encode().decode() == shown
    assert clean(shown) == shown


@given(HOSTILE, st.integers(0, 60))
def test_limit_is_kept(text: str, limit: int) -> None:
    """A limit holds for the whole result, and cleaning it again changes nothing."""
    shown = clean(text, limit)

    assert len(shown) <= limit
    assert clean(shown, limit) == shown
    assert len(clean(text)) > limit or shown == clean(text)


@pytest.mark.parametrize(
    ("limit", "shown"), [(100, "x" * 100), (99, "x" * 80 + "… (+20 characters)"), (10, "xxxxxxxxx…"), (1, "…"), (0, "")]
)
def test_cut_says_how_much_is_missing(limit: int, shown: str) -> None:
    """A cut text says how much of it is missing, where there is room for it."""
    assert clean("x" * 100, limit) == shown


def test_sequence_across_the_cut_goes_as_a_whole() -> None:
    """A terminal sequence that stands where the text is cut leaves no remainder."""
    assert clean("x" * 38 + "\x1b[38;5;196m" + "y" * 100, 60) == "x" * 38 + "yyy" + "… (+97 characters)"

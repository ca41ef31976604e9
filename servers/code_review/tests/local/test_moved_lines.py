"""Lines that are followed from one version of a file to another."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_code_review.diff_parser import parse_hunks
from opsroom_code_review.diffs import Hunk
from opsroom_code_review.providers.local.moved_lines import found_again, moved, moved_range

LINES = st.lists(st.integers(1, 30), unique=True, max_size=20)


def hunks(old: list[str], new: list[str], context: int) -> tuple[Hunk, ...]:
    patch = list(difflib.unified_diff(old, new, "a/f", "b/f", lineterm="", n=context))
    return parse_hunks("".join(f"{line}\n" for line in patch))


@given(LINES, LINES, st.integers(0, 4))
def test_a_line_is_where_its_text_is(old: list[int], new: list[int], context: int) -> None:
    """Whatever was put in or taken out: a line that stayed has the number at which its text stands."""
    before, after = [str(number) for number in old], [str(number) for number in new]
    found = hunks(before, after, context)

    for at, text in enumerate(before, 1):
        now = moved(at, found)
        assert now is None or after[now - 1] == text


@given(LINES, st.integers(0, 20))
def test_no_line_is_lost_by_an_insertion(old: list[int], place: int) -> None:
    """Where something is only put in, every line is found again."""
    before = [str(number) for number in old]
    at = min(place, len(before))
    after = [*before[:at], "new", *before[at:]]
    found = hunks(before, after, 0)

    assert [moved(line, found) for line in range(1, len(before) + 1)] == [after.index(text) + 1 for text in before]


def test_a_range_whose_inside_changed_is_gone() -> None:
    """A comment on several lines is about all of them."""
    found = hunks(["a", "b", "c"], ["x", "a", "new", "b", "c"], 0)

    assert moved_range(1, 2, found) is None
    assert moved_range(2, 3, found) == (4, 5)


@pytest.mark.parametrize(
    ("quoted", "near", "line"),
    [(("b",), 2, 2), (("c",), 1, 4), (("b",), 1, None), (("b", "c"), 1, 3), (("z",), 1, None), ((), 1, None)],
)
def test_quoted_lines_are_found_again_where_they_are_told_apart(quoted: tuple[str, ...], near: int, line: int | None) -> None:
    """At the old place, or at the only one; never at a guess."""
    assert found_again(quoted, ["a", "b", "b", "c"], near) == line

"""Context lines around what changed, with and without the text of the file."""

import difflib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_code_review.diff_context import with_context
from opsroom_code_review.diff_parser import parse_hunks
from opsroom_code_review.diffs import Hunk


def lines_of(text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def compared(old: str, new: str, context: int) -> tuple[Hunk, ...]:
    """The hunks that difflib makes, with as much context."""
    lines = list(difflib.unified_diff(lines_of(old), lines_of(new), n=context))[2:]
    return parse_hunks("".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines))


def flat(hunks: Sequence[Hunk]) -> list[str]:
    return [f"{line.old} {line.new} {line.sign}{line.text} {line.ends}" for hunk in hunks for line in hunk.lines]


TEXTS = st.lists(st.sampled_from("abc"), max_size=30).map("\n".join) | st.lists(st.sampled_from("abc"), max_size=30).map(
    lambda lines: "".join(f"{line}\n" for line in lines)
)


@given(TEXTS, TEXTS, st.integers(0, 12))
def test_more_context_is_what_a_wider_diff_has(old: str, new: str, context: int) -> None:
    """From a diff with three lines and the new text comes what a diff with any other number of them has."""
    narrow = compared(old, new, 3)

    wide = with_context(narrow, context, new)

    assert flat(wide) == flat(compared(old, new, context))


@given(TEXTS, TEXTS, st.integers(0, 3))
def test_less_context_needs_no_text(old: str, new: str, context: int) -> None:
    """Fewer lines than there are can be cut without the text, and nothing that changed is lost."""
    narrow = with_context(compared(old, new, 3), context)

    assert flat(narrow) == flat(compared(old, new, context))


@pytest.mark.parametrize("text", ["", "something else\n", "one\n2\n2b\nTHREE\n", "one\n2\n2b"])
def test_a_text_that_does_not_fit(text: str) -> None:
    """A text that is not what the hunks lead to adds no line: it would not be in the file."""
    hunks = parse_hunks("@@ -1,3 +1,4 @@ def f():\n one\n-two\n+2\n+2b\n three")

    shown = with_context(hunks, 9, text)

    assert shown == hunks


def test_headings_stay() -> None:
    """A hunk that is cut or widened keeps the heading of what changed in it."""
    hunks = parse_hunks("@@ -1,2 +1,2 @@ first\n-a\n+b\n c\n@@ -20,2 +20,2 @@ second\n x\n-y\n+z")

    shown = with_context(hunks, 0)

    assert [hunk.heading for hunk in shown] == ["first", "second"]

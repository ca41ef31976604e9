"""Files with the changes of a diff."""

import difflib

from hypothesis import given
from hypothesis import strategies as st
from opsroom_code_review.diff_parser import parse_patch
from opsroom_code_review.diffs import FileDiff
from opsroom_code_review.providers.phabricator.applying import applied

TEXTS = st.lists(st.sampled_from(["a\n", "b\n", "\n", "c\r\n"]), max_size=12).flatmap(
    lambda lines: st.sampled_from(["", "end"]).map(lambda end: "".join(lines) + end)
)


def _diff(before: str, after: str, context: int) -> FileDiff | None:
    lines = list(difflib.unified_diff(_lines(before), _lines(after), "a/f", "b/f", n=context))
    text = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return parse_patch(text)[0] if text else None


def _lines(text: str) -> list[str]:
    return [line + "\n" for line in text.split("\n")[:-1]] + ([last] if (last := text.rsplit("\n", 1)[-1]) else [])


@given(before=TEXTS, after=TEXTS, context=st.integers(0, 4))
def test_gives_what_the_diff_leads_to(before: str, after: str, context: int) -> None:
    """Whatever the texts, their line ends and the context are."""
    file = _diff(before, after, context)

    assert (applied(before, file) if file else before) == after


@given(before=TEXTS, after=TEXTS, other=TEXTS)
def test_never_gives_a_line_that_does_not_fit(before: str, after: str, other: str) -> None:
    """On another text, either every old line of the diff stands where it says, or there is no result."""
    file = _diff(before, after, 2)
    there = [line.removesuffix("\n") for line in _lines(other)]

    if file is not None and applied(other, file) is not None:
        assert all(there[line.old - 1] == line.text for line in file.lines() if line.old is not None)

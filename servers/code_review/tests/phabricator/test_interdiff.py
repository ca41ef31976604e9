"""What lies between two versions, worked out without their files."""

import difflib

from hypothesis import given
from hypothesis import strategies as st
from opsroom_code_review.diff_parser import parse_patch
from opsroom_code_review.diffs import FileDiff
from opsroom_code_review.providers.phabricator.interdiff import between

LINES = st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=14)


def _patch(before: list[str], after: list[str], context: int = 3) -> list[FileDiff]:
    head = ["--- a/f" if before else "--- /dev/null", "+++ b/f" if after else "+++ /dev/null"]
    body = list(difflib.unified_diff(before, after, n=context, lineterm=""))[2:]
    return parse_patch("\n".join([*head, *body, ""])) if body else []


def _applied(lines: list[str], files: list[FileDiff]) -> list[str]:
    """*lines* changed by what is between: every line has to be where its number says."""
    result, at = list[str](), 0
    for file in files:
        for line in file.lines():
            if line.old is not None:
                assert lines[line.old - 1] == line.text
                result += lines[at : line.old - 1]
                at = line.old
            elif line.new is not None:
                kept = line.new - 1 - len(result)
                result += lines[at : at + kept]
                at += kept
            if line.sign != "-":
                result.append(line.text)
    result += lines[at:]
    for file in files:
        assert all(result[line.new - 1] == line.text for line in file.lines() if line.new is not None)
    return result


@given(base=LINES.filter(bool), first=LINES.filter(bool), second=LINES.filter(bool), context=st.integers(0, 5))
def test_leads_from_one_version_to_the_other(base: list[str], first: list[str], second: list[str], context: int) -> None:
    """Applied to the first version it gives the second, whatever both do to a base that is not known as a whole."""
    files = between(_patch(base, first), _patch(base, second), context=context)

    assert all(file.withheld is None for file in files)
    assert _applied(first, files) == second


@given(first=LINES, second=LINES)
def test_a_file_that_both_add(first: list[str], second: list[str]) -> None:
    """A new file has no base at all."""
    files = between(_patch([], first), _patch([], second), context=3)

    assert _applied(first, files) == second


def test_lines_far_from_each_other_stay_apart() -> None:
    """What neither version shows is skipped, and the numbers go on behind it."""
    base = [f"line {number}" for number in range(100)]
    first, second = ["new", *base[1:]], [*base[:90], "other", *base[91:]]

    found = between(_patch(base, first), _patch(base, second), context=2)

    assert _applied(first, found) == second
    assert [(hunk.lines[0].old or hunk.lines[0].new, len(hunk.lines)) for hunk in found[0].hunks] == [(1, 4), (89, 6)]


def test_other_bases_are_withheld() -> None:
    """Where the versions show different lines at one place of the base, nothing is made up."""
    found = between(_patch(["a", "b"], ["a", "x"]), _patch(["A", "b"], ["A", "y"]), context=3)

    assert found[0].withheld is not None
    assert "different bases" in found[0].withheld
    assert found[0].hunks == ()


def test_files_that_come_and_go() -> None:
    """A file that only one version touches differs by all that this version does to it."""
    added, changed = _patch([], ["a"]), _patch(["a", "b"], ["a", "c"])

    gone = between(added, [], context=3)
    come = between([], added, context=3)
    undone = between(changed, [], context=3)

    assert [(file.kind, file.removed) for file in gone] == [("deleted", 1)]
    assert [(file.kind, file.added) for file in come] == [("added", 1)]
    assert _applied(["a", "c"], undone) == ["a", "b"]


def test_binaries_are_told_without_lines() -> None:
    """Two binary versions that differ are named."""
    one = FileDiff("logo.png", "modified", binary=True)
    other = FileDiff("logo.png", "added", binary=True)

    found = between([one], [other], context=3)

    assert [(file.path, file.binary, file.hunks) for file in found] == [("logo.png", True, ())]


def test_too_much_to_compare_is_withheld() -> None:
    """A comparison that would take too long is not made."""
    first = FileDiff("big", "added", hunks=parse_patch("--- /dev/null\n+++ b/big\n" + _all_new("a", 6000))[0].hunks)
    second = FileDiff("big", "added", hunks=parse_patch("--- /dev/null\n+++ b/big\n" + _all_new("b", 6000))[0].hunks)

    found = between([first], [second], context=3)

    assert found[0].withheld == "too large to compare the two versions"


def _all_new(letter: str, count: int) -> str:
    return f"@@ -0,0 +1,{count} @@\n" + "".join(f"+{letter}{number}\n" for number in range(count))

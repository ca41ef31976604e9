"""Pages of diffs: numbered, bounded, and nothing lost between them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opsroom_code_review.diff_parser import parse_patch
from opsroom_code_review.diff_text import Rendered, page, visible
from opsroom_code_review.diffs import FileDiff, Hunk, Line

NUMBERED = re.compile(r"^( *\d*) ( *\d*) ([ +-])(.*)$")


def added(path: str, count: int, text: str = "x = 1") -> FileDiff:
    lines = tuple(Line("+", f"{text} {number}", None, number) for number in range(1, count + 1))
    return FileDiff(path, "added", hunks=(Hunk(lines),), added=count)


def pages(files: list[FileDiff], *, context: int = 3, max_chars: int = 1_000) -> list[Rendered]:
    found = [page(files, context=context, max_chars=max_chars)]
    while found[-1].following is not None:
        found.append(page(files, context=context, max_chars=max_chars, start=found[-1].following))
    return found


def shown(found: list[Rendered]) -> list[tuple[str, str, str]]:
    """Path, sign and text of every line of *found*."""
    rows = [(file.path, NUMBERED.match(line)) for part in found for file in part.files for line in file.text.split("\n")]
    return [(path, row[3], row[4]) for path, row in rows if row]


def test_prints_the_numbers_of_both_sides() -> None:
    """A reader sees where each line stands before and after, under the definition that it belongs to."""
    (file,) = parse_patch("--- a/f\n+++ b/f\n@@ -8,4 +8,4 @@ def old():\n     a\n-    b\n+    c\n+    d\n-    e\n     f\n")

    (part,) = page([file], context=3, max_chars=1_000).files

    assert part.text.split("\n") == [
        "@@ def old():",
        " 8  8      a",
        " 9    -    b",
        "    9 +    c",
        "   10 +    d",
        "10    -    e",
        "11 11      f",
    ]
    assert [(each.side, each.start, each.end) for each in part.commentable] == [("new", 8, 11), ("old", 9, 10)]


@pytest.mark.parametrize(("context", "expected"), [(0, 2), (1, 4), (3, 8), (50, 100)])
def test_shows_as_much_context_as_was_asked_for(context: int, expected: int) -> None:
    """What a system sends beyond that, up to whole files, is left out."""
    lines = [Line(" ", f"l{n}", n, n) for n in range(1, 100)]
    lines[49:50] = [Line("-", "l50", 50, None), Line("+", "new", None, 50)]

    part = page([FileDiff("f", "modified", hunks=(Hunk(tuple(lines)),))], context=context, max_chars=100_000)

    assert len(shown([part])) == expected


def test_comments_are_offered_within_reach_only() -> None:
    """With more context than a system takes comments on, the far lines are shown and not offered."""
    lines = (*[Line(" ", "x", n, n) for n in range(1, 20)], Line("+", "new", None, 20))

    (part,) = page([FileDiff("f", "modified", hunks=(Hunk(lines),))], context=50, reach=3, max_chars=9_000).files

    assert [(each.start, each.end) for each in part.commentable] == [(17, 20)]
    assert part.text.count("\n") == 20


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 120), min_size=1, max_size=6),
    width=st.integers(0, 60),
    max_chars=st.integers(1_000, 4_000),
)
def test_pages_hold_every_line_once(sizes: list[int], width: int, max_chars: int) -> None:
    """Read to the end, the pages have all lines in their order, or say which were left out; each keeps its size."""
    files = [added(f"f{at}", size, "x" * width) for at, size in enumerate(sizes)]

    found = pages(files, max_chars=max_chars)

    rows = shown(found)
    cut = {skip.path for part in found for skip in part.skipped}
    for file in files:
        texts = [text for path, _, text in rows if path == file.path]
        whole = [line.text for line in file.lines()]
        assert texts == (whole[: len(texts)] if file.path in cut else whole)
    assert found[-1].complete is not bool(cut)
    assert all(not part.complete for part in found[:-1])
    assert all(sum(len(file.text) for file in part.files) <= max_chars + 200 for part in found)


def test_a_huge_file_gives_way_to_the_others() -> None:
    """Among others it gets half a page, and is named with how to read the rest; alone it is read in pages."""
    files = [added("big.py", 3_000), added("small.py", 3)]

    first = page(files, context=3, max_chars=2_000)
    alone = pages(files[:1], max_chars=20_000)

    assert [file.path for file in first.files] == ["big.py", "small.py"]
    assert first.complete is False
    assert [skip.path for skip in first.skipped] == ["big.py"]
    assert "read it alone" in first.skipped[0].reason
    assert len(shown(alone)) == 3_000
    assert (alone[-1].complete, alone[-1].skipped) == (True, [])


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (FileDiff("logo.png", "modified", binary=True), "modified; binary"),
        (FileDiff("data.sql", "modified", withheld="too large for the server"), "modified; not shown: too large for the server"),
    ],
)
def test_names_what_cannot_be_shown(file: FileDiff, reason: str) -> None:
    """A file without lines is skipped with its reason, and the answer is not complete."""
    part = page([file, added("a.py", 1)], context=3, max_chars=1_000)

    assert [(skip.path, skip.reason) for skip in part.skipped] == [(file.path, reason)]
    assert (part.complete, [each.path for each in part.files]) == (False, ["a.py"])


def test_many_skipped_files_fill_pages_too() -> None:
    """Names and reasons count, so that a change of pictures alone cannot flood its reader."""
    files = [FileDiff(f"picture{at}.png", "added", binary=True) for at in range(500)]

    found = pages(files)

    assert sum(len(part.skipped) for part in found) == 500
    assert max(len(part.skipped) for part in found) < 50


def test_cuts_long_lines_and_says_so() -> None:
    """A minified line is cut with how much is missing, and the answer is not complete."""
    part = page([added("min.js", 1, "y" * 5_000)], context=3, max_chars=20_000)

    assert len(part.files[0].text) < 800
    assert "(+4,402 characters)" in part.files[0].text
    assert (part.complete, part.skipped[0].reason) == (False, "1 lines are cut: they are too long")


def test_shows_what_cannot_be_seen() -> None:
    """A mark that turns the writing direction or has no width is shown as its number; tabs and joiners stay."""
    assert visible("if a:\u202e\u2066 \x1b[31m\u200b\tx") == "if a:<U+202E><U+2066> <U+001B>[31m<U+200B>\tx"
    assert visible("परि\u200dक्षा") == "परि\u200dक्षा"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("a\r", "b\r"), ["(every line ends in CRLF)", "@@", "  1 +a", "  2 +b"]),
        (("a\r", "b"), ["@@", "  1 +a␍", "  2 +b"]),
    ],
)
def test_shows_carriage_returns_where_they_differ(texts: tuple[str, str], expected: list[str]) -> None:
    """CRLF is said once where every line ends in it, and at its line where only some do."""
    lines = tuple(Line("+", text, None, at) for at, text in enumerate(texts, 1))

    (part,) = page([FileDiff("f", "added", hunks=(Hunk(lines),))], context=3, max_chars=1_000).files

    assert part.text.split("\n") == expected


def test_a_change_at_every_few_lines_is_rendered_in_linear_time() -> None:
    """A hunk of 60,000 lines with 12,000 changes is no more work per line than a small one."""
    lines = tuple(Line("+" if n % 5 == 0 else " ", "  x", None if n % 5 == 0 else n, n) for n in range(1, 60_001))

    part = page([FileDiff("f", "modified", hunks=(Hunk(lines),))], context=1, max_chars=100_000)

    assert part.following is not None
    assert len(part.files[0].text) <= 100_000

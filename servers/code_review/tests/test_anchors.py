"""The places of comments against a parsed diff."""

import pytest
from opsroom_code_review.anchors import Misplaced, Place, place
from opsroom_code_review.diff_parser import parse_patch

FILES = parse_patch(
    "diff --git a/src/old.py b/src/new.py\nrename from src/old.py\nrename to src/new.py\n"
    "--- a/src/old.py\n+++ b/src/new.py\n"
    "@@ -5,4 +5,4 @@\n five\n-six\n+SIX\n seven\n eight\n"
    "@@ -20,2 +20,3 @@\n twenty\n+more\n last\n"
    "diff --git a/gone.py b/gone.py\ndeleted file mode 100644\n--- a/gone.py\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n"
    "diff --git a/logo.png b/logo.png\nindex 1..2 100644\nBinary files a/logo.png and b/logo.png differ\n"
    'diff --git "a/\\303\\266\\n.py" "b/\\303\\266\\n.py"\n--- "a/\\303\\266\\n.py"\n+++ "b/\\303\\266\\n.py"\n'
    "@@ -1 +1 @@\n-a\n+b\n"
)


@pytest.mark.parametrize(
    ("path", "side", "line", "end", "ends", "quoted"),
    [
        ("src/new.py", "new", 6, None, ((None, 6), (None, 6)), ("SIX",)),
        ("src/new.py", "new", 6, 8, ((None, 6), (8, 8)), ("SIX", "seven", "eight")),
        ("src/new.py", "old", 6, None, ((6, None), (6, None)), ("six",)),
        ("src/old.py", "old", 5, 6, ((5, 5), (6, None)), ("five", "six")),
        ("src/new.py", "new", 22, None, ((21, 22), (21, 22)), ("last",)),
        ("gone.py", "old", 2, None, ((2, None), (2, None)), ("b",)),
        ('"\\303\\266\\n.py"', "new", 1, None, ((None, 1), (None, 1)), ("b",)),
    ],
)
def test_finds_places(
    path: str, side: str, line: int, end: int | None, ends: tuple[tuple[int | None, int | None], ...], quoted: tuple[str, ...]
) -> None:
    """A line of the diff is found on its side, with both numbers of both ends and with what stands there."""
    found = place(FILES, path, "old" if side == "old" else "new", line, end)

    assert isinstance(found, Place)
    assert (found.ends, found.quoted) == (ends, quoted)


@pytest.mark.parametrize(
    ("path", "side", "line", "end", "nearest", "words"),
    [
        ("src/new.py", "new", 12, None, 8, "Nearest: 8. Its new lines: 5–8, 20–22."),
        ("src/new.py", "new", 9_999, None, 22, "Nearest: 22."),
        ("src/new.py", "new", 7, 20, 8, "not within one hunk; this one ends at line 8"),
        ("src/new.py", "new", 7, 6, 7, "end_line 6 is before line 7"),
        ("src/new.py", "old", 22, None, 21, "There is a line 22 on the new side."),
        ("gone.py", "new", 1, None, None, "has lines on the old side only"),
        ("logo.png", "new", 1, None, None, "no lines to comment on (modified; binary)"),
        ("src/old.py", "new", 6, None, None, "not among the files of this version"),
        ("nw.py", "new", 1, None, None, "Nearest:"),
        ("other/new.py", "new", 1, None, None, "Nearest: src/new.py."),
    ],
)
def test_says_where_a_comment_can_stand(
    path: str, side: str, line: int, end: int | None, nearest: int | None, words: str
) -> None:
    """A place that is not in the diff comes back with the nearest one, in words and as a number."""
    found = place(FILES, path, "old" if side == "old" else "new", line, end)

    assert isinstance(found, Misplaced)
    assert found.nearest_line == nearest
    assert words in found.reason

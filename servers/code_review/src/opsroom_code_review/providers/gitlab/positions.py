"""The place of a comment as GitLab wants it, and the text of a suggestion."""

import hashlib
import re
from collections.abc import Iterable

from opsroom_shared.errors import InvalidInput
from opsroom_shared.outside import clean
from pydantic import JsonValue

from ...diffs import FileDiff, Hunk
from .. import InlineComment
from .wire import DiffRefs

_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")
_FENCES = re.compile(r"^ {0,3}(`{3,})", re.MULTILINE)
_MOST_SUGGESTED = 100
"""Lines above the commented one that a suggestion of GitLab can replace."""


def position(comment: InlineComment, refs: DiffRefs, files: Iterable[FileDiff]) -> dict[str, JsonValue]:
    """Where *comment* goes: at its last line, as GitLab's own page does it, with the range if it has several.

    A line that did not change is only found by both of its numbers.
    """
    if _NOT_UTF8.search(comment.path + comment.old_path):
        raise InvalidInput("GitLab takes no comment on a file whose path is no UTF-8; write it in the summary.")
    (old, new), last = comment.ends[1], comment.ends[1]
    place: dict[str, JsonValue] = {
        "base_sha": refs.base_sha,
        "start_sha": refs.start_sha,
        "head_sha": refs.head_sha,
        "position_type": "text",
        "old_path": comment.old_path,
        "new_path": comment.path,
    }
    if old is not None:
        place["old_line"] = old
    if new is not None:
        place["new_line"] = new
    if comment.line != comment.end_line:
        hunks = next((file.hunks for file in files if file.path == comment.path), ())
        place["line_range"] = {"start": _end(comment, hunks, comment.ends[0]), "end": _end(comment, hunks, last)}
    return place


def line_code(path: str, hunks: Iterable[Hunk], old: int | None, new: int | None) -> str:
    """GitLab's name of a line. It has two numbers even where only one side has the line: the other is where that side stands.

    Raises InvalidInput for a line that the diff does not have.
    """
    digest = hashlib.sha1(path.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()
    for hunk in hunks:
        for at, line in enumerate(hunk.lines):
            if (line.old, line.new) == (old, new):
                numbers = (_standing([each.old for each in hunk.lines], at), _standing([each.new for each in hunk.lines], at))
                return f"{digest}_{numbers[0]}_{numbers[1]}"
    raise InvalidInput(f"{clean(path, 120)!r} has no such line in the diff of this version. Read the diff again.")


def commented(comment: InlineComment) -> str:
    """The text of *comment*, with its suggestion as a block that GitLab can apply."""
    if comment.suggestion is None:
        return comment.body
    suggested = comment.suggestion.removesuffix("\n")
    fence = "`" * max(3, *(len(run) + 1 for run in _FENCES.findall(suggested)), 3)
    above = comment.end_line - comment.line
    applies = comment.side == "new" and above <= _MOST_SUGGESTED and comment.ends[1][1] is not None
    block = f"{fence}{f'suggestion:-{above}+0' if applies else ''}\n{suggested}\n{fence}"
    return f"{comment.body}\n\n{block}" if comment.body else block


def _end(comment: InlineComment, hunks: Iterable[Hunk], end: tuple[int | None, int | None]) -> dict[str, JsonValue]:
    old, new = end
    kind = "old" if new is None else "new" if old is None else None
    found: dict[str, JsonValue] = {"line_code": line_code(comment.path, hunks, old, new), "type": kind}
    return found | ({} if old is None else {"old_line": old}) | ({} if new is None else {"new_line": new})


def _standing(numbers: list[int | None], at: int) -> int:
    """The number of one side at the line *at*: its own, or that of the side's next line."""
    following = next((number for number in numbers[at:] if number is not None), None)
    if following is not None:
        return following
    before = next((number for number in reversed(numbers[:at]) if number is not None), None)
    return 0 if before is None else before + 1

"""Comments written in Remarkup, in which what is quoted from elsewhere cannot act: no mention, no link to a task."""

from collections.abc import Iterable

from .. import InlineComment

_MAX_QUOTED = 8
_MAX_LINE = 240


def code(lines: Iterable[str], *, most: int = _MAX_QUOTED) -> str:
    """*lines* as a block of code."""
    every = list(lines)
    shown = [line[:_MAX_LINE].replace("\r", "") for line in every[:most]]
    if len(every) > most:
        shown.append(f"… ({len(every) - most} more)")
    if any("```" in line for line in shown):
        return "\n".join(f"    {line}" for line in shown)  # a fence in the text would end a fenced block
    return "\n".join(["```", *shown, "```"])


def place(comment: InlineComment) -> str:
    lines = str(comment.line) if comment.end_line == comment.line else f"{comment.line}-{comment.end_line}"
    return f"{comment.path}:{lines}" + (" (old)" if comment.side == "old" else "")


def body(comment: InlineComment) -> str:
    """What the comment says, with its suggestion, for which Remarkup has no form of its own, as code."""
    if comment.suggestion is None:
        return comment.body
    suggestion = code(comment.suggestion.split("\n"), most=200)
    return f"{comment.body}\n\nSuggestion:\n\n{suggestion}"


def item(comment: InlineComment) -> str:
    """A comment on lines where it cannot stand beside them."""
    where = place(comment)
    where = f"`{where}`" if "`" not in where else code([where])
    return f"{where}\n\n{code(comment.quoted)}\n\n{body(comment)}"


def with_items(summary: str, version: str, comments: Iterable[InlineComment]) -> str:
    """The text of a review that says everything in one comment."""
    items = [item(comment) for comment in comments]
    if not items:
        return summary.strip()
    head = f"Comments on version {version}:"
    return "\n\n".join([part for part in (summary.strip(), head) if part] + items)


def reply(author: str, where: str | None, text: str, answer: str) -> str:
    """An answer to a comment that cannot be answered in its place."""
    head = f"In reply to {author}" + (f" on `{where}`:" if where and "`" not in where else ":")
    return f"{head}\n\n{code(text.split(chr(10)))}\n\n{answer}"

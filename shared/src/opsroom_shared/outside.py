"""Text that came from outside (rows, comments, log lines): made harmless to show, never followed."""

import re

# Terminal sequences go as a whole. One that nothing ends loses only its escape: the text behind it must stay visible.
_SEQUENCES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|\x1b[@-_]")
_CONTROLS = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1, but tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # changes of the writing direction
    "\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff"  # invisible; the joiners U+200C and U+200D are part of scripts
    "\ufe00-\ufe0d\U000e0000-\U000e007f\U000e0100-\U000e01ef"  # tags and selectors, which can carry a hidden text
    "\ud800-\udfff"  # lone surrogates, which no encoder takes
    "]"
)


def clean(text: str, limit: int | None = None) -> str:
    """*text* without control characters, terminal sequences and invisible marks.

    Longer than *limit* characters, it is cut to that length, with a mark of how many are missing where there is room for one.
    """
    text = _CONTROLS.sub("", _SEQUENCES.sub("", text))
    if limit is None or len(text) <= limit:
        return text
    room = limit - len(_mark(len(text)))
    if room < limit // 2:
        return text[: max(limit - 1, 0)] + "…"[:limit]
    return text[:room] + _mark(len(text) - room)


def _mark(missing: int) -> str:
    return f"… (+{missing} characters)"

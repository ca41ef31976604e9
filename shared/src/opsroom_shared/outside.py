"""Text that came from outside (rows, comments, log lines): made harmless to show, never followed."""

import re

# C0 and C1 controls but tab and newline, terminal escape sequences, bidirectional overrides and invisible tag characters
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


def clean(text: str, limit: int | None = None) -> str:
    """*text* without control characters and terminal escapes, cut to *limit* characters with a mark of how many went."""
    if limit is not None and len(text) > limit:
        kept = _CONTROLS.sub("", _ESCAPES.sub("", text[:limit]))
        return f"{kept}… (+{len(text) - limit} characters)"
    return _CONTROLS.sub("", _ESCAPES.sub("", text))

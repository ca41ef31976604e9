"""Paths and repositories against globs, as people write them: `src/*.py`, `docs/**`, `*.md`, `src/`."""

from collections.abc import Sequence
from fnmatch import fnmatchcase


def matches(path: str, pattern: str) -> bool:
    """Whether *path* is *pattern*, lies below it, or fits it. `*` stays within a folder unless *pattern* names none."""
    pattern = pattern.removeprefix("./")
    if path == pattern or (pattern and path.startswith(pattern.rstrip("/") + "/")):
        return True
    parts, patterns = path.split("/"), pattern.rstrip("/").split("/")
    if len(patterns) == 1 and patterns[0] != "**":
        return fnmatchcase(parts[-1], pattern)
    return _fits(parts, patterns)


def fits(path: str, patterns: Sequence[str]) -> bool:
    """Whether *path* matches one of *patterns*."""
    return any(matches(path, pattern) for pattern in patterns)


def _fits(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Reached positions of *patterns*, part by part: no pattern, however made, takes more than their product in time."""
    reached = _over_stars({0}, patterns)
    for part in parts:
        after = {at for at in reached if at < len(patterns) and patterns[at] == "**"}
        after |= {at + 1 for at in reached if at < len(patterns) and patterns[at] != "**" and fnmatchcase(part, patterns[at])}
        reached = _over_stars(after, patterns)
    return len(patterns) in reached


def _over_stars(reached: set[int], patterns: Sequence[str]) -> set[int]:
    for at in sorted(reached):
        while at < len(patterns) and patterns[at] == "**":
            at += 1  # noqa: PLW2901 - it walks on from where it is
            reached.add(at)
    return reached

"""The nearest existing names for one that does not exist. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

_MAX_COMPARED = 5_000


def nearest(name: str, existing: Iterable[str], count: int = 3) -> list[str]:
    """Up to *count* of *existing* that look like *name*, the nearest first, compared without case."""
    by_lower = {each.lower(): each for each in list(existing)[:_MAX_COMPARED]}
    return [by_lower[lower] for lower in get_close_matches(name.lower()[:200], by_lower, n=count, cutoff=0.6)]


def did_you_mean(name: str, existing: Iterable[str]) -> str:
    """A sentence that names the nearest of *existing*, with a space before it; empty where nothing is near."""
    found = nearest(name, existing)
    return f" Did you mean {' or '.join(found)}?" if found else ""

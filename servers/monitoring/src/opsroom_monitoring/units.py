"""The unit of what an expression gives, as far as names tell it: pure."""

import re

from .promql import BadQuery, parsed

_SUFFIXES = ("seconds", "bytes", "ratio", "celsius", "volts", "joules", "meters", "grams", "percent")
_PER_SECOND = re.compile(r"\b(?:rate|irate|deriv)\s*\(")
_COUNTING = re.compile(r"^\s*(?:count|group|absent)\b|\bcount_values\b")


def unit_of(query: str) -> str | None:
    """None where metrics of several units are read, or a name tells none."""
    try:
        names = parsed(query).metrics
    except BadQuery:
        return None
    if len(names) != 1 or _COUNTING.search(query) or "/" in query or "*" in re.sub(r'"[^"]*"', "", query):
        return None
    stem = re.sub(r"_(?:total|sum|bucket|count|max|min)$", "", names[0])
    if names[0].endswith("_bucket"):
        return next((each for each in _SUFFIXES if stem.endswith(each)), None) if "histogram_quantile" in query else None
    unit = None if names[0].endswith("_count") else next((each for each in _SUFFIXES if stem.endswith(f"_{each}")), None)
    if _PER_SECOND.search(query):
        return f"{unit} per second" if unit else "per second"
    return unit

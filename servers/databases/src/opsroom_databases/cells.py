"""Values from a database as they are shown: exact, bounded, and harmless to a terminal. Pure."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from opsroom_shared.outside import clean

Cell: TypeAlias = "bool | int | float | str | None"

NULL = "NULL"
_EXACT_INTEGERS = 2**53
"""Above it, JSON readers that know only doubles would round."""


def number(value: float) -> Cell:
    """*value* where every JSON reader reads it exactly, otherwise its digits, or NaN, Infinity, -Infinity, as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS else str(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def text(value: str, limit: int, length: int | None = None) -> str:
    """*value* cleaned and cut to *limit* characters with a mark; *length* is the whole's where *value* is only its start."""
    whole = len(value) if length is None else length
    shown = value[:limit]
    if not shown.isprintable():  # what clean takes out is not printable, and most values need no look at all
        shown = clean(shown)
    return shown if whole <= limit else f"{shown}… (+{whole - limit} characters)"


def blob(length: int, digest: str) -> str:
    return f"<blob of {length} bytes, sha256 {digest}…>"


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as CSV with a header line. NULL stands bare; the empty string, and text that reads NULL, stand in quotes."""
    return "\n".join([_line(header), *(_line(row) for row in rows)])


def _line(values: Sequence[Cell]) -> str:
    return ",".join(_field(value) for value in values)


def _field(value: Cell) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    if value in ("", NULL) or value != value.strip():
        return '"' + value.replace('"', '""') + '"'
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([value])
    return out.getvalue()

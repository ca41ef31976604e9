"""Rows of engines that are reached through SQLAlchemy, as they are shown: exact, cut and counted. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import cast

from .. import cells
from ..cells import Cell
from ..secret_columns import MASK

_MOST_ITEMS = 2_000
_DEEPEST = 6


@dataclass(frozen=True)
class Bounds:
    rows: int
    skip: int
    bytes: int
    cell: int


def page(rows: Iterable[Sequence[object]], bounds: Bounds, masked: Iterable[int], width: int) -> tuple[list[list[Cell]], bool]:
    """Up to as many rows as *bounds* say, and whether there are more. No further one than that is read."""
    secret = frozenset(masked)
    limit = min(bounds.cell, max(16, bounds.bytes // max(1, width)))
    kept: list[list[Cell]] = []
    taken = 0
    for number, row in enumerate(rows):
        if number < bounds.skip:
            continue
        shown = [
            (None if value is None else MASK) if position in secret else cell(value, limit) for position, value in enumerate(row)
        ]
        taken += sum(len(each) + 3 if isinstance(each, str) else 8 for each in shown)
        if len(kept) == bounds.rows or (kept and taken > bounds.bytes):
            return kept, True
        kept.append(shown)
    return kept, False


def cell(value: object, limit: int) -> Cell:
    """One value. What has no exact form of its own in JSON is text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return cells.number(value)
    if isinstance(value, str):
        return cells.text(value, limit)
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(cast("bytes | bytearray", value))
        return cells.blob(len(raw), hashlib.sha256(raw).hexdigest()[:16])
    return cells.text(_words(value, limit), limit)


def _words(value: object, limit: int) -> str:
    if isinstance(value, list | tuple | set | frozenset | Mapping):
        return json.dumps(_plain(cast("object", value), limit, _DEEPEST), ensure_ascii=False, default=str)
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) < _MOST_ITEMS else str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value)


def _plain(value: object, limit: int, deeper: int) -> object:
    """A nested value with bounded depth and length, in which blobs are shown like any other."""
    if isinstance(value, Mapping) and deeper:
        entries = cast("Mapping[object, object]", value)
        return {str(key): _plain(each, limit, deeper - 1) for key, each in list(entries.items())[:_MOST_ITEMS]}
    if isinstance(value, list | tuple | set | frozenset) and deeper:
        items = cast("Iterable[object]", value)
        return [_plain(each, limit, deeper - 1) for each in list(items)[:_MOST_ITEMS]]
    return "…" if isinstance(value, list | tuple | set | frozenset | Mapping) else cell(value, limit)


def type_name(code: object) -> str:
    """What a driver calls the type of a column: a word, or a Python class."""
    return cells.text(str(getattr(code, "__name__", None) or getattr(code, "name", None) or code or ""), 200)

"""Values of MariaDB and MySQL as they are shown: exact, and named after the column's type. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opsroom_shared.errors import TooLarge

from .. import cells
from ..cells import Cell
from ..models import Column
from ..secret_columns import MASK, NOTHING_MASKED, Masked
from . import Rows
from .mysql_wire import MAX_ROW, Field, Raw, RowTooLarge, Stream

_UNSIGNED, _ENUM, _SET = 32, 256, 2048
_BINARY_CHARSET = 63
_BYTES_A_CHARACTER = 4

_YEAR = 13
_INTEGERS = {1: "tinyint", 2: "smallint", 3: "int", 8: "bigint", 9: "mediumint", _YEAR: "year"}
_FLOATS = {4: "float", 5: "double"}
_NUMBERS = _INTEGERS | _FLOATS
_DECIMALS = (0, 246)
_TIMESTAMP = 7
_DAYS = (10, 14)
_TIMES = {_TIMESTAMP: "timestamp", 10: "date", 11: "time", 12: "datetime", 14: "date"}
_MOST_DIGITS = 6
_BIT = 16
_OTHERS = {6: "null", 242: "vector", 245: "json", 247: "enum", 248: "set", 255: "geometry"}
_LONG_TEXTS = (249, 250, 251, 252)
_FIXED = 254


@dataclass(frozen=True)
class Bounds:
    """How large the answer may become."""

    rows: int
    skip: int
    bytes: int
    cell: int


def page(stream: Stream, bounds: Bounds, zone: str, masked: Masked = NOTHING_MASKED) -> Rows:
    """The rows in *bounds*; what comes behind them is left unread."""
    names = [each.name for each in stream.fields]
    masked.check(names)
    limit = min(bounds.cell, max(16, bounds.bytes // max(1, len(stream.fields))))
    columns = [Column(name=cells.text(each.name, limit), type=type_name(each, zone)) for each in stream.fields]
    kept: list[list[Cell]] = []
    taken, more = 0, False
    if not columns:
        return Rows([], [], more=False, state="")
    try:
        stream.skip(bounds.skip)
        for row in stream:
            shown = [
                value(raw, each, limit) if at not in masked.positions or raw is None else MASK
                for at, (raw, each) in enumerate(zip(row, stream.fields, strict=True))
            ]
            taken += _size(shown)
            if len(kept) == bounds.rows or (kept and taken > bounds.bytes):
                more = True
                break
            kept.append(shown)
    except RowTooLarge:
        raise TooLarge(
            f"The query makes a row of more than {MAX_ROW >> 20} MiB. Take a part of its long values, such as LEFT(column, 1000)."
        ) from None
    return Rows(columns, kept, more, "", tuple(cells.text(words, limit) for words in masked.words(names)))


def value(raw: Raw, column: Field, limit: int) -> Cell:
    """One value as it is shown."""
    if raw is None:
        return None
    if isinstance(raw, bytes):
        if column.type_code == _BIT:
            return format(int.from_bytes(raw, "big"), f"0{column.length}b")
        return cells.blob(len(raw), hashlib.sha256(raw).hexdigest()[:16])
    if column.type_code in _INTEGERS:
        return cells.number(int(raw))
    if column.type_code in _FLOATS:
        return cells.number(float(raw))
    return cells.text(raw, limit)


def type_name(column: Field, zone: str) -> str:
    """The type as SQL names it: decimals with their scale, times with their digits, timestamps with the zone they are in."""
    kind = column.type_code
    unsigned = " unsigned" if column.flags & _UNSIGNED else ""
    if kind in _DECIMALS:
        signs = (column.scale > 0) + (not unsigned)
        return f"decimal({column.length - signs},{column.scale}){unsigned}"
    if kind in _TIMES:
        digits = f"({column.scale})" if 0 < column.scale <= _MOST_DIGITS and kind not in _DAYS else ""
        return _TIMES[kind] + digits + (f" in {cells.text(zone, 64)}" if kind == _TIMESTAMP else "")
    if kind in _NUMBERS:
        return _NUMBERS[kind] + (unsigned if kind != _YEAR else "")
    return f"bit({column.length})" if kind == _BIT else _OTHERS.get(kind) or _text_type(column)


def _text_type(column: Field) -> str:
    if column.flags & (_ENUM | _SET):
        return "enum" if column.flags & _ENUM else "set"
    binary = column.charsetnr == _BINARY_CHARSET
    if column.type_code in _LONG_TEXTS:
        return "blob" if binary else "text"
    length = column.length if binary else column.length // _BYTES_A_CHARACTER
    return f"{'' if column.type_code == _FIXED else 'var'}{'binary' if binary else 'char'}({length})"


def plain(rows: Iterable[Sequence[Raw]]) -> list[list[str | None]]:
    """Rows about the schema, which are all text."""
    return [[each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in row] for row in rows]


def _size(row: Iterable[Cell]) -> int:
    return sum(len(each) + 3 if isinstance(each, str) else 8 for each in row)

"""Has the engine write and cut every value of a query, so that no row arrives larger than it may be shown. Pure."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from .. import cells
from ..cells import Cell
from ..secret_columns import MASK
from .postgres_driver import Attribute

_BLOB = 17
_AS_THEY_ARE = frozenset({16, 20, 21, 23, 26, 701})
"""boolean, the integers, oid, double precision: the driver reads them exactly."""
_SINGLE = 700
_FETCHED_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """How large the answer may become."""

    rows: int
    skip: int
    bytes: int
    cell: int


@dataclass(frozen=True)
class Cut:
    """A query around the caller's query."""

    sql: str
    prefetch: int
    """How many rows to fetch at a time, so that they fit in memory even where every value is as long as it may be."""


def cut(query: str, columns: Sequence[Attribute], bounds: Bounds, masked: Container[int] = ()) -> Cut:
    """*query* as a part of another that gives at most the rows in *bounds*, each value short.

    Inside parentheses only a query can stand. OFFSET 0 keeps the engine from working a value out twice. Values are written as
    the engine writes them, which a cast to text does not always do. Long ones come as their length, a colon and their start.
    Of the columns *masked* nothing comes but a mask.
    """
    cell = cell_limit(bounds, len(columns))
    names = ", ".join(f"c{number}" for number in range(len(columns)))
    written = ", ".join(
        _mask(f"c{number}") if number in masked else _written(f"c{number}", column.type.oid)
        for number, column in enumerate(columns)
    )
    shown = ", ".join(
        f"c{number}" if number in masked else _shown(f"c{number}", column.type.oid, cell) for number, column in enumerate(columns)
    )
    limit = f"LIMIT {bounds.rows + 1} OFFSET {bounds.skip}"
    if not columns:
        sql = f"SELECT FROM (\n{query}\n) AS q {limit}"
    else:
        sql = (
            f"SELECT {shown} FROM (SELECT {written} FROM (SELECT * FROM (\n{query}\n) AS q OFFSET 0) AS q ({names}) OFFSET 0) "  # noqa: S608 - as above
            f"AS q ({names}) {limit}"
        )
    return Cut(sql, prefetch=max(1, min(bounds.rows + 1, _FETCHED_CHARACTERS // (max(1, len(columns)) * cell))))


def cell_limit(bounds: Bounds, columns: int) -> int:
    return min(bounds.cell, max(16, bounds.bytes // max(1, columns)))


def value(raw: object, column: Attribute, limit: int) -> Cell:
    """One value of a row of `cut`, as it is shown."""
    if raw is None:
        return None
    if isinstance(raw, bool | int | float):
        return cells.number(raw)
    length, _, start = str(raw).partition(":")
    if column.type.oid == _BLOB:
        return cells.blob(int(length), start)
    if column.type.oid == _SINGLE:
        return cells.number(float(start))
    return cells.text(start, limit, int(length))


def size(row: Iterable[object]) -> int:
    """About how much of the answer a row takes."""
    return sum(len(each) + 3 if isinstance(each, str) else 8 for each in row)


def _mask(name: str) -> str:
    return f"CASE WHEN pg_catalog.num_nulls({name}) = 0 THEN '{MASK}' END"


def _written(name: str, oid: int) -> str:
    if oid in _AS_THEY_ARE or oid == _BLOB:
        return name
    # IS NULL is also true of a row of NULLs
    return f"CASE WHEN pg_catalog.num_nulls({name}) = 0 THEN pg_catalog.format('%s', {name}) END"


def _shown(name: str, oid: int, cell: int) -> str:
    if oid in _AS_THEY_ARE:
        return name
    start = f"pg_catalog.left(pg_catalog.encode(pg_catalog.sha256({name}), 'hex'), 16)"
    if oid != _BLOB:
        start = f"pg_catalog.left({name}, {cell})"
    return f"pg_catalog.length({name})::pg_catalog.text OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) {start}"

"""Has the engine write and cut every value of a query, so that no row arrives larger than it may be shown. Pure."""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .. import cells
from ..cells import Cell
from ..secret_columns import MASK
from .postgres_driver import Attribute

R = TypeVar("R", bound=Iterable[object])

_BLOB = 17
_AS_THEY_ARE = frozenset({16, 20, 21, 23, 26, 701})
"""boolean, the integers, oid, double precision: the driver reads them exactly."""
_SINGLE = 700
_TEXTS = frozenset({25, 1043})
"""text, varchar: written as they are."""
_CHARACTERS, _BYTES, _TOO_LARGE = "c", "b", "x"
# What the engine does with one large value cannot be interrupted, and takes seconds where the value has hundreds of megabytes.
_MOST_COUNTED = 1_000_000
_MOST_WRITTEN = 16 << 20
_FETCHED_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """How large the answer may become."""

    rows: int
    skip: int
    bytes: int
    cell: int


@dataclass
class Taken(Generic[R]):
    """The rows of an answer, as many as its bounds allow; the first one fits always."""

    bounds: Bounds
    rows: list[R] = field(default_factory=list[R])
    more: bool = False
    _size: int = 0

    def takes(self, row: R) -> bool:
        """Whether *row* still fits; no row after one that does not is wanted."""
        self._size += size(row)
        self.more = len(self.rows) == self.bounds.rows or (bool(self.rows) and self._size > self.bounds.bytes)
        if not self.more:
            self.rows.append(row)
        return not self.more

    def all(self, rows: Iterable[R]) -> None:
        for row in rows:
            if not self.takes(row):
                return


@dataclass(frozen=True)
class Cut:
    """A query around the caller's query."""

    sql: str
    prefetch: int
    """How many rows to fetch at a time, so that they fit in memory even where every value is as long as it may be."""


def cut(query: str, columns: Sequence[Attribute], bounds: Bounds, masked: Container[int] = ()) -> Cut:
    """*query* as a part of another that gives at most the rows in *bounds*, each value short.

    Inside parentheses only a query can stand. OFFSET 0 keeps the engine from working a value out twice. Values are written as
    the engine writes them, which a cast to text does not always do.
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


def copied_rows(data: bytes, columns: Sequence[Attribute], masked: Container[int] = ()) -> Iterator[list[object]]:
    """The rows of a `cut` query as COPY gives them, each value as the driver would give it."""
    readers = [
        _unescaped if number in masked else _COPIED.get(column.type.oid, _unescaped) for number, column in enumerate(columns)
    ]
    # the encoding of a database can be one that says nothing of its bytes
    for line in data.decode("utf-8", "replace").split("\n")[:-1]:
        fields = line.split("\t") if readers else []
        yield [None if field == _COPIED_NULL else reads(field) for reads, field in zip(readers, fields, strict=True)]


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), field) if "\\" in field else field


_COPIED: Mapping[int, Callable[[str], object]] = {16: "t".__eq__, 20: int, 21: int, 23: int, 26: int, 701: float}
_COPIED_NULL = "\\N"
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def cell_limit(bounds: Bounds, columns: int) -> int:
    return min(bounds.cell, max(16, bounds.bytes // max(1, columns)))


def value(raw: object, column: Attribute, limit: int) -> Cell:
    """One value of a row of `cut`, as it is shown."""
    if raw is None:
        return None
    if isinstance(raw, bool | int | float):
        return cells.number(raw)
    head, _, start = str(raw).partition(":")
    if column.type.oid == _BLOB:
        return cells.blob(int(head), start) if start else f"<blob of {head} bytes>"
    if column.type.oid == _SINGLE:
        return cells.number(float(start))
    return _text(head[0], int(head[1:]), start, limit)


def _text(unit: str, length: int, start: str, limit: int) -> str:
    if unit == _TOO_LARGE:
        return f"<value of {length} bytes, too large to show>"
    if unit == _BYTES:
        return f"{cells.text(start, limit)}… (+{length - len(start.encode())} bytes)"
    return cells.text(start, limit, length)


def size(row: Iterable[object]) -> int:
    """About how much of the answer a row takes."""
    return sum(len(each) + 3 if isinstance(each, str) else 8 for each in row)


def _mask(name: str) -> str:
    return f"CASE WHEN pg_catalog.num_nulls({name}) = 0 THEN '{MASK}' END"


def _written(name: str, oid: int) -> str:
    """A value as text behind a letter; one that is very large is not written at all, as nothing could stop the engine at it."""
    if oid in _AS_THEY_ARE or oid in _TEXTS or oid == _BLOB:
        return name
    size = f"pg_catalog.pg_column_size({name})"
    large = f"pg_catalog.concat('{_TOO_LARGE}', {size})"
    written = f"CASE WHEN {size} <= {_MOST_WRITTEN} THEN pg_catalog.concat('v', {name}) ELSE {large} END"
    # IS NULL is also true of a row of NULLs
    return f"CASE WHEN pg_catalog.num_nulls({name}) = 0 THEN {written} END"


def _shown(name: str, oid: int, cell: int) -> str:
    """Its length, in characters or for a long one in bytes, a colon, and its start."""
    if oid in _AS_THEY_ARE:
        return name
    size = f"pg_catalog.octet_length({name})"
    if oid == _BLOB:
        digest = f"pg_catalog.left(pg_catalog.encode(pg_catalog.sha256({name}), 'hex'), 16)"
        shown = f"pg_catalog.concat({size}, ':', CASE WHEN {size} <= {_MOST_WRITTEN} THEN {digest} END)"
        return f"CASE WHEN {name} IS NOT NULL THEN {shown} END"
    letter = 0 if oid in _TEXTS else 1
    length = (
        f"CASE WHEN {size} <= {_MOST_COUNTED} THEN pg_catalog.concat('{_CHARACTERS}', pg_catalog.length({name}) - {letter}) "
        f"ELSE pg_catalog.concat('{_BYTES}', {size} - {letter}) END"
    )
    shown = f"pg_catalog.concat({length}, ':', pg_catalog.substr({name}, {letter + 1}, {cell}))"
    if letter:
        large = f"pg_catalog.left({name}, 1) = '{_TOO_LARGE}'"
        shown = f"CASE WHEN {large} THEN pg_catalog.concat({name}, ':') ELSE {shown} END"
    return f"CASE WHEN {name} IS NOT NULL THEN {shown} END"

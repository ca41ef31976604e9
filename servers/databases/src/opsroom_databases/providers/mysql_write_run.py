"""Runs a judged statement on MariaDB or MySQL, counts its rows, and shows some of them before and after."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .. import cells
from ..cells import Cell
from ..dialects.mysql_write import Writing
from ..models import Column, WritePreview
from ..secret_columns import MASK, Masked
from ..write_safety import says_which_rows
from .mysql_rows import plain, type_name, value
from .mysql_session import Session
from .mysql_wire import Changed, Raw, Stream, literal, quoted
from .mysql_write_judgement import Relation

_SAMPLE, _CELL = 5, 200
_MOST_SHOWN = 1 << 20
_LONG_TYPES = frozenset({"mediumtext", "longtext", "mediumblob", "longblob", "json", "geometry"})
_RETURNING_SINCE = (10, 5)
_VERSION = re.compile(r"(\d+)\.(\d+)\.")


@dataclass(frozen=True)
class Judged:
    """A statement that may run, and what is masked of its rows."""

    writing: Writing
    target: Relation
    masked: Masked
    """Of its own RETURNING."""
    secret: Mapping[str, tuple[str, ...]]
    """The secret columns of the target."""

    @property
    def every_row(self) -> bool:
        called = {self.writing.target.called}
        return self.writing.write.kind != "insert" and not says_which_rows(self.writing.write, called, self.target.columns)


@dataclass(frozen=True)
class _Shown:
    """Some rows of a statement, and how many it gave."""

    columns: list[Column] = field(default_factory=list[Column])
    rows: list[list[Cell]] = field(default_factory=list[list[Cell]])
    keys: list[list[Raw]] = field(default_factory=list[list[Raw]])
    count: int = 0


@dataclass(frozen=True)
class _Columns:
    """The columns of a table in a list that shows them; the length of each long one stands behind all of them."""

    names: tuple[str, ...]
    long: tuple[str, ...]
    masked: frozenset[int]

    @property
    def sql(self) -> str:
        lengths = {name: f"OCTET_LENGTH({quoted(name)})" for name in self.long}
        cut = {name: f"IF({length} > {_MOST_SHOWN}, NULL, {quoted(name)}) AS {quoted(name)}" for name, length in lengths.items()}
        return ", ".join([*(cut.get(name) or quoted(name) for name in self.names), *lengths.values()])


def run(judged: Judged, session: Session) -> tuple[int, WritePreview]:
    """How many rows the statement changes, and some of them. The transaction stays open."""
    write, target = judged.writing.write, judged.target
    if write.returns:
        return _with_own_rows(judged, session)
    columns = _Columns(
        names=tuple(target.columns),
        long=tuple(name for name, of in target.columns.items() if of in _LONG_TYPES),
        masked=frozenset(at for at, name in enumerate(target.columns) if name in judged.secret),
    )
    if write.kind == "insert":
        count, after = _inserted(judged, columns, session)
        return count, _preview(judged, after.columns, [], after.rows)
    before = _chosen(judged, columns, session)
    count = session.wire.change(write.sql).affected
    if write.kind == "delete":
        return count, _preview(judged, before.columns, before.rows, [])
    after = [row for key in before.keys for row in _again(judged, columns, key, session)]
    return count, _preview(judged, before.columns, before.rows if after else [], after)


def _with_own_rows(judged: Judged, session: Session) -> tuple[int, WritePreview]:
    """A statement with RETURNING: it gives a row for each that it changes."""
    stream = session.stream(judged.writing.write.sql)
    names = [each.name for each in stream.fields]
    judged.masked.check(names)
    shown = _shown(stream, _Columns(tuple(names), (), frozenset(judged.masked.positions)), session)
    preview = WritePreview(
        columns=shown.columns,
        before=shown.rows if judged.writing.write.kind == "delete" else [],
        after=[] if judged.writing.write.kind == "delete" else shown.rows,
        masked=[cells.text(each, _CELL) for each in judged.masked.words(names)],
    )
    return shown.count, preview


def _inserted(judged: Judged, columns: _Columns, session: Session) -> tuple[int, _Shown]:
    """An upsert also returns rows that stay as they are, so it is run twice: for its rows, and for the engine's count."""
    write, writing = judged.writing.write, judged.writing
    if not (judged.target.is_table and _returns(session)):
        return _changed(session.wire.change(write.sql), upserts=writing.upserts), _Shown()
    if writing.upserts:
        session.wire.execute("SAVEPOINT shown")
    stream = session.stream(f"{write.sql}\nRETURNING {columns.sql}")
    shown = _shown(stream, columns, session)
    if not writing.upserts:
        return shown.count, shown
    session.wire.execute("ROLLBACK TO SAVEPOINT shown")
    return _changed(session.wire.change(write.sql), upserts=True), shown


def _changed(changed: Changed, *, upserts: bool) -> int:
    """The engine counts a row that was there already, and is updated, twice."""
    if not upserts:
        return changed.affected
    return min(changed.affected, 1) if changed.duplicates is None else changed.affected - changed.duplicates


def _chosen(judged: Judged, columns: _Columns, session: Session) -> _Shown:
    """Some of the rows that an UPDATE or DELETE is about to change. In these parentheses only a query can stand."""
    writing = judged.writing
    query = f"{writing.before}SELECT {columns.sql} {writing.chosen}"
    sql = f"SELECT * FROM (\n{query}\n) AS chosen LIMIT {_SAMPLE}"  # noqa: S608 - it was judged
    return _shown(session.stream(sql), columns, session, judged.target.key)


def _again(judged: Judged, columns: _Columns, key: Sequence[Raw], session: Session) -> list[list[Cell]]:
    """The row with *key*, as it is by now."""
    pairs = zip(judged.target.key, key, strict=True)
    where = " AND ".join(f"{quoted(name)} = {_literal(each)}" for name, each in pairs)
    sql = f"SELECT {columns.sql} FROM {judged.target.sql} WHERE {where} LIMIT 1"  # noqa: S608 - quoted
    return _shown(session.stream(sql), columns, session).rows


def _literal(raw: Raw) -> str:
    return f"X'{raw.hex()}'" if isinstance(raw, bytes) else literal(raw or "")


def _shown(stream: Stream, columns: _Columns, session: Session, key: Sequence[str] = ()) -> _Shown:
    """Counts the rows of *stream*, and keeps some of them, with the values of *key* where they have them."""
    width = len(columns.names)
    at_key = [columns.names.index(name) for name in key if name in columns.names]
    rows: list[list[Cell]] = []
    keys: list[list[Raw]] = []
    count = 0
    for row in stream:
        count += 1
        if count > _SAMPLE:
            continue
        long = dict(zip(columns.long, row[width:], strict=True))
        cells_of = [
            _cell(row[at], long.get(name), stream, at) if at not in columns.masked else None if row[at] is None else MASK
            for at, name in enumerate(columns.names)
        ]
        rows.append(cells_of)
        if key and len(at_key) == len(key):
            keys.append([row[at] for at in at_key])
    shown = [
        Column(name=cells.text(name, _CELL), type=type_name(each, session.zone))
        for name, each in zip(columns.names, stream.fields[:width], strict=True)
    ]
    return _Shown(shown, rows, keys, count)


def _cell(raw: Raw, length: Raw, stream: Stream, at: int) -> Cell:
    if raw is None and length is not None and int(length) > _MOST_SHOWN:
        return f"<value of {int(length)} bytes, too large to show>"
    return value(raw, stream.fields[at], _CELL)


def _preview(judged: Judged, columns: list[Column], before: list[list[Cell]], after: list[list[Cell]]) -> WritePreview:
    schema = f"{judged.target.schema}."
    words = [
        f"{name} ({', '.join(each.removeprefix(schema) for each in made_of)})"
        for name, made_of in judged.secret.items()
        if name in judged.target.columns
    ]
    return WritePreview(
        columns=columns, before=before, after=after, masked=[cells.text(each, _CELL) for each in words] if columns else []
    )


def _returns(session: Session) -> bool:
    """Whether INSERT … RETURNING is known to the engine."""
    if not session.wire.is_mariadb:
        return False
    ((version,),) = plain(session.fetch("SELECT VERSION()"))
    found = _VERSION.match(str(version))
    return found is not None and (int(found[1]), int(found[2])) >= _RETURNING_SINCE

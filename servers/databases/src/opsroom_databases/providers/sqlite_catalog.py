"""What an SQLite database is made of: tables, views, columns, keys, indexes and sizes."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput, NotFound, TimedOut, TooLarge, ToolFailure

from ..cells import Cell
from ..models import (
    Column,
    ColumnDescription,
    ForeignKey,
    IndexDescription,
    Reference,
    RelationKind,
    RowsAre,
    TableDescription,
)
from ..names import did_you_mean
from . import Relation, Sampling, sqlite_worker
from .sqlite_file import GuardedFile, Values, cell, quoted, shown
from .sqlite_secrets import Known

_COUNT_SECONDS = 2.0
_SAMPLE_BYTES = 16_000
_MOST_VIEWS = 500
_KINDS: dict[str, RelationKind] = {"table": "table", "view": "view", "virtual": "virtual table"}

_TABLES = """
    SELECT name, type, wr FROM pragma_table_list
    WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"""
_COLUMNS = """
    SELECT t.name, c.name, c.type FROM pragma_table_list t, pragma_table_xinfo(t.name) c
    WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY t.name, c.cid"""
_COLUMNS_OF = "SELECT name, type FROM pragma_table_xinfo(?) ORDER BY cid"
_INDEXES = """
    SELECT m.tbl_name, m.name, group_concat(coalesce(i.name, 'expression'), ', ')
    FROM sqlite_schema m, pragma_index_info(m.name) i WHERE m.type = 'index' GROUP BY m.tbl_name, m.name"""
# One pass over the pages counts rows and bytes. Rows of a table WITHOUT ROWID also stand in inner pages.
_PAGES = """
    SELECT coalesce(m.tbl_name, d.name), d.name, sum(d.pgsize), sum((d.pagetype = 'leaf') * d.ncell), sum(d.ncell)
    FROM dbstat d LEFT JOIN sqlite_schema m ON m.name = d.name GROUP BY 1, 2"""
_PAGES_OF = """
    SELECT m.tbl_name, d.name, sum(d.pgsize), sum((d.pagetype = 'leaf') * d.ncell), sum(d.ncell)
    FROM sqlite_schema m JOIN dbstat d ON d.name = m.name WHERE m.tbl_name = ? GROUP BY 1, 2"""
_STATISTICS = "SELECT tbl, stat FROM sqlite_stat1 WHERE stat IS NOT NULL"
_XINFO = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid'
_INDEXES_OF = """
    SELECT l.name, l."unique", l.partial, coalesce(i.name, 'expression'), i.desc
    FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) i WHERE i.key = 1 ORDER BY l.seq, i.seqno"""
_KEYS_FROM = 'SELECT id, "table", "from", "to", on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq'
_KEYS_TO = """
    SELECT t.name, f.id, f."from", f."to" FROM pragma_table_list t, pragma_foreign_key_list(t.name) f
    WHERE t.schema = 'main' AND t.type = 'table' AND f."table" = ? COLLATE NOCASE ORDER BY t.name, f.id, f.seq"""
_DEFINITION = "SELECT sql FROM sqlite_schema WHERE name = ? AND type IN ('table', 'view')"


@dataclass(frozen=True)
class Size:
    """What is known of a table's size."""

    rows: int | None = None
    counted: bool = False
    size_bytes: int | None = None

    @property
    def rows_are(self) -> RowsAre | None:
        return None if self.rows is None else "counted" if self.counted else "estimated"


@dataclass(frozen=True)
class _Table:
    name: str
    kind: RelationKind
    without_rowid: bool


class Catalog:
    """Reads the schema of one file. Nothing is kept: a schema can change between two calls."""

    def __init__(self, file: GuardedFile) -> None:
        self._file = file

    async def relations(self) -> list[Relation]:
        listed, columns, indexes = await self._file.rows((_TABLES, ()), (_COLUMNS, ()), (_INDEXES, ()))
        tables = _tables(listed)
        sizes = await self._sizes(tables)
        by_table = _by_table(columns) | await self._columns_of_views(tables)
        by_index: dict[str, list[str]] = {}
        for table, index, on in indexes:
            by_index.setdefault(str(table), []).append(f"{shown(index)} ({shown(on)})")
        found: list[Relation] = []
        for table in tables:
            size = sizes.get(table.name, Size())
            found.append(
                Relation(
                    name=shown(table.name),
                    kind=table.kind,
                    columns=tuple(by_table.get(table.name, ())),
                    indexes=tuple(by_index.get(table.name, ())),
                    rows=size.rows,
                    rows_are=size.rows_are,
                    size_bytes=size.size_bytes,
                )
            )
        return found

    async def columns(self, table: str) -> list[Column]:
        """The columns of *table*; none for a view of what is gone, or a virtual table whose module is missing here."""
        try:
            return [
                Column(name=shown(name), type=shown(kind)) for name, kind in (await self._file.rows((_COLUMNS_OF, (table,))))[0]
            ]
        except InvalidInput:
            return []

    async def _columns_of_views(self, tables: Sequence[_Table]) -> dict[str, list[Column]]:
        """Of views and virtual tables; where one of them is broken it has none, and must not hide the others."""
        names = [table.name for table in tables if table.kind != "table"][:_MOST_VIEWS]
        try:
            found = await self._file.rows(*((_COLUMNS_OF, (name,)) for name in names))
        except InvalidInput:
            return {name: await self.columns(name) for name in names}
        return {name: _columns_of(rows) for name, rows in zip(names, found, strict=True)}

    async def estimates(self, names: Sequence[str]) -> dict[str, int]:
        """About how many rows each table of *names* has, by its name in lower case; found without reading the tables."""
        wanted = {name.lower() for name in names}
        tables = [table for table in _tables((await self._file.rows((_TABLES, ())))[0]) if table.name.lower() in wanted]
        sizes = await self._estimates(tables)
        return {name.lower(): size.rows for name, size in sizes.items() if size.rows is not None}

    async def describe(self, relation: str, sampling: Sampling, known: Known) -> TableDescription:
        """*known* says which columns are masked. Raises SchemaChanged."""
        table = self._resolve(relation, _tables((await self._file.rows((_TABLES, ())))[0]))
        one = (table.name,)
        columns, indexes, keys, references, definition = await self._file.rows(
            (_XINFO, one), (_INDEXES_OF, one), (_KEYS_FROM, one), (_KEYS_TO, one), (_DEFINITION, one)
        )
        size = (await self._sizes([table], only=table.name)).get(table.name, Size()) if table.kind == "table" else Size()
        return TableDescription(
            name=shown(table.name),
            kind=table.kind,
            rows=size.rows,
            rows_are=size.rows_are,
            size_bytes=size.size_bytes,
            columns=_columns(columns, known.columns.of(table.name)),
            indexes=_indexes(indexes),
            foreign_keys=_foreign_keys(keys),
            referenced_by=_references(references),
            definition=shown(definition[0][0]) if table.kind != "table" and definition else None,
            sample=await self._sample(table.name, [str(row[0]) for row in columns], sampling, known) if sampling.rows else None,
        )

    async def _sample(self, table: str, columns: Sequence[str], sampling: Sampling, known: Known) -> list[list[Cell]]:
        secret = known.columns.of(table)
        read = sqlite_worker.Read(
            sql=f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table)} LIMIT {sampling.rows:d}",  # noqa: S608 - quoted
            parameters=[],
            skip=0,
            rows=sampling.rows,
            bytes=_SAMPLE_BYTES,
            cell=sampling.cell,
            masked=[position for position, column in enumerate(columns) if column in secret],
        )
        page = await self._file.read(read, secrets=known.guarding((table, column) for column in secret))
        return [[cell(value, sampling.cell) for value in row] for row in page["rows"]]

    def _resolve(self, relation: str, tables: Sequence[_Table]) -> _Table:
        wanted = relation.strip()
        for bare in (wanted, wanted.strip('"`[]'), wanted.removeprefix("main.").strip('"`[]')):
            for table in tables:
                if table.name.lower() == bare.lower():
                    return table
        hint = did_you_mean(wanted, (shown(table.name) for table in tables))
        raise NotFound(
            f"{self._file.name} has no table or view of that name.{hint} search_schema with * lists all {len(tables)}."
        )

    async def _sizes(self, tables: Sequence[_Table], only: str | None = None) -> dict[str, Size]:
        """Counted from the pages where there is time for it, otherwise estimated from what is at hand."""
        try:
            pages = (await self._file.rows((_PAGES_OF, (only,)) if only else (_PAGES, ()), seconds=_COUNT_SECONDS))[0]
        except (TimedOut, InvalidInput, TooLarge):  # too many pages, or an engine that was built without dbstat
            return await self._estimates(tables)
        rows: dict[str, int] = {}
        sizes: dict[str, int] = {}
        for owner, part, size, leaf_rows, all_rows in pages:
            table = _owner(str(owner), tables)
            if table is None:
                continue
            sizes[table.name] = sizes.get(table.name, 0) + int(str(size))
            if part == table.name:
                rows[table.name] = int(str(all_rows if table.without_rowid else leaf_rows))
        return {name: Size(rows.get(name), counted=True, size_bytes=size) for name, size in sizes.items()}

    async def _estimates(self, tables: Sequence[_Table]) -> dict[str, Size]:
        found: dict[str, Size] = {}
        try:
            for name, stat in (await self._file.rows((_STATISTICS, ())))[0]:
                first = str(stat).split(" ")[0]
                if first.isdecimal():
                    found[str(name)] = Size(int(first))
        except ToolFailure:
            found = {}  # nobody has run ANALYZE
        for table in tables:
            if table.kind == "table" and not table.without_rowid and table.name not in found:
                # rows that were deleted in between count as well, which is close enough for a plan
                top = (await self._file.rows((f"SELECT max(rowid) FROM {quoted(table.name)}", ())))[0][0][0]  # noqa: S608 - quoted
                found[table.name] = Size(int(str(top or 0)))
        return found


def _tables(rows: Values) -> list[_Table]:
    return [_Table(str(name), _KINDS.get(str(kind), "table"), bool(without_rowid)) for name, kind, without_rowid in rows]


def _by_table(rows: Values) -> dict[str, list[Column]]:
    found: dict[str, list[Column]] = {}
    for table, name, kind in rows:
        found.setdefault(str(table), []).append(Column(name=shown(name), type=shown(kind)))
    return found


def _columns_of(rows: Values) -> list[Column]:
    return [Column(name=shown(name), type=shown(kind)) for name, kind in rows]


def _owner(name: str, tables: Sequence[_Table]) -> _Table | None:
    """The table whose pages *name* holds: itself, or the virtual table that keeps its content there."""
    for table in tables:
        if table.name == name or (table.kind == "virtual table" and name.startswith(f"{table.name}_")):
            return table
    return None


def _columns(rows: Values, secret: Container[str]) -> list[ColumnDescription]:
    return [
        ColumnDescription(
            name=shown(name),
            type=shown(kind),
            nullable=not not_null and not (key and str(kind).upper() == "INTEGER"),
            default=None if default is None else shown(default),
            primary_key=int(str(key)) or None,
            generated=hidden in (2, 3),
            masked=str(name) in secret,
        )
        for name, kind, not_null, default, key, hidden in rows
    ]


def _indexes(rows: Values) -> list[IndexDescription]:
    found: dict[str, IndexDescription] = {}
    for name, unique, partial, column, descending in rows:
        index = IndexDescription(name=shown(name), columns=[], unique=bool(unique), partial=bool(partial))
        found.setdefault(str(name), index).columns.append(shown(column) + (" desc" if descending else ""))
    return list(found.values())


def _foreign_keys(rows: Values) -> list[ForeignKey]:
    found: dict[str, ForeignKey] = {}
    for identity, table, here, there, on_delete in rows:
        rule = str(on_delete).lower()
        empty = ForeignKey(columns=[], table=shown(table), to_columns=[], on_delete=None if rule == "no action" else rule)
        key = found.setdefault(str(identity), empty)
        key.columns.append(shown(here))
        key.to_columns.append("primary key" if there is None else shown(there))
    return list(found.values())


def _references(rows: Values) -> list[Reference]:
    found: dict[tuple[str, str], Reference] = {}
    for table, identity, here, there in rows:
        reference = found.setdefault((str(table), str(identity)), Reference(table=shown(table), columns=[], to_columns=[]))
        reference.columns.append(shown(here))
        reference.to_columns.append("primary key" if there is None else shown(there))
    return list(found.values())

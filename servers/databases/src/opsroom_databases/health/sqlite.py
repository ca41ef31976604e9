"""Looks at the health of an SQLite file."""

import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from opsroom_shared.errors import InvalidInput, TimedOut

from ..providers.sqlite_catalog import Catalog
from ..providers.sqlite_file import GuardedFile, Values, quoted, shown
from .checks import CannotCheck, Check, Look, Seen
from .facts import (
    Counter,
    Counters,
    Damage,
    DatabaseFile,
    ForeignKey,
    Index,
    Indexing,
    Table,
    Tables,
    Violations,
)
from .indexes import judge_indexes
from .storage import judge_counters, judge_damage, judge_file, judge_tables, judge_violations

_SECONDS = 3.0
_MOST_PROBLEMS = 20
_MOST_VIOLATIONS = 10_000
_LAST_ROWID = 2**63 - 1
_PLAIN_ORDER = ("0 BINARY",)
_WHERE = re.compile(r"\bWHERE\b.*", re.IGNORECASE | re.DOTALL)
_ON = re.compile(r"\bON\b.*", re.IGNORECASE | re.DOTALL)

_TABLES = "t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite~_%' ESCAPE '~'"
_FILE = """
    SELECT page_size, page_count, freelist_count, journal_mode
    FROM pragma_page_size, pragma_page_count, pragma_freelist_count, pragma_journal_mode"""
_THOROUGH = f"SELECT integrity_check FROM pragma_integrity_check({_MOST_PROBLEMS + 1})"  # noqa: S608 - a number of ours
_QUICK = f"SELECT quick_check FROM pragma_quick_check({_MOST_PROBLEMS + 1})"  # noqa: S608 - a number of ours
_VIOLATIONS = f"""
    SELECT "table", parent, count(*) FROM (SELECT "table", parent FROM pragma_foreign_key_check LIMIT {_MOST_VIOLATIONS + 1})
    GROUP BY 1, 2 ORDER BY 3 DESC"""  # noqa: S608 - a number of ours
_INTERNAL = "SELECT name FROM sqlite_schema WHERE name IN ('sqlite_stat1', 'sqlite_sequence')"
_STATISTICS = "SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 GROUP BY tbl"
_SEQUENCES = "SELECT name, seq FROM sqlite_sequence"
_INDEXED = f"SELECT t.name FROM pragma_table_list t, pragma_index_list(t.name) l WHERE {_TABLES} GROUP BY t.name"  # noqa: S608 - ours
_INDEXES = f"""
    SELECT t.name, l.name, l."unique", l.origin, l.partial, x.cid, x.name, x.desc, x.coll, m.sql
    FROM pragma_table_list t, pragma_index_list(t.name) l, pragma_index_xinfo(l.name) x
      LEFT JOIN sqlite_schema m ON m.type = 'index' AND m.name = l.name
    WHERE {_TABLES} AND x.key = 1 ORDER BY t.name, l.seq, x.seqno"""  # noqa: S608 - ours
_ROWIDS = f"""
    SELECT t.name, max(c.name) FROM pragma_table_list t, pragma_table_xinfo(t.name) c
    WHERE {_TABLES} AND c.pk > 0 AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) l WHERE l.origin = 'pk')
    GROUP BY t.name HAVING count(*) = 1"""  # noqa: S608 - ours
_KEYS = f"""
    SELECT t.name, f.id, f."from", f."table" FROM pragma_table_list t, pragma_foreign_key_list(t.name) f
    WHERE {_TABLES} ORDER BY t.name, f.id, f.seq"""  # noqa: S608 - ours
_SIZES = "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"


class SqliteHealth:
    """What can be seen of one file. The engine counts nothing while it works, so uses of indexes are not known."""

    def __init__(self, file: GuardedFile, catalog: Catalog) -> None:
        self._file, self._catalog = file, catalog
        self._counted: dict[str, tuple[int, int | None, bool]] | None = None

    def checks(self) -> Sequence[Check]:
        return (
            Look("file", "storage", self._database_file, judge_file),
            Look("integrity", "storage", self._damage, judge_damage),
            Look("foreign keys", "storage", self._violations, judge_violations),
            Look("tables", "storage", self._tables, judge_tables),
            Look("sequences", "storage", self._counters, judge_counters),
            Look("indexes", "indexes", self._indexing, judge_indexes),
        )

    async def _rows(self, sql: str) -> Values:
        return (await self._file.rows((sql, ()), seconds=_SECONDS))[0]

    async def _database_file(self) -> Seen[DatabaseFile]:
        ((page_size, pages, free, journal),) = await self._rows(_FILE)
        log = 0
        path = await self._file.path()
        with suppress(OSError):  # there is none, most of the time
            log = path.with_name(f"{path.name}-wal").stat().st_size
        return Seen(DatabaseFile(_int(page_size), _int(pages), _int(free), shown(journal), log))

    async def _damage(self) -> Seen[Damage]:
        for sql, looked_at in ((_THOROUGH, "the file and its indexes"), (_QUICK, "the file, but not what its indexes say")):
            with suppress(TimedOut):
                found = [shown(row[0]) for row in await self._rows(sql)]
                if found == ["ok"]:
                    found = []
                return Seen(Damage(tuple(found[:_MOST_PROBLEMS]), len(found) > _MOST_PROBLEMS, looked_at))
        raise CannotCheck(f"the file cannot be read in {_SECONDS:g} s; run PRAGMA integrity_check with the sqlite3 program")

    async def _violations(self) -> Seen[Violations]:
        rows = await self._rows(_VIOLATIONS)
        counts = {(shown(table), shown(parent)): _int(count) for table, parent, count in rows}
        return Seen(Violations(counts, sum(counts.values()) > _MOST_VIOLATIONS))

    async def _tables(self) -> Seen[Tables]:
        counted = await self._sizes()
        estimated = {shown(table): _int(rows) for table, rows in await self._internal("sqlite_stat1", _STATISTICS)}
        indexed = {shown(row[0]) for row in await self._rows(_INDEXED)}
        tables = [
            Table(
                name=name,
                rows=rows,
                bytes=size,
                has_statistics=name in estimated or name not in indexed,
                changed_rows=abs(rows - estimated[name]) if exact and name in estimated else None,
                analyze=f"ANALYZE {quoted(name)}",
            )
            for name, (rows, size, exact) in counted.items()
        ]
        return Seen(Tables(tuple(tables)))

    async def _counters(self) -> Seen[Counters]:
        rows = await self._internal("sqlite_sequence", _SEQUENCES)
        then = "It gives out no number after the last one: use keys of another kind"
        return Seen(Counters(tuple(Counter(shown(name), _int(last), 0, _LAST_ROWID, then) for name, last in rows)))

    async def _indexing(self) -> Seen[Indexing]:
        counted = await self._sizes()
        indexes = _indexes(await self._rows(_INDEXES), await self._index_sizes())
        rowids = [
            Index(f"the primary key of {shown(table)}", shown(table), (shown(column),), _PLAIN_ORDER, unique=True, hidden=True)
            for table, column in await self._rows(_ROWIDS)
        ]
        tables = {name: Table(name, rows) for name, (rows, _, _) in counted.items()}
        facts = Indexing((*indexes, *rowids), _foreign_keys(await self._rows(_KEYS)), tables)
        return Seen(facts, ("unused indexes and full reads: SQLite keeps no statistics about use",))

    async def _internal(self, table: str, sql: str) -> Values:
        """The rows of a table that is there only after its first use."""
        there = {str(row[0]) for row in await self._rows(_INTERNAL)}
        return await self._rows(sql) if table in there else []

    async def _index_sizes(self) -> dict[str, int]:
        try:
            return {shown(name): _int(size) for name, size in await self._rows(_SIZES)}
        except (TimedOut, InvalidInput):
            return {}  # a large file, or an engine that was built without dbstat; sizes only illustrate

    async def _sizes(self) -> dict[str, tuple[int, int | None, bool]]:
        """Rows, bytes, and whether they were counted, of every table whose rows are known; read once."""
        if self._counted is None:
            self._counted = {
                relation.name: (relation.rows, relation.size_bytes, relation.rows_are == "counted")
                for relation in await self._catalog.relations()
                if relation.kind == "table" and relation.rows is not None
            }
        return self._counted


def _indexes(rows: Values, sizes: dict[str, int]) -> list[Index]:
    parts: defaultdict[tuple[str, str], list[list[object]]] = defaultdict(list)
    for row in rows:
        parts[shown(row[0]), shown(row[1])].append([*row])
    found: list[Index] = []
    for (table, name), columns in parts.items():
        unique, origin, partial = columns[0][2:5]
        sql = str(columns[0][9] or "")
        found.append(
            Index(
                name=name,
                table=table,
                columns=tuple(_column(row, sql) for row in columns),
                order=tuple(f"{row[7]} {str(row[8]).upper()}" for row in columns),
                where=_first(_WHERE, sql) if partial else "",
                unique=bool(unique),
                required=origin != "c",
                bytes=sizes.get(name),
                drop=f"DROP INDEX {quoted(name)}",
            )
        )
    return found


def _column(row: Sequence[object], sql: str) -> str:
    # of an expression only the index's whole definition is known
    return shown(str(row[6])) if row[6] is not None else f"expression {_first(_ON, sql)}"


def _first(pattern: re.Pattern[str], sql: str) -> str:
    match = pattern.search(sql)
    return " ".join(match[0].split()) if match else ""


def _foreign_keys(rows: Values) -> tuple[ForeignKey, ...]:
    columns: defaultdict[tuple[str, int, str], list[str]] = defaultdict(list)
    for table, identity, column, parent in rows:
        columns[shown(table), _int(identity), shown(parent)].append(shown(column))
    return tuple(
        ForeignKey(table=table, columns=tuple(names), to=parent, create=_create(table, names))
        for (table, _, parent), names in columns.items()
    )


def _create(table: str, columns: Sequence[str]) -> str:
    return f"CREATE INDEX {quoted('_'.join([table, *columns, 'idx']))} ON {quoted(table)} ({', '.join(map(quoted, columns))})"


def _int(value: object) -> int:
    return int(str(value or 0))

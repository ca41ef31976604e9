"""What a database of MariaDB or MySQL is made of: tables, views, routines, columns, keys, indexes and sizes."""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from opsroom_shared.errors import NotFound, NotPermitted

from .. import cells
from ..cells import Cell
from ..dialects.mysql import DENIED_SCHEMA
from ..dialects.mysql_statement import read
from ..models import (
    Column,
    ColumnDescription,
    DatabaseStatus,
    ForeignKey,
    IndexDescription,
    Reference,
    RelationKind,
    RowsAre,
    TableDescription,
)
from ..names import did_you_mean
from ..secret_names import Policy
from . import Relation, Sampling
from .mysql_rows import Bounds, page, plain
from .mysql_secrets import judged, secret_columns
from .mysql_session import Session
from .mysql_wire import literal, quoted

Text: TypeAlias = "list[str | None]"

_MAX_RELATIONS = 5_000
_MAX_COLUMNS = 40_000
_MAX_TEXT = 2_000
_SAMPLE_BYTES = 16_000
_COUNTING_ENGINES = ("MyISAM", "Aria", "MEMORY")
_PARTS = re.compile(r"`(?:[^`]|``)+`|[^`.]+")

_STATUS = """
    SELECT VERSION(), (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type <> 'VIEW'),
      (SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE())"""
_TABLES = """
    SELECT table_name, table_type, engine, table_rows, data_length + index_length, table_comment, create_options
    FROM information_schema.tables WHERE table_schema = {schema}"""
_COLUMNS = """
    SELECT table_name, column_name, column_type FROM information_schema.columns
    WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"""
_INDEXES = """
    SELECT table_name, index_name, GROUP_CONCAT(COALESCE(column_name, 'expression') ORDER BY seq_in_index SEPARATOR ', ')
    FROM information_schema.statistics WHERE table_schema = DATABASE() GROUP BY table_name, index_name"""
_ROUTINES = """
    SELECT routine_name, routine_type, dtd_identifier, routine_comment FROM information_schema.routines
    WHERE routine_schema = DATABASE() AND routine_type IN ('FUNCTION', 'PROCEDURE')"""
_PARAMETERS = """
    SELECT specific_name, routine_type, CONCAT_WS(' ', parameter_name, dtd_identifier) FROM information_schema.parameters
    WHERE specific_schema = DATABASE() AND ordinal_position > 0 ORDER BY specific_name, ordinal_position"""
_COLUMNS_OF = """
    SELECT column_name, column_type, is_nullable, column_default, column_key, extra, column_comment
    FROM information_schema.columns WHERE table_schema = {schema} AND table_name = {table} ORDER BY ordinal_position"""
_INDEXES_OF = """
    SELECT index_name, non_unique, COALESCE(column_name, 'expression'), sub_part, collation, index_type, seq_in_index
    FROM information_schema.statistics WHERE table_schema = {schema} AND table_name = {table} ORDER BY index_name, seq_in_index"""
_KEYS_FROM = """
    SELECT k.constraint_name, k.column_name, k.referenced_table_schema, k.referenced_table_name, k.referenced_column_name,
      r.delete_rule
    FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
      ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
    WHERE k.table_schema = {schema} AND k.table_name = {table} AND k.referenced_table_name IS NOT NULL
    ORDER BY k.constraint_name, k.ordinal_position"""
_KEYS_TO = """
    SELECT table_schema, table_name, constraint_name, column_name, referenced_column_name
    FROM information_schema.key_column_usage WHERE referenced_table_schema = {schema} AND referenced_table_name = {table}
    ORDER BY table_schema, table_name, constraint_name, ordinal_position"""
_VIEW = "SELECT view_definition FROM information_schema.views WHERE table_schema = {schema} AND table_name = {table}"


@dataclass(frozen=True)
class _Table:
    schema: str
    name: str
    kind: RelationKind
    engine: str | None
    rows: int | None
    rows_are: RowsAre | None
    size_bytes: int | None
    comment: str | None

    @property
    def place(self) -> dict[str, str]:
        return {"schema": literal(self.schema), "table": literal(self.name)}


def status(session: Session, name: str) -> DatabaseStatus:
    ((version, tables, size),) = plain(session.fetch(_STATUS))
    return DatabaseStatus(
        name=name,
        dialect="mysql",
        version=_shown(version),
        read_only=True,
        reachable=True,
        account=account([str(line) for (line,) in plain(session.fetch("SHOW GRANTS"))]),
        tables=int(tables or 0),
        size_bytes=None if size is None else int(size),
    )


_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?P<place>.+?) TO ", re.IGNORECASE)
_READING = frozenset({"SELECT", "SHOW VIEW", "USAGE", "EXECUTE", "PROCESS", "SHOW DATABASES", "REPLICATION CLIENT", "PROXY"})
_COULD = (("FILE", "read and write files"), ("CREATE USER", "make accounts"), ("GRANT OPTION", "hand on its rights"))
_HARMLESS = _READING | {right for right, _ in _COULD}
_ALL = frozenset({"ALL", "ALL PRIVILEGES", "SUPER"})


def account(grants: Sequence[str]) -> str:
    """What the lines of SHOW GRANTS let an account do beyond reading. They hold a password's hash, which is left out."""
    able: set[str] = set()
    for line in grants:
        match = _GRANT.match(line)
        if match is None:
            continue
        rights = {re.sub(r"\s*\(.*", "", each).strip().upper() for each in re.split(r",(?![^(]*\))", match["rights"])}
        if rights & _ALL and match["place"] == "*.*":
            return "superuser: it could do anything; role-sql prints an account that could not"
        able |= rights | ({"GRANT OPTION"} if line.upper().endswith("WITH GRANT OPTION") and rights != {"PROXY"} else set())
    could = ["write tables"] if able - _HARMLESS else []
    could += [words for right, words in _COULD if right in able]
    return f"could {', '.join(could)}; role-sql prints an account that could not" if could else "can only read"


def relations(session: Session) -> list[Relation]:
    tables = _tables(session, "DATABASE()")[:_MAX_RELATIONS]
    columns: dict[str, list[Column]] = {}
    for table, name, kind in plain(session.fetch(f"{_COLUMNS} LIMIT {_MAX_COLUMNS}")):
        columns.setdefault(str(table), []).append(Column(name=_shown(name), type=_shown(kind)))
    indexes: dict[str, list[str]] = {}
    for table, name, on in plain(session.fetch(f"{_INDEXES} LIMIT {_MAX_COLUMNS}")):
        indexes.setdefault(str(table), []).append(f"{_shown(name)} ({_shown(on)})")
    found = [
        Relation(
            name=_shown(table.name),
            kind=table.kind,
            columns=tuple(columns.get(table.name, ())),
            indexes=tuple(indexes.get(table.name, ())),
            rows=table.rows,
            rows_are=table.rows_are,
            size_bytes=table.size_bytes,
            comment=table.comment,
        )
        for table in tables
    ]
    return found + _routines(session)


def _routines(session: Session) -> list[Relation]:
    parameters: dict[tuple[str, str], list[str]] = {}
    for name, kind, parameter in plain(session.fetch(f"{_PARAMETERS} LIMIT {_MAX_COLUMNS}")):
        parameters.setdefault((str(name), str(kind)), []).append(_shown(parameter))
    found: list[Relation] = []
    for name, kind, returns, comment in plain(session.fetch(f"{_ROUTINES} LIMIT {_MAX_RELATIONS}")):
        about = f"({', '.join(parameters.get((str(name), str(kind)), []))})"
        about += f" returns {_shown(returns)}" if kind == "FUNCTION" else " procedure, which cannot be called here"
        found.append(Relation(name=_shown(name), kind="function", comment=f"{about}. {_shown(comment)}" if comment else about))
    return found


def describe(session: Session, database: str, relation: str, sampling: Sampling, policy: Policy) -> TableDescription:
    """The table or view *relation*, with or without its schema."""
    table = _resolved(session, database, relation)
    columns = plain(session.fetch(_COLUMNS_OF.format(**table.place)))
    indexes = plain(session.fetch(_INDEXES_OF.format(**table.place)))
    definition = plain(session.fetch(_VIEW.format(**table.place))) if table.kind == "view" else []
    secret = secret_columns(table.name, session, policy).of(f"{table.schema}.{table.name}")
    primary = {str(row[2]): int(str(row[6])) for row in indexes if row[0] == "PRIMARY"}
    about = [table.engine if table.kind != "view" else None, table.comment]
    return TableDescription(
        name=_shown(table.name),
        kind=table.kind,
        rows=table.rows,
        rows_are=table.rows_are,
        size_bytes=table.size_bytes,
        comment=". ".join(filter(None, about)) or None,
        columns=[_column(row, primary, secret) for row in columns],
        indexes=_indexes(indexes),
        foreign_keys=_foreign_keys(plain(session.fetch(_KEYS_FROM.format(**table.place))), table.schema),
        referenced_by=_references(plain(session.fetch(_KEYS_TO.format(**table.place))), table.schema),
        definition=_shown(definition[0][0]) if definition and definition[0][0] else None,
        sample=_sample(session, table, [str(row[0]) for row in columns], sampling, policy) if sampling.rows else None,
    )


def columns_of(session: Session, table: str) -> list[str]:
    return [str(row[0]) for row in plain(session.fetch(_COLUMNS_OF.format(schema="DATABASE()", table=literal(table))))]


def indexes_of(session: Session, table: str) -> list[list[str]]:
    """The columns of each index of *table*, in lower case."""
    found: dict[str, list[str]] = {}
    for row in plain(session.fetch(_INDEXES_OF.format(schema="DATABASE()", table=literal(table)))):
        found.setdefault(str(row[0]), []).append(str(row[2]).lower())
    return list(found.values())


def columns_of_all(session: Session) -> list[tuple[str, str]]:
    """Every table of the database with each of its columns."""
    return [(_shown(table), _shown(name)) for table, name, _ in plain(session.fetch(f"{_COLUMNS} LIMIT {_MAX_COLUMNS}"))]


def _tables(session: Session, schema: str, only: str | None = None) -> list[_Table]:
    ((current,),) = plain(session.fetch(f"SELECT {schema}"))
    named = "" if only is None else f" AND table_name = {literal(only)}"
    found: list[_Table] = []
    for name, kind, engine, rows, size, comment, options in plain(session.fetch(_TABLES.format(schema=schema) + named)):
        view = kind in ("VIEW", "SYSTEM VIEW")
        exact = engine in _COUNTING_ENGINES
        known = None if view or rows is None else int(rows)
        found.append(
            _Table(
                schema=str(current),
                name=str(name),
                kind="view" if view else "partitioned table" if "partitioned" in str(options) else "table",
                engine="sequence" if kind == "SEQUENCE" else engine,
                rows=known,
                rows_are=None if known is None else "counted" if exact else "estimated",
                size_bytes=None if view or size is None else int(size),
                comment=_shown(comment) if comment and comment != "VIEW" else None,
            )
        )
    return sorted(found, key=lambda table: (-(table.size_bytes or 0), table.name))


def _resolved(session: Session, database: str, relation: str) -> _Table:
    parts = [part.strip("`").replace("``", "`") for part in _PARTS.findall(relation.strip())]
    schema, wanted = (literal(parts[0]), parts[1]) if len(parts) == 2 else ("DATABASE()", relation.strip().strip("`"))
    tables = _tables(session, schema, wanted) or _tables(session, schema)
    if any(table.schema.lower() == DENIED_SCHEMA for table in tables):
        raise NotPermitted(f"The schema {DENIED_SCHEMA} may not be read: it holds the accounts.")
    exact = [table for table in tables if table.name == wanted]
    if found := exact or [table for table in tables if table.name.lower() == wanted.lower()]:
        return found[0]
    hint = did_you_mean(wanted, (_shown(table.name) for table in tables))
    raise NotFound(f"{database} has no table or view of that name.{hint} search_schema with * lists all {len(tables)}.")


def _sample(session: Session, table: _Table, columns: Sequence[str], sampling: Sampling, policy: Policy) -> list[list[Cell]]:
    sql = f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table.schema)}.{quoted(table.name)} LIMIT {sampling.rows:d}"  # noqa: S608 - quoted
    reading = read(sql, table.schema)
    masked = judged(reading, session, policy)
    return page(session.stream(reading.sql), Bounds(sampling.rows, 0, _SAMPLE_BYTES, sampling.cell), session.zone, masked).rows


def _column(row: Text, primary: dict[str, int], secret: Container[str]) -> ColumnDescription:
    name, kind, nullable, default, _, extra, comment = row
    notes = " ".join(part for part in ("auto_increment", "on update") if part in str(extra).lower())
    return ColumnDescription(
        name=_shown(name),
        type=_shown(f"{kind} {notes}".strip()),
        nullable=nullable == "YES",
        default=None if default in (None, "NULL") else _shown(default),
        primary_key=primary.get(str(name)),
        generated="GENERATED" in str(extra).upper() and "DEFAULT_GENERATED" not in str(extra).upper(),
        comment=_shown(comment) if comment else None,
        masked=str(name) in secret,
    )


def _indexes(rows: Sequence[Text]) -> list[IndexDescription]:
    found: dict[str, IndexDescription] = {}
    for name, non_unique, column, part, collation, method, _ in rows:
        kind = None if method == "BTREE" else str(method).lower()
        index = IndexDescription(name=_shown(name), columns=[], unique=non_unique == "0", method=kind)
        shown = _shown(column) + (f"({part})" if part else "") + (" desc" if collation == "D" else "")
        found.setdefault(str(name), index).columns.append(shown)
    return sorted(found.values(), key=lambda index: index.name != "PRIMARY")


def _foreign_keys(rows: Sequence[Text], schema: str) -> list[ForeignKey]:
    found: dict[str, ForeignKey] = {}
    for name, here, there_schema, there_table, there, on_delete in rows:
        rule = str(on_delete).lower()
        table = _qualified(there_schema, there_table, schema)
        empty = ForeignKey(columns=[], table=table, to_columns=[], on_delete=None if rule in ("no action", "restrict") else rule)
        key = found.setdefault(str(name), empty)
        key.columns.append(_shown(here))
        key.to_columns.append(_shown(there))
    return list(found.values())


def _references(rows: Sequence[Text], schema: str) -> list[Reference]:
    found: dict[tuple[str, ...], Reference] = {}
    for from_schema, table, name, here, there in rows:
        empty = Reference(table=_qualified(from_schema, table, schema), columns=[], to_columns=[])
        reference = found.setdefault((str(from_schema), str(table), str(name)), empty)
        reference.columns.append(_shown(here))
        reference.to_columns.append(_shown(there))
    return list(found.values())


def _qualified(schema: str | None, table: str | None, here: str) -> str:
    return _shown(table) if schema == here else f"{_shown(schema)}.{_shown(table)}"


def _shown(value: str | None) -> str:
    """A name, type or comment from the catalog, which is outside text like any row."""
    return cells.text(value or "", _MAX_TEXT)

"""What a PostgreSQL database is made of: tables, views, functions, columns, keys, indexes and sizes."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from opsroom_shared.errors import NotFound

from .. import cells
from ..models import (
    Column,
    ColumnDescription,
    ForeignKey,
    IndexDescription,
    Reference,
    RelationKind,
    TableDescription,
)
from ..names import did_you_mean
from . import Relation
from .postgres_session import Session, quoted

_MAX_RELATIONS = 5_000
_MAX_TEXT = 2_000
_MAX_LABELS = 12
_KINDS: dict[str, RelationKind] = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}
_ACTIONS = {"c": "cascade", "n": "set null", "d": "set default", "r": "restrict"}
_PARTS = re.compile(r'"(?:[^"]|"")+"|[^".]+')

_RELATIONS = f"""
    SELECT n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8,
      CASE WHEN c.relkind IN ('v', 'f') THEN NULL
        WHEN c.relkind = 'p' THEN (SELECT sum(pg_total_relation_size(t.relid)) FROM pg_partition_tree(c.oid) t)
        ELSE pg_total_relation_size(c.oid) END::int8,
      (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)::text
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
      (SELECT json_agg(json_build_array(i.relname, pg_get_indexdef(i.oid)) ORDER BY i.relname)::text
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid),
      obj_description(c.oid, 'pg_class')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY c.relpages DESC, c.relname LIMIT {_MAX_RELATIONS}"""  # noqa: S608 - made of constants
_FUNCTIONS = f"""
    SELECT n.nspname::text, p.proname::text, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
      obj_description(p.oid, 'pg_proc')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    ORDER BY p.proname LIMIT {_MAX_RELATIONS}"""  # noqa: S608 - made of constants
_NAMED = """
    SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8,
      obj_description(c.oid, 'pg_class'), CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid, true) END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND lower(c.relname) = lower($1)
      AND ($2::text IS NULL OR lower(n.nspname) = lower($2))"""
_NAMES = """
    SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' LIMIT 5000"""
_SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(t.relid)), pg_total_relation_size($1::oid))::int8
    FROM pg_partition_tree($1::oid) t"""
_COLUMNS = """
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
      array_position(k.conkey, a.attnum), a.attgenerated <> '' OR a.attidentity <> '', col_description(a.attrelid, a.attnum),
      (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text FROM pg_enum e WHERE e.enumtypid = a.atttypid)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'p'
    WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
_INDEXES = """
    SELECT i.relname::text, x.indisunique, x.indpred IS NOT NULL, x.indisvalid, m.amname::text,
      (SELECT json_agg(pg_get_indexdef(x.indexrelid, k, true) ORDER BY k)::text FROM generate_series(1, x.indnkeyatts) k)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
    WHERE x.indrelid = $1::oid ORDER BY i.relname"""
_KEYS = """
    SELECT f.conrelid = $1::oid, n.nspname::text, c.relname::text, f.confdeltype::text,
      (SELECT json_agg(a.attname ORDER BY p)::text FROM unnest(f.conkey) WITH ORDINALITY u (num, p)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = u.num),
      (SELECT json_agg(a.attname ORDER BY p)::text FROM unnest(f.confkey) WITH ORDINALITY u (num, p)
        JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = u.num)
    FROM pg_constraint f JOIN pg_class c ON c.oid = CASE WHEN f.conrelid = $1::oid THEN f.confrelid ELSE f.conrelid END
      JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE f.contype = 'f' AND f.conparentid = 0 AND (f.conrelid = $1::oid OR f.confrelid = $1::oid) ORDER BY f.conname"""


@dataclass(frozen=True)
class Named:
    """A relation that a name was found to mean."""

    oid: int
    schema: str
    name: str
    kind: RelationKind
    rows: int | None
    comment: str | None
    definition: str | None

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


async def relations(session: Session) -> list[Relation]:
    """Tables, views and functions of all schemas but the engine's, with sizes and what the engine estimates of rows."""
    found = [
        Relation(
            name=_shown_name(session, str(schema), str(name)),
            kind=_KINDS[str(kind)],
            columns=tuple(Column(name=_shown(column), type=_shown(of)) for column, of in _pairs(columns)),
            indexes=tuple(f"{_shown(index)} ({_keys_of(definition)})" for index, definition in _pairs(indexes)),
            rows=_rows(estimate, str(kind)),
            rows_are="estimated" if _rows(estimate, str(kind)) is not None else None,
            size_bytes=None if size is None else int(str(size)),
            comment=_optional(comment),
        )
        for schema, name, kind, estimate, size, columns, indexes, comment in await session.fetch(_RELATIONS)
    ]
    found += [
        Relation(
            name=_shown_name(session, str(schema), str(name)),
            kind="function",
            comment=_shown(f"({arguments}) returns {result}" + (f": {comment}" if comment else "")),
        )
        for schema, name, arguments, result, comment in await session.fetch(_FUNCTIONS)
    ]
    return found


async def resolve(session: Session, written: str) -> Named:
    """The relation that *written* names, with or without its schema and quotes. Raises NotFound with the nearest names."""
    parts = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in _PARTS.findall(written.strip())]
    schema, name = (parts[-2] if len(parts) > 1 else None), (parts[-1] if parts else "")
    rows = await session.fetch(_NAMED, name, schema)
    if not rows:
        names = [_shown_name(session, str(each), str(relation)) for each, relation in await session.fetch(_NAMES)]
        hint = did_you_mean(written, names) or did_you_mean(name, names)
        raise NotFound(f"There is no table or view of that name.{hint} search_schema with * lists all.")
    order = {each: place for place, each in enumerate((*session.schemas[1:], session.schemas[0]))}
    best = min(rows, key=lambda row: (row[2] != name, order.get(str(row[1]), len(order))))
    oid, schema, name, kind, estimate, comment, definition = best
    return Named(
        oid=int(str(oid)),
        schema=str(schema),
        name=str(name),
        kind=_KINDS[str(kind)],
        rows=_rows(estimate, str(kind)),
        comment=_optional(comment),
        definition=_optional(definition),
    )


async def describe(session: Session, named: Named) -> TableDescription:
    """Everything but sample rows."""
    size = None
    if named.kind not in ("view", "foreign table"):
        ((size,),) = await session.fetch(_SIZE, named.oid)
    keys = await session.fetch(_KEYS, named.oid)
    return TableDescription(
        name=_shown_name(session, named.schema, named.name),
        kind=named.kind,
        rows=named.rows,
        rows_are="estimated" if named.rows is not None else None,
        size_bytes=None if size is None else int(str(size)),
        comment=named.comment,
        columns=[
            ColumnDescription(
                name=_shown(name),
                type=_shown(f"{of}{_labels(labels)}"),
                nullable=bool(nullable),
                default=_optional(default),
                primary_key=None if position is None else int(str(position)),
                generated=bool(generated),
                comment=_optional(comment),
            )
            for name, of, nullable, default, position, generated, comment, labels in await session.fetch(_COLUMNS, named.oid)
        ],
        indexes=[
            IndexDescription(
                name=_shown(name),
                columns=_texts(columns),
                unique=bool(unique),
                partial=bool(partial),
                valid=bool(valid),
                method=None if method == "btree" else _shown(method),
            )
            for name, unique, partial, valid, method, columns in await session.fetch(_INDEXES, named.oid)
        ],
        foreign_keys=[
            ForeignKey(
                columns=_texts(here),
                table=_shown_name(session, str(schema), str(table)),
                to_columns=_texts(there),
                on_delete=_ACTIONS.get(str(action)),
            )
            for from_here, schema, table, action, here, there in keys
            if from_here
        ],
        referenced_by=[
            Reference(table=_shown_name(session, str(schema), str(table)), columns=_texts(there), to_columns=_texts(here))
            for from_here, schema, table, _, there, here in keys
            if not from_here
        ],
        definition=named.definition,
    )


def _rows(estimate: object, kind: str) -> int | None:
    """What the last VACUUM or ANALYZE counted; -1 before the first, and 0 where there is nothing of its own to count."""
    rows = round(float(str(estimate)))
    return None if kind in ("v", "f") or rows < 0 else rows


def _shown_name(session: Session, schema: str, name: str) -> str:
    return _shown(name if schema in session.schemas else f"{schema}.{name}")


def _shown(value: object) -> str:
    """A name, type or definition, which is outside text like any row."""
    return cells.text(str(value), _MAX_TEXT)


def _optional(value: object) -> str | None:
    return None if value is None else _shown(value)


def _pairs(raw: object) -> Sequence[tuple[str, str]]:
    return [(first, second) for first, second in cast("list[list[str]]", json.loads(str(raw or "[]")))]


def _texts(raw: object) -> list[str]:
    return [_shown(each) for each in cast("list[str]", json.loads(str(raw or "[]")))]


def _keys_of(definition: str) -> str:
    """What stands in the parentheses of CREATE INDEX … USING btree (…)."""
    return _shown(definition.partition(" (")[2].rpartition(")")[0])


def _labels(raw: object) -> str:
    labels = _texts(raw)
    more = f", … {len(labels) - _MAX_LABELS} more" if len(labels) > _MAX_LABELS else ""
    return f" enum({', '.join(labels[:_MAX_LABELS])}{more})" if labels else ""

"""Finds the secret columns behind the names in a statement, in the transaction that it runs in: nothing changes in between."""

import json
from collections.abc import Iterable, Sequence
from typing import cast

from ..dialects.postgres_statement import Reading
from ..secret_columns import NOTHING_MASKED, Masked, SecretColumns, Shape
from ..secret_names import Policy
from ..secret_scope import Dialect
from .postgres_session import Session, characters

DIALECT = Dialect("postgres", rows_are_values=True)

# The engine keeps no record of what a view has to do with its own tables: only its stored tree tells all that it reads.
_RELATIONS = """
    WITH RECURSIVE wanted (oid) AS (
        SELECT c.oid FROM pg_class c WHERE c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 't')
        UNION
        SELECT m[1]::oid FROM wanted w JOIN pg_rewrite r ON r.ev_class = w.oid AND w.oid >= 16384,
          regexp_matches(r.ev_action::text, ':relid ([0-9]+)', 'g') m)
    SELECT n.nspname::text, c.relname::text,
      CASE WHEN c.relkind IN ('v', 'm') AND c.oid >= 16384 THEN pg_get_viewdef(c.oid) END,
      (SELECT json_agg(json_build_array(a.attname, a.attgenerated <> '', pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum)::text
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
    FROM wanted w JOIN pg_class c ON c.oid = w.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 't')
      JOIN pg_namespace n ON n.oid = c.relnamespace"""
# What the planner has seen of the values of columns.
_STATISTICS = {
    "pg_stats": ("most_common_vals", "histogram_bounds", "most_common_elems"),
    "pg_stats_ext": ("most_common_vals",),
    "pg_stats_ext_exprs": ("most_common_vals", "histogram_bounds", "most_common_elems"),
    "pg_statistic": ("stavalues1", "stavalues2", "stavalues3", "stavalues4", "stavalues5"),
    "pg_statistic_ext_data": ("stxdmcv", "stxdexpr"),
}
# Where the engine keeps values that are too long for their table.
_LONG_VALUES = ("chunk_data",)


async def judged(reading: Reading, session: Session, policy: Policy) -> Masked:
    """What to mask of the rows of a query. Raises NotPermitted where a secret is used otherwise."""
    if not policy.on or reading.sort == "show":
        return NOTHING_MASKED
    return (await secret_columns(reading.names, session, policy)).judge(reading.query_sql, reading.tree)


async def secret_columns(names: Iterable[str], session: Session, policy: Policy) -> SecretColumns:
    """The secret columns of every relation that is called one of *names*, in whatever schema."""
    wanted = sorted(set(names))
    key = ("secret columns", policy, session.schemas, *wanted)
    known = session.recalled.find(session.now, key)
    if isinstance(known, SecretColumns):
        return known
    found: dict[str, Shape] = {}
    rows = await session.fetch(_RELATIONS, wanted)
    order = {schema: place for place, schema in enumerate(session.schemas)}
    for schema, name, definition, described in sorted(rows, key=lambda row: order.get(str(row[0]), len(order)), reverse=True):
        shape = _shape(f"{schema}.{name}", definition, json.loads(str(described or "[]")))
        found[shape.name] = shape
        # the one that is looked for first comes last; one in no known schema counts as well, to be safe
        found[str(name)] = Shape(
            str(name), shape.columns, generated=shape.generated, definition=shape.definition, copies=shape.copies
        )
    columns = SecretColumns(policy, found.values(), DIALECT, whole=False)
    session.recalled.keep(session.now, key, columns, characters(rows))
    return columns


def _shape(name: str, definition: object, columns: Sequence[object]) -> Shape:
    rows = cast("Sequence[tuple[str, bool, str | None]]", columns)
    return Shape(
        name,
        tuple(column for column, _, _ in rows),
        generated={column: expression for column, generated, expression in rows if generated},
        definition=None if definition is None else str(definition).rstrip().removesuffix(";"),
        copies=_LONG_VALUES if name.startswith("pg_toast.") else _STATISTICS.get(name.removeprefix("pg_catalog."), ()),
    )

"""Asks the live catalog what the names in a statement stand for: functions, and what views and operators call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .postgres_driver import Row
from .postgres_session import Session

MAX_SOURCE = 200_000

# Objects below 16384 came with the engine.
_FUNCTION = """
    p.proname::text, n.nspname::text, p.provolatile = 'v', p.oid < 16384 OR EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'),
    l.lanpltrusted, l.lanname::text, CASE WHEN p.oid >= 16384 THEN left(concat_ws(' ', p.prosrc, {body}), {length}) END,
    p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1 AND EXISTS (
      SELECT FROM pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype IN ('p', 'c')
        AND t.typname NOT IN ('internal', 'cstring'))
"""
_BY_NAME = f"""
    SELECT 'function', NULL::text, {_FUNCTION}
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    WHERE p.proname = ANY ($1::text[])
    UNION ALL
    SELECT 'type', NULL, typname::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM pg_type
    WHERE typname = ANY ($1::text[])
    UNION ALL
    SELECT 'view', NULL, relname::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM pg_class
    WHERE relname = ANY ($2::text[]) AND relkind = 'v' AND oid >= 16384
    UNION ALL
    SELECT 'operator', NULL, oprname::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM pg_operator
    WHERE oid >= 16384 AND oprname = ANY ($3::text[])
    UNION ALL
    SELECT 'aggregate', NULL, p.proname::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM pg_aggregate a
    JOIN pg_proc p ON p.oid = a.aggfnoid WHERE a.aggfnoid >= 16384 AND p.proname = ANY ($1::text[])
"""  # noqa: S608 - made of constants
# What a view does is stored as a tree that names functions and relations by number: unlike a text it cannot be read wrongly.
_BEHIND = rf"""
    WITH RECURSIVE views (oid) AS (
        SELECT c.oid FROM pg_class c WHERE c.relname = ANY ($2::text[]) AND c.relkind = 'v' AND c.oid >= 16384
        UNION
        SELECT c.oid FROM views v JOIN pg_rewrite r ON r.ev_class = v.oid
          JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
          JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'v' AND c.oid >= 16384),
    body AS (
        SELECT DISTINCT c.relname AS through, m[1] AS what, m[2]::oid AS oid
        FROM views v JOIN pg_class c ON c.oid = v.oid JOIN pg_rewrite r ON r.ev_class = v.oid,
          regexp_matches(r.ev_action::text, ':(funcid|opfuncid|aggfnoid|winfnoid|opno|relid) ([0-9]+)', 'g') m
        WHERE NOT EXISTS (
          SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')),
    named (oid, through) AS (
        SELECT o.oprcode::oid, 'operator ' || o.oprname FROM pg_operator o WHERE o.oid >= 16384 AND o.oprname = ANY ($3::text[])
        UNION SELECT p.oid, NULL FROM pg_proc p WHERE p.oid >= 16384 AND p.prokind = 'a' AND p.proname = ANY ($1::text[])
        UNION SELECT b.oid, 'view ' || b.through FROM body b WHERE b.what NOT IN ('relid', 'opno')
        UNION SELECT o.oprcode::oid, 'view ' || b.through FROM body b JOIN pg_operator o ON o.oid = b.oid WHERE b.what = 'opno'),
    wanted (oid, through) AS (
        SELECT n.oid, n.through FROM named n WHERE n.through IS NOT NULL
        UNION
        SELECT part.oid, coalesce(n.through, 'aggregate ' || a.aggfnoid::text) FROM named n
          JOIN pg_aggregate a ON a.aggfnoid = n.oid AND n.oid >= 16384,
          unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn,
            a.aggminvtransfn, a.aggmfinalfn]::oid[]) AS part (oid))
    SELECT 'function', w.through, {_FUNCTION}
    FROM wanted w JOIN pg_proc p ON p.oid = w.oid JOIN pg_namespace n ON n.oid = p.pronamespace
      JOIN pg_language l ON l.oid = p.prolang
    UNION ALL
    SELECT 'relation', 'view ' || b.through, c.relname::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM body b JOIN pg_class c ON c.oid = b.oid WHERE b.what = 'relid'
"""  # noqa: S608 - made of constants
_ALL_FUNCTIONS = """
    SELECT DISTINCT p.proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1::text[])"""


@dataclass(frozen=True)
class Function:
    """A function that a name may stand for, or that something in the statement calls by itself."""

    name: str
    schema: str
    through: str | None
    """The view, operator or aggregate that calls it, where the statement does not."""
    volatile: bool
    provided: bool
    """It came with the engine or with an extension."""
    trusted: bool
    """Its language cannot reach beyond the database."""
    language: str
    source: str
    takes_row: bool
    """`row.name` can call it."""


@dataclass
class Found:
    """What the catalog has for some names."""

    functions: list[Function] = field(default_factory=list[Function])
    relations: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """A relation, and the view that reads it."""
    types: set[str] = field(default_factory=set[str])
    deeper: bool = False
    """Some names are those of views, operators or aggregates that users or extensions made."""


async def look_up(
    session: Session, functions: Iterable[str], relations: Iterable[str] = (), operators: Iterable[str] = ()
) -> Found:
    """Everything of these names, in all schemas, with what is behind it."""
    names = (sorted(set(functions)), sorted(set(relations)), sorted(set(operators)))
    found = _collect(await session.recall(_complete(_BY_NAME, session), *names))
    if found.deeper:
        behind = _collect(await session.recall(_complete(_BEHIND, session), *names))
        found.functions += behind.functions
        found.relations += behind.relations
    return found


async def function_names(session: Session) -> list[str]:
    """Every function that can be called without naming its schema."""
    return [str(name) for (name,) in await session.fetch(_ALL_FUNCTIONS, session.schemas)]


def _complete(query: str, session: Session) -> str:
    body = "pg_get_function_sqlbody(p.oid)" if session.version >= 14 else "NULL"
    return query.replace("{body}", body).replace("{length}", str(MAX_SOURCE))


def _collect(rows: Sequence[Row]) -> Found:
    found = Found()
    for row in rows:
        what, through, name, schema, volatile, provided, trusted, language, source, takes_row = row
        if what == "function":
            function = Function(
                name=str(name),
                schema=str(schema),
                through=None if through is None else str(through),
                volatile=bool(volatile),
                provided=bool(provided),
                trusted=bool(trusted),
                language=str(language),
                source=str(source or ""),
                takes_row=bool(takes_row),
            )
            found.functions.append(function)
        elif what == "relation":
            found.relations.append((str(name), str(through)))
        elif what == "type":
            found.types.add(str(name))
        else:
            found.deeper = True
    return found

"""Indexes that might help a query on PostgreSQL, checked with hypothetical ones where the extension hypopg is installed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
from sqlglot import exp

from ..index_advice import Candidate, candidates
from ..models import IndexAdvice
from .postgres_plan import Plan, Scan, read_plan
from .postgres_session import Session, plain

_WORTH_AN_INDEX = 1_000
_SELECTIVE = 0.1
_BETTER = 0.9
_MOST_TRIED = 12

_TABLES = """
    SELECT n.nspname::text, c.relname::text, c.reltuples::float8,
      (SELECT json_agg(a.attname ORDER BY a.attnum)::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
      (SELECT json_agg((
          SELECT json_agg(pg_get_indexdef(x.indexrelid, k, true) ORDER BY k) FROM generate_series(1, x.indnkeyatts) k))::text
        FROM pg_index x WHERE x.indrelid = c.oid AND x.indisvalid AND x.indpred IS NULL)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND c.relkind IN ('r', 'm', 'p')"""
_HYPOPG = "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'hypopg'"


@dataclass(frozen=True)
class Table:
    """A table that the plan reads whole."""

    schema: str
    name: str
    rows: float
    columns: Sequence[str]
    indexes: Sequence[Sequence[str]]


async def tables(session: Session, scans: Sequence[Scan]) -> list[Table]:
    """What is to be known of the tables in *scans*."""
    rows = await session.fetch(_TABLES, [scan.schema for scan in scans], [scan.table for scan in scans])
    return [
        Table(
            schema=str(schema),
            name=str(name),
            rows=float(str(count)),
            columns=cast("list[str]", json.loads(str(columns or "[]"))),
            indexes=cast("list[list[str]]", json.loads(str(indexes or "[]"))),
        )
        for schema, name, count, columns, indexes in rows
    ]


async def hypopg_schema(session: Session) -> str | None:
    """Where the functions of hypopg are; None where it is not installed."""
    rows = await session.fetch(_HYPOPG)
    return str(rows[0][0]) if rows else None


def wanted(query: exp.Expr, plan: Plan, known: Sequence[Table]) -> list[tuple[Candidate, Table, Scan]]:
    """Indexes worth trying: on large tables that are read whole, and not there already."""
    by_name = {(table.schema, table.name): table for table in known if table.rows >= _WORTH_AN_INDEX}
    found: list[tuple[Candidate, Table, Scan]] = []
    for scan in plan.scans:
        table = by_name.get((scan.schema, scan.table))
        if table is None:
            continue
        for candidate in candidates(query, [scan.alias], {table.name: table.columns}):
            names = [plain(column) for column in candidate.columns]
            if not any(list(index[: len(names)]) == names for index in table.indexes):
                found.append((candidate, table, scan))
    return found[:_MOST_TRIED]


def unchecked(tried: Sequence[tuple[Candidate, Table, Scan]]) -> list[IndexAdvice]:
    """One index a table where the conditions keep few of its rows, worded as what it is: a guess."""
    found: dict[str, IndexAdvice] = {}
    for candidate, table, scan in tried:
        if scan.filtered and scan.rows <= table.rows * _SELECTIVE and table.name not in found:
            kept = f"the query keeps about {scan.rows:,.0f} of {table.rows:,.0f} rows"
            effect = f"{kept}; not tried, as the extension hypopg is not installed"
            found[table.name] = IndexAdvice(statement=_create(candidate, table), checked=False, effect=effect)
    return list(found.values())


async def checked(
    session: Session, schema: str, explain: str, before: Plan, tried: Sequence[tuple[Candidate, Table, Scan]]
) -> list[IndexAdvice]:
    """The best index a table of those that the engine would use, each tried alone: it exists in this session's memory only."""
    best: dict[str, tuple[float, IndexAdvice]] = {}
    called = plain(schema)
    for candidate, table, _ in tried:
        statement = _create(candidate, table)
        try:
            await session.connection.fetch(f"SELECT 1 FROM {called}.hypopg_create_index($1)", statement)  # noqa: S608 - quoted
            after = read_plan(str((await session.connection.fetch(explain))[0][0]))
            await session.connection.execute(f"SELECT {called}.hypopg_reset()")
        except asyncpg.PostgresError:
            break  # the transaction is over: what was found so far stands
        if after.cost <= before.cost * _BETTER and (table.name not in best or after.cost < best[table.name][0]):
            effect = f"the plan's cost falls from {before.cost:,.0f} to {after.cost:,.0f}"
            best[table.name] = (after.cost, IndexAdvice(statement=statement, checked=True, effect=effect))
    return [advice for _, advice in best.values()]


def _create(candidate: Candidate, table: Table) -> str:
    return f"CREATE INDEX ON {plain(table.schema)}.{plain(table.name)} ({', '.join(map(plain, candidate.columns))})"

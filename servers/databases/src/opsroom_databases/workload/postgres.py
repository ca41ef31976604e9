"""The most costly queries of a PostgreSQL database, from pg_stat_statements."""

from collections.abc import Mapping

from opsroom_shared.errors import NotPermitted

from ..engine_rows import Ask, Row, row, rows
from ..models import TopQueries, TopQuery
from ..query_text import shown_query
from . import Order

_HIDDEN_QUERY = "<insufficient privilege>"
_MAX_QUERY = 300
_MOST = 100
"""A session keeps each statement that it has seen, so the caller's limit must not be part of one."""

_STATE = """
    SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'pg_stat_statements.max') AS loaded,
      (SELECT setting FROM pg_settings WHERE name = 'pg_stat_statements.track') AS track,
      (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_stat_statements') AS schema,
      EXISTS (SELECT FROM pg_class WHERE relname = 'pg_stat_statements_info' AND relkind = 'v') AS has_info"""
_NOISE = (
    "EXPLAIN|BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|SET|RESET|SHOW|DISCARD|DEALLOCATE|PREPARE|CLOSE|"
    "LISTEN|UNLISTEN|NOTIFY"
)
# The columns have other names in other versions. What this server, its driver and every program around a query run is no query.
_STATEMENTS = rf"""
    SELECT left(max(j ->> 'query'), 8000) AS query, sum((j ->> 'calls')::int8)::int8 AS calls,
      sum((j ->> 'rows')::int8)::int8 AS rows, sum(coalesce(j ->> 'total_exec_time', j ->> 'total_time')::float8) AS total_ms,
      sum((j ->> 'shared_blks_read')::int8 + (j ->> 'shared_blks_written')::int8 + (j ->> 'temp_blks_read')::int8
        + (j ->> 'temp_blks_written')::int8)::int8 * current_setting('block_size')::int AS io,
      sum(sum(coalesce(j ->> 'total_exec_time', j ->> 'total_time')::float8)) OVER () AS all_ms
    FROM (SELECT to_jsonb(s) AS j FROM {{schema}}.pg_stat_statements s
      WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND s.query !~ '/\* opsroom \*/' AND s.query !~* '\m(FROM|JOIN)\s+(pg_catalog|information_schema)\.'
        AND s.query !~* '^\s*({_NOISE})\M' AND s.query !~* '^\s*SELECT (\$1|pg_catalog\.pg_advisory_unlock_all\(\))\s*$'
        AND s.query !~ '^WITH RECURSIVE typeinfo_tree') AS statements
    WHERE coalesce((j ->> 'toplevel')::boolean, true)
    GROUP BY j ->> 'queryid' ORDER BY {{order}} DESC NULLS LAST, total_ms DESC LIMIT {_MOST}"""  # noqa: S608 - ours
_SINCE = "SELECT stats_reset::timestamptz(0)::text AS since FROM {schema}.pg_stat_statements_info"
_ORDERS: Mapping[Order, str] = {
    "total_time": "4",
    "mean_time": "sum(coalesce(j ->> 'total_exec_time', j ->> 'total_time')::float8) / greatest(sum((j ->> 'calls')::int8), 1)",
    "calls": "2",
    "rows": "3",
    "io": "5",
}

_LOAD = (
    "add pg_stat_statements to the setting shared_preload_libraries (where it is empty: "
    "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements') and restart the engine"
)
_CREATE = "run CREATE EXTENSION pg_stat_statements in this database"
_TRACK = "run ALTER SYSTEM SET pg_stat_statements.track = 'top'; SELECT pg_reload_conf(); no restart is needed"


async def top_queries(database: str, ask: Ask, order: Order, limit: int) -> TopQueries:
    """Raises NotPermitted, with what switches it on, where the engine does not count."""
    state = await row(ask, _STATE)
    schema = state.raw("schema")
    if missing := _missing(state):
        raise NotPermitted(f"{database} does not count its queries. A person can switch that on: {missing}.")
    counted = await rows(ask, _STATEMENTS.format(schema=schema, order=_ORDERS[order]))
    since = (await row(ask, _SINCE.format(schema=schema))).text("since") if state.flag("has_info") else None
    queries = [_query(each) for each in counted if each.raw("query") != _HIDDEN_QUERY]
    hidden = len(counted) - len(queries)
    hint = "The queries of other accounts are hidden; to see them: GRANT pg_read_all_stats TO this account"
    return TopQueries(database=database, since=since, io_is="bytes_io", queries=queries[:limit], hint=hint if hidden else None)


def _missing(state: Row) -> str | None:
    if not state.flag("loaded"):
        return f"{_LOAD}{'' if state.raw('schema') else f', then {_CREATE}'}"
    if not state.raw("schema"):
        return f"{_CREATE}; no restart is needed"
    return _TRACK if state.raw("track") == "none" else None


def _query(seen: Row) -> TopQuery:
    query, calls, total = seen.raw("query"), seen.integer("calls"), seen.number("total_ms")
    return TopQuery(
        query=shown_query(query, "postgres", _MAX_QUERY),
        calls=calls,
        total_ms=round(total, 1),
        mean_ms=round(total / max(calls, 1), 3),
        share=round(100 * total / (seen.number("all_ms") or 1), 1),
        rows=seen.integer("rows"),
        io=seen.integer("io"),
    )

"""The most costly queries of a database of MariaDB or MySQL, from the digests of performance_schema."""

import re
from collections.abc import Mapping

from opsroom_shared.errors import NotPermitted

from ..engine_rows import Ask, Row, row, rows
from ..models import TopQueries, TopQuery
from ..query_text import shown_query
from . import Order

_MAX_QUERY = 300
_SPACED = re.compile(r"(?<=[(.]) | (?=[).,])")

_SWITCH = "SELECT @@performance_schema AS counting"
_CONSUMER = "SELECT enabled FROM performance_schema.setup_consumers WHERE name = 'statements_digest'"
# A digest keeps no comment, so what this server runs is known by the schemas that it reads, or by a name of ours in it.
_DIGESTS = """
    SELECT LEFT(digest_text, 8000) AS query, count_star AS calls, sum_timer_wait / 1000000000 AS total_ms,
      sum_rows_sent + sum_rows_affected AS returned, sum_rows_examined AS examined, sum_no_index_used AS without_index
    FROM performance_schema.events_statements_summary_by_digest
    WHERE schema_name = DATABASE() AND digest_text NOT LIKE '%information_schema%' AND digest_text NOT LIKE '%performance_schema%'
      AND digest_text NOT LIKE '%`opsroom\\_%' AND digest_text NOT REGEXP
        '^(EXPLAIN|BEGIN|START|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|SET|SHOW|USE|KILL|LOCK|UNLOCK|PREPARE|DEALLOCATE|FLUSH)\\\\b'
      AND digest_text NOT REGEXP '^SELECT (@@|[?]$|`?(DATABASE|CONNECTION_ID)`? )'"""
_TOP = "SELECT d.*, SUM(d.total_ms) OVER () AS all_ms FROM ({digests}) AS d ORDER BY {order} DESC, total_ms DESC LIMIT {limit}"
_SINCE = """
    SELECT MIN(first_seen) AS since, SUM(digest_text IS NULL) AS overflow
    FROM performance_schema.events_statements_summary_by_digest"""
_ORDERS: Mapping[Order, str] = {
    "total_time": "total_ms",
    "mean_time": "total_ms / calls",
    "calls": "calls",
    "rows": "returned",
    "io": "examined",
}
_OFF = (
    "{database} does not count its queries. A person can switch that on: write performance_schema = ON under [mysqld] in the "
    "engine's configuration, and restart it."
)
_CONSUMER_OFF = (
    "{database} does not count its queries. A person can switch that on: run UPDATE performance_schema.setup_consumers "
    "SET enabled = 'YES' WHERE name = 'statements_digest'; no restart is needed."
)
_HIDDEN = "This account may not see what the engine counts. A person can allow it: GRANT SELECT ON performance_schema.* TO it."


async def top_queries(database: str, ask: Ask, order: Order, limit: int) -> TopQueries:
    """Raises NotPermitted, with what switches it on, where the engine does not count or does not show it."""
    if not (await row(ask, _SWITCH)).flag("counting"):
        raise NotPermitted(_OFF.format(database=database))
    try:
        counting = await rows(ask, _CONSUMER)
        seen = await row(ask, _SINCE)
        counted = await rows(ask, _TOP.format(digests=_DIGESTS, order=_ORDERS[order], limit=limit))
    except NotPermitted:
        raise NotPermitted(_HIDDEN) from None
    if not any(each.flag("enabled") for each in counting):
        raise NotPermitted(_CONSUMER_OFF.format(database=database))
    hint = "The engine's list is full, so new queries are not told apart; a person can raise performance_schema_digests_size"
    return TopQueries(
        database=database,
        since=seen.text("since") or None,
        io_is="rows_examined",
        queries=[_query(each) for each in counted],
        hint=hint if seen.integer("overflow") else None,
    )


def _query(seen: Row) -> TopQuery:
    calls, total = seen.integer("calls"), seen.number("total_ms")
    without = seen.integer("without_index")
    return TopQuery(
        query=shown_query(_SPACED.sub("", seen.raw("query")), "mysql", _MAX_QUERY),
        calls=calls,
        total_ms=round(total, 1),
        mean_ms=round(total / max(calls, 1), 3),
        share=round(100 * total / (seen.number("all_ms") or 1), 1),
        rows=seen.integer("returned"),
        io=seen.integer("examined"),
        note=f"no index in {without} calls" if without else None,
    )

"""Looks at the health of a PostgreSQL database. No statement here takes a lock that a blocked table would make it wait for."""

from collections.abc import Sequence
from dataclasses import replace

from ..engine_rows import Ask, Row, row, rows
from ..query_text import shown_query
from .activity import judge_cache, judge_connections, judge_locks, judge_replication, judge_transactions
from .checks import CannotCheck, Check, Look, Seen
from .facts import (
    Age,
    Ages,
    Cache,
    Connections,
    Counter,
    Counters,
    Damage,
    ForeignKey,
    Index,
    Indexing,
    Prepared,
    Replica,
    Replication,
    Session,
    Slot,
    Table,
    Tables,
    Transactions,
    Wait,
)
from .indexes import judge_indexes
from .storage import judge_ages, judge_counters, judge_damage, judge_tables

_WRAPAROUND = 2**31
_MOST_TABLES = 3_000
_INTEGER_LIMITS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_LOCKS = {
    "transactionid": "a row that another transaction has changed",
    "tuple": "a row of",
    "relation": "the table",
    "advisory": "an advisory lock",
}
_HIDDEN_QUERY = "<insufficient privilege>"
_OTHERS_HIDDEN = "what other accounts do is hidden; to see it: GRANT pg_read_all_stats TO this account"

_CONNECTIONS = """
    SELECT count(*) AS used, count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle,
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) AS most
    FROM pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND backend_type IS DISTINCT FROM 'parallel worker'"""
_CACHE = """
    SELECT blks_hit AS found, blks_read AS read, coalesce(checksum_failures, 0) AS damaged,
      current_setting('data_checksums') AS checksums
    FROM pg_stat_database WHERE datname = current_database()"""
_SEES_ALL = "pg_has_role('pg_read_all_stats', 'USAGE')"
# What a session is, in the words of Session. Of a session that waits or works, the time since its last change says nothing.
_SESSION = """
    {a}.pid AS {p}pid, {a}.usename::text AS {p}user, {a}.application_name AS {p}application, left({a}.query, 8000) AS {p}query,
    {a}.state AS {p}state, {a}.wait_event_type AS {p}waits,
    extract(epoch FROM clock_timestamp() - {a}.xact_start)::float8 AS {p}seconds,
    extract(epoch FROM clock_timestamp() - {a}.state_change)::float8 AS {p}unchanged"""
_TRANSACTIONS = f"""
    SELECT {_SESSION.format(a="s", p="")} FROM pg_stat_activity s
    WHERE s.xact_start IS NOT NULL AND s.datname = current_database() AND s.pid <> pg_backend_pid()
      AND s.backend_type = 'client backend' ORDER BY s.xact_start LIMIT 200"""  # noqa: S608 - ours
_HIDDEN = f"""
    SELECT count(*) AS hidden FROM pg_stat_activity
    WHERE datname = current_database() AND query = '{_HIDDEN_QUERY}' AND NOT {_SEES_ALL}"""  # noqa: S608 - ours
_PREPARED = """
    SELECT gid, quote_literal(gid) AS literal, owner::text AS owner,
      extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
    FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 100"""
# waitstart is new in version 14
_WAITS = f"""
    SELECT {_SESSION.format(a="w", p="w_")}, {_SESSION.format(a="h", p="h_")}, by.pid AS holder,
      extract(epoch FROM clock_timestamp()
        - coalesce((to_jsonb(l) ->> 'waitstart')::timestamptz, w.query_start))::float8 AS waited,
      l.locktype, l.mode, l.relation::regclass::text AS relation
    FROM pg_locks l JOIN pg_stat_activity w ON w.pid = l.pid
      CROSS JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS by (pid) LEFT JOIN pg_stat_activity h ON h.pid = by.pid
    WHERE NOT l.granted AND w.datname = current_database() LIMIT 500"""  # noqa: S608 - ours
_REPLICAS = """
    SELECT application_name AS name, state, extract(epoch FROM replay_lag)::float8 AS seconds,
      CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 END AS bytes
    FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup' LIMIT 100"""
_STANDBY = """
    SELECT pg_is_in_recovery() AS standby,
      CASE WHEN pg_is_in_recovery()
        THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8 END AS bytes,
      CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
        THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END AS seconds"""
_SLOTS = """
    SELECT slot_name AS name, quote_literal(slot_name) AS literal, active, to_jsonb(s) ->> 'wal_status' AS status,
      pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
        restart_lsn)::float8 AS kept
    FROM pg_replication_slots s LIMIT 100"""
_ARCHIVER = """
    SELECT last_failed_wal AS file, last_failed_time::timestamptz(0)::text AS at FROM pg_stat_archiver
    WHERE last_failed_time > coalesce(last_archived_time, '-infinity')"""
# Sizes are those of the last VACUUM or ANALYZE: to ask the engine for a table's real size waits for whoever locks the table.
_TABLES = f"""
    SELECT s.relid::regclass::text AS name, greatest(c.reltuples, s.n_live_tup, 0)::int8 AS rows, s.n_dead_tup AS dead,
      c.relpages::int8 * current_setting('block_size')::int AS bytes, s.n_mod_since_analyze AS changed,
      s.last_analyze IS NOT NULL OR s.last_autoanalyze IS NOT NULL OR NOT has_table_privilege(s.relid, 'SELECT') OR EXISTS (
        SELECT FROM pg_stats p WHERE p.schemaname = s.schemaname AND p.tablename = s.relname) AS has_statistics,
      s.seq_tup_read AS scanned, coalesce(s.seq_scan, 0) + coalesce(s.idx_scan, 0) AS lookups,
      greatest(s.last_vacuum, s.last_autovacuum)::timestamptz(0)::text AS vacuumed,
      coalesce(c.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off'], false) AS unattended,
      w.bytes AS needed
    FROM pg_stat_all_tables s JOIN pg_class c ON c.oid = s.relid LEFT JOIN LATERAL (
      SELECT ceil(c.reltuples * (28 + ceil((sum((1 - p.null_frac) * p.avg_width) + 4) / 8) * 8)
          / ((current_setting('block_size')::int - 24)
            * coalesce((SELECT o.option_value::float8 FROM pg_options_to_table(c.reloptions) o
              WHERE o.option_name = 'fillfactor'), 100) / 100)) * current_setting('block_size')::int AS bytes
      FROM pg_stats p WHERE p.schemaname = s.schemaname AND p.tablename = s.relname AND NOT p.inherited
      HAVING count(*) = (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = s.relid AND a.attnum > 0 AND NOT a.attisdropped)
    ) w ON c.reltuples > 0
    WHERE s.schemaname !~ '^pg_' AND s.schemaname <> 'information_schema' AND c.relpersistence <> 't' AND c.relkind <> 'p'
    ORDER BY c.relpages DESC, c.reltuples DESC LIMIT {_MOST_TABLES}"""  # noqa: S608 - a number of ours
_AUTOVACUUM = """
    SELECT current_setting('autovacuum') AS autovacuum, current_setting('track_counts') AS counts"""
# Expressions are compared as the trees that the engine stores, without the places in the text that they were read from.
_INDEXES = r"""
    SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS "table", am.amname AS method,
      i.indisunique AS "unique", i.indisvalid AS valid, c.relpages::int8 * current_setting('block_size')::int AS bytes,
      i.indisprimary OR i.indisreplident OR i.indisexclusion
        OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x', 'f'))
        OR EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid) AS required,
      (SELECT json_agg(coalesce(a.attname::text, 'expression') ORDER BY k.n)::text
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n)
          LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum <> 0) AS columns,
      i.indnkeyatts AS keys,
      (SELECT json_agg(concat_ws(' ', o.class, o.sorting, o.direction) ORDER BY o.n)::text
        FROM unnest(i.indclass::oid[], i.indcollation::oid[], i.indoption::int2[]) WITH ORDINALITY
          o (class, sorting, direction, n)) AS "order",
      md5(regexp_replace(i.indexprs::text, ':location -?\d+', '', 'g')) AS expressions,
      regexp_replace(i.indpred::text, ':location -?\d+', '', 'g') AS "where", s.idx_scan AS uses
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
      LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
      JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind = 'i' AND t.relpersistence <> 't'
    ORDER BY c.relpages DESC LIMIT 5000"""
_KEYS = """
    SELECT k.conrelid::regclass::text AS "table", k.confrelid::regclass::text AS parent,
      (SELECT json_agg(a.attname::text ORDER BY c.n)::text FROM unnest(k.conkey) WITH ORDINALITY c (attnum, n)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum) AS columns,
      (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY c.n) FROM unnest(k.conkey) WITH ORDINALITY c (attnum, n)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum) AS quoted,
      CASE WHEN t.relispartition THEN (SELECT r.relid::text FROM pg_partition_ancestors(t.oid) WITH ORDINALITY r (relid, n)
        ORDER BY r.n DESC LIMIT 1) END AS root
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
    WHERE k.contype = 'f' AND t.relkind = 'r' ORDER BY 1, 4 LIMIT 5000"""
_SINCE = """
    SELECT stats_reset::timestamptz(0)::text AS since, pg_is_in_recovery() AS standby FROM pg_stat_database
    WHERE datname = current_database()"""
_COUNTERS = """
    SELECT c.oid::regclass::text AS name, s.seqmax AS most, s.seqmin AS least, s.seqincrement AS step,
      has_sequence_privilege(c.oid, 'SELECT, USAGE') AS readable,
      CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(c.oid) END AS last,
      d.refobjid::regclass::text AS "table", quote_ident(a.attname) AS "column", format_type(a.atttypid, NULL) AS type
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
      LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
        AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE NOT s.seqcycle AND c.relpersistence <> 't' LIMIT 5000"""
_AGES = """
    SELECT 'database ' || datname AS name, age(datfrozenxid)::int8 AS xids, mxid_age(datminmxid)::int8 AS multixacts,
      datname = current_database() AS here
    FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT 20"""


class PostgresHealth:
    """What can be seen of one database, and of its engine as far as it matters to it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def checks(self) -> Sequence[Check]:
        return (
            Look("connections", "activity", self._connections, judge_connections),
            Look("transactions", "activity", self._transactions, judge_transactions),
            Look("locks", "activity", self._waits, judge_locks),
            Look("cache", "activity", self._cache, judge_cache),
            Look("replication", "activity", self._replication, judge_replication),
            Look("tables", "storage", self._tables, judge_tables),
            Look("sequences", "storage", self._counters, judge_counters),
            Look("wraparound", "storage", self._ages, judge_ages),
            Look("checksums", "storage", self._damage, judge_damage),
            Look("indexes", "indexes", self._indexing, judge_indexes),
        )

    async def _connections(self) -> Seen[Connections]:
        seen = await row(self._ask, _CONNECTIONS)
        return Seen(Connections(seen.integer("used"), seen.integer("most"), seen.integer("idle")), await self._hidden())

    async def _transactions(self) -> Seen[Transactions]:
        sessions = tuple(_session(seen) for seen in await rows(self._ask, _TRANSACTIONS))
        prepared = tuple(
            Prepared(seen.text("gid"), seen.text("owner"), seen.number("seconds"), f"ROLLBACK PREPARED {seen.text('literal')}")
            for seen in await rows(self._ask, _PREPARED)
        )
        return Seen(Transactions(sessions, prepared), await self._hidden())

    async def _waits(self) -> Seen[tuple[Wait, ...]]:
        waits: list[Wait] = []
        for seen in await rows(self._ask, _WAITS):
            prepared = Session(0, "a prepared transaction")
            holder = _session(seen, "h_") if seen.raw("h_pid") else prepared if seen.raw("holder") == "0" else None
            of = f" {seen.text('relation')}" if seen.raw("relation") else ""
            lock = f"{_LOCKS.get(seen.raw('locktype'), seen.text('locktype'))}{of}"
            waits.append(Wait(_session(seen, "w_"), seen.number("waited"), lock, holder))
        return Seen(tuple(waits), await self._hidden() if waits else ())

    async def _hidden(self) -> tuple[str, ...]:
        return (_OTHERS_HIDDEN,) if (await row(self._ask, _HIDDEN)).integer("hidden") else ()

    async def _cache(self) -> Seen[Cache]:
        seen = await row(self._ask, _CACHE)
        return Seen(Cache(seen.integer("found"), seen.integer("read"), "shared_buffers"))

    async def _replication(self) -> Seen[Replication]:
        replicas = [
            Replica(f"replica {seen.text('name')}", seen.maybe_number("seconds"), seen.maybe_integer("bytes"))
            for seen in await rows(self._ask, _REPLICAS)
        ]
        standby = await row(self._ask, _STANDBY)
        if standby.flag("standby"):
            replicas.append(Replica("this standby", standby.maybe_number("seconds"), standby.maybe_integer("bytes")))
        slots = tuple(_slot(seen) for seen in await rows(self._ask, _SLOTS))
        fails = [f"{seen.text('file')} at {seen.text('at')}" for seen in await rows(self._ask, _ARCHIVER)]
        return Seen(Replication(tuple(replicas), slots, fails[0] if fails else None), await self._hidden())

    async def _tables(self) -> Seen[Tables]:
        seen = await rows(self._ask, _TABLES)
        settings = await row(self._ask, _AUTOVACUUM)
        problem = None
        if not (settings.flag("autovacuum") and settings.flag("counts")):
            problem = "Set autovacuum = on and track_counts = on, and reload the configuration"
        unknown = sum(not each.raw("needed") and each.integer("bytes") > 0 for each in seen)
        gaps = [
            f"bloat of {unknown} tables: they have no statistics, or this account may not read them" if unknown else "",
            f"all but the {_MOST_TABLES:,} largest tables" if len(seen) == _MOST_TABLES else "",
        ]
        how = "estimated from the widths of its columns and its size at the last ANALYZE"
        return Seen(Tables(tuple(map(_table, seen)), how, problem), tuple(filter(None, gaps)))

    async def _counters(self) -> Seen[Counters]:
        seen = await rows(self._ask, _COUNTERS)
        hidden = sum(not each.flag("readable") for each in seen)
        gap = f"{hidden} sequences: GRANT SELECT ON ALL SEQUENCES IN SCHEMA … TO this account"
        return Seen(Counters(tuple(_counter(each) for each in seen if each.raw("last"))), (gap,) if hidden else ())

    async def _ages(self) -> Seen[Ages]:
        ages = [
            Age(
                name=seen.text("name"),
                age=seen.integer(column),
                limit=_WRAPAROUND,
                what=what,
                vacuum="VACUUM (FREEZE)" if seen.flag("here") else "VACUUM (FREEZE), connected to that database",
            )
            for seen in await rows(self._ask, _AGES)
            for column, what in (("xids", "transaction number"), ("multixacts", "multixact number"))
        ]
        return Seen(Ages(tuple(ages)))

    async def _damage(self) -> Seen[Damage]:
        seen = await row(self._ask, _CACHE)
        if not seen.flag("checksums"):
            raise CannotCheck("data_checksums is off, so that the engine does not notice damage")
        damaged = seen.integer("damaged")
        problems = (f"{damaged} pages were read whose checksum was wrong",) if damaged else ()
        return Seen(Damage(problems, more=False, looked_at="every page that was read"))

    async def _indexing(self) -> Seen[Indexing]:
        indexes = [_index(seen) for seen in await rows(self._ask, _INDEXES)]
        keys = tuple(_key(seen) for seen in await rows(self._ask, _KEYS))
        tables = {table.name: table for table in map(_table, await rows(self._ask, _TABLES))}
        counted = await row(self._ask, _SINCE)
        since = counted.text("since") or None
        if not counted.flag("standby"):
            return Seen(Indexing(tuple(indexes), keys, tables, since))
        # each engine counts its own reads
        unknown = tuple(replace(index, uses=None) for index in indexes)
        return Seen(
            Indexing(unknown, keys, tables, since), ("unused indexes: this is a standby; ask the primary, and each standby",)
        )


def _session(seen: Row, prefix: str = "") -> Session:
    pid, state, query = seen.integer(f"{prefix}pid"), seen.raw(f"{prefix}state"), seen.raw(f"{prefix}query")
    idle = state.startswith("idle in transaction")
    application = seen.text(f"{prefix}application")
    return Session(
        pid=pid,
        who=f"{seen.text(f'{prefix}user')}{f', {application}' if application else ''}",
        seconds=seen.maybe_number(f"{prefix}seconds"),
        idle_seconds=seen.maybe_number(f"{prefix}unchanged") if idle else None,
        waits=seen.raw(f"{prefix}waits") == "Lock",
        query="" if query == _HIDDEN_QUERY else shown_query(query, "postgres"),
        # a query can be cancelled; a session that runs none can only be ended
        stop=f"SELECT pg_{'terminate' if idle else 'cancel'}_backend({pid})",
    )


def _slot(seen: Row) -> Slot:
    return Slot(
        name=seen.text("name"),
        active=seen.flag("active"),
        kept_bytes=seen.maybe_integer("kept"),
        lost=seen.raw("status") == "lost",
        drop=f"SELECT pg_drop_replication_slot({seen.text('literal')})",
    )


def _table(seen: Row) -> Table:
    name, size, needed = seen.text("name"), seen.integer("bytes"), seen.maybe_integer("needed")
    vacuumed = f"last vacuumed {seen.text('vacuumed')}" if seen.raw("vacuumed") else "never vacuumed"
    return Table(
        name=name,
        rows=seen.integer("rows"),
        bytes=size,
        dead_rows=seen.integer("dead"),
        reclaimable_bytes=None if needed is None else max(size - needed, 0),
        changed_rows=seen.integer("changed"),
        has_statistics=seen.flag("has_statistics"),
        scanned_rows=seen.integer("scanned"),
        lookups=seen.integer("lookups"),
        vacuumed=f"{vacuumed}{', and autovacuum is off for it' if seen.flag('unattended') else ''}",
        vacuum=f"VACUUM (ANALYZE) {name}",
        analyze=f"ANALYZE {name}",
        rewrite=f"pg_repack, or VACUUM FULL {name} which locks it meanwhile, gives it back",
    )


def _index(seen: Row) -> Index:
    columns, keys = seen.list("columns"), seen.integer("keys")
    expression = seen.text("expressions")
    name = seen.text("name")
    return Index(
        name=name,
        table=seen.text("table"),
        columns=columns[:keys],
        # two expressions are the same only if all of the two indexes' expressions are
        order=tuple(
            f"{order} {expression if column == 'expression' else ''}"
            for column, order in zip(columns, seen.list("order"), strict=False)
        ),
        includes=frozenset(columns[keys:]),
        method=seen.text("method"),
        where=seen.raw("where"),
        unique=seen.flag("unique"),
        required=seen.flag("required"),
        valid=seen.flag("valid"),
        uses=seen.maybe_integer("uses"),
        bytes=seen.integer("bytes"),
        drop=f"DROP INDEX CONCURRENTLY {name}",
        rebuild=f"REINDEX INDEX CONCURRENTLY {name}",
    )


def _key(seen: Row) -> ForeignKey:
    table = seen.text("table")
    # an index of a partitioned table is made for all partitions at once, which the engine cannot do concurrently
    of = f"ON {seen.text('root')}" if seen.raw("root") else f"CONCURRENTLY ON {table}"
    create = f"CREATE INDEX {of} ({seen.text('quoted')})"
    return ForeignKey(table, seen.list("columns"), seen.text("parent"), create)


def _counter(seen: Row) -> Counter:
    up = seen.integer("step") > 0
    first, limit = (seen.integer("least"), seen.integer("most")) if up else (seen.integer("most"), seen.integer("least"))
    column = f"{seen.text('table')}.{seen.text('column')}" if seen.raw("column") else ""
    if widest := _INTEGER_LIMITS.get(seen.raw("type")):
        limit = min(limit, widest) if up else max(limit, -widest - 1)
    then = f"ALTER SEQUENCE {seen.text('name')} MAXVALUE …, and check who reads the numbers"
    if column and abs(limit) < _INTEGER_LIMITS["bigint"]:
        then = f"Make {column} a bigint, which rewrites the table, and the sequence too, before inserts fail"
    return Counter(seen.text("name"), seen.integer("last"), first, limit, then)

"""Looks at the health of a database of MariaDB or MySQL, with what its tables about itself show to the account."""

import re
from collections import defaultdict
from collections.abc import Sequence

from opsroom_shared.errors import NotPermitted
from opsroom_shared.outside import clean

from ..engine_rows import Ask, Row, row, rows
from ..providers.mysql_wire import quoted
from ..query_text import shown_query
from .activity import judge_cache, judge_connections, judge_locks, judge_replication, judge_transactions, judge_undo
from .checks import Check, Look, Seen
from .facts import (
    Cache,
    Connections,
    Counter,
    Counters,
    ForeignKey,
    Index,
    Indexing,
    Replica,
    Replication,
    Session,
    Table,
    Tables,
    Transactions,
    Undo,
    Wait,
)
from .indexes import judge_indexes
from .storage import judge_counters, judge_tables

_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_INTEGER = re.compile(r"(?P<type>[a-z]+int|int)\b")
_MOST_SEQUENCES = 100
_MOST_TABLES = 3_000
_MAX_ERROR = 200
_LITERAL = re.compile(r"(?<!\w)'(?:[^']|'')*(?:'|\Z)")
_COUNTED_OFF = (
    "unused indexes and full reads: performance_schema is OFF; to switch it on, write performance_schema = ON under [mysqld] "
    "in the engine's configuration and restart it"
)
_COUNTED_HIDDEN = "unused indexes and full reads: GRANT SELECT ON performance_schema.* TO this account"

_STATUS = """
    SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', 'Innodb_buffer_pool_read_requests',
      'Innodb_buffer_pool_reads', 'Innodb_history_list_length', 'Uptime')"""
_VARIABLES = """
    SHOW GLOBAL VARIABLES WHERE Variable_name IN ('max_connections', 'performance_schema', 'innodb_stats_auto_recalc')"""
_VERSION = "SELECT VERSION() AS opsroom_version"
_UNDO = "SELECT m.count AS entries FROM information_schema.innodb_metrics m WHERE name = 'trx_rseg_history_len'"
# A session that sleeps inside of a transaction does so since its last statement, which the engine does not keep.
_SESSION = """
    {t}.trx_mysql_thread_id AS {p}pid, {s}.user AS {p}user, SUBSTRING_INDEX({s}.host, ':', 1) AS {p}host,
    {s}.command AS {p}command, {s}.time AS {p}unchanged, TIMESTAMPDIFF(SECOND, {t}.trx_started, NOW()) AS {p}seconds,
    {t}.trx_state = 'LOCK WAIT' AS {p}waits, LEFT({t}.trx_query, 8000) AS {p}query"""
_TRANSACTIONS = f"""
    SELECT {_SESSION.format(t="t", s="s", p="")} FROM information_schema.innodb_trx t
      JOIN information_schema.processlist s ON s.id = t.trx_mysql_thread_id
    WHERE s.id <> CONNECTION_ID() AND s.db = DATABASE() ORDER BY t.trx_started LIMIT 200"""  # noqa: S608 - ours
_ROW_WAITS = f"""
    SELECT {_SESSION.format(t="w", s="ws", p="w_")}, {_SESSION.format(t="h", s="hs", p="h_")},
      TIMESTAMPDIFF(SECOND, w.trx_wait_started, NOW()) AS waited, {{table}} AS locked
    FROM {{waits}} JOIN information_schema.innodb_trx w ON w.trx_id = {{waiting}}
      JOIN information_schema.innodb_trx h ON h.trx_id = {{blocking}}
      JOIN information_schema.processlist ws ON ws.id = w.trx_mysql_thread_id
      LEFT JOIN information_schema.processlist hs ON hs.id = h.trx_mysql_thread_id
    WHERE ws.db = DATABASE() LIMIT 500"""  # noqa: S608 - ours
_MARIADB_WAITS = _ROW_WAITS.format(
    waits="information_schema.innodb_lock_waits l JOIN information_schema.innodb_locks k ON k.lock_id = l.requested_lock_id",
    waiting="l.requesting_trx_id",
    blocking="l.blocking_trx_id",
    table="REPLACE(k.lock_table, '`', '')",
)
_MYSQL_WAITS = _ROW_WAITS.format(
    waits="performance_schema.data_lock_waits l JOIN performance_schema.data_locks k "
    "ON k.engine_lock_id = l.requesting_engine_lock_id AND k.engine = l.engine",
    waiting="l.requesting_engine_transaction_id",
    blocking="l.blocking_engine_transaction_id",
    table="CONCAT(k.object_schema, '.', k.object_name)",
)
_TABLE_WAITS = """
    SELECT id AS w_pid, user AS w_user, SUBSTRING_INDEX(host, ':', 1) AS w_host, command AS w_command, time AS w_unchanged,
      NULL AS w_seconds, 1 AS w_waits, LEFT(info, 8000) AS w_query, time AS waited
    FROM information_schema.processlist
    WHERE db = DATABASE() AND state LIKE 'Waiting for table %lock%' AND id <> CONNECTION_ID() LIMIT 500"""
_TABLES = f"""
    SELECT table_name AS name, table_rows AS estimate, data_length + index_length AS bytes, data_free AS free,
      index_length AS index_bytes FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY data_length DESC LIMIT {_MOST_TABLES}"""  # noqa: S608 - a number of ours
_USES = """
    SELECT object_name AS name, index_name AS part, count_read AS used
    FROM performance_schema.table_io_waits_summary_by_index_usage
    WHERE object_schema = DATABASE() AND object_type = 'TABLE' LIMIT 20000"""
_INDEXES = """
    SELECT table_name AS name, index_name AS part, non_unique, column_name AS col, sub_part, collation, index_type AS method
    FROM information_schema.statistics WHERE table_schema = DATABASE()
    ORDER BY table_name, index_name, seq_in_index LIMIT 20000"""
_KEYS = """
    SELECT table_name AS name, constraint_name AS part, column_name AS col, referenced_table_name AS parent
    FROM information_schema.key_column_usage WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL
    ORDER BY table_name, constraint_name, ordinal_position LIMIT 20000"""
_COUNTERS = """
    SELECT t.table_name AS name, t.auto_increment AS following, c.column_name AS col, c.column_type AS type
    FROM information_schema.tables t JOIN information_schema.columns c
      ON c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.extra LIKE '%auto_increment%'
    WHERE t.table_schema = DATABASE() AND t.auto_increment IS NOT NULL LIMIT 5000"""
_SEQUENCES = f"""
    SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE' ORDER BY table_name LIMIT {_MOST_SEQUENCES}"""  # noqa: S608 - ours
# The last name marks it as ours: the engine counts queries without their comments.
_SEQUENCE = """
    SELECT next_not_cached_value AS following, minimum_value AS lowest, maximum_value AS highest, increment AS step,
      cycle_option AS opsroom_cycles FROM {name}"""


class MysqlHealth:
    """What can be seen of one database, and of its engine as far as it matters to it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def checks(self) -> Sequence[Check]:
        return (
            Look("connections", "activity", self._connections, judge_connections),
            Look("transactions", "activity", self._transactions, judge_transactions),
            Look("locks", "activity", self._waits, judge_locks),
            Look("cache", "activity", self._cache, judge_cache),
            Look("undo", "activity", self._undo, judge_undo),
            Look("replication", "activity", self._replication, judge_replication),
            Look("tables", "storage", self._tables, judge_tables),
            Look("sequences", "storage", self._counters, judge_counters),
            Look("indexes", "indexes", self._indexing, judge_indexes),
        )

    async def _named(self, sql: str) -> dict[str, str]:
        return {each.raw("variable_name").lower(): each.raw("value") for each in await rows(self._ask, sql)}

    async def _is_mariadb(self) -> bool:
        return "mariadb" in (await row(self._ask, _VERSION)).raw("opsroom_version").lower()

    async def _connections(self) -> Seen[Connections]:
        status, variables = await self._named(_STATUS), await self._named(_VARIABLES)
        return Seen(Connections(int(status["threads_connected"]), int(variables["max_connections"])))

    async def _transactions(self) -> Seen[Transactions]:
        return Seen(Transactions(tuple(_session(seen) for seen in await rows(self._ask, _TRANSACTIONS))))

    async def _waits(self) -> Seen[tuple[Wait, ...]]:
        sql = _MARIADB_WAITS if await self._is_mariadb() else _MYSQL_WAITS
        waits = [
            Wait(_session(seen, "w_"), seen.number("waited"), f"a row of {seen.text('locked')}", _session(seen, "h_"))
            for seen in await rows(self._ask, sql)
        ]
        waits += [
            Wait(_session(seen, "w_"), seen.number("waited"), "a table's definition", None)
            for seen in await rows(self._ask, _TABLE_WAITS)
        ]
        return Seen(tuple(waits))

    async def _cache(self) -> Seen[Cache]:
        status = await self._named(_STATUS)
        asked, read = int(status["innodb_buffer_pool_read_requests"]), int(status["innodb_buffer_pool_reads"])
        return Seen(Cache(max(asked - read, 0), read, "innodb_buffer_pool_size"))

    async def _undo(self) -> Seen[Undo]:
        entries = (await self._named(_STATUS)).get("innodb_history_list_length")
        return Seen(Undo(int(entries) if entries else (await row(self._ask, _UNDO)).integer("entries")))

    async def _replication(self) -> Seen[Replication]:
        show = "SHOW ALL SLAVES STATUS" if await self._is_mariadb() else "SHOW REPLICA STATUS"
        return Seen(Replication(tuple(_replica(seen) for seen in await rows(self._ask, show))))

    async def _tables(self) -> Seen[Tables]:
        variables = await self._named(_VARIABLES)
        tables = tuple(_table(seen) for seen in await rows(self._ask, _TABLES))
        gap = "statistics: innodb_stats_auto_recalc is OFF, so that they are as old as the last ANALYZE TABLE"
        gaps = [
            "" if variables.get("innodb_stats_auto_recalc") == "ON" else gap,
            f"all but the {_MOST_TABLES:,} largest tables" if len(tables) == _MOST_TABLES else "",
        ]
        return Seen(Tables(tables, "as the engine says (data_free)"), tuple(filter(None, gaps)))

    async def _counters(self) -> Seen[Counters]:
        counters = [_counter(seen) for seen in await rows(self._ask, _COUNTERS)]
        if await self._is_mariadb():
            for each in await rows(self._ask, _SEQUENCES):
                seen = await row(self._ask, _SEQUENCE.format(name=quoted(each.raw("name"))))
                up = seen.integer("step") >= 0
                least, most = seen.integer("lowest"), seen.integer("highest")
                if not seen.flag("opsroom_cycles"):
                    then = f"ALTER SEQUENCE {quoted(each.text('name'))} MAXVALUE …, and check who reads the numbers"
                    first, limit = (least, most) if up else (most, least)
                    counters.append(Counter(each.text("name"), seen.integer("following"), first, limit, then))
        return Seen(Counters(tuple(counters)))

    async def _indexing(self) -> Seen[Indexing]:
        variables, status = await self._named(_VARIABLES), await self._named(_STATUS)
        uses: dict[tuple[str, str], int] | None = None
        gaps: tuple[str, ...] = ()
        if variables.get("performance_schema") != "ON":
            gaps = (_COUNTED_OFF,)
        else:
            try:
                uses = {(each.text("name"), each.text("part")): each.integer("used") for each in await rows(self._ask, _USES)}
            except NotPermitted:
                gaps = (_COUNTED_HIDDEN,)
        listed = await rows(self._ask, _TABLES)
        indexes = _indexes(
            await rows(self._ask, _INDEXES), {each.text("name"): each.integer("index_bytes") for each in listed}, uses
        )
        tables = {each.text("name"): _table(each, uses) for each in listed}
        since = f"the start {int(status['uptime']) // 3_600} h ago" if uses is not None else None
        return Seen(Indexing(tuple(indexes), _keys(await rows(self._ask, _KEYS)), tables, since), gaps)


def _session(seen: Row, prefix: str = "") -> Session:
    pid, idle = seen.integer(f"{prefix}pid"), seen.raw(f"{prefix}command") == "Sleep"
    return Session(
        pid=pid,
        who=f"{seen.text(f'{prefix}user')}@{seen.text(f'{prefix}host')}",
        seconds=seen.maybe_number(f"{prefix}seconds"),
        idle_seconds=seen.maybe_number(f"{prefix}unchanged") if idle else None,
        waits=seen.flag(f"{prefix}waits"),
        query=shown_query(seen.raw(f"{prefix}query"), "mysql"),
        # a query can be ended alone; a session that runs none only as a whole
        stop=f"KILL {pid}" if idle else f"KILL QUERY {pid}",
    )


def _replica(seen: Row) -> Replica:
    """The columns have other names in other engines and versions."""
    values = {name.replace("replica_", "slave_").replace("_source", "_master"): name for name in seen.values}

    def read(name: str) -> str:
        return clean(seen.raw(values[name])) if name in values else ""

    channel = read("connection_name") or read("channel_name")
    stopped = [
        f"{thread} {'does not run' if read(running) == 'No' else 'fails'}{f': {error[:_MAX_ERROR]}' if error else ''}"
        for thread, running, error in (
            ("the receiver", "slave_io_running", read("last_io_error")),
            # what a row made fail says the values of the row
            ("the applier", "slave_sql_running", _LITERAL.sub("?", read("last_sql_error"))),
        )
        if read(running) == "No" or error
    ]
    behind = read("seconds_behind_master")
    return Replica(
        f"this replica{f' ({channel})' if channel else ''}", float(behind) if behind else None, stopped="; ".join(stopped) or None
    )


def _table(seen: Row, uses: dict[tuple[str, str], int] | None = None) -> Table:
    name = seen.text("name")
    of_table = [(index, used) for (table, index), used in (uses or {}).items() if table == name]
    return Table(
        name=name,
        rows=seen.integer("estimate"),
        bytes=seen.integer("bytes") + seen.integer("free"),
        reclaimable_bytes=seen.integer("free"),
        scanned_rows=sum(used for index, used in of_table if not index),
        # a copy of the whole table, such as a dump, must not make its indexes look unused
        lookups=sum(used for index, used in of_table if index),
        rewrite=f"OPTIMIZE TABLE {quoted(name)} rebuilds it, which takes as long as copying it",
    )


def _indexes(listed: Sequence[Row], table_bytes: dict[str, int], uses: dict[tuple[str, str], int] | None) -> list[Index]:
    parts: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for seen in listed:
        parts[seen.text("name"), seen.text("part")].append(seen)
    secondary: defaultdict[str, int] = defaultdict(int)
    for table, name in parts:
        secondary[table] += name != "PRIMARY"
    return [
        Index(
            name=name,
            table=table,
            columns=tuple(column.text("col") or f"expression of {name}" for column in columns),
            order=tuple(f"{column.raw('collation')} {column.raw('sub_part')}" for column in columns),
            method=columns[0].raw("method").lower(),
            unique=not columns[0].flag("non_unique"),
            required=name == "PRIMARY",
            uses=None if uses is None else uses.get((table, name)),
            # the engine tells only what all indexes of a table take together
            bytes=0 if name == "PRIMARY" else table_bytes.get(table, 0) // max(secondary[table], 1),
            drop=f"ALTER TABLE {quoted(table)} DROP INDEX {quoted(name)}",
        )
        for (table, name), columns in parts.items()
    ]


def _keys(listed: Sequence[Row]) -> tuple[ForeignKey, ...]:
    """Foreign keys. The engine makes an index for each by itself, which then must not be called unused."""
    columns: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for seen in listed:
        columns[seen.text("name"), seen.text("part"), seen.text("parent")].append(seen.text("col"))
    return tuple(
        ForeignKey(table, tuple(names), parent, f"ALTER TABLE {quoted(table)} ADD INDEX ({', '.join(map(quoted, names))})")
        for (table, _, parent), names in columns.items()
    )


def _counter(seen: Row) -> Counter:
    kind = seen.raw("type").lower()
    match = _INTEGER.match(kind)
    bits = _INTEGER_BITS.get(match["type"] if match else "", 64)
    limit = 2**bits - 1 if "unsigned" in kind else 2 ** (bits - 1) - 1
    name = f"{quoted(seen.text('name'))}.{quoted(seen.text('col'))}"
    then = f"Make {name} a bigint unsigned, which rewrites the table, before inserts fail"
    return Counter(f"{seen.text('name')}.{seen.text('col')}", max(seen.integer("following") - 1, 0), 0, limit, then)

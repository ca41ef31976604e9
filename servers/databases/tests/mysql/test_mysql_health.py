"""database_health and top_queries on a real MariaDB with planted problems, and on a quiet database of it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeAlias, cast

import pymysql
import pytest
from opsroom_databases.health.thresholds import Level, Thresholds
from opsroom_databases.models import DatabaseHealth, TopQueries
from opsroom_databases.providers.mysql import MysqlDatabase
from opsroom_databases.settings import DatabasesSettings
from opsroom_databases.sources import NetworkSource, parse_url
from opsroom_databases.workload.mysql import top_queries
from opsroom_shared.errors import NotPermitted

from ..answers import Connect, health_of, text_of
from .conftest import DATA
from .mariadb_server import MariadbServer

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

Somebody: TypeAlias = "Connection[Cursor]"

AT_ONCE, NEVER = Level(0, 1e12), Level(1e12, 1e12)
_TRIES = 3_000
_FREE = "SELECT data_free FROM information_schema.tables WHERE table_schema = '{name}' AND table_name = 'bloated'"
_FULL_READS = 260
# asking for the transactions themselves would keep the engine from renewing what it shows of them
_ROW_WAITS = """
    SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'"""


@pytest.fixture(scope="module")
def shops(mariadb: MariadbServer) -> MariadbServer:
    """The engine with the databases planted, mended and quiet."""
    for name, made in (("planted", "planted"), ("mended", "planted"), ("quiet", "quiet")):
        script = (DATA / f"{made}.sql").read_text(encoding="utf-8")
        mariadb.admin(f"CREATE DATABASE {name}", f"USE {name}", *(each for each in script.split(";\n") if each.strip()))
        mariadb.admin(f"GRANT SELECT ON {name}.* TO reader@'%'")
    mariadb.admin("USE planted", *["SELECT COUNT(*) FROM letters WHERE LENGTH(body) = 5"] * _FULL_READS)
    for name in ("planted", "mended"):
        until(mariadb, _FREE.format(name=name), lambda rows: int(str(rows[0][0])) > 20_000_000)
    return mariadb


def until(mariadb: MariadbServer, sql: str, enough: Callable[[list[tuple[object, ...]]], bool]) -> None:
    for _ in range(_TRIES):
        if enough(mariadb.admin(sql)):
            return
    pytest.fail(f"never came true: {sql}")


async def health_with(database: MysqlDatabase, check: str, limits: Thresholds) -> DatabaseHealth:
    """What is found once *check* finds something."""
    for _ in range(200):
        health = await database.health("activity", limits)
        if any(finding.check == check for finding in health.findings):
            return health
        # InnoDB shows its transactions and locks anew only when nobody has looked at them for a tenth of a second
        await asyncio.sleep(0.15)
    pytest.fail(f"{check} never found anything")


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[MysqlDatabase]:
    database = MysqlDatabase("planted", cast("NetworkSource", parse_url(url)), DatabasesSettings.model_validate({}))
    try:
        yield database
    finally:
        await database.aclose()


@contextmanager
def session_on(shops: MariadbServer, database: str) -> Generator[tuple[Somebody, int]]:
    """Somebody's session on the engine, and its number."""
    connection = pymysql.connect(unix_socket=str(shops.socket), user="root", database=database, ssl_disabled=True)
    try:
        yield connection, int(connection.thread_id())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - as the stubs have it
    finally:
        connection.close()


def run(connection: Somebody, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


async def test_planted_problems_are_found(shops: MariadbServer, connect: Connect) -> None:
    """Everything that is wrong is found, with its figures and what mends it, and nothing else is."""
    async with connect(databases={"planted": shops.url(database="planted")}) as client:
        health = health_of(await client.call_tool("database_health"))

    found = {(finding.severity, finding.check, finding.subject): finding for finding in health.findings}
    assert set(found) == {
        ("critical", "sequences", "odd `names`.id"),
        ("warning", "sequences", "numbers"),
        ("notice", "tables", "bloated"),
        ("warning", "indexes", "day_2"),
        ("warning", "indexes", "customers_email"),
        ("notice", "indexes", "day_only"),
        ("notice", "indexes", "day_1"),
        ("notice", "indexes", "note_start"),
        ("notice", "indexes", "note_all"),
        ("notice", "indexes", "id_day"),
        ("notice", "indexes", "letters"),
    }
    assert found["warning", "indexes", "customers_email"].statement == "ALTER TABLE `customers` DROP INDEX `customers_email`"
    assert "at 240 of 255 (94.1 %)" in found["critical", "sequences", "odd `names`.id"].evidence
    assert "as the engine says (data_free)" in found["notice", "tables", "bloated"].evidence


async def test_statements_mend_what_was_found(shops: MariadbServer) -> None:
    """The engine takes every statement of the findings, and what it mends is found no more."""
    async with opened(shops.url(database="mended")) as database:
        before = await database.health("all")
        statements = [finding.statement for finding in before.findings if finding.statement]
        shops.admin("USE mended", *statements)
        after = await database.health("all")

    assert len(statements) == 7
    assert {(finding.check, finding.statement) for finding in after.findings} == {("sequences", None), ("tables", None)}


async def test_quiet_database_has_no_findings(shops: MariadbServer, connect: Connect) -> None:
    """On a database in good order nothing is found, and the answer says what was looked at."""
    async with connect(databases={"quiet": shops.url(database="quiet")}) as client:
        result = await client.call_tool("database_health")

    health = health_of(result)
    assert health.findings == []
    assert [each.check for each in health.checked] == [
        *("connections", "transactions", "locks", "cache", "undo", "replication", "tables", "sequences", "indexes")
    ]
    assert health.unchecked == []


async def test_blocker_is_found_and_can_be_ended(shops: MariadbServer) -> None:
    """Who holds up others is named, and the finding's statement lets them go on."""
    limits = Thresholds(blocked_seconds=AT_ONCE, idle_in_transaction_seconds=AT_ONCE, transaction_seconds=NEVER)
    change = "UPDATE customers SET email = 's3cret' WHERE id = 1"
    with session_on(shops, "planted") as (holder, number), session_on(shops, "planted") as (victim, victim_number):
        async with opened(shops.url(database="planted")) as database:
            run(holder, "BEGIN", change)
            waiting = asyncio.get_running_loop().run_in_executor(None, run, victim, change, "ROLLBACK")
            until(shops, _ROW_WAITS, lambda rows: rows == [("1",)])
            health = await health_with(database, "locks", limits)
            by_check = {finding.check: finding for finding in health.findings}
            shops.admin(str(by_check["locks"].statement))
            await waiting

    assert by_check["locks"].subject == f"pid {number} (root@localhost)"
    assert f"pid {victim_number} (root@localhost) waits" in by_check["locks"].evidence
    assert "for a row of planted.customers with `UPDATE customers SET email = ? WHERE id = ?`" in by_check["locks"].evidence
    assert by_check["transactions"].statement == by_check["locks"].statement == f"KILL {number}"
    assert "s3cret" not in health.text()


async def test_wait_for_a_table_is_found(shops: MariadbServer) -> None:
    """A change of a table that waits for a reader's transaction is found."""
    with session_on(shops, "planted") as (holder, _), session_on(shops, "planted") as (victim, victim_number):
        async with opened(shops.url(database="planted")) as database:
            run(holder, "BEGIN", "SELECT * FROM wide")
            waiting = asyncio.get_running_loop().run_in_executor(None, run, victim, "ALTER TABLE wide ADD COLUMN more INT")
            until(
                shops,
                f"SELECT id FROM information_schema.processlist WHERE id = {victim_number} AND state LIKE 'Waiting for table%'",  # noqa: S608 - a number
                bool,
            )
            health = await database.health("activity", Thresholds(blocked_seconds=AT_ONCE))
            run(holder, "ROLLBACK")
            await waiting

    (found,) = [finding for finding in health.findings if finding.check == "locks"]
    assert f"pid {victim_number} (root@localhost) waits" in found.evidence
    assert "for a table's definition" in found.evidence


async def test_stopped_replica_is_found(shops: MariadbServer) -> None:
    """A replica that cannot reach its primary is found, with the engine's reason."""
    shops.admin("CHANGE MASTER 'far' TO master_host = '127.0.0.1', master_port = 1, master_user = 'x'", "START SLAVE 'far'")
    try:
        until(shops, "SHOW ALL SLAVES STATUS", lambda rows: "error connecting" in str(rows))
        async with opened(shops.url(database="quiet")) as database:
            (found,) = (await database.health("activity")).findings
    finally:
        shops.admin("STOP SLAVE 'far'", "RESET SLAVE 'far' ALL")

    assert (found.severity, found.check, found.subject) == ("critical", "replication", "this replica (far)")
    assert "the receiver fails: error connecting to master" in found.evidence


async def test_account_without_rights_is_told_what_it_misses(shops: MariadbServer) -> None:
    """What the account may not see is said with the right that shows it, and the rest is checked."""
    async with opened(shops.url("reader", "planted")) as database:
        health = await database.health("all")

    reasons = {each.check: each.reason for each in health.unchecked}
    assert set(reasons) == {"transactions", "locks", "replication", "indexes"}
    assert "PROCESS" in reasons["transactions"]
    assert "GRANT SELECT ON performance_schema.*" in reasons["indexes"]
    assert {"sequences", "tables", "indexes"} <= {finding.check for finding in health.findings}


async def test_slow_repeated_query_is_first(shops: MariadbServer, connect: Connect) -> None:
    """The query that cost most is first, once for all its values; what this server asks and what stands around is left out."""
    shops.admin("TRUNCATE TABLE performance_schema.events_statements_summary_by_digest")
    slow = "SELECT COUNT(*) FROM bloated a, bloated b WHERE a.id % {n} = b.id % 7"
    with session_on(shops, "planted") as (somebody, _):
        run(somebody, *(slow.format(n=n) for n in (2, 3, 4)))
        run(somebody, "BEGIN", *["SELECT email FROM customers WHERE email = 's3cret'"] * 20, "COMMIT")
    async with connect(databases={"planted": shops.url(database="planted")}) as client:
        await client.call_tool("database_health")
        by_time = await client.call_tool("top_queries")
        by_calls = await client.call_tool("top_queries", {"order": "calls", "limit": 1})

    top = TopQueries.model_validate(by_time.structured_content)
    assert [(query.calls, query.rows) for query in top.queries[:2]] == [(3, 3), (20, 0)]
    assert top.queries[0].query.startswith("SELECT COUNT (*) FROM `bloated`")
    assert len(top.queries) == 2
    assert top.queries[0].io >= 3 * 2_000
    assert "s3cret" not in text_of(by_time)
    assert [query.calls for query in TopQueries.model_validate(by_calls.structured_content).queries] == [20]


async def test_uncounted_queries_say_how_to_count(shops: MariadbServer, connect: Connect) -> None:
    """Where the engine was told not to count, the error has the exact statement that lets it."""
    switch = "UPDATE performance_schema.setup_consumers SET enabled = '{}' WHERE name = 'statements_digest'"
    shops.admin(switch.format("NO"))
    try:
        async with connect(databases={"planted": shops.url(database="planted")}) as client:
            result = await client.call_tool("top_queries", raise_on_error=False)
    finally:
        shops.admin(switch.format("YES"))

    assert result.structured_content == {"code": "not_permitted", "retryable": False}
    assert switch.format("YES") in text_of(result)
    assert "no restart is needed" in text_of(result)


async def test_account_that_may_not_see_counts_is_told(shops: MariadbServer, connect: Connect) -> None:
    """An account without the right is told of the grant."""
    async with connect(databases={"planted": shops.url("reader", "planted")}) as client:
        result = await client.call_tool("top_queries", raise_on_error=False)

    assert result.structured_content == {"code": "not_permitted", "retryable": False}
    assert "GRANT SELECT ON performance_schema.*" in text_of(result)


async def test_engine_that_does_not_count_says_how_to_count() -> None:
    """An engine that was started without counting is told the line of its configuration, and that it has to be restarted."""

    async def ask(sql: str, /) -> Sequence[Mapping[str, object]]:
        return [{"counting": "0"}] if "@@performance_schema" in sql else []

    with pytest.raises(NotPermitted, match=r"performance_schema = ON under \[mysqld\].* restart it"):
        await top_queries("shop", ask, "total_time", 10)


@pytest.mark.parametrize("order", ["total_time", "mean_time", "calls", "rows", "io"])
async def test_every_order_is_kept(shops: MariadbServer, order: str) -> None:
    """The list is in the order that was asked for."""
    async with opened(shops.url(database="planted")) as database:
        queries = (await database.top_queries(order, 50)).queries  # pyright: ignore[reportArgumentType] - one of the cases above

    figures = {
        "total_time": [query.total_ms for query in queries],
        "mean_time": [query.mean_ms for query in queries],
        "calls": [query.calls for query in queries],
        "rows": [query.rows for query in queries],
        "io": [query.io for query in queries],
    }
    assert queries
    assert figures[order] == sorted(figures[order], reverse=True)

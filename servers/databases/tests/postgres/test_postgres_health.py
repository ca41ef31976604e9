"""database_health and top_queries on a real PostgreSQL with planted problems, and on a quiet database of it."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from opsroom_databases.health.thresholds import Level, Thresholds
from opsroom_databases.models import TopQueries
from opsroom_databases.providers.postgres import PostgresDatabase
from opsroom_databases.providers.postgres_driver import Connection
from opsroom_databases.providers.postgres_session import connect
from opsroom_databases.settings import DatabasesSettings
from opsroom_databases.sources import NetworkSource, parse_url

from ..answers import Connect, health_of, text_of
from .conftest import DATA, running
from .postgres_server import READER, PostgresServer

AT_ONCE, NEVER = Level(0, 1e12), Level(1e12, 1e12)
_SETTINGS = "shared_preload_libraries = 'pg_stat_statements'\nautovacuum = on\n"
_TRIES = 300


@pytest.fixture(scope="module")
def engine() -> Generator[PostgresServer]:
    """A PostgreSQL that counts its queries, with the databases planted, mended, quiet and untracked."""
    with running(_SETTINGS) as server:
        for name, made in (("planted", "planted"), ("mended", "planted"), ("quiet", "quiet"), ("untracked", None)):
            server.run_sql(f"CREATE DATABASE {name}")
            if made:
                server.run_sql((DATA / f"{made}.sql").read_text(encoding="utf-8"), name)
        server.run_sql(
            "CREATE EXTENSION pg_stat_statements; ALTER DATABASE untracked SET pg_stat_statements.track = 'none'", "untracked"
        )
        yield server


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[PostgresDatabase]:
    database = PostgresDatabase("planted", cast("NetworkSource", parse_url(url)), DatabasesSettings.model_validate({}))
    try:
        yield database
    finally:
        await database.aclose()


@asynccontextmanager
async def session_on(url: str) -> AsyncGenerator[tuple[Connection, int]]:
    """Somebody's session on the engine, and its process id."""
    connection = (await connect(cast("NetworkSource", parse_url(url)))).connection
    try:
        ((pid,),) = await connection.fetch("SELECT pg_backend_pid()")
        yield connection, int(str(pid))
    finally:
        connection.terminate()


async def until_somebody_waits(engine: PostgresServer) -> None:
    for _ in range(_TRIES):
        if await engine.admin("SELECT FROM pg_stat_activity WHERE datname = 'planted' AND wait_event_type = 'Lock'"):
            return
    pytest.fail("nobody waits for a lock")


async def test_planted_problems_are_found(engine: PostgresServer, connect: Connect) -> None:
    """Everything that is wrong is found, with its figures and what mends it, and nothing else is."""
    async with connect(databases={"planted": engine.url(database="planted")}) as client:
        health = health_of(await client.call_tool("database_health"))

    found = {(finding.severity, finding.check, finding.subject): finding for finding in health.findings}
    assert set(found) == {
        ("critical", "sequences", 'public."Odd ""names""_id_seq"'),
        ("critical", "sequences", "public.downwards"),
        ("warning", "tables", "public.orders"),
        ("warning", "tables", "public.unanalyzed"),
        ("notice", "tables", "public.bloated"),
        ("warning", "indexes", "public.orders_broken"),
        ("warning", "indexes", "public.orders_day_2"),
        ("warning", "indexes", "public.orders_expression_2"),
        ("warning", "indexes", "public.customers_email"),
        ("warning", "indexes", "public.orders (customer_id)"),
        ("warning", "indexes", "public.events_1 (customer_id)"),
        ("notice", "indexes", "public.orders_day_only"),
        ("notice", "indexes", "public.orders_day_1"),
        ("notice", "indexes", "public.orders_descending"),
        ("notice", "indexes", "public.orders_expression_1"),
        ("notice", "indexes", "public.orders_other_expression"),
        ("notice", "indexes", "public.orders"),
    }
    dead = found["warning", "tables", "public.orders"]
    assert "20,000 dead rows beside 50,000 live ones" in dead.evidence
    assert "autovacuum is off for it" in dead.evidence
    assert found["warning", "indexes", "public.orders (customer_id)"].statement == (
        "CREATE INDEX CONCURRENTLY ON public.orders (customer_id)"
    )
    assert found["warning", "indexes", "public.events_1 (customer_id)"].statement == "CREATE INDEX ON public.events (customer_id)"
    assert "estimated from the widths of its columns" in found["notice", "tables", "public.bloated"].evidence
    assert 'Make public."Odd ""names""".id a bigint' in found["critical", "sequences", 'public."Odd ""names""_id_seq"'].action


async def test_statements_mend_what_was_found(engine: PostgresServer) -> None:
    """The engine takes every statement of the findings, and what it mends is found no more."""
    url = engine.url(database="mended")
    async with opened(url) as database, session_on(url) as (owner, _):
        before = await database.health("all")
        statements = [finding.statement for finding in before.findings if finding.statement]
        for statement in statements:
            await owner.execute(statement)
        after = await database.health("all")

    assert len(statements) == 13
    assert {(finding.check, finding.statement) for finding in after.findings} == {
        ("sequences", None),
        ("tables", None),
        ("indexes", None),
    }


async def test_quiet_database_has_no_findings(engine: PostgresServer, connect: Connect) -> None:
    """On a database in good order nothing is found, and the answer says what was looked at."""
    async with connect(databases={"quiet": engine.url(database="quiet")}) as client:
        result = await client.call_tool("database_health")

    health = health_of(result)
    assert health.findings == []
    assert [each.check for each in health.checked] == [
        *("connections", "transactions", "locks", "cache", "replication", "tables", "sequences", "wraparound", "indexes")
    ]
    assert [each.check for each in health.unchecked] == ["checksums"]
    assert text_of(result).startswith("quiet: nothing was found.\nChecked: connections (")


async def test_blocker_is_found_and_can_be_ended(engine: PostgresServer) -> None:
    """Who holds up others is named with what it ran, without its values, and the finding's statement lets them go on."""
    url = engine.url(database="planted")
    limits = Thresholds(blocked_seconds=AT_ONCE, idle_in_transaction_seconds=AT_ONCE, transaction_seconds=NEVER)
    async with session_on(url) as (holder, pid), session_on(url) as (victim, victim_pid), opened(url) as database:
        await holder.execute("BEGIN; UPDATE customers SET email = 's3cret' WHERE id = 1")
        waiting = asyncio.ensure_future(victim.execute("UPDATE customers SET email = 'new' WHERE id = 1"))
        await until_somebody_waits(engine)
        health = await database.health("activity", limits)
        by_check = {finding.check: finding for finding in health.findings}
        await engine.admin(str(by_check["locks"].statement))
        done = await waiting

    assert done == "UPDATE 1"
    assert set(by_check) == {"locks", "transactions"}
    assert by_check["locks"].subject.startswith(f"pid {pid} (boss")
    assert f"pid {victim_pid} (boss, opsroom-databases) waits" in by_check["locks"].evidence
    assert "after `BEGIN; UPDATE customers SET email = ? WHERE id = ?`" in by_check["locks"].evidence
    assert by_check["transactions"].statement == by_check["locks"].statement == f"SELECT pg_terminate_backend({pid})"
    assert "s3cret" not in health.text()


async def test_locked_table_holds_no_check_up(engine: PostgresServer) -> None:
    """While somebody has a table to himself, every check is made: none of them waits for the table."""
    url = engine.url(database="quiet")
    async with session_on(url) as (holder, _), opened(url) as database:
        await holder.execute("BEGIN; LOCK TABLE orders, customers IN ACCESS EXCLUSIVE MODE")
        health = await database.health("all")

    assert [each.check for each in health.unchecked] == ["checksums"]


async def test_forgotten_transaction_and_slot_are_found(engine: PostgresServer) -> None:
    """A prepared transaction and a slot that nobody uses are found, and their statements end them."""
    url = engine.url(database="quiet")
    limits = Thresholds(transaction_seconds=AT_ONCE, kept_log_bytes=AT_ONCE)
    async with session_on(url) as (somebody, _), opened(url) as database:
        await somebody.execute("BEGIN; INSERT INTO customers (email) VALUES ('x'); PREPARE TRANSACTION 'forg''otten'")
        await somebody.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
        before = await database.health("activity", limits)
        for finding in before.findings:
            await somebody.execute(str(finding.statement))
        after = await database.health("activity", limits)

    assert {finding.subject for finding in before.findings} == {"prepared transaction forg'otten (boss)", "slot forgotten"}
    assert after.findings == []


async def test_lagging_standby_is_found_from_both_ends(engine: PostgresServer) -> None:
    """A standby that has stopped to replay is found on the primary and on itself, where no index is called unused."""
    limits = Thresholds(replication_bytes=Level(1, 1e12), replication_seconds=AT_ONCE)
    standby = engine.standby()
    try:
        await standby.admin("SELECT pg_wal_replay_pause()")
        engine.run_sql("CREATE TABLE later (id int)", "quiet")
        for _ in range(_TRIES):
            if await standby.admin("SELECT WHERE pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"):
                break
        async with opened(engine.url(database="quiet")) as database:
            on_primary = await database.health("activity", limits)
        async with opened(standby.url(database="quiet")) as database:
            on_standby = await database.health("all", limits)
    finally:
        standby.stop()

    assert [finding.subject for finding in on_primary.findings] == ["replica walreceiver"]
    assert "of log behind" in on_primary.findings[0].evidence
    assert [finding.subject for finding in on_standby.findings] == ["this standby"]
    assert "this is a standby" in {each.check: each.reason for each in on_standby.unchecked}["indexes"]


async def test_account_without_rights_is_told_what_it_misses(engine: PostgresServer) -> None:
    """What the account may not see is said with the grant that shows it, and the rest is checked."""
    async with session_on(engine.url(database="quiet")), opened(engine.url(READER, "quiet")) as database:
        health = await database.health("all")

    reasons = {each.check: each.reason for each in health.unchecked}
    assert "GRANT pg_read_all_stats" in reasons["transactions"]
    assert "GRANT SELECT ON ALL SEQUENCES" in reasons["sequences"]
    assert "may not read them" in reasons["tables"]
    assert "indexes" in {each.check for each in health.checked}
    assert health.findings == []


async def test_slow_repeated_query_is_first(engine: PostgresServer, connect: Connect) -> None:
    """The query that cost most is first, once for all its values; this server's own and those around queries are left out."""
    engine.run_sql("SELECT pg_stat_statements_reset()", "planted")
    engine.run_sql(
        "BEGIN; SELECT count(*) FROM bloated a, bloated b WHERE a.id % 2 = b.id % 7; COMMIT;" * 3
        + "SELECT email FROM customers WHERE email = 's3cret';" * 20,
        "planted",
    )
    async with connect(databases={"planted": engine.url(database="planted")}) as client:
        await client.call_tool("run_query", {"sql": "SELECT count(*) FROM orders"})
        await client.call_tool("database_health")
        by_time = await client.call_tool("top_queries")
        by_calls = await client.call_tool("top_queries", {"order": "calls", "limit": 1})

    top = TopQueries.model_validate(by_time.structured_content)
    assert top.queries[0].query == "SELECT count(*) FROM bloated a, bloated b WHERE a.id % $1 = b.id % $2"
    assert (top.queries[0].calls, top.queries[0].rows) == (3, 3)
    assert top.queries[0].total_ms > top.queries[1].total_ms
    assert {query.query for query in top.queries[1:]} <= {
        "SELECT email FROM customers WHERE email = $1",
        "SELECT pg_stat_statements_reset()",
    }
    assert top.since
    assert "s3cret" not in text_of(by_time)
    assert [query.calls for query in TopQueries.model_validate(by_calls.structured_content).queries] == [20]


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ("quiet", ["CREATE EXTENSION pg_stat_statements", "no restart is needed"]),
        ("untracked", ["ALTER SYSTEM SET pg_stat_statements.track = 'top'", "pg_reload_conf()"]),
    ],
)
async def test_uncounted_queries_say_how_to_count(
    engine: PostgresServer, connect: Connect, database: str, words: list[str]
) -> None:
    """Where queries are not counted, the error has the exact statements that a person needs."""
    async with connect(databases={"main": engine.url(database=database)}) as client:
        result = await client.call_tool("top_queries", raise_on_error=False)

    assert result.structured_content == {"code": "not_permitted", "retryable": False}
    assert all(word in text_of(result) for word in words), text_of(result)


async def test_engine_that_does_not_count_says_how_to_count(connect: Connect) -> None:
    """An engine without the library is told where to name it, and that it has to be restarted."""
    async with connect() as client:
        result = await client.call_tool("top_queries", raise_on_error=False)

    assert result.structured_content == {"code": "not_permitted", "retryable": False}
    assert "shared_preload_libraries" in text_of(result)
    assert "restart the engine" in text_of(result)
    assert "CREATE EXTENSION" in text_of(result)


@pytest.mark.parametrize("order", ["total_time", "mean_time", "calls", "rows", "io"])
async def test_every_order_is_kept(engine: PostgresServer, order: str) -> None:
    """The list is in the order that was asked for."""
    async with opened(engine.url(database="planted")) as database:
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

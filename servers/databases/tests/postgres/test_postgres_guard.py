"""The tests' own attacks and honest queries on a real PostgreSQL, under an account that may do everything."""

import asyncio

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
import pytest
from opsroom_databases.providers.postgres_session import Sessions
from opsroom_databases.settings import DatabasesSettings
from opsroom_databases.sources import NetworkSource, parse_url

from ..answers import Connect
from ..corpus import Attack, Honest, attacks, honest_queries, is_small
from .postgres_server import BOSS, PostgresServer


@pytest.mark.parametrize("attack", attacks("postgres"), ids=lambda attack: attack.why)
async def test_attack_leaves_no_trace(connect: Connect, postgres: PostgresServer, attack: Attack) -> None:
    """An attack changes nothing and leaves nothing behind; what must be refused is refused, what costs is bounded."""
    before = await postgres.observed()
    async with connect(query_seconds=1) as client:
        result = await client.call_tool("run_query", {"sql": attack.sql}, raise_on_error=False, timeout=30)
        after = await postgres.observed()
        alive = await client.call_tool("run_query", {"sql": "SELECT 1"})

    assert after == before
    assert result.is_error or attack.must != "reject"
    assert "failed inside the server" not in str(result.content)
    assert is_small(result)
    assert not alive.is_error


@pytest.mark.parametrize("honest", honest_queries("postgres"), ids=lambda honest: honest.sql[:60])
async def test_honest_query_is_answered(connect: Connect, postgres: PostgresServer, honest: Honest) -> None:
    """A read that the engine itself runs is answered, with as many rows as the engine gives."""
    rows = await postgres.admin(honest.sql.lstrip("\ufeff"))
    async with connect() as client:
        result = await client.call_tool("run_query", {"sql": honest.sql, "limit": 500}, raise_on_error=False)

    assert not result.is_error, result.content
    assert result.structured_content is not None
    page = result.structured_content
    assert page["truncated"] or page["row_count"] == len(rows) or honest.sql.lower().startswith("explain")
    assert len(page["columns"]) == (len(rows[0]) if rows else len(page["columns"]))


@pytest.mark.parametrize(
    "statement",
    [
        "SET TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "DELETE FROM guests",
        "CREATE TEMP TABLE t (a int)",
        "SELECT nextval('bill_numbers')",
        "SELECT * FROM rooms FOR UPDATE",
        "SELECT check_in_as_owner('x')",
    ],
)
async def test_transaction_cannot_be_made_writable(postgres: PostgresServer, statement: str) -> None:
    """A statement that nobody judged is still held by the engine: the transaction is read-only and has begun."""
    source = parse_url(postgres.url())
    assert isinstance(source, NetworkSource)
    sessions = Sessions("hotel", source, DatabasesSettings.model_validate({}))

    async def run() -> None:
        async with sessions.reading(5) as session:
            await session.look_around()
            await session.connection.execute(statement)

    try:
        with pytest.raises(asyncpg.PostgresError) as caught:
            await run()
    finally:
        await sessions.aclose()

    assert getattr(caught.value, "sqlstate", None) in ("25006", "25001")


async def test_tighter_limits_of_the_engine_stay(postgres: PostgresServer) -> None:
    """Where the account may run or write less than this server would allow, its own limits hold; otherwise ours do."""
    postgres.run_sql(
        "CREATE ROLE hasty LOGIN SUPERUSER PASSWORD 's3cret/pass word'; ALTER ROLE hasty SET statement_timeout = 700;"
    )
    limits = "SELECT current_setting('statement_timeout'), current_setting('temp_file_limit')"
    found: list[list[object]] = []
    try:
        for account in ("hasty", BOSS):
            source = parse_url(postgres.url(account))
            assert isinstance(source, NetworkSource)
            sessions = Sessions("hotel", source, DatabasesSettings.model_validate({}))
            async with sessions.reading(5) as session:
                found += [list(row) for row in await session.connection.fetch(limits)]
            await sessions.aclose()
    finally:
        postgres.run_sql("DROP ROLE hasty;")

    assert found == [["700ms", "1GB"], ["5s", "1GB"]]


async def test_idle_session_is_let_go(postgres: PostgresServer) -> None:
    """A session that nobody uses for a while is closed, and a new one is opened when it is needed."""
    source = parse_url(postgres.url())
    assert isinstance(source, NetworkSource)
    sessions = Sessions("hotel", source, DatabasesSettings.model_validate({}), idle_seconds=0.05)
    try:
        async with sessions.reading(5):
            used = await postgres.sessions()
        async with asyncio.timeout(20):
            while await postgres.sessions():
                await postgres.admin("SELECT pg_sleep(0.02)")
        async with sessions.reading(5) as session:
            (answer,) = await session.connection.fetch("SELECT 1")
    finally:
        await sessions.aclose()

    assert used == 1
    assert answer[0] == 1


async def test_session_keeps_nothing_for_the_next_call(postgres: PostgresServer) -> None:
    """Locks, settings and listeners of one transaction are gone when the session is used again."""
    source = parse_url(postgres.url())
    assert isinstance(source, NetworkSource)
    sessions = Sessions("hotel", source, DatabasesSettings.model_validate({"concurrency": 1}))
    leftovers = """
        SELECT pg_backend_pid(), current_setting('work_mem'), (SELECT count(*) FROM pg_listening_channels()),
          (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
          (SELECT count(*) FROM pg_cursors WHERE name = 'kept')"""
    try:
        async with sessions.reading(5) as session:
            (before,) = await session.connection.fetch(leftovers)
            await session.connection.execute("SELECT pg_advisory_lock(1); SET work_mem = '1MB'; DECLARE kept CURSOR FOR SELECT 1")
        async with sessions.reading(5) as session:
            (after,) = await session.connection.fetch(leftovers)
    finally:
        await sessions.aclose()

    assert list(after) == list(before)

"""Statements that were judged before, on a real PostgreSQL that changes in between."""

import asyncio
import gc
import json
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import replace

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.dialects.postgres_statement import read
from opsroom_databases.providers.postgres_memory import Verdict, Verdicts, read_again
from opsroom_databases.providers.postgres_session import Recalled, Session, Sessions, connect
from opsroom_databases.secret_columns import NOTHING_MASKED
from opsroom_databases.settings import DatabasesSettings
from opsroom_databases.sources import NetworkSource, parse_url

from .postgres_server import PostgresServer

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]

VERDICT = Verdict(NOTHING_MASKED, tainted=False)


async def session_on(postgres: PostgresServer) -> Session:
    source = parse_url(postgres.url())
    assert isinstance(source, NetworkSource)
    return await connect(source)


async def moments(postgres: PostgresServer, between: str | None) -> list[str | None]:
    """The names of two transactions of one session, with *between* committed between them."""
    session = await session_on(postgres)
    try:
        names: list[str | None] = []
        for statement in (between, None):
            await session.open(5)
            names.append(session.now)
            await session.connection.execute("ROLLBACK")
            if statement:
                await postgres.admin(statement)
        return names
    finally:
        await session.connection.close(timeout=5)


class Request:
    """Stands for all that is kept in the context of a call."""


REQUEST: ContextVar[Request] = ContextVar("request")


CHANGES = {
    "a view that reads a denied relation": (
        "CREATE VIEW changing AS SELECT 1 AS one",
        "CREATE OR REPLACE VIEW changing AS SELECT 1 AS one FROM pg_authid",
        "DROP VIEW changing",
        "SELECT one FROM changing",
    ),
    "a function that has effects": (
        "CREATE FUNCTION changing() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION changing() RETURNS int LANGUAGE sql AS 'SELECT pg_advisory_lock(1)::text::int'",
        "DROP FUNCTION changing()",
        "SELECT changing()",
    ),
    "an operator that has effects": (
        "CREATE OPERATOR public.@#@ (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int)",
        "DO 'BEGIN DROP OPERATOR public.@#@ (int, int); "  # noqa: ISC004 - one statement
        "CREATE OPERATOR public.@#@ (FUNCTION = pg_try_advisory_lock, LEFTARG = int, RIGHTARG = int); END'",
        "DROP OPERATOR public.@#@ (int, int)",
        "SELECT 1 @#@ 2",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_a_name_means_is_asked_again(postgres: PostgresServer, connect: Connect, change: str) -> None:
    """A statement that was let pass is refused as soon as its names stand for something that may not be used."""
    made, changed, dropped, sql = CHANGES[change]
    await postgres.admin(made)
    try:
        async with connect() as client:
            answers = [await client.call_tool("run_query", {"sql": sql}) for _ in range(2)]
            await postgres.admin(changed)
            refused = await client.call_tool("run_query", {"sql": sql}, raise_on_error=False)
    finally:
        await postgres.admin(dropped)

    assert [answer.is_error for answer in (*answers, refused)] == [False, False, True]


async def test_a_column_becomes_secret(postgres: PostgresServer, connect: Connect) -> None:
    """A statement whose rows were shown has them masked as soon as the column's name says that they are secret."""
    await postgres.admin("CREATE TABLE changing AS SELECT 'hunter2' AS note")
    try:
        async with connect() as client:
            shown = await client.call_tool("run_query", {"sql": "SELECT * FROM changing"})
            await postgres.admin("ALTER TABLE changing RENAME note TO password")
            masked = await client.call_tool("run_query", {"sql": "SELECT * FROM changing"})
    finally:
        await postgres.admin("DROP TABLE changing")

    assert "hunter2" in json.dumps(shown.structured_content)
    assert "hunter2" not in json.dumps(masked.structured_content)


async def test_moments_differ_after_a_change(postgres: PostgresServer) -> None:
    """Any commit in between gives the next transaction another name."""
    before, after = await moments(postgres, "COMMENT ON DATABASE hotel IS 'changed'")

    assert before is not None
    assert before != after


async def test_moments_are_the_same_in_a_quiet_engine(postgres: PostgresServer) -> None:
    """Transactions that see the same have the same name."""
    before, after = await moments(postgres, None)

    assert before == after is not None


async def test_verdicts(postgres: PostgresServer) -> None:
    """A verdict is found for its own statement and moment alone, and not where the engine cannot name the moment."""
    session = await session_on(postgres)
    await session.connection.close(timeout=5)
    now, later, unnamed = (replace(session, now=moment) for moment in ("now", "later", None))
    verdicts, reading = Verdicts(), read("SELECT 1")

    verdicts.keep(reading, now, VERDICT)
    verdicts.keep(read("SELECT 2"), unnamed, VERDICT)

    assert verdicts.find(reading, now) is VERDICT
    assert verdicts.find(reading, later) is None
    assert verdicts.find(reading, unnamed) is None
    assert verdicts.find(read("SELECT 2"), unnamed) is None


def test_reading_is_not_repeated() -> None:
    """The same text is read once, unless it is long."""
    long = f"SELECT '{'x' * 5_000}'"

    assert read_again("SELECT 'once'") is read_again("SELECT 'once'")
    assert read_again(long) is not read_again(long)


async def test_catalog_is_read_once_for_each_moment(postgres: PostgresServer) -> None:
    """What was read from the catalog is given again in a transaction that sees the same, and read anew after a change."""
    session = await session_on(postgres)
    seen: list[int] = []
    try:
        for change in (None, "COMMENT ON DATABASE hotel IS 'changed again'", None):
            await session.open(5)
            seen.append(id(await session.recall("SELECT 1 WHERE 'a' = ANY ($1::text[])", ["a"])))
            await session.connection.execute("ROLLBACK")
            if change:
                await postgres.admin(change)
    finally:
        await session.connection.close(timeout=5)

    assert seen[0] == seen[1] != seen[2]


async def test_names_of_ours_mean_the_engines(postgres: PostgresServer) -> None:
    """A statement of ours finds the engine's own names at any time, and the caller's finds the account's again after it."""
    session = await session_on(postgres)
    path = "SELECT pg_catalog.current_setting('search_path')"
    seen: list[object] = []
    try:
        await session.open(5, around=True)
        seen += [row[0] for row in await session.connection.fetch(path)]
        seen += [row[0] for row in await session.fetch(path)]
        await session.look_around()
        seen += [row[0] for row in await session.connection.fetch(path)]
    finally:
        await session.connection.close(timeout=5)

    assert seen == ["boss, public, pg_temp", "pg_catalog", "boss, public, pg_temp"]


def test_old_moments_are_forgotten() -> None:
    """What was read from the catalog at one moment is gone as soon as something is kept of another."""
    recalled = Recalled()
    recalled.keep("now", ("query",), "an answer", 9)

    recalled.keep("later", ("another",), "another answer", 14)

    assert recalled.find("later", ("another",)) == "another answer"
    assert recalled.find("now", ("query",)) is None
    assert recalled.find("later", ("query",)) is None


async def test_idle_session_keeps_nothing_of_its_calls(postgres: PostgresServer) -> None:
    """What a call had in its context is not held by the session that waits for the next one."""
    source = parse_url(postgres.url())
    assert isinstance(source, NetworkSource)
    sessions = Sessions("hotel", source, DatabasesSettings.model_validate({}))

    async def call() -> "weakref.ref[Request]":
        REQUEST.set(request := Request())
        async with sessions.reading(5):
            return weakref.ref(request)

    try:
        requests = [await asyncio.create_task(call()) for _ in range(200)]
        gc.collect()
        kept = sum(request() is not None for request in requests)
    finally:
        await sessions.aclose()

    assert kept < 150  # timers that were cancelled are swept up by the hundred

"""What the tests of masking on every engine share: two databases that differ in their secrets alone must be answered alike."""

import json
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.models import QueryPage, TableDescription

from .engines import at_urls, client_of

ONE, TWO, OPEN = "vault_one", "vault_two", "open"


@asynccontextmanager
async def client_of_vaults(urls: Mapping[str, str]) -> AsyncGenerator[Client[FastMCPTransport]]:
    """A client of a server on both, and on one of them without masks."""
    async with client_of({**at_urls(urls), OPEN: {"url": urls[ONE], "mask": False}}, {}) as client:
        yield client


def filled(text: str, secrets: list[str]) -> str:
    """A script with its secrets in the places @1@, @2@ and so on."""
    return re.sub(r"@(\d)@", lambda place: secrets[int(place[1]) - 1], text)


def outcome(result: CallToolResult) -> str:
    """The answer, but for the name of the database that it may speak of."""
    answer = json.dumps([result.is_error, result.structured_content, [part.model_dump() for part in result.content]])
    return re.sub("vault_[a-z]*", "vault", answer)


async def run(client: Client[FastMCPTransport], sql: str, database: str) -> CallToolResult:
    sql = sql.replace(ONE, TWO) if database == TWO else sql
    return await client.call_tool("run_query", {"sql": sql, "database": database}, raise_on_error=False)


async def refused_alike(client: Client[FastMCPTransport], sql: str) -> None:
    one, two, bare = [await run(client, sql, name) for name in (ONE, TWO, OPEN)]

    assert one.is_error, one.content
    assert outcome(one) == outcome(two)
    assert not bare.is_error, bare.content


async def answered_without(client: Client[FastMCPTransport], sql: str, secrets: Iterable[str]) -> None:
    one, two, bare = [await run(client, sql, name) for name in (ONE, TWO, OPEN)]

    assert not one.is_error, one.content
    assert outcome(one) == outcome(two)
    assert not any(secret in outcome(one) for secret in secrets)
    shown = QueryPage.model_validate(one.structured_content)
    plain = QueryPage.model_validate(bare.structured_content)
    assert [column.name for column in shown.columns] == [column.name for column in plain.columns]
    for answered, row in zip(shown.rows, plain.rows, strict=True):
        assert all(
            cell in (value, "***") and (cell is None) == (value is None) for cell, value in zip(answered, row, strict=True)
        )


async def described_without(client: Client[FastMCPTransport], secrets: Iterable[str]) -> list[str]:
    """The masked columns of the table `users`, whose fifth column is one."""
    result = await client.call_tool("describe_table", {"table": "users", "database": ONE, "sample_rows": 2})

    table = TableDescription.model_validate(result.structured_content)
    assert not any(secret in outcome(result) for secret in secrets)
    assert table.sample is not None
    assert [row[4] for row in table.sample] == ["***", "***"]
    return [column.name for column in table.columns if column.masked]

"""Masked columns on real files: no statement's outcome may depend on a secret, and honest ones are answered."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport
from pydantic import BaseModel

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]

DATA = Path(__file__).with_name("data")
ONE = ["key-aaa1", "hash-bb1", "hash-cc1", "key-ddd1", "4111111111111111", "111", "5500005555555559", "vault-e1", "token-f1"]
TWO = ["key-aaa2", "hash-bb2", "hash-cc2", "key-ddd2", "4012888888881881", "222", "5555555555554444", "vault-e2", "token-f2"]


class Leak(BaseModel):
    sql: str
    why: str


LEAKS = [Leak.model_validate_json(line) for line in (DATA / "leaks.jsonl").read_text(encoding="utf-8").splitlines()]
BESIDE = [json.loads(line)["sql"] for line in (DATA / "beside_secrets.jsonl").read_text(encoding="utf-8").splitlines()]


def filled(text: str, secrets: list[str]) -> str:
    """*text* with the numbered places filled; @G@ is the start of the first file's second secret."""
    return re.sub(r"@(\d)@", lambda place: secrets[int(place[1]) - 1], text).replace("@G", "hash")


@pytest.fixture
def vaults(tmp_path: Path) -> dict[str, Path]:
    """Two files that differ in their secrets alone."""
    files: dict[str, Path] = {}
    for name, secrets in (("one", ONE), ("two", TWO)):
        files[name] = tmp_path / f"{name}.db"
        with closing(sqlite3.connect(files[name])) as connection:
            connection.executescript(filled((DATA / "vault.sql").read_text(encoding="utf-8"), secrets))
    return files


def outcome(result: CallToolResult) -> str:
    return json.dumps([result.is_error, result.structured_content, [part.model_dump() for part in result.content]])


@pytest.mark.parametrize("leak", LEAKS, ids=[leak.why for leak in LEAKS])
async def test_leak_is_refused(connect: Connect, vaults: dict[str, Path], leak: Leak) -> None:
    """A statement that uses a secret otherwise than to show it is refused, in both ways to run it, whatever the secret is."""
    sql = filled(leak.sql, ONE)
    async with connect(databases=vaults) as client:
        ran = [await client.call_tool("run_query", {"sql": sql, "database": each}, raise_on_error=False) for each in vaults]
        plans = [
            await client.call_tool("explain_query", {"sql": sql, "database": each, "analyze": True}, raise_on_error=False)
            for each in vaults
        ]

    assert all(result.is_error for result in (*ran, *plans)), ran[0].content
    assert outcome(ran[0]) == outcome(ran[1])
    assert outcome(plans[0]) == outcome(plans[1])
    with closing(sqlite3.connect(vaults["one"])) as plain:
        plain.execute(sql).fetchall()  # the engine would have answered it


@pytest.mark.parametrize("sql", BESIDE)
async def test_honest_query_beside_secrets_is_answered(connect: Connect, vaults: dict[str, Path], sql: str) -> None:
    """A query that shows secrets or leaves them alone is answered as the engine does, with nothing of a secret in it."""
    async with connect(databases=vaults) as client:
        first, second = [
            await client.call_tool("run_query", {"sql": sql, "database": each}, raise_on_error=False) for each in vaults
        ]
    with closing(sqlite3.connect(vaults["one"])) as plain:
        cursor = plain.execute(sql)
        rows = cursor.fetchall()

    assert not first.is_error, first.content
    assert outcome(first) == outcome(second)
    assert not any(secret in outcome(first) for secret in ONE)
    assert first.structured_content is not None
    shown = first.structured_content["rows"]
    assert len(shown) == len(rows)
    for answered, row in zip(shown, rows, strict=True):
        for cell, value in zip(answered, row, strict=True):
            assert cell in (value, "***")
            assert (cell is None) == (value is None)

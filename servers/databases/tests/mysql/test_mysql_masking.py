"""Masked columns on a real MariaDB: no statement's outcome may depend on a secret, and honest ones are answered."""

import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.models import QueryPage, TableDescription
from opsroom_databases.server import build
from opsroom_databases.settings import DatabasesSettings

from .mariadb_server import MariadbServer

DATA = Path(__file__).parents[1] / "data" / "mysql"
SECRETS = {"vault_one": ["key-aaa1", "hash-bb1", "key-ddd1"], "vault_two": ["key-aaa2", "hash-bb2", "key-ddd2"]}

LEAKS = [
    "SELECT UPPER(api_key) FROM users",
    "SELECT CONCAT(api_key, '') FROM users",
    "SELECT MD5(password_hash) FROM users",
    "SELECT id FROM users WHERE api_key LIKE 'key-a%'",
    "SELECT id FROM users WHERE api_key REGEXP '^key-a'",
    "SELECT id FROM users WHERE api_key <=> 'x'",
    "SELECT id FROM users WHERE (id, api_key) IN ((1, 'x'))",
    "SELECT id FROM users WHERE MATCH (password_hash) AGAINST ('hash' IN BOOLEAN MODE)",
    "SELECT api_key FROM users HAVING api_key > 'm'",
    "SELECT api_key AS k FROM users HAVING k > 'm'",
    "SELECT id, api_key FROM users ORDER BY 2",
    "SELECT id FROM users ORDER BY FIELD(api_key, 'x')",
    "SELECT api_key, COUNT(*) FROM users GROUP BY api_key WITH ROLLUP",
    "SELECT GROUP_CONCAT(api_key) FROM users",
    "SELECT GROUP_CONCAT(name ORDER BY api_key) FROM users",
    "SELECT JSON_ARRAYAGG(api_key) FROM users",
    "SELECT COUNT(DISTINCT api_key) FROM users",
    "SELECT DISTINCT api_key FROM users",
    "SELECT IF(api_key > 'm', 1, 0) FROM users",
    "SELECT BINARY api_key FROM users",
    "SELECT CONVERT(api_key USING utf8mb4) FROM users",
    "SELECT `api_key` + 0 FROM `users`",
    "SELECT u.id FROM users u JOIN orgs o USING (api_key)",
    "SELECT * FROM users NATURAL JOIN orgs",
    "SELECT api_key FROM users UNION SELECT 'x'",
    "SELECT 'x' IN (SELECT api_key FROM users)",
    "SELECT (SELECT api_key FROM users LIMIT 1)",
    "SELECT LOWER(x) FROM (SELECT api_key AS x FROM users) s",
    "WITH c (a, b) AS (SELECT id, api_key FROM users) SELECT a FROM c WHERE b > 'm'",
    "SELECT LOWER(loud) FROM users",
    "SELECT MAX(k) FROM key_list",
    "SELECT LOWER(q) FROM nested",
    "SELECT CONCAT(m, '') FROM longest",
    "SELECT LEFT(vault_one.users.api_key, 3) FROM vault_one.users",
    "SELECT RANK() OVER (ORDER BY api_key) FROM users",
    "EXPLAIN SELECT id FROM users WHERE api_key > 'm'",
    "ANALYZE SELECT id FROM users WHERE api_key > 'm'",
    "SELECT id FROM users FORCE INDEX (api_key)",
]
HONEST = [
    "SELECT * FROM users",
    "SELECT id, api_key, password_hash FROM users ORDER BY id",
    "SELECT u.*, o.total FROM users u JOIN orders o ON o.user_id = u.id ORDER BY o.id",
    "SELECT * FROM users JOIN orders USING (org_id) ORDER BY orders.id, users.id",
    "SELECT COUNT(*), COUNT(api_key) FROM users WHERE password_hash IS NULL",
    "SELECT x FROM (SELECT api_key AS x, id FROM users) s ORDER BY id",
    "WITH c (a, b) AS (SELECT id, api_key FROM users) SELECT b, a FROM c ORDER BY a",
    "SELECT shown FROM key_list WHERE shown LIKE 'A%'",
    "SELECT * FROM nested ORDER BY shown",
    "SELECT n, m FROM longest",
    "SELECT api_key FROM users UNION ALL SELECT name FROM users",
    "SELECT name FROM users WHERE token_count > 5 AND email LIKE '%@example.com' ORDER BY token_count",
    "SHOW COLUMNS FROM users",
    "EXPLAIN SELECT api_key FROM users WHERE id = 1",
]


@pytest.fixture(scope="module")
def vaults(mariadb: MariadbServer) -> dict[str, str]:
    """Two databases that differ in their secrets alone."""
    statements = (DATA / "vault.sql").read_text(encoding="utf-8").split(";\n")
    for name, secrets in SECRETS.items():
        filled = [re.sub(r"@(\d)@", lambda place, secrets=secrets: secrets[int(place[1]) - 1], each) for each in statements]
        mariadb.admin(f"CREATE DATABASE {name}", f"USE {name}", *(each for each in filled if each.strip()))
    return {name: mariadb.url(database=name) for name in SECRETS}


@pytest.fixture
async def client(vaults: dict[str, str]) -> AsyncGenerator[Client[FastMCPTransport]]:
    """A client of a server on both, and on one of them without masks."""
    databases: dict[str, dict[str, object]] = {name: {"url": url} for name, url in vaults.items()}
    databases["open"] = {"url": vaults["vault_one"], "mask": False}
    server: FastMCP = build(DatabasesSettings.model_validate({"databases": databases})).mcp
    async with Client(server) as connected:
        yield connected


def outcome(result: CallToolResult) -> str:
    """The answer, but for the name of the database that it may speak of."""
    answer = json.dumps([result.is_error, result.structured_content, [part.model_dump() for part in result.content]])
    return re.sub("vault_[a-z]*", "vault", answer)


async def run(client: Client[FastMCPTransport], sql: str, database: str) -> CallToolResult:
    sql = sql.replace("vault_one", "vault_two") if database == "vault_two" else sql
    return await client.call_tool("run_query", {"sql": sql, "database": database}, raise_on_error=False)


@pytest.mark.parametrize("sql", LEAKS)
async def test_leak_is_refused(client: Client[FastMCPTransport], sql: str) -> None:
    """A statement that uses a secret otherwise than to show it is refused alike; without masks it is answered."""
    one, two, bare = [await run(client, sql, name) for name in (*SECRETS, "open")]

    assert one.is_error, one.content
    assert outcome(one) == outcome(two)
    assert not bare.is_error, bare.content


@pytest.mark.parametrize("sql", HONEST)
async def test_honest_query_beside_secrets_is_answered(client: Client[FastMCPTransport], sql: str) -> None:
    """A query that shows secrets or leaves them alone is answered, with nothing of a secret in it."""
    one, two, bare = [await run(client, sql, name) for name in (*SECRETS, "open")]

    assert not one.is_error, one.content
    assert outcome(one) == outcome(two)
    assert not any(secret in outcome(one) for secret in SECRETS["vault_one"])
    shown = QueryPage.model_validate(one.structured_content)
    plain = QueryPage.model_validate(bare.structured_content)
    for answered, row in zip(shown.rows, plain.rows, strict=True):
        assert all(
            cell in (value, "***") and (cell is None) == (value is None) for cell, value in zip(answered, row, strict=True)
        )


async def test_sample_and_description_are_masked(client: Client[FastMCPTransport]) -> None:
    """A description says which columns are masked, and its sample rows have masks in them."""
    result = await client.call_tool("describe_table", {"table": "users", "database": "vault_one", "sample_rows": 2})

    table = TableDescription.model_validate(result.structured_content)
    assert [column.name for column in table.columns if column.masked] == ["password_hash", "api_key", "loud"]
    assert not any(secret in outcome(result) for secret in SECRETS["vault_one"])
    assert table.sample is not None
    assert [row[4] for row in table.sample] == ["***", "***"]

"""Masked columns on a real MariaDB: no statement's outcome may depend on a secret, and honest ones are answered."""

from collections.abc import AsyncGenerator

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport

from ..vaults import ONE, answered_without, client_of_vaults, described_without, filled, refused_alike
from .conftest import DATA
from .mariadb_server import MariadbServer

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
    text = (DATA / "vault.sql").read_text(encoding="utf-8")
    for name, secrets in SECRETS.items():
        statements = filled(text, secrets).split(";\n")
        mariadb.admin(f"CREATE DATABASE {name}", f"USE {name}", *(each for each in statements if each.strip()))
    return {name: mariadb.url(database=name) for name in SECRETS}


@pytest.fixture
async def client(vaults: dict[str, str]) -> AsyncGenerator[Client[FastMCPTransport]]:
    """A client of a server on both, and on one of them without masks."""
    async with client_of_vaults(vaults) as connected:
        yield connected


@pytest.mark.parametrize("sql", LEAKS)
async def test_leak_is_refused(client: Client[FastMCPTransport], sql: str) -> None:
    """A statement that uses a secret otherwise than to show it is refused alike; without masks it is answered."""
    await refused_alike(client, sql)


@pytest.mark.parametrize("sql", HONEST)
async def test_honest_query_beside_secrets_is_answered(client: Client[FastMCPTransport], sql: str) -> None:
    """A query that shows secrets or leaves them alone is answered, with nothing of a secret in it."""
    await answered_without(client, sql, SECRETS[ONE])


async def test_sample_and_description_are_masked(client: Client[FastMCPTransport]) -> None:
    """A description says which columns are masked, and its sample rows have masks in them."""
    masked = await described_without(client, SECRETS[ONE])

    assert masked == ["password_hash", "api_key", "loud"]

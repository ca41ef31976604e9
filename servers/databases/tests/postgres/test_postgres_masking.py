"""Masked columns on a real PostgreSQL: no statement's outcome may depend on a secret, and honest ones are answered."""

from collections.abc import AsyncGenerator

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.models import QueryPage

from ..vaults import ONE, answered_without, client_of_vaults, described_without, filled, refused_alike, run
from .conftest import DATA
from .postgres_server import PostgresServer

SECRETS = {
    "vault_one": ["key-aaa1", "hash-bb1", "key-ddd1", "vault-e1"],
    "vault_two": ["key-aaa2", "hash-bb2", "key-ddd2", "vault-e2"],
}

LEAKS = [
    "SELECT upper(api_key) FROM users",
    "SELECT u FROM users u",
    "SELECT users FROM users",
    "SELECT u.* FROM (SELECT u FROM users u) u",
    "SELECT to_jsonb(u) FROM users u",
    "SELECT row_to_json(users) FROM users",
    "SELECT u::text FROM users u",
    "SELECT (u).api_key || '' FROM users u",
    "SELECT (u).* FROM users u",
    "SELECT u.to_jsonb FROM users u",
    "SELECT row(u.*) FROM users u",
    "SELECT json_agg(u.*) FROM users u",
    "SELECT array_agg(u) FROM users u",
    "SELECT count(u) FILTER (WHERE u::text LIKE '%a1%') FROM users u",
    "SELECT to_jsonb(s) FROM (SELECT * FROM users) s",
    "WITH c AS (SELECT * FROM users) SELECT c::text FROM c",
    "SELECT e.value FROM users u, jsonb_each_text(to_jsonb(u)) e",
    "SELECT x FROM users u, LATERAL (SELECT u.api_key || '' AS x) l",
    "SELECT l.x || '' FROM users u CROSS JOIN LATERAL (SELECT u.api_key) l (x)",
    "SELECT l.d || '' FROM users AS l (a, b, c, d)",
    "SELECT x FROM users u, unnest(ARRAY[u.api_key]) x",
    'SELECT length("passwordHash") FROM public.users',
    "SELECT id FROM users WHERE \"passwordHash\" > 'm'",
    "SELECT id FROM users WHERE api_key ~ '^key-a'",
    "SELECT id FROM users WHERE (id, api_key) > (1, 'm')",
    "SELECT id FROM users WHERE api_key = ANY (ARRAY['x'])",
    "SELECT api_key = ANY (SELECT api_key FROM orgs) FROM users",
    "SELECT ARRAY(SELECT api_key FROM users)",
    "SELECT DISTINCT ON (api_key) id FROM users",
    "SELECT DISTINCT ON (2) id, api_key FROM users",
    "SELECT api_key, count(*) FROM users GROUP BY ROLLUP (1)",
    "SELECT id, api_key FROM users ORDER BY 2 USING <",
    "SELECT id, api_key FROM users ORDER BY api_key NULLS FIRST",
    "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY api_key) FROM users",
    "SELECT string_agg(name, ',' ORDER BY api_key) FROM users",
    "SELECT u.id FROM users u JOIN orgs o USING (api_key)",
    "SELECT api_key FROM users UNION SELECT 'x'",
    "SELECT api_key FROM users EXCEPT ALL SELECT 'x'",
    "SELECT extract(epoch FROM now()) WHERE EXISTS (SELECT FROM users WHERE api_key > 'm')",
    "SELECT substring(api_key FROM 1 FOR 3) FROM users",
    "SELECT CAST(api_key AS bytea) FROM users",
    "SELECT api_key COLLATE \"C\" > 'm' FROM users",
    "SELECT pin + 1 FROM users",
    "SELECT loud || '' FROM users",
    "SELECT encode(secret, 'hex') FROM hidden.users",
    "SELECT max(k) FROM keys",
    "SELECT shown FROM keys WHERE k > 'm'",
    "SELECT lower(q) FROM nested",
    "SELECT j ->> 'api_key' FROM whole",
    "SELECT m || '' FROM longest",
    "SELECT seen || '' FROM planner WHERE starelid = 'users'::regclass",
    "SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'users'",
    "EXPLAIN (ANALYZE) SELECT id FROM users WHERE api_key > 'm'",
    "EXPLAIN SELECT id FROM users WHERE api_key > 'm'",
    "VALUES ((SELECT api_key FROM users LIMIT 1))",
    "TABLE users ORDER BY api_key",
    "WITH users AS (SELECT id, api_key AS email FROM users) SELECT email || '' FROM users",
]
HONEST = [
    "SELECT * FROM users",
    "TABLE users",
    "SELECT id, api_key, pin FROM users ORDER BY id",
    "SELECT u.*, o.total FROM users u JOIN orders o ON o.user_id = u.id ORDER BY o.id",
    "SELECT * FROM users JOIN orders USING (org_id) ORDER BY orders.id",
    "SELECT * FROM orders NATURAL JOIN (SELECT id AS user_id, name, api_key FROM users) u ORDER BY id",
    "SELECT count(*), count(api_key) FROM users WHERE pin IS NULL",
    "SELECT to_jsonb(o) FROM orders o ORDER BY id",
    "SELECT to_jsonb(n) FROM (SELECT id, name FROM users) n ORDER BY id",
    "SELECT k FROM (SELECT api_key AS k, id FROM users) s ORDER BY id",
    "WITH users AS (SELECT id, email FROM users) SELECT email FROM users WHERE email <> '' ORDER BY 1",
    "SELECT shown FROM keys WHERE shown LIKE 'A%'",
    "SELECT * FROM keys ORDER BY user_id",
    "SELECT * FROM nested ORDER BY shown",
    "SELECT n, m FROM longest",
    "SELECT l.name FROM users u, LATERAL (SELECT u.name) l ORDER BY 1",
    "SELECT id, rank() OVER (ORDER BY token_count) FROM users ORDER BY 1",
    "SELECT note, secret FROM hidden.users",
    "SELECT name, token_count FROM users WHERE token_count > 5 AND email ~ '@' ORDER BY 2",
    "SELECT xmin IS NOT NULL, name FROM users ORDER BY 2",
    "EXPLAIN SELECT api_key FROM users WHERE id = 1",
    "SELECT attname FROM pg_stats WHERE tablename = 'orders' ORDER BY 1",
]


@pytest.fixture(scope="module")
def vaults(postgres: PostgresServer) -> dict[str, str]:
    """Two databases that differ in their secrets alone."""
    text = (DATA / "vault.sql").read_text(encoding="utf-8")
    for name, secrets in SECRETS.items():
        postgres.run_sql(f"CREATE DATABASE {name};\n\\connect {name}\n{filled(text, secrets)}")
    return {name: postgres.url(database=name) for name in SECRETS}


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


async def test_storage_of_long_values_is_masked(client: Client[FastMCPTransport]) -> None:
    """The relations in which the engine keeps long values show none of them, whichever table they belong to."""
    named = "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'public.users'::regclass"
    ((name,),) = QueryPage.model_validate((await run(client, named, ONE)).structured_content).rows[:1]
    shown = await run(client, f"SELECT chunk_id, chunk_data FROM {name}", ONE)  # noqa: S608 - the engine named it
    probed = await run(client, f"SELECT encode(chunk_data, 'escape') FROM {name}", ONE)  # noqa: S608 - the engine named it

    assert not shown.is_error
    assert QueryPage.model_validate(shown.structured_content).masked
    assert probed.is_error


async def test_sample_and_description_are_masked(client: Client[FastMCPTransport]) -> None:
    """A description says which columns are masked, and its sample rows have masks in them."""
    masked = await described_without(client, SECRETS[ONE])

    assert masked == ["passwordHash", "api_key", "pin", "loud"]

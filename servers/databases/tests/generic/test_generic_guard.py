"""The tests' own attacks, leaks and honest queries on a real DuckDB file."""

import hashlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import duckdb
import pytest
import pytest_asyncio
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport
from opsroom_databases.dialects.generic import engine_of

from ..corpus import Attack, Honest, attacks, honest_queries, is_small
from ..engines import at_urls, client_of
from .conftest import make_harbour

# A process takes over a second to start, so that all tests here share one server.
pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRETS = ("hunter", "HUNTER")


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one harbour of the tests here; none of them may change it."""
    return make_harbour(tmp_path_factory.mktemp("guard") / "harbour")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(harbour: Path) -> AsyncGenerator[Client[FastMCPTransport]]:
    """A client of a server on the harbour, with little time and memory for a query."""
    async with client_of(at_urls({"harbour": f"duckdb:///{harbour}"}), {"query_seconds": 3, "memory_mib": 256}) as connected:
        yield connected


def observed(file: Path) -> dict[str, str]:
    """Everything that a look from outside can see: the files beside the database, their bytes, and that a writer may open it."""
    seen = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(file.parent.iterdir())}
    with duckdb.connect(str(file)) as writer:
        writer.execute("BEGIN")
        writer.execute("ROLLBACK")
    return seen


@pytest.mark.parametrize("attack", attacks("generic"), ids=lambda attack: attack.why)
async def test_attack_leaves_no_trace(client: Client[FastMCPTransport], harbour: Path, attack: Attack) -> None:
    """An attack changes nothing and makes no file; what must be refused is refused, what costs is bounded."""
    before = observed(harbour)
    sql = attack.sql.replace("@FOLDER@", str(harbour.parent))
    result = await client.call_tool("run_query", {"sql": sql}, raise_on_error=False, timeout=30)
    alive = await client.call_tool("run_query", {"sql": "SELECT 1"})

    assert observed(harbour) == before
    assert result.is_error or attack.must == "bounded"
    assert is_small(result)
    assert "hunter" not in str(result.content)
    assert not alive.is_error


@pytest.mark.parametrize(
    "attack",
    [attack for attack in attacks("generic") if attack.must == "reject" and "waits" not in attack.why],
    ids=lambda attack: attack.why,
)
async def test_engine_holds_without_the_parser(harbour: Path, attack: Attack) -> None:
    """An attack that reached the engine unread would still change nothing: neither guard leans on the other."""
    before = observed(harbour)
    engine = engine_of("duckdb")
    config = cast("dict[str, str | bool | int | float | list[str]]", engine.connect["config"])
    with duckdb.connect(str(harbour), read_only=True, config=config) as connection:
        for statement in engine.session:
            connection.execute(statement)
        try:
            seen = str(connection.execute(attack.sql.replace("@FOLDER@", str(harbour.parent))).fetchall())
        except duckdb.Error as error:
            seen = str(error)

    assert observed(harbour) == before
    assert "loot\nhunter2" not in seen
    assert "root:" not in seen


@pytest.mark.parametrize("honest", honest_queries("generic"), ids=lambda honest: honest.sql[:60])
async def test_honest_query_is_answered(client: Client[FastMCPTransport], harbour: Path, honest: Honest) -> None:
    """A read that the engine itself runs is answered, with the engine's own columns."""
    with duckdb.connect(str(harbour), read_only=True) as plain:
        described = plain.execute(f"DESCRIBE {honest.sql}").fetchall()
    result = await client.call_tool("run_query", {"sql": honest.sql}, raise_on_error=False)

    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert [column["name"] for column in result.structured_content["columns"]] == [row[0] for row in described]
    assert not any(secret in json.dumps(result.structured_content) for secret in SECRETS)


@pytest.mark.parametrize("leak", honest_queries("generic", "leaks.jsonl"), ids=lambda leak: leak.sql[:60])
async def test_secret_does_not_leak(client: Client[FastMCPTransport], leak: Honest) -> None:
    """A statement that would show something of a masked value is refused, or shows the mask."""
    result = await client.call_tool("run_query", {"sql": leak.sql}, raise_on_error=False)

    assert not any(secret in str(result.content) for secret in SECRETS)
    assert result.is_error or "***" in str(result.content)

"""The tests' own attacks and honest queries on a real MariaDB, under an account that may do everything."""

import pytest
from opsroom_databases.providers.mysql_session import Session, Sessions
from opsroom_databases.settings import DatabasesSettings
from opsroom_databases.sources import NetworkSource, parse_url
from pymysql import Error

from ..answers import Connect
from ..corpus import Attack, Honest, attacks, honest_queries, is_small
from .mariadb_server import MariadbServer


@pytest.mark.parametrize("attack", attacks("mysql"), ids=lambda attack: attack.why)
async def test_attack_leaves_no_trace(connect: Connect, mariadb: MariadbServer, attack: Attack) -> None:
    """An attack changes nothing and leaves nothing running; what must be refused is refused, what costs is bounded."""
    before = mariadb.observed()
    async with connect(query_seconds=1, memory_mib=256) as client:
        sql = attack.sql.replace("@CANARY@", str(mariadb.canary))
        result = await client.call_tool("run_query", {"sql": sql}, raise_on_error=False, timeout=30)
        running = await mariadb.still_running()
        alive = await client.call_tool("run_query", {"sql": "SELECT 1"})

    assert mariadb.observed() == before
    assert running == []
    assert result.is_error or attack.must != "reject"
    assert is_small(result)
    assert not alive.is_error


@pytest.mark.parametrize("honest", honest_queries("mysql"), ids=lambda honest: honest.sql[:60])
async def test_honest_query_is_answered(connect: Connect, honest: Honest) -> None:
    """A read that the engine itself runs is answered."""
    async with connect() as client:
        result = await client.call_tool("run_query", {"sql": honest.sql}, raise_on_error=False)

    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert result.structured_content["columns"]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM vault",
        "INSERT INTO log_myisam (body) VALUES ('x')",
        "DROP TABLE vault",
        "TRUNCATE vault",
        "OPTIMIZE TABLE vault",
        "SELECT sneaky('x')",
        "SELECT sneaky_myisam('x')",
        "SELECT NEXT VALUE FOR invoice_numbers",
        "CREATE TABLE pwn (a INT)",
        "SELECT @pwn := 1",
        "SELECT GET_LOCK('pwn', 0)",
        "CREATE TEMPORARY TABLE pwn (a INT)",
        "CALL touch('x')",
    ],
)
async def test_session_holds_without_the_parser(mariadb: MariadbServer, sql: str) -> None:
    """A statement that reached the session unread would change nothing that outlives it: neither guard leans on the other."""
    source = parse_url(mariadb.url())
    assert isinstance(source, NetworkSource)
    sessions = Sessions("garage", source, DatabasesSettings.model_validate({}))
    before = mariadb.observed()

    def work(session: Session) -> str:
        try:
            session.wire.execute(sql)
        except Error as error:
            return str(error)
        return ""

    try:
        said = await sessions.run(work, 5)
    finally:
        await sessions.aclose()

    assert mariadb.observed() == before
    assert said or sql.startswith(("SELECT @", "SELECT GET", "CREATE TEMPORARY"))

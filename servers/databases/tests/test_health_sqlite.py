"""database_health and top_queries on real SQLite files, over MCP, in both eras of the protocol."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport
from mcp.types import TextContent
from opsroom_databases.health.thresholds import Level, Thresholds
from opsroom_databases.models import DatabaseHealth, Finding
from opsroom_databases.providers.sqlite import SqliteDatabase
from opsroom_databases.settings import DatabasesSettings
from opsroom_databases.sources import FileSource

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]

PLANTED = """
    PRAGMA foreign_keys = OFF;
    CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT UNIQUE);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers, day TEXT, note TEXT);
    CREATE INDEX orders_day_idx ON orders (day);
    CREATE INDEX orders_day_note_idx ON orders (day, note);
    CREATE INDEX orders_day_again_idx ON orders (day, note);
    CREATE INDEX customers_email_idx ON customers (email);
    CREATE INDEX "orders ""by"" id" ON orders (id);
    CREATE INDEX orders_expression_idx ON orders (lower(note));
    CREATE INDEX orders_expression_2_idx ON orders (upper(note));
    CREATE INDEX orders_partial_idx ON orders (day, note) WHERE day IS NOT NULL;
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
    INSERT INTO orders SELECT i, i % 100, 'day ' || i % 30, 'note ' || i FROM n;
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99) INSERT INTO customers SELECT i, 'c' || i FROM n;
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A file with something wrong of every kind that needs no damage."""
    file = tmp_path / "planted.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(PLANTED)
    return file


def health_of(result: CallToolResult) -> DatabaseHealth:
    assert not result.is_error, text_of(result)
    return DatabaseHealth.model_validate(result.structured_content)


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def about(findings: list[Finding], subject: str) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


async def test_planted_problems_are_found(connect: Connect, planted: Path, era: str) -> None:
    """Everything that is wrong is found once, with its figures and the statement that mends it, and nothing else is."""
    async with connect(era, databases={"planted": planted}) as client:
        result = await client.call_tool("database_health")

    findings = health_of(result).findings
    assert {(finding.severity, finding.check, finding.subject) for finding in findings} == {
        ("warning", "foreign keys", "orders"),
        ("warning", "tables", "orders"),
        ("warning", "indexes", "orders (customer_id)"),
        ("warning", "indexes", "orders_day_note_idx"),
        ("warning", "indexes", "customers_email_idx"),
        ("warning", "indexes", 'orders "by" id'),
        ("notice", "indexes", "orders_day_idx"),
    }
    assert "120 rows point to rows of customers" in about(findings[:1], "orders").evidence
    assert about(findings, "orders (customer_id)").statement == (
        'CREATE INDEX "orders_customer_id_idx" ON "orders" ("customer_id")'
    )
    assert about(findings, 'orders "by" id').statement == 'DROP INDEX "orders ""by"" id"'
    assert "sqlite_autoindex_customers_1 (email)" in about(findings, "customers_email_idx").evidence
    assert text_of(result).startswith("planted: 6 warning, 1 notice.")


async def test_statements_mend_what_was_found(connect: Connect, planted: Path) -> None:
    """After the statements of the findings were run, only what they cannot mend is found."""
    async with connect(databases={"planted": planted}) as client:
        before = health_of(await client.call_tool("database_health"))
        with closing(sqlite3.connect(planted)) as owner, owner:
            for finding in before.findings:
                owner.execute(finding.statement or "SELECT 1")
        after = health_of(await client.call_tool("database_health"))

    assert [(finding.check, finding.statement) for finding in after.findings] == [("foreign keys", None)]


async def test_quiet_file_has_no_findings(connect: Connect, era: str) -> None:
    """On a sound file nothing is found, and the answer says what was looked at and what cannot be."""
    async with connect(era) as client:
        result = await client.call_tool("database_health", {"database": "clinic"})

    health = health_of(result)
    assert health.findings == []
    assert [each.check for each in health.checked] == ["file", "integrity", "foreign keys", "tables", "sequences", "indexes"]
    assert "SQLite keeps no statistics about use" in text_of(result)


async def test_focus_is_kept(connect: Connect, planted: Path) -> None:
    """With a focus only its checks are made."""
    async with connect(databases={"planted": planted}) as client:
        health = health_of(await client.call_tool("database_health", {"focus": "indexes"}))

    assert [each.check for each in health.checked] == ["indexes"]
    assert {finding.check for finding in health.findings} == {"indexes"}


async def test_damage_is_found(connect: Connect, planted: Path) -> None:
    """A page that was overwritten is found, while the checks that it does not concern are made."""
    with closing(sqlite3.connect(planted)) as owner:
        (page,) = owner.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'orders_day_idx'").fetchone()
    with planted.open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\x00" * 4_096)
    async with connect(databases={"planted": planted}) as client:
        health = health_of(await client.call_tool("database_health"))

    damage = [finding for finding in health.findings if finding.check == "integrity"]
    assert [finding.severity for finding in damage] == ["critical"]
    assert health.findings[0] == damage[0]


async def test_free_pages_and_log_are_found(planted: Path) -> None:
    """Free pages, and a write-ahead log that a reader keeps, are found from their thresholds on."""
    with closing(sqlite3.connect(planted, isolation_level=None)) as owner, closing(sqlite3.connect(planted)) as reader:
        owner.execute("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM orders").fetchone()
        owner.execute("DELETE FROM orders WHERE id > 100")
        database = SqliteDatabase("planted", FileSource(planted), DatabasesSettings.model_validate({}))
        limits = Thresholds(free_bytes=4_096, log_bytes=Level(1, 10**9))
        try:
            health = await database.health("storage", limits)
        finally:
            await database.aclose()

    found = {finding.subject: finding.statement for finding in health.findings if finding.check == "file"}
    assert found == {"free pages": "VACUUM", "write-ahead log": "PRAGMA wal_checkpoint(TRUNCATE)"}


async def test_old_statistics_are_found(connect: Connect, planted: Path) -> None:
    """Statistics of a table that has grown since are found, with the statement that makes them."""
    with closing(sqlite3.connect(planted)) as owner, owner:
        owner.execute("ANALYZE")
        owner.execute("INSERT INTO orders SELECT id + 100000, customer_id, day, note FROM orders")
    async with connect(databases={"planted": planted}) as client:
        findings = health_of(await client.call_tool("database_health", {"focus": "storage"})).findings

    (found,) = [finding for finding in findings if finding.check == "tables"]
    assert found.evidence == "12,000 of about 24,000 rows changed since its statistics were made"
    assert found.statement == 'ANALYZE "orders"'


async def test_locked_file_is_no_clean_bill_of_health(connect: Connect, planted: Path) -> None:
    """While a writer holds the whole file, the answer is an error that may be tried again."""
    async with connect(databases={"planted": planted}) as client:
        with closing(sqlite3.connect(planted, isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            result = await client.call_tool("database_health", raise_on_error=False)

    assert result.structured_content == {"code": "unavailable", "retryable": True}


async def test_file_is_left_alone(connect: Connect, planted: Path) -> None:
    """Looking changes no byte of the file and leaves nothing beside it."""
    before = {path.name: path.read_bytes() for path in planted.parent.iterdir()}
    async with connect(databases={"planted": planted}) as client:
        await client.call_tool("database_health")

    assert {path.name: path.read_bytes() for path in planted.parent.iterdir()} == before


async def test_queries_are_not_counted(connect: Connect, era: str) -> None:
    """The engine counts no queries: an error says so, and what helps instead."""
    async with connect(era) as client:
        result = await client.call_tool("top_queries", raise_on_error=False)

    assert result.structured_content == {"code": "not_found", "retryable": False}
    assert "SQLite counts no queries" in text_of(result)
    assert "explain_query" in text_of(result)

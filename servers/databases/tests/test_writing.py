"""Changes to a real file: tried, approved by a person in both eras of the protocol, applied to the letter or not at all."""

import json
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.client import CallToolResult
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import FastMCPTransport
from mcp.types import TextContent
from opsroom_databases.models import DatabaseList, WriteResult
from opsroom_databases.server import build
from opsroom_databases.settings import DatabasesSettings
from opsroom_shared.config import ConfigError

SCHEMA = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name <> ''), email TEXT UNIQUE, api_key TEXT);
CREATE TABLE notes (id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE, body TEXT);
CREATE TABLE prices (code TEXT PRIMARY KEY, cents INTEGER) WITHOUT ROWID;
CREATE TABLE log (person_id INTEGER, was TEXT);
CREATE TRIGGER renamed AFTER UPDATE OF name ON people BEGIN INSERT INTO log VALUES (old.id, old.name); END;
INSERT INTO people VALUES (1, 'Ada', 'ada@example.com', 'key-1'), (2, 'Ben', NULL, NULL), (3, 'Cat', NULL, 'key-3');
INSERT INTO notes VALUES (1, 1, 'one'), (2, 1, 'two'), (3, 3, 'three');
INSERT INTO prices VALUES ('a', 100), ('b', 250);
"""
RENAME = "UPDATE people SET name = upper(name) WHERE id <= 2"

Answer = dict[str, bool]
Writer = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]


@pytest.fixture
def office(tmp_path: Path) -> Path:
    file = tmp_path / "office.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA)
    return file


class Person:
    """Who is asked: says what they were told to say, after doing something else where that was arranged."""

    def __init__(self, says: Answer | str, first: Callable[[], None] = lambda: None) -> None:
        self.says, self.first = says, first
        self.asked: list[str] = []
        self.forms: list[list[str]] = []

    async def __call__(self, message: str, _type: type[object], params: object, _context: object) -> object:
        self.asked.append(message)
        self.forms.append(sorted(getattr(params, "requested_schema", {}).get("properties", {})))
        self.first()
        return self.says if isinstance(self.says, dict) else ElicitResult(action=self.says)  # pyright: ignore[reportArgumentType]


YES: Answer = {"apply": True}


@pytest.fixture
def writer(office: Path, tmp_path: Path) -> Writer:
    """Connects a client, with *person* behind it, to a server that may write the office; keyword arguments are its settings."""

    @asynccontextmanager
    async def connected(
        mode: str = "auto", person: Person | None = None, *, allow_writes: bool = True, **database: object
    ) -> AsyncGenerator[Client[FastMCPTransport]]:
        section = {"url": str(office), "writable": True, **database}
        settings = DatabasesSettings.model_validate(
            {"databases": {"office": section}, "allow_writes": allow_writes, "state": str(tmp_path / "state")}
        )
        server: FastMCP = build(settings).mcp
        async with Client(server, mode=mode, elicitation_handler=person) as client:  # pyright: ignore[reportArgumentType, reportCallIssue]
            yield client

    return connected


def rows(file: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def contents(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def result_of(result: CallToolResult) -> WriteResult:
    assert not result.is_error, result.content
    return WriteResult.model_validate_json(json.dumps(result.structured_content), strict=True)


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def code_of(result: CallToolResult) -> str:
    assert result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content["code"]


async def write(client: Client[FastMCPTransport], sql: str, **arguments: object) -> CallToolResult:
    return await client.call_tool("run_write", {"sql": sql, **arguments}, raise_on_error=False)


async def test_approved_change_is_applied(writer: Writer, office: Path, era: str) -> None:
    """A person who says yes was shown the statement, its counts and some rows; then exactly that is applied."""
    person = Person(YES)
    async with writer(era, person) as client:
        result = result_of(await write(client, RENAME))

    (asked,) = person.asked
    assert (result.applied, result.rows_affected, result.also_changed) == (True, 2, 2)
    assert RENAME in asked
    assert "updates 2 rows, and 2 more" in asked
    assert "1,Ada,ada@example.com,***" in asked
    assert "1,ADA,ada@example.com,***" in asked
    assert result.digest in asked
    assert person.forms == [["apply"]]
    assert rows(office, "SELECT name FROM people ORDER BY id") == [("ADA",), ("BEN",), ("Cat",)]
    assert rows(office, "SELECT * FROM log ORDER BY 1") == [(1, "Ada"), (2, "Ben")]


@pytest.mark.parametrize("says", ["decline", "cancel", {"apply": False}])
async def test_change_that_is_not_approved_does_not_happen(writer: Writer, office: Path, era: str, says: Answer | str) -> None:
    """No, no answer, and an unticked box all leave the file as it was."""
    before = contents(office)
    async with writer(era, Person(says)) as client:
        result = await write(client, RENAME)

    assert code_of(result) == "not_permitted"
    assert "Nothing was done" in text_of(result)
    assert contents(office) == before


async def test_client_that_cannot_ask_is_refused(writer: Writer, office: Path, era: str) -> None:
    """Without elicitation nothing is applied, the answer says how a person approves, and a dry run still works."""
    before = contents(office)
    async with writer(era) as client:
        refused = await write(client, RENAME)
        tried = result_of(await write(client, RENAME, dry_run=True))

    assert code_of(refused) == "not_permitted"
    assert "elicitation" in text_of(refused)
    assert (tried.applied, tried.rows_affected) == (False, 2)
    assert contents(office) == before


async def test_dry_run_shows_rows_before_and_after(writer: Writer, office: Path) -> None:
    """A dry run asks nobody, changes nothing, and pairs rows with what would become of them, masked."""
    before, person = contents(office), Person(YES)
    async with writer(person=person) as client:
        update = result_of(await write(client, RENAME, dry_run=True)).preview
        delete = result_of(await write(client, "DELETE FROM people WHERE id = 1", dry_run=True))
        insert = result_of(await write(client, "INSERT INTO prices VALUES ('c', 7)", dry_run=True)).preview
        keyed = result_of(await write(client, "UPDATE prices SET cents = 0 WHERE code = 'b'", dry_run=True)).preview

    assert update.before == [[1, "Ada", "ada@example.com", "***"], [2, "Ben", None, None]]
    assert update.after == [[1, "ADA", "ada@example.com", "***"], [2, "BEN", None, None]]
    assert update.masked == ["api_key (people.api_key)"]
    assert (delete.rows_affected, delete.also_changed) == (1, 2)
    assert delete.preview.before == [[1, "Ada", "ada@example.com", "***"]]
    assert (insert.before, insert.after) == ([], [["c", 7]])
    assert (keyed.before, keyed.after) == ([["b", 250]], [["b", 0]])
    assert (contents(office), person.asked) == (before, [])


async def test_count_that_has_changed_is_a_conflict(writer: Writer, office: Path, era: str) -> None:
    """Rows that came in while the person thought are not swept along: nothing is applied."""

    def meanwhile() -> None:
        with closing(sqlite3.connect(office)) as other, other:
            other.execute("INSERT INTO people VALUES (0, 'New', NULL, NULL)")

    async with writer(era, Person(YES, meanwhile)) as client:
        result = await write(client, RENAME)

    assert code_of(result) == "conflict"
    assert "3 rows and 3 more" in text_of(result)
    assert rows(office, "SELECT count(*) FROM people WHERE name = upper(name)") == [(0,)]


async def test_cascade_that_has_grown_is_a_conflict(writer: Writer, office: Path) -> None:
    """What foreign keys change is part of what was approved."""

    def meanwhile() -> None:
        with closing(sqlite3.connect(office)) as other, other:
            other.execute("INSERT INTO notes VALUES (9, 1, 'nine')")

    async with writer(person=Person(YES, meanwhile)) as client:
        result = await write(client, "DELETE FROM people WHERE id = 1")

    assert code_of(result) == "conflict"
    assert rows(office, "SELECT count(*) FROM people") == [(3,)]


@pytest.mark.parametrize("sql", ["DELETE FROM notes", "UPDATE notes SET body = ''", "DELETE FROM notes WHERE 1 = 1"])
async def test_every_row_needs_a_confirmation_of_its_own(writer: Writer, office: Path, era: str, sql: str) -> None:
    """Without a condition on a column, yes to the change alone is not enough."""
    hasty, sure = Person({"apply": True, "every_row": False}), Person({"apply": True, "every_row": True})
    before = contents(office)
    async with writer(era, hasty) as client:
        refused = await write(client, sql)
    unchanged = contents(office)
    async with writer(era, sure) as client:
        applied = result_of(await write(client, sql))

    assert code_of(refused) == "not_permitted"
    assert unchanged == before
    assert "EVERY row" in hasty.asked[0]
    assert hasty.forms == [["apply", "every_row"]]
    assert (applied.applied, applied.rows_affected) == (True, 3)


REFUSED = [
    ("SELECT 1", "run_query is for reading"),
    ("UPDATE people SET name = 'x'; DELETE FROM people", "One statement"),
    ("PRAGMA writable_schema = 1", "PRAGMA"),
    ("ATTACH 'x.db' AS x", "cannot be run here"),
    ("VACUUM INTO 'x.db'", "cannot be run here"),
    ("BEGIN", "cannot be run here"),
    ("REPLACE INTO prices VALUES ('a', 1)", "cannot be run here"),
    ("DELETE FROM sqlite_sequence", "no such table|not allowed"),
    ("UPDATE sqlite_master SET sql = ''", "not allowed|may not be modified"),
    ("INSERT INTO log VALUES (1, load_extension('x'))", "load_extension"),
    ("UPDATE people SET name = ? WHERE id = 1", "parameter"),
    ("CREATE TABLE x (a)", "allow_ddl"),
    ("DROP TABLE notes", "allow_ddl"),
    ("ALTER TABLE notes RENAME TO x", "allow_ddl"),
    ("CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM people; END", "One statement"),
    ("UPDATE notes SET body = api_key FROM people WHERE people.id = person_id", "api_key looks like a secret"),
    ("UPDATE people SET name = 'x' WHERE api_key LIKE 'key-1%'", "api_key looks like a secret"),
    ("DELETE FROM people WHERE id = 1 RETURNING api_key || ''", "api_key looks like a secret"),
    ("UPDATE people SET name = api_key WHERE id = 1", "api_key looks like a secret"),
    ("INSERT INTO notes SELECT 9, 1, api_key FROM people", "to be copied"),
    ("INSERT INTO notes SELECT 9, 1, max(api_key) FROM people", "api_key looks like a secret"),
    ("DELETE FROM notes WHERE person_id IN (SELECT id FROM people ORDER BY api_key LIMIT 1)", "api_key looks like a secret"),
    ("UPDATE people SET name = 'x' WHERE id = 1 AND (SELECT api_key FROM people WHERE id = 3) = 'key-3'", "api_key looks like"),
    ("WITH k AS (SELECT api_key AS x FROM people) UPDATE notes SET body = (SELECT x FROM k) WHERE id = 1", "api_key looks like"),
    ("INSERT INTO people VALUES (1, 'a', 'b', 'c') ON CONFLICT (id) DO UPDATE SET name = people.api_key", "api_key looks like"),
]


@pytest.mark.parametrize(("sql", "words"), REFUSED, ids=[sql for sql, _ in REFUSED])
async def test_what_may_not_run_is_refused_unasked(writer: Writer, office: Path, sql: str, words: str) -> None:
    """Other statements, definitions, side effects, and every way to read a secret are refused before anybody is asked."""
    before, person = contents(office), Person({"apply": True, "every_row": True})
    async with writer(person=person) as client:
        result = await write(client, sql)

    assert code_of(result) in ("not_permitted", "invalid_input")
    assert any(word in text_of(result) for word in words.split("|")), text_of(result)
    assert person.asked == []
    assert contents(office) == before
    assert sorted(path.name for path in office.parent.iterdir()) == ["office.db"]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO people (id, name, api_key) VALUES (4, 'Dan', 'key-4')",
        "UPDATE people SET api_key = 'new' WHERE id = 1",
        "UPDATE people SET api_key = NULL WHERE api_key IS NOT NULL",
        "DELETE FROM people WHERE id = 2 RETURNING id, api_key",
        "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name || '!'",
        "INSERT INTO notes SELECT id + 10, id, name FROM people",
        "WITH n AS (SELECT 2 AS i) UPDATE notes SET body = 'x' FROM n WHERE notes.id = n.i",
        "INSERT OR IGNORE INTO prices (code, cents) VALUES ('a', 1), ('z', 2)",
        "UPDATE prices SET (code, cents) = ('q', 1) WHERE code = 'a'; -- done",
    ],
)
async def test_honest_changes_are_applied(writer: Writer, office: Path, sql: str) -> None:
    """Secrets may be written, upserts and statements that read other tables are understood, nothing secret comes back."""
    before = contents(office)
    async with writer(person=Person({"apply": True, "every_row": True})) as client:
        result = await write(client, sql)

    assert result_of(result).applied
    assert contents(office) != before
    assert "key-" not in str(result.structured_content) + text_of(result)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("INSERT INTO notes VALUES (9, 99, 'x')", "FOREIGN KEY"),
        ("UPDATE people SET name = '' WHERE id = 2", "CHECK"),
        ("UPDATE people SET email = 'ada@example.com' WHERE id > 1", "UNIQUE"),
    ],
)
async def test_what_the_engine_rejects_changes_nothing(writer: Writer, office: Path, sql: str, words: str) -> None:
    """A broken constraint is a conflict with the engine's words, found while trying, so nobody is asked."""
    before, person = contents(office), Person(YES)
    async with writer(person=person) as client:
        result = await write(client, sql)

    assert code_of(result) == "conflict"
    assert words in text_of(result)
    assert (contents(office), person.asked) == (before, [])


async def test_definitions_where_they_are_allowed(writer: Writer, office: Path) -> None:
    """With allow_ddl tables, indexes and views can be made and dropped, but not so that a mask would be lost."""
    async with writer(person=Person(YES), allow_ddl=True) as client:
        made = [
            result_of(await write(client, sql)).applied
            for sql in (
                "CREATE TABLE tags (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL DEFAULT 'x', UNIQUE (name))",
                "ALTER TABLE notes ADD COLUMN seen INTEGER",
                "CREATE INDEX notes_person_idx ON notes (person_id)",
                "DROP TABLE log",
            )
        ]
        renamed = await write(client, "ALTER TABLE people RENAME COLUMN api_key TO nickname")
        view = await write(client, "CREATE VIEW v AS SELECT upper(api_key) AS x FROM people")

    assert made == [True] * 4
    assert {name for (name,) in rows(office, "SELECT name FROM sqlite_schema")} >= {"tags", "notes_person_idx"}
    assert (code_of(renamed), code_of(view)) == ("not_permitted", "not_permitted")


async def test_only_marked_databases_are_writable(writer: Writer, office: Path) -> None:
    """A database without `writable`, and a server without --allow-writes, change nothing and say what a person does."""
    before = contents(office)
    async with writer(person=Person(YES), writable=False) as client:
        unmarked = await write(client, RENAME)
        listed = DatabaseList.model_validate((await client.call_tool("list_databases")).structured_content)
    async with writer(person=Person(YES), allow_writes=False) as client:
        closed = await write(client, RENAME)
        names = [tool.name for tool in await client.list_tools()]
    async with writer() as client:
        writable = DatabaseList.model_validate((await client.call_tool("list_databases")).structured_content)

    assert "writable = true" in text_of(unmarked)
    assert "--allow-writes" in text_of(closed)
    assert "run_write" not in names
    assert (listed.databases[0].read_only, writable.databases[0].read_only) == (True, False)
    assert contents(office) == before


def test_engine_that_cannot_be_changed_is_not_called_writable() -> None:
    """A setting that would promise more than the server does is refused at its start, without the URL."""
    section = {"url": "duckdb:////hunter2.duckdb", "writable": True}
    with pytest.raises(ConfigError, match=r"databases\.x\.writable: databases of the dialect duckdb") as caught:
        build(DatabasesSettings.model_validate({"databases": {"x": section}}))

    assert "hunter2" not in str(caught.value)


async def test_change_of_nothing_asks_nobody(writer: Writer) -> None:
    """A statement that fits no row is answered at once."""
    person = Person(YES)
    async with writer(person=person) as client:
        result = result_of(await write(client, "DELETE FROM people WHERE id = 99"))

    assert (result.applied, result.rows_affected, person.asked) == (False, 0, [])


async def test_same_key_is_applied_once(writer: Writer, office: Path, era: str) -> None:
    """A repeated call with its key is answered with what came of the first, over a restart too, and never applied again."""
    sql, person = "UPDATE prices SET cents = cents + 1 WHERE code = 'a'", Person(YES)
    async with writer(era, person) as client:
        first = result_of(await write(client, sql, idempotency_key="k"))
    async with writer(era, person) as client:
        again = result_of(await write(client, sql, idempotency_key="k"))
        other = await write(client, "DELETE FROM prices WHERE code = 'b'", idempotency_key="k")

    assert (first.applied, again.applied, again.digest) == (True, True, first.digest)
    assert "earlier call" in str(again.hint)
    assert code_of(other) == "conflict"
    assert len(person.asked) == 1
    assert rows(office, "SELECT cents FROM prices ORDER BY 1") == [(101,), (250,)]


async def test_key_of_a_failed_change_can_be_used_again(writer: Writer, office: Path) -> None:
    """Of a conflict nothing was applied, so its key is free again."""
    sql = "UPDATE prices SET cents = cents + 1 WHERE cents > 90"

    def meanwhile() -> None:
        with closing(sqlite3.connect(office)) as other, other:
            other.execute("INSERT INTO prices VALUES ('n', 95)")

    async with writer(person=Person(YES, meanwhile)) as client:
        conflict = await write(client, sql, idempotency_key="k")
    async with writer(person=Person(YES)) as client:
        result = result_of(await write(client, sql, idempotency_key="k"))

    assert code_of(conflict) == "conflict"
    assert (result.applied, result.rows_affected) == (True, 3)


async def test_locked_database_says_so(writer: Writer, office: Path) -> None:
    """While another writer holds the file, a change is unavailable and may be tried again."""
    async with writer(person=Person(YES)) as client:
        with closing(sqlite3.connect(office, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            result = await write(client, RENAME)

    assert code_of(result) == "unavailable"
    assert result.structured_content == {"code": "unavailable", "retryable": True}


async def test_listing_is_cheap_and_honest(writer: Writer) -> None:
    """run_write says that it destroys and is not idempotent, and costs at most 350 tokens of a listing."""
    async with writer() as client:
        (tool,) = [tool for tool in await client.list_tools() if tool.name == "run_write"]

    hints = tool.annotations
    bare = tool.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"output_schema"})
    assert hints is not None
    assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint) == (
        False,
        True,
        False,
        False,
    )
    assert len(json.dumps(bare, separators=(",", ":"))) / 4 < 350

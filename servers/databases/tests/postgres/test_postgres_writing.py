"""Changes to a real PostgreSQL: tried without a trace, approved by a person, applied to the letter or not at all."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
import pytest
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport
from opsroom_databases.models import DatabaseList
from opsroom_databases.providers.postgres_driver import Connection

from ..run_write import DATA, SURE, YES, Honest, Refused, Writer, code_of, done, honest, refused, text_of, write
from .postgres_server import BOSS, PostgresServer

RENAME = "UPDATE people SET name = upper(name) WHERE id <= 2"

_TABLES = ("people", "notes", "prices", "log", "seats", "only_one", "months", 'other."Odd Name"', "ruled", "counted")
_DEFINITIONS = """
    SELECT string_agg(concat_ws(' ', c.oid, relname, relkind, relacl, relowner, relrowsecurity), ',' ORDER BY c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('public', 'other')
    UNION ALL SELECT last_value || ' ' || is_called FROM counter
    UNION ALL SELECT md5(string_agg(concat(p.oid, prosrc, proowner), ',' ORDER BY p.oid)) FROM pg_proc p WHERE p.oid >= 16384
    UNION ALL SELECT md5(string_agg(concat(t.oid, tgenabled), ',' ORDER BY t.oid)) FROM pg_trigger t
    UNION ALL SELECT (SELECT count(*) FROM pg_largeobject_metadata) || ' ' || (SELECT count(*) FROM pg_database) || ' '
      || (SELECT count(*) FROM pg_prepared_xacts) || ' ' || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
    UNION ALL SELECT string_agg(a::text, ',' ORDER BY oid) FROM pg_authid a
    UNION ALL SELECT coalesce(string_agg(s::text, ','), '') || pg_read_file('postgresql.auto.conf') FROM pg_db_role_setting s"""


@dataclass(frozen=True)
class Office:
    """A database of its own for one test."""

    server: PostgresServer

    @property
    def url(self) -> str:
        return self.server.url(BOSS, "office")

    def run(self, sql: str) -> None:
        self.server.run_sql(sql, "office")

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        return await self.server.admin(sql, "office")

    async def state(self) -> list[object]:
        """Every row, and everything else that a change could reach or leave behind."""
        each = "SELECT '{0}', string_agg(t::text, ';' ORDER BY t::text) FROM {0} t"
        contents = " UNION ALL ".join(each.format(table) for table in _TABLES)
        return [*await self.rows(contents), *await self.rows(_DEFINITIONS)]

    async def sessions(self) -> int:
        ((count,),) = await self.rows(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'opsroom-databases' AND datname = 'office'"
        )
        return int(str(count))

    async def connection(self) -> Connection:
        return cast("Connection", await asyncpg.connect(self.url))  # pyright: ignore[reportUnknownMemberType] - no stubs


@pytest.fixture(scope="module")
def template(postgres: PostgresServer) -> Generator[PostgresServer]:
    postgres.run_sql("CREATE DATABASE office_template")
    postgres.run_sql((DATA / "postgres" / "office.sql").read_text(encoding="utf-8"), "office_template")
    yield postgres
    postgres.run_sql("DROP DATABASE office_template")


@pytest.fixture
async def office(template: PostgresServer) -> AsyncGenerator[Office]:
    await template.admin("CREATE DATABASE office TEMPLATE office_template")
    yield Office(template)
    await template.admin("DROP DATABASE office WITH (FORCE)")


async def test_approved_change_is_applied(writer: Writer, office: Office, era: str) -> None:
    """A person who says yes was shown the statement, its counts and some rows, masked; then exactly that is applied."""
    async with writer(office.url, YES, mode=era) as (client, asked):
        result = done(await write(client, RENAME))
        sessions = await office.sessions()

    assert (result.applied, result.rows_affected, result.also_changed) == (True, 2, 2)
    assert RENAME in asked[0]
    assert "updates 2 rows, and 2 more" in asked[0]
    assert "1,Ada,ada@example.com,***" in asked[0]
    assert "1,ADA,ada@example.com,***" in asked[0]
    assert result.digest in asked[0]
    assert await office.rows("SELECT name FROM people ORDER BY id") == [("ADA",), ("BEN",), ("Cat",)]
    assert await office.rows("SELECT * FROM log ORDER BY 1") == [(1, "Ada"), (2, "Ben")]
    assert sessions == 0


async def test_change_over_stdio_is_approved(office: Office, tmp_path: Path, era: str) -> None:
    """A real client of a real process is asked in both eras; what it accepts is applied, and what it declines is not."""
    config = tmp_path / "databases.toml"
    config.write_text(f'[databases.office]\nurl = "{office.url}"\nwritable = true\n', encoding="utf-8")
    answers: list[object] = [ElicitResult(action="decline"), YES]
    asked: list[str] = []

    async def person(message: str, *_: object) -> object:
        asked.append(message)
        return answers.pop(0)

    arguments = ["--config", str(config), "--allow-writes", "--state", str(tmp_path / "state")]
    transport = StdioTransport(str(Path(sys.executable).with_name("opsroom-databases")), arguments, keep_alive=False)
    async with Client(transport, mode=era, elicitation_handler=person) as client:  # pyright: ignore[reportArgumentType, reportCallIssue]
        declined = await client.call_tool("run_write", {"sql": RENAME}, raise_on_error=False)
        unchanged = await office.rows("SELECT name FROM people ORDER BY id")
        applied = done(await client.call_tool("run_write", {"sql": RENAME}))

    assert code_of(declined) == "not_permitted"
    assert unchanged == [("Ada",), ("Ben",), ("Cat",)]
    assert (applied.applied, applied.rows_affected, applied.also_changed) == (True, 2, 2)
    assert [RENAME in message for message in asked] == [True, True]
    assert await office.rows("SELECT name FROM people ORDER BY id") == [("ADA",), ("BEN",), ("Cat",)]


@pytest.mark.parametrize("says", ["decline", "cancel", {"apply": False}, None])
async def test_change_that_is_not_approved_does_not_happen(writer: Writer, office: Office, says: object) -> None:
    """No, no answer, an unticked box, and nobody to ask all leave the database as it was."""
    before = await office.state()
    async with writer(office.url, says) as (client, _):
        result = await write(client, RENAME)

    assert code_of(result) == "not_permitted"
    assert await office.state() == before


async def test_dry_run_shows_rows_and_leaves_no_trace(writer: Writer, office: Office) -> None:
    """A dry run asks nobody, changes nothing, leaves no session, and pairs rows with what would become of them, masked."""
    before = await office.state()
    async with writer(office.url, YES) as (client, asked):
        update = done(await write(client, RENAME, dry_run=True)).preview
        delete = done(await write(client, "DELETE FROM people WHERE id = 1", dry_run=True))
        insert = done(await write(client, "INSERT INTO prices VALUES ('c', 7)", dry_run=True)).preview
        upsert = done(
            await write(
                client,
                "INSERT INTO prices AS p VALUES ('a', 7), ('z', 8) ON CONFLICT (code) DO UPDATE SET cents = p.cents + 7",
                dry_run=True,
            )
        )
        own = done(await write(client, "UPDATE people SET name = 'x' WHERE id = 1 RETURNING id, api_key AS k, id", dry_run=True))
        sessions = await office.sessions()

    assert update.before == [[1, "Ada", "ada@example.com", "***"], [2, "Ben", None, None]]
    assert update.after == [[1, "ADA", "ada@example.com", "***"], [2, "BEN", None, None]]
    assert [(column.name, column.type) for column in update.columns[:2]] == [("id", "int4"), ("name", "text")]
    assert update.masked == ["api_key (people.api_key)"]
    assert (delete.rows_affected, delete.also_changed) == (1, 2)
    assert delete.preview.before == [[1, "Ada", "ada@example.com", "***"]]
    assert (insert.before, insert.after) == ([], [["c", 7, "1.50"]])
    assert (upsert.rows_affected, upsert.also_changed, upsert.preview.after) == (2, 0, [["a", 107, "1.50"], ["z", 8, "1.50"]])
    assert (own.preview.after, own.preview.masked) == ([[1, "***", 1]], ["k (people.api_key)"])
    assert (await office.state(), asked, sessions) == (before, [], 0)


async def test_preview_is_bounded(writer: Writer, office: Office) -> None:
    """Of many rows five are shown, and of a long value its beginning; all are counted."""
    async with writer(office.url) as (client, _):
        sql = "INSERT INTO prices (code, cents) SELECT repeat(n::text, 100), n FROM generate_series(1000, 30000) n"
        result = done(await write(client, sql, dry_run=True))

    assert result.rows_affected == 29_001
    assert len(result.preview.after) == 5
    assert result.preview.after[0][0] == "1000" * 50 + "… (+200 characters)"


async def test_count_that_has_changed_is_a_conflict(writer: Writer, office: Office, era: str) -> None:
    """Rows that came in while the person thought are not swept along, nor are those of a cascade that has grown."""

    def meanwhile() -> None:
        office.run("INSERT INTO people VALUES (0, 'New', NULL, NULL); INSERT INTO notes (person_id, body) VALUES (3, 'more')")

    async with writer(office.url, YES, meanwhile, mode=era) as (client, _):
        more = await write(client, RENAME)
    async with writer(office.url, YES, lambda: office.run("INSERT INTO notes (person_id) VALUES (1)"), mode=era) as (client, _):
        cascade = await write(client, "DELETE FROM people WHERE id = 1")

    assert (code_of(more), code_of(cascade)) == ("conflict", "conflict")
    assert "3 rows and 3 more" in text_of(more)
    assert "1 rows and 3 more" in text_of(cascade)
    assert await office.rows("SELECT count(*) FROM people WHERE name = upper(name)") == [(0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM notes",
        "UPDATE notes SET body = ''",
        "DELETE FROM notes WHERE 1 = 1",
        "DELETE FROM notes WHERE user = 'boss'",
        "DELETE FROM notes USING people WHERE people.id > 0",
        "UPDATE notes SET body = '' WHERE EXISTS (SELECT FROM people WHERE people.id = 1)",
    ],
)
async def test_every_row_needs_a_confirmation_of_its_own(writer: Writer, office: Office, sql: str) -> None:
    """Without a condition on a column of the table, yes to the change alone is not enough."""
    before = await office.state()
    async with writer(office.url, {"apply": True, "every_row": False}) as (client, asked):
        refused = await write(client, sql)
    unchanged = await office.state()
    async with writer(office.url, SURE) as (client, _):
        applied = done(await write(client, sql))

    assert code_of(refused) == "not_permitted"
    assert "EVERY row" in asked[0]
    assert unchanged == before
    assert (applied.applied, applied.rows_affected) == (True, 3)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("INSERT INTO notes (person_id) VALUES (99)", "foreign key"),
        ("UPDATE people SET name = '' WHERE id = 2", "check constraint"),
        ("UPDATE people SET email = 'ada@example.com' WHERE id > 1", "unique constraint"),
        ("INSERT INTO seats VALUES (3, 4)", "foreign key"),
        ("UPDATE seats SET next = 9 WHERE id = 1", "foreign key"),
    ],
)
async def test_what_the_engine_rejects_changes_nothing(writer: Writer, office: Office, sql: str, words: str) -> None:
    """A broken constraint, a deferred one too, is a conflict that is found while trying, so nobody is asked."""
    before = await office.state()
    async with writer(office.url, YES) as (client, asked):
        result = await write(client, sql)

    assert code_of(result) == "conflict"
    assert words in text_of(result)
    assert "ada@example.com" not in text_of(result)
    assert (await office.state(), asked) == (before, [])


async def test_mistake_is_shown_in_the_statement(writer: Writer, office: Office) -> None:
    """A name that does not exist is told with the engine's words and its place."""
    async with writer(office.url) as (client, _):
        column = await write(client, "UPDATE people SET nme = 'x' WHERE id = 1", dry_run=True)
        table = await write(client, "DELETE FROM poeple WHERE id = 1", dry_run=True)

    assert code_of(column) == "invalid_input"
    assert 'column "nme"' in text_of(column)
    assert "UPDATE people SET nme = 'x' WHERE id = 1\n                  ^" in text_of(column)
    assert 'relation "poeple" does not exist' in text_of(table)


async def test_row_lock_of_another_session_is_waited_for_in_vain(writer: Writer, office: Office) -> None:
    """A change that waits for somebody else's lock ends in time, says so, and leaves nothing running."""
    other = await office.connection()
    try:
        await other.execute("BEGIN; UPDATE people SET name = 'held' WHERE id = 1")
        async with writer(office.url, YES, settings={"query_seconds": 30}) as (client, _):
            result = await write(client, RENAME)
            sessions = await office.sessions()
    finally:
        await other.close(timeout=5)

    assert result.structured_content == {"code": "unavailable", "retryable": True}
    assert "lock" in text_of(result)
    assert "Nothing was changed" in text_of(result)
    assert sessions == 0


async def test_slow_change_is_stopped_in_the_engine(writer: Writer, office: Office) -> None:
    """A change past its time, and one whose caller goes away, are stopped in the engine and taken back."""
    slow = "UPDATE people SET name = name || (SELECT count(*) FROM generate_series(1, 100000000)) WHERE id = 1"
    before = await office.state()
    async with writer(office.url, settings={"query_seconds": 1}) as (client, _):
        result = await write(client, slow, dry_run=True)
        late = await office.sessions()
    async with writer(office.url, settings={"query_seconds": 60}) as (client, _):
        call = asyncio.ensure_future(write(client, slow, dry_run=True))
        async with asyncio.timeout(30):
            while not await office.sessions():
                await office.rows("SELECT pg_sleep(0.02)")
        call.cancel()
        await asyncio.wait({call})
        async with asyncio.timeout(30):
            while await office.sessions():
                await office.rows("SELECT pg_sleep(0.02)")

    assert code_of(result) == "timeout"
    assert "Nothing was changed" in text_of(result)
    assert late == 0
    assert await office.state() == before


async def test_killed_session_changes_nothing(writer: Writer, office: Office) -> None:
    """When the engine ends the session in the middle of a change, nothing of it stays, and its key can be used again."""
    slow = "UPDATE people SET name = name || (SELECT count(*) FROM generate_series(1, 30000000)) WHERE id = 1"
    before = await office.state()

    async def kill() -> None:
        async with asyncio.timeout(30):
            while not (
                await office.rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'opsroom-databases' "
                    "AND datname = 'office' AND query LIKE 'WITH changed%'"
                )
            ):
                await office.rows("SELECT pg_sleep(0.02)")

    async with writer(office.url, YES, settings={"query_seconds": 60}) as (client, _):
        result, _ = await asyncio.gather(write(client, slow, idempotency_key="k"), kill())
        again = done(await write(client, RENAME, idempotency_key="k"))

    assert code_of(result) == "unavailable"
    assert again.applied
    assert before[1:3] == (await office.state())[1:3]


async def test_session_that_is_killed_while_it_commits_is_uncertain(writer: Writer, office: Office) -> None:
    """Where the connection ends during COMMIT nobody knows how that ended: it is said, and the key is not given back."""

    def stall() -> None:  # from here on, a commit waits for a standby that does not exist
        for statement in ("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()"):
            office.run(statement)

    async def kill() -> None:
        waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        async with asyncio.timeout(60):
            while not await office.rows(waiting):
                await office.rows("SELECT pg_sleep(0.02)")

    try:
        async with writer(office.url, YES, stall) as (client, _):
            result, _ = await asyncio.gather(write(client, RENAME, idempotency_key="k"), kill())
            again = await write(client, RENAME, idempotency_key="k")
    finally:
        for statement in ("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"):
            office.run(statement)

    assert code_of(result) == "conflict"
    assert "all of it was applied, or nothing" in text_of(result)
    assert code_of(again) == "conflict"
    assert "how it ended is not known" in text_of(again)
    assert await office.rows("SELECT count(*) FROM people WHERE name = upper(name)") in ([(0,)], [(2,)])


async def test_same_key_is_applied_once(writer: Writer, office: Office, era: str) -> None:
    """A repeated call with its key is answered with what came of the first, over a restart too."""
    sql = "UPDATE prices SET cents = cents + 1 WHERE code = 'a'"
    async with writer(office.url, YES, mode=era) as (client, asked):
        first = done(await write(client, sql, idempotency_key="k"))
    async with writer(office.url, YES, mode=era) as (client, never):
        again = done(await write(client, sql, idempotency_key="k"))

    assert (first.applied, again.applied, again.digest) == (True, True, first.digest)
    assert (len(asked), len(never)) == (1, 0)
    assert await office.rows("SELECT cents FROM prices ORDER BY 1") == [(101,), (250,)]


async def test_definitions_where_they_are_allowed(writer: Writer, office: Office) -> None:
    """With allow_ddl tables, indexes and views can be made, altered and dropped, tried first, but not so that a mask is lost."""
    statements = [
        "CREATE TABLE tags (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(20) DEFAULT 'x', UNIQUE (name))",
        "CREATE TABLE booked (seat int REFERENCES public.seats (id) ON DELETE CASCADE, CHECK (seat > 0))",
        "CREATE TABLE other.small (id int)",
        "CREATE TABLE IF NOT EXISTS months_next PARTITION OF months FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
        "CREATE TABLE copied AS SELECT code, slug(code) AS s FROM prices",
        "ALTER TABLE notes ADD COLUMN seen timestamptz DEFAULT now(), ALTER COLUMN body SET NOT NULL",
        "ALTER TABLE IF EXISTS prices RENAME COLUMN cents TO cent",
        "CREATE UNIQUE INDEX IF NOT EXISTS notes_idx ON notes USING btree (lower(body) DESC) WHERE id > 0",
        "CREATE OR REPLACE VIEW recent (a, b) AS SELECT id, body FROM notes",
        "DROP VIEW recent",
        "DROP INDEX notes_idx",
        "DROP TABLE IF EXISTS log, nothing",
    ]
    before = await office.state()
    async with writer(office.url, YES, allow_ddl=True) as (client, asked):
        tried = done(await write(client, "DROP TABLE seats", dry_run=True))
        unchanged = await office.state()
        applied = [done(await write(client, sql)).applied for sql in statements]

    assert (tried.applied, unchanged) == (False, before)
    assert applied == [True] * len(statements)
    assert "changes the schema" in asked[0]
    names = {name for (name,) in await office.rows("SELECT relname::text FROM pg_class")}
    assert {"tags", "months_next", "copied"} <= names
    assert not names & {"log", "notes_idx", "recent"}


async def test_account_that_may_not_write_is_refused_by_the_engine(writer: Writer, office: Office) -> None:
    """`writable` gives nobody rights that the account does not have."""
    office.run("GRANT SELECT ON people TO reader")
    before = await office.state()
    async with writer(office.server.url("reader", "office"), YES) as (client, asked):
        result = await write(client, RENAME)
        listed = DatabaseList.model_validate((await client.call_tool("list_databases")).structured_content)

    assert code_of(result) == "not_permitted"
    assert "permission denied" in text_of(result)
    assert (listed.databases[0].read_only, listed.databases[0].account) == (False, "can only read")
    assert (await office.state(), asked) == (before, [])


HONEST = honest("postgres/honest_writes.jsonl")
ATTACKS = refused("postgres/write_attacks.jsonl")
DEFINITIONS = refused("postgres/definition_attacks.jsonl")


@pytest.mark.parametrize("each", HONEST, ids=[each.sql[:60] for each in HONEST])
async def test_honest_change_is_applied(writer: Writer, office: Office, each: Honest) -> None:
    """What people write to change rows is understood and applied, and nothing secret comes back."""
    before = await office.state()
    async with writer(office.url, SURE) as (client, _):
        result = await write(client, each.sql)

    assert done(result).applied
    assert await office.state() != before
    assert "key-" not in str(result.structured_content) + text_of(result)


@pytest.mark.parametrize("each", ATTACKS, ids=[each.sql for each in ATTACKS])
async def test_what_may_not_run_is_refused_unasked(writer: Writer, office: Office, each: Refused) -> None:
    """Other statements, side effects, system catalogs and every way to a secret are refused before anybody is asked."""
    before = await office.state()
    async with writer(office.url, SURE) as (client, asked):
        result = await write(client, each.sql)

    assert code_of(result) in ("not_permitted", "invalid_input")
    assert each.words in text_of(result)
    assert (await office.state(), asked) == (before, [])


@pytest.mark.parametrize("each", DEFINITIONS, ids=[each.sql for each in DEFINITIONS])
async def test_definition_that_may_not_run_is_refused(writer: Writer, office: Office, each: Refused) -> None:
    """Even with allow_ddl only tables, indexes and views are defined, and nothing that opens, runs or owns something."""
    before = await office.state()
    async with writer(office.url, SURE, allow_ddl=True) as (client, asked):
        result = await write(client, each.sql)

    assert code_of(result) in ("not_permitted", "invalid_input")
    assert each.words in text_of(result)
    assert (await office.state(), asked) == (before, [])

"""Changes to a real MariaDB: tried without a trace, approved by a person, applied to the letter or not at all."""

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import pymysql
import pytest
from opsroom_databases.models import DatabaseList
from opsroom_databases.server import build
from opsroom_databases.settings import DatabasesSettings
from opsroom_shared.config import ConfigError

from ..run_write import DATA, SURE, YES, Honest, Refused, Writer, code_of, done, honest, refused, text_of, write
from .mariadb_server import PASSWORD, MariadbServer

RENAME = "UPDATE people SET name = UPPER(name) WHERE id <= 2"
_TABLES = ("people", "notes", "marks", "prices", "log", "months", "big", "old_log", "aria_log", "memory_log", "logged")
_DEFINITIONS = (
    "SELECT table_name, table_type, engine FROM information_schema.tables WHERE table_schema = 'office' ORDER BY 1",
    "SELECT trigger_name, MD5(action_statement) FROM information_schema.triggers WHERE trigger_schema = 'office' ORDER BY 1",
    "SELECT routine_name, MD5(routine_definition) FROM information_schema.routines WHERE routine_schema = 'office' ORDER BY 1",
    "SELECT next_not_cached_value FROM office.counter",
    "SELECT IS_USED_LOCK('pwn')",
)


@dataclass(frozen=True)
class Office:
    """A database of its own for one test."""

    server: MariadbServer

    @property
    def url(self) -> str:
        return self.server.url(database="office")

    def run(self, sql: str) -> None:
        self.server.run_sql(sql, "office")

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return self.server.admin("USE office", sql)

    def state(self) -> list[object]:
        """Every row, and everything else that a change could reach or leave behind."""
        contents = [f"SELECT * FROM office.{table} ORDER BY 1" for table in _TABLES]  # noqa: S608 - constants
        return [*self.server.admin_each(*contents, *_DEFINITIONS), *self.server.observed()]

    def sessions(self) -> list[tuple[object, ...]]:
        return self.rows("SELECT id, info FROM information_schema.processlist WHERE user = 'boss'")

    async def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end
            await asyncio.sleep(0.02)

    def connection(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(unix_socket=str(self.server.socket), user="root", database="office", ssl_disabled=True)


@pytest.fixture
def office(mariadb: MariadbServer) -> Generator[Office]:
    """Fresh for one test."""
    yield from _office(mariadb)


@pytest.fixture(scope="module")
def kept_office(mariadb: MariadbServer) -> Generator[Office]:
    """For tests of what changes nothing."""
    yield from _office(mariadb)


def _office(mariadb: MariadbServer) -> Generator[Office]:
    mariadb.admin("CREATE DATABASE office CHARACTER SET utf8mb4", "CREATE DATABASE office_tools")
    mariadb.run_sql((DATA / "mysql" / "office.sql").read_text(encoding="utf-8"), "office")
    mariadb.run_sql("CREATE PROCEDURE note_far() INSERT INTO office.old_log (body) VALUES ('far')", "office_tools")
    yield Office(mariadb)
    mariadb.admin("DROP DATABASE office", "DROP DATABASE office_tools")


async def test_approved_change_is_applied(writer: Writer, office: Office, era: str) -> None:
    """A person who says yes was shown the statement, its counts and some rows, masked; then exactly that is applied."""
    async with writer(office.url, YES, mode=era) as (client, asked):
        result = done(await write(client, RENAME))
        sessions = office.sessions()

    assert (result.applied, result.rows_affected, result.also_changed) == (True, 2, 2)
    assert RENAME in asked[0]
    assert "updates 2 rows, and 2 more" in asked[0]
    assert "1,Ada,ada@example.com,***,1" in asked[0]
    assert "1,ADA,ada@example.com,***,1" in asked[0]
    assert result.digest in asked[0]
    assert office.rows("SELECT name FROM people ORDER BY id") == [("ADA",), ("BEN",), ("Cat",)]
    assert office.rows("SELECT * FROM log ORDER BY 1") == [(1, "Ada"), (2, "Ben")]
    assert sessions == []


@pytest.mark.parametrize("says", ["decline", "cancel", {"apply": False}, None])
async def test_change_that_is_not_approved_does_not_happen(writer: Writer, office: Office, says: object) -> None:
    """No, no answer, an unticked box, and nobody to ask all leave the database as it was."""
    before = office.state()
    async with writer(office.url, says) as (client, _):
        result = await write(client, RENAME)

    assert code_of(result) == "not_permitted"
    assert office.state() == before


async def test_dry_run_shows_rows_and_leaves_no_trace(writer: Writer, office: Office) -> None:
    """A dry run asks nobody, changes nothing, leaves no session, and pairs rows with what would become of them, masked."""
    before = office.state()
    upsert = (
        "INSERT INTO prices (code, cents) VALUES ('a', 7), ('b', 250), ('z', 8) ON DUPLICATE KEY UPDATE cents = VALUES(cents)"
    )
    async with writer(office.url, YES) as (client, asked):
        update = done(await write(client, RENAME, dry_run=True)).preview
        delete = done(await write(client, "DELETE FROM people WHERE id = 1", dry_run=True))
        insert = done(await write(client, "INSERT INTO prices (code, cents) VALUES ('c', 7)", dry_run=True)).preview
        upserted = done(await write(client, upsert, dry_run=True))
        own = done(await write(client, "DELETE FROM people WHERE id = 3 RETURNING id, api_key AS k", dry_run=True))
        large = done(await write(client, "DELETE FROM big WHERE id = 1", dry_run=True)).preview
        sessions = office.sessions()

    assert update.before == [[1, "Ada", "ada@example.com", "***", 1], [2, "Ben", None, None, 1]]
    assert update.after == [[1, "ADA", "ada@example.com", "***", 1], [2, "BEN", None, None, 1]]
    assert [(column.name, column.type) for column in update.columns[:2]] == [("id", "int"), ("name", "varchar(40)")]
    assert update.masked == ["api_key (people.api_key)"]
    assert (delete.rows_affected, delete.also_changed) == (1, 3)
    assert delete.preview.before == [[1, "Ada", "ada@example.com", "***", 1]]
    assert (insert.before, insert.after) == ([], [["c", 7, "1.50", None]])
    assert (upserted.rows_affected, upserted.also_changed) == (2, 0)
    assert [row[:2] for row in upserted.preview.after] == [["a", 7], ["b", 250], ["z", 8]]
    assert (own.rows_affected, own.preview.before, own.preview.masked) == (1, [[3, "***"]], ["k (people.api_key)"])
    assert large.before == [[1, "<value of 2000000 bytes, too large to show>", "<value of 3000000 bytes, too large to show>"]]
    assert (office.state(), asked, sessions) == (before, [], [])


async def test_preview_is_bounded(writer: Writer, office: Office) -> None:
    """Of many rows five are shown, and of a long value its beginning; all are counted."""
    async with writer(office.url) as (client, _):
        sql = "INSERT INTO notes (person_id, body) SELECT 1, REPEAT(seq, 100) FROM seq_1000_to_9000"
        result = done(await write(client, sql, dry_run=True))

    assert (result.rows_affected, result.also_changed) == (8001, 0)
    assert len(result.preview.after) == 5
    assert result.preview.after[0][2] == "1000" * 50 + "… (+200 characters)"


async def test_count_that_has_changed_is_a_conflict(writer: Writer, office: Office, era: str) -> None:
    """Rows that came in while the person thought are not swept along, nor are those of a cascade that has grown."""

    def meanwhile() -> None:
        office.run("INSERT INTO people (id, name) VALUES (0, 'New')")

    async with writer(office.url, YES, meanwhile, mode=era) as (client, _):
        more = await write(client, RENAME)
    async with writer(office.url, YES, lambda: office.run("INSERT INTO notes (person_id) VALUES (1)"), mode=era) as (client, _):
        cascade = await write(client, "DELETE FROM people WHERE id = 1")

    assert (code_of(more), code_of(cascade)) == ("conflict", "conflict")
    assert "3 rows and 3 more" in text_of(more)
    assert "1 rows and 4 more" in text_of(cascade)
    assert office.rows("SELECT COUNT(*) FROM people WHERE name = BINARY UPPER(name)") == [(0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM notes",
        "UPDATE notes SET body = ''",
        "DELETE FROM notes WHERE 1 = 1",
        'DELETE FROM notes WHERE "body" = "body"',
        "UPDATE notes SET body = '' WHERE EXISTS (SELECT 1 FROM people p WHERE p.id = 1)",
        "DELETE FROM notes ORDER BY id LIMIT 3",
    ],
)
async def test_every_row_needs_a_confirmation_of_its_own(writer: Writer, office: Office, sql: str) -> None:
    """Without a condition on a column of the table, yes to the change alone is not enough."""
    before = office.state()
    async with writer(office.url, {"apply": True, "every_row": False}) as (client, asked):
        refusal = await write(client, sql)
    unchanged = office.state()
    async with writer(office.url, SURE) as (client, _):
        applied = done(await write(client, sql))

    assert code_of(refusal) == "not_permitted"
    assert "EVERY row" in asked[0]
    assert unchanged == before
    assert (applied.applied, applied.rows_affected) == (True, 3)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("INSERT INTO notes (person_id) VALUES (99)", "foreign key"),
        ("UPDATE people SET name = '' WHERE id = 2", "CONSTRAINT"),
        ("UPDATE people SET email = 'ada@example.com' WHERE id > 1", "Duplicate entry for key"),
        ("UPDATE people SET team = 1 WHERE id = 3", "Duplicate entry for key 'one_key_a_team'"),
        ("INSERT INTO people (id) VALUES (9)", "default value"),
    ],
)
async def test_what_the_engine_rejects_changes_nothing(writer: Writer, office: Office, sql: str, words: str) -> None:
    """A broken constraint is a conflict that is found while trying, without the values of others, so nobody is asked."""
    before = office.state()
    async with writer(office.url, YES) as (client, asked):
        result = await write(client, sql)

    assert code_of(result) == "conflict"
    assert words in text_of(result)
    assert "key-1" not in text_of(result)
    assert (office.state(), asked) == (before, [])


async def test_mistake_is_shown_in_the_statement(writer: Writer, office: Office) -> None:
    """A name that does not exist is told with its place and the nearest one, and what cannot be read with its place."""
    async with writer(office.url) as (client, _):
        column = await write(client, "UPDATE people SET emial = 'x' WHERE id = 1", dry_run=True)
        table = await write(client, "DELETE FROM poeple WHERE id = 1", dry_run=True)
        long = await write(client, "UPDATE log SET was = REPEAT('x', 99) WHERE person_id IS NULL OR 1", dry_run=True)
        office.run("INSERT INTO log VALUES (1, 'x')")
        strict = await write(client, "UPDATE log SET was = REPEAT('x', 99) WHERE person_id = 1", dry_run=True)

    assert code_of(column) == "invalid_input"
    assert "Did you mean people.email?" in text_of(column)
    assert "Did you mean people?" in text_of(table)
    assert done(long).rows_affected == 0
    assert "Data too long" in text_of(strict)
    assert "Nothing was changed" in text_of(strict)


async def test_row_lock_of_another_session_is_waited_for_in_vain(writer: Writer, office: Office) -> None:
    """A change that waits for somebody else's lock ends in time, says so, and leaves nothing running."""
    with office.connection() as other, other.cursor() as cursor:
        cursor.execute("UPDATE people SET team = 9 WHERE id = 1")
        async with writer(office.url, YES, settings={"query_seconds": 30}) as (client, _):
            result = await write(client, RENAME)
            sessions = office.sessions()

    assert result.structured_content == {"code": "unavailable", "retryable": True}
    assert "lock" in text_of(result)
    assert "Nothing was changed" in text_of(result)
    assert sessions == []


async def test_slow_change_is_stopped_in_the_engine(writer: Writer, office: Office) -> None:
    """A change past its time, and one whose caller goes away, are stopped in the engine and taken back."""
    slow = (
        "UPDATE people SET team = (SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b WHERE a.seq <> b.seq) WHERE id = 1"
    )
    before = office.state()
    async with writer(office.url, settings={"query_seconds": 1}) as (client, _):
        result = await write(client, slow, dry_run=True)
        await office.until(lambda: not office.sessions())
    async with writer(office.url, settings={"query_seconds": 60}) as (client, _):
        call = asyncio.ensure_future(write(client, slow, dry_run=True))
        await office.until(lambda: any("UPDATE" in str(info) for _, info in office.sessions()))
        call.cancel()
        await asyncio.wait({call})
        await office.until(lambda: not office.sessions())

    assert code_of(result) == "timeout"
    assert "Nothing was changed" in text_of(result)
    assert office.state() == before


async def test_killed_session_changes_nothing(writer: Writer, office: Office) -> None:
    """When the engine ends the session in the middle of a change, nothing of it stays, and its key can be used again."""
    slow = (
        "UPDATE people SET team = (SELECT COUNT(*) % 7 FROM seq_1_to_10000 a, seq_1_to_1000 b WHERE a.seq <> b.seq) WHERE id = 1"
    )

    async def kill() -> None:
        await office.until(lambda: any("UPDATE" in str(info) for _, info in office.sessions()))
        for identity, _ in office.sessions():
            office.rows(f"KILL {identity}")

    before = office.state()
    async with writer(office.url, YES, settings={"query_seconds": 60}) as (client, asked):
        result, _ = await asyncio.gather(write(client, slow, idempotency_key="k"), kill())
        unchanged = office.state()
        again = done(await write(client, RENAME, idempotency_key="k"))

    assert code_of(result) == "unavailable"
    assert unchanged == before
    assert (again.applied, len(asked)) == (True, 1)


async def test_session_that_is_killed_while_it_commits_is_uncertain(writer: Writer, office: Office) -> None:
    """Where the connection ends during COMMIT nobody knows how that ended: it is said, and the key is not given back."""

    async def kill() -> None:
        await office.until(lambda: any(info == "COMMIT" for _, info in office.sessions()))
        for identity, _ in office.sessions():
            office.rows(f"KILL {identity}")

    with office.connection() as other, other.cursor() as cursor:

        def stall() -> None:  # from here on, a commit waits for a backup
            cursor.execute("BACKUP STAGE START")
            cursor.execute("BACKUP STAGE BLOCK_COMMIT")

        async with writer(office.url, YES, stall, settings={"query_seconds": 30}) as (client, _):
            result, _ = await asyncio.gather(write(client, RENAME, idempotency_key="k"), kill())
            cursor.execute("BACKUP STAGE END")
            again = await write(client, RENAME, idempotency_key="k")

    assert code_of(result) == "conflict"
    assert "all of it was applied, or nothing" in text_of(result)
    assert code_of(again) == "conflict"
    assert "how it ended is not known" in text_of(again)
    assert office.rows("SELECT COUNT(*) FROM log") in ([(0,)], [(2,)])


async def test_same_key_is_applied_once(writer: Writer, office: Office, era: str) -> None:
    """A repeated call with its key is answered with what came of the first, over a restart too."""
    sql = "UPDATE prices SET cents = cents + 1 WHERE code = 'a'"
    async with writer(office.url, YES, mode=era) as (client, asked):
        first = done(await write(client, sql, idempotency_key="k"))
    async with writer(office.url, YES, mode=era) as (client, never):
        again = done(await write(client, sql, idempotency_key="k"))

    assert (first.applied, again.applied, again.digest) == (True, True, first.digest)
    assert (len(asked), len(never)) == (1, 0)
    assert office.rows("SELECT cents FROM prices ORDER BY 1") == [(101,), (250,)]


async def test_account_without_rights_is_refused(writer: Writer, office: Office) -> None:
    """`writable` gives nobody rights; an account that cannot count what changes besides may change what stands alone."""
    office.server.admin(
        f"CREATE USER clerk@'%' IDENTIFIED BY '{PASSWORD}'",
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON office.* TO clerk@'%'",
        f"CREATE USER blind@'%' IDENTIFIED BY '{PASSWORD}'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON office.* TO blind@'%'",
        "GRANT SELECT ON office.* TO reader@'%'",
    )
    alone = "UPDATE prices SET cents = 1 WHERE code = 'a'"
    answers: list[str] = []
    try:
        for account, sql in (("reader", alone), ("blind", alone), ("clerk", RENAME), ("clerk", "DELETE FROM notes WHERE id = 1")):
            async with writer(office.server.url(account, "office"), YES) as (client, _):
                result = await write(client, sql)
                answers.append(f"{code_of(result)} {text_of(result)}")
        async with writer(office.server.url("clerk", "office"), YES) as (client, _):
            applied = done(await write(client, alone))
            listed = DatabaseList.model_validate((await client.call_tool("list_databases")).structured_content)
    finally:
        office.server.admin("DROP USER clerk@'%'", "DROP USER blind@'%'", "REVOKE SELECT ON office.* FROM reader@'%'")

    assert [answer.partition(" ")[0] for answer in answers] == ["not_permitted"] * 4
    assert "denied" in answers[0]
    assert "GRANT TRIGGER ON `office`.*" in answers[1]
    assert "PROCESS" in answers[2]
    assert "PROCESS" in answers[3]
    assert (applied.applied, applied.rows_affected, applied.also_changed) == (True, 1, 0)
    assert listed.databases[0].read_only is False


async def test_what_the_engine_could_not_take_back_is_told(writer: Writer, office: Office) -> None:
    """A table without transactions that hides behind a procedure which the account may not see: the trial says what it left."""
    office.server.admin(
        f"CREATE USER clerk@'%' IDENTIFIED BY '{PASSWORD}'",
        "GRANT SELECT, INSERT, TRIGGER ON office.* TO clerk@'%'",
        "GRANT PROCESS ON *.* TO clerk@'%'",
    )
    try:
        async with writer(office.server.url("clerk", "office"), YES) as (client, asked):
            result = await write(client, "INSERT INTO hidden_logged VALUES (1)")
    finally:
        office.server.admin("DROP USER clerk@'%'")

    assert code_of(result) == "conflict"
    assert "could not take that back" in text_of(result)
    assert asked == []
    assert office.rows("SELECT COUNT(*) FROM hidden_logged") == [(0,)]


def test_definitions_are_not_promised() -> None:
    """A setting that would promise more than the engine can take back is refused at the start of the server."""
    section = {"url": "mysql://u:hunter2@h/d", "writable": True, "allow_ddl": True}
    with pytest.raises(ConfigError, match=r"databases\.x\.allow_ddl: mysql commits") as caught:
        build(DatabasesSettings.model_validate({"databases": {"x": section}}))

    assert "hunter2" not in str(caught.value)


HONEST = honest("mysql/honest_writes.jsonl")
ATTACKS = refused("mysql/write_attacks.jsonl")


@pytest.mark.parametrize("each", HONEST, ids=[each.sql[:60] for each in HONEST])
async def test_honest_change_is_applied(writer: Writer, office: Office, each: Honest) -> None:
    """What people write to change rows is understood and applied, and nothing secret comes back."""
    before = office.state()
    async with writer(office.url, SURE) as (client, _):
        result = await write(client, each.sql)

    assert done(result).applied
    assert office.state() != before
    assert "key-" not in str(result.structured_content) + text_of(result)


@pytest.mark.parametrize("each", ATTACKS, ids=[each.sql for each in ATTACKS])
async def test_what_may_not_run_is_refused_unasked(writer: Writer, kept_office: Office, each: Refused) -> None:
    """Other statements, side effects, tables without transactions, and every way to a secret are refused unasked."""
    before = kept_office.state()
    async with writer(kept_office.url, SURE) as (client, asked):
        result = await write(client, each.sql.replace("@CANARY@", str(kept_office.server.canary)))

    assert code_of(result) in ("not_permitted", "invalid_input")
    assert each.words in text_of(result)
    assert (kept_office.state(), asked) == (before, [])

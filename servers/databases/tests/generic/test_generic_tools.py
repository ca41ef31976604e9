"""The tools on a real DuckDB file, which only the generic rules know."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from opsroom_databases.server import role_sql, sources
from opsroom_databases.settings import DatabasesSettings
from opsroom_shared.config import ConfigError

from ..answers import Connect, text_of

PATIENCE_SECONDS = 30


def workers() -> dict[int, str]:
    """The processes of ours that read databases of other engines, with their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (entry / "environ").read_bytes().decode()
            except (OSError, ValueError):
                continue  # it ended while we looked
            if parent == os.getpid() and "generic_worker" in command:
                found[int(entry.name)] = command + environment
    return found


def state_of(pid: int) -> list[str]:
    """The fields of the process *pid* from its state on; none once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return []


async def comes_true(condition: Callable[[], bool]) -> bool:
    for _ in range(PATIENCE_SECONDS * 20):
        if condition():
            return True
        await asyncio.sleep(0.05)
    return False


async def ended(pid: int) -> bool:
    """Whether the process *pid* is gone, or waits only to be collected, before patience is."""
    return await comes_true(lambda: state_of(pid)[:1] in ([], ["Z"]))


def seconds_of(pid: int) -> float:
    """How long the process *pid* has computed."""
    fields = state_of(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0


async def test_status_says_what_is_weaker(connect: Connect, harbour: Path) -> None:
    """The engine, its version and its size are told, and what this server does less well for it."""
    async with connect() as client:
        result = await client.call_tool("list_databases", {})

    assert result.structured_content is not None
    [status] = result.structured_content["databases"]
    assert (status["dialect"], status["reachable"], status["read_only"], status["tables"]) == ("duckdb", True, True, 5)
    assert status["version"].startswith("v")
    assert status["size_bytes"] == harbour.stat().st_size  # noqa: ASYNC240 - a file of the test's
    assert "generic rules" in status["weaker"]
    assert "generic rules" in text_of(result)


async def test_database_that_is_gone_is_a_status(connect: Connect, harbour: Path) -> None:
    """A file that cannot be opened is said in the list, not a failure."""
    async with connect() as client:
        harbour.unlink()  # noqa: ASYNC240 - a file of the test's
        result = await client.call_tool("list_databases", {})

    assert result.structured_content is not None
    [status] = result.structured_content["databases"]
    assert not status["reachable"]
    assert "cannot be reached" in status["problem"]


async def test_database_that_somebody_writes_is_unavailable(connect: Connect, harbour: Path) -> None:
    """While another process holds the file for writing, the engine's words say so, and a query is worth another try."""
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import duckdb, sys; c = duckdb.connect({str(harbour)!r}); print('held', flush=True); sys.stdin.read()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    held = await holder.stdout.readline()
    try:
        async with connect() as client:
            result = await client.call_tool("run_query", {"sql": "SELECT 1"}, raise_on_error=False)
    finally:
        holder.kill()
        await holder.communicate()

    assert held == b"held\n"
    assert result.structured_content is not None
    assert (result.structured_content["code"], result.structured_content["retryable"]) == ("unavailable", True)
    assert "lock" in text_of(result)


@pytest.mark.parametrize(
    ("words", "found"),
    [("visits", ["visits", "archive.visits"]), ("tons", ["ships"]), ("visits_arrived_again", ["visits"])],
)
async def test_search_finds_by_name_column_and_index(connect: Connect, words: str, found: list[str]) -> None:
    """Relations of every schema are found by what they are called and made of."""
    async with connect() as client:
        result = await client.call_tool("search_schema", {"query": words})

    assert result.structured_content is not None
    assert {each["name"] for each in result.structured_content["relations"]} >= set(found)


async def test_table_is_described(connect: Connect) -> None:
    """Columns, keys, indexes, foreign keys in both directions, comments and the estimated count of rows are shown."""
    async with connect() as client:
        ships = await client.call_tool("describe_table", {"table": "ships", "sample_rows": 2})
        visits = await client.call_tool("describe_table", {"table": "main.visits"})

    assert ships.structured_content is not None
    assert visits.structured_content is not None
    about = ships.structured_content
    columns = {column["name"]: column for column in about["columns"]}
    assert (about["rows"], about["rows_are"], about["comment"]) == (50, "estimated", "Every ship that was ever here")
    assert (columns["id"]["primary_key"], columns["tons"]["type"]) == (1, "DECIMAL(12,2)")
    assert (columns["tons"]["comment"], columns["update"]["default"]) == ("Gross tonnage", "'none'")
    assert about["referenced_by"] == [{"table": "visits", "columns": ["ship_id"], "to_columns": ["id"]}]
    assert about["sample"][0][:4] == [1, "Ship 1", "DE", "10.25"]
    assert {index["name"] for index in visits.structured_content["indexes"]} == {"visits_arrived", "visits_arrived_again"}
    assert visits.structured_content["foreign_keys"][0]["table"] == "ships"


async def test_secrets_are_masked_in_a_description(connect: Connect) -> None:
    """Secret columns, those generated from them and structures of them are marked, and a sample shows the mask."""
    async with connect() as client:
        result = await client.call_tool("describe_table", {"table": "users", "sample_rows": 5})

    assert result.structured_content is not None
    masked = [column["name"] for column in result.structured_content["columns"] if column["masked"]]
    assert masked == ["password_hash", "credentials", "shouted"]
    assert result.structured_content["sample"][0] == [1, "ada", "***", "***", "***", "boss"]
    assert "hunter" not in text_of(result).lower()


async def test_exception_lifts_the_mask(connect: Connect) -> None:
    """A column that a person excepts is shown."""
    async with connect(more={"mask_except": ["users.password_hash"]}) as client:
        result = await client.call_tool("run_query", {"sql": "SELECT password_hash FROM users WHERE id = 1"})

    assert "hunter2hash" in text_of(result)


async def test_unknown_table_has_a_suggestion(connect: Connect) -> None:
    """A name that is nearly right is put right."""
    async with connect() as client:
        described = await client.call_tool("describe_table", {"table": "ship"}, raise_on_error=False)
        queried = await client.call_tool("run_query", {"sql": "SELECT * FROM visit"}, raise_on_error=False)
        column = await client.call_tool("run_query", {"sql": "SELECT tonns FROM ships"}, raise_on_error=False)

    assert "Did you mean ships" in text_of(described)
    assert "Did you mean visits" in text_of(queried)
    assert "tons" in text_of(column)
    assert "SELECT tonns FROM ships\n       ^" in text_of(column)


async def test_types_survive(connect: Connect) -> None:
    """Every kind of value arrives exactly as the engine writes it, and NULL is not the empty text."""
    async with connect() as client:
        result = await client.call_tool("run_query", {"sql": "SELECT * FROM kinds"})

    assert result.structured_content is not None
    names = [column["name"] for column in result.structured_content["columns"]]
    first, second = (dict(zip(names, row, strict=True)) for row in result.structured_content["rows"])
    assert first == {
        "exact": "12.3400",
        "big": "9007199254740993",
        "huge": "170141183460469231731687303715884105727",
        "zoned": "2026-03-01 10:00:00+00",
        "nanos": "2026-03-01 12:00:00.123456789",
        "plain": "2026-03-01 12:00:00.5",
        "day": "infinity",
        "clock": "23:59:59.25",
        "body": "<blob of 2 bytes, sha256 06eb7d6a69ee19e5…>",
        "doc": '{"a": [1, null]}',
        "list": "[1, NULL, 3]",
        "pairs": "{k=1}",
        "parts": "{'a': 1, 'b': x}",
        "either": "text",
        "who": "00000000-0000-0000-0000-00000000000a",
        "span": "1 month 2 days 00:00:03",
        "ratio": "NaN",
        "colour": "green",
        "bits": "0101",
        "truth": True,
        "empty": "",
        "nothing": None,
    }
    assert (second["exact"], second["huge"], second["plain"], second["ratio"]) == ("-0.0001", -1, "-infinity", "-Infinity")
    assert (second["span"], second["doc"], second["who"], second["empty"]) == ("-00:05:00", "null", None, "NULL")


async def test_pages_follow_each_other(connect: Connect) -> None:
    """A page that was cut goes on where it ended."""
    sql = "SELECT id FROM visits ORDER BY id"
    async with connect() as client:
        first = await client.call_tool("run_query", {"sql": sql, "limit": 3})
        assert first.structured_content is not None
        cursor = first.structured_content["next_cursor"]
        second = await client.call_tool("run_query", {"sql": sql, "limit": 3, "cursor": cursor})

    assert second.structured_content is not None
    assert [row[0] for row in first.structured_content["rows"] + second.structured_content["rows"]] == [1, 2, 3, 4, 5, 6]


async def test_order_outlives_the_writing_as_text(connect: Connect) -> None:
    """Where the engine writes values as text, rows stay in the order that was asked for."""
    async with connect() as client:
        result = await client.call_tool("run_query", {"sql": "SELECT arrived, id FROM visits ORDER BY id DESC", "limit": 300})

    assert result.structured_content is not None
    assert [row[1] for row in result.structured_content["rows"]] == list(range(2_000, 1_700, -1))


async def test_plan_is_shown(connect: Connect) -> None:
    """A plan is a tree of steps; with analyze the query is run and its rows are counted."""
    sql = "SELECT s.name, count(*) FROM ships s JOIN visits v ON v.ship_id = s.id GROUP BY s.name"
    async with connect() as client:
        result = await client.call_tool("explain_query", {"sql": sql, "analyze": True})
        refused = await client.call_tool("explain_query", {"sql": "DROP TABLE ships"}, raise_on_error=False)

    assert result.structured_content is not None
    assert result.structured_content["rows"] == 50
    assert any("SCAN" in step["operation"] for step in result.structured_content["steps"])
    assert "about 2,000 rows" in text_of(result)
    assert refused.is_error


async def test_health_finds_an_index_that_is_there_twice(connect: Connect) -> None:
    """Indexes are compared; what is not looked at is said."""
    async with connect() as client:
        result = await client.call_tool("database_health", {})

    assert result.structured_content is not None
    [finding] = result.structured_content["findings"]
    assert (finding["check"], finding["subject"]) == ("indexes", "visits_arrived_again")
    assert "duplicate" in finding["evidence"]
    assert any("sessions, locks" in each["reason"] for each in result.structured_content["unchecked"])


async def test_top_queries_says_that_nothing_is_counted(connect: Connect) -> None:
    """The statistics of an engine that nobody knows are not read."""
    async with connect() as client:
        result = await client.call_tool("top_queries", {}, raise_on_error=False)

    assert result.structured_content is not None
    assert result.structured_content["code"] == "not_found"


async def test_role_is_described_in_words(harbour: Path) -> None:
    """A file has no roles, and that is said."""
    settings = DatabasesSettings.model_validate({"databases": {"harbour": {"url": f"duckdb:///{harbour}"}}})

    assert "A file has no roles" in await role_sql(settings, "harbour")


def test_writable_is_refused(harbour: Path) -> None:
    """An engine of the generic rules cannot be changed, and a setting that asks for it is an error."""
    databases = {"harbour": {"url": f"duckdb:///{harbour}", "writable": True}}
    settings = DatabasesSettings.model_validate({"databases": databases, "allow_writes": True})

    with pytest.raises(ConfigError, match="writable"):
        sources(settings)


async def test_killed_process_is_replaced(connect: Connect) -> None:
    """When the process of a database dies, one call says so and the next is answered."""
    async with connect() as client:
        await client.call_tool("run_query", {"sql": "SELECT 1"})
        [pid] = workers()
        os.kill(pid, signal.SIGKILL)
        assert await ended(pid)
        results = [await client.call_tool("run_query", {"sql": "SELECT 2"}, raise_on_error=False) for _ in range(2)]

    assert not results[-1].is_error
    assert workers() == {}


async def test_query_past_its_time_is_gone(connect: Connect) -> None:
    """A query that takes too long is stopped with its process, and the next one runs in another."""
    slow = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c WHERE a.range + b.range + c.range > 1"
    async with connect(query_seconds=6) as client:
        await client.call_tool("run_query", {"sql": "SELECT 1"})
        [pid] = workers()
        result = await client.call_tool("run_query", {"sql": slow}, raise_on_error=False, timeout=PATIENCE_SECONDS)
        gone = await ended(pid)
        after = await client.call_tool("run_query", {"sql": "SELECT 1"})

    assert result.structured_content is not None
    assert result.structured_content["code"] == "timeout"
    assert gone
    assert not after.is_error


async def test_cancelled_query_is_gone(connect: Connect) -> None:
    """A call that is given up ends its process."""
    slow = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c WHERE a.range + b.range + c.range > 1"
    async with connect(query_seconds=60) as client:
        await client.call_tool("run_query", {"sql": "SELECT 1"})
        [pid] = workers()
        before = seconds_of(pid)
        call = asyncio.ensure_future(client.call_tool("run_query", {"sql": slow}))
        began = await comes_true(lambda: seconds_of(pid) > before + 0.5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        gone = await ended(pid)

    assert began
    assert gone


async def test_url_is_nowhere_to_be_seen(connect: Connect, harbour: Path) -> None:
    """Where the database is stands neither on the command line of its process nor in its environment."""
    async with connect() as client:
        await client.call_tool("run_query", {"sql": "SELECT 1"})
        [seen] = workers().values()

    assert str(harbour) not in seen
    assert "duckdb" not in seen


async def test_file_is_let_go_between_calls(connect: Connect, harbour: Path) -> None:
    """A writer can open the file while the server runs, and what it commits is seen."""
    async with connect() as client:
        before = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM ships"})
        with duckdb.connect(str(harbour)) as writer:
            writer.execute("DELETE FROM kinds; INSERT INTO ships (id, name) VALUES (1000, 'New')")
        after = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM ships"})

    assert before.structured_content is not None
    assert after.structured_content is not None
    assert (before.structured_content["rows"], after.structured_content["rows"]) == ([[50]], [[51]])

"""The tools over MCP on a real PostgreSQL."""

import asyncio
from typing import cast

import pytest
from opsroom_databases.server import role_sql
from opsroom_databases.settings import DatabasesSettings

from ..answers import Connect, Row, listed, structured, text_of
from .postgres_server import READER, PostgresServer

ENDLESS = "SELECT count(*) FROM stays a, stays b, stays c"


async def until_running(postgres: PostgresServer, count: int) -> None:
    """Waits, on the engine's own clock, until *count* statements of our server are running there."""
    async with asyncio.timeout(20):
        while len(await postgres.running()) != count:
            await postgres.admin("SELECT pg_sleep(0.02)")


async def test_database_is_listed_with_what_its_account_could_do(connect: Connect) -> None:
    """A superuser is called one; an account that may only read is too."""
    async with connect() as client:
        (boss,) = listed(await client.call_tool("list_databases"), "databases")
    async with connect(READER) as client:
        result = await client.call_tool("list_databases")
    (reader,) = listed(result, "databases")

    assert (boss["dialect"], boss["reachable"], boss["problem"], boss["tables"]) == ("postgres", True, None, 6)
    assert cast("str", boss["version"])[0].isdigit()
    assert cast("int", boss["size_bytes"]) > 1_000_000
    assert "superuser" in cast("str", boss["account"])
    assert reader["account"] == "can only read"
    assert text_of(result).splitlines()[0].endswith(",account")


async def test_dead_database_does_not_stop_the_other(connect: Connect, postgres: PostgresServer) -> None:
    """A database that does not answer, and one that refuses the login, are named with their reason, without any secret."""
    dead = f"postgresql://boss:hunter2@127.0.0.1:1/{'hotel'}"
    wrong = postgres.url().replace("boss:", "boss:not-")
    async with connect(databases={"alive": postgres.url(), "dead": dead, "wrong": wrong}) as client:
        result = await client.call_tool("list_databases")
        refused = await client.call_tool("run_query", {"sql": "SELECT 1", "database": "dead"}, raise_on_error=False)
        served = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM rooms", "database": "alive"})

    problems = {row["name"]: row["problem"] for row in listed(result, "databases")}
    assert problems["alive"] is None
    assert "cannot be reached" in str(problems["dead"])
    assert "refused the login" in str(problems["wrong"])
    assert structured(refused) == {"code": "unavailable", "retryable": True}
    assert structured(served)["rows"] == [[40]]
    assert "hunter2" not in text_of(result) + text_of(refused)
    assert "127.0.0.1" not in text_of(result) + text_of(refused)


async def test_mute_database_is_given_up(connect: Connect, postgres: PostgresServer) -> None:
    """An address that takes connections and says nothing is given up in time, and the other database is served."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as mute:
        port = mute.sockets[0].getsockname()[1]
        urls = {"alive": postgres.url(), "mute": f"postgresql://boss:x@127.0.0.1:{port}/hotel"}
        async with connect(databases=urls, query_seconds=0.5) as client:
            rows = listed(await client.call_tool("list_databases"), "databases")

    problems = {row["name"]: row["problem"] for row in rows}
    assert problems["alive"] is None
    assert "did not answer in time" in str(problems["mute"])


async def test_schema_is_listed_biggest_first(connect: Connect) -> None:
    """The glob * lists tables and views of all schemas with estimated rows and sizes, and a partitioned table as one."""
    async with connect() as client:
        relations = listed(await client.call_tool("search_schema", {"query": "*"}), "relations")

    by_name = {cast("str", row["name"]): row for row in relations}
    assert relations[0]["name"] == "stays"
    assert (by_name["stays"]["rows"], by_name["stays"]["rows_are"]) == (12_000, "estimated")
    assert by_name["books.bills"]["kind"] == "partitioned table"
    assert cast("int", by_name["books.bills"]["size_bytes"]) > 0
    assert (by_name["books.per_room"]["kind"], by_name["long_stays"]["kind"]) == ("materialized view", "view")
    assert "books.bills_2026" not in by_name
    assert "with_tax" not in by_name


@pytest.mark.parametrize(
    ("query", "first", "matched"),
    [
        ("with tax", "with_tax", "amount numeric, rate numeric DEFAULT 0.07) returns numeric: The price that the guest pays"),
        ("slept here", "guests", "Everybody who ever slept here"),
        ("lost found", "Lost & Found", "Größe text"),
        ("stays_arr*", "stays", "index stays_arrived_idx (arrived DESC)"),
    ],
)
async def test_schema_is_searched(connect: Connect, query: str, first: str, matched: str) -> None:
    """Functions, comments, odd names and indexes are found."""
    async with connect() as client:
        relations = listed(await client.call_tool("search_schema", {"query": query}), "relations")

    assert relations[0]["name"] == first
    assert matched in cast("str", relations[0]["matched"])


async def test_table_is_described_in_full(connect: Connect) -> None:
    """A description has types, defaults, keys in both directions, indexes, comments, size and sample rows."""
    async with connect() as client:
        guests = await client.call_tool("describe_table", {"table": "Guests", "sample_rows": 2})
        stays = await client.call_tool("describe_table", {"table": "public.stays"})
        rooms = await client.call_tool("describe_table", {"table": "rooms"})

    columns = {column["name"]: column for column in listed(guests, "columns")}
    assert (columns["id"]["primary_key"], columns["id"]["nullable"], columns["likes"]["default"]) == (1, False, "'{}'::text[]")
    assert columns["mail"]["comment"] == "Where the bill goes"
    assert "guests_likes_idx (likes) gin" in text_of(guests)
    assert "referenced by stays (guest_id)" in text_of(guests)
    assert len(listed(guests, "sample")) == 2
    assert "foreign key (guest_id) -> guests (id) on delete cascade" in text_of(stays)
    assert "stays_arrived_idx (arrived) partial" in text_of(stays)
    assert "enum(free, taken, being cleaned)" in text_of(rooms)
    assert {column["name"]: column["generated"] for column in listed(rooms, "columns")}["floor"] is True


@pytest.mark.parametrize("name", ["books.bills", '"Lost & Found"', "lost & found", "books.per_room", "long_stays"])
async def test_relation_is_described_by_any_spelling(connect: Connect, name: str) -> None:
    """Schemas, quotes and another case are understood; views show their definition."""
    async with connect() as client:
        described = structured(await client.call_tool("describe_table", {"table": name, "sample_rows": 1}))

    assert described["columns"]
    assert len(cast("list[object]", described["sample"])) == 1
    assert ("SELECT" in str(described["definition"])) == (described["kind"] in ("view", "materialized view"))


async def test_sample_of_a_forbidden_view_is_refused(connect: Connect) -> None:
    """A description shows no rows that a query would not."""
    async with connect() as client:
        described = await client.call_tool("describe_table", {"table": "staff"})
        sampled = await client.call_tool("describe_table", {"table": "staff", "sample_rows": 1}, raise_on_error=False)

    assert "rolpassword" in text_of(described)
    assert structured(sampled)["code"] == "not_permitted"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("n", ["12.5000", "NaN", None]),
        ("big", ["9007199254740993", "-9223372036854775808", None]),
        ("f", ["NaN", "-Infinity", None]),
        ("small", [0.1, "Infinity", None]),
        ("at", ["2026-03-29 01:30:00+00", "infinity", None]),
        ("wall", ["2026-03-29 02:30:00.123456", "-infinity", None]),
        ("day", ["2026-02-28", "infinity", None]),
        ("span", ["1 year 2 mons 3 days 04:05:06.7", "-00:00:01", None]),
        ("raw", ["<blob of 3 bytes, sha256 2da45f2cd1f9c8e6…>", "<blob of 0 bytes, sha256 e3b0c44298fc1c14…>", None]),
        ("doc", ['{"a":  1}', None, None]),
        ("docb", ['{"a": 1}', "null", None]),
        ("list", ["{1,NULL,3}", "{}", None]),
        ("tree", ['{{a,"b c"},{"d,e",NULL}}', "{}", None]),
        ("key", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None, None]),
        ("host", ["192.168.1.1", "::1/64", None]),
        ("net", ["10.0.0.0/8", None, None]),
        ("mac", ["08:00:2b:01:02:03", None, None]),
        ("state", ["being cleaned", None, None]),
        ("home", ['("Main St",)', "(,)", None]),
        ("letters", ["ab   ", "     ", None]),
        ("flag", [True, False, None]),
        ("bits", ["1010", None, None]),
        ("whole", ["[1,5)", "empty", None]),
        ("place", ["(1.5,2)", None, None]),
        ("words", ["'cat':3 'fat':2", "", None]),
        ("doc_xml", ["<a>&amp;</a>", None, None]),
        ("t", ["", "NULL", None]),
    ],
)
async def test_value_survives_exactly(connect: Connect, column: str, values: list[object]) -> None:
    """Every type comes out as the engine writes it, and NULL stays apart from the empty string."""
    async with connect() as client:
        result = await client.call_tool("run_query", {"sql": f"SELECT {column} FROM odd_values ORDER BY id"})  # noqa: S608 - of this list

    assert structured(result)["rows"] == [[value] for value in values]


async def test_columns_are_named_with_their_types(connect: Connect) -> None:
    """A column has the engine's name for its type, for types of users and of no one driver as well."""
    sql = "SELECT n, raw, state, home, list, whole, ARRAY[state] AS states, NULL::cstring AS c, 1 AS a, 2 AS a FROM odd_values"
    async with connect() as client:
        columns = listed(await client.call_tool("run_query", {"sql": sql}), "columns")

    assert [(column["name"], column["type"]) for column in columns] == [
        ("n", "numeric"),
        ("raw", "bytea"),
        ("state", "room_state"),
        ("home", "address"),
        ("list", "int4[]"),
        ("whole", "int4range"),
        ("states", "room_state[]"),
        ("c", "cstring"),
        ("a", "int4"),
        ("a", "int4"),
    ]


async def test_pages_follow_each_other(connect: Connect) -> None:
    """A cursor leads through all rows, each once, and every page is within its limits."""
    seen: list[object] = []
    cursor: object = None
    async with connect(max_rows=700) as client:
        while True:
            sql = "SELECT id FROM guests ORDER BY id"
            arguments = {"sql": sql, "limit": 700} | ({"cursor": cursor} if cursor else {})
            page = structured(await client.call_tool("run_query", arguments))
            seen += [row[0] for row in cast("list[list[object]]", page["rows"])]
            cursor = page["next_cursor"]
            if cursor is None:
                break

    assert seen == list(range(1, 2_001))


async def test_long_value_is_cut_by_the_engine(connect: Connect) -> None:
    """Of a value of 50 million characters only its start arrives, with its true length."""
    async with connect(max_cell=100, query_seconds=20) as client:
        sql = """SELECT repeat('ä', 50000000), repeat('ä', 1000), convert_to(repeat('b', 1000000), 'UTF8'),
            array_fill(1, ARRAY[5000000]), array_fill(1, ARRAY[1000])"""
        result = await client.call_tool("run_query", {"sql": sql})

    ((huge, cut, blob, array, short),) = cast("list[list[str]]", structured(result)["rows"])
    assert huge == "ä" * 100 + "… (+99999800 bytes)"
    assert cut == "ä" * 100 + "… (+900 characters)"
    assert blob.startswith("<blob of 1000000 bytes, sha256 ")
    assert array == "<value of 20000024 bytes, too large to show>"
    assert short.startswith("{1,1,1,")
    assert short.endswith("… (+1901 characters)")
    assert len(text_of(result)) < 800


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "words"),
    [
        ("run_query", {"sql": "SELECT nme\nFROM guests"}, "invalid_input", ['"nme" does', "guests.name", "SELECT nme\n       ^"]),
        ("run_query", {"sql": "SELECT * FROM gests"}, "invalid_input", ['"gests" does not exist', "^"]),
        ("run_query", {"sql": "SELECT with_taxes(1)"}, "invalid_input", ["Did you mean with_tax"]),
        ("run_query", {"sql": "SELECT 1 FROM guests GROUP WHERE"}, "invalid_input", ["syntax error", "^"]),
        ("run_query", {"sql": "EXPLAIN SELECT nme FROM guests"}, "invalid_input", ["guests.name", "guests\n" + " " * 15 + "^"]),
        ("run_query", {"sql": "DELETE FROM guests"}, "not_permitted", ["DELETE is not a query"]),
        ("run_query", {"sql": "SELECT check_in('x')"}, "not_permitted", ["read-only transaction"]),
        ("run_query", {"sql": "SELECT 1 / (number - number) FROM rooms"}, "invalid_input", ["division by zero"]),
        ("describe_table", {"table": "gests"}, "not_found", ["Did you mean guests"]),
        ("explain_query", {"sql": "SHOW timezone"}, "invalid_input", ["Only a query has a plan"]),
        ("explain_query", {"sql": "UPDATE rooms SET price = 1"}, "not_permitted", ["UPDATE is not a query"]),
    ],
)  # fmt: skip
async def test_failure_says_what_to_try(connect: Connect, tool: str, arguments: Row, code: str, words: list[str]) -> None:
    """A failure is an error result with the engine's words, the place in the caller's text, the nearest names, and a code."""
    async with connect() as client:
        result = await client.call_tool(tool, arguments, raise_on_error=False)

    assert result.is_error
    assert structured(result)["code"] == code
    assert all(word in text_of(result) for word in words), text_of(result)


async def test_reader_sees_what_it_may(connect: Connect) -> None:
    """An account with less rights is refused by the engine, in its words, and its rights are enough for the rest."""
    async with connect(READER) as client:
        allowed = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM guests"})
        refused = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM stays"}, raise_on_error=False)
        described = await client.call_tool("describe_table", {"table": "stays"})

    assert structured(allowed)["rows"] == [[2_000]]
    assert structured(refused)["code"] == "not_permitted"
    assert "permission denied for table stays" in text_of(refused)
    assert structured(described)["columns"]


async def test_slow_query_is_stopped_in_the_engine(connect: Connect, postgres: PostgresServer) -> None:
    """A query past its time is no longer running in the engine when the answer comes."""
    async with connect(query_seconds=0.5) as client:
        result = await client.call_tool("run_query", {"sql": ENDLESS}, raise_on_error=False)
        running = await postgres.running()

    assert structured(result) == {"code": "timeout", "retryable": True}
    assert running == []


async def test_cancelled_call_stops_its_query(connect: Connect, postgres: PostgresServer) -> None:
    """When the client gives up a call, its query ends in the engine, and the next one is answered."""
    async with connect(query_seconds=60, concurrency=1) as client:
        call = asyncio.create_task(client.call_tool("run_query", {"sql": ENDLESS}))
        await until_running(postgres, 1)
        call.cancel()
        await asyncio.wait({call})
        await until_running(postgres, 0)
        following = await client.call_tool("run_query", {"sql": "SELECT 1"})

    assert call.cancelled()
    assert structured(following)["rows"] == [[1]]


async def test_queries_beyond_the_limit_wait(connect: Connect, postgres: PostgresServer) -> None:
    """Of many calls at once only so many run in the engine as are allowed, long ones too; the others are served after them."""
    async with connect(concurrency=2, query_seconds=30) as client:
        calls = [asyncio.create_task(client.call_tool("run_query", {"sql": "SELECT count(*) FROM stays"})) for _ in range(12)]
        answers = await asyncio.gather(*calls)
        sessions = await postgres.sessions()

    assert [structured(answer)["rows"] for answer in answers] == [[[12_000]]] * 12
    assert sessions <= 4


async def test_engine_may_restart(connect: Connect, postgres: PostgresServer) -> None:
    """While the engine is away the database is said to be away, and after its return it is read as before."""
    async with connect() as client:
        before = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM rooms"})
        postgres.stop()
        try:
            away = await client.call_tool("run_query", {"sql": "SELECT 1"}, raise_on_error=False)
            said = listed(await client.call_tool("list_databases"), "databases")
        finally:
            postgres.start()
        after = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM rooms"})

    assert structured(away)["code"] == "unavailable"
    assert (said[0]["reachable"], "cannot be reached" in str(said[0]["problem"])) == (False, True)
    assert structured(after)["rows"] == structured(before)["rows"]


async def test_sessions_end_with_the_server(connect: Connect, postgres: PostgresServer) -> None:
    """Nothing is connected before the first call, one session serves several calls, and none is left at the end."""
    async with connect() as client:
        await client.list_tools()
        untouched = await postgres.sessions()
        for _ in range(5):
            await client.call_tool("run_query", {"sql": "SELECT 1"})
        used = await postgres.sessions()
    async with asyncio.timeout(20):
        while await postgres.sessions():
            await postgres.admin("SELECT pg_sleep(0.02)")

    assert (untouched, used) == (0, 1)


async def test_waiting_for_a_lock_is_ended(connect: Connect, postgres: PostgresServer) -> None:
    """A query that waits for somebody's lock is given up before its time is over, and says what it waited for."""
    async with connect(query_seconds=20) as client:
        holding = asyncio.create_task(
            postgres.admin("DO $$ BEGIN LOCK TABLE books.bills IN ACCESS EXCLUSIVE MODE; PERFORM pg_sleep(5); END $$")
        )
        async with asyncio.timeout(20):
            while not await postgres.admin(
                "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'books.bills'::regclass"
            ):
                pass
        result = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM books.bills"}, raise_on_error=False)
        await holding

    assert structured(result) == {"code": "unavailable", "retryable": True}
    assert "waits for a lock" in text_of(result)


async def test_plan_marks_the_costly_step(connect: Connect) -> None:
    """The scan of the large table is marked, and the index that would help is advised as what it is: not tried."""
    async with connect() as client:
        result = await client.call_tool("explain_query", {"sql": "SELECT * FROM stays s WHERE guest_id = 7 AND nights = 8"})

    costly = [step for step in listed(result, "steps") if step["costly"]] or listed(result, "steps")
    (advice,) = listed(result, "advice")
    assert "Seq Scan on stays s" in cast("str", costly[0]["operation"])
    assert "12,000 rows" in cast("str", advice["effect"])
    assert cast("str", advice["statement"]).startswith("CREATE INDEX ON public.stays (guest_id")
    assert advice["checked"] or "not tried" in cast("str", advice["effect"])


async def test_analyze_compares_with_the_estimates(connect: Connect, postgres: PostgresServer) -> None:
    """With analyze the query runs to its end, rolled back, and each step says what was expected and what came."""
    before = await postgres.observed()
    sql = "SELECT g.name, count(*) FROM guests g JOIN stays s ON s.guest_id = g.id GROUP BY g.name"
    async with connect() as client:
        result = await client.call_tool("explain_query", {"sql": sql, "analyze": True})
        after = await postgres.observed()

    assert structured(result)["rows"] == 2_000
    assert cast("float", structured(result)["elapsed_ms"]) > 0
    assert all("estimated" in cast("str", step["note"]) for step in listed(result, "steps"))
    assert after == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM guests WHERE id = 7",
        "SELECT count(*) FROM stays",
        "SELECT * FROM rooms WHERE view = 'sea'",
        "SELECT * FROM stays WHERE nights < 9",
        "TABLE long_stays",
    ],
)
async def test_no_index_is_advised_where_none_helps(connect: Connect, sql: str) -> None:
    """A small table, a key, a whole table and a condition that keeps most rows need no index."""
    async with connect() as client:
        result = await client.call_tool("explain_query", {"sql": sql})

    assert listed(result, "steps")
    assert listed(result, "advice") == []


async def test_advice_is_checked_with_hypothetical_indexes(connect: Connect, postgres: PostgresServer) -> None:
    """Where hypopg is installed, an index is advised only if the engine's own cost falls with it."""
    if not await postgres.admin("SELECT 1 FROM pg_available_extensions WHERE name = 'hypopg'"):
        pytest.skip("the extension hypopg is not installed; on Debian apt-get install postgresql-15-hypopg")
    await postgres.admin("CREATE EXTENSION hypopg")
    try:
        async with connect() as client:
            result = await client.call_tool("explain_query", {"sql": "SELECT * FROM stays WHERE guest_id = 7"})
    finally:
        await postgres.admin("DROP EXTENSION hypopg")

    (advice,) = listed(result, "advice")
    assert (advice["statement"], advice["checked"]) == ("CREATE INDEX ON public.stays (guest_id)", True)
    assert "cost falls from" in cast("str", advice["effect"])


async def test_printed_role_can_read_and_nothing_else(connect: Connect, postgres: PostgresServer) -> None:
    """The SQL of role-sql runs as it is, and the role that it makes reads everything and can do no more."""
    settings = DatabasesSettings.model_validate({"databases": {"hotel": {"url": postgres.url()}}})
    printed = await role_sql(settings, "hotel")
    postgres.run_sql(printed + "\nALTER ROLE opsroom_reader PASSWORD 's3cret/pass word';")
    try:
        async with connect("opsroom_reader") as client:
            (status,) = listed(await client.call_tool("list_databases"), "databases")
            read = await client.call_tool("run_query", {"sql": "SELECT count(*) FROM books.bills"})
            written = await client.call_tool("run_query", {"sql": "SELECT check_in('x')"}, raise_on_error=False)
    finally:
        postgres.run_sql("DROP OWNED BY opsroom_reader; DROP ROLE opsroom_reader;")

    assert status["account"] == "can only read"
    assert structured(read)["rows"] == [[500]]
    assert written.is_error

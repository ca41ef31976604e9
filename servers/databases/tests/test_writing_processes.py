"""Changes over real stdio: approved in both eras, never twice, and whole or not at all when processes are killed."""

import asyncio
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from opsroom_shared.testing.process import Era, Json, ServerProcess, server_process

SCRIPT = Path(sys.executable).with_name("opsroom-databases")
ROWS = 250
CAN_ASK: Json = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
SQL = "UPDATE numbers SET value = value + 1 WHERE id <= 3"
# for every row a count of its own, so that it takes seconds
SLOW = (
    "UPDATE numbers SET value = (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000 + id) "
    "SELECT count(*) FROM n) WHERE id > 0"
)

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    file = tmp_path / "numbers.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
        connection.executemany("INSERT INTO numbers VALUES (?, 0)", ((number,) for number in range(1, ROWS + 1)))
    return file


@pytest.fixture
def command(numbers: Path, tmp_path: Path) -> list[str | Path]:
    config = tmp_path / "databases.toml"
    config.write_text(f'query_seconds = 60\n[databases.numbers]\nurl = "{numbers}"\nwritable = true\n', encoding="utf-8")
    return [SCRIPT, "--config", config, "--allow-writes", "--state", tmp_path / "state"]


def changed(file: Path) -> int:
    """How many rows have another value, seen by a reader who waits until nobody writes."""
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT count(*) FROM numbers WHERE value <> 0").fetchone()[0]


async def call(server: ServerProcess, sql: str, **more: object) -> Json:
    params: dict[str, object] = {"name": "run_write", "arguments": {"sql": sql}, "_meta": CAN_ASK, **more}
    return await server.request("tools/call", cast("Json", params))


def reply(asked: Json, *, apply: bool = True) -> dict[str, object]:
    """What a modern client sends with its second call."""
    answer = {"approval": {"action": "accept", "content": {"apply": apply}}}
    return {"inputResponses": answer, "requestState": asked["requestState"]}


async def test_modern_approval_counts_once(command: list[str | Path], numbers: Path) -> None:
    """The first call returns a question, the second applies; the same answer again, or with another statement, does nothing."""
    async with server_process(command) as server:
        await server.handshake()
        asked = await call(server, SQL)
        before = changed(numbers)
        applied = await call(server, SQL, **reply(asked))
        again = await call(server, SQL, **reply(asked))
        other = await call(server, SQL)
        with pytest.raises(RuntimeError, match="requestState"):
            await call(server, "DELETE FROM numbers WHERE id = 9", **reply(other))

    assert (asked["resultType"], before) == ("input_required", 0)
    assert cast("Json", applied["structuredContent"])["rows_affected"] == 3
    assert cast("Json", again["structuredContent"])["code"] == "conflict"
    with closing(sqlite3.connect(numbers)) as connection:
        assert connection.execute("SELECT count(*), max(value) FROM numbers").fetchone() == (ROWS, 1)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_client_without_elicitation_changes_nothing(command: list[str | Path], numbers: Path, era: Era) -> None:
    """A client that declares no elicitation is refused, and an answer that it makes up is worth nothing."""
    async with server_process(command, era=era) as server:
        await server.handshake()
        refused = await server.call("run_write", sql=SQL)
        params: dict[str, object] = {"name": "run_write", "arguments": {"sql": SQL}, **reply({"requestState": "made up"})}
        try:
            invented = await server.request("tools/call", cast("Json", params))
        except RuntimeError as error:
            invented = {"isError": str(error)}

    assert cast("Json", refused["structuredContent"])["code"] == "not_permitted"
    assert invented["isError"]
    assert changed(numbers) == 0


@needs_proc
@pytest.mark.parametrize("victims", ["server", "worker", "both"])
async def test_killed_in_the_middle_leaves_all_or_nothing(command: list[str | Path], numbers: Path, victims: str) -> None:
    """Whoever is killed while a change is applied, the file has all of it or nothing, and is whole."""
    async with server_process(command) as server:
        await server.handshake()
        asked = await call(server, SLOW)
        meta = {**CAN_ASK, "progressToken": "p"}
        params: dict[str, object] = {"name": "run_write", "arguments": {"sql": SLOW}, **reply(asked), "_meta": meta}
        applying = asyncio.ensure_future(server.request("tools/call", cast("Json", params)))
        worker = await asyncio.to_thread(_writing, server.process.pid, numbers)
        if victims in ("worker", "both"):
            os.kill(worker, signal.SIGKILL)
        if victims in ("server", "both"):
            server.process.kill()
            with pytest.raises(ConnectionError):
                await applying
        else:
            result = await applying
            assert "all of it was applied, or nothing" in str(result["content"])

    rows = await asyncio.to_thread(changed, numbers)
    assert rows in ((0, ROWS) if victims == "server" else (0,))


def _writing(pid: int, numbers: Path) -> int:
    """The process that writes, once it is in the middle of a transaction; the test's own timeout bounds the wait."""
    while not (found := _writers(pid, numbers)):
        time.sleep(0.01)
    return found[0]


def _writers(pid: int, numbers: Path) -> list[int]:
    if not numbers.with_name(f"{numbers.name}-journal").exists():
        return []
    children = [(task / "children").read_text(encoding="ascii").split() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [
        int(child) for each in children for child in each if b"sqlite_write_worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]

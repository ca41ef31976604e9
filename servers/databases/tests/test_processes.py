"""The real console script over stdio: it starts light, stops cleanly, and leaves no process behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import anyio
import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport, StdioTransport

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]

SCRIPT = str(Path(sys.executable).with_name("opsroom-databases"))
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
LONG_SORT = "SELECT a.id FROM visits a, visits b, visits c ORDER BY random()"

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


def workers_of(pid: int) -> list[int]:
    """The worker processes that the process *pid* has started and that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            if b"sqlite_worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))  # noqa: PERF401 - a process may end between the two lines
    return found


def wait_until_gone(pids: list[int]) -> None:
    """Returns once none of *pids* runs any more; the test's own timeout bounds it."""
    while any(running(pid) for pid in pids):
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False


class Spoken:
    """JSON-RPC with a server process, line by line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
        self.tell({"method": "notifications/initialized"})

    def tell(self, message: Mapping[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def hear(self, wanted: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if wanted(message):
                return message
        raise EOFError("the server closed its output")

    def ask(self, method: str, params: Mapping[str, object]) -> dict[str, object]:
        self.tell({"id": method, "method": method, "params": params})
        return self.hear(lambda message: message.get("id") == method)

    def start_endless_query(self, sql: str = ENDLESS) -> None:
        """Returns once the server has said that the query is under way."""
        params = {"name": "run_query", "arguments": {"sql": sql}, "_meta": {"progressToken": "p"}}
        self.tell({"id": "slow", "method": "tools/call", "params": params})
        self.hear(lambda message: message.get("method") == "notifications/progress")


@contextmanager
def spoken(*arguments: str) -> Generator[Spoken]:
    with subprocess.Popen([SCRIPT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Spoken(process)
        finally:
            process.kill()


@needs_proc
@pytest.mark.parametrize("end", ["eof", "SIGTERM", "SIGINT"])
def test_server_takes_its_workers_along(clinic: Path, end: str) -> None:
    """Told to stop in the middle of a query, the server exits with 0 and the query's process is gone."""
    with spoken("--database", f"clinic={clinic}") as server:
        server.start_endless_query()
        workers = workers_of(server.process.pid)
        if end == "eof":
            assert server.process.stdin is not None
            server.process.stdin.close()
        else:
            server.process.send_signal(signal.Signals[end])
        status = server.process.wait()
        wait_until_gone(workers)

    assert status == 0
    assert len(workers) == 1


@needs_proc
@pytest.mark.parametrize("sql", [ENDLESS, LONG_SORT])
def test_killed_server_leaves_no_query_behind(clinic: Path, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """A worker whose server was killed ends by itself at the query's limit, even inside a sort."""
    monkeypatch.setenv("OPSROOM_DATABASES_QUERY_SECONDS", "2.5")
    with spoken("--database", f"clinic={clinic}") as server:
        server.start_endless_query(sql)
        workers = workers_of(server.process.pid)
        server.process.kill()
        server.process.wait()
        wait_until_gone(workers)

    assert len(workers) == 1


@needs_proc
async def test_cancelled_call_stops_its_query(connect: Connect, era: str) -> None:
    """When the client gives up a call, the process that runs its query is ended, and other calls go on."""
    under_way = anyio.Event()
    workers: list[int] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert (progress > 0, total, message) == (True, None, "running the query")
        under_way.set()

    async with connect(era) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: client.call_tool("run_query", {"sql": ENDLESS}, progress_handler=note))
            await under_way.wait()
            workers += workers_of(os.getpid())
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(wait_until_gone, workers)
        following = await client.call_tool("run_query", {"sql": "SELECT 1"})

    assert len(workers) == 1
    assert not following.is_error


@needs_proc
async def test_query_past_its_limit_is_ended(connect: Connect) -> None:
    """After a query was stopped inside a sort, none of its processes is left."""
    async with connect(query_seconds=0.3) as client:
        result = await client.call_tool("run_query", {"sql": LONG_SORT}, raise_on_error=False)
        busy = workers_of(os.getpid())
        await client.call_tool("run_query", {"sql": "SELECT 1"})
    wait_until_gone(busy)

    assert result.is_error
    assert workers_of(os.getpid()) == []


async def test_queries_run_side_by_side(connect: Connect) -> None:
    """Slow queries up to the limit do not keep a fast one waiting in line once a place is free."""
    slow = "SELECT count(*) FROM visits a, visits b"
    answers: list[object] = []
    async with connect(concurrency=2) as client:

        async def ask(sql: str) -> None:
            answers.append((await client.call_tool("run_query", {"sql": sql})).structured_content)

        async with anyio.create_task_group() as group:
            for sql in (slow, slow, slow, "SELECT 1", "SELECT 2"):
                group.start_soon(ask, sql)

    assert len(answers) == 5


async def test_slow_queries_make_room_for_quick_ones(connect: Connect) -> None:
    """A quick query is answered while as many slow ones as may run side by side go on."""
    answers: list[object] = []
    async with connect(concurrency=1, query_seconds=60) as client, anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "run_query", {"sql": ENDLESS})
        with anyio.fail_after(30):
            answers.append((await client.call_tool("run_query", {"sql": "SELECT 1 AS one"})).structured_content)
        group.cancel_scope.cancel()

    assert [answer["rows"] for answer in answers if isinstance(answer, dict)] == [[[1]]]


async def test_full_server_says_so(connect: Connect) -> None:
    """A call that finds every place taken for too long is told that it may try again."""
    async with connect(concurrency=1, query_seconds=2) as client:
        results: list[bool] = []

        async def ask() -> None:
            answer = await client.call_tool("run_query", {"sql": LONG_SORT}, raise_on_error=False)
            assert answer.structured_content is not None
            results.append(bool(answer.structured_content["retryable"]))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)

    assert results == [True, True, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--database NAME=URL, such as postgresql://… or a file's path, or --demo"),
        (["--database", "a=/no/such/file.db"], "no such file"),
        (["--database", "a={folder}"], "is not a file"),
        (["--database", "a={text}"], "is not an SQLite database"),
        (["--database", "a=oracle://u:hunter2@h/x"], "the driver of 'oracle' is not installed: install oracledb"),
        (["--database", "a=sqlite://"], "expected sqlite:////absolute/path"),
        (["--database", "a=:memory:"], "names no file"),
        (["--database", "a=sqlite:///{text}?mode=rwc"], "options after ? are not supported"),
        (["--database", "{file}", "--database", "{file}"], "two databases are named clinic"),
        (["--demo", "--database", "shop={file}"], "--demo brings a database of this name"),
        (["--config", "/no/such.toml"], "no such file"),
    ],
)
def test_bad_configuration_is_one_clear_line(clinic: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    """What cannot work ends at once with status 2, one line that says what to do, no traceback and no secret."""
    text = tmp_path / "notes.txt"
    text.write_text("these are notes, not a database", encoding="utf-8")
    filled = [each.format(file=clinic, folder=tmp_path, text=text) for each in arguments]
    done = subprocess.run([SCRIPT, *filled], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    assert done.stdout == ""


def test_nothing_heavy_is_loaded_before_the_first_call(tmp_path: Path) -> None:
    """Building the server imports neither the SQL parser nor SQLAlchemy, and makes no demo data."""
    code = (
        "import sys; from pathlib import Path; from opsroom_databases.server import build; "
        "from opsroom_databases.settings import DatabasesSettings; "
        "build(DatabasesSettings(demo=True, state=Path(sys.argv[1]))); "
        "print([name for name in ('sqlglot', 'asyncpg', 'pymysql') if name in sys.modules], list(Path(sys.argv[1]).iterdir()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[] []"


async def test_demo_answers_over_stdio(tmp_path: Path, era: str) -> None:
    """The console script with --demo answers from the shop that it makes on the first call."""
    transport = StdioTransport(SCRIPT, ["--demo", "--state", str(tmp_path)], keep_alive=False)
    async with Client(transport, mode=era, init_timeout=30) as client:
        result = await client.call_tool("run_query", {"sql": "SELECT count(*) >= 50000 FROM orders"})

    assert result.structured_content is not None
    assert result.structured_content["rows"] == [[1]]

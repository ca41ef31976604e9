"""Many clients of the databases server at once, on a private PostgreSQL, against the bare driver with the same clients.

Half of the clients ask for little; the others run into the time limit, ask for far more than an answer holds, or give up.
PEER=1 also installs dbhub from npm into a throw-away folder, and asks it the same quick queries.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
from opsroom_shared.testing.process import Json, ServerProcess, server_process
from typing_extensions import override

SECONDS = float(os.environ.get("SECONDS", "15"))
ROUNDS = int(os.environ.get("ROUNDS", "300"))
LIMIT = 3.0
CLIENTS = 32
SERVER = Path(sys.executable).parent / "opsroom-databases"
PAUSE_SECONDS = 0.5
"""About how long a client thinks between two calls."""
QUERY_SECONDS = 1.0
"""The time limit in these runs."""
GIVES_UP_SECONDS = 0.2

PLACES = {"fast": 16, "slow": 4, "huge cell": 3, "huge rows": 5, "cancelled": 4}
"""How many of the clients do what."""

SCHEMA = (
    "CREATE TABLE guests (id int PRIMARY KEY, name text, country text, password_hash text)",
    "INSERT INTO guests SELECT i, 'guest' || i, substr('DEFRIT', 1 + i % 3 * 2, 2), md5(i::text) FROM generate_series(1,2000) i",
    "CREATE TABLE stays (id int PRIMARY KEY, guest int, night date, price numeric(8, 2))",
    "INSERT INTO stays SELECT i, 1 + i % 2000, date '2026-01-01' + i % 300, i % 977 / 7.0 FROM generate_series(1, 40000) i",
    "CREATE INDEX ON stays (guest)",
    "CREATE TABLE locked ()",
    "ANALYZE",
)
FAST = (
    "SELECT id, name, country FROM guests WHERE id = {0}",
    "SELECT night, price FROM stays WHERE guest = {0} ORDER BY night LIMIT 20",
    "SELECT g.country, count(*) AS stays, sum(s.price) AS paid FROM guests g JOIN stays s ON s.guest = g.id "  # noqa: ISC004 - one query
    "WHERE g.id BETWEEN {0} AND {0} + 20 GROUP BY g.country ORDER BY g.country",
)
WAITING = "SELECT count(*) FROM locked"
WORKING = "SELECT count(*) FROM stays a JOIN stays b ON a.price < b.price"
HUGE_CELL = "SELECT repeat(name, 2000000) AS c FROM guests WHERE id = {0}"
HUGE_ROWS = "SELECT a.*, b.* FROM stays a CROSS JOIN guests b"
META: Json = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "opsroom-benchmark", "version": "1"},
}


@dataclass(frozen=True)
class Engine:
    """A running private engine with the tables above."""

    url: str
    busy: Callable[[], Awaitable[int]]
    """How many sessions of the server do something, or hold a transaction."""


@dataclass
class Run:
    """What the clients of one run have seen."""

    latencies: list[float] = field(default_factory=list[float])
    """Of the fast queries that were answered."""
    calls: Counter[str] = field(default_factory=Counter[str])
    problems: Counter[str] = field(default_factory=Counter[str])
    """Outcomes that nothing in the query explains."""
    left: int = 0
    """Sessions that are still busy afterwards."""


@dataclass(frozen=True)
class Answer:
    """What a call came to."""

    error: bool
    text: str


class Connection(Protocol):
    """What is used of the driver's."""

    async def fetch(self, query: str) -> list[Sequence[object]]: ...

    async def execute(self, query: str) -> str: ...

    async def close(self) -> None: ...

    def terminate(self) -> None: ...


async def connected(url: str, **options: object) -> Connection:
    return cast("Connection", await asyncpg.connect(url, **options))  # pyright: ignore[reportUnknownMemberType, reportArgumentType] - no stubs


class Client(Protocol):
    @abstractmethod
    async def call(self, sql: str) -> Answer: ...

    @abstractmethod
    async def leave(self) -> None:
        """Gives up what it waits for; the next call begins anew."""
        ...


class DriverClient(Client):
    """One client with a session of the engine of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    @override
    async def call(self, sql: str) -> Answer:
        if self._connection is None:
            limit = {"statement_timeout": str(round(QUERY_SECONDS * 1000))}
            self._connection = await connected(self._url, server_settings=limit)
        cut = sql
        if sql == HUGE_ROWS:
            cut = f"{sql} LIMIT 100"
        elif sql.startswith(HUGE_CELL[:14]):
            cut = f"SELECT left(c, 1000) FROM ({sql}) q"  # noqa: S608 - made of constants
        try:
            await self._connection.fetch(cut)
        except asyncpg.PostgresError as error:
            return Answer(error=True, text=str(error))
        return Answer(error=False, text="")

    @override
    async def leave(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class HttpClient(Client):
    """One client over a connection of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @override
    async def call(self, sql: str) -> Answer:
        if self._stream is None:
            self._stream = await asyncio.open_connection(self._host, self._port, limit=1 << 24)
        reader, writer = self._stream
        call: Json = {"name": "run_query", "arguments": {"sql": sql}, "_meta": META}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: application/json\r\n"
            "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
            f"Mcp-Method: tools/call\r\nMcp-Name: run_query\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        if "content-length" in headers:
            raw = await reader.readexactly(int(headers["content-length"]))
        else:  # a call that takes long is answered in events, the last of which is the result
            raw = await _chunks(reader)
            raw = [line for line in raw.splitlines() if line.startswith(b"data: ")][-1].removeprefix(b"data: ")
        result = cast("Json", json.loads(raw)).get("result")
        if not isinstance(result, dict):
            return Answer(error=True, text=raw.decode()[:200])
        content = cast("list[Json]", result["content"])
        return Answer(error=result.get("isError") is True, text=str(content[0]["text"]))

    @override
    async def leave(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)


async def client(number: int, what: str, caller: Client) -> Run:
    """One of the clients: calls and pauses until the time is over."""
    chance = random.Random(number)  # noqa: S311 - the same for every run
    run = Run()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        await asyncio.sleep(PAUSE_SECONDS * chance.uniform(0.5, 1.5))
        asked = {"fast": chance.choice(FAST), "huge cell": HUGE_CELL, "huge rows": HUGE_ROWS, "slow": WAITING}.get(what, WORKING)
        sql = asked.format(chance.randrange(1, 2_000))
        run.calls[what] += 1
        begun = time.perf_counter()
        if what == "cancelled":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GIVES_UP_SECONDS):
                    await caller.call(sql)
            await caller.leave()
            continue
        answer = await caller.call(sql)
        if what == "fast" and not answer.error:
            run.latencies.append(time.perf_counter() - begun)
        if answer.error is not (what == "slow"):
            run.problems[f"{what}: {answer.text[:150]}"] += 1
    await caller.leave()
    return run


async def mixed(clients: Sequence[Client]) -> Run:
    """All clients at once."""
    places = [what for what, count in PLACES.items() for _ in range(count)]
    runs = await asyncio.gather(*(client(number, what, clients[number]) for number, what in enumerate(places)))
    total = Run()
    for run in runs:
        total.latencies += run.latencies
        total.calls += run.calls
        total.problems += run.problems
    return total


def memory(server: ServerProcess) -> float:
    """What the server holds of the machine's memory, in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def highest(server: ServerProcess, found: list[float]) -> None:
    while True:
        found.append(memory(server))
        await asyncio.sleep(0.1)


async def settled(engine: Engine) -> int:
    """How many sessions are still busy when all clients are gone, after a moment."""
    left = 0
    for _ in range(30):
        if not (left := await engine.busy()):
            return 0
        await asyncio.sleep(0.1)
    return left


def line(name: str, values: Sequence[float], base: float | None = None) -> str:
    ordered = sorted(values)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    ratio = "" if base is None else f"   {p50 / base:5.1f} times the driver"
    return f"  {name:42} p50 {p50 * 1000:7.2f} ms  p99 {p99 * 1000:8.2f} ms  of {len(ordered):5}{ratio}"


async def through_server(engine: Engine, base: float) -> Run:
    async with server_process(
        [SERVER, "--http", "127.0.0.1:0"],
        env={"OPSROOM_DATABASES_DATABASES__SHOP__URL": engine.url, "OPSROOM_DATABASES_QUERY_SECONDS": str(QUERY_SECONDS)},
        patience=SECONDS + 60,
    ) as server:
        where = await server.logged(r"listens on http://(\S+):(\d+)/mcp\n")
        clients = [HttpClient(where[1], int(where[2])) for _ in range(CLIENTS)]
        await asyncio.gather(*(each.call("SELECT 1") for each in clients))
        seen = [memory(server)]
        watching = asyncio.create_task(highest(server, seen))
        run = await mixed(clients)
        watching.cancel()
        left = await settled(engine)
        print(line("opsroom-databases over HTTP", run.latencies, base))
        print(
            f"    {sum(run.calls.values())} calls; errors that were not caused: {sum(run.problems.values())}; "
            f"sessions still busy: {left}; memory {seen[0]:.0f} MiB before, {max(seen):.0f} at most, {memory(server):.0f} after"
        )
        run.left = left
    return run


async def idle(engine: Engine) -> None:
    """One client, nothing else: over stdio, and with the driver."""
    sqls = [FAST[turn % len(FAST)].format(1 + turn % 1_999) for turn in range(ROUNDS + 3)]
    url = engine.url
    own: list[float] = []
    bare: list[float] = []
    connection = await connected(url)
    async with server_process([SERVER], env={"OPSROOM_DATABASES_DATABASES__SHOP__URL": url}) as server:
        await server.handshake()
        for sql in sqls:
            begun = time.perf_counter()
            await server.call("run_query", sql=sql)
            between = time.perf_counter()
            await connection.fetch(sql)
            own.append(between - begun)
            bare.append(time.perf_counter() - between)
    await connection.close()
    base = statistics.median(bare[3:])
    print(line("asyncpg, one client, nothing else", bare[3:]))
    print(line("opsroom-databases over stdio, likewise", own[3:], base))


async def bare_driver(engine: Engine) -> Run:
    """The same clients, each with a connection of its own; the large results are cut as the server cuts them."""
    clients = [DriverClient(engine.url) for _ in range(CLIENTS)]
    await asyncio.gather(*(each.call("SELECT 1") for each in clients))
    return await mixed(clients)


def programs() -> list[Path]:
    """The folders of the engine's programs, the newest last."""
    found = shutil.which("initdb")
    installed = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    return sorted(installed, key=lambda folder: float(folder.parent.name)) or ([Path(found).resolve().parent] if found else [])


@contextmanager
def postgres(folder: Path) -> Generator[Engine]:
    """A private PostgreSQL with the tables."""
    data, port = folder / "postgres", free_port()
    user = "postgres" if os.geteuid() == 0 else None
    data.mkdir()
    if user:
        shutil.chown(data, user)
    as_user = ["runuser", "-u", user, "--"] if user else []

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs()[-1] / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run("initdb", "-U", "boss", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    options = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=64MB -c autovacuum=off"
    run("pg_ctl", "-l", str(data / "log"), "-w", "-o", options, "start")
    url = f"postgresql://boss@127.0.0.1:{port}/postgres"

    async def ask(*statements: str) -> int:
        connection = await connected(url)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return int(str((await connection.fetch(statements[-1]))[0][0]))
        finally:
            await connection.close()

    async def busy() -> int:
        return await ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'opsroom-databases' AND state <> 'idle'")

    try:
        asyncio.run(ask(*SCHEMA, "SELECT count(*) FROM stays"))
        yield Engine(url, busy)
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def peer(engine: Engine, folder: Path) -> None:
    """The quick queries through dbhub, one client and nothing else."""
    if "PEER" not in os.environ:
        print("  dbhub: left out; PEER=1 installs it into a throw-away folder and asks it, too")
        return
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "@bytebase/dbhub"]
    try:
        await asyncio.to_thread(subprocess.run, install, check=True, capture_output=True, timeout=180)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"  dbhub: left out; it cannot be installed: {error}")
        return
    command = [folder / "node_modules" / ".bin" / "dbhub", "--transport", "stdio", "--dsn", f"{engine.url}?sslmode=disable"]
    taken: list[float] = []
    async with server_process(command, era="legacy") as server:
        await server.handshake()
        for turn in range(ROUNDS + 3):
            begun = time.perf_counter()
            answer = await server.call("execute_sql", sql=FAST[turn % len(FAST)].format(1 + turn % 1_999))
            taken.append(time.perf_counter() - begun)
            if answer.get("isError"):
                print(f"  dbhub: left out; it answers {str(answer)[:200]}")
                return
    print(line("dbhub over stdio, likewise", taken[3:]))


async def measure(engine: Engine, folder: Path) -> bool:
    """Whether everything is as it should be."""
    print(f"one client, {ROUNDS} fast queries in turns\n")
    await idle(engine)
    await peer(engine, folder)
    print(f"\n{CLIENTS} clients for {SECONDS:g} s each: {', '.join(f'{count} {what}' for what, count in PLACES.items())}\n")
    locking = await connected(engine.url)
    await locking.execute("BEGIN; LOCK TABLE locked")
    bare = await bare_driver(engine)
    print(line("asyncpg, a session for each client", bare.latencies))
    base = statistics.median(bare.latencies)
    run = await through_server(engine, base)
    await locking.close()
    for problem, count in (bare.problems + run.problems).most_common(5):
        print(f"    {count} times {problem}")
    return not run.problems and not run.left and statistics.median(run.latencies) <= LIMIT * base


def main() -> int:
    if not programs():
        print("left out: PostgreSQL is not installed")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder) as engine:
            fine = asyncio.run(measure(engine, folder))
    wanted = f"no such errors, no such sessions, at most {LIMIT:g} times the driver"
    print(f"\n{'as it should be' if fine else 'NOT as it should be'}: {wanted}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

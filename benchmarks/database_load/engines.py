"""Private engines with the tables: PostgreSQL, MariaDB and SQLite, where they are on the machine."""

import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from opsroom_databases.providers import sqlite_worker

from .clients import Client
from .drivers import MariadbClient, PostgresClient, SqliteClient, on_mariadb, on_postgres
from .statements import TABLES, WRITING, Statements, guests, stays

_SBIN = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_START_SECONDS = 60.0
_WRITE_SECONDS = 0.1
_ACCOUNT, _BARE = "opsroom", "bare"


@dataclass(frozen=True)
class Engine:
    """A running engine, and what it knows of the sessions of the server."""

    name: str
    driver: str
    url: str
    """For the server, and for dbhub."""
    statements: Statements
    connect: Callable[[], Client]
    """A client with a session of its own, by the bare driver."""
    busy: Callable[[], int]
    """How many sessions of the server do something, or hold a transaction."""
    held: Callable[[], int]
    """How many there are."""


Opener: TypeAlias = Callable[[Path], Generator[Engine]]


class Missing(Exception):
    """The engine is not on this machine."""


def postgres(folder: Path) -> Generator[Engine]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parent.parent.name))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        raise Missing("initdb is not found")
    data, port = folder / "postgres", _free_port()
    user = "postgres" if os.geteuid() == 0 else None
    data.mkdir()
    if user:
        shutil.chown(data, user)

    def run(program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", user, "--"] if user else []
        command = [*as_user, str(Path(initdb).parent / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run("initdb", "-U", "boss", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    options = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=64MB -c autovacuum=off"
    run("pg_ctl", "-l", str(data / "log"), "-w", "-o", options, "start")
    url = f"postgresql://boss@127.0.0.1:{port}/postgres"
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'opsroom-databases'"
    statements = Statements("SELECT repeat(name, 2000000) AS c FROM guests WHERE id = {0}", "SELECT count(*) FROM locked")
    try:
        with on_postgres(url) as ask, on_postgres(url) as locking:
            for statement in TABLES:
                ask(statement)
            ask.fill("guests", guests())
            ask.fill("stays", stays())
            ask("ANALYZE")
            locking("BEGIN; LOCK TABLE locked")
            with _writing(ask):
                yield Engine(
                    "PostgreSQL",
                    "asyncpg",
                    url,
                    statements,
                    lambda: PostgresClient(url, statements),
                    lambda: ask.number(f"{sessions} AND state <> 'idle'"),
                    lambda: ask.number(sessions),
                )
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")


def mariadb(folder: Path) -> Generator[Engine]:
    installer, server = (shutil.which(name, path=_SBIN) for name in ("mariadb-install-db", "mariadbd"))
    if installer is None or server is None:
        raise Missing("mariadbd is not found")
    data, port = folder / "mariadb", _free_port()
    data.mkdir()
    user = ["--user=mysql"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(data, "mysql")
    place = [f"--datadir={data}", f"--tmpdir={data}", *user]
    install = [installer, "--no-defaults", *place, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(install, check=True, capture_output=True)
    address = data / "s"
    options = [f"--socket={address}", f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={data / 'pid'}"]
    options += ["--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M", "--max-connections=200"]
    process = subprocess.Popen([server, "--no-defaults", *place, *options], stderr=subprocess.DEVNULL)
    url = f"mysql://{_ACCOUNT}@127.0.0.1:{port}/hotel"
    sessions = f"SELECT count(*) FROM information_schema.processlist WHERE user = '{_ACCOUNT}'"  # noqa: S608 - ours
    statements = Statements("SELECT repeat(name, 1500000) AS c FROM guests WHERE id = {0}", "SELECT count(*) FROM locked")
    try:
        _await_socket(address, process)
        with on_mariadb(address) as ask, on_mariadb(address) as locking:
            ask("CREATE DATABASE hotel")
            for account in (_ACCOUNT, _BARE):
                ask(f"CREATE USER {account}@'%'")
                ask(f"GRANT SELECT ON hotel.* TO {account}@'%'")
            for each in (ask, locking):
                each("USE hotel")
            for statement in TABLES:
                ask(statement)
            ask.fill("guests", guests())
            ask.fill("stays", stays())
            ask("ANALYZE TABLE guests, stays")
            locking("LOCK TABLES locked WRITE")
            with _writing(ask):
                yield Engine(
                    "MariaDB",
                    "PyMySQL",
                    url,
                    statements,
                    lambda: MariadbClient(port, _BARE, statements),
                    lambda: ask.number(f"{sessions} AND command <> 'Sleep'"),
                    lambda: ask.number(sessions),
                )
    finally:
        process.kill()
        process.wait()


def sqlite(folder: Path) -> Generator[Engine]:
    path = folder / "hotel.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in TABLES:
            connection.execute(statement)
        connection.executemany("INSERT INTO guests VALUES (?, ?, ?, ?)", guests())
        connection.executemany("INSERT INTO stays VALUES (?, ?, ?, ?)", stays())
        connection.execute("ANALYZE")
        connection.commit()
    statements = Statements("SELECT printf('%.*c', 8000000 + {0}, 'x') AS c")
    yield Engine(
        "SQLite",
        "sqlite3",
        f"sqlite:///{path}",
        statements,
        lambda: SqliteClient(path, statements),
        lambda: sum(state in "RD" for state in _workers()),
        lambda: len(_workers()),
    )


ENGINES: Mapping[str, Opener] = {"postgres": postgres, "mariadb": mariadb, "sqlite": sqlite}


@contextmanager
def _writing(ask: Callable[[str], object]) -> Generator[None]:
    """Somebody commits ten times a second, as happens on a database that is in use."""
    over = threading.Event()

    def write() -> None:
        while not over.wait(_WRITE_SECONDS):
            ask(WRITING)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _workers() -> list[str]:
    """The states of the processes in which the server reads SQLite files."""
    script = Path(sqlite_worker.__file__).name.encode()
    states: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if script in (process / "cmdline").read_bytes():
                states.append((process / "stat").read_text(encoding="ascii").rpartition(") ")[2][0])
        except OSError:
            continue  # it has just ended
    return states


def _await_socket(address: Path, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _START_SECONDS
    with socket.socket(socket.AF_UNIX) as probe:
        while probe.connect_ex(str(address)):
            if process.poll() is not None or time.monotonic() > end:
                raise Missing("mariadbd does not start")
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])

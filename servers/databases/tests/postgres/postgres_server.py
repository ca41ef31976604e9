"""A private PostgreSQL for the tests: its own data folder and port, and every look at what it holds."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
from opsroom_databases.providers.postgres_driver import Connection, NamingConnection

DATABASE, BOSS, READER = "hotel", "boss", "reader"
PASSWORD = "s3cret/pass word"  # noqa: S105 - of an engine that is gone after the tests
ENCODED_PASSWORD = "s3cret%2Fpass%20word"  # noqa: S105 - as above
_OURS = "opsroom-databases"

_CONFIGURATION = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
max_connections = 50
max_prepared_transactions = 2
max_wal_size = '2GB'
autovacuum = off
shared_buffers = '32MB'
"""
_OBSERVED = {
    "relations": """
        SELECT string_agg(concat_ws(' ', c.oid, relname, relkind, relfilenode, relacl, relhastriggers), ',' ORDER BY c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('public', 'books')""",
    "functions": "SELECT md5(string_agg(oid::text || prosrc, ',' ORDER BY oid)) FROM pg_proc WHERE oid >= 16384",
    "roles": "SELECT string_agg(a::text, ',' ORDER BY oid) FROM pg_authid a",
    "settings": """SELECT pg_conf_load_time()::text || coalesce((SELECT string_agg(s::text, ',') FROM pg_db_role_setting s), '')
        || pg_read_file('postgresql.auto.conf')""",
    "large objects": "SELECT md5(string_agg(loid::text || encode(data, 'hex'), ',' ORDER BY loid, pageno)) FROM pg_largeobject",
    "slots": "SELECT (SELECT count(*) FROM pg_replication_slots) || ' ' || (SELECT count(*) FROM pg_prepared_xacts)",
    "sequences": "SELECT last_value || ' ' || is_called FROM bill_numbers",
    "comments": "SELECT md5(string_agg(description, ',' ORDER BY objoid, objsubid)) FROM pg_description WHERE objoid >= 16384",
    "statistics": "SELECT coalesce(max(stats_reset)::text, '') FROM pg_stat_slru",
    "checkpoint": "SELECT checkpoint_lsn::text FROM pg_control_checkpoint()",
    "guests": "SELECT count(*) || md5(string_agg(g::text || xmax::text, ',' ORDER BY id)) FROM guests g",
    "rooms": "SELECT count(*) || md5(string_agg(r::text || xmax::text, ',' ORDER BY number)) FROM rooms r",
    "stays": "SELECT count(*) || ' ' || sum(id) FROM stays",
    "locks": "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'",
    "open transactions": f"""SELECT count(*)::text FROM pg_stat_activity
        WHERE application_name = '{_OURS}' AND state <> 'idle'""",  # noqa: S608 - made of constants
}


def programs() -> Path | None:
    """The folder of the engine's programs, the newest where there are several."""
    found = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


class PostgresServer:
    """Started once for a run of tests, and ended with it."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.folder, self._bin = folder, bin_folder
        self._data, self._log = folder / "data", folder / "log"
        self._user = "postgres" if os.geteuid() == 0 else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def install(self, schema: str, settings: str = "") -> None:
        """Makes the data folder, the database, and two accounts: one that may do everything, one that may read."""
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if self._user:
            for each in (self.folder, password):
                shutil.chown(each, self._user)
        self._run("initdb", "-D", str(self._data), "-U", BOSS, f"--pwfile={password}", "--auth-local=trust", *self._options())
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"{_CONFIGURATION}{settings}port = {self.port}\nunix_socket_directories = '{self.folder}'\n")
        self.start()
        self._psql("postgres", f"CREATE DATABASE {DATABASE}; CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
        self._psql(DATABASE, schema)
        self._psql(DATABASE, f"GRANT SELECT ON guests, rooms TO {READER}")

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self._log), "-w", "start")

    def standby(self) -> "PostgresServer":
        """A second engine that follows this one; it is to be stopped first."""
        follower = PostgresServer(self.folder / "standby", self._bin)
        follower.folder.mkdir()
        if self._user:
            shutil.chown(follower.folder, self._user)
        where = ("-h", str(self.folder), "-p", str(self.port), "-U", BOSS)
        follower._run("pg_basebackup", *where, "-D", str(follower._data), "--write-recovery-conf", "--checkpoint=fast")
        with (follower._data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"port = {follower.port}\nunix_socket_directories = '{follower.folder}'\n")
        follower.start()
        return follower

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def url(self, account: str = BOSS, database: str = DATABASE) -> str:
        return f"postgresql://{account}:{ENCODED_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def run_sql(self, text: str, database: str = DATABASE) -> None:
        """Several statements, as an account that may do everything."""
        self._psql(database, text)

    async def admin(self, statement: str, database: str = DATABASE) -> list[tuple[object, ...]]:
        """Rows of *statement*, as an account that may do everything."""
        connection = cast(
            "Connection",
            await asyncpg.connect(  # pyright: ignore[reportUnknownMemberType] - no stubs
                host=str(self.folder), port=self.port, user=BOSS, database=database, connection_class=NamingConnection
            ),
        )
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close(timeout=5)

    async def observed(self) -> dict[str, object]:
        """Everything that an attack could have changed, locked or left behind."""
        query = ", ".join(f"({each})" for each in _OBSERVED.values())
        (row,) = await self.admin(f"SELECT {query}")
        return dict(zip(_OBSERVED, row, strict=True))

    async def running(self) -> list[str]:
        """The statements that our server is running."""
        rows = await self.admin(f"SELECT query FROM pg_stat_activity WHERE application_name = '{_OURS}' AND state = 'active'")  # noqa: S608 - made of constants
        return [str(query) for (query,) in rows]

    async def sessions(self) -> int:
        ((count,),) = await self.admin(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{_OURS}'")  # noqa: S608 - made of constants
        return int(str(count))

    def _options(self) -> list[str]:
        return ["--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]

    def _psql(self, database: str, text: str) -> None:
        where = ("-h", str(self.folder), "-p", str(self.port), "-U", BOSS, "-d", database)
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *where, "-f", "-", text=text)

    def _run(self, name: str, *arguments: str, text: str = "") -> None:
        """Runs a program of the engine, which refuses to run as root. Output goes to a file: a pipe would outlive pg_ctl."""
        command = [*(("runuser", "-u", self._user, "--") if self._user else ()), str(self._bin / name), *arguments]
        said = self.folder / f"{name}.out"
        with said.open("w", encoding="utf-8") as output:
            done = subprocess.run(
                command,
                input=text.encode(),
                stdout=output,
                stderr=output,
                cwd="/",
                timeout=120,
                check=False,
            )
        assert done.returncode == 0, f"{name}: {said.read_text(encoding='utf-8')[-1000:]}"

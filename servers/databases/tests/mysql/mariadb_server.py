"""A private MariaDB for the tests: its own data folder, a Unix socket, a free port, and every look at what it holds."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pymysql
import pytest

_PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_START_TRIES, _PAUSE_SECONDS = 600, 0.05
PASSWORD = "s3cret/pass word"  # noqa: S105 - of an engine that lives as long as the tests

_OBSERVED = (
    "SELECT schema_name FROM information_schema.schemata ORDER BY 1",
    "SELECT Host, User, Priv FROM mysql.global_priv ORDER BY 1, 2",
    """SELECT variable_name, variable_value FROM information_schema.global_variables
        WHERE variable_name NOT IN ('TIMESTAMP', 'INNODB_BUFFER_POOL_LOAD_INCREMENTAL')
        AND variable_name NOT LIKE 'GTID%' AND variable_name NOT LIKE 'RAND_SEED%' ORDER BY 1""",
    """SELECT table_schema, table_name, engine, create_time FROM information_schema.tables
        WHERE table_schema IN ('garage', 'mysql') ORDER BY 1, 2""",
    "SELECT routine_name, MD5(routine_definition) FROM information_schema.routines WHERE routine_schema = 'garage' ORDER BY 1",
    "SELECT next_not_cached_value FROM garage.invoice_numbers",
    "SELECT db_name, table_name FROM mysql.table_stats ORDER BY 1, 2",
    "XA RECOVER",
    "SELECT IS_USED_LOCK('pwn'), IS_USED_LOCK('pwn1')",
    "CHECKSUM TABLE garage.owners, garage.cars, garage.vault, garage.log_innodb, garage.log_myisam, garage.`order`",
)


def program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_PLACES)


class MariadbServer:
    """Started once for a run of tests, and ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.canary = folder, folder / "canary"
        self.socket = folder / "s"
        self.user = "mysql" if os.geteuid() == 0 else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def install(self, schema: str) -> None:
        """Makes the data folder with the schema and three accounts: the tests' own, one that may all, one that may read."""
        for each in (self.folder, self.folder / "data", self.folder / "tmp", self.canary):
            each.mkdir(exist_ok=True)
            if self.user:
                shutil.chown(each, self.user)
        self._run(
            "mariadb-install-db",
            f"--datadir={self.folder / 'data'}",
            f"--tmpdir={self.folder / 'tmp'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *([f"--user={self.user}"] if self.user else []),
        )
        self.start()
        self.admin("CREATE DATABASE garage")
        for account, rights in (("boss", "ALL ON *.*"), ("reader", "SELECT ON garage.*")):
            for host in ("localhost", "%"):
                self.admin(f"CREATE USER {account}@'{host}' IDENTIFIED BY '{PASSWORD}'")
                self.admin(f"GRANT {rights} TO {account}@'{host}'")
        self.run_sql(schema.replace("@CANARY@", str(self.canary)), "garage")

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                str(program("mariadbd")),
                "--no-defaults",
                *([f"--user={self.user}"] if self.user else []),
                *(f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder / 'tmp'}", f"--socket={self.socket}"),
                *(f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={self.folder / 'tmp' / 'pid'}"),
                *("--secure-file-priv=", "--local-infile=1", "--performance-schema=ON", "--skip-log-bin", "--max-connections=60"),
                *("--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=1G"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(_START_TRIES):
            if self._listens():
                return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PAUSE_SECONDS)
                break
        pytest.fail("mariadbd does not start")

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def run_sql(self, text: str, database: str) -> None:
        """Several statements, as the administrator."""
        self._run("mariadb", "-S", str(self.socket), "-uroot", database, text=text)

    def admin(self, *statements: str) -> list[tuple[object, ...]]:
        """Rows of the last statement, as the administrator."""
        return self.admin_each(*statements)[-1]

    def admin_each(self, *statements: str) -> list[list[tuple[object, ...]]]:
        rows: list[list[tuple[object, ...]]] = []
        with (
            pymysql.connect(
                unix_socket=str(self.socket), user="root", ssl_disabled=True, autocommit=True, read_timeout=30
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
                rows.append([*cursor.fetchall()])
        return rows

    def url(self, account: str = "boss", database: str = "garage") -> str:
        return f"mysql://{account}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def observed(self) -> list[object]:
        """Everything that an attack could have changed, and the files that it could have made."""
        files = sorted(path.name for path in self.canary.iterdir())
        return [files, *self.admin_each(*_OBSERVED)]

    def running(self) -> list[tuple[object, ...]]:
        """What the accounts of the tests run right now."""
        return self.admin(
            "SELECT id, info FROM information_schema.processlist WHERE user IN ('boss', 'reader') AND command <> 'Sleep'"
        )

    async def still_running(self, seconds: float = 10) -> list[tuple[object, ...]]:
        """What they run even *seconds* later: a query that was killed inside one long function ends with that function."""
        end = time.monotonic() + seconds
        while (running := self.running()) and time.monotonic() < end:  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0.05)
        return running

    def _run(self, name: str, *arguments: str, text: str = "") -> None:
        subprocess.run(
            [str(program(name)), "--no-defaults", *arguments], input=text.encode(), check=True, capture_output=True, timeout=120
        )

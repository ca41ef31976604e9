"""One connection to MariaDB or MySQL through PyMySQL: rows one at a time, none larger than it may be."""

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import pymysql
from pymysql.connections import Connection, MySQLResult
from pymysql.protocol import MysqlPacket  # pyright: ignore - not in the stubs
from typing_extensions import override

from ..sources import NetworkSource

Raw: TypeAlias = "str | bytes | None"
"""A value as the engine writes it: its text, or the bytes of what is no text."""

DriverError = pymysql.Error

CONNECT_SECONDS = 5.0
MAX_ROW = 16 << 20
_MAX_OWN_ROWS = 50_000
_MAX_OWN_BYTES = 32 << 20
_PREPARE = 0x16
_NO_SUCH_LOGIN = 2059
_BINARY_CHARSET = 63
_TEXTS_BY_CHARSET = frozenset({15, 16, 249, 250, 251, 252, 253, 254, 255})
"""Types that are text or bytes, which their character set tells; all others are written in ASCII, JSON in UTF-8."""


_DUPLICATES = re.compile(rb"Duplicates: (\d+)")


@dataclass(frozen=True)
class Changed:
    """What the engine says of a statement that changes rows."""

    affected: int
    duplicates: int | None
    """Rows of an INSERT that were there already; None where there is no word of them, as for a single row."""


class RowTooLarge(Exception):
    """A row, or another message of the engine, is larger than MAX_ROW, or there are too many. The connection is gone."""


class Field(Protocol):
    """A column as the driver describes it."""

    name: str
    type_code: int
    flags: int
    charsetnr: int
    length: int
    scale: int


class _Packet(Protocol):
    def is_eof_packet(self) -> bool: ...

    def get_all_data(self) -> bytes: ...

    def read_length_coded_string(self) -> bytes | None: ...


@cache
def _unverified() -> ssl.SSLContext:
    """Used where the engine offers TLS and no certificate was configured. To make one costs more than to connect."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if TYPE_CHECKING:
    from pymysql.cursors import Cursor

    _Connection = Connection[Cursor]
else:
    _Connection = Connection


class _Driver(_Connection):
    """PyMySQL's connection, which refuses a row before it is in memory, and lends what it keeps to itself.

    Some of that has no public name: the package is pinned below version 2, and its stubs leave it out.
    """

    _taken = 0
    _secure = False
    if TYPE_CHECKING:
        _sock: socket.socket | None
        _result: MySQLResult | None
        server_version: str

        def _force_close(self) -> None: ...

        def _execute_command(self, command: int, sql: str) -> None: ...

    def _create_ssl_ctx(self, sslp: "dict[str, object]") -> ssl.SSLContext:
        made: object = super()._create_ssl_ctx(sslp) if sslp else _unverified()  # pyright: ignore - not in the stubs
        return cast("ssl.SSLContext", made)

    @override
    def _read_packet(self, packet_type: "type[_Packet]" = MysqlPacket) -> _Packet:
        self._taken = 0
        return cast("_Packet", super()._read_packet(packet_type))  # pyright: ignore[reportUnknownMemberType] - as the stubs have it

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._taken += num_bytes
        if self._taken > MAX_ROW:
            self._force_close()
            raise RowTooLarge
        return cast("bytes", super()._read_bytes(num_bytes))  # pyright: ignore - not in the stubs

    def open_on(self, reached: socket.socket) -> None:
        """Logs in. A Unix socket shows nobody what passes, so a password may."""
        self._secure = reached.family == socket.AF_UNIX
        try:
            self.connect(reached)
        except RuntimeError as error:  # a way to log in that needs a package which is not here
            raise pymysql.OperationalError(_NO_SUCH_LOGIN, str(error)) from error

    def packet(self) -> _Packet:
        return self._read_packet()

    def run(self, sql: str, *, unbuffered: bool = False) -> None:
        self.query(sql, unbuffered=unbuffered)  # pyright: ignore[reportUnknownMemberType] - as the stubs have it

    def identity(self) -> int:
        return cast("int", self.thread_id())  # pyright: ignore[reportUnknownMemberType] - as the stubs have it

    def change(self, sql: str) -> "Changed":
        self.run(sql)
        affected, message = (
            cast("tuple[int, bytes | None]", (self._result.affected_rows, self._result.message)) if self._result else (0, b"")
        )
        found = _DUPLICATES.search(message or b"")
        return Changed(affected, int(found[1]) if found else None)

    def begin_result(self, sql: str) -> MySQLResult:
        """Sends *sql*; its rows are left to be read."""
        self.run(sql, unbuffered=True)
        assert self._result is not None  # noqa: S101 - a query has just been answered
        return self._result

    def prepare(self, sql: str) -> bytes:
        self._execute_command(_PREPARE, sql)
        return self.packet().get_all_data()

    @property
    def unfinished(self) -> bool:
        return self._result is not None and self._result.unbuffered_active

    def leave(self) -> None:
        """Closes; where rows are left, without reading them, which the driver itself would do."""
        if self._result is not None and self._result.unbuffered_active:
            self._result.unbuffered_active = False
            self._force_close()
        with suppress(pymysql.Error):  # it is closed already
            self.close()

    def shut(self) -> None:
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)


class Stream:
    """The rows of a statement, while they arrive."""

    def __init__(self, driver: _Driver, result: MySQLResult) -> None:
        self.fields = cast("Sequence[Field]", getattr(result, "fields", ()))
        self._driver, self._result = driver, result
        self._encodings = [_encoding(each) for each in self.fields]

    def __iter__(self) -> Iterator[tuple[Raw, ...]]:
        while (packet := self._next()) is not None:
            yield tuple(_value(packet.read_length_coded_string(), encoding) for encoding in self._encodings)

    def skip(self, rows: int) -> int:
        """Passes over up to *rows* without looking into them, and says how many there were."""
        passed = 0
        while passed < rows and self._next() is not None:
            passed += 1
        return passed

    def all(self) -> list[tuple[Raw, ...]]:
        """The rows that are left. Raises RowTooLarge where they are more than a statement of ours may give."""
        rows: list[tuple[Raw, ...]] = []
        size = 0
        for row in self:
            size += sum(len(value) for value in row if value)
            if len(rows) == _MAX_OWN_ROWS or size > _MAX_OWN_BYTES:
                raise RowTooLarge
            rows.append(row)
        return rows

    def _next(self) -> _Packet | None:
        if not self._result.unbuffered_active:
            return None
        packet = self._driver.packet()
        if packet.is_eof_packet():
            self._result.unbuffered_active = False
            return None
        return packet


def _encoding(column: Field) -> str | None:
    if column.type_code in _TEXTS_BY_CHARSET and column.charsetnr == _BINARY_CHARSET:
        return None
    return "utf-8"


def _value(raw: bytes | None, encoding: str | None) -> Raw:
    return raw if raw is None or encoding is None else raw.decode(encoding, "replace")


def _reached(source: NetworkSource) -> socket.socket:
    """A connected socket. The driver would leave one that fails to the garbage collector."""
    if not source.host.startswith("/"):
        reached = socket.create_connection((source.host, source.port), CONNECT_SECONDS)
        reached.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return reached
    reached = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        reached.settimeout(CONNECT_SECONDS)
        reached.connect(source.host)
    except BaseException:
        reached.close()
        raise
    return reached


class Wire:
    """A connection. Everything blocks, so it lives in a thread; only `shut` may be called from another."""

    def __init__(self, source: NetworkSource, seconds: float) -> None:
        authority = source.options.get("ssl_ca")
        self._driver = _Driver(
            host=source.host,
            port=source.port,
            user=source.user or "",
            password=source.password.get_secret_value() if source.password else "",
            database=source.database,
            charset="utf8mb4",
            autocommit=None,
            local_infile=False,
            read_timeout=seconds,
            write_timeout=seconds,
            ssl_disabled=source.host.startswith("/"),
            ssl_ca=authority,
            ssl_cert=source.options.get("ssl_cert"),
            ssl_key=source.options.get("ssl_key"),
            ssl_verify_cert=True if authority else None,
            ssl_verify_identity=True if authority else None,
            program_name="opsroom-databases",
            defer_connect=True,
        )
        self._driver.open_on(_reached(source))
        self.identity = self._driver.identity()
        self.is_mariadb = "mariadb" in self._driver.server_version.lower()

    @property
    def unfinished(self) -> bool:
        """Whether a statement may still be running: its rows were not all read."""
        return self._driver.unfinished

    def execute(self, sql: str) -> None:
        """A statement of ours that returns nothing."""
        self._driver.run(sql)

    def change(self, sql: str) -> "Changed":
        """Runs a statement that changes rows and returns none."""
        return self._driver.change(sql)

    def fetch(self, sql: str) -> list[tuple[Raw, ...]]:
        """All rows of a statement of ours. Raises RowTooLarge where they are more than anybody's schema has."""
        return self.stream(sql).all()

    def stream(self, sql: str) -> Stream:
        return Stream(self._driver, self._driver.begin_result(sql))

    def parse(self, sql: str) -> None:
        """Has the engine read *sql* and look its names up, without running any of it."""
        head = self._driver.prepare(sql)
        columns, parameters = int.from_bytes(head[5:7], "little"), int.from_bytes(head[7:9], "little")
        for count in (parameters, columns):
            while count and not self._driver.packet().is_eof_packet():
                pass  # descriptions of what is not run

    def close(self) -> None:
        """Ends the connection. What has not been read of a result is not read any more."""
        self._driver.leave()

    def shut(self) -> None:
        """Ends whatever the thread of this connection waits for."""
        self._driver.shut()


def literal(text: str) -> str:
    """*text* as a string in the SQL mode that every session of ours has."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''").replace("\0", "") + "'"


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"

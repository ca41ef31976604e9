"""Where a database is: reads `sqlite:////path`, plain paths and `postgresql://…`, and says early what is wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

_DIALECTS = {"sqlite": "sqlite", "postgresql": "postgres", "postgres": "postgres", "mysql": "mysql", "mariadb": "mysql"}
SUPPORTED = ("sqlite", "postgres", "mysql")
"""The dialects that have a provider of their own; others are reached through SQLAlchemy."""
WRITABLE = SUPPORTED
"""Those whose databases can be changed."""
DEFINABLE = ("sqlite", "postgres")
"""Those whose definitions can be tried and taken back, too."""
_PORTS = {"postgres": 5432, "mysql": 3306}
_OPTIONS = {
    "postgres": ("host", "sslmode", "sslrootcert", "sslcert", "sslkey"),
    "mysql": ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key"),
}
_SOCKET_OPTIONS = ("host", "unix_socket")
_HEADER = b"SQLite format 3\0"


class Source(Protocol):
    """Where the rows come from."""

    @property
    def dialect(self) -> str: ...

    async def aclose(self) -> None: ...


class LocalFile(Source, Protocol):
    """A file. It can be made or replaced between two calls, so each call asks again."""

    async def path(self) -> Path: ...


@dataclass(frozen=True)
class FileSource:
    """A database file that somebody else owns."""

    file: Path
    dialect: str = "sqlite"

    async def path(self) -> Path:
        return self.file

    async def aclose(self) -> None:
        """Nothing to let go of."""


@dataclass(frozen=True)
class NetworkSource:
    """A database of an engine that is reached over a socket."""

    dialect: str
    host: str
    """A host name, an address, or the absolute path of a Unix socket or its folder."""
    port: int
    database: str
    user: str | None = None
    password: SecretStr | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str])

    async def aclose(self) -> None:
        """Nothing to let go of: the provider owns the connections."""


@dataclass(frozen=True)
class AlchemySource:
    """A database that SQLAlchemy reaches."""

    dialect: str
    """The name of the dialect in SQLAlchemy, without its driver."""
    url: SecretStr
    database: str | None = None
    file: Path | None = None

    async def aclose(self) -> None:
        """Nothing to let go of: the provider's processes own the connections."""


def parse_url(url: str) -> FileSource | NetworkSource | AlchemySource:
    """The source that *url* names. Raises ValueError with what was expected; no part behind the scheme is repeated in it."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "sqlite", f"/{url}"
    dialect = scheme.split("+")[0].lower()
    dialect = _DIALECTS.get(dialect, dialect)
    if dialect not in SUPPORTED:
        return _through_alchemy(url)
    return _file(rest, is_url=bool(separator)) if dialect == "sqlite" else _network(dialect, rest)


def _network(dialect: str, rest: str) -> NetworkSource:
    address, _, query = rest.partition("?")
    authority, _, database = address.partition("/")
    login, _, place = authority.rpartition("@")
    user, _, password = login.partition(":")
    if "/" in database or "@" in database or "@" in query or "#" in rest:
        raise ValueError("a user, password or database name that holds one of / ? # @ must have it percent-encoded")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not set(options) <= set(_OPTIONS[dialect]):
        raise ValueError(f"unknown option after ?; there are: {', '.join(_OPTIONS[dialect])}")
    host, port = _host_and_port(unquote(place), _PORTS[dialect])
    sockets = [options.pop(name) for name in _SOCKET_OPTIONS if name in options]
    host = sockets[0] if sockets else host
    if not host:
        raise ValueError("names no host; expected //user:password@host:port/database")
    if not database:
        raise ValueError("names no database; expected //user:password@host:port/database")
    return NetworkSource(
        dialect,
        host,
        port,
        unquote(database),
        unquote(user) or None,
        SecretStr(unquote(password)) if password else None,
        options,
    )


def _through_alchemy(url: str) -> AlchemySource:
    from .alchemy_urls import read

    dialect, parts, file = read(url)
    if file is not None:
        parts = parts.set(database=str(file))
    return AlchemySource(dialect, SecretStr(parts.render_as_string(hide_password=False)), parts.database, file)


def _host_and_port(place: str, default: int) -> tuple[str, int]:
    """`host`, `host:5432`, `[::1]:5432` as its parts."""
    bracketed = place.startswith("[")
    host, _, port = place[1:].partition("]") if bracketed else (*place.partition(":")[:1], "", place.partition(":")[2])
    port = port.removeprefix(":") if bracketed else port
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError("the port is no number from 1 to 65535; an IPv6 address stands in brackets")
    if "," in host:
        raise ValueError("names several hosts; name one")
    return host, int(port or default)


def _file(rest: str, *, is_url: bool) -> FileSource:
    if not rest.startswith("/"):
        raise ValueError("expected sqlite:////absolute/path or sqlite:///relative/path")
    path = rest[1:]
    if is_url:
        path, question, _ = path.partition("?")
        if question:
            raise ValueError("options after ? are not supported: the file is always opened read-only")
        path = unquote(path)
    if path in ("", ":memory:"):
        raise ValueError("names no file; expected sqlite:////absolute/path to a database file")
    return FileSource(Path(path).expanduser().absolute())


def file_problem(file: Path) -> str | None:
    """What makes *file* no SQLite database, in words that say what to do; None when nothing does."""
    if not file.exists():
        return f"{file}: no such file; check the path, or create the database first"
    if not file.is_file():
        return f"{file}: is not a file; name the database file itself"
    try:
        with file.open("rb") as opened:
            header = opened.read(len(_HEADER))
    except OSError as error:
        return f"{file}: cannot be read ({error.strerror}); give this user permission to read it"
    if header and header != _HEADER:
        return f"{file}: is not an SQLite database; name a file that SQLite made"
    return None

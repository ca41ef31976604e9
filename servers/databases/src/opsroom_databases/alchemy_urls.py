"""URLs of engines that only SQLAlchemy reaches: says early what is not installed. Imports SQLAlchemy only when one is read."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL

_INSTALL = "install opsroom-databases[sqlalchemy], and the package of the dialect"
# The packages that bring a dialect which SQLAlchemy itself does not have.
_PACKAGES = {
    "bigquery": "sqlalchemy-bigquery",
    "clickhousedb": "clickhouse-connect",
    "cockroachdb": "sqlalchemy-cockroachdb",
    "databricks": "databricks-sqlalchemy",
    "duckdb": "duckdb-engine",
    "redshift": "sqlalchemy-redshift",
    "snowflake": "snowflake-sqlalchemy",
    "teradatasql": "teradatasqlalchemy",
    "trino": "trino[sqlalchemy]",
}


def is_installed() -> bool:
    return find_spec("sqlalchemy") is not None


def read(url: str) -> "tuple[str, URL, Path | None]":
    """The dialect's name, the URL's parts, and the file where it names one. Raises ValueError without any part of the URL."""
    scheme = url.partition("://")[0]
    backend = scheme.partition("+")[0].lower()
    if not is_installed():
        raise ValueError(f"databases of {backend} are reached through SQLAlchemy, which is not installed; {_INSTALL}")
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("is no URL; expected dialect://user:password@host/database") from None
    _check_driver(parts.drivername)
    return backend, parts, _file(parts) if backend == "duckdb" else None


@lru_cache(64)
def _check_driver(name: str) -> None:
    """Raises ValueError where the dialect or its driver is not installed, or is one that only asyncio can use."""
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import NoSuchModuleError

    backend = name.partition("+")[0]
    package = _PACKAGES.get(backend, f"the package that brings the SQLAlchemy dialect {name}")
    try:
        dialect = URL.create(name).get_dialect()
    except NoSuchModuleError:
        raise ValueError(f"SQLAlchemy has no dialect {name!r} here; install {package}, or check the name") from None
    except ImportError as error:
        raise ValueError(
            f"the dialect {name!r} cannot be loaded: {error.name or 'a module'} is missing; install {package}"
        ) from None
    if dialect.is_async:
        raise ValueError(f"the driver of {name!r} is for asyncio alone; name another one, such as {backend}://…")
    try:
        dialect.import_dbapi()
    except ImportError as error:
        raise ValueError(f"the driver of {name!r} is not installed: install {error.name or 'its package'}") from None


def _file(parts: "URL") -> Path:
    if parts.query:
        raise ValueError("options after ? are not supported: the file is always opened read-only")
    if not parts.database or parts.database == ":memory:" or parts.database.startswith(("md:", "motherduck:")) or parts.host:
        raise ValueError("names no file; expected duckdb:////absolute/path to a database file")
    return Path(parts.database).expanduser().absolute()

"""The settings of the databases server: which databases, and how much one answer may cost."""

import argparse
import re
from collections.abc import Sequence
from typing import ClassVar

from opsroom_shared.settings import ServerSettings
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from .secret_names import Policy
from .sources import AlchemySource, NetworkSource, parse_url

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class DatabaseSettings(BaseModel):
    """One database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(
        description="Where it is: postgresql://user:password@host/database, mysql://…, sqlite:////path, or a file's path."
    )

    writable: bool = Field(default=False, description="With allow_writes, let run_write change it once a person approves.")
    allow_ddl: bool = Field(default=False, description="Let run_write create, alter and drop tables, indexes and views, too.")
    mask: bool = Field(default=True, description="Mask the values of columns that look like secrets.")
    mask_also: tuple[str, ...] = Field(
        default=(), description="More columns to mask: column or table.column, with * for any part."
    )
    mask_except: tuple[str, ...] = Field(default=(), description="Columns that are no secrets, written in the same way.")

    @field_validator("url")
    @classmethod
    def _readable(cls, value: SecretStr) -> SecretStr:
        parse_url(value.get_secret_value())
        return value


class DatabasesSettings(ServerSettings):
    """The settings of DESIGN 3.1, the databases, and the limits of one call."""

    model_config = SettingsConfigDict(env_prefix="OPSROOM_DATABASES_", env_nested_delimiter="__")
    name: ClassVar[str] = "databases"

    databases: dict[str, DatabaseSettings] = Field(default_factory=dict, description="The databases by name.")
    query_seconds: float = Field(default=8.0, gt=0, le=300, description="Time after which a query is stopped.")
    max_rows: int = Field(default=500, ge=1, le=10_000, description="Most rows in one page, whatever `limit` asks for.")
    max_bytes: int = Field(24_000, ge=1_000, le=1_000_000, description="About how large the rows of one page may be.")
    max_cell: int = Field(1_000, ge=20, le=100_000, description="Characters after which a value is cut.")
    concurrency: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Queries that run side by side on one database; more wait. As many that take long run besides.",
    )
    memory_mib: int = Field(1_024, ge=128, le=65_536, description="Memory that one query may take.")

    def masking(self, name: str) -> Policy:
        """What is masked in the database *name*; the demo's, which nobody configured, follows the defaults."""
        database = self.databases.get(name)
        return Policy(database.mask, database.mask_also, database.mask_except) if database else Policy()

    @field_validator("databases")
    @classmethod
    def _names(cls, value: dict[str, DatabaseSettings]) -> dict[str, DatabaseSettings]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name for a database: letters, digits, _ . - and at most 64 of them")
        return value


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        dest="databases",
        metavar="NAME=URL",
        action=_AddDatabase,
        help="a database to serve; repeatable. Without NAME= the file's name is taken",
    )


class _AddDatabase(argparse.Action):
    """Collects NAME=URL into the `databases` setting."""

    @override
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        name, url = split_flag(str(values))
        databases: dict[str, dict[str, str]] = getattr(namespace, self.dest, {})
        if name in databases:
            raise argparse.ArgumentError(self, f"two databases are named {name}; write NAME=URL with another name")
        setattr(namespace, self.dest, {**databases, name: {"url": url}})


def split_flag(value: str) -> tuple[str, str]:
    """`shop=sqlite:///shop.db` as name and URL. A name that is left out is the file's or the database's, or `main`."""
    name, equals, url = value.partition("=")
    if equals and _NAME.fullmatch(name):
        return name, url
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", _own_name(value))
    return (stem if _NAME.fullmatch(stem) else "main"), value


def _own_name(url: str) -> str:
    try:
        source = parse_url(url)
    except ValueError:
        return ""  # settings say what is wrong; a name made of it could show a password
    if isinstance(source, NetworkSource):
        return source.database
    if isinstance(source, AlchemySource) and source.file is None:
        return source.database or ""
    return source.file.stem if source.file else ""

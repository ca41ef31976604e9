"""Settings that every server has, read once at start: a TOML file, then the environment, then flags; the later wins."""

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar, cast

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import override

from .config import ConfigError, Table, explain, load_toml
from .positions import Location
from .redact import hide, redact

S = TypeVar("S", bound="ServerSettings")


class ServerSettings(BaseSettings):
    """The settings that every server has. A server derives its own class, with its `name` and what else it needs."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    """The server's short name, such as `databases`. Its environment variables start with `OPSROOM_DATABASES_`."""

    demo: bool = Field(default=False, description="Run on embedded demo data.")
    allow_writes: bool = Field(default=False, description="Register the write tools.")
    http: str | None = Field(default=None, description="HOST:PORT for streamable HTTP instead of stdio.")
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default_factory=list, description="Host names beside HOST under which HTTP may be reached; comma-separated."
    )
    token: SecretStr | None = Field(
        default=None, min_length=16, description="Bearer token that HTTP callers must send; required off loopback."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="warning", description="What is logged to stderr.")
    state: Path | None = Field(None, description="Folder for what the server keeps; default under the user's state folder.")

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if hasattr(cls, "name") and not cls.model_config.get("env_prefix"):
            cls.model_config["env_prefix"] = f"OPSROOM_{cls.name.upper()}_"

    @field_validator("http")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            host_port(value)
        return value

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @classmethod
    def variable(cls, key: str) -> str:
        """The environment variable of the setting *key*."""
        return f"{cls.model_config.get('env_prefix', '')}{key}".upper()

    @property
    def state_folder(self) -> Path:
        """Where this server keeps its demo data, journals and caches. It is not created here."""
        if self.state is not None:
            return self.state
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(base) / "opsroom" / self.name

    def check_reach(self) -> None:
        """Refuses to serve other machines without a token. Raises ConfigError."""
        if self.http and self.token is None and not is_loopback(host_port(self.http)[0]):
            raise ConfigError(
                f"http: {self.http} is reachable from other machines, and no token is set. "
                f"Set {self.variable('token')}, or listen on 127.0.0.1"
            )


def host_port(value: str) -> tuple[str, int]:
    """`127.0.0.1:8000` or `[::1]:8000` as its parts. Raises ValueError with what was expected."""
    host, colon, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        raise ValueError("expected HOST:PORT, such as 127.0.0.1:8000")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether *host* can only be reached from this machine. Of names only `localhost` counts."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_settings(kind: type[S], flags: Table, config: Path | None) -> S:
    """Settings of *kind* from the file *config*, the environment, and *flags*, in rising order. Raises ConfigError."""
    file = load_toml(config) if config else {}

    class FromFile(kind):
        @classmethod
        @override
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=file)

    try:
        settings = cast("S", FromFile.model_validate(flags))
    except ValidationError as error:
        raise ConfigError(_explained(error, kind, flags, file, config)) from None
    except SettingsError as error:  # an environment variable that holds broken JSON
        raise ConfigError(redact(str(error))) from None
    for secret in _secrets(settings):
        hide(secret)
    return settings


def _explained(error: ValidationError, kind: type[ServerSettings], flags: Table, file: Table, config: Path | None) -> str:
    """What is wrong, and where the value that is wrong came from."""
    location = error.errors(include_url=False, include_context=False)[0]["loc"]
    if _holds(flags, location):
        return explain(error, None)
    variable = _variable(kind, location)
    if variable and not (len(location) > 1 and _holds(file, location)):
        return f"{explain(error, None)}, from {variable}"
    return explain(error, config)


def _variable(kind: type[ServerSettings], location: Location) -> str | None:
    """The environment variable that is set for the value at *location*, or for a table that holds it."""
    delimiter = kind.model_config.get("env_nested_delimiter") or ""
    for length in range(len(location) if delimiter else 1, 0, -1):
        variable = kind.variable(delimiter.join(map(str, location[:length])))
        if variable in os.environ:
            return variable
    return None


def _holds(table: object, location: Location) -> bool:
    for part in location:
        if isinstance(table, list) and isinstance(part, int) and part < len(cast("list[object]", table)):
            table = cast("list[object]", table)[part]
        elif isinstance(table, dict) and part in table:
            table = cast("dict[str | int, object]", table)[part]
        else:
            return False
    return bool(location)


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, item in value:
            yield from _secrets(cast("object", item))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in cast("tuple[object, ...]", value):
            yield from _secrets(item)
    elif isinstance(value, dict):
        yield from _secrets(tuple(cast("dict[str, object]", value).values()))

"""Settings that every server has, read once at start: a TOML file, then the environment, then flags; the later wins."""

import os
from pathlib import Path
from typing import ClassVar, Literal, TypeVar, cast

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import override

from .config import ConfigError, Table, explain, load_toml
from .redact import redact

S = TypeVar("S", bound="ServerSettings")


class ServerSettings(BaseSettings):
    """The settings of DESIGN 3.1. A server derives its own class and sets its environment prefix in `model_config`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    """The server's short name, such as `databases`."""

    demo: bool = Field(default=False, description="Run on embedded demo data.")
    allow_writes: bool = Field(default=False, description="Register the write tools.")
    http: str | None = Field(default=None, description="HOST:PORT for streamable HTTP instead of stdio.")
    allowed_hosts: list[str] = Field(default_factory=list, description="Host names beside HOST under which HTTP may be reached.")
    token: SecretStr | None = Field(None, description="Bearer token that HTTP callers must send; required off loopback.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="warning", description="What is logged to stderr.")
    state: Path | None = Field(None, description="Folder for what the server keeps; default under the user's state folder.")

    @field_validator("http")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            host_port(value)
        return value

    @property
    def state_folder(self) -> Path:
        """Where this server keeps its demo data, journals and caches. It is not created here."""
        if self.state is not None:
            return self.state
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(base) / "opsroom" / self.name


def host_port(value: str) -> tuple[str, int]:
    """`127.0.0.1:8000` or `[::1]:8000` as its parts. Raises ValueError with what was expected."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError("expected HOST:PORT, such as 127.0.0.1:8000")
    return host.removeprefix("[").removesuffix("]"), int(port)


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
        return cast("S", FromFile.model_validate(flags))
    except ValidationError as error:
        raise ConfigError(explain(error, config)) from None
    except SettingsError as error:  # an environment variable that holds broken JSON
        raise ConfigError(redact(str(error))) from None

"""opsroom.toml and servers.d: found from the working directory upward, with an embedded default for every section."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from opsroom_shared.config import ConfigError, parse_toml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from .agents.definition import Variant

CONFIG_NAME = "opsroom.toml"
SUITE = ("code_review", "databases", "deployments", "monitoring")


ServerName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,40}$")]
"""It becomes part of a tool's name where two servers have a tool of the same name."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Strict):
    """One tool server: a command for stdio, or a URL for streamable HTTP."""

    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    url: str | None = Field(default=None, pattern=r"^https?://")
    token_env: str | None = None
    """Environment variable that holds the bearer token for `url`."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables set for the child; it inherits only PATH, HOME, TERM, TMPDIR, the locale, OTEL_* and what `pass_env` names."""
    pass_env: tuple[str, ...] = ()
    cwd: Path | None = None
    """Where the child runs: the workspace's folder unless set. Relative to that folder, as is a command with a slash in it."""
    capabilities: tuple[str, ...] = Field(min_length=1)
    connect_timeout: float = Field(default=20, gt=0, le=300)
    call_timeout: float = Field(default=30, gt=0, le=3_600)

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("expected either `command` (a list of words) or `url`, and not both")
        if self.command is not None and self.token_env is not None:
            raise ValueError("`token_env` goes with `url`; hand a command its variables with `pass_env`")
        if self.url is not None and (self.env or self.pass_env or self.cwd):
            raise ValueError("`env`, `pass_env` and `cwd` go with `command`, not with `url`")
        return self

    def under(self, root: Path) -> "ServerSettings":
        """The same with the paths that its command starts from made absolute, from *root*."""
        if self.command is None:
            return self
        program, *arguments = self.command
        if "/" in program:
            program = str(root / Path(program).expanduser())
        cwd = root / (self.cwd or Path()).expanduser()
        return self.model_copy(update={"command": (program, *arguments), "cwd": cwd})


class RungSettings(_Strict):
    """One rung of the fallback chain; the first in the file is asked first. Times are seconds."""

    model: str = Field(min_length=1)
    prompt: Variant = "full"
    timeout: float = Field(default=30, gt=0, le=600)
    first_token: float | None = Field(default=None, gt=0, le=600)
    max_tokens: int = Field(default=2_048, ge=64, le=16_384)
    base_url: str | None = Field(default=None, pattern=r"^https?://")
    api_key_env: str = "ANTHROPIC_API_KEY"


DEFAULT_CHAIN = (
    RungSettings(model="claude-opus-5-5", prompt="full", timeout=30, first_token=10),
    RungSettings(model="claude-sonnet-5-5", prompt="simplified", timeout=15, first_token=6),
    RungSettings(model="claude-haiku-5-5", prompt="minimal", timeout=5, first_token=3),
)


class Settings(_Strict):
    servers: dict[ServerName, ServerSettings] | None = None
    """None: the suite's own servers on the demo workspace."""
    chain: tuple[RungSettings, ...] = Field(default=DEFAULT_CHAIN, min_length=1, max_length=6)
    deadline: float = Field(default=45, gt=0, le=3_600)
    """Seconds for a whole request; every rung and tool call respects it."""


class ServersFile(_Strict):
    """A file of servers.d: deploying a tool server is dropping one."""

    servers: dict[ServerName, ServerSettings]


@dataclass(frozen=True)
class Workspace:
    """Where opsroom runs: the folder of opsroom.toml, or the working directory when there is none."""

    root: Path
    config: Path | None

    @property
    def state(self) -> Path:
        """Where the ledger and the demo data live. It is not created here."""
        return self.root / ".opsroom"

    @property
    def drop_in(self) -> Path:
        return self.root / "servers.d"

    @property
    def own_agents(self) -> Path | None:
        """Where a team keeps agents of its own; None when there are none."""
        folder = self.root / "agents.d"
        return folder if folder.is_dir() else None

    def settings(self) -> Settings:
        """The configuration as it is now. Raises ConfigError."""
        return parse_toml(self.config, Settings) if self.config else Settings()

    def servers(self) -> "ServerTable":
        """Every configured server as it is now; a bad file of servers.d is a problem of its own.

        Raises ConfigError for opsroom.toml.
        """
        configured = self.settings().servers
        found = dict(self._suite() if configured is None else configured)
        problems: dict[str, str] = {}
        for path in self._dropped_in():
            try:
                added = parse_toml(path, ServersFile).servers
            except (ConfigError, OSError) as error:  # OSError: it went away while it was read
                problems[f"servers.d/{path.name}"] = str(error)
                continue
            if taken := sorted(added.keys() & found.keys()):
                names = ", ".join(f"servers.{name}" for name in taken)
                problems[f"servers.d/{path.name}"] = f"{path}: {names}: the name is taken; choose another"
            found |= {name: server for name, server in added.items() if name not in found}
        return ServerTable({name: server.under(self.root) for name, server in found.items()}, problems)

    def fingerprint(self) -> tuple[tuple[str, int, int, int], ...]:
        """Differs whenever a file that `servers` reads was added, changed or removed. Costs one stat call a file."""
        paths = [self.config] if self.config else []
        return tuple(_stamp(path) for path in (*paths, *self._dropped_in()))

    def _dropped_in(self) -> list[Path]:
        # editors keep their own files beside the one they edit, with a dot in front
        return sorted(path for path in self.drop_in.glob("*.toml") if not path.name.startswith("."))

    def _suite(self) -> dict[str, ServerSettings]:
        return {
            name: ServerSettings(
                command=(f"opsroom-{name.replace('_', '-')}", "--demo", "--state", str(self.state / "demo" / name)),
                capabilities=(name,),
            )
            for name in SUITE
        }


@dataclass(frozen=True)
class ServerTable:
    servers: dict[str, ServerSettings]
    problems: dict[str, str]
    """File of servers.d → one line on what of it is left out, and why."""


def find_workspace(start: Path | None = None) -> Workspace:
    """The workspace of OPSROOM_CONFIG, else of the nearest opsroom.toml from *start* upward, else *start* itself."""
    start = (start or Path.cwd()).absolute()
    if named := os.environ.get("OPSROOM_CONFIG"):
        path = Path(named).absolute()
        return Workspace(path.parent, path)
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return Workspace(folder, folder / CONFIG_NAME)
    return Workspace(start, None)


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)

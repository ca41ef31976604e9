"""How a server's command becomes a program to start, and which of our environment variables it gets to see."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ServerUnavailable
from ..settings import SUITE, ServerSettings

_INHERITED = ("PATH", "HOME", "LANG", "LANGUAGE", "TERM", "TMPDIR", "TZ")
_INHERITED_PREFIXES = ("LC_", "OTEL_")  # a stdio child joins our traces only through its own OTEL_* variables


@dataclass(frozen=True)
class Launch:
    """Everything that starting a child needs."""

    program: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path | None


def launch(
    name: str, settings: ServerSettings, environ: Mapping[str, str] = os.environ, scripts: Path = Path(sys.executable).parent
) -> Launch:
    """How to start the server *name*: a program on PATH, else one of *scripts*, installed beside the Python that runs us.

    Raises ServerUnavailable with one line on what is missing and the fix.
    """
    if settings.command is None:
        raise ServerUnavailable(f"servers.{name} has no command")
    program, *arguments = settings.command
    if settings.cwd is not None and not settings.cwd.is_dir():
        raise ServerUnavailable(f"{settings.cwd} is not a folder; correct servers.{name}.cwd")
    return Launch(
        _program(name, program, environ.get("PATH", os.defpath), scripts),
        tuple(arguments),
        environment(settings, environ),
        settings.cwd,
    )


def environment(settings: ServerSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """The child's whole environment: an allow-list, what `pass_env` names, and what `env` sets."""
    passed = {
        name: value
        for name, value in environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES) or name in settings.pass_env
    }
    return passed | settings.env


def bearer_token(name: str, settings: ServerSettings, environ: Mapping[str, str] = os.environ) -> str | None:
    """The token that `token_env` names. Raises ServerUnavailable when that variable is not set."""
    if settings.token_env is None:
        return None
    token = environ.get(settings.token_env, "").strip()
    if not token:
        raise ServerUnavailable(f"set the environment variable {settings.token_env} to its token (servers.{name}.token_env)")
    return token


def _program(name: str, command: str, path: str, scripts: Path) -> str:
    if os.sep in command:
        if os.access(command, os.X_OK) and not Path(command).is_dir():
            return command
        fault = "is not an executable file" if Path(command).exists() else "does not exist"
        raise ServerUnavailable(f"{command} {fault}; correct servers.{name}.command")
    found = shutil.which(command, path=path) or shutil.which(command, path=str(scripts))
    if found is None:
        if command in {f"opsroom-{server.replace('_', '-')}" for server in SUITE}:
            raise ServerUnavailable(f"{command} is not installed: pip install {command}")
        raise ServerUnavailable(
            f"the command {command!r} was not found on PATH; install it, or give its full path in servers.{name}.command"
        )
    return str(Path(found).absolute())

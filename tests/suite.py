"""What the workspace consists of, found rather than listed: a new member is tested from its first day."""

import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def toml(path: Path) -> dict[str, object]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def at(table: Mapping[str, object], *keys: str) -> object:
    """The value below *keys*, or None."""
    *way, last = keys
    for key in way:
        table = cast("Mapping[str, object]", table.get(key) or {})
    return table.get(last)


@dataclass(frozen=True)
class Package:
    """A member of the workspace."""

    folder: Path

    @property
    def pyproject(self) -> dict[str, object]:
        return toml(self.folder / "pyproject.toml")

    @property
    def distribution(self) -> str:
        return str(at(self.pyproject, "project", "name"))

    @property
    def module(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def source(self) -> Path:
        return self.folder / "src" / self.module

    def __str__(self) -> str:
        return self.distribution


@dataclass(frozen=True)
class Server(Package):
    """A tool server, which has a console script of its own name."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def script(self) -> Path:
        return BIN / self.distribution


def _members() -> list[Path]:
    globs = cast("list[str]", at(toml(ROOT / "pyproject.toml"), "tool", "uv", "workspace", "members"))
    return sorted(path.parent for pattern in globs for path in ROOT.glob(f"{pattern}/pyproject.toml"))


SERVERS = tuple(Server(folder) for folder in _members() if folder.parent.name == "servers")
PACKAGES = tuple(Package(folder) for folder in _members())


def uv() -> str | None:
    """The uv that runs this project."""
    own = ROOT / ".uv" / "bin" / "uv"
    return shutil.which("uv") or (str(own) if own.exists() else None)

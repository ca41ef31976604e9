"""What the tests of the local provider share: repositories that know no configuration but their own."""

import os
from pathlib import Path

import pytest

from .scratch import ADA, Scratch, made


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] -- pytest uses it
    """Whoever runs the tests may have a configuration of git; it must not show."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def empty(tmp_path: Path) -> Scratch:
    """A repository of Ada's without any commit."""
    return made(tmp_path / "shop", ADA)


@pytest.fixture
def shop(empty: Scratch) -> Scratch:
    """One commit on main, and the branch `feature` of Ada's that changes and adds a file."""
    empty.commit("Start", {"app.py": "".join(f"line {number}\n" for number in range(1, 41)), "README": "Shop\n"})
    empty.branch("feature")
    empty.commit("Say more\n\nMuch more.", {"app.py": _changed(), "new.py": "one\ntwo\n"})
    empty.switch("main")
    return empty


def _changed() -> str:
    lines = [f"line {number}\n" for number in range(1, 41) if number != 20]
    return "".join([*lines, "the end\n"])

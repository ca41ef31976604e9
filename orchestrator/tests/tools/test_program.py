"""How a command becomes a program, and what a child may see."""

import sys
from pathlib import Path

import pytest
from opsroom.errors import ServerUnavailable
from opsroom.settings import SUITE, ServerSettings
from opsroom.tools.program import environment, launch


def command(*words: str, **more: object) -> ServerSettings:
    return ServerSettings.model_validate({"command": words, "capabilities": ("x",)} | more)


def program(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_path_comes_first(tmp_path: Path) -> None:
    """A program on PATH wins over one of the same name that is installed beside Python."""
    found, other = program(tmp_path / "bin", "server"), program(tmp_path / "scripts", "server")
    started = launch("s", command("server", "--flag"), {"PATH": str(found.parent)}, other.parent)

    assert (started.program, started.arguments) == (str(found), ("--flag",))


def test_scripts_beside_python_are_found(tmp_path: Path) -> None:
    """What is installed with us is found although the environment was never activated."""
    other = program(tmp_path / "scripts", "server")
    started = launch("s", command("server"), {"PATH": str(tmp_path)}, other.parent)

    assert started.program == str(other)
    assert launch("s", command(Path(sys.executable).name), {"PATH": str(tmp_path)}).program == str(
        Path(sys.executable).absolute()
    )


@pytest.mark.parametrize("server", SUITE)
def test_server_of_the_suite_that_is_not_installed(tmp_path: Path, server: str) -> None:
    """The suite's own servers come with the line that installs them."""
    script = f"opsroom-{server.replace('_', '-')}"

    with pytest.raises(ServerUnavailable, match=f"^{script} is not installed: pip install {script}$"):
        launch(server, command(script), {"PATH": str(tmp_path)}, tmp_path)


def test_environment_is_an_allow_list() -> None:
    """Secrets stay here; the locale, telemetry, and what is named go along; `env` has the last word."""
    ours = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LC_TIME": "C",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "ANTHROPIC_API_KEY": "secret",
        "LD_PRELOAD": "/evil.so",
        "PYTHONPATH": "/x",
        "PGHOST": "db",
    }
    seen = environment(command("a", pass_env=["PGHOST", "UNSET"], env={"HOME": "/nowhere", "MODE": "x"}), ours)

    assert seen == {
        "PATH": "/bin",
        "HOME": "/nowhere",
        "LC_TIME": "C",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "PGHOST": "db",
        "MODE": "x",
    }

"""Each package as somebody gets it: its wheel alone, in an empty environment."""

import email
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from opsroom_shared.testing.process import server_process
from suite import PACKAGES, ROOT, SERVERS, Package, Server, uv

pytestmark = pytest.mark.wheels


@pytest.fixture(scope="session")
def tool() -> str:
    """Skips where uv is missing; `make test` always has it."""
    found = uv()
    if not found:
        pytest.skip("uv is not installed; make test brings it")
    return found


@pytest.fixture(scope="session")
def dist(tool: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of all packages."""
    folder = tmp_path_factory.mktemp("dist")
    run([tool, "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(folder)], ROOT)
    return folder


def run(command: list[str], folder: Path) -> str:
    others = ("OPSROOM_", "ANTHROPIC_", "VIRTUAL_ENV", "UV_COMPILE_BYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def wheel(dist: Path, package: Package) -> Path:
    [path] = dist.glob(f"{package.module}-*.whl")
    return path


def installed(tool: str, dist: Path, package: Package, folder: Path) -> Path:
    """The bin folder of an environment that has only *package* and what it depends on, at the locked versions."""
    pins, environment = folder / "pins.txt", folder / "env"
    export = ["export", "--frozen", "--no-dev", "--no-emit-workspace", "--no-hashes", "--package", package.distribution]
    run([tool, *export, "--quiet", "--output-file", str(pins)], ROOT)
    run([tool, "venv", "--quiet", "--python", sys.executable, str(environment)], folder)
    target = ["--python", str(environment), "--find-links", str(dist), "--constraint", str(pins)]
    run([tool, "pip", "install", "--quiet", *target, str(wheel(dist, package))], folder)
    listed = json.loads(run([tool, "pip", "list", "--quiet", "--python", str(environment), "--format", "json"], folder))
    ours = {one["name"] for one in listed if one["name"].startswith("opsroom")}
    assert ours <= {package.distribution, "opsroom-shared"}
    return environment / "bin"


@pytest.mark.parametrize("server", SERVERS, ids=str)
async def test_server_alone_serves_its_tools(tool: str, dist: Path, server: Server, tmp_path: Path) -> None:
    """A server's wheel brings all it needs to serve its demo over stdio."""
    programs = installed(tool, dist, server, tmp_path)
    command = [programs / server.distribution, "--demo", "--state", tmp_path / "state"]
    async with server_process(command, cwd=tmp_path, patience=100) as process:
        await process.handshake()
        tools = await process.list_tools()
        status = await process.stop()

    assert len(tools) >= 3
    assert status == 0


def test_orchestrator_alone_answers(tool: str, dist: Path, tmp_path: Path) -> None:
    """The orchestrator's wheel brings its agents and prompts, and needs no server to say what it is."""
    [package] = [package for package in PACKAGES if package.distribution == "opsroom"]
    opsroom = str(installed(tool, dist, package, tmp_path) / "opsroom")

    version = run([opsroom, "--version"], tmp_path)
    usage = run([opsroom, "--help"], tmp_path)
    agents = json.loads(run([opsroom, "agents", "--json"], tmp_path))

    assert version.strip().endswith("0.1.0")
    assert "ask" in usage
    assert len(agents) >= 4


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_wheel_is_complete(dist: Path, package: Package) -> None:
    """A wheel carries its types, the licence, and metadata that says whose it is; and nothing of its tests."""
    with zipfile.ZipFile(wheel(dist, package)) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        [licence] = [name for name in names if name.endswith("licenses/LICENSE")]
        about = email.message_from_bytes(archive.read(metadata))

        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert f"{package.module}/py.typed" in names
    assert not [name for name in names if "tests/" in name]
    assert about["License-Expression"] == "Apache-2.0"
    assert about["Requires-Python"] == ">=3.11"
    assert about["Description-Content-Type"] == "text/markdown"

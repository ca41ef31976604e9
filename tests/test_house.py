"""The rules of the house that no tool checks."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from suite import PACKAGES, ROOT, SERVERS, Package, at, toml

FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "manager", "base", "misc", "impl"}
LOCK = "uv.lock"

# Written in two parts, so that this file does not mention them either.
FOREIGN = {
    "a path of one machine": re.compile("(?<![\\w./])/(?:" + "|".join(["wo" + "rk/", "ro" + "ot/"]) + ")"),
    "a folder outside of the repository": re.compile("\\.\\./sha" + "red/(?!README|src)"),
    "a package index": re.compile(
        "|".join(["py" + "pi\\.org", "python" + "hosted", "npm" + "js\\.(?:org|com)", "deb\\.deb" + "ian"])
    ),
}


def tracked() -> list[Path]:
    """The files of the repository; those that are new and not ignored count too."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_module_has_a_name_that_says_nothing() -> None:
    """Modules are named for what they hold."""
    names = {path.relative_to(ROOT): path.stem for path in tracked() if path.suffix == ".py"}
    folders = {path.relative_to(ROOT): path.parent.name for path in tracked() if path.suffix == ".py"}

    assert [str(path) for path in names if {names[path], folders[path]} & FORBIDDEN_NAMES] == []


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_mentions_where_it_was_made(what: str) -> None:
    """No file depends on one machine, or on where packages come from; the lock file is uv's own."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path, text in texts()
        if path.name != LOCK
        for number, line in enumerate(text.splitlines(), 1)
        if FOREIGN[what].search(line)
    ]

    assert found == []


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_package_is_complete(package: Package) -> None:
    """Each package ships its types, a README and the licence."""
    project = package.pyproject

    assert (package.source / "py.typed").exists()
    assert len((package.folder / "README.md").read_text(encoding="utf-8")) > 200
    assert (package.folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert at(project, "project", "license") == "Apache-2.0"
    licences = [str(name) for name in cast("list[object]", at(project, "project", "license-files"))]
    assert licences[0] == "LICENSE"
    assert [name for name in licences if not (package.folder / name).is_file()] == []
    assert at(project, "project", "requires-python") == ">=3.11"
    assert str(at(project, "project", "description")).endswith(".")


def test_packages_have_one_version() -> None:
    """All packages carry the version that stands first in the changelog."""
    versions = {str(at(package.pyproject, "project", "version")) for package in PACKAGES}
    changelog = re.findall(r"^## \[?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert versions == {changelog[0]}


def test_workspace_knows_every_package() -> None:
    """A member is installed by a plain sync, and the import rules hold for it."""
    root = toml(ROOT / "pyproject.toml")
    contracts = cast("list[dict[str, object]]", at(root, "tool", "importlinter", "contracts"))
    independent = next(contract["modules"] for contract in contracts if contract["type"] == "independence")

    assert set(_names(at(root, "project", "dependencies"))) == {package.distribution for package in PACKAGES}
    assert set(_names(at(root, "tool", "importlinter", "root_packages"))) == {package.module for package in PACKAGES}
    assert set(_names(independent)) == {"opsroom", *(server.module for server in SERVERS)}


def test_every_test_says_what_it_states() -> None:
    """Every test has a docstring of one sentence on one line."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path, tree in _tests()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
        if not (words := ast.get_docstring(node)) or "\n" in words
    ]

    assert silent == []


def test_tests_use_real_things() -> None:
    """No test mocks or patches our code."""
    pattern = re.compile(r"\bunittest\.mock\b|\bfrom unittest import mock|\bmonkeypatch\.setattr|\bmocker\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, _ in _tests()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


def _tests() -> list[tuple[Path, ast.Module]]:
    paths = [path for path in tracked() if path.name.startswith("test_") and path.suffix == ".py"]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def _names(value: object) -> list[str]:
    return [str(item) for item in cast("list[object]", value)]

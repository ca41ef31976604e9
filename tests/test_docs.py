"""What the documents say is run or compared.

A ```console block is run in a demo workspace: each line after `$ ` is a command, the lines below it are its output, compared in
order without numbers; `…` stands for anything left out. In a block that begins with `$ make`, the rest is what make prints.
A ```json block for a client must start a server, a ```toml block must be a configuration that is accepted.
"""

import importlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from opsroom.settings import ServersFile, Settings
from opsroom_shared.config import parse_toml
from opsroom_shared.serve import Program
from opsroom_shared.settings import ServerSettings
from opsroom_shared.testing.process import server_process
from suite import BIN, PACKAGES, ROOT, SERVERS, Server, at, toml

DOCUMENTS = [path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md") if path.exists()] + [
    package.folder / "README.md" for package in PACKAGES
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NUMBER = re.compile(r"[\d][\w.,:]*(?:-[\w]+)*")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: Path
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Step:
    """A command of a console block, and what it prints."""

    command: str
    printed: tuple[str, ...]


def blocks(language: str) -> list[Block]:
    return [
        Block(document, match[1], match[2], document.read_text(encoding="utf-8").count("\n", 0, match.start()) + 1)
        for document in DOCUMENTS
        for match in FENCE.finditer(document.read_text(encoding="utf-8"))
        if match[1] == language
    ]


def steps(block: Block) -> list[Step]:
    lines = block.text.splitlines()
    if lines[0].startswith("$ make"):
        return [Step(lines[0].removeprefix("$ "), tuple(lines[1:]))]
    found: list[Step] = []
    for line in lines:
        if line.startswith("$ "):
            found.append(Step(line.removeprefix("$ "), ()))
        else:
            found[-1] = Step(found[-1].command, (*found[-1].printed, line))
    return found


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "home").mkdir()
    return folder


def environment(workspace: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPSROOM_", "ANTHROPIC_", "XDG_"))}
    return {**kept, "HOME": str(workspace / "home"), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def shape(text: str) -> str:
    """A line without what differs from run to run: numbers, times, ids, and how wide a column is."""
    return " ".join(NUMBER.sub("#", re.sub(r"─+", "─", text)).split())


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_console_block(block: Block, workspace: Path) -> None:
    """The commands succeed and print what the document shows."""
    for step in steps(block):
        command = step.command
        if command.startswith("make "):
            assert command.split()[1] in targets()
            if command != "make demo":  # the others would run this test again
                continue
            command = "opsroom demo"
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=workspace,
            env=environment(workspace),
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

        assert done.returncode in (0, 3), f"{command}: {done.stderr}"
        shown = iter(shape(line) for line in done.stdout.splitlines())
        for line in step.printed:
            wanted = shape(line).removesuffix("…").rstrip()
            assert not wanted or any(one.startswith(wanted) for one in shown), f"{command} does not print, or not there: {line}"


def made(shown: str, folder: Path) -> str:
    """A database or a repository of this machine, in place of the one that a document shows."""
    if shown.startswith("sqlite:"):
        sqlite3.connect(folder / "shop.db").execute("create table one (id integer primary key)").connection.close()
        return f"sqlite:///{folder}/shop.db"
    subprocess.run(["git", "init", "--quiet", folder / "widgets"], check=True)
    return f"{folder}/widgets"


@pytest.mark.parametrize("block", blocks("json"), ids=str)
async def test_client_block(block: Block, tmp_path: Path) -> None:
    """A block to paste into a client is JSON, and each of its commands starts a server that lists tools."""
    content: dict[str, object] = json.loads(block.text)
    servers = cast("dict[str, dict[str, object]]", content.get("mcpServers") or content["servers"])

    for server in servers.values():
        given = cast("list[str]", server.get("args", []))
        arguments = [
            re.sub(r"sqlite:////\S+|/home/me/\S+|\$\{workspaceFolder\}", lambda shown: made(shown[0], tmp_path), one)
            for one in given
        ]
        env = cast("dict[str, str]", server.get("env", {}))
        async with server_process([BIN / str(server["command"]), *arguments, "--state", tmp_path], env=env) as process:
            await process.handshake()
            assert await process.list_tools()


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_configuration_block(block: Block, tmp_path: Path) -> None:
    """A configuration in a document is accepted by the program that reads it."""
    path = tmp_path / "shown.toml"
    path.write_text(block.text)
    table = toml(path)

    if "servers.d/" in block.text:
        assert parse_toml(path, ServersFile).servers
    elif "servers" in table or "chain" in table:
        assert parse_toml(path, Settings)
    else:
        [server] = [server for server in SERVERS if server.folder == block.document.parent]
        assert program(server).settings.model_validate(table)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """A link to a file of the repository leads to one."""
    links = [link.partition("#")[0] for link in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]

    assert [link for link in links if link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_make_targets_exist(document: Path) -> None:
    """What a document tells to make can be made."""
    named = set(re.findall(r"`make ([a-z]+)", document.read_text(encoding="utf-8")))

    assert named <= targets()


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The table under *heading*: its first cell without backticks → the others."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line.startswith("| `")]
    return {first.strip("| `"): [one.strip("| ") for one in others] for first, *others in cells}


def program(server: Server) -> Program[ServerSettings]:
    return importlib.import_module(f"{server.module}.server").PROGRAM


@pytest.mark.parametrize("server", SERVERS, ids=str)
def test_settings_table(server: Server) -> None:
    """A server's README has every setting that it reads, with its own words, and no other."""
    documented = rows((server.folder / "README.md").read_text(encoding="utf-8"), "Settings")
    fields = program(server).settings.model_fields

    assert {name: cells[-1] for name, cells in documented.items()} == {name: field.description for name, field in fields.items()}


@pytest.mark.parametrize("server", SERVERS, ids=str)
async def test_tools_table(server: Server, tmp_path: Path) -> None:
    """A server's README has every tool that it lists, and no other."""
    async with server_process([server.script, "--demo", "--allow-writes", "--state", tmp_path]) as process:
        await process.handshake()
        listed = {str(tool["name"]) for tool in await process.list_tools()}

    assert set(rows((server.folder / "README.md").read_text(encoding="utf-8"), "Tools")) == listed


@pytest.mark.parametrize("server", SERVERS, ids=str)
def test_flags_exist(server: Server) -> None:
    """Every flag that a server's README shows with its script is one of the script's."""
    usage = subprocess.run([server.script, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    readme = (server.folder / "README.md").read_text(encoding="utf-8")
    shown = {
        flag for call in re.findall(rf"{server.distribution}\b[^\n#`]*", readme) for flag in re.findall(r"--[a-z][a-z-]*", call)
    }

    assert sorted(flag for flag in shown if flag not in usage) == []


def commands() -> Iterator[str]:
    """Every form in which a document shows the command line of the orchestrator, without its arguments."""
    for document in DOCUMENTS:
        for shown in re.findall(r"[`$] ?(opsroom [a-z][^`\n]*)", document.read_text(encoding="utf-8")):
            words = shlex.split(
                shown.replace("[", "").replace("]", "").partition(" #")[0].replace("'", '"') if '"' not in shown else shown
            )
            names = [word for word in words[:3] if re.fullmatch(r"[a-z]+", word)]
            flags = [word for word in words if re.fullmatch(r"--[a-z-]+", word)]
            yield " ".join([*names, *flags])


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_command_exists(command: str, workspace: Path) -> None:
    """A command that a document shows exists, and has the flags that are shown."""
    names = [word for word in command.split() if not word.startswith("--")]
    flags = [word for word in command.split() if word.startswith("--")]
    wide = {**environment(workspace), "COLUMNS": "200"}

    usage = subprocess.run([*names, "--help"], cwd=workspace, env=wide, capture_output=True, text=True, timeout=60, check=False)

    assert usage.returncode == 0, usage.stderr
    assert [flag for flag in flags if flag not in usage.stdout] == []


def test_variables_exist() -> None:
    """Every environment variable that a document names is read somewhere, or belongs to a setting."""
    readers = [ROOT / ".ci" / "run", *(path for package in PACKAGES for path in package.source.rglob("*.py"))]
    sources = "".join(path.read_text(encoding="utf-8") for path in readers)
    settings = {program(server).settings.variable(name) for server in SERVERS for name in program(server).settings.model_fields}
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"\b(?:OPSROOM|ANTHROPIC)_[A-Z][A-Z_]*[A-Z]\b", document.read_text(encoding="utf-8"))
    }

    def is_known(name: str) -> bool:
        table = name.partition("__")[0]  # PROMETHEUS__TOKEN is a value in the table PROMETHEUS
        return name in sources or table in settings or any(one.startswith(name) for one in settings)

    assert sorted(name for name in named if not is_known(name)) == []


def test_tables_of_packages_are_not_empty() -> None:
    """The comparison above compares something: each server's README has both tables."""
    for server in SERVERS:
        readme = (server.folder / "README.md").read_text(encoding="utf-8")

        assert len(rows(readme, "Settings")) >= 5
        assert len(rows(readme, "Tools")) >= 3
        assert at(server.pyproject, "project", "scripts")

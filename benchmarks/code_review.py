"""find_changes, get_change and read_diff on a change of 80 files over stdio, against a bare `git diff` of the same run.

Round trips are the figure to keep low: for a forge each is a request, and here each is a process of git.
"""

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from dataclasses import field as of
from pathlib import Path

from opsroom_shared.testing.process import ServerProcess, server_process
from pydantic import BaseModel, Field

ROUNDS = int(os.environ.get("ROUNDS", "9"))
FILES = 80

_OPTIONS = re.compile(r"^(?:--[a-z-]+ |-c \S+ )*")

_COUNTING = """#!/bin/sh
echo "$*" >> {log}
exec {git} "$@"
"""


@dataclass
class Calls:
    """What the calls of one tool took."""

    seconds: list[float] = of(default_factory=list[float])
    bytes: list[int] = of(default_factory=list[int])
    commands: list[list[str]] = of(default_factory=list[list[str]])


def make_repository(folder: Path) -> None:
    def git(*arguments: str) -> None:
        names = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)

    def write(changed: str) -> None:
        for number in range(FILES):
            lines = [f"    value_{line} = {changed if line % 40 == 20 else line}\n" for line in range(120)]
            (folder / f"module_{number:02}.py").write_text("def work():\n" + "".join(lines), encoding="utf-8")

    git("init", "-q", "-b", "main")
    write("0")
    git("add", "-A")
    git("commit", "-q", "-m", "Begin")
    git("checkout", "-q", "-b", "wide")
    write("1")
    git("commit", "-q", "-a", "-m", "Change every module")
    git("checkout", "-q", "main")


class Change(BaseModel):
    version: str | None = None


class Structured(BaseModel):
    """What of an answer leads to the next call."""

    change: Change = Change()
    next_cursor: str | None = None


class Part(BaseModel):
    text: str


class Result(BaseModel):
    content: list[Part]
    structured: Structured = Field(validation_alias="structuredContent")


async def measured(server: ServerProcess, log: Path, calls: Calls, tool: str, **arguments: str | int | None) -> Structured:
    earlier = len(commands_in(log))
    begun = time.perf_counter()
    answer = await server.call(tool, **arguments)
    calls.seconds.append(time.perf_counter() - begun)
    calls.commands.append(commands_in(log)[earlier:])
    result = Result.model_validate(answer)
    calls.bytes.append(sum(len(part.text.encode()) for part in result.content))
    return result.structured


def commands_in(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def plain_diff(folder: Path) -> float:
    begun = time.perf_counter()
    subprocess.run(["git", "diff", "main...wide"], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - begun


async def run(folder: Path, log: Path, programs: Path) -> tuple[dict[str, Calls], list[float]]:
    script = Path(sys.executable).parent / "opsroom-code-review"
    found = {name: Calls() for name in ("find_changes", "get_change", "read_diff", "read_diff, next page", "read_diff, known")}
    bare: list[float] = []
    for _ in range(ROUNDS + 1):
        bare.append(plain_diff(folder))
        command = [script, "--repo", folder, "--state", folder.parent / "state"]
        async with server_process(command, env={"PATH": f"{programs}:{os.environ['PATH']}"}) as server:
            await server.handshake()
            await measured(server, log, found["find_changes"], "find_changes")
            details = await measured(server, log, found["get_change"], "get_change", change="wide")
            first = await measured(server, log, found["read_diff"], "read_diff", change="wide")
            await measured(server, log, found["read_diff, next page"], "read_diff", change="wide", cursor=first.next_cursor)
            known = found["read_diff, known"]
            await measured(server, log, known, "read_diff", change="wide", version=details.change.version, max_chars=100_000)
            await server.stop()
    return found, bare[1:]


def main() -> None:
    git = shutil.which("git")
    if git is None:
        sys.exit("git is not on PATH")
    with tempfile.TemporaryDirectory() as name:
        folder, log, programs = Path(name) / "wide", Path(name) / "log", Path(name) / "bin"
        folder.mkdir()
        programs.mkdir()
        (programs / "git").write_text(_COUNTING.format(log=log, git=git), encoding="utf-8")
        (programs / "git").chmod(0o755)
        make_repository(folder)
        found, bare = asyncio.run(run(folder, log, programs))

    base = statistics.median(bare)
    print(f"a change of {FILES} files, {ROUNDS} servers; `git diff` alone takes {base * 1_000:.1f} ms\n")
    print(f"{'call':22} {'round trips':>11} {'ratio':>6} {'median ms':>10} {'bytes':>8}")
    for tool, calls in found.items():
        seconds = statistics.median(calls.seconds[1:])
        trips = len(calls.commands[-1])
        print(f"{tool:22} {trips:11} {seconds / base:6.1f} {seconds * 1_000:10.1f} {calls.bytes[-1]:8,}")
    print("\nthe round trips, as git was called:")
    for tool, calls in found.items():
        for command in calls.commands[-1]:
            print(f"  {tool}: git {_OPTIONS.sub('', command)[:110]}")


if __name__ == "__main__":
    main()

"""How long a server takes from its start to its first `tools/list`, against a bare one-tool FastMCP server of the same run."""

import asyncio
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opsroom_shared.testing.contract import listing_tokens
from opsroom_shared.testing.process import Json, server_process

ROUNDS = int(os.environ.get("ROUNDS", "9"))
LIMIT = 1.25

BARE = '''
from fastmcp import FastMCP

mcp = FastMCP("bare", version="1")

@mcp.tool
def ping() -> str:
    """Answer pong."""
    return "pong"

mcp.run("stdio", show_banner=False)
'''


@dataclass(frozen=True)
class Start:
    """One start of one server, in seconds."""

    listed: float
    """From the start of the process to the answer of tools/list."""
    cpu: float
    """Spent by the process and its children from start to end."""
    tools: list[Json]


async def start(command: Sequence[str | Path]) -> Start:
    """Runs the Python program *command* once."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    async with server_process([sys.executable, *command]) as server:
        await server.handshake()
        tools = await server.list_tools()
        listed = time.perf_counter() - begun
        await server.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Start(listed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, tools)


async def measure(commands: dict[str, Sequence[str | Path]]) -> dict[str, list[Start]]:
    """Each command ROUNDS times, in turns, so that what else the machine does strikes all alike."""
    found: dict[str, list[Start]] = {name: [] for name in commands}
    for turn in range(ROUNDS + 1):
        for name, command in commands.items():
            one = await start(command)
            if turn:  # the first start compiles, and makes the demo data
                found[name].append(one)
    return found


def installed_servers() -> list[Path]:
    scripts = sorted(Path(sys.executable).parent.glob("opsroom-*"))
    return [
        script
        for script in scripts
        if "--demo" in subprocess.run([script, "--help"], capture_output=True, text=True, check=False).stdout
    ]


def imports(command: Sequence[str | Path]) -> dict[str, float]:
    """The modules that a start imports, with what each takes of its own, in milliseconds."""
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    rows = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", traced.stderr, re.MULTILINE)
    return {name: int(own) / 1_000 for own, name in rows}


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # sources that are not compiled would be measured instead
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        commands: dict[str, Sequence[str | Path]] = {"bare FastMCP": [bare]}
        for script in installed_servers():
            commands[script.name] = [script, "--demo", "--state", Path(folder) / script.name]
        found = asyncio.run(measure(commands))
        base = statistics.median(one.listed for one in found["bare FastMCP"])

        print(f"start to tools/list over stdio, {ROUNDS} starts each, in turns; at most {LIMIT} times the bare server\n")
        print(f"{'server':24} {'ratio':>6} {'median s':>9} {'min s':>7} {'cpu s':>7} {'tools':>6} {'tokens':>7}")
        for name, starts in found.items():
            listed, cpu = [one.listed for one in starts], [one.cpu for one in starts]
            tools = starts[-1].tools
            print(
                f"{name:24} {statistics.median(listed) / base:6.2f} {statistics.median(listed):9.3f} {min(listed):7.3f} "
                f"{statistics.median(cpu):7.3f} {len(tools):6} {listing_tokens(tools):7}"
            )
        common = imports(commands["bare FastMCP"])
        for name in list(commands)[1:]:
            own = {module: taken for module, taken in imports(commands[name]).items() if module not in common}
            slowest = sorted(own.items(), key=lambda item: -item[1])[:6]
            print(f"\n{name}: {len(own)} modules of its own, {sum(own.values()):.0f} ms; the slowest:")
            print("  " + ", ".join(f"{module} {taken:.0f} ms" for module, taken in slowest))


if __name__ == "__main__":
    main()

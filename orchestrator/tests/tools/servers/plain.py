"""A stdio server for tests: reads, writes, crashes, waits and draws on request, and writes down its pid at each start."""

import asyncio
import base64
import os
import sys
from pathlib import Path
from typing import Annotated

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.tools import ToolResult
from mcp.types import ImageContent, TextContent, ToolAnnotations
from pydantic import Field

FOLDER = Path(sys.argv[1])
READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
WRITE = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)

mcp = FastMCP("plain", version="1.2.3", mask_error_details=True)


def note(file: str, line: str) -> None:
    with (FOLDER / file).open("a") as opened:
        opened.write(f"{line}\n")


@mcp.tool(annotations=READ)
async def echo(text: Annotated[str, Field(description="What to say.")]) -> str:
    """Say it back."""
    return text


@mcp.tool(annotations=READ)
async def variables() -> dict[str, str]:
    """The server's own environment."""
    return dict(os.environ)


@mcp.tool(annotations=READ)
async def folder() -> str:
    """Where the server runs."""
    return str(Path.cwd())


@mcp.tool(annotations=READ)
async def read_once_dead() -> str:
    """Dies on the first call, answers on the second."""
    note("reads", str(os.getpid()))
    if len((FOLDER / "reads").read_text().split()) == 1:
        os._exit(3)
    return "alive"


@mcp.tool(annotations=WRITE)
async def write_and_die() -> str:
    """Writes, then dies before it answers."""
    note("writes", str(os.getpid()))
    os._exit(4)


@mcp.tool(annotations=READ)
async def wait_for(file: str) -> str:
    """Waits until a file exists."""
    note("waiting", file)
    while not (FOLDER / file).exists():
        await asyncio.sleep(0.01)
    return "there"


@mcp.tool(annotations=READ)
async def progress(steps: int, context: Context) -> str:
    """Reports progress."""
    for step in range(steps):
        await context.report_progress(step + 1, steps, f"step {step + 1}\x1b[31m")
    return "done"


@mcp.tool(annotations=READ)
async def fail() -> str:
    """Fails with details, as the suite's servers do."""
    raise ToolError("There is no such thing; list_things names them.")


@mcp.tool(annotations=READ)
async def fail_with_code() -> ToolResult:
    """Fails with a code, as the suite's servers do."""
    return ToolResult(content="Too fast.", structured_content={"code": "rate_limited", "retryable": True}, is_error=True)


@mcp.tool(annotations=READ)
async def picture() -> ToolResult:
    """A text and a picture."""
    data = base64.b64encode(b"\x89PNG not really").decode()
    return ToolResult(content=[TextContent(text="p99 is up"), ImageContent(data=data, mime_type="image/png")])


@mcp.tool(annotations=READ)
async def large(size: int) -> ToolResult:
    """An answer of the given size."""
    return ToolResult(content="x" * size)


note("pids", str(os.getpid()))
print("plain server starts", file=sys.stderr)  # noqa: T201 - what a test reads back as its last words
mcp.run("stdio", show_banner=False)

"""A stdio server on fastmcp, as the suite's own are: both eras, typed results, progress, pictures."""

import asyncio
import base64

from fastmcp import Context, FastMCP
from fastmcp.tools import ToolResult
from mcp.types import ImageContent, TextContent, ToolAnnotations

mcp = FastMCP("plain", version="1.2.3", mask_error_details=True)
READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


@mcp.tool(annotations=READ)
async def echo(text: str) -> str:
    """Say it back, after everybody else had a turn."""
    await asyncio.sleep(0)
    return text


@mcp.tool(annotations=READ)
async def climb(steps: int, context: Context) -> str:
    """Report progress."""
    for step in range(steps):
        await context.report_progress(step + 1, steps, f"step {step + 1}\x1b[31m")
    return "up"


@mcp.tool(annotations=READ)
async def draw() -> ToolResult:
    """Give a text and a picture."""
    data = base64.b64encode(b"not really a picture").decode()
    return ToolResult(content=[TextContent(text="p99 is up"), ImageContent(data=data, mime_type="image/png")])


mcp.run("stdio", show_banner=False)

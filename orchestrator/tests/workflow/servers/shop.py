"""A stdio server with a few of the databases tools, small enough that a test knows every answer."""

from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from mcp.types import ToolAnnotations

mcp = FastMCP("shop", version="1", mask_error_details=True)
READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
WRITE = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)


@mcp.tool(annotations=READ)
async def search_schema(query: str) -> dict[str, list[dict[str, str | int]]]:
    """Find tables and columns by words."""
    return {"matches": [{"name": "orders", "rows": 3, "asked": query}]}


@mcp.tool(annotations=READ)
async def describe_table(table: str) -> dict[str, str]:
    """Describe a table's columns and keys."""
    return {"table": table}


@mcp.tool(annotations=READ)
async def run_query(sql: str, limit: int = 10) -> dict[str, list[str] | list[list[int]] | int]:
    """Run a read-only query."""
    if "ordres" in sql:
        raise ToolError("no such table: ordres")
    return {"columns": ["n"], "rows": [[3]], "limit": limit}


@mcp.tool(annotations=WRITE)
async def run_write(sql: str) -> str:
    """Change rows."""
    return f"changed by {sql}"


mcp.run("stdio", show_banner=False)

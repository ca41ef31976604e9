"""An MCP server with a `deployment_history` that behaves as its argument says; the tests start it as a child."""

import asyncio
import os
import sys
from collections.abc import Mapping

from fastmcp import FastMCP
from fastmcp.exceptions import ToolError

BEHAVIOUR = sys.argv[1]
mcp = FastMCP("history", version="1")


def change(number: int) -> Mapping[str, object]:
    return {
        "deployment_id": f"dep-{number}",
        "at": f"2025-11-24T11:{number // 60:02d}:{number % 60:02d}Z",
        "service": "shop",
        "environment": "prod",
        "action": "rollback" if number else "deploy",
        "outcome": "succeeded",
        "after": f"1.{number}\x1b[2J",
        "by": os.environ.get("HISTORY_BY", "nobody"),
        "unknown": {"field": 1},
    }


async def deployment_history(
    since: str, until: str, limit: int, service: str | None = None, cursor: str | None = None
) -> dict[str, object]:
    """Tells deployments."""
    del since, until, service  # they are those of the real tool
    match BEHAVIOUR:
        case "fails":
            raise ToolError("the store is locked by token=abcdef123456")
        case "hangs":
            await asyncio.Event().wait()
        case "another form":
            return {"changes": [{"at": "soon", "service": "shop"}]}
        case "endless":
            return {"changes": [change(0)], "next_cursor": "again"}
        case "dies":
            os._exit(3)
        case _:
            pass
    skip = int(cursor or 0)
    numbers = range(skip, min(skip + limit, 250))
    more = numbers.stop < 250
    return {"changes": [change(number) for number in numbers], "next_cursor": str(numbers.stop) if more else None}


mcp.tool(deployment_history, name="another_tool" if BEHAVIOUR == "no tool" else "deployment_history")
mcp.run("stdio", show_banner=False)

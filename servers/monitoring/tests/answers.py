"""How tests read what a tool has answered."""

import asyncio
from collections.abc import Callable
from typing import cast

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport
from mcp.types import TextContent

Row = dict[str, object]


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def structured(result: CallToolResult) -> Row:
    assert result.structured_content is not None
    return result.structured_content


def listed(result: CallToolResult, key: str) -> list[Row]:
    return cast("list[Row]", structured(result)[key])


async def call(client: Client[FastMCPTransport], tool: str, **arguments: object) -> CallToolResult:
    return await client.call_tool(tool, arguments, raise_on_error=False)


async def call_until(
    client: Client[FastMCPTransport], is_so: Callable[[CallToolResult], bool], tool: str, **arguments: object
) -> CallToolResult:
    """The first answer that *is_so*, of something that comes by itself; bounded by the limit of the test."""
    while True:
        answer = await call(client, tool, **arguments)
        if not answer.is_error and is_so(answer):
            return answer
        await asyncio.sleep(0.2)

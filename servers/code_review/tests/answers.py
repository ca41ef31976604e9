"""Calls of tools, and what comes back, with its type."""

from typing import TypeVar

from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport
from mcp.types import TextContent
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
Caller = Client[FastMCPTransport]


class Refusal(BaseModel):
    code: str
    retryable: bool
    words: str


async def call(client: Caller, kind: type[M], tool: str, **arguments: object) -> M:
    """The structured answer of a call, which must not be an error."""
    return kind.model_validate((await client.call_tool(tool, arguments)).structured_content)


async def refused(client: Caller, tool: str, **arguments: object) -> Refusal:
    """How a call fails, which it must."""
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    assert result.is_error
    words = "".join(part.text for part in result.content if isinstance(part, TextContent))
    return Refusal.model_validate({**(result.structured_content or {}), "words": words})


async def text_of(client: Caller, tool: str, **arguments: object) -> str:
    """What a reader sees of a call."""
    result = await client.call_tool(tool, arguments)
    return "".join(part.text for part in result.content if isinstance(part, TextContent))

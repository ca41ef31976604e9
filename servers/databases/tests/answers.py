"""How the tests on every engine read what a tool has answered."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import cast

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport
from mcp.types import TextContent
from opsroom_databases.models import DatabaseHealth

Connect = Callable[..., AbstractAsyncContextManager[Client[FastMCPTransport]]]
"""Connects a client to a server: the fixture `connect` of each engine."""
Row = dict[str, object]


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def structured(result: CallToolResult) -> Row:
    assert result.structured_content is not None
    return result.structured_content


def listed(result: CallToolResult, key: str) -> list[Row]:
    return cast("list[Row]", structured(result)[key])


def health_of(result: CallToolResult) -> DatabaseHealth:
    assert not result.is_error, text_of(result)
    return DatabaseHealth.model_validate(result.structured_content)

"""What the tests of run_write on every engine share: how it is called, and what is expected of statements."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport
from mcp.types import TextContent
from opsroom_databases.models import WriteResult
from pydantic import BaseModel

DATA = Path(__file__).with_name("data")
YES = {"apply": True}
SURE = {"apply": True, "every_row": True}

Connected = Client[FastMCPTransport]
Writer = Callable[..., AbstractAsyncContextManager[tuple[Connected, list[str]]]]
"""A client of a server that may write, and what the person behind it was asked: the fixture `writer`."""


class Refused(BaseModel):
    """A statement that may not run, and a part of the answer."""

    sql: str
    words: str


class Honest(BaseModel):
    """A statement that has to be tried and applied."""

    sql: str


def refused(file: str) -> list[Refused]:
    return [Refused.model_validate_json(line) for line in (DATA / file).read_text(encoding="utf-8").splitlines()]


def honest(file: str) -> list[Honest]:
    return [Honest.model_validate_json(line) for line in (DATA / file).read_text(encoding="utf-8").splitlines()]


async def write(client: Connected, sql: str, **arguments: object) -> CallToolResult:
    return await client.call_tool("run_write", {"sql": sql, **arguments}, raise_on_error=False)


def done(result: CallToolResult) -> WriteResult:
    assert not result.is_error, result.content
    return WriteResult.model_validate_json(json.dumps(result.structured_content), strict=True)


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def code_of(result: CallToolResult) -> str:
    assert result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content["code"]

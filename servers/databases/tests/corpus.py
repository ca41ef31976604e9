"""What the guard's tests on every engine share: attacks and honest queries, and how large an answer may be."""

import json
from pathlib import Path

from fastmcp.client.client import CallToolResult
from mcp.types import TextContent
from pydantic import BaseModel

DATA = Path(__file__).with_name("data")
LARGEST_ANSWER = 1 << 20


class Attack(BaseModel):
    """A statement, what must become of it, and what it tries."""

    sql: str
    must: str
    why: str


class Honest(BaseModel):
    """A statement that only reads."""

    sql: str


def attacks(folder: str = "") -> list[Attack]:
    return [Attack.model_validate_json(line) for line in _lines(folder, "attacks.jsonl")]


def honest_queries(folder: str = "", name: str = "honest.jsonl") -> list[Honest]:
    return [Honest.model_validate_json(line) for line in _lines(folder, name)]


def is_small(result: CallToolResult) -> bool:
    text = sum(len(part.text) for part in result.content if isinstance(part, TextContent))
    return text < LARGEST_ANSWER and len(json.dumps(result.structured_content)) < LARGEST_ANSWER


def _lines(folder: str, name: str) -> list[str]:
    return (DATA / folder / name).read_text(encoding="utf-8").splitlines()

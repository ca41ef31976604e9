"""A server's README against its code: the tables that it should have, and those that it has."""

import json
import re
from collections.abc import Iterable

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ..tools import Tool


def table_after(readme: str, heading: str) -> list[list[str]]:
    """The cells of the first table below the second-level *heading*, without its head."""
    body = readme.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def tool_rows(tools: Iterable[Tool]) -> list[list[str]]:
    """The rows of a table of *tools*: name, and the first sentence of the description."""
    return [[f"`{tool.name}`", re.split(r"(?<=\.)\s", (tool.function.__doc__ or "").strip())[0]] for tool in tools]


def settings_rows(settings: type[BaseModel]) -> list[list[str]]:
    """The rows of a table of *settings*: name, default as JSON (empty where there is none), and meaning."""
    rows: list[list[str]] = []
    for name, field in settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "" if default in (None, PydanticUndefined) else f"`{_plain(default)}`"
        rows.append([f"`{name}`", shown, field.description or ""])
    return rows


def _plain(value: object) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    return value if isinstance(value, str) else json.dumps(value)

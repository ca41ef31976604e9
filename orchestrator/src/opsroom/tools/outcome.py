"""What came of a tool call, bounded and made harmless: an answer, an error the server gave, or no answer at all."""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue

if TYPE_CHECKING:
    from mcp.types import CallToolResult, ContentBlock

MAX_TEXT = 100_000
MAX_STRUCTURED = 1_000_000
MAX_PICTURES = 4
MAX_PICTURE = 5_000_000
"""Base64 characters; a model's own limit for one picture is of this order."""
MAX_BLOCKS = 200
MAX_ERROR_TEXT = 2_000

_CODE = re.compile(r"[a-z][a-z_]{1,39}")


@dataclass(frozen=True)
class Picture:
    media_type: str
    data: str
    """Base64, as it came."""


@dataclass(frozen=True)
class ToolOutcome:
    """One call's end. An error is an answer too: its text is written for the model and the person who read it."""

    tool: str
    server: str
    text: str
    structured: JsonValue = None
    is_error: bool = False
    code: str | None = None
    """With an error: a code of DESIGN 3.1, or the server's own word; None when it gave none."""
    retryable: bool = False
    ms: float = 0.0
    kinds: tuple[str, ...] = ()
    """The kinds of content in the answer, each once: text, image, audio, resource, resource_link."""
    pictures: tuple[Picture, ...] = ()
    truncated: bool = False
    """Something of the answer was left out here, with a mark in the text."""
    attempts: int = 1
    """0: it was never sent. 2: it was repeated over a new connection."""


def answered(tool: str, server: str, result: "CallToolResult", *, ms: float, attempts: int) -> ToolOutcome:
    """The outcome of a call that the server answered, with `isError` or without."""
    parts: list[str] = []
    pictures: list[Picture] = []
    room = MAX_TEXT
    for block in result.content[:MAX_BLOCKS]:
        if picture := _picture(block, len(pictures)):
            pictures.append(picture)
            continue
        text = _text(block)
        if room > 0:
            parts.append(_bounded(text, room))
        room -= len(text)
    if len(result.content) > MAX_BLOCKS:
        parts.append(f"… (+{len(result.content) - MAX_BLOCKS} more pieces of content)")
    structured, dropped = _structured(result.structured_content)
    if dropped:
        parts.append(f"… (structured content of {dropped} bytes left out)")
    code, retryable = _details(structured) if result.is_error else (None, False)
    return ToolOutcome(
        tool=tool,
        server=server,
        text="\n".join(parts),
        structured=structured,
        is_error=result.is_error,
        code=code,
        retryable=retryable,
        ms=ms,
        kinds=tuple(dict.fromkeys(block.type for block in result.content)),
        pictures=tuple(pictures),
        truncated=room < 0 or len(result.content) > MAX_BLOCKS or dropped > 0,
        attempts=attempts,
    )


def unanswered(tool: str, server: str, text: str, *, code: str, ms: float, attempts: int, retryable: bool = False) -> ToolOutcome:
    """The outcome of a call that got no answer from the tool; *text* says why, and what to try."""
    return ToolOutcome(
        tool=tool,
        server=server,
        text=redact(clean(text, MAX_ERROR_TEXT)),
        is_error=True,
        code=code,
        retryable=retryable,
        ms=ms,
        attempts=attempts,
    )


def clean_json(value: JsonValue) -> JsonValue:
    """*value* with every text in it cleaned, keys included."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_json(item) for key, item in value.items()}
    return value


def _bounded(text: str, room: int) -> str:
    """*text* cleaned, and cut with a mark. It is cut first: cleaning megabytes would hold up everybody else."""
    return clean(text) if len(text) <= room else f"{clean(text[:room])}… (+{len(text) - room} characters)"


def _structured(content: object) -> tuple[JsonValue, int]:
    """The structured content, or None and its size when it is too large to keep."""
    if content is None:
        return None, 0
    size = len(json.dumps(content, ensure_ascii=False, separators=(",", ":")))
    return (None, size) if size > MAX_STRUCTURED else (clean_json(cast("JsonValue", content)), 0)


def _details(structured: JsonValue) -> tuple[str | None, bool]:
    if not isinstance(structured, dict):
        return None, False
    code = structured.get("code")
    known = code if isinstance(code, str) and _CODE.fullmatch(code) else None
    return known, structured.get("retryable") is True


def _picture(block: "ContentBlock", already: int) -> Picture | None:
    if block.type != "image" or already >= MAX_PICTURES or len(block.data) > MAX_PICTURE:
        return None
    return Picture(clean(block.mime_type, 100), block.data)


def _text(block: "ContentBlock") -> str:
    match block.type:
        case "text":
            return block.text
        case "resource_link":
            return f"[resource {block.uri}: {block.description or block.name}]"
        case "resource":
            text = getattr(block.resource, "text", None)
            return text if isinstance(text, str) else f"[resource {block.resource.uri}: binary, not shown]"
        case "image" | "audio":
            return f"[{block.type}, {block.mime_type}, {len(block.data)} base64 characters, not shown]"

"""The contract of every server's `tools/list`, checked on what a client is sent."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import cast

from pydantic import JsonValue

from .process import Json

MAX_LISTING_TOKENS = 3_000

_NAME = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
_SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)[.!?](?=\s|$)")
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
_BOUNDED_FORMATS = ("date-time", "date", "time", "duration", "uuid", "ipv4", "ipv6")


def listing_tokens(tools: Sequence[Json]) -> int:
    """What *tools* cost in a request, estimated as bytes / 4, without the output schemas, which no model is sent."""
    sent = [{key: value for key, value in tool.items() if key != "outputSchema"} for tool in tools]
    return len(json.dumps(sent, separators=(",", ":"), ensure_ascii=False).encode()) // 4


def contract_problems(tools: Sequence[Json], *, pictures: Collection[str] = ()) -> list[str]:
    """What is wrong with *tools*, a line each. The tools named in *pictures* may have no output schema."""
    problems = [problem for tool in tools for problem in _of_tool(tool, pictures)]
    names = [str(tool["name"]) for tool in tools]
    problems += [f"{name}: listed {names.count(name)} times" for name in sorted(set(names)) if names.count(name) > 1]
    tokens = listing_tokens(tools)
    if tokens > MAX_LISTING_TOKENS:
        problems.append(f"tools/list costs {tokens} tokens; at most {MAX_LISTING_TOKENS}")
    return problems


def _of_tool(tool: Json, pictures: Collection[str]) -> Iterator[str]:
    name = str(tool["name"])
    if not _NAME.fullmatch(name):
        yield f"{name}: a name is two or more lower-case words, such as find_changes"
    description = str(tool.get("description") or "")
    sentences = len(_SENTENCE_END.findall(description))
    if not description or sentences > 3:
        yield f"{name}: a description has 1 to 3 sentences, this one {sentences}"
    hints = _table(tool.get("annotations"))
    if missing := [hint for hint in _HINTS if not isinstance(hints.get(hint), bool)]:
        yield f"{name}: annotations lack {', '.join(missing)}"
    if hints.get("readOnlyHint") and hints.get("destructiveHint"):
        yield f"{name}: what only reads cannot destroy"
    if _table(tool.get("outputSchema")).get("type") != "object" and name not in pictures:
        yield f"{name}: no output schema of an object"
    schema = _table(tool.get("inputSchema"))
    if schema.get("additionalProperties") is not False:
        yield f"{name}: unknown arguments are not refused"
    for parameter, value in _table(schema.get("properties")).items():
        if not _table(value).get("description"):
            yield f"{name}: the parameter {parameter} has no description"
        yield from (f"{name}: {problem}" for problem in _unbounded(parameter, _table(value)))


def _unbounded(path: str, schema: Json) -> Iterator[str]:
    """The places in the parameter at *path* where a caller could send any amount."""
    if "enum" in schema or "const" in schema:
        return
    kind = schema.get("type")
    bounds = {
        "string": ("maxLength",),
        "integer": ("minimum", "maximum"),
        "number": ("minimum", "maximum"),
        "array": ("maxItems",),
    }
    if not (kind == "string" and schema.get("format") in _BOUNDED_FORMATS):
        for bound in bounds.get(str(kind), ()):
            if bound not in schema and f"exclusive{bound.title()}" not in schema:
                yield f"{path} has no {bound}"
    for branch in ("anyOf", "oneOf", "allOf"):
        for option in cast("list[Json]", schema.get(branch) or []):
            yield from _unbounded(path, option)
    if kind == "array":
        yield from _unbounded(f"{path}[]", _table(schema.get("items")))
    if kind == "object":
        for name, value in _table(schema.get("properties")).items():
            yield from _unbounded(f"{path}.{name}", _table(value))
        yield from _unbounded_others(path, schema)


def _unbounded_others(path: str, schema: Json) -> Iterator[str]:
    others = schema.get("additionalProperties")
    if others is not False:
        if "maxProperties" not in schema:
            yield f"{path} has no maxProperties"
        yield from _unbounded(f"{path}.*", _table(others))


def _table(value: JsonValue) -> Json:
    return value if isinstance(value, dict) else {}

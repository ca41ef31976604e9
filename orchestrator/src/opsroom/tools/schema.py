"""Whether a JSON Schema is sound enough to describe a tool's arguments to a model.

The full meta-schema check costs 9 ms a tool; this one looks at what a model API refuses, and costs microseconds.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

_TYPES: Final = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
_SCHEMA_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SCHEMA_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_TEXTS: Final = ("$ref", "description", "title", "format", "$id", "$schema")
_MAX_DEPTH: Final = 32


def arguments_fault(schema: JsonValue) -> str | None:
    """Why *schema* cannot describe a tool's arguments, in a few words; None when it can."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return 'its "type" must be "object"'
    return _fault(schema, "", 0)


def _fault(schema: JsonValue, path: str, depth: int) -> str | None:
    where = path or "the schema"
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return f"{where} must be an object"
    if depth > _MAX_DEPTH:
        return f"{where} is nested deeper than {_MAX_DEPTH}"
    return _keyword_fault(schema, where) or next(
        (fault for name, part in _parts(schema) if (fault := _fault(part, f"{path}.{name}".lstrip("."), depth + 1))), None
    )


def _keyword_fault(schema: Mapping[str, JsonValue], where: str) -> str | None:
    return next((f"{where}: {fault}" for fault in _keyword_faults(schema) if fault), None)


def _keyword_faults(schema: Mapping[str, JsonValue]) -> Iterator[str | None]:
    kind = schema.get("type", "object")
    kinds = kind if isinstance(kind, list) else [kind]
    yield None if kinds and all(isinstance(one, str) and one in _TYPES for one in kinds) else "type is not one of JSON Schema's"
    for key in _SCHEMA_MAPS:
        yield None if isinstance(schema.get(key, {}), dict) else f"{key} must be an object"
    for key in _SCHEMA_LISTS:
        yield None if key not in schema or (isinstance(schema[key], list) and schema[key]) else f"{key} must be a filled list"
    for key in _TEXTS:
        yield None if isinstance(schema.get(key, ""), str) else f"{key} must be text"
    required = schema.get("required", [])
    names = isinstance(required, list) and all(isinstance(name, str) for name in required)
    yield None if names else "required must be a list of names"
    yield None if isinstance(schema.get("enum", []), list) else "enum must be a list"
    yield _pattern_fault(schema.get("pattern", ""))


def _pattern_fault(pattern: JsonValue) -> str | None:
    if not isinstance(pattern, str):
        return "pattern must be text"
    try:
        re.compile(pattern)
    except re.error:
        # the two dialects of regular expressions differ in \p and \u{…}, which only one side knows
        return None if re.search(r"\\[pPu]", pattern) else "pattern is not a regular expression"
    return None


def _parts(schema: Mapping[str, JsonValue]) -> list[tuple[str, JsonValue]]:
    parts: list[tuple[str, JsonValue]] = [(key, schema[key]) for key in _SCHEMAS if key in schema]
    for key in _SCHEMA_MAPS:
        inner = schema.get(key)
        if isinstance(inner, dict):
            parts += inner.items()
    for key in _SCHEMA_LISTS:
        items = schema.get(key)
        if isinstance(items, list):
            parts += [(f"{key}[{number}]", item) for number, item in enumerate(items)]
    return parts

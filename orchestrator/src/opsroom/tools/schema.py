"""Whether a JSON Schema is sound enough to describe a tool's arguments to a model.

The full meta-schema check costs 9 ms a tool; this one looks at what a model API refuses, and costs microseconds.
"""

import re
from collections.abc import Mapping
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
    kind = schema.get("type", "object")
    kinds = kind if isinstance(kind, list) else [kind]
    if not kinds or not all(isinstance(one, str) and one in _TYPES for one in kinds):
        return f"{where} has no known type"
    for key in _SCHEMA_MAPS:
        if not isinstance(schema.get(key, {}), dict):
            return f"{where}: {key} must be an object"
    for key in _SCHEMA_LISTS:
        if key in schema and not (isinstance(schema[key], list) and schema[key]):
            return f"{where}: {key} must be a list with something in it"
    for key in _TEXTS:
        if not isinstance(schema.get(key, ""), str):
            return f"{where}: {key} must be text"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return f"{where}: required must be a list of names"
    if "enum" in schema and not isinstance(schema["enum"], list):
        return f"{where}: enum must be a list"
    return _pattern_fault(schema.get("pattern", ""), where)


def _pattern_fault(pattern: JsonValue, where: str) -> str | None:
    if not isinstance(pattern, str):
        return f"{where}: pattern must be text"
    try:
        re.compile(pattern)
    except re.error:
        # the two dialects of regular expressions differ in \p and \u{…}, which only one side knows
        return None if re.search(r"\\[pPu]", pattern) else f"{where}: pattern is not a regular expression"
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

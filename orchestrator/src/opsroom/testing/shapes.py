"""The smallest value that a JSON schema allows, with wished-for values where the schema has room for them."""

from collections.abc import Mapping
from typing import TypeAlias

from pydantic import JsonValue

Schema: TypeAlias = Mapping[str, JsonValue]
MAX_DEPTH = 40
_BY_FORMAT = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "nobody@example.org",
    "hostname": "localhost",
    "uri": "http://localhost/",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fill(schema: Schema, values: Mapping[str, JsonValue] | None = None) -> JsonValue:
    """A value of *schema*; where it is an object, with those of *values* that fit. Raises ValueError when none can be made."""
    smallest = _fill(schema, schema, MAX_DEPTH)
    if not isinstance(smallest, dict):
        return smallest
    properties = _object(_resolve(schema, schema).get("properties"))
    wished = {name: value for name, value in (values or {}).items() if name in properties}
    return smallest | {name: value for name, value in wished.items() if allows(_object(properties[name]), value, schema)}


def allows(schema: Schema, value: JsonValue, root: Schema) -> bool:
    """Whether *value* is valid under *schema*, a part of *root*."""
    from jsonschema import Draft202012Validator

    # the definitions that a `$ref` in the part points to stand at the root
    validator = Draft202012Validator({**schema, "$defs": root.get("$defs", {})})
    return validator.is_valid(value)  # pyright: ignore[reportUnknownMemberType] -- its stubs leave one overload untyped


def _fill(schema: Schema, root: Schema, depth: int) -> JsonValue:
    if depth == 0:
        raise ValueError("the schema is nested too deeply, or requires itself")
    schema = _resolve(schema, root)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if choices := _list(schema.get("enum")):
        return choices[0]
    if variants := _list(schema.get("anyOf")) or _list(schema.get("oneOf")):
        return None if {"type": "null"} in variants else _fill(_object(variants[0]), root, depth - 1)
    if parts := _list(schema.get("allOf")):
        return _fill(_merged(parts, root), root, depth - 1)
    return _of_type(schema, root, depth)


def _of_type(schema: Schema, root: Schema, depth: int) -> JsonValue:
    kinds = schema.get("type", "object")
    match kinds[0] if isinstance(kinds, list) else kinds:
        case "object":
            properties = _object(schema.get("properties"))
            value = {
                str(name): _fill(_object(properties.get(str(name))), root, depth - 1) for name in _list(schema.get("required"))
            }
        case "array":
            items = _object(schema.get("items"))
            value = [_fill(items, root, depth - 1) for _ in range(int(_number(schema, "minItems", 0)))]
        case "string":
            value = _smallest_text(schema)
        case "integer":
            value = int(_smallest_number(schema))
        case "number":
            value = _smallest_number(schema)
        case kind:
            value = False if kind == "boolean" else None
    return value


def _resolve(schema: Schema, root: Schema) -> Schema:
    for _ in range(MAX_DEPTH):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = root
        for part in filter(None, reference.removeprefix("#").split("/")):
            schema = _object(schema.get(part.replace("~1", "/").replace("~0", "~")))
    raise ValueError("the schema's references go in a circle")


def _merged(parts: list[JsonValue], root: Schema) -> Schema:
    merged: dict[str, JsonValue] = {}
    for part in (_resolve(_object(part), root) for part in parts):
        properties = dict(_object(merged.get("properties"))) | dict(_object(part.get("properties")))
        required = [*_list(merged.get("required")), *_list(part.get("required"))]
        merged |= part
        if properties:
            merged["properties"], merged["required"] = properties, required
    return merged


def _smallest_number(schema: Schema) -> float:
    if "minimum" in schema:
        return _number(schema, "minimum", 0)
    if "exclusiveMinimum" in schema:
        return _number(schema, "exclusiveMinimum", 0) + 1
    return min(1.0, _number(schema, "maximum", 1), _number(schema, "exclusiveMaximum", 2) - 1)


def _smallest_text(schema: Schema) -> str:
    text = _BY_FORMAT.get(str(schema.get("format")), "ok")
    return text.ljust(int(_number(schema, "minLength", 0)), ".")


def _number(schema: Schema, word: str, default: float) -> float:
    value = schema.get(word, default)
    return value if isinstance(value, int | float) else default


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _object(value: JsonValue) -> Schema:
    """*value* where it is an object; `true`, which allows anything, and what is missing are the empty schema."""
    return value if isinstance(value, dict) else {}

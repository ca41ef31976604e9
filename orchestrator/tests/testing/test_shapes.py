"""The smallest value of a JSON schema."""

from typing import TYPE_CHECKING

import pytest
from opsroom.testing.shapes import Schema, allows, fill

if TYPE_CHECKING:
    from pydantic import JsonValue

SCHEMAS: dict[str, Schema] = {
    "string": {"type": "string"},
    "long string": {"type": "string", "minLength": 12},
    "date and time": {"type": "string", "format": "date-time"},
    "enum": {"enum": ["b", "a"]},
    "const": {"const": {"x": 1}},
    "default": {"type": "integer", "default": 7},
    "integer": {"type": "integer"},
    "integer above": {"type": "integer", "exclusiveMinimum": 4},
    "integer below": {"type": "integer", "maximum": 0},
    "number in a narrow range": {"type": "number", "minimum": 0.25, "maximum": 0.5},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "nullable": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    "list of types": {"type": ["string", "null"]},
    "array": {"type": "array", "items": {"type": "string"}},
    "array with a minimum": {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2},
    "object": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
    "reference": {
        "$defs": {"Source": {"type": "object", "properties": {"tool": {"type": "string"}}, "required": ["tool"]}},
        "type": "object",
        "properties": {"sources": {"type": "array", "items": {"$ref": "#/$defs/Source"}, "minItems": 1}},
        "required": ["sources"],
        "additionalProperties": False,
    },
    "anything": {},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_smallest_value_is_valid(name: str) -> None:
    """Whatever the schema asks for, the value obeys it."""
    value = fill(SCHEMAS[name])

    assert allows(SCHEMAS[name], value, SCHEMAS[name])


def test_wished_values_are_taken_where_the_schema_allows_them() -> None:
    """An unknown key and a value of the wrong kind are left out."""
    schema: Schema = {
        "$defs": {"Kind": {"enum": ["good", "bad"]}},
        "type": "object",
        "properties": {"answer": {"type": "string"}, "kind": {"$ref": "#/$defs/Kind"}, "n": {"type": "integer"}},
        "required": ["answer", "kind"],
    }
    wished: dict[str, JsonValue] = {"answer": "42", "kind": "ugly", "n": 3, "extra": True}

    assert fill(schema, wished) == {"answer": "42", "kind": "good", "n": 3}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]}}},
    ],
    ids=["a reference to itself", "an object that requires itself"],
)
def test_a_schema_without_any_finite_value_is_refused(schema: Schema) -> None:
    """A circle ends in an error and not in a hang."""
    with pytest.raises(ValueError, match=r"circle|requires itself"):
        fill(schema)

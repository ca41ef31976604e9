"""Which schemas can describe a tool's arguments to a model."""

import pytest
from opsroom.tools.schema import arguments_fault
from pydantic import JsonValue


def of(**parts: JsonValue) -> dict[str, JsonValue]:
    return {"type": "object", "properties": {"x": parts}}


def nested(depth: int) -> JsonValue:
    schema: JsonValue = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        of(type="string", pattern="^a+$", enum=["a", "aa"], description="x"),
        of(type=["string", "null"]),
        of(anyOf=[{"type": "string"}, {"type": "null"}], default=None),
        of(type="array", items={"type": "integer"}, minItems=1),
        of(**{"$ref": "#/$defs/y"}) | {"$defs": {"y": {"type": "object", "additionalProperties": False}}},
        of(type="object", additionalProperties={"type": "number"}),
        of(pattern=r"^\p{L}+$"),
        {"type": "object", "properties": {"x": True}, "required": ["x"]},
        nested(20),
    ],
)
def test_sound_schema(schema: JsonValue) -> None:
    """What servers really list is let through."""
    assert arguments_fault(schema) is None


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ([], 'its "type" must be "object"'),
        ({}, 'its "type" must be "object"'),
        ({"type": "array"}, 'its "type" must be "object"'),
        ({"type": "object", "properties": []}, "the schema: properties must be an object"),
        ({"type": "object", "properties": {"x": 1}}, "x must be an object"),
        ({"type": "object", "required": "x"}, "the schema: required must be a list of names"),
        ({"type": "object", "required": [1]}, "the schema: required must be a list of names"),
        (of(type="text"), "x: type is not one of JSON Schema's"),
        (of(type=[]), "x: type is not one of JSON Schema's"),
        (of(type={"a": 1}), "x: type is not one of JSON Schema's"),
        (of(anyOf=[]), "x: anyOf must be a filled list"),
        (of(anyOf=[{"type": "nil"}]), "x.anyOf[0]: type is not one of JSON Schema's"),
        (of(items=[1]), "x.items must be an object"),
        (of(enum="a"), "x: enum must be a list"),
        (of(pattern="("), "x: pattern is not a regular expression"),
        (of(pattern=1), "x: pattern must be text"),
        (of(description=1), "x: description must be text"),
        (nested(40), "is nested deeper than 32"),
    ],
)
def test_broken_schema(schema: JsonValue, fault: str) -> None:
    """A schema that a model API would refuse is named with the place of its fault."""
    assert fault in (arguments_fault(schema) or "")

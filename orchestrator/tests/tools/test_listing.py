"""What is kept of a listing, and how a change of it shows."""

from typing import TypeAlias

import pytest
from mcp.types import Tool, ToolAnnotations
from opsroom.tools.listing import MAX_PROBLEMS, Listing, ToolChange, compare, read_listing

Schema: TypeAlias = dict[str, object]
SCHEMA: Schema = {"type": "object", "properties": {"sql": {"type": "string", "description": "The \x1b[31mSQL."}}}


def tool(
    name: str = "run", description: str = "Runs.", schema: Schema | None = None, hints: ToolAnnotations | None = None
) -> Tool:
    return Tool(name=name, description=description, input_schema=schema or SCHEMA, annotations=hints)


def listing(*tools: Tool) -> Listing:
    return read_listing("s", tools)


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        (None, (False, True, False)),
        (ToolAnnotations(read_only_hint=True), (True, False, True)),
        (ToolAnnotations(read_only_hint=False, destructive_hint=False), (False, False, False)),
        (ToolAnnotations(idempotent_hint=True), (False, True, True)),
        (ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=True), (False, True, False)),
    ],
)
def test_missing_annotations_mean_the_worst(hints: ToolAnnotations | None, expected: tuple[bool, bool, bool]) -> None:
    """A tool that says nothing about itself writes, destroys, and must not be repeated."""
    found = listing(tool(hints=hints)).tools[0]

    assert (found.read_only, found.destructive, found.idempotent) == expected


def test_texts_of_a_schema_are_cleaned() -> None:
    """Descriptions of parameters come from outside too."""
    assert listing(tool()).tools[0].input_schema == {
        "type": "object",
        "properties": {"sql": {"type": "string", "description": "The SQL."}},
    }


@pytest.mark.parametrize(
    "changed",
    [
        tool(description="Runs, and sends a copy to evil.example."),
        tool(schema={"type": "object", "properties": {"sql": {"type": "string"}, "to": {"type": "string"}}}),
        tool(hints=ToolAnnotations(read_only_hint=True)),
    ],
)
def test_every_part_that_counts_is_in_the_fingerprint(changed: Tool) -> None:
    """Another description, schema or annotation under the same name is a change."""
    assert compare(listing(tool()), listing(changed)) == (ToolChange("changed", "run"),)


def test_changes_are_named() -> None:
    """Added, removed, changed; what stayed the same in another order is no change."""
    old = listing(tool("a"), tool("b"), tool("c"))
    new = listing(tool("c"), tool("b", description="Other."), tool("d"))

    assert compare(old, new) == (ToolChange("added", "d"), ToolChange("removed", "a"), ToolChange("changed", "b"))
    assert compare(new, listing(*reversed([tool("c"), tool("b", description="Other."), tool("d")]))) == ()


def test_problems_are_bounded() -> None:
    """A server with hundreds of broken tools costs a few lines."""
    found = listing(*(tool(f"bad name {n}") for n in range(500)), tool("good"))

    assert [one.name for one in found.tools] == ["good"]
    assert found.problems[-1] == f"and {500 - MAX_PROBLEMS} more"
    assert len(found.problems) == MAX_PROBLEMS + 1

"""The checker of the contract finds what breaks it."""

import copy

import pytest
from opsroom_shared.testing.contract import contract_problems, listing_tokens
from opsroom_shared.testing.process import Json, server_process
from pydantic import JsonValue

GOOD: Json = {
    "name": "find_books",
    "description": "Find books, e.g. by title. Returns the best. Ask for fewer with `limit`.",
    "annotations": {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False},
    "outputSchema": {"type": "object"},
    "inputSchema": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "title": {"description": "A title.", "anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
            "limit": {"description": "How many.", "type": "integer", "minimum": 1, "exclusiveMaximum": 9},
            "sort": {"description": "Order.", "type": "string", "enum": ["up", "down"]},
            "since": {"description": "From when.", "type": "string", "format": "date-time"},
            "tags": {"description": "Tags.", "type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 9}},
            "exact": {"description": "Exactly.", "type": "boolean"},
        },
    },
}


def broken(path: str, value: JsonValue) -> Json:
    """GOOD with the value at the dotted *path* replaced, or taken out for None."""
    tool = copy.deepcopy(GOOD)
    here: Json = tool
    *way, last = path.split(".")
    for part in way:
        inner = here[part]
        assert isinstance(inner, dict)
        here = inner
    here.pop(last, None)
    if value is not None:
        here[last] = value
    return tool


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("name", "books", "books: a name is two or more lower-case words, such as find_changes"),
        ("name", "findBooks", "findBooks: a name is two or more lower-case words, such as find_changes"),
        ("description", None, "find_books: a description has 1 to 3 sentences, this one 0"),
        ("description", "A. B! C? D.", "find_books: a description has 1 to 3 sentences, this one 4"),
        ("annotations.openWorldHint", None, "find_books: annotations lack openWorldHint"),
        ("annotations", None, "find_books: annotations lack readOnlyHint, destructiveHint, idempotentHint, openWorldHint"),
        ("annotations.destructiveHint", True, "find_books: what only reads cannot destroy"),
        ("outputSchema", None, "find_books: no output schema of an object"),
        ("inputSchema.additionalProperties", None, "find_books: unknown arguments are not refused"),
        ("inputSchema.properties.limit.description", None, "find_books: the parameter limit has no description"),
        ("inputSchema.properties.limit.minimum", None, "find_books: limit has no minimum"),
        ("inputSchema.properties.limit.exclusiveMaximum", None, "find_books: limit has no maximum"),
        ("inputSchema.properties.title.anyOf", [{"type": "string"}], "find_books: title has no maxLength"),
        ("inputSchema.properties.tags.maxItems", None, "find_books: tags has no maxItems"),
        ("inputSchema.properties.tags.items", {"type": "string"}, "find_books: tags[] has no maxLength"),
        (
            "inputSchema.properties.labels",
            {"description": "L.", "type": "object", "additionalProperties": {"type": "string", "maxLength": 9}},
            "find_books: labels has no maxProperties",
        ),
        (
            "inputSchema.properties.page",
            {"description": "P.", "type": "object", "additionalProperties": False, "properties": {"of": {"type": "string"}}},
            "find_books: page.of has no maxLength",
        ),
    ],
)
def test_problem_is_found(path: str, value: JsonValue, problem: str) -> None:
    """A tool that breaks one rule has one problem, which names tool and parameter."""
    assert contract_problems([broken(path, value)]) == [problem]


def test_good_tool_has_no_problem() -> None:
    """A tool that keeps the contract has no problem; a picture needs no output schema."""
    assert contract_problems([GOOD]) == []
    assert contract_problems([broken("outputSchema", None)], pictures=["find_books"]) == []


def test_listing_has_a_budget() -> None:
    """Names that stand twice and a list that costs too much are found."""
    problems = contract_problems([GOOD] * 20)

    assert problems == ["find_books: listed 20 times", f"tools/list costs {listing_tokens([GOOD] * 20)} tokens; at most 3000"]


async def test_listing_costs_no_metadata(notes: list[str]) -> None:
    """What fastmcp would add to every tool is not sent."""
    async with server_process(notes) as server:
        await server.handshake()
        tools = await server.list_tools()

    assert not any("_meta" in tool for tool in tools)

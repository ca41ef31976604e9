"""Tools, as clients of both eras see them."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import pytest
from fastmcp import Client, Context, FastMCP
from fastmcp.dependencies import CurrentContext
from fastmcp.exceptions import ToolError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from jsonschema import ValidationError, validate
from mcp.types import CallToolRequestParams, TextContent
from opsroom_shared import errors
from opsroom_shared.errors import NotFound, ToolFailure
from opsroom_shared.testing.process import Json
from opsroom_shared.tools import MAX_ANSWER, Answer, Tool, create_server, lifespan_value
from pydantic import BaseModel, Field
from typing_extensions import override

MODES = ("auto", "legacy")


class Shelf(Answer):
    books: list[str]
    note: str | None = None


class Terse(Shelf):
    def text(self) -> str:
        return f"{len(self.books)} books"


Title = Annotated[str, Field(description="A title.", max_length=20, min_length=1)]


async def find_books(title: Title, count: Annotated[int, Field(description="How many.", ge=1, le=9)] = 1) -> Shelf:
    """
    Find books by title.

    Returns the best matches.
    """
    return Shelf(books=[title] * count)


async def count_books() -> Terse:
    """Count the books."""
    return Terse(books=["a", "b"])


async def burn_book(title: Title) -> Shelf:
    """Burn a book."""
    return Shelf(books=[title])


async def since_when(start: Annotated[datetime, Field(description="When.")]) -> Shelf:
    """Tell since when."""
    return Shelf(books=[start.isoformat()])


def server_of(*tools: Tool, allow_writes: bool = True) -> FastMCP:
    return create_server("books", distribution="opsroom-shared", instructions="Books.", tools=tools, allow_writes=allow_writes)


async def outcome(server: FastMCP, tool: str, arguments: Json | None = None, mode: str = "auto") -> tuple[str, object, bool]:
    """Text, structured content, and whether it is an error."""
    async with Client(server, mode=mode) as client:
        result = await client.call_tool(tool, arguments or {}, raise_on_error=False)
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text, result.structured_content, result.is_error


def fits(value: object, schema: Json) -> bool:
    try:
        validate(value, schema)
    except ValidationError:
        return False
    return True


def raising(error: Exception) -> Tool:
    async def fall_over() -> Shelf:
        """Fall over."""
        raise error

    return Tool(fall_over)


@pytest.mark.parametrize("mode", MODES)
async def test_answer_is_sent_for_reader_and_program(mode: str) -> None:
    """An answer arrives as text without what is empty, and as structured content with everything."""
    answer = await outcome(server_of(Tool(find_books)), "find_books", {"title": "Emma"}, mode)

    assert answer == ('{"books":["Emma"]}', {"books": ["Emma"], "note": None}, False)


async def test_answer_has_words_of_its_own() -> None:
    """An answer that overrides `text` is read as that, and stays structured for programs."""
    answer = await outcome(server_of(Tool(count_books)), "count_books")

    assert answer == ("2 books", {"books": ["a", "b"], "note": None}, False)


@pytest.mark.parametrize("mode", MODES)
async def test_listing_is_complete_and_lean(mode: str) -> None:
    """A listed tool has name, description, schemas and all four annotations, and nothing that only costs tokens."""
    async with Client(
        server_of(Tool(find_books), Tool(burn_book, read_only=False, destructive=True, idempotent=False)), mode=mode
    ) as client:
        find, burn = await client.list_tools()

    assert (find.name, find.description) == ("find_books", "Find books by title.\n\nReturns the best matches.")
    assert find.input_schema["additionalProperties"] is False
    assert find.output_schema
    assert find.output_schema["anyOf"][0]["required"] == ["books"]
    assert find.annotations
    assert burn.annotations
    assert find.annotations.model_dump(exclude_none=True) == {
        "read_only_hint": True,
        "destructive_hint": False,
        "idempotent_hint": True,
        "open_world_hint": False,
    }
    assert burn.annotations.destructive_hint
    assert find.meta is None


@pytest.mark.parametrize("mode", MODES)
async def test_output_schema_admits_answers_and_error_details_only(mode: str) -> None:
    """Clients that hold errors to the output schema can read them, and an answer without its fields is still refused."""
    async with Client(server_of(Tool(find_books), raising(NotFound("no"))), mode=mode) as client:
        schemas = {tool.name: tool.output_schema or {} for tool in await client.list_tools()}
        answer = await client.call_tool("find_books", {"title": "Emma"})
        error = await client.call_tool("fall_over", raise_on_error=False)

    assert fits(answer.structured_content, schemas["find_books"])
    assert fits(error.structured_content, schemas["fall_over"])
    assert not fits({"note": "no books"}, schemas["find_books"])
    assert not fits({"code": "no_such_code", "retryable": False}, schemas["find_books"])


async def test_server_reports_its_distribution() -> None:
    """The version that a client sees is that of the server's own wheel."""
    async with Client(server_of(Tool(find_books))) as client:
        await client.list_tools()
        seen = client.server_info

    assert seen
    assert (seen.name, seen.version) == ("books", "0.1.0")


FAILURES = [failure for failure in vars(errors).values() if isinstance(failure, type) and issubclass(failure, ToolFailure)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("failure", FAILURES)
async def test_failure_has_words_and_code(failure: type[ToolFailure], mode: str) -> None:
    """A failure of the tree is an error result: its message for the reader, code and retryable for programs."""
    answer = await outcome(server_of(raising(failure("No such book. Try Emma."))), "fall_over", mode=mode)

    assert answer == ("No such book. Try Emma.", {"code": failure.code, "retryable": failure.retryable}, True)


def test_every_code_has_a_failure() -> None:
    """The tree has a failure for each code of the contract."""
    codes = {failure.code for failure in FAILURES}

    assert codes == {
        "invalid_input",
        "not_found",
        "not_permitted",
        "conflict",
        "unavailable",
        "rate_limited",
        "timeout",
        "too_large",
    }


async def test_failure_is_redacted() -> None:
    """A secret in a failure's message does not reach the caller."""
    text, _, _ = await outcome(server_of(raising(NotFound("nothing at postgresql://me:hunter2@db/x"))), "fall_over")

    assert text == "nothing at postgresql://me:***@db/x"


@pytest.mark.parametrize("error", [RuntimeError("password=hunter2"), ToolError("password=hunter2"), ValueError("hunter2")])
async def test_defect_is_masked(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw reaches the caller as an id, and the log has its cause under that id."""
    with caplog.at_level(logging.ERROR, "opsroom_shared"):
        text, details, is_error = await outcome(server_of(raising(error)), "fall_over")

    assert is_error
    assert details == {"code": "unavailable", "retryable": False}
    assert "hunter2" not in text
    [record] = [record for record in caplog.records if record.name.startswith("opsroom_shared")]
    assert record.exc_info
    assert record.exc_info[1] is error
    assert record.getMessage().split()[1] in text


async def test_unforeseen_timeout_may_be_retried() -> None:
    """A time-out that no provider translated is still told as one."""
    text, details, _ = await outcome(server_of(raising(TimeoutError("hunter2"))), "fall_over")

    assert details == {"code": "timeout", "retryable": True}
    assert "hunter2" not in text


async def test_defect_of_a_middleware_is_masked() -> None:
    """A middleware that falls over is a defect like any other, not an error of the protocol."""

    class Broken(Middleware):
        @override
        async def on_call_tool(
            self, context: MiddlewareContext[CallToolRequestParams], call_next: CallNext[CallToolRequestParams, ToolResult]
        ) -> ToolResult:
            raise RuntimeError("password=hunter2")

    server = create_server("b", distribution="opsroom-shared", instructions="", tools=[Tool(find_books)], middleware=[Broken()])
    text, details, is_error = await outcome(server, "find_books", {"title": "Emma"})

    assert (details, is_error) == ({"code": "unavailable", "retryable": False}, True)
    assert "hunter2" not in text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "find_books needs the parameter 'title'."),
        (
            {"titel": "hunter2"},
            "find_books needs the parameter 'title'; find_books has no parameter 'titel'. Its parameters: title, count.",
        ),
        ({"title": "hunter2" * 9}, "title: string should have at most 20 characters."),
        ({"title": "a", "count": "hunter2"}, "count: input should be a valid integer, unable to parse string as an integer."),
        ({"title": "a", "count": 10}, "count: input should be less than or equal to 9."),
        ({"title": {"hunter2": 1}}, "title: input should be a valid string."),
    ],
)
async def test_wrong_arguments(arguments: Json, words: str, mode: str) -> None:
    """Wrong arguments are told by name and by what was expected, and their values are not echoed."""
    answer = await outcome(server_of(Tool(find_books)), "find_books", arguments, mode)

    assert answer == (words, {"code": "invalid_input", "retryable": False}, True)


async def test_many_wrong_arguments_are_counted() -> None:
    """However many arguments are wrong, and however long their names, the answer stays short."""
    text, _, _ = await outcome(server_of(Tool(since_when)), "since_when", {f"\x1b[31m{n}" + "x" * 5_000: n for n in range(50)})

    assert "and 46 more" in text
    assert "\x1b" not in text
    assert len(text) < 700


@pytest.mark.parametrize("name", ["find_boks", "x" * 5_000, "\x1b[2J"])
async def test_unknown_tool(name: str) -> None:
    """A tool that does not exist is told apart from one that failed."""
    text, details, is_error = await outcome(server_of(Tool(find_books)), name)

    assert (details, is_error) == ({"code": "not_found", "retryable": False}, True)
    assert "tools/list names them" in text
    assert len(text) < 150
    assert "\x1b" not in text


async def test_write_tools_do_not_exist_without_permission() -> None:
    """Without allow_writes a write tool is not listed, and a call of it says how a person allows it."""
    server = server_of(Tool(find_books), Tool(burn_book, read_only=False), allow_writes=False)
    async with Client(server) as client:
        names = [tool.name for tool in await client.list_tools()]
    text, details, _ = await outcome(server, "burn_book", {"title": "Emma"})

    assert names == ["find_books"]
    assert details == {"code": "not_permitted", "retryable": False}
    assert "--allow-writes" in text


@pytest.mark.parametrize(("size", "code"), [(MAX_ANSWER // 2 - 100, None), (MAX_ANSWER // 2 + 100, "too_large")])
async def test_answer_too_large_for_the_wire(size: int, code: str | None) -> None:
    """An answer that no client would accept is an error that says so."""

    async def say_much() -> Shelf:
        """Say much."""
        return Shelf(books=["é" * (size // 2)])

    _, details, is_error = await outcome(server_of(Tool(say_much)), "say_much")

    assert is_error == bool(code)
    assert code is None or details == {"code": code, "retryable": False}


async def test_result_of_its_own_passes() -> None:
    """A tool may return a whole result, such as a picture, instead of an Answer."""

    async def plot_books() -> BaseModel:
        """Plot."""
        return ToolResult(content="a picture", structured_content={"points": 2})

    answer = await outcome(server_of(Tool(plot_books)), "plot_books")

    assert answer == ("a picture", {"points": 2}, False)


async def test_tool_reaches_what_the_lifespan_opened() -> None:
    """A tool finds the lifespan's object by its type; what was not opened is a defect."""

    @asynccontextmanager
    async def opened(_: FastMCP) -> AsyncGenerator[dict[str, object]]:
        yield {"shelf": Shelf(books=["Emma"])}

    async def read_shelf(context: Context = CurrentContext()) -> Shelf:
        """Read the shelf."""
        return lifespan_value(context, Shelf)

    async def read_terse(context: Context = CurrentContext()) -> Terse:
        """Read what is not there."""
        return lifespan_value(context, Terse)

    server = create_server(
        "books", distribution="opsroom-shared", instructions="", tools=[Tool(read_shelf), Tool(read_terse)], lifespan=opened
    )
    _, found, _ = await outcome(server, "read_shelf")
    _, missing, _ = await outcome(server, "read_terse")

    assert found == {"books": ["Emma"], "note": None}
    assert missing == {"code": "unavailable", "retryable": False}

"""One way to make a server out of plain async functions: schemas, annotations, errors and masking are the same everywhere."""

import functools
import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast, get_args

from fastmcp import FastMCP
from fastmcp.exceptions import NotFoundError, ToolError, ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import FunctionTool, ToolResult
from fastmcp.utilities.exceptions import is_timeout_error
from fastmcp.utilities.json_schema import dereference_refs
from mcp import MCPError
from mcp.types import CallToolRequestParams, ToolAnnotations
from pydantic import BaseModel
from pydantic import ValidationError as ArgumentErrors
from pydantic_core import ErrorDetails as ArgumentError
from pydantic_core import to_json
from typing_extensions import override

from .errors import Code, NotPermitted, TooLarge, ToolFailure
from .outside import clean
from .redact import redact

if TYPE_CHECKING:
    from mcp.types import Tool as WireTool

log = logging.getLogger(__name__)

MAX_ANSWER = 900_000
"""Bytes of an answer. Clients refuse an event of more than 1 MiB, and what they then show does not say why."""

_ERROR_PROPERTIES = {"code": {"enum": list(get_args(Code))}, "retryable": {"type": "boolean"}}
_MAX_ARGUMENT_PROBLEMS = 5
_MAX_NAME = 60


class Answer(BaseModel):
    """What a tool returns: structured for programs, and `text` for the reader."""

    def text(self) -> str:
        """The answer for a reader who pays per token. Override it where a table or a sentence is cheaper than JSON."""
        return self.model_dump_json(exclude_none=True)


ToolFunction: TypeAlias = Callable[..., Awaitable[BaseModel]]
T = TypeVar("T")


@dataclass(frozen=True)
class Tool:
    """A function to register. Name, description and schemas are the function's own; the rest is what a client may assume."""

    function: ToolFunction
    read_only: bool = True
    destructive: bool = False
    idempotent: bool = True
    open_world: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def annotations(self) -> ToolAnnotations:
        return ToolAnnotations(
            read_only_hint=self.read_only,
            destructive_hint=self.destructive,
            idempotent_hint=self.idempotent,
            open_world_hint=self.open_world,
        )


def create_server(
    name: str,
    *,
    distribution: str,
    instructions: str,
    tools: Iterable[Tool],
    allow_writes: bool = True,
    lifespan: Callable[[FastMCP], AbstractAsyncContextManager[dict[str, object]]] | None = None,
    middleware: Sequence[Middleware] = (),
) -> FastMCP:
    """A FastMCP server with *tools* registered. *distribution* names the wheel whose version it reports.

    Without *allow_writes* the tools that are not read-only do not exist; a call of one says how a person allows it.
    """
    tools = tuple(tools)
    withheld = frozenset(tool.name for tool in tools if not (tool.read_only or allow_writes))
    mcp = FastMCP(
        name,
        version=version(distribution),
        instructions=instructions,
        lifespan=lifespan,
        mask_error_details=True,
        middleware=[ErrorDetails(withheld), *middleware],
    )
    schemas: dict[str, dict[str, object]] = {}
    for tool in tools:
        if tool.name not in withheld:
            listed = _inlined(
                _ListedTool.from_function(
                    _readable(tool.function),
                    name=tool.name,
                    description=inspect.cleandoc(tool.function.__doc__ or ""),
                    annotations=tool.annotations,
                )
            )
            schemas[tool.name] = mcp.add_tool(listed).parameters
    # without it, every call over HTTP lists all tools to find the schema of one; fastmcp has no public way to give it
    mcp._mcp_server.get_tool_input_schema = schemas.get  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - as above
    return mcp


class _ListedTool(FunctionTool):
    """A tool that is listed without fastmcp's own `_meta`, for which every request of every client would pay."""

    @override
    def to_mcp_tool(self, **overrides: object) -> "WireTool":
        schema = self.output_schema
        listed = schema if schema is None else _admitting_errors(schema)
        return super().to_mcp_tool(**{"_meta": self.meta, "outputSchema": listed, **overrides})


def _inlined(tool: FunctionTool) -> FunctionTool:
    """*tool* with schemas that have no references. fastmcp would inline them for every list, and every call over HTTP lists."""
    schema = tool.output_schema
    inlined = schema if schema is None else dereference_refs(schema)
    return tool.model_copy(update={"parameters": _without_nulls(dereference_refs(tool.parameters)), "output_schema": inlined})


def _without_nulls(schema: dict[str, object]) -> dict[str, object]:
    """*schema* of arguments without what all pay for and nobody needs: that an optional one may be null, and is so if left out.

    A null is accepted as before: the function's own types decide that.
    """
    slim: dict[str, object] = {}
    for key, value in schema.items():
        if isinstance(value, dict):
            slim[key] = _without_nulls(cast("dict[str, object]", value))
        elif not (key == "default" and (value is None or value is False or value == "")):
            slim[key] = value
    choices = cast("list[dict[str, object]]", schema.get("anyOf", []))
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(others) == 1 < len(choices):
        del slim["anyOf"]
        slim = {**_without_nulls(others[0]), **slim}
    return slim


def _admitting_errors(schema: dict[str, object]) -> dict[str, object]:
    """*schema*, or the details of an error: clients on the TypeScript SDK hold error results to the output schema, too."""
    answer = {"required": schema.get("required", [])}
    error = {"properties": _ERROR_PROPERTIES, "required": list(_ERROR_PROPERTIES)}
    return {key: value for key, value in schema.items() if key != "required"} | {"anyOf": [answer, error]}


def _readable(function: ToolFunction) -> ToolFunction:
    """*function* with its Answer sent once as text for the reader and once as structured content."""

    @functools.wraps(function)
    async def call(*args: object, **kwargs: object) -> BaseModel:
        answer = await function(*args, **kwargs)
        if not isinstance(answer, Answer):
            return answer
        text, structured = answer.text(), answer.model_dump(mode="json", by_alias=True)
        size = len(text.encode()) + len(to_json(structured))
        if size > MAX_ANSWER:
            raise TooLarge(f"The answer would have {size:,} bytes; at most {MAX_ANSWER:,} can be sent. Ask for less at a time.")
        return ToolResult(content=text, structured_content=structured)

    call.__doc__ = None  # fastmcp would parse it for a description that it is given anyway, at 0.1 s of every start
    return call


class ErrorDetails(Middleware):
    """Turns every failure into an error result with words for the reader and `code` and `retryable` for programs."""

    def __init__(self, withheld: frozenset[str] = frozenset()) -> None:
        """*withheld* are the write tools that this server has, and does not offer."""
        self._withheld = withheld

    @override
    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        name = context.message.name
        try:
            return await call_next(context)
        except ToolFailure as failure:
            return _failed(name, failure)
        except ValidationError as error:
            return error_result(await _argument_problems(context, error), "invalid_input")
        except NotFoundError:
            if name in self._withheld:
                return _failed(
                    name, NotPermitted(f"{name} changes things; a person allows that by starting with --allow-writes.")
                )
            return error_result(f"There is no tool {clean(name, _MAX_NAME)!r} here. tools/list names them.", "not_found")
        except MCPError:
            raise  # the protocol's own, such as a capability that the client did not declare
        except Exception as error:  # noqa: BLE001 - whatever escapes a tool must not reach the caller unmasked
            return _masked(name, error)


def error_result(text: str, code: Code, *, retryable: bool = False) -> ToolResult:
    return ToolResult(content=text, structured_content={"code": code, "retryable": retryable}, is_error=True)


def _failed(tool: str, failure: ToolFailure) -> ToolResult:
    log.info("%s: %s: %s", tool, failure.code, failure, exc_info=failure.__cause__)
    return error_result(redact(str(failure)), failure.code, retryable=failure.retryable)


def _masked(tool: str, error: Exception) -> ToolResult:
    cause = error.__cause__ if isinstance(error, ToolError) and error.__cause__ else error
    identity = secrets.token_hex(4)
    log.error("defect %s in tool %s", identity, tool, exc_info=cause)
    if isinstance(cause, TimeoutError) or is_timeout_error(cause):
        return error_result(f"{tool} did not get an answer in time (id {identity}). Try again later.", "timeout", retryable=True)
    return error_result(
        f"{tool} failed inside the server (id {identity}). The server's log has the cause under this id.", "unavailable"
    )


async def _argument_problems(context: MiddlewareContext[CallToolRequestParams], error: ValidationError) -> str:
    """What is wrong with the arguments, without echoing their values: a value may be a secret or an instruction."""
    tool, cause = context.message.name, error.__cause__
    if not isinstance(cause, ArgumentErrors):
        return f"The arguments of {tool} are not valid. Its input schema says what they must be."
    details = cause.errors(include_input=False, include_url=False)
    problems = [_problem(tool, detail) for detail in details[:_MAX_ARGUMENT_PROBLEMS]]
    if len(details) > _MAX_ARGUMENT_PROBLEMS:
        problems.append(f"and {len(details) - _MAX_ARGUMENT_PROBLEMS} more")
    words = "; ".join(problems) + "."
    if any(detail["type"] == "unexpected_keyword_argument" for detail in details):
        words += f" Its parameters: {', '.join(await _parameters(context)) or 'none'}."
    return words


async def _parameters(context: MiddlewareContext[CallToolRequestParams]) -> list[str]:
    server = context.fastmcp_context.fastmcp if context.fastmcp_context else None
    tool = await server.get_tool(context.message.name) if server else None
    return list(cast("dict[str, object]", tool.parameters.get("properties", {}))) if tool else []


def _problem(tool: str, detail: ArgumentError) -> str:
    name = clean(".".join(str(part) for part in detail["loc"]) or "arguments", _MAX_NAME)
    if detail["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{tool} has no parameter {name!r}"
    if detail["type"] in ("missing_argument", "missing"):
        return f"{tool} needs the parameter {name!r}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{name}: {redact(message[:1].lower() + message[1:])}"


def lifespan_value(context: object, kind: type[T]) -> T:
    """The one object of *kind* that the server's lifespan yielded, from a fastmcp Context."""
    values = cast("dict[str, object]", getattr(context, "lifespan_context", {}))
    for value in values.values():
        if isinstance(value, kind):
            return value
    raise LookupError(f"the lifespan yielded no {kind.__name__}")

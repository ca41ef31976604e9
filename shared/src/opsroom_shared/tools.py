"""One way to make a server out of plain async functions: schemas, annotations, errors and masking are the same everywhere."""

import functools
import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from fastmcp import FastMCP
from fastmcp.exceptions import NotFoundError, ToolError, ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from mcp.types import CallToolRequestParams, ToolAnnotations
from pydantic import BaseModel
from pydantic import ValidationError as ArgumentErrors
from typing_extensions import override

from .errors import Code, ToolFailure
from .redact import redact

if TYPE_CHECKING:
    from fastmcp.server.lifespan import Lifespan

log = logging.getLogger(__name__)

_MAX_ARGUMENT_PROBLEMS = 5


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
    lifespan: "Lifespan | None" = None,
    middleware: Sequence[Middleware] = (),
) -> FastMCP:
    """A FastMCP server with *tools* registered. *distribution* names the wheel whose version it reports."""
    mcp = FastMCP(
        name,
        version=version(distribution),
        instructions=instructions,
        lifespan=lifespan,
        mask_error_details=True,
        middleware=[ErrorDetails(), *middleware],
    )
    for tool in tools:
        # mcp.tool builds the schemas from the wrapped function's own signature
        mcp.tool(
            _readable(tool.function),
            description=inspect.cleandoc(tool.function.__doc__ or ""),
            annotations=tool.annotations,
        )
    return mcp


def _readable(function: ToolFunction) -> ToolFunction:
    """*function* with its Answer sent once as text for the reader and once as structured content."""

    @functools.wraps(function)
    async def call(*args: object, **kwargs: object) -> BaseModel:
        answer = await function(*args, **kwargs)
        if isinstance(answer, Answer):
            return ToolResult(content=answer.text(), structured_content=answer.model_dump(mode="json"))
        return answer

    return call


class ErrorDetails(Middleware):
    """Turns every failure into an error result with words for the reader and `code` and `retryable` for programs."""

    @override
    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        try:
            return await call_next(context)
        except ToolFailure as failure:
            return error_result(redact(str(failure)), failure.code, retryable=failure.retryable)
        except (ValidationError, ArgumentErrors) as error:
            return error_result(_argument_problems(context.message.name, error), "invalid_input")
        except NotFoundError:
            return error_result(f"There is no tool {context.message.name!r} here. tools/list names them.", "not_found")
        except ToolError as masked:
            return _masked(context.message.name, masked)


def error_result(text: str, code: Code, *, retryable: bool = False) -> ToolResult:
    return ToolResult(content=text, structured_content={"code": code, "retryable": retryable}, is_error=True)


def _masked(tool: str, error: ToolError) -> ToolResult:
    identity = secrets.token_hex(4)
    log.error("defect %s in tool %s", identity, tool, exc_info=error.__cause__ or error)
    return error_result(
        f"{tool} failed inside the server (id {identity}). The server's log has the cause under this id.", "unavailable"
    )


def _argument_problems(tool: str, error: ValidationError | ArgumentErrors) -> str:
    """What is wrong with the arguments, without echoing their values: a value may be a secret or an instruction."""
    cause = error if isinstance(error, ArgumentErrors) else error.__cause__
    if not isinstance(cause, ArgumentErrors):
        return f"The arguments of {tool} are not valid. Its input schema says what they must be."
    problems = [_problem(tool, item["type"], item["loc"], item["msg"]) for item in cause.errors(include_input=False)]
    more = len(problems) - _MAX_ARGUMENT_PROBLEMS
    return "; ".join(problems[:_MAX_ARGUMENT_PROBLEMS]) + (f"; and {more} more" if more > 0 else "") + "."


def _problem(tool: str, kind: str, location: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in location) or "arguments"
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{tool} has no parameter {name!r}"
    if kind in ("missing_argument", "missing"):
        return f"{tool} needs the parameter {name!r}"
    return f"{name}: {message[:1].lower()}{message[1:]}"


def lifespan_value(context: object, kind: type[T]) -> T:
    """The one object of *kind* that the server's lifespan yielded, from a fastmcp Context."""
    values = cast("dict[str, object]", getattr(context, "lifespan_context", {}))
    for value in values.values():
        if isinstance(value, kind):
            return value
    raise LookupError(f"the lifespan yielded no {kind.__name__}")

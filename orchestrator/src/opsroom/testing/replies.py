"""What the scripted server can answer: messages, and every way in which an API, or the way to it, goes wrong."""

from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

StopReason: TypeAlias = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"
]
Seconds: TypeAlias = Annotated[float, Field(ge=0, le=600)]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tokens(_Reply):
    """What a message says it has cost."""

    input_tokens: int = Field(default=100, ge=0)
    output_tokens: int = Field(default=20, ge=0)
    cache_read_input_tokens: int = Field(default=0, ge=0)
    cache_creation_input_tokens: int = Field(default=0, ge=0)


class ToolCall(_Reply):
    name: str
    input: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class MessageReply(_Reply):
    """Text, tool calls, or both. Only calls of tools that the request offers are made."""

    kind: Literal["message"] = "message"
    text: str = ""
    """Placeholders, here and in `calls`: `{{results}}` for the tool results since the question, `{{result.0}}` for the first of
    them, `{{said.1}}` for the first group of the cue's `says`."""
    calls: tuple[ToolCall, ...] = ()
    stop_reason: StopReason | None = None
    """None: `tool_use` with calls, else `end_turn`."""
    refusal_category: str | None = None
    usage: Tokens = Tokens()
    delay: Seconds = 0
    """Before the first byte."""


class StructuredReply(_Reply):
    """Fills the shape that the request asks for: its output schema or its forced tool."""

    kind: Literal["structured"] = "structured"
    values: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """Where the schema knows the key and allows the value; the rest is the smallest that is valid. Placeholders as in `text`."""
    usage: Tokens = Tokens()
    delay: Seconds = 0


class ErrorReply(_Reply):
    """An error of the API with its status and its JSON body."""

    kind: Literal["error"] = "error"
    status: int = Field(ge=400, le=599)
    type: str
    message: str = "scripted"
    retry_after: Seconds | None = None


class RawReply(_Reply):
    """A body that is not the API's: a proxy's page, an empty object, half of a message."""

    kind: Literal["raw"] = "raw"
    status: int = Field(default=200, ge=200, le=599)
    content_type: str = "application/json"
    body: str = ""


class HangReply(_Reply):
    kind: Literal["hang"] = "hang"
    after: Literal["nothing", "headers", "half", "end"] = "nothing"
    """`end`: the answer is complete, and the connection stays open without ending the response."""


class DripReply(_Reply):
    """The default answer, a byte at a time."""

    kind: Literal["drip"] = "drip"
    every: Seconds = 0.05


class CutReply(_Reply):
    """The connection is lost half-way through the default answer."""

    kind: Literal["cut"] = "cut"


class TruncatedReply(_Reply):
    """The default answer ends half-way, as if it were complete."""

    kind: Literal["truncated"] = "truncated"


class BadJsonReply(_Reply):
    """Broken JSON: the body, or half-way through a stream an event."""

    kind: Literal["bad_json"] = "bad_json"


class HalfCallReply(_Reply):
    """A tool call whose input stops in the middle, under the stop reason of a complete one."""

    kind: Literal["half_call"] = "half_call"


class ErrorEventReply(_Reply):
    """Half-way through a stream an `error` event; where no stream was asked for, the error itself."""

    kind: Literal["error_event"] = "error_event"
    type: str = "overloaded_error"
    status: int = Field(default=529, ge=400, le=599)


AnyReply: TypeAlias = (
    MessageReply
    | StructuredReply
    | ErrorReply
    | RawReply
    | HangReply
    | DripReply
    | CutReply
    | TruncatedReply
    | BadJsonReply
    | HalfCallReply
    | ErrorEventReply
)

FAULTS = MappingProxyType[str, AnyReply](
    {
        "rate_limited": ErrorReply(status=429, type="rate_limit_error", retry_after=600),
        "overloaded": ErrorReply(status=529, type="overloaded_error"),
        "server_error": ErrorReply(status=500, type="api_error"),
        "bad_request": ErrorReply(status=400, type="invalid_request_error"),
        "prompt_too_long": ErrorReply(
            status=400, type="invalid_request_error", message="prompt is too long: 201000 tokens > 200000 maximum"
        ),
        "spend_limit": ErrorReply(status=400, type="billing_error"),
        "unauthorized": ErrorReply(status=401, type="authentication_error", message="invalid x-api-key"),
        "out_of_credit": ErrorReply(status=402, type="billing_error"),
        "forbidden": ErrorReply(status=403, type="permission_error"),
        "unknown_model": ErrorReply(status=404, type="not_found_error", message="model: no such model"),
        "too_large": ErrorReply(status=413, type="request_too_large"),
        "gateway_timeout": ErrorReply(status=504, type="timeout_error"),
        "hang": HangReply(),
        "hang_after_headers": HangReply(after="headers"),
        "hang_half_way": HangReply(after="half"),
        "drip": DripReply(),
        "cut": CutReply(),
        "truncated": TruncatedReply(),
        "bad_json": BadJsonReply(),
        "bad_body": RawReply(body='{"id": "msg_1", "content": ['),
        "half_call": HalfCallReply(),
        "html": RawReply(content_type="text/html", body="<html><body>Welcome to nginx!</body></html>"),
        "html_502": RawReply(status=502, content_type="text/html", body="<html><body>502 Bad Gateway</body></html>"),
        "empty": RawReply(body="{}"),
        "refusal": MessageReply(stop_reason="refusal", refusal_category="cyber"),
        "max_tokens": MessageReply(text="The first half of a long", stop_reason="max_tokens"),
        "context_window": MessageReply(text="The first half of a long", stop_reason="model_context_window_exceeded"),
        "error_event": ErrorEventReply(),
    }
)
"""The faults by name; a script may use a name in place of a reply."""


def _named(reply: object) -> object:
    if isinstance(reply, str):
        if reply not in FAULTS:
            raise ValueError(f"no fault is named {reply!r}; there are {', '.join(FAULTS)}")
        return FAULTS[reply]
    return reply


Reply = Annotated[AnyReply, Field(discriminator="kind"), BeforeValidator(_named)]

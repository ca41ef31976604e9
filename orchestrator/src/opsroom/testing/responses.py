"""Turns a reply into the bytes of an HTTP response, for a request with a stream and for one without."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, cast

from .messages import Exchange, Object, call_of_first_tool, message_of
from .replies import (
    AnyReply,
    BadJsonReply,
    CutReply,
    DripReply,
    ErrorEventReply,
    ErrorReply,
    HalfCallReply,
    HangReply,
    MessageReply,
    RawReply,
    StructuredReply,
    TruncatedReply,
)

EVENTS = "text/event-stream"
_PIECE = 24


@dataclass(frozen=True)
class Response:
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: tuple[bytes, ...] = ()
    """Written one after the other."""
    length: int | None = None
    """What the header promises; None: parts go out as chunks, and a cut can be told from an end."""
    delay: float = 0
    pause: float = 0
    """After each part."""
    ending: Literal["complete", "cut", "hang"] = "complete"
    silent: bool = False
    """Nothing is ever written."""


def respond(reply: AnyReply | None, exchange: Exchange) -> Response:
    """The response to a request; without a reply the default one. Raises ValueError for a reply that cannot answer it."""
    stream = exchange.asked.stream
    match reply:
        case None:
            response = _whole(message_of(StructuredReply(), exchange), stream=stream)
        case MessageReply() | StructuredReply():
            response = _whole(message_of(reply, exchange), stream=stream, delay=reply.delay)
        case ErrorReply():
            retry = {} if reply.retry_after is None else {"retry-after": f"{reply.retry_after:g}"}
            response = error_response(reply.status, reply.type, reply.message, retry)
        case RawReply():
            response = _body(reply.body.encode(), status=reply.status, content_type=reply.content_type)
        case HalfCallReply():
            response = _half_call(call_of_first_tool(exchange), stream=stream)
        case _:
            message = message_of(StructuredReply(), exchange)
            response = _broken_stream(reply, message) if stream else _broken_body(reply, message)
    return response


def error_response(status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _body(_json(_error(kind, message)), status=status, headers=headers)


def _error(kind: str, message: str) -> Object:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _body(
    body: bytes, *, status: int = 200, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Response:
    return Response(status, content_type, headers or {}, (body,), length=len(body))


def _whole(message: Object, *, stream: bool, delay: float = 0) -> Response:
    if stream:
        return Response(content_type=EVENTS, parts=_events(message), delay=delay)
    body = _json(message)
    return Response(parts=(body,), length=len(body), delay=delay)


def _half_call(message: Object, *, stream: bool) -> Response:
    if stream:
        return Response(content_type=EVENTS, parts=_events(message, half_input=True))
    body = _json(message)
    return _body(body[: len(body) // 2])


Broken: TypeAlias = HangReply | DripReply | CutReply | TruncatedReply | BadJsonReply | ErrorEventReply


def _broken_stream(reply: Broken, message: Object) -> Response:
    events = _events(message)
    # half of the events, and at least as many as hold some text
    half = events[: max(4, len(events) // 2)]
    match reply:
        case HangReply():
            response = _hang(reply, Response(content_type=EVENTS, parts=half), events)
        case CutReply():
            response = Response(content_type=EVENTS, parts=half, ending="cut")
        case DripReply():
            response = Response(content_type=EVENTS, parts=_bytes(b"".join(events)), pause=reply.every)
        case TruncatedReply():
            response = Response(content_type=EVENTS, parts=half)
        case BadJsonReply():
            response = Response(content_type=EVENTS, parts=(*half, b'event: content_block_delta\ndata: {"type": "content_\n\n'))
        case ErrorEventReply():
            response = Response(content_type=EVENTS, parts=(*half, _event("error", _error(reply.type, "scripted"))))
    return response


def _broken_body(reply: Broken, message: Object) -> Response:
    body = _json(message)
    half = body[: len(body) // 2]
    match reply:
        case HangReply():
            response = _hang(reply, Response(parts=(half,), length=len(body)), (body,))
        case CutReply():
            response = Response(parts=(half,), length=len(body), ending="cut")
        case DripReply():
            response = Response(parts=_bytes(body), length=len(body), pause=reply.every)
        case TruncatedReply():
            response = _body(_json({**message, "stop_reason": None}))
        case BadJsonReply():
            response = _body(half)
        case ErrorEventReply():
            response = error_response(reply.status, reply.type, "scripted")
    return response


def _hang(reply: HangReply, half: Response, whole: tuple[bytes, ...]) -> Response:
    match reply.after:
        case "nothing":
            return Response(silent=True, ending="hang")
        case "headers":
            return replace(half, parts=(), ending="hang")
        case "half":
            return replace(half, ending="hang")
        case "end":
            return replace(half, parts=whole, ending="hang")


def _bytes(body: bytes) -> tuple[bytes, ...]:
    return tuple(body[place : place + 1] for place in range(len(body)))


def _events(message: Object, *, half_input: bool = False) -> tuple[bytes, ...]:
    """*message* as the events of a stream, one part each; with *half_input* the input of tool calls breaks off."""
    usage = cast("Object", message["usage"])
    begun: Object = {**message, "content": [], "stop_reason": None, "stop_details": None, "usage": {**usage, "output_tokens": 1}}
    parts = [_event("message_start", {"message": begun}), _event("ping", {})]
    for index, block in enumerate(cast("list[Object]", message["content"])):
        empty, kind, text = _opened(block)
        if half_input and kind == "input_json_delta":
            text = text[: len(text) // 2]
        parts.append(_event("content_block_start", {"index": index, "content_block": empty}))
        for start in range(0, len(text), _PIECE):
            delta: Object = {"type": kind, _FIELD[kind]: text[start : start + _PIECE]}
            parts.append(_event("content_block_delta", {"index": index, "delta": delta}))
        parts.append(_event("content_block_stop", {"index": index}))
    ended: Object = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    parts.append(_event("message_delta", {"delta": ended, "usage": {"output_tokens": usage["output_tokens"]}}))
    parts.append(_event("message_stop", {}))
    return tuple(parts)


_FIELD = {"text_delta": "text", "input_json_delta": "partial_json"}


def _opened(block: Object) -> tuple[Object, str, str]:
    """The block as it begins, the kind of its deltas, and what they carry."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, "text_delta", str(block["text"])
    return {**block, "input": {}}, "input_json_delta", json.dumps(block["input"])


def _event(name: str, data: Object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def _json(value: Object) -> bytes:
    return json.dumps(value).encode()

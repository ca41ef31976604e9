"""Turns a reply into the bytes of an HTTP response, for a request with a stream and for one without."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, cast

from pydantic import JsonValue

from .asked import Asked
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
    Tokens,
    TruncatedReply,
)
from .shapes import fill

Object: TypeAlias = dict[str, JsonValue]
MAX_RESULT = 1_500
EVENTS = "text/event-stream"
_PIECE = 24
_PLACEHOLDER = re.compile(r"\{\{(?:results|result\.(\d{1,2}))\}\}")


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


def respond(reply: AnyReply | None, asked: Asked, number: int) -> Response:
    """The response to *asked*, the *number*th request; without a reply the default one."""
    match reply:
        case None:
            response = _whole(_message(StructuredReply(), asked, number), asked)
        case MessageReply() | StructuredReply():
            response = _whole(_message(reply, asked, number), asked, delay=reply.delay)
        case ErrorReply():
            retry = {} if reply.retry_after is None else {"retry-after": f"{reply.retry_after:g}"}
            response = error_response(reply.status, reply.type, reply.message, retry)
        case RawReply():
            response = _body(reply.body.encode(), status=reply.status, content_type=reply.content_type)
        case HalfCallReply():
            response = _half_call(asked, number)
        case _:
            message = _message(StructuredReply(), asked, number)
            response = _broken_stream(reply, message) if asked.stream else _broken_body(reply, message)
    return response


def error_response(status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _body(_json(_error(kind, message)), status=status, headers=headers)


def _error(kind: str, message: str) -> Object:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _body(
    body: bytes, *, status: int = 200, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Response:
    return Response(status, content_type, headers or {}, (body,), length=len(body))


def _whole(message: Object, asked: Asked, *, delay: float = 0) -> Response:
    if asked.stream:
        return Response(content_type=EVENTS, parts=_events(message), delay=delay)
    body = _json(message)
    return Response(parts=(body,), length=len(body), delay=delay)


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


def _half_call(asked: Asked, number: int) -> Response:
    if not asked.tools:
        return error_response(400, "invalid_request_error", "half_call: the request offers no tool")
    call = _tool_use(asked.tools[0].name, {"half": "of a long value"}, number, 0)
    message = _envelope([call], "tool_use", Tokens(), asked, number)
    if asked.stream:
        return Response(content_type=EVENTS, parts=_events(message, half_input=True))
    body = _json(message)
    return _body(body[: len(body) // 2])


def _message(reply: MessageReply | StructuredReply, asked: Asked, number: int) -> Object:
    if isinstance(reply, StructuredReply):
        content, stop = _structured(reply, asked, number)
        return _envelope(content, stop, reply.usage, asked, number)
    content, stop = _spoken(reply, asked, number)
    message = _envelope(content, stop, reply.usage, asked, number)
    if stop == "refusal":
        message["stop_details"] = {"type": "refusal", "category": reply.refusal_category, "explanation": None}
    return message


def _spoken(reply: MessageReply, asked: Asked, number: int) -> tuple[list[JsonValue], str]:
    content: list[JsonValue] = []
    if reply.text:
        content.append({"type": "text", "text": _filled(reply.text, asked)})
    offered = [call for call in reply.calls if asked.offers(call.name)]
    for place, call in enumerate(offered):
        content.append(_tool_use(call.name, cast("Object", _filled(call.input, asked)), number, place))
    return content, reply.stop_reason or ("tool_use" if offered else "end_turn")


def _structured(reply: StructuredReply, asked: Asked, number: int) -> tuple[list[JsonValue], str]:
    values = cast("Object", _filled(reply.values, asked))
    if tool := asked.forced_tool:
        return [_tool_use(tool.name, cast("Object", fill(tool.input_schema, values)), number, 0)], "tool_use"
    text = "ok"
    if asked.schema_asked is not None:
        text = json.dumps(fill(asked.schema_asked, values), ensure_ascii=False)
    elif values:
        text = json.dumps(values, ensure_ascii=False)
    return [{"type": "text", "text": text}], "end_turn"


def _tool_use(name: str, arguments: Object, number: int, place: int) -> Object:
    return {"type": "tool_use", "id": f"toolu_{number:04}_{place}", "name": name, "input": arguments}


def _envelope(content: list[JsonValue], stop: str, usage: Tokens, asked: Asked, number: int) -> Object:
    return {
        "id": f"msg_{number:04}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": cast("Object", usage.model_dump()),
    }


def _filled(value: JsonValue, asked: Asked) -> JsonValue:
    """*value* with its placeholders replaced by what the tools answered."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: _result(found, asked.results), value)
    if isinstance(value, list):
        return [_filled(item, asked) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, asked) for name, item in value.items()}
    return value


def _result(found: re.Match[str], results: tuple[str, ...]) -> str:
    wanted = results if found[1] is None else results[int(found[1]) : int(found[1]) + 1]
    return "\n\n".join(text[:MAX_RESULT] for text in wanted) or "(no result)"


def _events(message: Object, *, half_input: bool = False) -> tuple[bytes, ...]:
    """*message* as the events of a stream, one part each; with *half_input* the input of tool calls breaks off."""
    usage = cast("Object", message["usage"])
    begun: Object = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
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
    ended: Object = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    if "stop_details" in message:
        ended["stop_details"] = message["stop_details"]
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

"""Makes the message that a reply stands for: its blocks, its stop reason, and what the placeholders in it are replaced by."""

import json
import re
from dataclasses import dataclass
from typing import TypeAlias, cast

from pydantic import JsonValue

from .asked import Asked
from .replies import MessageReply, StructuredReply, Tokens
from .shapes import fill

Object: TypeAlias = dict[str, JsonValue]
MAX_RESULT = 1_500
"""Characters of one tool result in an answer."""
_PLACEHOLDER = re.compile(r"\{\{(?:(?P<all>results)|result\.(?P<result>\d{1,2})|said\.(?P<said>\d{1,2}))\}\}")


@dataclass(frozen=True)
class Exchange:
    """A request with its number, and what the cue that answers it heard in the text."""

    asked: Asked
    number: int
    said: tuple[str, ...] = ()

    def filled(self, value: JsonValue) -> JsonValue:
        """*value* with its placeholders replaced, at any depth."""
        if isinstance(value, str):
            return _PLACEHOLDER.sub(self._replacement, value)
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, dict):
            return {name: self.filled(item) for name, item in value.items()}
        return value

    def _replacement(self, found: re.Match[str]) -> str:
        if found["said"]:
            return "".join(self.said[int(found["said"]) - 1 :][:1])
        results = self.asked.results
        if found["result"]:
            results = results[int(found["result"]) :][:1]
        return "\n\n".join(text[:MAX_RESULT] for text in results) or "(no result)"


def message_of(reply: MessageReply | StructuredReply, exchange: Exchange) -> Object:
    if isinstance(reply, StructuredReply):
        content, stop = _structured(reply, exchange)
        return _message(content, stop, reply.usage, exchange)
    content, stop = _spoken(reply, exchange)
    message = _message(content, stop, reply.usage, exchange)
    if stop == "refusal":
        message["stop_details"] = {"type": "refusal", "category": reply.refusal_category, "explanation": None}
    return message


def call_of_first_tool(exchange: Exchange) -> Object:
    """A message that calls the first tool on offer. Raises ValueError when there is none."""
    if not exchange.asked.tools:
        raise ValueError("this reply calls a tool, and the request offers none")
    call = _tool_use(exchange.asked.tools[0].name, {"half": "of a long value"}, exchange)
    return _message([call], "tool_use", Tokens(), exchange)


def _spoken(reply: MessageReply, exchange: Exchange) -> tuple[list[JsonValue], str]:
    content: list[JsonValue] = []
    if reply.text:
        content.append({"type": "text", "text": exchange.filled(reply.text)})
    offered = [call for call in reply.calls if exchange.asked.offers(call.name)]
    for place, call in enumerate(offered):
        content.append(_tool_use(call.name, call.input, exchange, place))
    return content, reply.stop_reason or ("tool_use" if offered else "end_turn")


def _structured(reply: StructuredReply, exchange: Exchange) -> tuple[list[JsonValue], str]:
    values = cast("Object", exchange.filled(reply.values))
    if tool := exchange.asked.forced_tool:
        return [_tool_use(tool.name, cast("Object", fill(tool.input_schema, values)), exchange)], "tool_use"
    schema = exchange.asked.schema_asked
    # without a schema to fill: what the script wishes, or a word
    shaped = values if schema is None else fill(schema, values)
    text = "ok" if schema is None and not values else json.dumps(shaped, ensure_ascii=False)
    return [{"type": "text", "text": text}], "end_turn"


def _tool_use(name: str, arguments: Object, exchange: Exchange, place: int = 0) -> Object:
    return {"type": "tool_use", "id": f"toolu_{exchange.number:04}_{place}", "name": name, "input": exchange.filled(arguments)}


def _message(content: list[JsonValue], stop: str, usage: Tokens, exchange: Exchange) -> Object:
    return {
        "id": f"msg_{exchange.number:04}",
        "type": "message",
        "role": "assistant",
        "model": exchange.asked.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "stop_details": None,
        "usage": cast("Object", usage.model_dump()),
    }

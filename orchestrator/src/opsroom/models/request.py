"""What one rung is asked: system prompt, conversation, tools and the shape of the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from anthropic.types import CacheControlEphemeralParam, MessageParam
    from anthropic.types.message_create_params import MessageCreateParamsBase

JSON: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class ToolSpec:
    """A tool as a model sees it."""

    name: str
    description: str
    input_schema: JSON


@dataclass(frozen=True)
class ModelRequest:
    system: str
    messages: "Sequence[MessageParam]"
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: Literal["auto", "none"] = "auto"
    """`none` makes the model answer now; the tools stay in the request because earlier calls refer to them."""
    output_schema: JSON | None = None
    """The text of the final answer is JSON of this schema."""
    max_tokens: int | None = None
    """None: the rung's own limit."""

    def params(self, *, model: str, max_tokens: int) -> "MessageCreateParamsBase":
        """The request as the Messages API takes it, marked for prompt caching."""
        cached: CacheControlEphemeralParam = {"type": "ephemeral"}
        params: MessageCreateParamsBase = {
            "model": model,
            "max_tokens": self.max_tokens or max_tokens,
            "messages": self.messages,
        }
        if self.system:
            # The cached prefix runs tools → system → messages, so this one mark covers the tools too.
            params["system"] = [{"type": "text", "text": self.system, "cache_control": cached}]
        if self.tools:
            params["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.input_schema)}
                for tool in self.tools
            ]
            params["tool_choice"] = {"type": "auto"} if self.tool_choice == "auto" else {"type": "none"}
            # With tools another turn is likely: the mark at the end of the conversation lets it start from here.
            params["cache_control"] = cached
        if self.output_schema is not None:
            from anthropic import transform_schema

            params["output_config"] = {"format": {"type": "json_schema", "schema": transform_schema(dict(self.output_schema))}}
        return params

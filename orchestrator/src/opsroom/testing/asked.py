"""A request to the Messages API as the scripted server understands it, and what the real API would refuse about it."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Block(_Part):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    tool_use_id: str = ""
    content: "str | tuple[Block, ...]" = ""

    @property
    def words(self) -> str:
        """The text of a text block, or of the result of a tool."""
        if self.type == "tool_result":
            return self.content if isinstance(self.content, str) else "\n".join(block.text for block in self.content)
        return self.text


class Turn(_Part):
    role: Literal["user", "assistant"]
    content: Annotated[str, Field(min_length=1)] | tuple[Block, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        return (Block(type="text", text=self.content),) if isinstance(self.content, str) else self.content

    def of(self, kind: str) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.type == kind)


class OfferedTool(_Part):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")
    input_schema: dict[str, JsonValue]


class ToolChoice(_Part):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""


class OutputFormat(_Part):
    type: Literal["json_schema"]
    schema_: dict[str, JsonValue] = Field(alias="schema")


class OutputConfig(_Part):
    format: OutputFormat | None = None


class Asked(BaseModel):
    """Forbids what the API does not know, as the API does: a misspelt parameter fails here and not first in production."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    messages: tuple[Turn, ...] = Field(min_length=1)
    system: str | tuple[Block, ...] = ""
    tools: tuple[OfferedTool, ...] = ()
    tool_choice: ToolChoice = ToolChoice(type="auto")
    stream: bool = False
    output_config: OutputConfig = OutputConfig()
    cache_control: dict[str, JsonValue] | None = None
    metadata: dict[str, JsonValue] | None = None
    stop_sequences: tuple[str, ...] = ()
    thinking: dict[str, JsonValue] | None = None
    service_tier: str | None = None

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.messages[0].role != "user":
            raise ValueError("messages: the first message must be the user's")
        if len({tool.name for tool in self.tools}) < len(self.tools):
            raise ValueError("tools: tool names must be unique")
        if self.tool_choice.type == "tool" and not self.offers(self.tool_choice.name):
            raise ValueError(f"tool_choice: no tool is named {self.tool_choice.name!r}")
        called = set[str]()
        for number, turn in enumerate(self.messages):
            if called != {block.tool_use_id for block in turn.of("tool_result")}:
                raise ValueError(
                    f"messages.{number}: each tool_use must have its tool_result in the next message, and only those"
                )
            if any(not block.text.strip() for block in turn.of("text")):
                raise ValueError(f"messages.{number}: text content blocks must be non-empty")
            called = {block.id for block in turn.of("tool_use")}
        if called:
            raise ValueError("messages: the last message's tool_use has no tool_result")
        return self

    def offers(self, tool: str) -> bool:
        return self.tool_choice.type != "none" and any(tool == offered.name for offered in self.tools)

    @property
    def forced_tool(self) -> OfferedTool | None:
        """The tool that must be called, if one must."""
        match self.tool_choice.type:
            case "tool":
                return next(tool for tool in self.tools if tool.name == self.tool_choice.name)
            case "any":
                return self.tools[0] if self.tools else None
            case _:
                return None

    @property
    def schema_asked(self) -> dict[str, JsonValue] | None:
        """The JSON schema that the text of the answer must have."""
        return self.output_config.format.schema_ if self.output_config.format else None

    @property
    def _question(self) -> int:
        """The last message of the user that is not an answer of tools."""
        return max(n for n, turn in enumerate(self.messages) if turn.role == "user" and (n == 0 or not turn.of("tool_result")))

    @property
    def text(self) -> str:
        return "\n".join(block.text for block in self.messages[self._question].of("text"))

    @property
    def rounds(self) -> int:
        """How often tools have answered since the last text of the user."""
        return sum(1 for turn in self.messages[self._question :] if turn.of("tool_result"))

    @property
    def results(self) -> tuple[str, ...]:
        """What the tools answered since then, in order."""
        return tuple(block.words for turn in self.messages[self._question :] for block in turn.of("tool_result"))

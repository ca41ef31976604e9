"""What tests and demos of opsroom and of its users need: a scripted Anthropic server on a real socket."""

from .player import Recorded
from .replies import (
    FAULTS,
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
    ToolCall,
    TruncatedReply,
)
from .script import Cue, Script, play_named, read_script, shipped
from .server import ScriptedAnthropic, closed_port

__all__ = [
    "FAULTS",
    "BadJsonReply",
    "Cue",
    "CutReply",
    "DripReply",
    "ErrorEventReply",
    "ErrorReply",
    "HalfCallReply",
    "HangReply",
    "MessageReply",
    "RawReply",
    "Recorded",
    "Script",
    "ScriptedAnthropic",
    "StructuredReply",
    "Tokens",
    "ToolCall",
    "TruncatedReply",
    "closed_port",
    "play_named",
    "read_script",
    "shipped",
]

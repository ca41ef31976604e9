"""What an exception of the MCP libraries means: a dead connection, an error of the server, an answer outside the protocol."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import ValidationError

if TYPE_CHECKING:
    from fastmcp import Client

    from .session import ServerTransport

_REASON: Final = 500
# by text: the code -32000 also means "rate limited" or "event too large"
_DEAD: Final = (
    "Connection closed",
    "SSE stream ended",
    "Session not found",
    "Session terminated",
    "Session task completed",
    "Server session was closed",
)
# the server said that it knows no such session, so it did not run the call
_NOT_RUN: Final = ("Session not found", "Session terminated")
_REFUSED: Final = "Server returned an error response"
_CODES: Final = {-32001: "timeout", -32602: "invalid_input", -32601: "not_found"}


@dataclass(frozen=True)
class Trouble:
    text: str
    """What went wrong, and what to try; it does not name the server."""
    code: str = "unavailable"
    dead: bool = False
    """The session is over, whatever becomes of this call."""
    not_run: bool = False
    """The server certainly did not run the call."""


def diagnose(error: Exception, client: "Client[ServerTransport]") -> Trouble:
    """What *error*, raised by a request over *client*, means."""
    from mcp import MCPError

    text = describe(error)
    protocol = isinstance(error, MCPError)
    refusal = client.transport.refusal
    if refusal and (text == _REFUSED or (refusal.dead and refusal.hopeless)):
        return Trouble(refusal.text, refusal.code, dead=refusal.dead)
    broken = not protocol and (isinstance(error, OSError) or type(error).__module__.startswith(("httpx2", "anyio")))
    # the codes that the client's own library gives to a lost session; a server may use the words for something of its own
    told = not protocol or error.error.code in (-32000, -32600)
    if client.transport.ended or not client.is_connected() or broken or (told and any(sign in text for sign in _DEAD)):
        return Trouble(text, dead=True, not_run=any(sign in text for sign in _NOT_RUN))
    if not protocol:
        return Trouble(f"it answered outside the protocol: {text}")
    if "larger than" in text or "exceeded the" in text:
        return Trouble(f"{text}. Ask for less.", "too_large")
    if "Elicitation not supported" in text:
        return Trouble("it wants to ask a person first, and this session cannot.", "not_permitted")
    return Trouble(text, _CODES.get(error.error.code, "unavailable"))


def refused(error: BaseException | None) -> bool:
    """Whether *error*, or what it came from, says that nothing accepts connections at the address."""
    import httpx2

    while error is not None:
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            return True
        error = error.__cause__ or error.__context__
    return False


def describe(error: Exception) -> str:
    """What *error* says, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return one_line(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")
    return one_line(str(error) or type(error).__name__)


def one_line(text: str) -> str:
    """*text*, which came from outside, as one bounded line without secrets."""
    return redact(clean(" ".join(text.split()), _REASON))

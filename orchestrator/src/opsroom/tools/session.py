"""The MCP session as this client wants it, and what the two transports have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fastmcp.client.transports import ClientTransport
from mcp import ClientSession
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from mcp.types import Tool
from mcp_types.methods import validate_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from opsroom_shared.outside import clean
from pydantic import ValidationError
from typing_extensions import override

if TYPE_CHECKING:
    from fastmcp.client.transports.base import SessionKwargs
    from mcp.client._transport import TransportStreams
    from mcp.shared.dispatcher import CallOptions

MAX_MESSAGE = 8 * 1024 * 1024
TOO_LARGE = f"the answer is larger than {MAX_MESSAGE // 1024 // 1024} MiB"


@dataclass(frozen=True)
class Refusal:
    text: str
    """One line with what to do."""
    code: str = "unavailable"
    dead: bool = False
    """The session is over."""
    hopeless: bool = False
    """Trying again changes nothing until a person does something."""


class ServerTransport(ClientTransport):
    """Carries one session to one server, and knows more about its end than the session does."""

    def __init__(self) -> None:
        self.malformed: list[str] = []
        """Tools of the last listing that were left out, and why."""
        self.ended = False
        """The server has ended the connection for good."""

    @property
    def diagnosis(self) -> str | None:
        """Why it ended or does not answer, in one line with what to do; None when nothing is known."""
        return None

    @property
    def refusal(self) -> "Refusal | None":
        """How it last refused a request below MCP; None when it did not."""
        return None

    def opened(self) -> None:
        """The session is up: what went wrong on the way to it no longer counts."""

    def open_session(self, streams: "TransportStreams", kwargs: "SessionKwargs") -> ClientSession:
        sifter = Sifter(streams, self.malformed)
        # the server is not asked for its log messages: they would turn every answer over HTTP into an event stream
        session = ClientSession(dispatcher=sifter, **(kwargs | {"log_level": None}))
        sifter.version = lambda: session.protocol_version or LATEST_HANDSHAKE_VERSION
        return session


class Sifter(JSONRPCDispatcher[TransportContext]):
    """Takes malformed tools out of `tools/list` answers, which the session would reject as a whole, and names them."""

    def __init__(self, streams: "TransportStreams", malformed: list[str]) -> None:
        super().__init__(*streams)
        self.version: Callable[[], str] = lambda: LATEST_HANDSHAKE_VERSION
        self._malformed = malformed

    @override
    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, object] | None,
        opts: "CallOptions | None" = None,
        *,
        _related_request_id: str | int | None = None,
    ) -> dict[str, object]:
        answer: dict[str, object] = await super().send_raw_request(method, params, opts, _related_request_id=_related_request_id)
        if method == "tools/list" and isinstance(answer.get("tools"), list):
            tools = cast("list[object]", answer["tools"])
            answer["tools"] = [tool for tool in tools if self._sound(answer, tool)]
        return answer

    def _sound(self, answer: Mapping[str, object], tool: object) -> bool:
        try:
            # what the session itself will ask of the whole answer
            validate_server_result("tools/list", self.version(), {**answer, "tools": [tool]})
            Tool.model_validate(tool, by_name=False)
        except ValidationError as error:
            place = [str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"]]
            name = cast("dict[str, object]", tool).get("name") if isinstance(tool, dict) else None
            where = ".".join(part for part in place if part not in ("tools", "0")) or "its root"
            self._malformed.append(f"{clean(str(name), 60)} is malformed at {clean(where, 100)}")
            return False
        return True

"""The MCP session as this client wants it, and what the two transports have in common."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from fastmcp.client.transports import ClientTransport
from mcp import ClientSession
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from mcp.types import Tool
from opsroom_shared.outside import clean
from pydantic import ValidationError
from typing_extensions import override

if TYPE_CHECKING:
    from fastmcp.client.transports.base import SessionKwargs
    from mcp.client._transport import TransportStreams
    from mcp.shared.dispatcher import CallOptions

MAX_MESSAGE = 8 * 1024 * 1024
TOO_LARGE = f"the answer is larger than {MAX_MESSAGE // 1024 // 1024} MiB"


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
    def refused_token(self) -> bool:
        return False

    @property
    def hopeless(self) -> bool:
        """Whether trying again changes nothing until a person does something."""
        return False

    def opened(self) -> None:
        """The session is up: what went wrong on the way to it no longer counts."""

    def open_session(self, streams: "TransportStreams", kwargs: "SessionKwargs") -> ClientSession:
        # the server is not asked for its log messages: they would turn every answer over HTTP into an event stream
        return ClientSession(dispatcher=Sifter(streams, self.malformed), **(kwargs | {"log_level": None}))


class Sifter(JSONRPCDispatcher[TransportContext]):
    """Takes malformed tools out of `tools/list` answers, which the session would reject as a whole, and names them."""

    def __init__(self, streams: "TransportStreams", malformed: list[str]) -> None:
        super().__init__(*streams)
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
            answer["tools"] = [tool for tool in tools if self._sound(tool)]
        return answer

    def _sound(self, tool: object) -> bool:
        name = cast("dict[str, object]", tool).get("name") if isinstance(tool, dict) else None
        try:
            parsed = Tool.model_validate(tool, by_name=False)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
            self._malformed.append(f"{clean(str(name), 60)} is malformed at {clean(place, 100) or 'its root'}")
            return False
        if parsed.input_schema.get("type") != "object":
            self._malformed.append(f'{clean(str(name), 60)} is malformed: the "type" of its input schema must be "object"')
            return False
        return True

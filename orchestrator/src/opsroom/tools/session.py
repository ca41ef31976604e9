"""The MCP session as this client wants it: one malformed tool does not make a server's whole listing unreadable."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack, cast

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


class Sifter(JSONRPCDispatcher[TransportContext]):
    """Takes malformed tools out of `tools/list` answers, which the session would reject as a whole, and names them."""

    def __init__(self, streams: "TransportStreams", malformed: list[str]) -> None:
        super().__init__(*streams)
        self._malformed = malformed

    @override
    async def send_raw_request(
        self,
        method: str,
        params: "Mapping[str, object] | None",
        opts: "CallOptions | None" = None,
        *,
        _related_request_id: str | int | None = None,
    ) -> dict[str, object]:
        answer = await super().send_raw_request(method, params, opts, _related_request_id=_related_request_id)
        if method == "tools/list" and isinstance(answer.get("tools"), list):
            tools = cast("list[object]", answer["tools"])
            answer["tools"] = [tool for tool in tools if self._sound(tool)]
        return answer

    def _sound(self, tool: object) -> bool:
        name = cast("dict[str, object]", tool).get("name") if isinstance(tool, dict) else None
        try:
            parsed = Tool.model_validate(tool, by_name=False)
        except ValidationError as error:
            fault = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
            self._malformed.append(f"{clean(str(name), 60)!r} is malformed at {clean(fault, 100) or 'its root'}")
            return False
        if parsed.input_schema.get("type") != "object":
            self._malformed.append(f'{clean(str(name), 60)!r} is malformed: the "type" of its input schema must be "object"')
            return False
        return True


def open_session(streams: "TransportStreams", malformed: list[str], kwargs: "SessionKwargs") -> ClientSession:
    """A session over *streams*. The server is not asked for its log messages: they would turn every answer into a stream."""
    return ClientSession(dispatcher=Sifter(streams, malformed), **(kwargs | {"log_level": None}))

"""Streamable HTTP: a server by its URL, with a bearer token, bounded answers, and the HTTP status of a refusal kept."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from typing_extensions import override

from .session import MAX_MESSAGE, TOO_LARGE, ServerTransport

if TYPE_CHECKING:
    from fastmcp.client.transports.base import SessionKwargs, TransportOptions


@dataclass(frozen=True)
class Endpoint:
    url: str
    token: str | None = field(default=None, repr=False)
    token_env: str | None = None
    connect_timeout: float = 10


class RemoteTransport(ServerTransport):
    """One HTTP client for one session."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._refusal: int | None = None

    @override
    @asynccontextmanager
    async def connect_session(
        self, *, transport_options: "TransportOptions | None" = None, **session_kwargs: "Unpack[SessionKwargs]"
    ) -> AsyncGenerator[ClientSession]:
        headers = {"Accept-Encoding": "identity"}  # a compressed answer's size cannot be bounded before it is unpacked
        if self._endpoint.token is not None:
            headers["Authorization"] = f"Bearer {self._endpoint.token}"
        async with (
            httpx2.AsyncClient(
                headers=headers,
                # reading is bounded per request by the session: a subscription is silent for hours
                timeout=httpx2.Timeout(30, connect=min(10, self._endpoint.connect_timeout), read=None),
                event_hooks={"response": [self._note]},
            ) as http,
            streamable_http_client(self._endpoint.url, http_client=http) as streams,
            self.open_session(streams, session_kwargs) as session,
        ):
            yield session

    @property
    @override
    def refused_token(self) -> bool:
        return self._refusal == 401

    @property
    @override
    def hopeless(self) -> bool:
        return self._refusal in (401, 403, 404, 421)

    @override
    def opened(self) -> None:
        # probing for the protocol's era is answered with errors by design
        self._refusal = None

    @property
    @override
    def diagnosis(self) -> str | None:
        """What the HTTP status says; MCP's own errors carry none."""
        if self._refusal is None:
            return None
        variable = self._endpoint.token_env
        meaning = {
            401: f"the token in {variable} is not accepted"
            if variable
            else "it wants a token; name the variable that holds it in token_env",
            403: f"{f'the token in {variable}' if variable else 'a caller without a token'} may not use it",
            404: f"nothing speaks MCP at {self._endpoint.url}; the path is usually /mcp",
            421: "it does not answer to this host name; add the name to its allowed hosts",
        }.get(self._refusal, "it cannot answer now")
        return f"HTTP {self._refusal}: {meaning}"

    async def _note(self, response: httpx2.Response) -> None:
        if response.status_code >= 400:
            self._refusal = response.status_code
        # event streams are bounded per event by the session, and may live for days
        if isinstance(response.stream, httpx2.AsyncByteStream) and not _is_event_stream(response):
            response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error once it is larger than a message may be."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_MESSAGE:
                raise httpx2.StreamError(TOO_LARGE)
            yield chunk

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


def _is_event_stream(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").lower().startswith("text/event-stream")

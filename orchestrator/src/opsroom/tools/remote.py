"""Streamable HTTP: a server by its URL, with a bearer token, bounded answers, and the HTTP status of a refusal kept."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Unpack, cast

import httpx2
from fastmcp.client.transports import ClientTransport
from fastmcp.client.transports.base import SessionKwargs, TransportOptions
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from typing_extensions import override

from .child import MAX_MESSAGE, TOO_LARGE
from .session import open_session


class RemoteTransport(ClientTransport):
    """One HTTP client for one session."""

    def __init__(self, url: str, token: str | None, token_env: str | None, connect_timeout: float) -> None:
        self._url = url
        self._token = token
        self._token_env = token_env
        self._connect_timeout = connect_timeout
        self.refusal: int | None = None
        """The last HTTP status of 400 or above; MCP's own errors carry none."""
        self.malformed: list[str] = []
        self.stderr: tuple[str, ...] = ()
        self.ended = False

    @override
    @asynccontextmanager
    async def connect_session(
        self, *, transport_options: TransportOptions | None = None, **session_kwargs: Unpack[SessionKwargs]
    ) -> AsyncGenerator[ClientSession]:
        headers = {"Accept-Encoding": "identity"}  # a compressed answer's size cannot be bounded before it is unpacked
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        async with (
            httpx2.AsyncClient(
                headers=headers,
                # reading is bounded per request by the session: a subscription is silent for hours
                timeout=httpx2.Timeout(30, connect=min(10, self._connect_timeout), read=None),
                event_hooks={"response": [self._note]},
            ) as http,
            streamable_http_client(self._url, http_client=http) as streams,
            open_session(streams, self.malformed, session_kwargs) as session,
        ):
            yield session

    @property
    def diagnosis(self) -> str | None:
        """What the HTTP status says about why it does not answer, with what to do; None when it says nothing."""
        variable = self._token_env
        match self.refusal:
            case 401:
                fix = (
                    f"the token in {variable} is not accepted" if variable else "it wants a token: name its variable in token_env"
                )
                return f"HTTP 401: {fix}"
            case 403:
                return f"HTTP 403: {f'the token in {variable}' if variable else 'a caller without a token'} may not use it"
            case 404:
                return f"HTTP 404: nothing speaks MCP at {self._url}; the path is usually /mcp"
            case 421:
                return "HTTP 421: it does not answer to this host name; add the name to its allowed hosts"
            case None:
                return None
            case status:
                return f"HTTP {status}"

    async def _note(self, response: httpx2.Response) -> None:
        if response.status_code >= 400:
            self.refusal = response.status_code
        if "text/event-stream" not in response.headers.get("content-type", ""):
            response.stream = _Bounded(cast("httpx2.AsyncByteStream", response.stream))


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error once it is larger than a message may be. Event streams are bounded per event elsewhere."""

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

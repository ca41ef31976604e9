"""Streamable HTTP: a server by its URL, with a bearer token, bounded answers, and the HTTP status of a refusal kept."""

import contextlib
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from typing_extensions import override

from .session import MAX_MESSAGE, TOO_LARGE, Refusal, ServerTransport

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
        self._status: int | None = None

    @override
    @asynccontextmanager
    async def connect_session(
        self, *, transport_options: "TransportOptions | None" = None, **session_kwargs: "Unpack[SessionKwargs]"
    ) -> AsyncGenerator[ClientSession]:
        headers = {"Accept-Encoding": "identity"}
        if self._endpoint.token is not None:
            headers["Authorization"] = f"Bearer {self._endpoint.token}"
        async with (
            httpx2.AsyncClient(
                headers=headers,
                # reading is bounded per request by the session: a subscription is silent for hours
                timeout=httpx2.Timeout(30, connect=min(10, self._endpoint.connect_timeout), read=None),
                event_hooks={"response": [self._note]},
                # a proxy of the environment is for the world outside, not for this machine
                trust_env=not _is_loopback(self._endpoint.url),
            ) as http,
            streamable_http_client(self._endpoint.url, http_client=http, max_sse_event_size=MAX_MESSAGE) as streams,
            self.open_session(streams, session_kwargs) as session,
        ):
            yield session

    @property
    @override
    def refusal(self) -> Refusal | None:
        """What the last HTTP status of 400 or above means; MCP's own errors carry none."""
        status, variable = self._status, self._endpoint.token_env
        if status is None:
            return None
        caller = f"the token in {variable}" if variable else "a caller without a token"
        wanted = f"{caller} is not accepted" if variable else "it wants a token; name the variable that holds it in token_env"
        known = {
            401: Refusal(f"HTTP 401: {wanted}", "not_permitted", dead=True, hopeless=True),
            403: Refusal(f"HTTP 403: {caller} may not use it", "not_permitted", hopeless=True),
            404: Refusal(f"HTTP 404: nothing speaks MCP at {self._endpoint.url}; the path is usually /mcp", hopeless=True),
            413: Refusal("HTTP 413: the arguments are larger than it takes", "too_large"),
            421: Refusal("HTTP 421: it does not answer to this host name; add the name to its allowed hosts", hopeless=True),
            429: Refusal("HTTP 429: it asks to wait", "rate_limited"),
        }
        return known.get(status) or Refusal(f"HTTP {status}: it cannot answer now", dead=status >= 500)

    @property
    @override
    def diagnosis(self) -> str | None:
        return self.refusal.text if self.refusal else None

    @override
    def opened(self) -> None:
        # probing for the protocol's era is answered with errors by design
        self._status = None

    async def _note(self, response: httpx2.Response) -> None:
        if response.status_code >= 400:
            self._status = response.status_code
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, response.headers)


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error once it is larger than a message may be."""

    def __init__(self, stream: httpx2.AsyncByteStream, headers: httpx2.Headers) -> None:
        self._stream = stream
        self._compressed = headers.get("content-encoding", "identity") != "identity"
        # an event stream is bounded per event by the session, and may live for days
        self._endless = headers.get("content-type", "").lower().startswith("text/event-stream")

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._compressed:
            # how much it would unpack to cannot be told
            raise httpx2.StreamError("the answer is compressed, although it was asked not to be")
        size = 0
        async for chunk in self._stream:
            size += 0 if self._endless else len(chunk)
            if size > MAX_MESSAGE:
                raise httpx2.StreamError(TOO_LARGE)
            yield chunk

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


def _is_loopback(url: str) -> bool:
    host = httpx2.URL(url).host
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"

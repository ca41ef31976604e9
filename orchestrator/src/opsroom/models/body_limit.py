"""Bounds what one response may send: an endpoint gone wild must not fill the memory within its time limit."""

from collections.abc import AsyncGenerator

import httpx2
from typing_extensions import override

from .outcome import Garbled

MAX_BYTES = 8_000_000
"""A stream of 16,384 tokens takes about 3 MB, its framing included."""


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream, self._limit = stream, limit

    @override
    async def __aiter__(self) -> AsyncGenerator[bytes]:
        left = self._limit
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise Garbled(f"the answer has more than {self._limit:,} bytes")
            yield chunk

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


async def limit_body(response: httpx2.Response) -> None:
    """A response hook for an httpx2 client."""
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Limited(response.stream, MAX_BYTES)

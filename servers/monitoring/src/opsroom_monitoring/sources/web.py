"""HTTP to a source: bounded in time, size and number, without cookies, with the failures that all of them share."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import httpx2
import stamina
from opsroom_shared.errors import RateLimited, TimedOut, TooLarge, Unavailable
from opsroom_shared.redact import redact
from pydantic import JsonValue

MAX_BODY = 32 << 20
_ATTEMPTS = 3
_LONGEST_WAIT = 3.0
"""Seconds that a call waits because the other side asks for it. What asks for more is told to the caller."""
_MOST_REDIRECTS = 3
_AT_ONCE = 6
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (502, 503, 504)

Parameters = Mapping[str, "str | int | list[str]"]


@dataclass(frozen=True)
class Response:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether the other side says so. What it is otherwise (a log-in page, an error of a proxy) is not parsed."""
        return "json" in self.headers.get("content-type", "").partition(";")[0]

    def text(self) -> str:
        return self.body.decode(errors="replace")


class _Again(Exception):
    """An answer after which a repeated request is likely to work."""

    def __init__(self, response: Response, wait: float | None) -> None:
        super().__init__(response.status)
        self.response, self.wait = response, wait


class Web:
    """One source's HTTP interface. *headers*, which carry the token, go to its own address only."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self.base = httpx2.URL(url.rstrip("/") + "/")
        self._headers, self._seconds = dict(headers or {}), seconds
        # a session that a source starts must not decide what the next answer is
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        self._client = httpx2.AsyncClient(
            cookies=no_cookies, timeout=httpx2.Timeout(seconds, connect=min(seconds, 5.0)), transport=transport
        )
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        payload: JsonValue = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        follow: bool = False,
        most: int = MAX_BODY,
    ) -> Response:
        """The answer to a request of *path* below the base URL, whatever its status but those that say "later".

        A *repeatable* one, which every GET is unless said otherwise, is sent up to three times where the connection fails or a
        proxy says that the source is away. Raises Unavailable, RateLimited, TimedOut, and TooLarge for more than *most* bytes.
        """
        request = self._client.build_request(
            method,
            self.base.join(path.lstrip("/")),
            params=dict(params) if params else None,
            json=payload,
            data=dict(form) if form else None,
            headers={**self._headers, **(headers or {})},
        )
        again = repeatable if repeatable is not None else method == "GET"
        try:
            async for attempt in stamina.retry_context(on=_backoff(repeatable=again), attempts=_ATTEMPTS, timeout=self._seconds):
                with attempt:
                    return await self._sent(request, follow=follow, most=most)
        except _Again as asked:
            raise self._later(asked) from None
        except (httpx2.TimeoutException, TimeoutError):
            raise TimedOut(f"{self.name} did not answer within {self._seconds:g} s. Try again, or ask for less.") from None
        except httpx2.RequestError as error:
            raise Unavailable(f"{self.name} cannot be reached: {redact(str(error)) or type(error).__name__}.") from None
        raise AssertionError("retry_context ends with a result or an error")

    async def _sent(self, request: httpx2.Request, *, follow: bool, most: int) -> Response:
        for _ in range(_MOST_REDIRECTS + 1):
            response = await self._read(request, most)
            # a 503 in JSON is the source's own word, such as a query that timed out: to repeat it would only cost
            if response.status == 429 or (response.status in _PASSING and not response.is_json):
                raise _Again(response, asked_wait(response.headers))
            target = response.headers.get("location")
            if not (follow and target and response.status in _REDIRECTS and request.method == "GET"):
                return response
            request = self._redirected(request, target)
        raise Unavailable(f"{self.name} sends from one address to the next without end.")

    async def _read(self, request: httpx2.Request, most: int) -> Response:
        # the client's own limit is for each read, so a body that drips would never end
        async with self._turns, asyncio.timeout(self._seconds):
            answer = await self._client.send(request, stream=True)
            try:
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > most:
                        raise TooLarge(f"{self.name} sent more than {most:,} bytes for one request. Ask for less at a time.")
            finally:
                await answer.aclose()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, bytes(body))

    def _redirected(self, request: httpx2.Request, target: str) -> httpx2.Request:
        """The same question elsewhere. Another host, such as a store of logs, gets no token."""
        try:
            url = request.url.join(target)
        except httpx2.InvalidURL:
            raise Unavailable(f"{self.name} sends to an address that is none.") from None
        own = (url.scheme, url.host, url.port) == (self.base.scheme, self.base.host, self.base.port)
        if not own and url.scheme != "https":
            raise Unavailable(f"{self.name} sends to an address that is not https; it was not followed.")
        return self._client.build_request("GET", url, headers=self._headers if own else {})

    def _later(self, asked: _Again) -> Unavailable:
        status = asked.response.status
        if status in _PASSING:
            return Unavailable(f"{self.name} is not available at the moment (HTTP {status}). Try again later.")
        wait = f"for {asked.wait:,.0f} s" if asked.wait else "for a while"
        return RateLimited(f"{self.name} has had too many requests and asks to wait {wait}.")


def json_of(response: Response, name: str) -> JsonValue:
    """What is in a JSON answer. Raises Unavailable for one that is not JSON."""
    if not response.is_json:
        raise Unavailable(f"{name} did not answer in JSON (HTTP {response.status}). Check the address in its settings.")
    try:
        return cast("JsonValue", json.loads(response.body))
    except (ValueError, RecursionError):
        raise Unavailable(f"{name} answered with broken JSON (HTTP {response.status}).") from None


def _backoff(*, repeatable: bool) -> Callable[[Exception], bool | float]:
    """Which failures are tried again, and after how long: as stamina asks it."""

    def decide(error: Exception) -> bool | float:
        if isinstance(error, _Again):
            refused = error.response.status not in _PASSING  # nothing was done, so even a write may be sent again
            if not (refused or repeatable) or (error.wait or 0.0) > _LONGEST_WAIT:
                return False
            return True if error.wait is None else error.wait
        if isinstance(error, httpx2.ConnectError):
            return True  # it did not arrive
        return repeatable and isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.TimeoutException)

    return decide


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that the other side asks to wait: Retry-After."""
    after = headers.get("retry-after", "")
    if after.isascii() and after.isdecimal():
        return float(after)
    return None

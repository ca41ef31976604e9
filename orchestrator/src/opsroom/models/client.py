"""One call to one rung: bounded by the wall clock, accounted whatever happens, never an exception for a model's fault."""

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import httpx2
from pydantic import ValidationError

from ..agents.definition import Variant
from ..settings import RungSettings
from .body_limit import limit_body
from .credential import Credential, credential_of
from .outcome import Garbled, Outcome, classify, judge, retry_after
from .request import ModelRequest

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.lib.streaming import AsyncMessageStream
    from anthropic.types import Message

GRACE = 0.25
"""Seconds that the end of a response may take after the answer is complete, so that its connection can be used again."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one call as the provider counted them; `input` leaves out what was read from or written to the prompt cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True)
class Attempt:
    """One call to one rung and how it ended."""

    rung: int
    """Position in the chain, from 0."""
    model: str
    prompt: Variant
    outcome: Outcome
    detail: str = ""
    """One line on what went wrong, free of secrets."""
    message: "Message | None" = None
    """Only where the outcome is ok: never a part of an answer."""
    usage: Usage | None = None
    """Also of a call that failed half-way, as far as it is known: it is billed all the same."""
    ms: float = 0.0
    first_token_ms: float | None = None
    request_id: str | None = None
    retry_after: float | None = None
    """Seconds that the provider asked to wait."""


AttemptHook: TypeAlias = Callable[[Attempt], None]

# a message and a block begin before the model has said anything
_BEYOND_FIRST_TOKEN = frozenset({"content_block_delta", "content_block_stop", "message_delta"})


@dataclass
class _Call:
    """What is known of a call while it runs."""

    rung: int
    settings: RungSettings
    begun: float
    snapshot: "Message | None" = None
    first_token: float | None = None
    request_id: str | None = None
    tool_input: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    complete: bool = False
    """The answer has come to its end; whatever happens to the connection now does not matter."""

    def attempt(self, outcome: Outcome, detail: str = "", *, retry_after: float | None = None) -> Attempt:
        now = asyncio.get_running_loop().time()
        return Attempt(
            rung=self.rung,
            model=self.settings.model,
            prompt=self.settings.prompt,
            outcome=outcome,
            detail=detail,
            message=self.snapshot if outcome is Outcome.OK else None,
            usage=_usage(self.snapshot),
            ms=(now - self.begun) * 1_000,
            first_token_ms=None if self.first_token is None else (self.first_token - self.begun) * 1_000,
            request_id=self.request_id,
            retry_after=retry_after,
        )


class Clients:
    """The open clients, one per endpoint and key, of one event loop; closes them on exit."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = environ
        self._open: dict[Credential, AsyncAnthropic] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        while self._open:
            _, client = self._open.popitem()
            await client.close()

    async def call_rung(
        self,
        settings: RungSettings,
        request: ModelRequest,
        *,
        until: float,
        rung: int = 0,
        on_cancelled: AttemptHook | None = None,
    ) -> Attempt:
        """Ask one rung once, no longer than its own limits and not past *until* (loop time).

        However the model or the way to it fails, that is an outcome of the attempt. A cancellation from outside goes on,
        after *on_cancelled* has got the attempt with what it has cost so far.
        """
        await load_sdk()
        clock = asyncio.get_running_loop()
        call = _Call(rung, settings, begun=clock.time())
        credential = credential_of(settings, self.environ)
        if credential is None:
            return call.attempt(Outcome.AUTH, f"no key: {settings.api_key_env} is not set to one")
        if until <= call.begun:
            return call.attempt(Outcome.TIMEOUT, "no time was left for this call")
        try:
            await self._ask(credential, request, call, min(until, call.begun + settings.timeout))
        except asyncio.CancelledError as error:
            if on_cancelled:
                on_cancelled(call.attempt(*classify(error)))
            raise
        except TimeoutError:
            if not call.complete:
                return call.attempt(Outcome.TIMEOUT, _too_late(call))
        except _sdk_errors() as error:
            if not call.complete:
                return _failed(call, error)
        return call.attempt(*_judge(call))

    async def _ask(self, credential: Credential, request: ModelRequest, call: _Call, deadline: float) -> None:
        settings = call.settings
        client = self._client(credential)
        params = request.params(model=settings.model, max_tokens=settings.max_tokens)
        first = min(deadline, call.begun + settings.first_token) if settings.first_token else deadline
        # The client's own timeouts are per read from the socket: a dripping answer would outlast them.
        async with asyncio.timeout_at(first) as limit, client.messages.stream(**params) as stream:
            call.request_id = stream.request_id
            while (kind := await _next_kind(call, stream)) is not None:
                now = asyncio.get_running_loop().time()
                if call.first_token is None and kind in _BEYOND_FIRST_TOKEN:
                    call.first_token = now
                    limit.reschedule(deadline)
                elif kind == "message_stop":
                    call.complete = True
                    limit.reschedule(min(deadline, now + GRACE))

    def _client(self, credential: Credential) -> "AsyncAnthropic":
        if credential not in self._open:
            from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

            # With a key and an address given, the client looks for no profile or other credential on the machine.
            self._open[credential] = AsyncAnthropic(
                api_key=None if credential.is_token else credential.key,
                auth_token=credential.key if credential.is_token else None,
                base_url=credential.base_url,
                # a retry is the chain's decision; the client's own would obey any retry-after
                max_retries=0,
                timeout=None,
                http_client=DefaultAsyncHttpxClient(timeout=None, event_hooks={"response": [limit_body]}),
            )
        return self._open[credential]


async def load_sdk() -> None:
    """Import the Anthropic client, which takes seconds, without stopping the event loop."""
    if "anthropic.resources.messages" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "anthropic.resources.messages")


def _sdk_errors() -> tuple[type[Exception], ...]:
    """What a call can raise for a fault of the model, of the way to it, or of the request."""
    import anthropic

    answer = (anthropic.APIError, httpx2.HTTPError, ValidationError, Garbled)
    # a base URL, a proxy setting or a certificate file of the environment that cannot be used
    way = (httpx2.InvalidURL, OSError, ImportError)
    # what the client says of a request that it cannot write
    request = (TypeError, ValueError)
    return answer + way + request


@contextmanager
def _unchecked() -> Generator[None]:
    """For reading what the client did not check: whatever that trips over is the answer's fault."""
    try:
        yield
    except (json.JSONDecodeError, ValidationError):
        raise
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise Garbled(f"the events do not make a message: {type(error).__name__}: {error}") from error


async def _next_kind(call: _Call, stream: "AsyncMessageStream[None]") -> str | None:
    """Reads one event into *call* and says which it was; None at the end of the stream."""
    with _unchecked():
        event = await anext(stream, None)
        if event is None:
            return None
        if event.type == "message_start":
            call.snapshot = stream.current_message_snapshot
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            call.tool_input.setdefault(event.index, []).append(event.delta.partial_json)
        return event.type


def _failed(call: _Call, error: BaseException) -> Attempt:
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        call.request_id = error.request_id
    return call.attempt(*classify(error), retry_after=retry_after(error))


def _judge(call: _Call) -> tuple[Outcome, str]:
    if call.snapshot is None:
        return Outcome.MALFORMED, "the answer holds no message"
    outcome, detail = judge(call.snapshot)
    if outcome is Outcome.OK:
        # The client reads tool input with a parser that completes what is missing; half a SQL statement must not run.
        for parts in call.tool_input.values():
            try:
                json.loads("".join(parts) or "{}")
            except ValueError:
                return Outcome.MALFORMED, "the input of a tool call is not complete JSON"
    return outcome, detail


def _too_late(call: _Call) -> str:
    spent = asyncio.get_running_loop().time() - call.begun
    return f"{'no first token' if call.first_token is None else 'no complete answer'} within {spent:.1f} s"


def _usage(message: "Message | None") -> Usage | None:
    counted: object = getattr(message, "usage", None)
    if counted is None:
        return None
    # Nothing the client read is validated.
    return Usage(
        input=_count(counted, "input_tokens"),
        output=_count(counted, "output_tokens"),
        cache_read=_count(counted, "cache_read_input_tokens"),
        cache_write=_count(counted, "cache_creation_input_tokens"),
    )


def _count(usage: object, name: str) -> int:
    value: object = getattr(usage, name, None)
    return value if isinstance(value, int) and value > 0 else 0

"""One owner task per MCP session: it connects on first use, lists the tools, notices the end, and comes back with growing pauses.

Callers only borrow the client. `Connection.call` never raises for a server's sake: a dead connection, a timeout and an answer
outside the protocol come back as a ToolOutcome with `is_error` and the code `unavailable`, `timeout` or what fits.
"""

import asyncio
import contextlib
import contextvars
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue

from ..errors import ServerUnavailable
from ..settings import ServerSettings
from .listing import MAX_TOOLS, Listing, ToolChange, compare, read_listing
from .outcome import ToolOutcome, answered, unanswered
from .program import bearer_token, launch

if TYPE_CHECKING:
    from fastmcp import Client
    from mcp.types import ServerNotification

    from .child import ChildTransport
    from .remote import RemoteTransport

    Transport: TypeAlias = ChildTransport | RemoteTransport

log = logging.getLogger(__name__)

Status: TypeAlias = Literal["idle", "connecting", "up", "down"]
Progress: TypeAlias = Callable[[float, float | None, str | None], Awaitable[None]]
"""Called with how much is done, of how much, and a message; the last two may be missing."""

MAX_CHANGES: Final = 20
_MAX_PAGES: Final = 20
_CLOSE_SECONDS: Final = 10
_REASON: Final = 500

# by text: the code -32000 also means "rate limited" or "event too large"
_DEAD: Final = (
    "Connection closed",
    "SSE stream ended without a response",
    "Session not found",
    "Session terminated",
    "Session task completed",
    "Server session was closed",
    "Client is not connected",
    "Client failed to connect",
)
# the server said that it knows no such session, so it did not run the call
_NOT_RUN: Final = ("Session not found", "Session terminated")
_REQUEST_TIMEOUT: Final = -32001


@dataclass(frozen=True)
class Pace:
    """How patient a connection is. Times are seconds."""

    first: float = 0.25
    """The pause after the first failure; it doubles with each further one, up to `longest`, and is spread by half."""
    longest: float = 60
    steady: float = 10
    """A session that ended sooner than this counts as a failure, so that a crash loop is slowed down."""
    reconnect: float = 15
    """How long a call waits for a lost connection to come back."""
    fresh: float = 60
    """How old a listing may be on use, where the server cannot tell that it changed and names no time of its own."""

    def pause(self, failures: int) -> float:
        if failures == 0:
            return 0
        # not for secrets: it keeps many clients of one server from coming back at the same moment
        return min(self.longest, self.first * 2 ** min(failures - 1, 16)) * (0.5 + random.random())  # noqa: S311


@dataclass(frozen=True)
class ServerState:
    """What is known of one server, for `opsroom servers`."""

    name: str
    status: Status
    """`idle`: nobody has needed it yet."""
    since: datetime
    transport: Literal["stdio", "http", "none"]
    target: str
    """The command line or the URL; the file, for a problem in the configuration."""
    capabilities: tuple[str, ...] = ()
    last_error: str | None = None
    tools: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] | None = None
    """Tool → a hash over its name, description, schemas and annotations."""
    problems: tuple[str, ...] = ()
    """Listed tools that are not used, and why."""
    changes: tuple[ToolChange, ...] = ()
    """The latest differences between one listing and the next, reconnects included; newest last."""
    protocol_version: str | None = None
    server_name: str | None = None
    server_version: str | None = None
    restarts: int = 0
    stderr: tuple[str, ...] = ()
    """The last lines that a stdio server wrote to stderr, redacted."""


class Connection:
    """The connection to one server. It must be closed with `aclose`."""

    def __init__(self, name: str, settings: ServerSettings, *, pace: Pace | None = None) -> None:
        self.name = name
        self.settings = settings
        self.listing = Listing()
        self._pace = pace or Pace()
        self._status: Status = "idle"
        self._since = datetime.now(UTC)
        self._error: str | None = None
        self._changes: tuple[ToolChange, ...] = ()
        self._client: Client[Transport] | None = None
        self._transport: Transport | None = None
        self._identity: tuple[str | None, str | None, str | None] = (None, None, None)
        self._sessions = 0
        self._attempts_ended = 0
        self._hopeless = False
        self._listed_at = 0.0
        self._fresh_for = self._pace.fresh
        self._told_of_changes = False
        self._lost: str | None = None
        self._stale = False
        self._closing = False
        self._news = asyncio.Event()
        self._asked = asyncio.Event()
        self._kick = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    @property
    def state(self) -> ServerState:
        command, protocol = self.settings.command, self._identity
        return ServerState(
            name=self.name,
            status=self._status,
            since=self._since,
            transport="stdio" if command else "http",
            target=redact(" ".join(command) if command else self.settings.url or ""),
            capabilities=self.settings.capabilities,
            last_error=self._error,
            tools=tuple(tool.name for tool in self.listing.tools),
            fingerprints=self.listing.fingerprints,
            problems=self.listing.problems,
            changes=self._changes,
            protocol_version=protocol[0],
            server_name=protocol[1],
            server_version=protocol[2],
            restarts=max(0, self._sessions - 1),
            stderr=tuple(self._transport.stderr) if self._transport else (),
        )

    @property
    def failed(self) -> bool:
        """Whether it is known not to work: its last attempt ended without a session."""
        return self._client is None and self._error is not None

    def wake(self) -> None:
        """Someone needs it: connects now, whatever pause it is in."""
        if self._closing:
            return
        self._asked.set()
        if self._owner is None:
            # in a context of its own, or the whole life of the connection would be traced under whoever came first
            self._owner = asyncio.create_task(self._own(), name=f"opsroom server {self.name}", context=contextvars.Context())

    async def settle(self, wait: float) -> bool:
        """Whether it is up once it has tried, or once *wait* seconds have passed."""
        self.wake()
        ended = self._attempts_ended
        await self._until(lambda: self._client is not None or self._attempts_ended > ended or self._closing, wait)
        return self._client is not None

    async def refresh(self, wait: float) -> None:
        """Lists the tools again, at most *wait* seconds; without an answer the connection counts as lost."""
        if self._client is None:
            return
        listed, self._stale = self._listed_at, True
        self._kick.set()
        await self._until(lambda: self._client is None or self._listed_at != listed, wait)

    async def keep_fresh(self, wait: float) -> None:
        """Lists the tools again where they may have changed without a word."""
        if not self._told_of_changes and time.monotonic() - self._listed_at >= self._fresh_for:
            await self.refresh(wait)

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, JsonValue],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - a budget over several attempts, not one await
        progress: Progress | None = None,
    ) -> ToolOutcome:
        """Calls *tool*. Over one reconnect it is repeated once, if it reads or is idempotent by its annotations."""
        started = time.monotonic()
        budget = timeout if timeout is not None else self.settings.call_timeout
        attempts = 0

        def ended(text: str, code: str, *, retryable: bool = False) -> ToolOutcome:
            ms = (time.monotonic() - started) * 1_000
            return unanswered(tool, self.name, text, code=code, ms=ms, attempts=attempts, retryable=retryable)

        try:
            async with asyncio.timeout(budget):
                while True:
                    client = await self._borrow()
                    attempts += 1
                    try:
                        result = await client.call_tool_mcp(
                            tool, dict(arguments), progress_handler=_harmless(progress), timeout=budget + 5
                        )
                    except Exception as error:  # noqa: BLE001 - whatever the libraries raise is this server's trouble, not the caller's
                        trouble = self._trouble(error, client)
                    else:
                        ms = (time.monotonic() - started) * 1_000
                        return answered(tool, self.name, result, ms=ms, attempts=attempts)
                    if not trouble.dead:
                        return ended(trouble.text, trouble.code, retryable=trouble.code == "unavailable")
                    await self._lose(client, trouble.text)
                    if self._closing:
                        return ended(f"{self.name} was closed while {tool} ran.", "unavailable")
                    if attempts == 2 or not (trouble.not_run or self._repeatable(tool)):
                        return ended(self._interrupted(tool), "unavailable", retryable=self._repeatable(tool))
        except ServerUnavailable as error:
            return ended(str(error), "unavailable", retryable=True)
        except TimeoutError:
            self._doubt()
            return ended(f"{self.name} did not answer {tool} within {budget:g} s.", "timeout", retryable=self._repeatable(tool))

    async def aclose(self) -> None:
        """Ends the session and, with stdio, the child. Bounded in time."""
        self._closing = True
        for event in (self._asked, self._kick):
            event.set()
        self._announce()
        if self._owner is None:
            return
        _, pending = await asyncio.wait({self._owner}, timeout=_CLOSE_SECONDS)
        for owner in pending:
            owner.cancel()
            await asyncio.wait({owner}, timeout=_CLOSE_SECONDS)

    # What follows runs in the owner task.

    async def _own(self) -> None:
        failures = 0
        while not self._closing:
            self._enter("connecting")
            began, sessions = time.monotonic(), self._sessions
            reason = await self._session()
            lasted = time.monotonic() - began
            failures = 0 if self._sessions > sessions and lasted >= self._pace.steady else failures + 1
            self._attempts_ended += 1
            self._enter("down", reason)
            self._asked.clear()
            if not self._closing:
                await self._pause(failures)

    async def _session(self) -> str:
        """One attempt, and the session that comes of it. Returns why it ended."""
        self._lost, self._stale, self._hopeless = None, False, False
        self._kick.clear()
        error: Exception | None = None
        try:
            client, transport = self._dial()
        except ServerUnavailable as missing:
            self._hopeless = True
            return str(missing)
        self._transport = transport
        try:
            async with client:
                await self._list(client, transport, self.settings.connect_timeout)
                self._open(client)
                await self._keep(client, transport)
        except Exception as raised:  # noqa: BLE001 - a failed attempt is this server's state, whatever the libraries raise
            error = raised
        finally:
            self._client = None
            with contextlib.suppress(Exception):  # close() raises a failed connect's error once more
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await client.close()
        if refusal := getattr(transport, "refusal", None):
            self._hopeless = refusal in (401, 403, 404)
        return self._explain(error, transport)

    def _dial(self) -> "tuple[Client[Transport], Transport]":
        _import_client()
        from fastmcp import Client

        transport = self._new_transport()
        client: Client[Transport] = Client(
            transport,
            name=self.name,
            init_timeout=self.settings.connect_timeout,
            timeout=self.settings.call_timeout,
            message_handler=self._hear,
            log_handler=_ignore,
            progress_handler=_harmless(None),
        )
        return client, transport

    def _new_transport(self) -> "Transport":
        if self.settings.url is not None:
            from .remote import RemoteTransport

            token = bearer_token(self.name, self.settings)
            return RemoteTransport(self.settings.url, token, self.settings.token_env, self.settings.connect_timeout)
        from .child import ChildTransport

        return ChildTransport(launch(self.name, self.settings), self._kick.set)

    async def _list(self, client: "Client[Transport]", transport: "Transport", limit: float) -> None:
        """Reads the whole listing, page by page, and notes what changed since the last one."""
        transport.malformed.clear()
        async with asyncio.timeout(limit):
            page = await client.list_tools_mcp()
            found, pages = list(page.tools), 1
            while page.next_cursor is not None and len(found) <= MAX_TOOLS and pages < _MAX_PAGES:
                page = await client.list_tools_mcp(cursor=page.next_cursor)
                found += page.tools
                pages += 1
        listing = read_listing(self.name, found, transport.malformed)
        if self._listed_at:
            changes = compare(self.listing, listing)
            for change in changes:
                log.info("server %s: tool %s was %s", self.name, change.tool, change.kind)
            self._changes = (*self._changes, *changes)[-MAX_CHANGES:]
        self.listing = listing
        self._listed_at = time.monotonic()
        self._fresh_for = min(max(page.ttl_ms / 1_000, 5), 600) if page.ttl_ms else self._pace.fresh
        self._announce()

    def _open(self, client: "Client[Transport]") -> None:
        info = client.server_info
        self._identity = (
            client.protocol_version,
            clean(info.name, 100) if info else None,
            clean(info.version, 100) if info else None,
        )
        if self._transport is not None and hasattr(self._transport, "refusal"):
            self._transport.refusal = None  # probing for the protocol's era is answered with errors by design
        self._sessions += 1
        self._client = client
        self._enter("up")

    async def _keep(self, client: "Client[Transport]", transport: "Transport") -> None:
        """Holds the session until it is lost or no longer wanted; refreshes the listing meanwhile."""
        subscription = asyncio.create_task(self._subscribe(client), name=f"opsroom changes {self.name}")
        try:
            while not (self._closing or self._lost or transport.ended):
                if self._stale:
                    self._stale = False
                    await self._list(client, transport, min(self.settings.connect_timeout, self.settings.call_timeout))
                    continue
                await self._kick.wait()
                self._kick.clear()
        finally:
            self._client = None
            self._told_of_changes = False
            subscription.cancel()
            await asyncio.wait({subscription})

    async def _subscribe(self, client: "Client[Transport]") -> None:
        """Hears of changed tools: by a subscription in the modern era, by `_hear` in the legacy one."""
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost, listen

        from mcp import MCPError

        capabilities = client.server_capabilities
        promised = bool(capabilities and capabilities.tools and capabilities.tools.list_changed)
        try:
            async with listen(client.session, tools_list_changed=True) as events:
                self._told_of_changes = promised
                async for _ in events:
                    self._doubt()
        except ListenNotSupportedError:
            self._told_of_changes = promised
        except (MCPError, SubscriptionLost, TimeoutError, RuntimeError, OSError):
            self._told_of_changes = False  # then the listing is refreshed on use, once it has aged

    async def _hear(self, message: "ServerNotification | Exception") -> None:
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            self._doubt()

    async def _pause(self, failures: int) -> None:
        """The pause before the next attempt: ended early by whoever asks, but never shorter than the first one."""
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.pause(failures)):
                await self._asked.wait()
        if failures and not self._closing:
            await asyncio.sleep(max(0, began + self._pace.first - time.monotonic()))

    def _explain(self, error: Exception | None, transport: "Transport") -> str:
        """Why the session ended, in one line that starts with what a person can act on."""
        started = self._status == "up"
        if self._lost and not transport.ended:
            return self._lost
        known = transport.diagnosis
        if transport.ended:
            return _reason(f"{'stopped' if started else 'died at start'}: {known or 'it closed its output'}")
        if known is not None and not started:
            return _reason(known)
        if error is None:
            return "closed"
        text = str(error) or type(error).__name__
        if isinstance(error, TimeoutError) or "Failed to initialize server session" in text:
            return f"no answer to the MCP handshake within {self.settings.connect_timeout:g} s"
        return _reason(text.removeprefix("Client failed to connect: "))

    # What follows is shared by the owner task and its callers.

    async def _borrow(self) -> "Client[Transport]":
        """A live client; waits for one while there is hope. Raises ServerUnavailable."""
        if self._client is None:
            self.wake()
            ended, patient = self._attempts_ended, self._sessions > 0
            await self._until(
                lambda: (
                    self._client is not None
                    or self._closing
                    or (self._attempts_ended > ended and (self._hopeless or not patient))
                ),
                self._pace.reconnect,
            )
        if self._client is None:
            raise ServerUnavailable(f"{self.name} is unavailable: {self._error or 'it is still starting'}")
        return self._client

    def _trouble(self, error: Exception, client: "Client[Transport]") -> "_Trouble":
        """What *error*, raised by a call over *client*, means."""
        from mcp import MCPError

        text = str(error) or type(error).__name__
        transport = client.transport
        module = type(error).__module__
        dead = (
            transport.ended
            or not client.is_connected()
            or any(sign in text for sign in _DEAD)
            or (not isinstance(error, MCPError) and (isinstance(error, OSError) or module.startswith(("httpx2", "anyio"))))
        )
        if getattr(transport, "refusal", None) == 401:
            return _Trouble(f"{self.name}: {transport.diagnosis}", "not_permitted", dead=False)
        if dead:
            return _Trouble(_reason(text), "unavailable", dead=True, not_run=any(sign in text for sign in _NOT_RUN))
        if isinstance(error, MCPError):
            return _Trouble(*_protocol_error(self.name, error.code, text), dead=False)
        return _Trouble(f"{self.name} answered outside the protocol: {_reason(text)}", "unavailable", dead=False)

    async def _lose(self, client: "Client[Transport]", reason: str) -> None:
        """Of the many callers whose client died, the first one tells the owner."""
        if self._client is client:
            self._client, self._lost = None, reason
            self._kick.set()
        ended = self._attempts_ended
        await self._until(lambda: self._attempts_ended > ended or self._status != "up", self._pace.reconnect)

    def _repeatable(self, tool: str) -> bool:
        known = self.listing.find(tool)
        return known is not None and (known.read_only or known.idempotent)

    def _interrupted(self, tool: str) -> str:
        text = f"{self.name} went away while {tool} ran ({self._error or 'no reason given'})."
        if self._repeatable(tool):
            return text
        return f"{text} It is not known whether it took effect: check before you repeat it."

    def _doubt(self) -> None:
        """The listing may be old, or the server wedged: the owner asks it, and lets go of it when it does not answer."""
        self._stale = True
        self._kick.set()

    def _enter(self, status: Status, error: str | None = None) -> None:
        if status != self._status:
            self._status, self._since = status, datetime.now(UTC)
        if error is not None:
            self._error = error
        elif status == "up":
            self._error = None
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _until(self, condition: Callable[[], bool], wait: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not condition():
                    await self._news.wait()


@dataclass(frozen=True)
class _Trouble:
    text: str
    code: str
    dead: bool
    not_run: bool = False


def _protocol_error(server: str, code: int, text: str) -> tuple[str, str]:
    said = f"{server}: {_reason(text)}"
    if code == _REQUEST_TIMEOUT:
        return said, "timeout"
    if "larger than" in text or "exceeded the" in text:
        return f"{said}. Ask for less.", "too_large"
    if "not supported" in text:
        return f"{said}. The tool wants to ask a person, and this session cannot.", "not_permitted"
    return said, {-32602: "invalid_input", -32601: "not_found"}.get(code, "unavailable")


def _reason(text: str) -> str:
    return redact(clean(" ".join(text.split()), _REASON))


def _harmless(progress: Progress | None) -> Progress:
    async def report(done: float, total: float | None, message: str | None) -> None:
        if progress is not None:
            await progress(done, total, clean(message, 200) if message else None)

    return report


async def _ignore(_: object) -> None:
    """Servers log to stderr, for the people who run them; what they send to clients is not kept."""


def _import_client() -> None:
    """Before fastmcp is first imported: no call home, no settings from somebody's .env, no output of its own."""
    os.environ["FASTMCP_CHECK_FOR_UPDATES"] = "off"
    os.environ["FASTMCP_ENV_FILE"] = os.devnull
    os.environ["FASTMCP_LOG_ENABLED"] = "false"
    for library in ("mcp", "client", "fastmcp", "httpx2"):
        logger = logging.getLogger(library)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())

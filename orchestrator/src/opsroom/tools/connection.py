"""One owner task per MCP session: it connects on first use, lists the tools, notices the end, and comes back with growing pauses.

Callers only borrow the client. `Connection.call` never raises for a server's sake: a dead connection, a timeout and an answer
outside the protocol come back as a ToolOutcome with `is_error` and the code `unavailable`, `timeout` or what fits.
"""

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue

from ..errors import ServerUnavailable
from ..settings import ServerSettings
from .dial import Progress, cleaned, import_client, list_tools, new_client
from .listing import Listing, ToolChange, compare, read_listing
from .outcome import ToolOutcome, answered, unanswered
from .process import GRACE, HASTE, Child
from .program import launch
from .state import Pace, ServerState, Status
from .trouble import Trouble, describe, diagnose, one_line, refused

if TYPE_CHECKING:
    from fastmcp import Client
    from mcp.types import CallToolResult

    from .session import ServerTransport

log = logging.getLogger(__name__)

R = TypeVar("R")

MAX_CHANGES: Final = 20
_CLOSE_SECONDS: Final = 10
_LISTING_SPACE: Final = 0.2
_SHORTEST_TTL: Final = 5
_LONGEST_TTL: Final = 600


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
        self._identity: tuple[str | None, str | None, str | None] = (None, None, None)
        self._changes: tuple[ToolChange, ...] = ()
        self._client: Client[ServerTransport] | None = None
        self._stderr: Sequence[str] = ()
        self._earlier_stderr: Sequence[str] = ()
        self._sessions = 0
        self._attempts_ended = 0
        self._last_attempt_failed = False
        self._hopeless = False
        self._listed_at = 0.0
        self._fresh_for = self._pace.fresh
        self._lost: str | None = None
        self._stale = False
        self._closing = False
        self._news = asyncio.Event()
        self._asked = asyncio.Event()
        self._kick = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[object]] = set()

    @property
    def state(self) -> ServerState:
        command = self.settings.command
        protocol_version, server_name, server_version = self._identity
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
            protocol_version=protocol_version,
            server_name=server_name,
            server_version=server_version,
            restarts=max(0, self._sessions - 1),
            # a child that has just been started again has nothing to say yet on why the last one died
            stderr=tuple(self._stderr or self._earlier_stderr),
        )

    @property
    def up(self) -> bool:
        return self._client is not None

    @property
    def why_down(self) -> str:
        return self._error or "it is still starting"

    @property
    def known_down(self) -> bool:
        """Whether its last attempt got no session: a request need not wait long for the next one."""
        return self._client is None and self._last_attempt_failed

    def wake(self) -> None:
        """Someone needs it: it connects now, whatever pause it is in."""
        if self._closing:
            return
        self._asked.set()
        if self._owner is None:
            # in a context of its own, or the whole life of the connection would be traced under whoever came first
            self._owner = asyncio.create_task(self._own(), name=f"opsroom server {self.name}", context=contextvars.Context())

    async def settle(self, wait: float) -> bool:
        """Whether it is up: at once, or once the attempt that this starts has ended, or after *wait* seconds."""
        if self._client is None:
            self.wake()
            ended = self._attempts_ended
            await self.until(lambda: self.up or self._attempts_ended > ended or self._closing, wait)
        return self.up

    async def refresh(self, wait: float) -> None:
        """Lists the tools again, waiting at most *wait* seconds. A server that does not answer counts as lost."""
        if self._client is not None:
            listed = self._listed_at
            self._doubt()
            await self.until(lambda: not self.up or self._listed_at != listed, wait)

    async def keep_fresh(self, wait: float) -> None:
        """Lists the tools again if the listing has aged: not every server tells when its tools change."""
        if time.monotonic() - self._listed_at >= self._fresh_for:
            await self.refresh(wait)

    async def until(self, condition: Callable[[], bool], wait: float) -> bool:
        """Whether *condition* came to hold within *wait* seconds. It is looked at whenever something here changes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not condition():
                    await self._news.wait()
        return condition()

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, JsonValue],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - a budget over several attempts, not one await
        progress: Progress | None = None,
    ) -> ToolOutcome:
        """Calls *tool* within *timeout* and the server's own `call_timeout`, whichever is shorter.

        Over one reconnect it is repeated once, if it reads or is idempotent by its annotations.
        """
        started = time.monotonic()
        budget = min(timeout, self.settings.call_timeout) if timeout is not None else self.settings.call_timeout
        attempts = 0

        def elapsed() -> float:
            return (time.monotonic() - started) * 1_000

        def ended(text: str, code: str, *, retryable: bool = False) -> ToolOutcome:
            return unanswered(tool, self.name, text, code=code, ms=elapsed(), attempts=attempts, retryable=retryable)

        try:
            async with asyncio.timeout(budget):
                while True:
                    client = await self._borrow()
                    attempts += 1
                    # asyncio.timeout above is the one that counts; the session's own would be its shorter default
                    result = await self._request(client, tool, arguments, progress, budget + 5)
                    if not isinstance(result, Trouble):
                        return answered(tool, self.name, result, ms=elapsed(), attempts=attempts)
                    if result.code != "unavailable" or not result.dead:
                        return ended(f"{self.name}: {result.text}", result.code, retryable=result.code == "unavailable")
                    repeatable = result.not_run or self._repeatable(tool)
                    if attempts == 2 or self._closing or not repeatable:
                        text = f"{self.name} went away while {tool} ran: {self._error or 'it was closed'}."
                        return ended(_with_effect(text, repeatable=repeatable), "unavailable", retryable=repeatable)
        except ServerUnavailable as error:
            return ended(str(error), "unavailable", retryable=not self._hopeless)
        except TimeoutError:
            if attempts == 0:
                return ended(str(self._unavailable()), "unavailable", retryable=True)
            self._doubt()
            repeatable = self._repeatable(tool)
            text = _with_effect(f"{self.name} did not answer {tool} within {budget:g} s.", repeatable=repeatable)
            return ended(text, "timeout", retryable=repeatable)

    async def aclose(self) -> None:
        """Ends the session and, with stdio, the child. Bounded in time."""
        self._closing = True
        self._asked.set()
        self._kick.set()
        self._announce()
        if self._owner is not None:
            if self._client is None:
                self._owner.cancel()  # an attempt to connect may take long, and nobody wants it any more
            _, pending = await asyncio.wait({self._owner}, timeout=_CLOSE_SECONDS)
            if pending:
                self._owner.cancel()
                await asyncio.wait({self._owner}, timeout=_CLOSE_SECONDS)
        if self._requests:
            await asyncio.wait(self._requests, timeout=_CLOSE_SECONDS)
        self._enter("down", "closed")

    # What follows runs in the owner task.

    async def _own(self) -> None:
        failures = 0
        while not self._closing:
            self._enter("connecting")
            began, sessions = time.monotonic(), self._sessions
            try:
                reason = await self._session()
            except (OSError, ValueError) as error:  # ValueError: a null byte in the command
                reason = one_line(f"it cannot be started: {error}")
            except Exception as error:  # the owner outlives whatever goes wrong in one attempt
                log.exception("server %s", self.name)
                reason = describe(error)
            self._last_attempt_failed = self._sessions == sessions
            steady = not self._last_attempt_failed and time.monotonic() - began >= self._pace.steady
            failures = 0 if steady else failures + 1
            self._attempts_ended += 1
            self._asked.clear()
            self._enter("down", reason)
            if not self._closing:
                await self._rest(failures)

    async def _session(self) -> str:
        """One attempt, and the session that comes of it. Returns why it ended."""
        self._lost, self._stale, self._hopeless = None, False, False
        self._kick.clear()
        sessions, child = self._sessions, None
        try:
            if self.settings.url is None:
                # before the heavy imports: a server takes about as long to start as they do
                child = await Child.start(launch(self.name, self.settings))
                self._earlier_stderr, self._stderr = self._stderr or self._earlier_stderr, child.stderr
            await asyncio.to_thread(import_client)
            return await self._speak(new_client(self.name, self.settings, child, on_change=self._doubt, on_end=self._kick.set))
        except ServerUnavailable as missing:
            self._hopeless = True
            return one_line(str(missing))
        finally:
            if child is not None:
                # one that never came up, or stopped answering, is not waited for
                await child.stop(GRACE if self._sessions > sessions and not self._lost else HASTE)

    async def _speak(self, client: "Client[ServerTransport]") -> str:
        """Opens a session and holds it. Returns why it ended."""
        error: Exception | None = None
        try:
            async with client:
                await self._list(client, self.settings.connect_timeout)
                self._open(client)
                await self._keep(client)
        except Exception as raised:  # noqa: BLE001 - a failed attempt is this server's state, whatever the libraries raise
            error = raised
        finally:
            self._client = None
            with contextlib.suppress(Exception):  # close() raises a failed connect's error once more
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await client.close()
        refusal = client.transport.refusal
        self._hopeless = refusal is not None and refusal.hopeless
        return self._explain(error, client.transport)

    async def _list(self, client: "Client[ServerTransport]", limit: float) -> None:
        """Reads the whole listing, page by page, and notes what changed since the last one."""
        async with asyncio.timeout(limit):
            found, ttl = await self._apart(list_tools(client), f"listing {self.name}")
        listing = read_listing(self.name, found, client.transport.malformed)
        changes = compare(self.listing, listing) if self._listed_at else ()
        for change in changes:
            log.info("server %s: tool %s was %s", self.name, change.tool, change.kind)
        self._changes = (*self._changes, *changes)[-MAX_CHANGES:]
        self.listing = listing
        self._fresh_for = min(max(ttl, _SHORTEST_TTL), _LONGEST_TTL) if ttl else self._pace.fresh
        self._listed()

    def _open(self, client: "Client[ServerTransport]") -> None:
        info = client.server_info
        self._identity = (
            client.protocol_version,
            clean(info.name, 100) if info else None,
            clean(info.version, 100) if info else None,
        )
        client.transport.opened()
        self._sessions += 1
        self._client = client
        self._enter("up")

    async def _keep(self, client: "Client[ServerTransport]") -> None:
        """Holds the session until it is lost or no longer wanted; refreshes the listing meanwhile."""
        subscription = asyncio.create_task(self._subscribe(client), name=f"opsroom changes {self.name}")
        try:
            while not (self._closing or self._lost or client.transport.ended):
                if self._stale:
                    # a server that announces changes without end is listened to at a bounded rate
                    await asyncio.sleep(max(0, self._listed_at + _LISTING_SPACE - time.monotonic()))
                    self._stale = False
                    await self._list_again(client)
                    continue
                await self._kick.wait()
                self._kick.clear()
        finally:
            self._client = None
            subscription.cancel()
            await asyncio.wait({subscription})

    async def _list_again(self, client: "Client[ServerTransport]") -> None:
        try:
            await self._list(client, self._pace.check)
        except TimeoutError:
            self._lost = "it stopped answering"
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise; the last good listing stays
            trouble = diagnose(error, client)
            if trouble.dead:
                self._lost = trouble.text
            log.warning("server %s: its tools could not be listed again: %s", self.name, trouble.text)
            self._listed()

    async def _subscribe(self, client: "Client[ServerTransport]") -> None:
        """Hears of changed tools in the modern era, where the server lets it; `_hear` does in the legacy one."""
        from mcp import MCPError
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost, listen

        honored = True
        while honored:
            honored = False
            with contextlib.suppress(ListenNotSupportedError, SubscriptionLost, MCPError, TimeoutError, RuntimeError, OSError):
                async with listen(client.session, tools_list_changed=True) as events:
                    honored = events.honored.tools_list_changed is True
                    if honored:
                        self._doubt()  # what changed between the listing and this moment was announced to nobody
                    async for _ in events:
                        self._doubt()
            if honored:
                self._doubt()  # a stream that ends may mean a server that is gone
                await asyncio.sleep(self._pace.check)

    async def _rest(self, failures: int) -> None:
        """The pause before the next attempt: whoever asks ends it, but an attempt never follows a failure at once."""
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.pause(failures)):
                await self._asked.wait()
        if failures > 1 and not self._closing:
            await asyncio.sleep(max(0, began + self._pace.first - time.monotonic()))

    def _explain(self, error: Exception | None, transport: "ServerTransport") -> str:
        """Why the session ended, in one line that starts with what a person can act on."""
        was_up = self._status == "up"
        if transport.ended:
            return one_line(f"{'stopped' if was_up else 'died at start'}: {transport.diagnosis}")
        if self._lost:
            return self._lost
        if transport.diagnosis is not None and not was_up:
            return one_line(transport.diagnosis)
        return self._meaning(error)

    def _meaning(self, error: Exception | None) -> str:
        if error is None:
            return "closed"
        if refused(error):
            return one_line(f"nothing answers at {self.settings.url}; start it, or correct servers.{self.name}.url")
        text = describe(error)
        if isinstance(error, TimeoutError) or "Failed to initialize server session" in text:
            return f"no answer to the MCP handshake within {self.settings.connect_timeout:g} s"
        return text.removeprefix("Client failed to connect: ")

    # What follows is shared by the owner task and its callers.

    async def _borrow(self) -> "Client[ServerTransport]":
        """A live client; where there was one before, it waits for the server to come back. Raises ServerUnavailable."""
        if self._client is None:
            self.wake()
            ended, patient = self._attempts_ended, self._sessions > 0
            wait = self._pace.reconnect + (0 if patient else self.settings.connect_timeout)
            await self.until(
                lambda: self.up or self._closing or (self._attempts_ended > ended and (self._hopeless or not patient)),
                wait,
            )
        if self._client is None:
            raise self._unavailable()
        return self._client

    def _unavailable(self) -> ServerUnavailable:
        return ServerUnavailable(f"{self.name} is unavailable: {self.why_down}")

    async def _lose(self, client: "Client[ServerTransport]", reason: str) -> None:
        """Of the many callers whose client died, the first one tells the owner; all wait until it knows why."""
        if self._client is client:
            self._client, self._lost = None, reason
            self._kick.set()
        await self.until(lambda: self._status != "up" or self.up, self._pace.reconnect)

    async def _request(
        self,
        client: "Client[ServerTransport]",
        tool: str,
        arguments: Mapping[str, JsonValue],
        progress: Progress | None,
        limit: float,
    ) -> "CallToolResult | Trouble":
        calling = client.call_tool_mcp(tool, dict(arguments), progress_handler=cleaned(progress), timeout=limit)
        try:
            return await self._apart(calling, f"call {self.name} {tool}")
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise is this server's trouble, not the caller's
            trouble = diagnose(error, client)
        if trouble.dead:
            await self._lose(client, trouble.text)
        return trouble

    async def _apart(self, request: Coroutine[None, None, R], name: str) -> R:
        """Runs *request* so that whoever waits for it can leave at once.

        Cancelled, it first tells its server so, and one that does not read holds that up for seconds.
        """
        task = asyncio.create_task(request, name=f"opsroom {name}")
        self._requests.add(task)
        task.add_done_callback(self._done)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        if task.cancelled():  # not by us, who would have left already
            raise ConnectionError("Connection closed")
        return task.result()

    def _done(self, request: asyncio.Task[object]) -> None:
        self._requests.discard(request)
        if not request.cancelled():
            request.exception()  # seen, also where the caller has left

    def _repeatable(self, tool: str) -> bool:
        known = self.listing.find(tool)
        return known is not None and (known.read_only or known.idempotent)

    def _doubt(self) -> None:
        """The listing may be old, or the server wedged: the owner asks it, and lets go of it when it does not answer."""
        self._stale = True
        self._kick.set()

    def _listed(self) -> None:
        self._listed_at = time.monotonic()
        self._announce()

    def _enter(self, status: Status, error: str | None = None) -> None:
        if status != self._status:
            self._status, self._since = status, datetime.now(UTC)
        if status != "connecting":
            self._error = error
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _with_effect(text: str, *, repeatable: bool) -> str:
    return text if repeatable else f"{text} It is not known whether it took effect: check before you repeat it."

"""All servers of a workspace side by side; a dead or slow one never holds up the others."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from opsroom_shared.config import ConfigError
from pydantic import JsonValue

from ..settings import CONFIG_NAME, ServerSettings, Workspace
from .catalogue import CatalogueTool
from .connection import Connection
from .dial import Progress
from .outcome import ToolOutcome, unanswered
from .state import Pace, ServerState

KNOWN_DOWN_WAIT = 1.0
"""Seconds that a request gives a server whose last attempt failed; it goes on trying in the background."""
REFRESH_WAIT = 2.0


@dataclass(frozen=True)
class Offer:
    """What the servers with some capabilities offer right now."""

    tools: tuple[CatalogueTool, ...]
    down: Mapping[str, str]
    """Server → one line on why its tools are missing."""


class Fleet:
    """The servers of *workspace*. Nothing is started before it is needed."""

    def __init__(self, workspace: Workspace, *, pace: Pace | None = None) -> None:
        self._workspace = workspace
        self._pace = pace
        self._connections: dict[str, Connection] = {}
        self._problems: dict[str, str] = {}
        self._seen: tuple[object, ...] | None = None
        self._since = datetime.now(UTC)
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Raises ConfigError when opsroom.toml cannot be used."""
        self._seen = self._workspace.fingerprint()
        table = self._workspace.servers()
        self._adopt(table.servers, table.problems)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._connections.values():
            self._close(connection)
        self._connections.clear()
        while self._closing:
            await asyncio.wait(self._closing)

    def refresh(self) -> None:
        """Takes over what changed in opsroom.toml and servers.d; costs a few stat calls when nothing did.

        It does not wait: what is added or changed starts when it is first needed, what is gone closes in the background.
        """
        seen = self._workspace.fingerprint()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            table = self._workspace.servers()
        except ConfigError as error:
            # a file broken while we run takes nothing away: what was configured stays
            self._problems = self._problems | {self._config_name: str(error)}
            return
        self._adopt(table.servers, table.problems)

    async def tools_for(self, capabilities: Collection[str], *, wait: float) -> Offer:
        """The tools of the servers with one of *capabilities* that are up within *wait* seconds.

        They come in the order of the configuration. Of two servers that have a tool of the same name, both are there.
        """
        chosen = [one for one in self._connections.values() if set(one.settings.capabilities) & set(capabilities)]
        await asyncio.gather(*(self._ready(connection, wait) for connection in chosen))
        up = [connection for connection in chosen if connection.up]
        down = {one.name: one.why_down for one in chosen if not one.up}
        return Offer(tuple(tool for connection in up for tool in connection.listing.tools), down)

    async def call(
        self,
        tool: CatalogueTool,
        arguments: Mapping[str, JsonValue],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - a budget over several attempts, not one await
        progress: Progress | None = None,
    ) -> ToolOutcome:
        """Calls *tool* on its server. Never raises for the server's sake: see Connection.call."""
        connection = self._connections.get(tool.server)
        if connection is None:
            text = f"The server {tool.server} is no longer configured."
            return unanswered(tool.name, tool.server, text, code="not_found", ms=0, attempts=0)
        return await connection.call(tool.name, arguments, timeout=timeout, progress=progress)

    async def status(self, *, connect: bool, wait: float = 10) -> list[ServerState]:
        """The state of every server, and of every file that cannot be used. With *connect* each is asked first, side by side."""
        if connect:
            await asyncio.gather(*(self._verify(connection, wait) for connection in self._connections.values()))
        states = [connection.state for connection in self._connections.values()]
        return [*states, *(self._problem(name, text) for name, text in self._problems.items())]

    async def _ready(self, connection: Connection, wait: float) -> None:
        if await connection.settle(min(wait, KNOWN_DOWN_WAIT) if connection.known_down else wait):
            await connection.keep_fresh(min(wait, REFRESH_WAIT))

    async def _verify(self, connection: Connection, wait: float) -> None:
        if connection.up:
            await connection.refresh(wait)  # an HTTP server that went away while idle has told nobody
        if not connection.up:
            await connection.settle(wait)

    def _adopt(self, servers: Mapping[str, ServerSettings], problems: Mapping[str, str]) -> None:
        kept: dict[str, Connection] = {}
        for name, settings in servers.items():
            old = self._connections.pop(name, None)
            if old is not None and old.settings == settings:
                kept[name] = old
                continue
            if old is not None:
                self._close(old)
            kept[name] = Connection(name, settings, pace=self._pace)
        for connection in self._connections.values():
            self._close(connection)
        self._connections = kept
        self._problems = dict(problems)

    def _close(self, connection: Connection) -> None:
        task = asyncio.create_task(connection.aclose(), name=f"opsroom close {connection.name}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @property
    def _config_name(self) -> str:
        return self._workspace.config.name if self._workspace.config else CONFIG_NAME

    def _problem(self, name: str, text: str) -> ServerState:
        return ServerState(name=name, status="down", since=self._since, transport="none", target="", last_error=text)

"""How a client for one server is made, and how it lists tools. fastmcp is imported here, and only when it is needed."""

import importlib
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from opsroom_shared.outside import clean

from ..settings import ServerSettings
from .listing import MAX_TOOLS
from .process import Child
from .program import bearer_token

if TYPE_CHECKING:
    from fastmcp import Client
    from fastmcp.client.progress import ProgressHandler
    from mcp.types import ServerNotification, Tool

    from .session import ServerTransport

Progress: TypeAlias = Callable[[float, float | None, str | None], Awaitable[None]]
"""Called with how much is done, of how much, and a message; the last two may be missing."""

_MAX_PAGES: Final = 20


def import_client() -> None:
    """Imports what is heavy, with no call home, no settings from somebody's .env, and no output of its own."""
    os.environ["FASTMCP_CHECK_FOR_UPDATES"] = "off"
    os.environ["FASTMCP_ENV_FILE"] = os.devnull
    os.environ["FASTMCP_LOG_ENABLED"] = "false"
    for library in ("mcp", "client", "fastmcp", "httpx2"):
        logger = logging.getLogger(library)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # else warnings go to the user's terminal where logging is not set up
    for module in ("fastmcp.client", ".child", ".remote"):
        importlib.import_module(module, __package__)


def new_client(
    name: str, settings: ServerSettings, child: Child | None, *, on_change: Callable[[], None], on_end: Callable[[], None]
) -> "Client[ServerTransport]":
    """A client that speaks with *child*, or else over HTTP. Raises ServerUnavailable when the token is missing.

    *on_change* is called when a server of the legacy era says that its tools changed, *on_end* when a child's output ended.
    """
    from fastmcp import Client

    async def hear(message: "ServerNotification | Exception") -> None:
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            on_change()

    return Client(
        _transport(name, settings, child, on_end),
        name=name,
        init_timeout=settings.connect_timeout,
        timeout=settings.call_timeout,
        message_handler=hear,
        log_handler=_ignore,
        progress_handler=cleaned(None),
    )


def _transport(name: str, settings: ServerSettings, child: Child | None, on_end: Callable[[], None]) -> "ServerTransport":
    if child is not None:
        from .child import ChildTransport

        return ChildTransport(child, on_end)
    from .remote import Endpoint, RemoteTransport

    token = bearer_token(name, settings)
    return RemoteTransport(Endpoint(settings.url or "", token, settings.token_env, settings.connect_timeout))


async def list_tools(client: "Client[ServerTransport]") -> "tuple[list[Tool], float]":
    """All tools that are listed, within reason, and for how many seconds the server says that they stay; 0 for nothing said."""
    client.transport.malformed.clear()
    page = await client.list_tools_mcp()
    found, pages = list(page.tools), 1
    while page.next_cursor is not None and len(found) <= MAX_TOOLS and pages < _MAX_PAGES:
        page = await client.list_tools_mcp(cursor=page.next_cursor)
        found += page.tools
        pages += 1
    if page.next_cursor is not None and len(found) <= MAX_TOOLS:
        client.transport.malformed.append(f"the listing does not end after {_MAX_PAGES} pages; the rest is not used")
    return found, page.ttl_ms / 1_000


def cleaned(tell: Progress | None) -> "ProgressHandler":
    """A handler that passes progress on to *tell*, its message cleaned."""

    async def report(progress: float, total: float | None, message: str | None) -> None:
        if tell is not None:
            await tell(progress, total, clean(message, 200) if message else None)

    return report


async def _ignore(_: object) -> None:
    """Servers log to stderr, for the people who run them; what they send to clients is not kept."""

"""What is known of one server, and how patient its connection is."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from .listing import ToolChange

Status: TypeAlias = Literal["idle", "connecting", "up", "down"]


@dataclass(frozen=True)
class Pace:
    """How patient a connection is. Times are seconds."""

    first: float = 0.25
    """The pause after the first failure; it doubles with each further one, up to `longest`, and is spread by half."""
    longest: float = 60
    steady: float = 10
    """A session that ended sooner than this counts as a failure, so that a crash loop is slowed down."""
    reconnect: float = 10
    """How long a call waits for a lost connection to come back."""
    fresh: float = 60
    """How old a listing may be on use, where the server names no time of its own."""
    check: float = 5
    """How long a server may take to list its tools when there is reason to doubt that it still answers."""

    def pause(self, failures: int) -> float:
        """The pause before the next attempt after this many failures in a row."""
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
    """`none`: a file of the configuration that cannot be used."""
    target: str
    """The command line or the URL."""
    capabilities: tuple[str, ...] = ()
    last_error: str | None = None
    tools: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])
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

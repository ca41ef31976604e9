"""Serving MCP on stdin and stdout until the input ends; SIGTERM and SIGINT end it too."""

import fcntl
import io
import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from typing_extensions import Buffer, override

from .config import ConfigError

if TYPE_CHECKING:
    from fastmcp import FastMCP

    from .ending import Ending

log = logging.getLogger(__name__)

MAX_MESSAGE = 4 * 1_048_576


async def serve_stdio(mcp: "FastMCP", ending: "Ending") -> None:
    """Serves *mcp* until its input ends: calls in flight are cancelled, then the lifespan is torn down."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is where file descriptor 0 is closed
        raise ConfigError("stdin is closed. Let an MCP client start this, or serve with --http HOST:PORT")
    if os.isatty(0):
        print("Speaking MCP on stdin and stdout; Ctrl-D ends it, --help says more.", file=sys.stderr)  # noqa: T201 - a person is there
    stdin = _EndableInput(ending.begin)

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # whoever asks twice does not want to wait
        stdin.end()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(stdin))
    try:
        await mcp.run_stdio_async(show_banner=False)
    except* BrokenPipeError:
        log.info("the client has gone without waiting for its answer")


class _EndableInput(io.RawIOBase):
    """The process's stdin, which a signal can end: a plain read in a thread could not be interrupted."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._stdin = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
        # what a tool starts must not read the wire
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self._wake, self._waker = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._stdin, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self._on_end = on_end
        self._unfinished = 0

    def end(self) -> None:
        os.write(self._waker, b"\0")

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        into = memoryview(buffer).cast("B")
        woken = any(descriptor == self._wake for descriptor, _ in self._poll.poll())
        data = b"" if woken else os.read(self._stdin, len(into))
        if not data or self._is_too_long(data):
            self.end()  # whoever reads once more is told the same
            self._on_end()
            return 0
        into[: len(data)] = data
        return len(data)

    def _is_too_long(self, data: bytes) -> bool:
        """Whether *data* continues a message past what is accepted over HTTP too; its end could not be awaited in memory."""
        newline = data.rfind(b"\n")
        self._unfinished = len(data) - newline - 1 if newline >= 0 else self._unfinished + len(data)
        if self._unfinished > MAX_MESSAGE:
            log.error("a message on stdin is larger than %d bytes; serving ends", MAX_MESSAGE)
            return True
        return False

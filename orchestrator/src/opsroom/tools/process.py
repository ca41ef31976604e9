"""A server as a child process: started before anything heavy is imported, heard on stderr, and ended with all that it started."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact

from .lines import Lines, Oversize

if TYPE_CHECKING:
    from .program import Launch

S = TypeVar("S", asyncio.StreamReader, asyncio.StreamWriter)

STDERR_LINES: Final = 50
STDERR_LINE: Final = 500
CHUNK: Final = 65_536
GRACE: Final = 2.0
HASTE: Final = 0.5

_POLL: Final = 0.01
_LAST_WORDS: Final = 0.2
"""Seconds for what a child has written before its end; a grandchild may hold the pipe open for ever."""


class Child:
    """A running process with pipes. Whoever starts it must `stop` it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        """The last lines that it wrote, redacted."""
        self._process = process
        self._hearing = asyncio.create_task(self._overhear())

    @classmethod
    async def start(cls, launch: "Launch") -> "Child":
        """Raises OSError when the program cannot be run."""
        return cls(
            await asyncio.create_subprocess_exec(
                launch.program,
                *launch.arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(launch.environment),
                cwd=launch.folder,
                start_new_session=True,  # Ctrl-C at the terminal is ours to handle, and the whole group can be ended
            )
        )

    @property
    def stdin(self) -> asyncio.StreamWriter:
        return _piped(self._process.stdin)

    @property
    def stdout(self) -> asyncio.StreamReader:
        return _piped(self._process.stdout)

    @property
    def ending(self) -> str | None:
        """How it ended, with its last words; None while it runs."""
        status = self._process.returncode
        if status is None:
            return None
        how = f"it ended with exit status {status}" if status >= 0 else f"it was ended by {_signal_name(-status)}"
        said = next((line for line in reversed(self.stderr) if line.strip()), None)
        return f"{how}: {said}" if said else how

    async def exited(self, limit: float) -> None:
        """Waits for the exit and its last words. It polls: Process.wait() also waits for pipes that a grandchild may hold."""
        if await _until(lambda: self._process.returncode is not None, limit):
            await asyncio.wait({self._hearing}, timeout=_LAST_WORDS)

    async def stop(self, grace: float = GRACE) -> None:
        """EOF on its stdin; then SIGTERM and SIGKILL to its whole group. Every wait is bounded by *grace*."""
        draining = asyncio.create_task(self._drain())
        try:
            self.stdin.close()
            await self.exited(grace)
            # also after a clean exit: what it left in its group would outlive us
            if self._signal(signal.SIGTERM):
                await _until(lambda: not self._signal(0), grace)
        finally:
            # a cancellation may cut the waiting short, but never this
            self._signal(signal.SIGKILL)
            for task in (draining, self._hearing):
                task.cancel()
        await self.exited(GRACE)
        await asyncio.wait({draining, self._hearing})
        # a daemon that left the group may hold a pipe open, and nothing public closes our end of it
        transport: asyncio.SubprocessTransport | None = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()

    async def _overhear(self) -> None:
        stderr, lines = _piped(self._process.stderr), Lines(16 * STDERR_LINE)
        while chunk := await stderr.read(CHUNK):
            for line in lines.feed(chunk):
                self._remember(line)
        if (line := lines.rest()) is not None:
            self._remember(line)

    async def _drain(self) -> None:
        # a child that still writes must not block on a full pipe while it shuts down
        with contextlib.suppress(RuntimeError):  # somebody else reads it already
            while await self.stdout.read(CHUNK):
                pass

    def _remember(self, line: bytes | Oversize) -> None:
        raw = line.head if isinstance(line, Oversize) else line
        self.stderr.append(redact(clean(raw.decode(errors="replace").rstrip(), STDERR_LINE)))

    def _signal(self, number: int) -> bool:
        """Signals its group; whether any of it is left."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # something in it belongs to someone else now
            return True
        return True


async def _until(condition: Callable[[], bool], limit: float) -> bool:
    """Whether *condition* came true within *limit* seconds.

    It runs in tasks that are being cancelled, where in Python 3.11.2 the expiry of an asyncio.timeout is a CancelledError.
    """
    clock = asyncio.get_running_loop()
    deadline = clock.time() + limit
    while not (met := condition()) and clock.time() < deadline:  # noqa: ASYNC110 - no event tells of these ends
        await asyncio.sleep(_POLL)
    return met


def _piped(stream: S | None) -> S:
    if stream is None:
        raise RuntimeError("the child was started without this pipe")
    return stream


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"

"""A few child processes that each run one request at a time, and are killed rather than waited for."""

import asyncio
import contextlib
import json
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from opsroom_shared.errors import TimedOut

from .places import Places

Message: TypeAlias = Mapping[str, object]

_LENGTH = struct.Struct(">I")
_MAX_ANSWER = 16 << 20
_SPARE_SECONDS = 1.0
"""How long past its own limit a worker may take to say so."""


class WorkerEnded(Exception):
    """The worker died, or was killed, before it answered."""


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def send(self, message: Message) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        body = json.dumps(message, separators=(",", ":")).encode()
        try:
            self._process.stdin.write(_LENGTH.pack(len(body)) + body)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WorkerEnded from error

    async def receive(self) -> Message:
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        try:
            (length,) = _LENGTH.unpack(await self._process.stdout.readexactly(_LENGTH.size))
            if length > _MAX_ANSWER:
                raise WorkerEnded
            return json.loads(await self._process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionResetError) as error:
            raise WorkerEnded from error

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> None:
        """Waits for the process and for its pipes to be closed."""
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class WorkerPool:
    """A worker for each of *places*, running *script*; the first message to each is *policy*. None starts before it is needed."""

    def __init__(self, script: Path, policy: Message, places: Places) -> None:
        self._script, self._policy, self._places = script, policy, places
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    async def run(self, request: Message, seconds: float) -> Message:
        """The answer to *request*. Raises TimedOut, Unavailable when all workers are busy for too long, WorkerEnded.

        Whatever ends the wait early, cancellation included, ends the worker and so the query. An answer with `last` does too.
        """
        place = await self._places.take(seconds)
        try:
            worker = await self._take()
            reusable = False
            try:
                async with asyncio.timeout(seconds + _SPARE_SECONDS):
                    await worker.send(request)
                    answer = await worker.receive()
                reusable = not answer.get("last")
            except TimeoutError:
                raise TimedOut(f"The query was stopped after {seconds:g} s.") from None
            finally:
                if reusable:
                    self._idle.append(worker)
                else:
                    worker.kill()
            return answer
        finally:
            place.leave()

    async def aclose(self) -> None:
        """Ends every worker, with the query that it runs."""
        self._idle.clear()
        for worker in self._all:
            worker.kill()
        await asyncio.gather(*(worker.ended() for worker in self._all))
        self._all.clear()

    async def _take(self) -> _Worker:
        gone = [worker for worker in self._all if not worker.alive]
        for worker in gone:
            await worker.ended()
            self._all.discard(worker)
        self._idle = [worker for worker in self._idle if worker.alive]
        return self._idle.pop() if self._idle else await self._start()

    async def _start(self) -> _Worker:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(self._script)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        worker = _Worker(process)
        self._all.add(worker)
        await worker.send(self._policy)
        return worker

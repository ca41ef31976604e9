"""Starts, watches, probes and ends the instances of a host of processes."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...vocabulary import Health
from .. import Release, Target
from . import children
from .layout import InstanceFile, Layout
from .probing import Answered, probe_once

_MAX_LOG = 4 << 20
_RESTART_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_FAILURES = 3
_FAILING_SECONDS = 1.0
"""So many probes in a row fail, over at least so long, before an instance is unhealthy: a short interval is no haste."""

Key = tuple[Target, str, int]


@dataclass
class Watched:
    """An instance that should run."""

    target: Target
    release: Release
    number: int
    file: InstanceFile
    environment: Mapping[str, str] | None
    """With its secrets. None for an instance of an earlier daemon: it is watched, and cannot be started again."""
    successes: int = 0
    failures: int = 0
    failing_since: float | None = None
    was_healthy: bool = False
    last_probe: str | None = None
    process: asyncio.subprocess.Process | None = None
    """None for one that an earlier daemon has started."""
    tries: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    spawning: "asyncio.Task[None] | None" = None

    @property
    def health(self) -> Health:
        probe = self.release.probe
        if self.ended.is_set():
            return "stopped"
        if self.file.pid is None:
            return "unhealthy"  # between two starts
        if self._fails():
            return "unhealthy"
        return "healthy" if probe is None or self.was_healthy else "starting"

    def _fails(self) -> bool:
        since = self.failing_since
        return self.failures >= _FAILURES and since is not None and time.monotonic() - since >= _FAILING_SECONDS

    def saw(self, answered: Answered, wanted: int) -> None:
        """Takes note of a probe."""
        self.last_probe = answered.words
        if answered.healthy:
            self.successes, self.failures, self.failing_since = self.successes + 1, 0, None
            self.was_healthy = self.was_healthy or self.successes >= wanted
        else:
            self.successes, self.failures = 0, self.failures + 1
            if self.failing_since is None:
                self.failing_since = time.monotonic()

    def forget(self) -> None:
        """Another process begins, of which no probe has said anything."""
        self.successes, self.failures, self.failing_since, self.was_healthy = 0, 0, None, False


class Supervisor:
    """All instances of a host. What it knows is written down with each change, so that another one can take over."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._watched: dict[Key, Watched] = {}

    def adopt(self, target: Target) -> None:
        """Watches what an earlier daemon has started and what still runs."""
        for name, number in self._layout.instances(target):
            state, release = self._layout.read_instance(target, name, number), self._layout.read_release(target, name)
            if state is None or release is None or state.pid is None:
                continue
            if children.birth_of(state.pid) == state.birth:
                self._begin(Watched(target, release, number, state, None))
            else:
                self._layout.write_instance(target, name, number, replace(state, pid=None))

    def find(self, target: Target, name: str, number: int) -> Watched | None:
        return self._watched.get((target, name, number))

    @property
    def any_runs(self) -> bool:
        return any(not watched.ended.is_set() for watched in self._watched.values())

    async def start(self, target: Target, release: Release, number: int, secrets: Mapping[str, str]) -> None:
        """Runs an instance until it is stopped, and again when it ends by itself. One that runs is left as it is.

        Raises OSError where the command cannot be run.
        """
        known = self.find(target, release.name, number)
        if known is not None and not known.ended.is_set():
            return
        port = children.free_port()
        environment = children.environment({**release.environment, **secrets, "PORT": str(port)})
        before = self._layout.read_instance(target, release.name, number) or InstanceFile()
        watched = Watched(target, release, number, replace(before, port=port, exit_code=None), environment)
        await self._spawn(watched)
        self._begin(watched)

    async def stop(self, target: Target, name: str, number: int, grace: float) -> None:
        """Asks it to end, and ends it after *grace* seconds."""
        watched = self._watched.pop((target, name, number), None)
        if watched is None:
            return
        await _cancelled(watched.task)  # from here on nobody starts it again
        if watched.spawning is not None:
            await asyncio.wait({watched.spawning})
        pid, birth = watched.file.pid, watched.file.birth
        if pid is not None and children.birth_of(pid) == birth:
            children.send(pid, signal.SIGTERM)
            gone = asyncio.ensure_future(children.end_of(pid, birth))
            if not (await asyncio.wait({gone}, timeout=grace))[0]:
                children.send(pid, signal.SIGKILL)
                await gone
            children.send(pid, signal.SIGKILL)  # what it has started itself and left behind
        watched.ended.set()
        self._save(watched, replace(watched.file, pid=None, exit_code=_exit_code(watched)))

    async def aclose(self, *, stop: bool) -> None:
        """Ends the watching; with *stop* the instances, too."""
        if stop:
            await asyncio.gather(*(self.stop(*key, each.release.grace_seconds) for key, each in [*self._watched.items()]))
        await asyncio.gather(*(_cancelled(each.task) for each in self._watched.values()))

    def _begin(self, watched: Watched) -> None:
        self._watched[watched.target, watched.release.name, watched.number] = watched
        watched.task = asyncio.ensure_future(self._run(watched))

    async def _run(self, watched: Watched) -> None:
        probing = asyncio.ensure_future(self._probe(watched))
        try:
            await self._keep_running(watched)
        finally:
            await _cancelled(probing)

    async def _keep_running(self, watched: Watched) -> None:
        """Starts it again whenever it ends, after a pause that grows while it keeps ending."""
        while True:
            begun = time.monotonic()
            pid = watched.file.pid
            await _end_of(watched)
            if pid is not None:
                children.send(pid, signal.SIGKILL)  # what it has left behind would hold its port
            watched.forget()
            self._save(watched, replace(watched.file, pid=None, exit_code=_exit_code(watched)))
            if watched.environment is None:
                watched.ended.set()
                return
            if time.monotonic() - begun > _RESTART_PAUSES[-1]:
                watched.tries = 0
            await asyncio.sleep(_RESTART_PAUSES[min(watched.tries, len(_RESTART_PAUSES) - 1)])
            watched.tries += 1
            with contextlib.suppress(OSError):  # its folder may be gone; it is tried again
                # shielded: a process that was begun is written down, so that whoever stops it finds it
                watched.spawning = asyncio.ensure_future(self._spawn(watched, restarts=watched.file.restarts + 1))
                await asyncio.shield(watched.spawning)

    async def _spawn(self, watched: Watched, restarts: int = 0) -> None:
        release = watched.release
        words = {"release": Path(release.folder or "").name, "port": str(watched.file.port), "folder": release.folder or ""}
        log = self._layout.log(watched.target, release.name, watched.number)
        _shorten(log)
        watched.process = await children.spawn(
            [_filled(part, words) for part in release.command],
            folder=release.folder,
            environment=watched.environment or {},
            log=log,
        )
        pid = watched.process.pid
        birth = children.birth_of(pid) or ""
        self._save(watched, replace(watched.file, pid=pid, birth=birth, started_at=time.time(), restarts=restarts))

    def _save(self, watched: Watched, file: InstanceFile) -> None:
        watched.file = file
        self._layout.write_instance(watched.target, watched.release.name, watched.number, file)

    async def _probe(self, watched: Watched) -> None:
        probe = watched.release.probe
        if probe is None:
            return
        while True:
            if watched.file.pid is not None:
                watched.saw(await probe_once(probe, probe.port or watched.file.port or 0), probe.successes)
            await asyncio.sleep(probe.interval_seconds)


async def _end_of(watched: Watched) -> None:
    if watched.process is not None:
        await watched.process.wait()
    elif watched.file.pid is not None:
        await children.end_of(watched.file.pid, watched.file.birth)


async def _cancelled(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


def _exit_code(watched: Watched) -> int | None:
    return watched.process.returncode if watched.process is not None else None


def _filled(part: str, words: Mapping[str, str]) -> str:
    """{release}, {port} and {folder} in *part*; any other brace is its own."""
    for name, word in words.items():
        part = part.replace("{" + name + "}", word)
    return part


def _shorten(log: Path) -> None:
    """Keeps the newer half of a log that has grown too long."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _MAX_LOG:
            log.write_bytes(log.read_bytes()[-_MAX_LOG // 2 :])

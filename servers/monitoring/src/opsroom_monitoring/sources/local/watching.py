"""Looks at everything that the settings name, again and again, while the server runs."""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
from opsroom_shared.errors import ToolFailure

from ...settings import LocalProbe, LocalSettings, LocalTarget
from . import host
from .log_files import LogFiles
from .rules import RuleBook
from .scraping import Look, client, identity, probe, scrape, shown
from .store import Store, TargetRow

log = logging.getLogger(__name__)

_TRIM_SECONDS = 300.0
_AT_ONCE = 10
_LOG_SECONDS = 5.0


class Watch:
    """One process watches for a store; another that has the same store reads it, and takes over when the first has ended."""

    def __init__(self, store: Store, settings: LocalSettings) -> None:
        self._store, self._settings = store, settings
        self._book, self._files = RuleBook(settings.rules), LogFiles(settings.logs)
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._lock: int | None = None

    async def run(self) -> None:
        """Watches until it is cancelled."""
        settings = self._settings
        try:
            while not await asyncio.to_thread(self._is_ours):  # noqa: ASYNC110 - another process ends, which no event tells
                await asyncio.sleep(settings.interval_seconds)
            async with client() as web, asyncio.TaskGroup() as group:

                def every(seconds: float, what: str, look: Callable[[], Awaitable[None]]) -> None:
                    group.create_task(_repeated(seconds, what, look))

                for target in settings.targets:
                    seconds = target.interval_seconds or settings.interval_seconds
                    every(seconds, target.job, lambda target=target, seconds=seconds: self._scrape(web, target, seconds))
                for asked in settings.probes:
                    seconds = asked.interval_seconds or settings.interval_seconds
                    every(seconds, asked.name, lambda asked=asked: self._probe(web, asked))
                if settings.host:
                    every(settings.interval_seconds, "the host", self._host)
                if settings.rules:
                    every(settings.interval_seconds, "rules", self._judge)
                if settings.logs:
                    every(min(_LOG_SECONDS, settings.interval_seconds), "logs", self._follow)
                every(_TRIM_SECONDS, "trimming", self._trim)
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _is_ours(self) -> bool:
        """Whether no other process watches for this store."""
        lock = Path(f"{self._store.path}.lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.warning("nothing is watched: %s cannot be locked: %s", lock, error)
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    async def _scrape(self, web: httpx2.AsyncClient, target: LocalTarget, seconds: float) -> None:
        async with self._at_once:
            look = await scrape(web, target, seconds)
        labels = identity(target)
        await self._keep(f"target {target.job} {labels['instance']}", (target.job, labels["instance"], shown(target.url)), look)

    async def _probe(self, web: httpx2.AsyncClient, asked: LocalProbe) -> None:
        async with self._at_once:
            look = await probe(web, asked)
        await self._keep(f"probe {asked.name}", ("probe", asked.name, shown(asked.url)), look)

    async def _keep(self, source: str, about: tuple[str, str, str], look: Look) -> None:
        def keep(store: Store) -> None:
            if left_out := store.append(source, look.at, look.samples):
                log.warning("%s: %d samples are not kept, as there are too many series", source, left_out)
            store.describe(look.about)
            store.saw_target(source, TargetRow(*about, look.problem, look.at))

        await self._store.run(keep)

    async def _host(self) -> None:
        samples = await asyncio.to_thread(host.look)
        at = time.time()

        def keep(store: Store) -> None:
            store.append("host", at, samples)
            store.describe(host.ABOUT)

        await self._store.run(keep)

    async def _judge(self) -> None:
        at = time.time()
        await self._store.run(lambda store: self._book.judge(store, at))

    async def _follow(self) -> None:
        at = time.time()
        await self._store.run(lambda store: self._files.follow(store, at))

    async def _trim(self) -> None:
        await self._store.run(lambda store: store.trim(time.time()))


async def _repeated(seconds: float, what: str, look: Callable[[], Awaitable[None]]) -> None:
    due = time.monotonic()
    while True:
        try:
            await look()
        except ToolFailure as failure:
            log.warning("%s: %s", what, failure)
        except Exception:  # one look that fails on a defect must not end all others
            log.exception("looking at %s failed", what)
        # a look that took too long delays the next, which is not made up for
        due = max(due + seconds, time.monotonic())
        await asyncio.sleep(due - time.monotonic())

"""The proxies of a target: one container for each stable port it has, of which the newest configuration is the live pointer."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsroom_shared.errors import Conflict, NotFound, Unavailable

from .. import Target
from . import containers, haproxy
from .engine import DockerEngine
from .haproxy import Checked, Pointer, Server
from .wire import Listed

_LOOK_SECONDS = 0.05
_READY_SECONDS = 30.0
_STEADY_SECONDS = 0.3
"""A worker that lives so long has read its configuration and taken over the port."""
_PAUSE_SECONDS = 1.0
"""What is waited for instead on an engine whose machine cannot list processes."""
_LOG_LINES = 300


@dataclass(frozen=True)
class _Proxy:
    name: str
    publish: int
    running: bool
    pointer: Pointer | None
    torn: str | None
    """The configuration that has to be written again, because the engine ended while it was written."""


@dataclass(frozen=True)
class Live:
    """What the live pointer says, and where callers reach it."""

    instances: tuple[tuple[str, int], ...]
    address: str | None
    publish: int
    problem: str | None


class Proxies:
    """A proxy is started once and from then on only told to read its configuration again: restarting it would lose requests.

    A worker that has been replaced takes no new connection and lives as long as it has one. So its end is how it is known that
    nobody waits for an answer of an instance that was taken out: no program in the proxy's image is needed to ask for it.
    """

    def __init__(self, engine: DockerEngine, image: str, bind: str) -> None:
        self._engine, self._image, self._bind = engine, image, bind
        self._replaced: dict[str, set[int]] = {}

    async def live(self, target: Target) -> Live:
        newest = _newest(await self._of(target))
        if newest is None or newest.pointer is None or not newest.pointer.instances:
            return Live((), None, newest.publish if newest else 0, None)
        problem = None if newest.running else f"the proxy {newest.name} does not run: docker start {newest.name}"
        return Live(newest.pointer.instances, f"http://{self._bind}:{newest.publish}", newest.publish, problem)

    async def point(self, target: Target, publish: int, servers: Sequence[Server]) -> None:
        """Writes the pointer. Raises Unavailable where the proxy would not take it, and then nothing has changed."""
        seen = await self._of(target)
        if not publish:
            return  # nothing was ever published, and nothing is to be
        generation = 1 + max((each.pointer.generation for each in seen if each.pointer), default=0)
        name = containers.proxy_name(target, publish)
        if not any(each.name == name for each in seen):
            await self._engine.create(name, containers.proxy(target, publish, self._bind, self._image))
        text = haproxy.configuration(generation, publish, tuple(servers))
        await self._engine.write(name, haproxy.CANDIDATE, text.encode())
        if any(each.name == name and each.running for each in seen):
            code, said = await self._engine.run(name, ["haproxy", "-c", "-f", haproxy.CANDIDATE])
            if code != 0:
                raise Unavailable(f"The proxy {name} refuses its configuration: {said[-500:]}")
        await self._engine.write(name, haproxy.FILE, text.encode())

    async def switch(self, target: Target) -> None:
        """Makes the newest pointer hold, and lets the proxies of ports that the target no longer has come to their end."""
        seen = await self._of(target)
        newest = _newest(seen)
        if newest is None or newest.pointer is None:
            return
        if newest.torn is not None:
            await self._engine.write(newest.name, haproxy.FILE, newest.torn.encode())
        if newest.pointer.instances:
            await (self._reload(newest) if newest.running else self._start(newest))
        for each in seen:
            if each.running and (each is not newest or not newest.pointer.instances):
                await self._engine.kill(each.name, "SIGUSR1")

    async def drain(self, target: Target, seconds: float) -> None:
        """Returns when no connection is left that was made before the last switch, or after *seconds*."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            drained = await self._is_drained(target)
            if drained:
                return
            await asyncio.sleep(left if drained is None else min(_LOOK_SECONDS, left))

    async def sweep(self, target: Target) -> None:
        """Removes the proxies that have ended because the target has no use for them."""
        seen = await self._of(target)
        newest = _newest(seen)
        for each in seen:
            used = each is newest and each.pointer is not None and each.pointer.instances
            if not used and not each.running:
                await self._engine.remove(each.name)

    async def checked(self, target: Target) -> Mapping[str, tuple[datetime | None, Checked]]:
        """What the proxy last found out about the instances that it leads to, by the names of their containers."""
        newest = _newest(await self._of(target))
        found: dict[str, tuple[datetime | None, Checked]] = {}
        if newest is not None and newest.running:
            for row in await self._engine.logs(newest.name, tail=_LOG_LINES):
                health = haproxy.health_of(row.text)
                if health is not None:
                    found[health[0]] = (row.at, health[1])
        return found

    async def _start(self, proxy: _Proxy) -> None:
        try:
            await self._engine.start(proxy.name)
        except (Unavailable, Conflict) as error:
            if "already allocated" in str(error) or "address already in use" in str(error):
                raise Conflict(f"The port {proxy.publish} is taken; give another publish. {error}") from None
            raise
        await self._await_worker(proxy, set())

    async def _reload(self, proxy: _Proxy) -> None:
        before = await self._workers(proxy.name)
        await self._engine.kill(proxy.name, "SIGUSR2")
        if before is not None:
            self._replaced[proxy.name] = before
        await self._await_worker(proxy, before or set())

    async def _await_worker(self, proxy: _Proxy, before: set[int]) -> None:
        """Returns when a worker that was not there *before* serves."""
        until = time.monotonic() + _READY_SECONDS
        steady: set[int] = set()
        while time.monotonic() < until:
            workers = await self._workers(proxy.name)
            if workers is None:
                await asyncio.sleep(_PAUSE_SECONDS)
                return
            if steady & workers:
                return
            steady = workers - before
            await asyncio.sleep(_STEADY_SECONDS if steady else _LOOK_SECONDS)
        said = " / ".join(row.text for row in await self._engine.logs(proxy.name, tail=5))
        raise Unavailable(f"The proxy {proxy.name} did not take its configuration over within {_READY_SECONDS:g} s: {said}")

    async def _is_drained(self, target: Target) -> bool | None:
        """None where it cannot be told."""
        seen = await self._of(target)
        newest = _newest(seen)
        for each in seen:
            if not each.running:
                continue
            if each is not newest or each.pointer is None or not each.pointer.instances:
                return False  # it has been told to end
            workers = await self._workers(each.name)
            if workers is None:
                return None
            replaced = self._replaced.get(each.name)
            if workers & replaced if replaced is not None else len(workers) > 1:
                return False
        return True

    async def _workers(self, name: str) -> set[int] | None:
        container = await self._engine.inspect(name)
        if container is None or not container.state.running:
            return set()
        processes = await self._engine.processes(name)
        return None if processes is None else {pid for pid, parent in processes if parent == container.state.pid}

    async def _of(self, target: Target) -> list[_Proxy]:
        listed = await self._engine.find(containers.labels_of(target))
        return [await self._read(each) for each in listed if containers.role_of(each) == "proxy"]

    async def _read(self, listed: Listed) -> _Proxy:
        pointer, torn = await self._pointer(listed.name, haproxy.FILE), None
        if pointer is None:
            text = await self._text(listed.name, haproxy.CANDIDATE)
            pointer = haproxy.parse(text or "")
            torn = text if pointer else None
        running = listed.state in ("running", "restarting", "paused")
        return _Proxy(listed.name, containers.publish_of(listed.labels), running, pointer, torn)

    async def _pointer(self, name: str, file: str) -> Pointer | None:
        return haproxy.parse(await self._text(name, file) or "")

    async def _text(self, name: str, file: str) -> str | None:
        try:
            content = await self._engine.read(name, file)
        except NotFound:
            return None
        return None if content is None else content.decode(errors="replace")


def _newest(proxies: Sequence[_Proxy]) -> _Proxy | None:
    """The one whose pointer holds: of several, the one that was written last."""
    return max(proxies, key=lambda each: each.pointer.generation if each.pointer else 0, default=None)

"""The health gate of a container: the HEALTHCHECK of its image, or the probe of its service as the proxy will make it."""

import asyncio
import time

from opsroom_shared.errors import Conflict, NotFound, Unavailable

from ...spec import Probe
from .. import GateFailure, Release
from . import containers, haproxy
from .engine import DockerEngine
from .haproxy import Checked, Server
from .wire import Container, HealthCheck

_LOOK_SECONDS = 0.1
_TAIL = 30
_NANOSECONDS = 1_000_000_000
_DEFAULT_INTERVAL, _DEFAULT_TIMEOUT, _DEFAULT_RETRIES = 30.0, 30.0, 3


class Gate:
    """The probe is made by a proxy of its own on the private network, so it goes the way of the requests.

    That works wherever the engine is: the address of a container can be reached from this process only where both are on one
    machine, and an image need not contain a program that could make the request from inside.
    """

    def __init__(self, engine: DockerEngine, image: str) -> None:
        self._engine, self._image = engine, image

    async def wait(self, release: Release, number: int, *, restarts: int) -> GateFailure | None:
        """None when the instance is healthy. One that was restarted more often than *restarts* will not be."""
        name = containers.instance_name(release.target, release.name, number)
        container = await self._engine.inspect(name)
        if container is None:
            raise NotFound(f"The container {name} is gone.")
        if release.probe is not None:
            return await self._probed(release, number, release.probe, restarts)
        image = await self._engine.image(container.image)
        if not container.has_health or image is None or image.healthcheck is None:
            return await self._failed(
                name, "it has neither a HEALTHCHECK nor a probe that could tell whether it is healthy", None
            )
        return await self._checked(name, budget(image.healthcheck), restarts)

    async def _checked(self, name: str, seconds: float, restarts: int) -> GateFailure | None:
        until = time.monotonic() + seconds
        while True:
            container = await self._engine.inspect(name)
            if reason := _ended(container, restarts):
                return await self._failed(name, reason, container)
            if container is not None and container.state.health is not None and container.state.health.status == "healthy":
                return None
            if time.monotonic() > until:
                return await self._failed(name, f"it was not healthy within {seconds:g} s", container)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _probed(self, release: Release, number: int, probe: Probe, restarts: int) -> GateFailure | None:
        name = containers.instance_name(release.target, release.name, number)
        asker = containers.probe_name(release.target, release.name, number)
        try:
            await self._start(asker, release, number, probe)
            return await self._watched(name, asker, probe, restarts)
        finally:
            await self._engine.remove(asker)

    async def _watched(self, name: str, asker: str, probe: Probe, restarts: int) -> GateFailure | None:
        until = time.monotonic() + probe.deadline_seconds
        up_since: float | None = None
        last: Checked | None = None
        while True:
            container = await self._engine.inspect(name)
            said = await self._said(asker)
            last = said or last
            if reason := _ended(container, restarts):
                return await self._failed(name, reason, container, last)
            now = time.monotonic()
            # the proxy tells of changes only: what was up is up until it says otherwise
            up_since = None if last is None or not last.up else up_since or now
            if up_since is not None and now - up_since >= (probe.successes - 1) * probe.interval_seconds:
                return None
            if now > until:
                return await self._failed(name, f"it was not healthy within {probe.deadline_seconds:g} s", container, last)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _start(self, asker: str, release: Release, number: int, probe: Probe) -> None:
        config = containers.probe(release.target, release.name, number, self._image)
        try:
            await self._engine.create(asker, config)
        except Conflict:  # of a deployment that was killed
            await self._engine.remove(asker)
            await self._engine.create(asker, config)
        text = haproxy.probing(server_of(release, number), probe)
        await self._engine.write(asker, haproxy.FILE, text.encode())
        await self._engine.start(asker)

    async def _said(self, asker: str) -> Checked | None:
        rows = await self._engine.logs(asker, tail=20)
        found = [health[1] for row in rows if (health := haproxy.health_of(row.text)) is not None]
        if found:
            return found[-1]
        container = await self._engine.inspect(asker)
        if container is None or not container.state.running:
            words = " / ".join(row.text for row in rows)
            raise Unavailable(f"The probe could not be made: {asker} ended: {words[-500:]}")
        return None

    async def _failed(self, name: str, reason: str, container: Container | None, probed: Checked | None = None) -> GateFailure:
        health = container.state.health if container else None
        entry = health.log[-1] if health and health.log else None
        last = probed.words if probed else f"exit status {entry.exit_code}: {entry.output.strip()}"[:1000] if entry else None
        try:
            rows = await self._engine.logs(name, tail=_TAIL)
        except NotFound:
            rows = []
        return GateFailure(reason, last, tuple(row.text for row in rows))


def budget(check: HealthCheck) -> float:
    """How long the HEALTHCHECK of an image may take to come to a result, and one interval more."""
    interval = check.interval / _NANOSECONDS or _DEFAULT_INTERVAL
    timeout = check.timeout / _NANOSECONDS or _DEFAULT_TIMEOUT
    return check.start_period / _NANOSECONDS + (interval + timeout) * ((check.retries or _DEFAULT_RETRIES) + 1)


def server_of(release: Release, number: int) -> Server:
    return Server(
        container=containers.instance_name(release.target, release.name, number),
        release=release.name,
        number=number,
        port=release.port,
        probe=release.probe,
        drain_seconds=release.drain_seconds,
        grace_seconds=release.grace_seconds,
    )


def _ended(container: Container | None, restarts: int) -> str | None:
    """Why it will not become healthy. A container that is started again and again says `running` most of the time."""
    if container is None:
        return "its container was removed"
    state = container.state
    killed = ", killed because it had no memory left" if state.oom_killed else ""
    if state.restarting or container.restart_count > restarts:
        status = f" (exit status {state.exit_code}{killed})" if state.exit_code else killed  # 0 while it runs again
        return f"it ended{status} and had to be started again before it was healthy"
    if not state.running:
        return f"it ended with exit status {state.exit_code}{killed} before it was healthy"
    if state.health is not None and state.health.status == "unhealthy":
        return "the HEALTHCHECK of its image says that it is unhealthy"
    return None

"""A Host on a Docker Engine: the instances are containers, their labels the facts, and the proxy's file the live pointer."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from opsroom_shared.errors import Conflict, NotFound, ToolFailure

from ...vocabulary import Health, LockHolder, PlanCheck
from .. import GateFailure, Instance, LogRow, Observed, Release, Target
from ..secret_values import read_secret
from . import containers, preflight
from .engine import DockerEngine
from .gate import Gate, server_of
from .haproxy import Checked
from .proxies import Live, Proxies
from .wire import Container, Image, Listed

log = logging.getLogger(__name__)

_EVER = datetime.min.replace(tzinfo=UTC)
_LOCK_LOOKS, _LOCK_SECONDS = 20, 0.1
_NETWORK_LABELS = {"opsroom.role": "network"}


class DockerHost:
    """It keeps nothing that matters: whoever comes next reads the same from the engine."""

    def __init__(self, engine: DockerEngine, *, proxy_image: str, bind: str) -> None:
        self._engine, self._proxy_image, self._bind = engine, proxy_image, bind
        self._proxies = Proxies(engine, proxy_image, bind)
        self._gate = Gate(engine, proxy_image)
        self._started: set[str] = set()
        """What this process has started: none of it may have been restarted when its gate begins."""

    async def ready(self) -> str | None:
        try:
            await self._engine.info()
        except ToolFailure as error:
            return str(error)
        return None

    async def aclose(self) -> None:
        await self._engine.aclose()

    async def observe(self, target: Target) -> Observed:
        listed = await self._engine.find(containers.labels_of(target))
        live = await self._proxies.live(target)
        found = await self._instances(listed)
        needs_proxy = any(placed in live.instances and not each.has_health and each.state.running for placed, each in found)
        checked: Mapping[str, tuple[datetime | None, Checked]] = await self._proxies.checked(target) if needs_proxy else {}
        lock = next((containers.holder_of(each.labels) for each in listed if containers.role_of(each) == "lock"), None)
        return Observed(
            live=tuple(dict.fromkeys(name for name, _ in live.instances)),
            instances=tuple(_instance(placed, each, live, checked) for placed, each in found),
            lock=lock,
            address=live.address,
            replicas=len(live.instances),
            problems=(live.problem,) if live.problem else (),
        )

    async def release(self, target: Target, name: str) -> Release | None:
        for each in await self._engine.find(containers.labels_of(target)):
            if containers.role_of(each) == "instance" and containers.placed_of(each.labels)[0] == name:
                return containers.release_of(each.labels)
        return None

    async def preflight(self, release: Release) -> list[PlanCheck]:
        return await preflight.checks(self._engine, release, self._proxy_image, self._bind)

    async def lock(self, target: Target, holder: LockHolder) -> None:
        await self._image(self._proxy_image)
        name = containers.lock_name(target)
        for _ in range(_LOCK_LOOKS):
            try:
                await self._engine.create(name, containers.lock(target, holder, self._proxy_image))
            except Conflict:
                held = await self._engine.inspect(name)
                if held is not None:
                    other = containers.holder_of(held.config.labels)
                    since = other.since.isoformat()
                    raise Conflict(f"{target} is being changed by {other.holder} since {since}. Wait until that ends.") from None
                await asyncio.sleep(_LOCK_SECONDS)  # a name is taken a moment before its container can be looked at
            else:
                return
        raise Conflict(f"{target} is being changed by somebody. Wait until that has ended.")

    async def unlock(self, target: Target) -> None:
        try:
            for each in await self._engine.find(containers.labels_of(target)):
                if containers.role_of(each) == "probe":
                    await self._engine.remove(each.name)
            await self._proxies.sweep(target)
        except ToolFailure as error:
            log.warning("what %s has no use for could not be removed: %s", target, error)
        await self._engine.remove(containers.lock_name(target))

    async def create(self, release: Release, number: int) -> None:
        await self._engine.ensure_network(containers.NETWORK, _NETWORK_LABELS)
        image = await self._image(release.image or "")
        secrets = {name: read_secret(name, where) for name, where in release.secrets.items()}
        name = containers.instance_name(release.target, release.name, number)
        try:
            await self._engine.create(name, containers.instance(release, number, image, secrets))
        except Conflict:
            there = await self._engine.inspect(name)
            if there is None or "opsroom.facts" not in there.config.labels:
                raise Conflict(f"There is a container {name} that is not ours. Remove or rename it.") from None

    async def start(self, target: Target, release: str, number: int) -> None:
        name = containers.instance_name(target, release, number)
        await self._engine.start(name)
        self._started.add(name)

    async def gate(self, release: Release, number: int) -> GateFailure | None:
        name = containers.instance_name(release.target, release.name, number)
        container = None if name in self._started else await self._engine.inspect(name)
        self._started.discard(name)
        return await self._gate.wait(release, number, restarts=container.restart_count if container else 0)

    async def point(self, target: Target, instances: Sequence[tuple[Release, int]]) -> None:
        publish = instances[0][0].publish if instances else (await self._proxies.live(target)).publish
        await self._proxies.point(target, publish, [server_of(release, number) for release, number in instances])

    async def switch(self, target: Target) -> None:
        await self._proxies.switch(target)

    async def drain(self, target: Target, release: str, number: int, seconds: float) -> None:
        container = await self._engine.inspect(containers.instance_name(target, release, number))
        if container is not None and container.state.running:
            await self._proxies.drain(target, seconds)

    async def stop(self, target: Target, release: str, number: int, grace: float) -> None:
        await self._engine.stop(containers.instance_name(target, release, number), grace)

    async def remove(self, target: Target, release: str, number: int) -> None:
        await self._engine.remove(containers.instance_name(target, release, number))

    async def logs(self, target: Target, release: str, *, since: datetime | None, tail: int) -> list[LogRow]:
        listed = [
            each for each in await self._engine.find(containers.labels_of(target)) if containers.role_of(each) == "instance"
        ]
        placed = sorted((containers.placed_of(each.labels)[1], each.name) for each in listed if _is_of(each, release))
        if not placed:
            there = ", ".join(sorted({containers.placed_of(each.labels)[0] for each in listed})) or "none"
            raise NotFound(f"There is no release {release!r} of {target}. There are: {there}.")
        each_of = await asyncio.gather(*(self._engine.logs(name, tail=tail, since=since) for _, name in placed))
        marks = [f"#{number} " if len(placed) > 1 else "" for number, _ in placed]
        rows = [LogRow(row.at, mark + row.text) for mark, found in zip(marks, each_of, strict=True) for row in found]
        return sorted(rows, key=lambda row: row.at or _EVER)[-tail:]

    async def _image(self, reference: str) -> Image:
        """The image, pulled where it is not there."""
        image = await self._engine.image(reference)
        if image is None:
            await self._engine.pull(reference)
            image = await self._engine.image(reference)
        if image is None:
            raise NotFound(f"The image {reference} is not there after it was pulled.")
        return image

    async def _instances(self, listed: Sequence[Listed]) -> list[tuple[tuple[str, int], Container]]:
        ours = [each for each in listed if containers.role_of(each) == "instance"]
        found = await asyncio.gather(*(self._engine.inspect(each.name) for each in ours))
        placed = [(containers.placed_of(each.labels), container) for each, container in zip(ours, found, strict=True)]
        return sorted(((place, container) for place, container in placed if container is not None), key=lambda item: item[0])


def _is_of(container: Listed, release: str) -> bool:
    return containers.placed_of(container.labels)[0] == release


def _instance(
    placed: tuple[str, int], container: Container, live: Live, checked: Mapping[str, tuple[datetime | None, Checked]]
) -> Instance:
    state, labels = container.state, container.config.labels
    return Instance(
        release=placed[0],
        number=placed[1],
        health=_health(container, checked.get(container.name.lstrip("/")), is_live=placed in live.instances),
        live=placed in live.instances,
        restarts=container.restart_count,
        started_at=state.started_at,
        image=containers.image_of(labels),
        created_by=containers.created_by(labels),
        exit_code=None if state.running or state.started_at is None else state.exit_code,
    )


def _health(container: Container, checked: tuple[datetime | None, Checked] | None, *, is_live: bool) -> Health:
    """As the engine tells it for an image with a HEALTHCHECK; otherwise as the proxy finds a live instance to be."""
    state = container.state
    if state.restarting:
        return "unhealthy"
    if not state.running:
        return "stopped"
    if container.has_health and state.health is not None:
        told: dict[str, Health] = {"healthy": "healthy", "unhealthy": "unhealthy", "starting": "starting"}
        return told.get(state.health.status, "unknown")
    if not is_live:
        return "unknown"
    at, found = checked or (None, None)
    if found is None or (at is not None and state.started_at is not None and at < state.started_at):
        return "healthy"  # it passed its gate, and the proxy has found no fault since
    return "healthy" if found.up else "unhealthy"

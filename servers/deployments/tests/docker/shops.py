"""A shop on a private Docker Engine: its releases, the load on it, and every look at what the engine holds."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from opsroom_deployments.platforms import Order, Outcome, Release, Target
from opsroom_deployments.platforms.docker.engine import DockerEngine
from opsroom_deployments.platforms.docker.host import DockerHost
from opsroom_deployments.platforms.docker.wire import Container
from opsroom_deployments.spec import Probe, Resources
from opsroom_deployments.vocabulary import Action, LockHolder, Stage
from opsroom_deployments.zero_loss import ZeroLossPlatform
from pydantic import TypeAdapter

from .dockerd import PROXY, SHOP, PrivateDocker

RATE = 200.0
"""Requests per second of a load, new connections and kept ones together."""
PROBE = Probe(path="/healthz", interval_seconds=0.2, deadline_seconds=30)
_HERE = Path(__file__).parent
_CHILD_SECONDS = 90.0
_ORDERS: TypeAdapter[Order] = TypeAdapter(Order)


@dataclass
class Journal:
    """Remembers the stages, and does at the first of a kind what a test wants done there."""

    at: Mapping[Stage, Callable[[], object]] = field(default_factory=dict[Stage, Callable[[], object]])
    stages: list[Stage] = field(default_factory=list[Stage])

    async def step(self, stage: Stage, text: str) -> None:  # noqa: ARG002 - as the platform calls it
        if stage in self.at and stage not in self.stages:
            await asyncio.to_thread(self.at[stage])
        self.stages.append(stage)

    def aborted(self) -> bool:
        return False


@dataclass(frozen=True)
class Loaded:
    """How the requests of a load went."""

    sent: Mapping[str, int] = field(default_factory=dict[str, int])
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    by: Mapping[str, int] = field(default_factory=dict[str, int])
    words: tuple[str, ...] = ()


class Shop:
    """One service in one environment of its own, so that tests do not meet."""

    def __init__(self, docker: PrivateDocker, name: str) -> None:
        self.docker, self.target = docker, Target(name, "production")
        self.engine = DockerEngine(docker.socket)
        self.host = DockerHost(self.engine, proxy_image=PROXY, bind="127.0.0.1")
        self.platform = ZeroLossPlatform("docker", self.host)
        self.port = free_port()

    async def aclose(self) -> None:
        for each in await self.engine.find({"opsroom.service": self.target.service}):
            await self.engine.remove(each.name)
        await self.platform.aclose()

    def release(self, tag: str, name: str | None = None, **changes: object) -> Release:
        made = Release(
            target=self.target,
            name=name or tag,
            image=f"{SHOP}:{tag}",
            command=(),
            folder=None,
            port=8080,
            probe=None,
            replicas=1,
            strategy="blue_green",
            resources=Resources(),
            environment={},
            secrets={},
            user=None,
            drain_seconds=5.0,
            grace_seconds=1.0,
            publish=self.port,
            created_by="grace",
            plan_id="plan-1",
            spec_hash="0",
        )
        return replace(made, **changes)  # pyright: ignore[reportArgumentType] - as a test writes them

    def order(self, release: Release | None, action: Action = "deploy", before: str | None = None, watch: float = 0.0) -> Order:
        return Order(
            action=action,
            target=self.target,
            release=release,
            before=before,
            replicas=release.replicas if release else 0,
            keep=2,
            watch_seconds=watch,
            auto_rollback=True,
            holder=LockHolder(holder="grace", since=datetime.now(UTC)),
        )

    async def do(
        self, release: Release | None, action: Action = "deploy", journal: Journal | None = None, watch: float = 0.0
    ) -> Outcome:
        live = (await self.host.observe(self.target)).live
        order = self.order(release, action, live[0] if live else None, watch)
        return await self.platform.carry_out(order, journal or Journal())

    async def deploy(self, tag: str, name: str | None = None, **changes: object) -> Outcome:
        return await self.do(self.release(tag, name, **changes))

    async def ask(self, path: str = "/", port: int | None = None) -> str:
        """What the shop answers at its stable port. Raises OSError where nobody does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n".encode())
            return (await reader.read()).decode().rpartition("\r\n\r\n")[2]
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def load(self, rate: float = RATE) -> AsyncGenerator[dict[str, Loaded]]:
        """A load while the block runs; how it went stands under `all` after it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(_HERE / "load.py"), str(self.port), str(rate), stdin=-1, stdout=-1
        )
        found: dict[str, Loaded] = {}
        try:
            yield found
        finally:
            said, _ = await asyncio.wait_for(process.communicate(b""), _CHILD_SECONDS)
        about = json.loads(said)
        found["all"] = Loaded(about["sent"], about["lost"], about["by"], tuple(about["words"]))

    async def deploy_and_die(self, release: Release, before: str, stage: Stage) -> None:
        """A deployer in a process of its own that is killed before it takes the step *stage*."""
        order = json.dumps(
            {"order": _ORDERS.dump_python(self.order(release, before=before), mode="json"), "stage": stage, "proxy": PROXY}
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(_HERE / "deployer_that_dies.py"), self.docker.socket, order, stdout=-1, stderr=-1
        )
        _, said = await asyncio.wait_for(process.communicate(), _CHILD_SECONDS)
        assert process.returncode == -9, said.decode()

    def name(self, release: str, number: int = 0) -> str:
        """Of the container of an instance."""
        return f"{self.target.service}.{self.target.environment}.{release}.{number}"

    async def instance(self, release: str, number: int = 0) -> Container:
        found = await self.engine.inspect(self.name(release, number))
        assert found is not None
        return found

    async def containers(self) -> set[str]:
        """The names of all containers of this shop, after its own."""
        found = await self.engine.find({"opsroom.service": self.target.service})
        return {each.name.removeprefix(f"{self.target.service}.production.") for each in found}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])

"""What a deploy costs callers: lost requests and time, of stop-then-start and of the releases of the deployments server.

A load of POST requests that are never sent twice runs all the while, half of it on new connections, half on kept ones. It goes to
the process platform, and to Docker where an engine can be started: as root, with the packages that .ci/run installs. The naive
way is what people write first: end the old one, start the new one on the same port. Ends with 1 where ours loses a request; on
the process platform, whose proxy leaves kept connections where they are, only new connections count.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypedDict, cast

import opsroom_deployments
from opsroom_deployments.platforms import Order, Release, Target
from opsroom_deployments.platforms.docker.engine import DockerEngine
from opsroom_deployments.platforms.docker.host import DockerHost
from opsroom_deployments.platforms.processes.host import ProcessHost
from opsroom_deployments.spec import Probe, Resources
from opsroom_deployments.vocabulary import Action, LockHolder, Stage
from opsroom_deployments.zero_loss import ZeroLossPlatform
from opsroom_shared.errors import ToolFailure

_TESTS = Path(__file__).parents[1] / "servers" / "deployments" / "tests" / "docker"
_PACKAGE = Path(opsroom_deployments.__file__).parent
_TARGET = Target("shop", "production")
_PROBE = Probe(path="/healthz", interval_seconds=0.2, deadline_seconds=60)
_SETTLE_SECONDS = 1.0
_UP_SECONDS = 60.0
_GRACE_SECONDS = 1.0
"""The same for the naive way and for ours."""
_PROCESS_VERSIONS = ("1.4.0", "1.4.1")
_DOCKER_TAGS = ("1", "2", "stubborn", "abrupt", "3")
"""Releases that end gracefully, that do not end when they are asked to, and that end at once."""


class Counts(TypedDict):
    """What load.py says."""

    sent: dict[str, int]
    lost: dict[str, int]
    words: list[str]


@dataclass(frozen=True)
class Row:
    """One way on one platform."""

    platform: str
    way: str
    seconds: Sequence[float]
    counts: Counts

    @property
    def per_deploy(self) -> float:
        return sum(self.counts["lost"].values()) / max(len(self.seconds), 1)

    def line(self) -> str:
        sent, lost = self.counts["sent"], self.counts["lost"]
        kinds = "  ".join(f"{lost.get(kind, 0):>5} /{sent.get(kind, 0):>6}" for kind in ("new", "kept"))
        times = f"{statistics.median(self.seconds):5.2f} {max(self.seconds):6.2f}"
        return f"{self.platform:<10} {self.way:<18} {len(self.seconds):>7}  {kinds}  {self.per_deploy:>10.1f}  {times}"


class Way(Protocol):
    """How releases are made."""

    async def deploy(self, number: int) -> None: ...


class Silent:
    """A journal that nobody reads."""

    async def step(self, stage: Stage, text: str) -> None: ...

    def aborted(self) -> bool:
        return False


class NaiveProcess:
    """Ends the process, and starts the next on the same port."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self._process: asyncio.subprocess.Process | None = None

    async def deploy(self, number: int) -> None:
        await self.aclose()
        folder = self._folder / _PROCESS_VERSIONS[number % len(_PROCESS_VERSIONS)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "service.py",
            cwd=folder,
            env={**os.environ, "PORT": str(self._port)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await _until_up(self._port)

    async def aclose(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _GRACE_SECONDS)
            except TimeoutError:  # it waits for connections that are kept
                self._process.kill()
                await self._process.wait()


class NaiveDocker:
    """docker stop, docker rm, docker run on the same port."""

    def __init__(self, engine: DockerEngine, shop: str, port: int) -> None:
        self._engine, self._shop, self._port = engine, shop, port

    async def deploy(self, number: int) -> None:
        await self.aclose()
        await self._engine.ensure_network("naive", {})
        ports = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(self._port)}]}
        tag = _DOCKER_TAGS[number % len(_DOCKER_TAGS)]
        host = {"PortBindings": ports, "NetworkMode": "naive"}
        await self._engine.create("naive", {"Image": f"{self._shop}:{tag}", "ExposedPorts": {"8080/tcp": {}}, "HostConfig": host})  # pyright: ignore[reportArgumentType] - it is JSON
        await self._engine.start("naive")
        await _until_up(self._port)

    async def aclose(self) -> None:
        await self._engine.stop("naive", _GRACE_SECONDS)
        await self._engine.remove("naive")


class ZeroLoss:
    """The releases of the deployments server."""

    def __init__(self, platform: ZeroLossPlatform, releases: Sequence[Release]) -> None:
        self._platform, self._releases = platform, releases

    async def deploy(self, number: int) -> None:
        release = replace(self._releases[number % len(self._releases)], name=f"r{number}")
        await self._carry_out(release, "deploy")

    async def rollback(self, number: int) -> None:
        """To the release before, which is kept; its number says which one that is."""
        seen = await self._platform.observe(_TARGET)
        kept = [each.release for each in seen.instances if not each.live and each.started_at is not None]
        release = await self._platform.release(_TARGET, kept[-1 if number % 2 else 0])
        if release is None:
            raise SystemExit("no release is kept to go back to")
        await self._carry_out(release, "rollback")

    async def _carry_out(self, release: Release, action: Action) -> None:
        live = (await self._platform.observe(_TARGET)).live
        order = Order(
            action=action,
            target=_TARGET,
            release=release,
            before=live[0] if live else None,
            replicas=release.replicas,
            keep=1,
            watch_seconds=0,
            auto_rollback=True,
            holder=LockHolder(holder="benchmark", since=datetime.now(UTC)),
        )
        outcome = await self._platform.carry_out(order, Silent())
        if outcome.state != "succeeded":
            raise SystemExit(f"{action} of {release.name} on {self._platform.name}: {outcome}")

    async def clear(self) -> None:
        order = Order(
            "remove", _TARGET, None, None, 0, 0, 0, auto_rollback=True, holder=LockHolder(holder="b", since=datetime.now(UTC))
        )
        live = (await self._platform.observe(_TARGET)).live
        await self._platform.carry_out(replace(order, before=live[0] if live else None), Silent())


class _RollingBack:
    def __init__(self, ours: ZeroLoss) -> None:
        self.deploy = ours.rollback


async def measured(named: tuple[str, str], way: Way, times: int, port: int, rate: float) -> Row:
    """*times* deploys under the load. *named* are the platform and the way."""
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_TESTS / "load.py"),
        str(port),
        str(rate),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    seconds: list[float] = []
    try:
        await asyncio.sleep(_SETTLE_SECONDS)
        for number in range(1, times + 1):
            begun = time.perf_counter()
            await way.deploy(number)
            seconds.append(time.perf_counter() - begun)
        await asyncio.sleep(_SETTLE_SECONDS)
    finally:
        said, _ = await load.communicate(b"")
    row = Row(*named, seconds, cast("Counts", json.loads(said)))
    print(row.line(), flush=True)
    return row


async def on_processes(options: argparse.Namespace, folder: Path) -> list[Row]:
    releases = folder / "releases"
    for version in _PROCESS_VERSIONS:
        (releases / version).mkdir(parents=True)
        shutil.copyfile(_PACKAGE / "demo_service.py", releases / version / "service.py")
        about = {"version": version, "delay_ms": 10, "startup_seconds": 0.3}
        (releases / version / "release.json").write_text(json.dumps(about), encoding="utf-8")
    port = _free_port()
    naive = NaiveProcess(releases, port)
    await naive.deploy(0)
    rows = [await measured(("processes", "stop-then-start"), naive, options.naive, port, options.rate)]
    await naive.aclose()

    port = _free_port()
    host = ProcessHost(folder / "host", ends_with_us=True)
    made = [
        _release(port, command=(sys.executable, "service.py"), folder=str(releases / version), probe=_PROBE)
        for version in _PROCESS_VERSIONS
    ]
    ours = ZeroLoss(ZeroLossPlatform("processes", host), made)
    try:
        await ours.deploy(0)
        rows.append(await measured(("processes", "opsroom"), ours, options.deploys, port, options.rate))
        await ours.clear()
    finally:
        await host.aclose()
    return rows


async def on_docker(options: argparse.Namespace, about: dict[str, str]) -> list[Row]:
    engine = DockerEngine(about["socket"])
    port = _free_port()
    naive = NaiveDocker(engine, about["shop"], port)
    await naive.deploy(0)
    rows = [await measured(("docker", "stop-then-start"), naive, options.naive, port, options.rate)]
    await naive.aclose()

    port = _free_port()
    platform = ZeroLossPlatform("docker", DockerHost(engine, proxy_image=about["proxy"], bind="127.0.0.1"))
    made = [
        _release(port, image=f"{about['shop']}:{tag}", probe=_PROBE if number % 2 else None)
        for number, tag in enumerate(_DOCKER_TAGS)
    ]
    ours = ZeroLoss(platform, made)
    await ours.deploy(0)
    rows.append(await measured(("docker", "opsroom"), ours, options.deploys, port, options.rate))
    back = _RollingBack(ours)
    rows.append(await measured(("docker", "opsroom rollback"), back, max(options.deploys // 6, 1), port, options.rate))
    rolling = ZeroLoss(platform, [replace(each, replicas=3, strategy="rolling") for each in made[:2]])
    await rolling.deploy(100)
    rolling_times = max(options.deploys // 6, 1)
    rows.append(await measured(("docker", "opsroom rolling 3"), _Offset(rolling, 100), rolling_times, port, options.rate))
    await ours.clear()
    await platform.aclose()
    return rows


class _Offset:
    """Names of releases are never used twice."""

    def __init__(self, way: Way, first: int) -> None:
        self._way, self._first = way, first

    async def deploy(self, number: int) -> None:
        await self._way.deploy(self._first + number)


@contextlib.asynccontextmanager
async def private_docker() -> AsyncGenerator[dict[str, str]]:
    """Where a private engine is, or under `missing` why there is none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_TESTS / "dockerd.py"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise SystemExit("dockerd.py has no output")
        yield json.loads(await process.stdout.readline())
    finally:
        await process.communicate(b"")


def _release(port: int, **about: object) -> Release:
    plain = Release(
        target=_TARGET,
        name="",
        image=None,
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
        drain_seconds=5,
        grace_seconds=_GRACE_SECONDS,
        publish=port,
        created_by="benchmark",
        plan_id="",
        spec_hash="",
    )
    return replace(plain, **about)  # pyright: ignore[reportArgumentType] - fields of a release, all of them


async def _until_up(port: int) -> None:
    async with asyncio.timeout(_UP_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /healthz HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
                if b" 200 " in answer[:20]:
                    return
            await asyncio.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deploys", type=int, default=24, help="of ours, per platform")
    parser.add_argument("--naive", type=int, default=6, help="deploys of the naive way, per platform")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second")
    parser.add_argument("--only", choices=["processes", "docker"], help="one platform only")
    options = parser.parse_args()
    print(f"{options.rate:g} POST requests per second; lost / sent")
    print(
        f"{'platform':<10} {'way':<18} {'deploys':>7}  {'new':>13}  {'kept':>13}  {'per deploy':>10}  {'median':>5} {'max s':>6}"
    )
    rows: list[Row] = []
    if options.only != "docker":
        with tempfile.TemporaryDirectory() as folder:
            rows += await on_processes(options, Path(folder))
    if options.only != "processes":
        async with private_docker() as about:
            if "missing" in about:
                print(f"docker     not measured: {about['missing']}")
            else:
                rows += await on_docker(options, about)
    ours = [row for row in rows if row.way != "stop-then-start"]
    lost = sum(row.counts["lost"].get("new", 0) for row in ours)
    lost += sum(row.counts["lost"].get("kept", 0) for row in ours if row.platform == "docker")
    pinned = sum(row.counts["lost"].get("kept", 0) for row in ours if row.platform == "processes")
    for row in ours:
        for words in row.counts["words"][:1]:
            print(f"{row.platform} {row.way}, the first that was lost: {words}")
    if pinned:
        print(f"{pinned} on connections that were kept open to a process that ended: its proxy knows connections, not requests")
    print(f"ours lost {lost or 'none'}{' beside them' if pinned else ''}")
    return 1 if lost else 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except ToolFailure as error:
        sys.exit(str(error))

"""The demo: a real HTTP service on the process platform, with two healthy releases, a sick one and a slow one."""

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from .deployer import Caller, Deployer
from .plans import Wish
from .platforms import Target
from .platforms.processes.children import free_port, is_free
from .platforms.processes.layout import Layout
from .settings import DeploymentsSettings
from .spec import Environment, EnvironmentOfService, Probe, Service

_RELEASES: Mapping[str, Mapping[str, object]] = {
    "1.4.0": {"delay_ms": 12},
    "1.4.1": {"delay_ms": 10},
    "1.5.0": {"delay_ms": 10, "sick": True},
    "1.5.1": {"delay_ms": 320},
}
_FIRST = ("1.4.0", "1.4.1")
"""What the environments have seen before anybody asks anything."""
_ENVIRONMENTS = {
    "production": Environment(approve="always", watch_seconds=2.0),
    "staging": Environment(approve="never", watch_seconds=0.0),
}
_MAKER = Caller("demo", "demo")


class Demo:
    """A folder with the releases, and the settings to run them. Everything that runs ends with the server."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder / "demo"

    def settings(self, given: DeploymentsSettings, *, serving: bool) -> DeploymentsSettings:
        """*given* with the service of the demo. It is written where it is missing; what a server uses stays while it does."""
        for version, behaviour in _RELEASES.items():
            folder = self._folder / "releases" / version
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(__file__).with_name("demo_service.py"), folder / "service.py")
            (folder / "release.json").write_text(json.dumps({"version": version, **behaviour}), encoding="utf-8")
        ports = self._ports(serving=serving)
        checkout = Service(
            command=(sys.executable, "service.py"),
            releases=self._folder / "releases",
            probe=Probe(path="/healthz", interval_seconds=0.2, deadline_seconds=8.0),
            drain_seconds=2.0,
            grace_seconds=5.0,
            environments={name: EnvironmentOfService(publish=port) for name, port in ports.items()},
        )
        return given.model_copy(
            update={
                "services": {**given.services, "checkout": checkout},
                "environments": {**_ENVIRONMENTS, **given.environments},
            }
        )

    async def prepare(self, deployer: Deployer) -> None:
        """Makes the demo live: the releases that it has seen so far, or after a restart what was live before."""
        await asyncio.gather(*(self._prepare(deployer, Target("checkout", each)) for each in _ENVIRONMENTS))

    async def _prepare(self, deployer: Deployer, target: Target) -> None:
        await deployer.recovery.make_whole(target)
        if (await deployer.platform(target).observe(target)).live:
            return
        for version in _FIRST if target.environment == "production" else _FIRST[-1:]:
            plan = await deployer.plan(Wish(target, "deploy", version, by=_MAKER.who, watch=False))
            deployment = await deployer.apply(plan.plan_id, plan.digest, f"release {version}", _MAKER, "demo")
            await deployer.watch_to_the_end(deployment)

    def _ports(self, *, serving: bool) -> dict[str, int]:
        """A port for each environment, the same with every start as long as it is free."""
        file = self._folder / "ports.json"
        known: dict[str, int] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if known and not serving:
            return known
        ports = {name: known.get(name) or free_port() for name in _ENVIRONMENTS}
        running = Layout(self._folder.parent / "processes" / "local")
        if not any(running.read_pointer(Target("checkout", name)) for name in _ENVIRONMENTS):
            ports = {name: port if is_free(port, "127.0.0.1") else free_port() for name, port in ports.items()}
        file.write_text(json.dumps(ports), encoding="utf-8")
        return ports

"""A shop that tests release as processes: its releases, the load on it, and every look at what really runs."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from opsroom_deployments.platforms import Target
from opsroom_deployments.platforms.processes import children
from opsroom_deployments.platforms.processes.layout import Layout
from opsroom_deployments.settings import DeploymentsSettings

HERE = Path(__file__).parent
RATE = 60.0
"""Requests per second of a load: enough to hit every moment, little enough for a machine that others use too."""
PATIENCE = 60.0
DEV = Target("shop", "dev")
PRODUCTION = Target("shop", "production")


@dataclass
class Load:
    """How the requests went, once the load has ended."""

    answered: dict[str, int] = field(default_factory=dict[str, int])
    """Release → answers."""
    lost: dict[str, int] = field(default_factory=dict[str, int])


class Shop:
    """One service, `shop`, in the environments dev (nobody approves) and production (a person does), in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.ports = {"dev": children.free_port(), "production": children.free_port()}
        self.layout = Layout(self.state / "processes" / "local")
        self.release("1.0")
        self.release("2.0")

    def release(self, version: str, **behaviour: object) -> None:
        folder = self.folder / "releases" / version
        folder.mkdir(parents=True)
        (folder / "shop.py").write_bytes((HERE / "data" / "shop.py").read_bytes())
        (folder / "release.json").write_text(json.dumps({"version": version, **behaviour}), encoding="utf-8")

    def service(self, **changes: object) -> dict[str, object]:
        return {
            "command": [sys.executable, "-I", "-S", "shop.py"],
            "releases": str(self.folder / "releases"),
            "probe": {"path": "/healthz", "interval_seconds": 0.1, "successes": 1, "deadline_seconds": 30.0},
            "drain_seconds": 5.0,
            "grace_seconds": 5.0,
            "environments": {name: {"publish": port} for name, port in self.ports.items()},
            **changes,
        }

    def settings(self, *, service: Mapping[str, object] | None = None, **changes: object) -> DeploymentsSettings:
        """*changes* are settings of the server, *service* replaces parts of the definition."""
        return DeploymentsSettings.model_validate(
            {
                "state": str(self.state),
                "allow_writes": True,
                "environments": {
                    "dev": {"approve": "never", "watch_seconds": 0.0},
                    "production": {"approve": "always", "watch_seconds": 0.0},
                },
                "services": {"shop": self.service(**(service or {}))},
                **changes,
            }
        )

    def config(self, **changes: object) -> Path:
        """The settings as a file for a child process."""
        file = self.folder / "deployments.json"
        settings = self.settings(**changes)  # pyright: ignore[reportArgumentType] - as a test writes them
        file.write_text(settings.model_dump_json(), encoding="utf-8")
        return file

    async def ask(self, environment: str = "dev", path: str = "/") -> str:
        """What the shop answers at its stable port. Raises OSError where nobody does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[environment])
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n".encode())
            return (await reader.read()).decode().rpartition("\r\n\r\n")[2]
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def load(self, environment: str = "dev", rate: float = RATE) -> AsyncGenerator[Load]:
        """A load on the stable port while the block runs."""
        load = Load()
        command = [sys.executable, str(HERE / "processes" / "load.py"), str(self.ports[environment]), str(rate)]
        process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1)
        try:
            yield load
        finally:
            said, _ = await asyncio.wait_for(process.communicate(b""), PATIENCE)
        for what, count in cast("dict[str, int]", json.loads(said)).items():
            (load.lost if what.startswith("lost") else load.answered)[what] = count

    def running(self, target: Target = DEV) -> dict[tuple[str, int], int]:
        """Release and number → the process, of those that really run."""
        found: dict[tuple[str, int], int] = {}
        for name, number in self.layout.instances(target):
            file = self.layout.read_instance(target, name, number)
            if file is not None and file.pid is not None and children.birth_of(file.pid) == file.birth:
                found[name, number] = file.pid
        return found

    def daemon(self) -> int:
        return int((self.layout.root / "daemon.pid").read_text(encoding="utf-8"))

    def end(self) -> None:
        """Ends all that was started here."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(self.daemon(), signal.SIGKILL)
        for target in (DEV, PRODUCTION, *self.layout.targets()):
            for pid in self.running(target).values():
                children.send(pid, signal.SIGKILL)


async def until(there: Callable[[], bool]) -> None:
    """Returns when *there* is true. Raises TimeoutError where it does not become so."""
    async with asyncio.timeout(PATIENCE):
        while not there():  # noqa: ASYNC110 - processes and files give no event
            await asyncio.sleep(0.02)

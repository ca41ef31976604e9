"""Opens what a server or a command needs: the state, the platforms, and the deployer over them."""

import asyncio
import contextlib
import logging
from types import TracebackType

from opsroom_shared.config import ConfigError
from opsroom_shared.errors import ToolFailure

from .deployer import Deployer
from .platforms import Platform
from .settings import DeploymentsSettings
from .sinks import Sinks
from .spec import PlatformSettings
from .state.store import Store

log = logging.getLogger(__name__)


class Opened:
    """A deployer and all below it, as an async context manager. Nothing is connected before the first question.

    With *serving* it brings to an end what an earlier process has left, and sets up the demo; `started` waits for that.
    """

    def __init__(self, settings: DeploymentsSettings, *, serving: bool) -> None:
        self._demo = None
        if settings.demo:
            from .demo import Demo

            self._demo = Demo(settings.state_folder)
            settings = self._demo.settings(settings, serving=serving)
        url = settings.database.get_secret_value() if settings.database else None
        self._store = Store(url, settings.state_folder)
        configured = {"local": PlatformSettings(), **settings.platforms}
        self._platforms = {name: open_platform(name, each, settings) for name, each in configured.items()}
        self._deployer = Deployer(settings, self._store, self._platforms, Sinks(settings))
        self._serving, self._may_write = serving, settings.allow_writes
        self._starting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Deployer:
        if self._serving:
            self._starting = asyncio.ensure_future(self._start())
        return self._deployer

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._starting is not None:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starting
        await self._deployer.aclose()
        await asyncio.gather(*(platform.aclose() for platform in self._platforms.values()))

    async def started(self) -> Deployer:
        """The deployer, once what was left behind has been looked after."""
        if self._starting is not None:
            await asyncio.shield(self._starting)
        return self._deployer

    async def ready(self) -> dict[str, str | None]:
        return {name: await platform.ready() for name, platform in self._platforms.items()}

    async def _start(self) -> None:
        try:
            if self._demo is not None:
                await self._demo.prepare(self._deployer)
            elif self._may_write:
                targets = [target for target, _ in await self._deployer.targets()]
                await asyncio.gather(*(self._deployer.recovery.make_whole(target) for target in targets))
        except ToolFailure as error:  # the tools say the same when they are asked
            log.warning("not everything could be set up: %s", error)


def opened(settings: DeploymentsSettings, *, serving: bool = True) -> Opened:
    """Raises ConfigError where nothing is configured."""
    if not settings.demo and not settings.services and not settings.environments and not settings.platforms:
        raise ConfigError(
            "nothing is configured; describe services and environments in the file of --config (the README has one), or pass "
            "--demo to try it"
        )
    return Opened(settings, serving=serving)


def open_platform(name: str, settings: PlatformSettings, server: DeploymentsSettings) -> Platform:
    """The platform *name*. Its libraries are imported by the first one that needs them. Raises ConfigError."""
    from .zero_loss import ZeroLossPlatform

    match settings.kind:
        case "processes":
            from .platforms.processes.host import ProcessHost

            folder = server.state_folder / "processes" / name
            return ZeroLossPlatform(name, ProcessHost(folder, settings.bind, ends_with_us=server.demo))
        case "docker":
            from .platforms.docker.engine import DockerEngine
            from .platforms.docker.host import DockerHost

            host = DockerHost(DockerEngine(settings.socket), proxy_image=settings.proxy_image, bind=settings.bind)
            return ZeroLossPlatform(name, host)
        case "kubernetes":
            raise ConfigError(f"platforms.{name}: {settings.kind} is not supported by this version")

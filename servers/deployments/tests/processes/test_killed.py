"""Servers and daemons that are killed at any moment: nothing is lost, and whoever comes next makes it whole."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, cast

import pytest
from opsroom_deployments.deployer import Deployer
from opsroom_deployments.models import Plan, ServiceStatus
from opsroom_deployments.opening import Opened, opened
from opsroom_deployments.plans import Wish
from opsroom_shared.errors import NotPermitted

from ..shops import DEV, Shop, until
from .test_releases import ADA, deployer_of, done


class Dying:
    """Starts deployers that are killed."""

    def __init__(self) -> None:
        self._process = Popen([sys.executable, "-m", "processes.dying"], cwd=Path(__file__).parents[1], stdin=PIPE, stdout=PIPE)

    def carry_out(self, config: Path, at: int, action: str = "deploy", version: str | None = "2.0") -> bool:
        """Whether it was killed at its step *at*; False where it came to its end before."""
        wanted = {"config": str(config), "action": action, "version": version, "at": at}
        stdin, stdout = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        stdin.write(json.dumps(wanted).encode() + b"\n")
        stdin.flush()
        return json.loads(stdout.readline())["killed"]

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def dying() -> Generator[Dying]:
    dying = Dying()
    yield dying
    dying.close()


@asynccontextmanager
async def started(shop: Shop, **settings: object) -> AsyncGenerator[Deployer]:
    """A server that has looked after what another one has left."""
    server: Opened = opened(shop.settings(**settings))  # pyright: ignore[reportArgumentType] - as a test writes it
    async with server:
        yield await server.started()


async def status_of(deployer: Deployer) -> ServiceStatus:
    [(target, service)] = await deployer.targets("shop", "dev")
    return await deployer.status(target, service)


STEPS = ("lock", "create", "start", "gate", "point", "switch", "watch", "drain", "stop", "unlock")


@pytest.mark.parametrize("at", range(1, len(STEPS) + 1), ids=STEPS)
async def test_server_that_is_killed_at_a_step(shop: Shop, dying: Dying, at: int) -> None:
    """Another deploy is refused with who holds the lock and since when; the next server ends it: one release runs, 0 lost."""
    environments = {"dev": {"approve": "never", "watch_seconds": 0.1}}
    async with deployer_of(shop, environments=environments) as deployer:
        await done(deployer, "deploy", version="1.0")
    async with shop.load() as load:
        killed = await asyncio.to_thread(dying.carry_out, shop.config(environments=environments), at)
        async with opened(shop.settings(environments=environments), serving=False) as other:
            second = await other.plan(Wish(DEV, "deploy", "1.0", by="bob"))
        async with started(shop, environments=environments) as deployer:
            status = await status_of(deployer)
            records, _ = await deployer.history("shop", "dev", (None, None), limit=1, skip=0)
            journal = await deployer.deployment(records[0].deployment_id)
            again = await done(deployer, "deploy", version="1.0")

    live = "2.0" if STEPS[at - 1] in ("switch", "watch", "drain", "stop", "unlock") else "1.0"
    held = [check for check in second.checks if check.name == "lock"]
    assert killed
    assert load.lost == {}
    assert (status.live, status.lock, status.deployment_id, status.problems) == (live, None, None, [])
    assert [(release.release, release.replicas) for release in status.releases if release.replicas] == [(live, 1)]
    assert journal.events[at - 1].stage == STEPS[at - 1]
    assert (journal.state, journal.live) == ("succeeded" if live == "2.0" else "rolled_back", live)
    assert (again.state, sorted(shop.running())) == ("succeeded", [("1.0-2", 0)])
    if STEPS[at - 1] != "lock":  # it is written down before it is taken
        assert "ada changes it since 20" in held[0].detail
        assert "its process has died; opsroom-deployments reconcile shop/dev frees it" in held[0].detail
        assert not second.can_apply


@pytest.mark.parametrize("at", [4, 6, 8, 11, 13, 15])
async def test_server_that_is_killed_in_a_rolling_release(shop: Shop, dying: Dying, at: int) -> None:
    """Between two replicas the next server goes on or goes back: one release has all the requests, with both replicas, 0 lost."""
    service = {"strategy": "rolling", "replicas": 2}
    async with deployer_of(shop, service=service) as deployer:
        await done(deployer, "deploy", version="1.0")
    async with shop.load() as load:
        killed = await asyncio.to_thread(dying.carry_out, shop.config(service=service), at)
        async with started(shop, service=service) as deployer:
            status = await status_of(deployer)

    live = "1.0" if at == 4 else "2.0"
    assert killed
    assert load.lost == {}
    assert (status.live, status.replicas, status.lock, status.problems) == (live, 2, None, [])
    assert sorted(shop.running()) == [(live, 0), (live, 1)]


async def test_server_that_is_killed_in_a_stop(shop: Shop, dying: Dying) -> None:
    """The pointer names nothing any more, so the next server ends what runs, and lets go of the port."""
    async with deployer_of(shop) as deployer:
        await done(deployer, "deploy", version="1.0")
    before = await shop.ask()
    killed = await asyncio.to_thread(dying.carry_out, shop.config(), 3, "stop", None)
    async with started(shop) as deployer:
        status = await status_of(deployer)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", shop.ports["dev"])

    assert (before, killed) == ("1.0", True)
    assert (status.live, status.lock, status.deployment_id, shop.running()) == (None, None, None, {})


async def test_second_deploy_is_refused_while_one_runs(shop: Shop) -> None:
    """Plans made meanwhile say who changes it since when; one that was made before is refused with the same."""
    environments = {"dev": {"approve": "never", "watch_seconds": 600.0}}
    async with deployer_of(shop, environments=environments) as deployer:
        before: Plan = await deployer.plan(Wish(DEV, "deploy", "2.0", by="bob"))
        first = await deployer.plan(Wish(DEV, "deploy", "1.0", by="ada"))
        deployment = await deployer.apply(first.plan_id, first.digest, "a test", ADA, None)
        while (await deployer.deployment(deployment)).stage == "lock":
            await deployer.watch(deployment, 5)
        meanwhile = await deployer.plan(Wish(DEV, "deploy", "2.0", by="bob"))
        with pytest.raises(NotPermitted, match="ada changes it since 20"):
            await deployer.apply(meanwhile.plan_id, meanwhile.digest, "me too", ADA, None)
        with pytest.raises(Exception, match=r"being changed by ada since 20|Make a new plan"):
            await deployer.apply(before.plan_id, before.digest, "me too", ADA, None)

    assert not meanwhile.can_apply


async def test_daemon_that_is_killed_is_replaced(shop: Shop) -> None:
    """What it has started runs on, and a new one adopts it: the same processes, reached at the same port, and looked after."""
    async with deployer_of(shop) as deployer:
        await done(deployer, "deploy", version="1.0")
        before, daemon = shop.running(), shop.daemon()
        os.kill(daemon, signal.SIGKILL)
        async with asyncio.timeout(30):
            while shop.daemon() == daemon or (await status_of(deployer)).problems:  # noqa: ASYNC110 - a daemon gives no event
                await asyncio.sleep(0.05)
        status = await status_of(deployer)
        answer = await shop.ask()
        after = await done(deployer, "deploy", version="2.0")

    assert answer == "1.0"
    assert (status.releases[0].replicas, status.releases[0].restarts) == (1, 0)
    assert (after.state, sorted(shop.running())) == ("succeeded", [("2.0", 0)])
    assert before.keys() == {("1.0", 0)}


async def test_machine_that_was_off_is_made_whole_at_start(shop: Shop) -> None:
    """After everything was ended, a status says what is wrong; a server that may write starts what is live, another does not."""
    async with deployer_of(shop) as deployer:
        await done(deployer, "deploy", version="1.0")
    shop.end()
    await until(lambda: not shop.running())
    async with started(shop, allow_writes=False) as reader:
        broken = await status_of(reader)
    async with started(shop) as deployer:
        mended = await status_of(deployer)
        answer = await shop.ask()

    assert broken.live == "1.0"
    assert any("does not run" in problem for problem in broken.problems)
    assert any("their daemon has ended" in problem for problem in broken.problems)
    assert (mended.problems, answer) == ([], "1.0")


async def test_processes_outlive_the_server(shop: Shop) -> None:
    """When a server ends, what it has released runs on and is reached; the next one finds it as it was."""
    async with deployer_of(shop) as deployer:
        await done(deployer, "deploy", version="1.0")
    before = shop.running()
    answer = await shop.ask()
    async with started(shop) as deployer:
        status = await status_of(deployer)

    assert (answer, status.live, status.problems) == ("1.0", "1.0", [])
    assert shop.running() == before

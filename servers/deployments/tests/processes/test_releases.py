"""Releases of real processes under a steady load of new connections."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from opsroom_deployments.deployer import Caller, Deployer
from opsroom_deployments.models import Deployment
from opsroom_deployments.opening import opened
from opsroom_deployments.plans import Wish
from opsroom_deployments.platforms import Target

from ..shops import DEV, Shop, until

ADA = Caller("ada", "a test")


async def done(deployer: Deployer, action: str, target: Target = DEV, **wish: object) -> Deployment:
    plan = await deployer.plan(Wish(target, action, by="ada", **wish))  # pyright: ignore[reportArgumentType] - as tests write it
    deployment = await deployer.apply(plan.plan_id, plan.digest, "a test", ADA, "a test")
    return await deployer.watch_to_the_end(deployment)


@asynccontextmanager
async def deployer_of(shop: Shop, **settings: object) -> AsyncGenerator[Deployer]:
    async with opened(shop.settings(**settings)) as deployer:  # pyright: ignore[reportArgumentType] - as above
        yield deployer


@pytest.fixture(params=["blue_green", "rolling"])
def strategy(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_first_deploy_is_reached_at_the_stable_port(shop: Shop) -> None:
    """Before it nobody listens; after it the port that the definition publishes answers with the release."""
    with pytest.raises(OSError, match=str(shop.ports["dev"])):
        await shop.ask()
    async with deployer_of(shop) as deployer:
        deployment = await done(deployer, "deploy", version="1.0")
        answer = await shop.ask()

    assert (deployment.state, deployment.live, answer) == ("succeeded", "1.0", "1.0")


async def test_deploys_and_rollbacks_lose_nothing(shop: Shop) -> None:
    """Six deploys, one of an app that ignores being asked to end, two rollbacks and a restart: every request is answered."""
    shop.release("stubborn", stubborn=True)
    service = {"grace_seconds": 0.5}
    async with deployer_of(shop, service=service) as deployer:
        await done(deployer, "deploy", version="1.0")
        async with shop.load() as load:
            ends = [
                await done(deployer, action, version=version)
                for action, version in [
                    ("deploy", "2.0"),
                    ("deploy", "stubborn"),
                    ("rollback", None),
                    ("deploy", "1.0"),
                    ("rollback", None),
                    ("restart", None),
                    ("deploy", "1.0"),
                    ("deploy", "2.0"),
                    ("deploy", "1.0"),
                ]
            ]

    assert [end.state for end in ends] == ["succeeded"] * len(ends)
    assert load.lost == {}
    assert load.answered.keys() == {"1.0", "2.0", "stubborn"}


async def test_replicas_lose_nothing(shop: Shop, strategy: str) -> None:
    """Three replicas are released, scaled down and up and rolled back, blue-green and one by one, without a lost request."""
    async with deployer_of(shop, service={"strategy": strategy, "replicas": 3}) as deployer:
        await done(deployer, "deploy", version="1.0")
        async with shop.load() as load:
            released = await done(deployer, "deploy", version="2.0")
            three = shop.running()
            await done(deployer, "scale", replicas=1)
            one = shop.running()
            await done(deployer, "scale", replicas=2)
            two = shop.running()
            back = await done(deployer, "rollback")

    assert (released.state, back.state, back.live) == ("succeeded", "succeeded", "1.0")
    assert [sorted(each) for each in (three, one, two)] == [[("2.0", number) for number in range(many)] for many in (3, 1, 2)]
    assert sorted(shop.running()) == [("1.0", 0), ("1.0", 1)]
    assert load.lost == {}


BAD: dict[str, tuple[dict[str, object], str, str]] = {
    "sick": ({"sick": True}, "it was not healthy in time", "GET /healthz: 503 the orders are locked"),
    "crashing": ({"crash": 3}, "it ended with exit status 3 before it was healthy", ""),
    "crash-looping": ({"crash_after": 0.01, "sick": True}, "it ended with exit status 7 before it was healthy", ""),
    "never ready": ({"deaf": True}, "it was not healthy in time", "nothing listens there"),
    "wrong port": ({"port_off_by": 1}, "it was not healthy in time", "nothing listens there"),
}


@pytest.mark.parametrize("bad", BAD)
async def test_bad_release_is_rejected(shop: Shop, bad: str) -> None:
    """The gate says why, with the last probe and the end of the log; the old release has all requests and was not touched."""
    behaviour, reason, last_probe = BAD[bad]
    shop.release("bad", **behaviour)
    probe = {"path": "/healthz", "interval_seconds": 0.1, "successes": 1, "deadline_seconds": 3.0}
    async with deployer_of(shop, service={"probe": probe}) as deployer:
        await done(deployer, "deploy", version="1.0")
        before = shop.running()
        async with shop.load() as load:
            deployment = await done(deployer, "deploy", version="bad")

    assert (deployment.state, deployment.live, deployment.failure) == ("failed", "1.0", reason)
    assert last_probe in (deployment.last_probe or "")
    assert "bad starts" in deployment.log_tail
    assert "never stopped" in (deployment.next_step or "")
    assert shop.running() == before
    assert load.lost == {}
    assert load.answered.keys() == {"1.0"}


@pytest.mark.parametrize("behaviour", [{"sick_after": 2.0}, {"crash_after": 2.0}], ids=["turns sick", "ends"])
async def test_release_that_turns_bad_while_it_is_watched_is_taken_back(shop: Shop, behaviour: dict[str, object]) -> None:
    """It passed its gate and got requests; when it turns bad the old release, still running, gets them again."""
    shop.release("flaky", **behaviour)
    environments = {"dev": {"approve": "never", "watch_seconds": 30.0}}
    async with deployer_of(shop, environments={"dev": {"approve": "never", "watch_seconds": 0.0}}) as deployer:
        await done(deployer, "deploy", version="1.0")
    before = shop.running()
    async with deployer_of(shop, environments=environments) as deployer:
        deployment = await done(deployer, "deploy", version="flaky")
        answer = await shop.ask()

    assert (deployment.state, deployment.live, answer) == ("rolled_back", "1.0", "1.0")
    assert "after the switch" in (deployment.failure or "")
    assert shop.running() == before


async def test_earlier_good_release_survives_failed_ones(shop: Shop) -> None:
    """Releases that fail do not push out the one to go back to; of them the last is kept, for its log."""
    shop.release("bad-1", crash=1)
    shop.release("bad-2", crash=1)
    shop.release("3.0")
    async with deployer_of(shop, service={"keep": 1}) as deployer:
        for version in ("1.0", "2.0", "bad-1", "bad-2", "3.0"):
            await done(deployer, "deploy", version=version)
        kept = {name for name, _ in shop.layout.instances(DEV)}
        back = await done(deployer, "rollback")

    assert kept == {"3.0", "2.0", "bad-2"}
    assert (back.state, back.live) == ("succeeded", "2.0")


async def test_stop_lets_requests_end_and_remove_leaves_nothing(shop: Shop) -> None:
    """A request that runs while the service is stopped is answered; after the removal no process and no release is left."""
    shop.release("slow", work_ms=1_500)
    async with deployer_of(shop) as deployer:
        await done(deployer, "deploy", version="slow")
        asking = asyncio.ensure_future(shop.ask())
        await asyncio.sleep(0.2)
        stopped = await done(deployer, "stop")
        answer = await asking
        with pytest.raises(OSError, match=str(shop.ports["dev"])):
            await shop.ask()
        kept = [name for name, _ in shop.layout.instances(DEV)]
        removed = await done(deployer, "remove")

    assert (stopped.state, stopped.live, answer, kept) == ("succeeded", None, "slow", ["slow"])
    assert removed.state == "succeeded"
    assert ([*shop.layout.instances(DEV)], shop.running()) == ([], {})


async def test_abort_while_it_is_watched_goes_back(shop: Shop) -> None:
    """A rollback that is asked for while the new release is watched ends the deployment, and the old one has the requests."""
    async with deployer_of(shop) as deployer:
        await done(deployer, "deploy", version="1.0")
    environments = {"dev": {"approve": "never", "watch_seconds": 600.0}}
    async with deployer_of(shop, environments=environments) as deployer, shop.load() as load:
        plan = await deployer.plan(Wish(DEV, "deploy", "2.0", by="ada"))
        deployment = await deployer.apply(plan.plan_id, plan.digest, "a test", ADA, None)
        while (await deployer.deployment(deployment)).stage != "watch":
            await deployer.watch(deployment, 5)
        asked = await deployer.rollback(DEV, "it is slow", ADA, None)
        end = await deployer.watch_to_the_end(deployment)

    assert asked == deployment
    assert (end.state, end.live) == ("aborted", "1.0")
    assert sorted(shop.running()) == [("1.0", 0)]
    assert load.lost == {}


async def test_process_that_ends_by_itself_is_started_again(shop: Shop) -> None:
    """A live instance that is killed comes back at the same stable port, and its restart is counted."""
    async with deployer_of(shop) as deployer:
        await done(deployer, "deploy", version="1.0")
        [pid] = shop.running().values()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: [*shop.running().values()] not in ([], [pid]))
        [(target, service)] = await deployer.targets("shop", "dev")
        status = await deployer.status(target, service)

    assert status.releases[0].restarts == 1
    assert "restarted 1 times" in status.problems[0]

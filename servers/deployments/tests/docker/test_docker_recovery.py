"""Deployers that are killed, and engines that go down, on a real engine: what is live is read from the engine, and made whole."""

import asyncio
from datetime import UTC, datetime

import pytest
from opsroom_deployments.platforms.docker import haproxy
from opsroom_deployments.vocabulary import LockHolder, Stage
from opsroom_shared.errors import Conflict

from .shops import Journal, Shop

_HOLDER = LockHolder(holder="recovery", since=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("stage", "live", "locked"),
    [
        ("lock", "1", False),
        ("create", "1", True),
        ("start", "1", True),
        ("gate", "1", True),
        ("point", "1", True),
        ("switch", "2", True),
        ("drain", "2", True),
        ("stop", "2", True),
        ("unlock", "2", True),
    ],
)
async def test_killed_deployer_loses_no_request(shop: Shop, stage: Stage, live: str, locked: bool) -> None:  # noqa: FBT001 - a case
    """Killed before any step, a deployer leaves a lock with its name, and a reconcile makes all whole; nothing is lost."""
    await shop.deploy("1")

    async with shop.load() as load:
        await shop.deploy_and_die(shop.release("2"), "1", stage)
        refused = await _refusal(shop) if locked else "being changed by grace since 2"
        await shop.platform.reconcile(shop.target, _HOLDER, Journal())
    seen = await shop.host.observe(shop.target)

    assert "being changed by grace since 2" in refused
    assert (seen.live, seen.lock, await shop.ask()) == ((live,), None, live)
    assert [each.release for each in seen.instances if each.health != "stopped"] == [live]
    assert (load["all"].lost, load["all"].words) == ({}, ())


async def test_killed_rolling_release_goes_on(shop: Shop) -> None:
    """A rolling release that was killed half-way is brought to its end: what the pointer names has passed its gate."""
    await shop.deploy("1", replicas=2)

    async with shop.load() as load:
        await shop.deploy_and_die(shop.release("2", replicas=2, strategy="rolling"), "1", "drain")
        half = await shop.host.observe(shop.target)
        await shop.platform.reconcile(shop.target, _HOLDER, Journal())
    seen = await shop.host.observe(shop.target)

    assert half.live == ("2", "1")
    assert (seen.live, seen.replicas, load["all"].lost) == (("2",), 2, {})


async def test_one_of_many_gets_the_lock(shop: Shop) -> None:
    """Of eight that ask for the lock at once, one gets it, and the others hear who that is."""
    holders = [LockHolder(holder=f"person {number}", since=datetime.now(UTC)) for number in range(8)]
    asked = await asyncio.gather(*(shop.host.lock(shop.target, holder) for holder in holders), return_exceptions=True)
    seen = await shop.host.observe(shop.target)
    refusals = [error for error in asked if isinstance(error, Conflict)]

    assert seen.lock in holders
    assert len(refusals) == 7
    assert all(f"being changed by {seen.lock.holder} since" in str(error) for error in refusals)


async def test_torn_pointer_is_written_again(shop: Shop) -> None:
    """A proxy's file that an engine left half-written takes nothing out: the pointer is read beside it, and put right."""
    await shop.deploy("1")
    proxy = f"{shop.target.service}.production.proxy-{shop.port}"
    whole = await shop.engine.read(proxy, haproxy.FILE) or b""
    await shop.engine.write(proxy, haproxy.FILE, whole[: len(whole) // 2])

    seen = await shop.host.observe(shop.target)
    await shop.host.switch(shop.target)

    assert (seen.live, await shop.ask()) == (("1",), "1")
    assert await shop.engine.read(proxy, haproxy.FILE) == whole


async def test_all_comes_back_with_the_engine(shop: Shop) -> None:
    """When the machine of the engine comes back, so do the live release and its proxy, and the release before stays stopped."""
    await shop.deploy("1")
    await shop.deploy("2")

    await asyncio.to_thread(shop.docker.stop)
    await asyncio.to_thread(shop.docker.start)
    answer = await _eventually(shop)
    seen = await shop.host.observe(shop.target)

    assert answer == "2"
    assert [(each.release, each.live) for each in seen.instances if each.health != "stopped"] == [("2", True)]


async def test_proxy_that_was_stopped_is_started_by_a_reconcile(shop: Shop) -> None:
    """A proxy that somebody stopped is a problem that the status names, and a reconcile starts it again."""
    await shop.deploy("1")
    proxy = f"{shop.target.service}.production.proxy-{shop.port}"
    await shop.engine.stop(proxy, 1)
    seen = await shop.host.observe(shop.target)

    await shop.platform.reconcile(shop.target, _HOLDER, Journal())

    assert seen.problems == (f"the proxy {proxy} does not run: docker start {proxy}",)
    assert await shop.ask() == "1"


async def _refusal(shop: Shop) -> str:
    with pytest.raises(Conflict) as refused:
        await shop.deploy("3")
    return str(refused.value)


async def _eventually(shop: Shop) -> str:
    """The first good answer at the stable port, within a minute."""
    async with asyncio.timeout(60):
        while True:
            try:
                if (answer := await shop.ask()).isalnum():
                    return answer
            except OSError:
                pass  # not yet
            await asyncio.sleep(0.1)

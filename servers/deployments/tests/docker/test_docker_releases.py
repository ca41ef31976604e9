"""Releases on a real engine under a steady load of requests that are not sent twice: none of them is lost."""

import asyncio
import contextlib
import socket

import pytest

from .shops import PROBE, RATE, Shop, free_port


async def test_deploys_lose_no_request(shop: Shop) -> None:
    """Deploys of releases that end well, at once or not at all lose no request, on new connections or on kept ones."""
    await shop.deploy("1")

    async with shop.load() as load:
        outcomes = [
            await shop.deploy("stubborn"),
            await shop.deploy("abrupt", probe=PROBE),
            await shop.deploy("2"),
            await shop.deploy("3", probe=PROBE),
        ]

    assert [outcome.state for outcome in outcomes] == ["succeeded"] * 4
    assert (load["all"].lost, load["all"].words) == ({}, ())
    assert load["all"].by.keys() >= {"1", "stubborn", "abrupt", "2"}
    assert min(load["all"].sent.values()) > RATE


async def test_rollback_loses_no_request(shop: Shop) -> None:
    """A rollback starts the kept container of the release before, and loses no request."""
    await shop.deploy("1")
    kept = await shop.instance("1")
    await shop.deploy("2")

    async with shop.load() as load:
        outcome = await shop.do(shop.release("1"), "rollback")

    assert (outcome.state, outcome.live) == ("succeeded", "1")
    assert (await shop.instance("1")).id == kept.id
    assert (load["all"].lost, load["all"].by.keys()) == ({}, {"1", "2"})


async def test_rolling_loses_no_request(shop: Shop) -> None:
    """Three replicas are replaced one after the other, and no request is lost."""
    await shop.deploy("1", replicas=3)

    async with shop.load() as load:
        outcome = await shop.deploy("2", replicas=3, strategy="rolling")
    seen = await shop.host.observe(shop.target)

    assert (outcome.state, seen.live, seen.replicas) == ("succeeded", ("2",), 3)
    assert [each.health for each in seen.of("2")] == ["healthy"] * 3
    assert [each.health for each in seen.of("1")] == ["stopped"] * 3
    assert load["all"].lost == {}


async def test_scaling_loses_no_request(shop: Shop) -> None:
    """More and fewer replicas of the live release lose no request, and those that have no place are removed."""
    await shop.deploy("1")

    async with shop.load() as load:
        more = await shop.do(shop.release("1", replicas=3), "scale")
        fewer = await shop.do(shop.release("1", replicas=1), "scale")

    assert (more.state, fewer.state, load["all"].lost) == ("succeeded", "succeeded", {})
    assert [each.number for each in (await shop.host.observe(shop.target)).instances] == [0]


async def test_idle_connection_outlives_a_deploy(shop: Shop) -> None:
    """A connection that was idle during a deploy is closed in time: its next request is not sent to an instance that is gone."""
    await shop.deploy("1")
    with socket.create_connection(("127.0.0.1", shop.port), timeout=30) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
        first = caller.recv(4096)
        await shop.deploy("2")
        rest = _after_idle(caller)

    assert first.startswith(b"HTTP/1.1 200")
    assert rest == b"" or rest.startswith(b"HTTP/1.1 200")


async def test_another_port_gets_a_proxy_of_its_own(shop: Shop) -> None:
    """A release that is published elsewhere is reached there, and the port before is given back."""
    await shop.deploy("1")
    elsewhere = shop.release("2", publish=free_port())

    outcome = await shop.do(elsewhere)

    assert (outcome.state, await shop.ask(port=elsewhere.publish)) == ("succeeded", "2")
    assert (await shop.host.observe(shop.target)).address == f"http://127.0.0.1:{elsewhere.publish}"
    assert await shop.containers() == {"1.0", "2.0", f"proxy-{elsewhere.publish}"}
    with pytest.raises(ConnectionRefusedError):
        await shop.ask(port=shop.port)


async def test_way_back_from_a_port_that_is_taken(shop: Shop) -> None:
    """A release whose port turns out to be taken does not become live, and the one before goes on at its own port."""
    await shop.deploy("1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = await shop.deploy("2", publish=taken.getsockname()[1])

    assert outcome.failure is not None
    assert "is taken; give another publish" in outcome.failure.reason
    assert (outcome.live, await shop.ask()) == ("1", "1")
    assert (await shop.host.observe(shop.target)).live == ("1",)


async def test_stop_keeps_and_remove_forgets(shop: Shop) -> None:
    """After a stop the release is kept and its port free; after a remove nothing is left."""
    await shop.deploy("1")
    stopped = await shop.do(None, "stop")
    kept = await shop.containers()
    with contextlib.closing(socket.create_server(("127.0.0.1", shop.port))):
        free = True

    removed = await shop.do(None, "remove")

    assert (stopped.state, kept, free) == ("succeeded", {"1.0"}, True)
    assert (removed.state, await shop.containers()) == ("succeeded", set[str]())


async def test_only_the_proxy_is_published(shop: Shop) -> None:
    """An instance publishes nothing and may do as little as possible; the proxy is the one way in."""
    await shop.deploy("1")
    found = await asyncio.to_thread(shop.docker.inspect, shop.name("1"))
    host, config = found["HostConfig"], found["Config"]

    assert host["PortBindings"] in ({}, None)
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges"])
    assert (host["Privileged"], host["PidsLimit"], config["User"]) == (False, 1024, "65534:65534")
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}


def _after_idle(caller: socket.socket) -> bytes:
    """What comes on a connection that was idle: nothing when it was closed meanwhile."""
    try:
        caller.sendall(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
        return caller.recv(4096)
    except ConnectionError:
        return b""

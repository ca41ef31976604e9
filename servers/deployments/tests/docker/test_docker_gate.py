"""Releases that must not become live, on a real engine: the gate says why, and the release before is left alone."""

import asyncio

import pytest
from opsroom_deployments.spec import Probe

from .shops import PROBE, Journal, Shop

_SHORT = Probe(path="/healthz", interval_seconds=0.2, deadline_seconds=3)


@pytest.mark.parametrize(
    ("tag", "changes", "reason", "last_probe", "tail"),
    [
        ("sick", {}, "HEALTHCHECK of its image says that it is unhealthy", "migrations are missing", "INFO sick listens"),
        ("unchecked-sick", {"probe": _SHORT}, "not healthy within 3 s", "code: 503", "INFO unchecked-sick listens"),
        ("crashing", {}, "had to be started again before it was healthy", None, "FATAL out of luck"),
        ("crashing", {"probe": PROBE}, "had to be started again before it was healthy", None, "FATAL out of luck"),
        ("never", {}, "HEALTHCHECK of its image says that it is unhealthy", "nobody listens", "INFO never starts"),
        ("unchecked-never", {"probe": _SHORT}, "not healthy within 3 s", "Connection refused", "INFO unchecked-never starts"),
        ("2", {"port": 8081, "probe": _SHORT}, "not healthy within 3 s", "Connection refused", "INFO 2 listens on 8080"),
        ("unchecked", {}, "neither a HEALTHCHECK nor a probe", None, "INFO unchecked starts"),
    ],
    ids=["sick", "sick-probe", "crashing", "crashing-probe", "never", "never-probe", "wrong-port", "unchecked"],
)
async def test_bad_release_is_rejected(
    shop: Shop, tag: str, changes: dict[str, object], reason: str, last_probe: str | None, tail: str
) -> None:
    """A bad release gets no request; the answer says why, with its last probe and the end of its log."""
    await shop.deploy("1")
    before = await shop.instance("1")

    outcome = await shop.do(shop.release(tag, None, **changes))

    assert (outcome.state, outcome.live) == ("failed", "1")
    assert outcome.failure is not None
    assert reason in outcome.failure.reason
    assert last_probe is None or last_probe in (outcome.failure.last_probe or "")
    assert any(tail in line for line in outcome.failure.log_tail)
    assert await shop.ask() == "1"
    assert (await shop.instance("1")).state.started_at == before.state.started_at
    assert "lock" not in await shop.containers()


async def test_release_that_cannot_be_started_is_rejected(shop: Shop) -> None:
    """A command that is not in the image fails with the words of the engine, and the release before goes on."""
    await shop.deploy("1")

    outcome = await shop.deploy("2", user="nobody-at-all")

    assert (outcome.state, outcome.live, await shop.ask()) == ("failed", "1", "1")
    assert outcome.failure is not None
    assert "nobody-at-all" in outcome.failure.reason


async def test_release_that_ends_while_it_is_watched_is_taken_back(shop: Shop) -> None:
    """A release that dies after the switch is taken back: the one before is started again and gets the requests."""
    await shop.deploy("1")
    journal = Journal(at={"watch": lambda: shop.docker.kill(shop.name("2"))})

    outcome = await shop.do(shop.release("2"), journal=journal, watch=30.0)

    assert (outcome.state, outcome.live, await shop.ask()) == ("rolled_back", "1", "1")
    assert outcome.failure is not None
    assert "2 #0 ended after the switch" in outcome.failure.reason


async def test_release_that_turns_sick_is_taken_back(shop: Shop) -> None:
    """An image without a HEALTHCHECK is watched by the proxy: when its probe fails after the switch, the one before is back."""
    await shop.deploy("1")
    asked = asyncio.get_running_loop()
    journal = Journal(at={"watch": lambda: asyncio.run_coroutine_threadsafe(shop.ask("/sicken"), asked).result(30)})

    outcome = await shop.do(shop.release("unchecked", probe=PROBE), journal=journal, watch=60.0)

    assert (outcome.state, outcome.live, await shop.ask()) == ("rolled_back", "1", "1")
    assert outcome.failure is not None
    assert "unchecked #0 became unhealthy after the switch" in outcome.failure.reason

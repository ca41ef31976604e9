"""Secrets reach the instances that need them, and stand nowhere else."""

import os
from pathlib import Path

import pytest
from opsroom_shared import redact

from .answers import Connect, applied, apply, call, history, logs, planned, status, text_of
from .shops import DEV, Shop

TOKEN = "tulip-meadow-77"  # noqa: S105 - of nothing
KEY = "-----BEGIN KEY-----\nrose-garden-88\nlily-pond-99\n-----END KEY-----"
WORDS = (TOKEN, "rose-garden-88", "lily-pond-99")


@pytest.fixture
def service(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A definition with a secret of each kind."""
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    key = shop.folder / "key.pem"
    key.write_text(KEY + "\n", encoding="utf-8")
    return {"secrets": {"TOKEN": "env:SHOP_TOKEN", "KEY": f"file:{key}"}}


def written(folder: Path) -> bytes:
    """All that stands in the files of the state, without what the shop itself has printed."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != "log")


def arguments_of_all() -> list[str]:
    return [file.read_bytes().decode(errors="replace") for file in Path("/proc").glob("[0-9]*/cmdline")]


def environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().decode()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes through /proc")
async def test_secrets_reach_the_instance_alone(connect: Connect, shop: Shop, service: dict[str, object]) -> None:
    """The process has both in its environment, and nothing of the environment of the server but what is ordinary."""
    async with connect(service=service) as (client, _):
        await applied(client, version="1.0")
        [pid] = shop.running().values()
        own, daemon = environment_of(pid), environment_of(shop.daemon())
        commands = "".join(arguments_of_all())

    assert f"TOKEN={TOKEN}\0" in own
    assert f"KEY={KEY}\0" in own
    assert "SHOP_TOKEN" not in own
    assert not any(word in commands or word in daemon for word in WORDS)


async def test_secrets_stand_nowhere(connect: Connect, shop: Shop, service: dict[str, object]) -> None:
    """No answer, no file of the state and no log line shows one, not even where the program prints it and fails."""
    shop.release("talks", says=["TOKEN", "KEY"])
    shop.release("fails", says=["TOKEN", "KEY"], crash=3)
    async with connect(service=service) as (client, _):
        plan = await planned(client, version="talks")
        answers = [
            plan.model_dump_json(),
            text_of(await apply(client, plan)),
            (await applied(client, version="fails")).model_dump_json(),
            (await status(client)).model_dump_json(),
            (await history(client)).model_dump_json(),
            (await logs(client)).model_dump_json(),
            (await logs(client, release="fails")).model_dump_json(),
            (await planned(client, action="restart")).model_dump_json(),
        ]
    printed = shop.layout.log(DEV, "talks", 0).read_text(encoding="utf-8")

    assert all(word in printed for word in WORDS)
    assert not any(word in answer for word in WORDS for answer in answers)
    assert not any(word.encode() in written(shop.state) for word in WORDS)
    assert "secrets.TOKEN added, from env:SHOP_TOKEN" in plan.diff
    assert "connecting with ***" in answers[5]


async def test_server_that_starts_later_hides_them_too(connect: Connect, shop: Shop, service: dict[str, object]) -> None:
    """A server that has not released it itself knows what to hide when it shows a log."""
    shop.release("talks", says=["TOKEN"])
    async with connect(service=service) as (client, _):
        await applied(client, version="talks")
    redact._hidden.clear()  # pyright: ignore[reportPrivateUsage] - as in a process that has just begun
    async with connect(service=service) as (client, _):
        shown = await logs(client, grep=TOKEN[:5])
        whole = await logs(client)

    assert shown.matched == 0
    assert TOKEN not in whole.model_dump_json()


async def test_secret_that_is_gone_stops_a_rollback_before_it_begins(
    connect: Connect, shop: Shop, service: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier release needs and is not there any more is found when the way back is planned."""
    async with connect(service=service) as (client, _):
        await applied(client, version="1.0")
        await applied(client, version="2.0")
        monkeypatch.delenv("SHOP_TOKEN")
        result = await call(client, "rollback_deployment", service="shop", environment="dev", reason="orders are lost")

    assert result.is_error
    assert "SHOP_TOKEN is not set" in text_of(result)
    assert sorted(shop.running()) == [("2.0", 0)]
    assert os.environ.get("SHOP_TOKEN") is None

"""Markers of deployments, sent to real sockets: what they say, and that nobody waits for whoever takes them."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from .answers import WHY, Connect, applied
from .shops import Shop

TOKEN = "t0ken"  # noqa: S105 - of nothing


@dataclass
class Receiver:
    """An HTTP server that keeps what it is sent."""

    url: str
    got: list[tuple[str, str, dict[str, object]]] = field(default_factory=list[tuple[str, str, dict[str, object]]])
    """Path, authorization, and the body of each request."""
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def all(self, count: int) -> list[tuple[str, str, dict[str, object]]]:
        async with asyncio.timeout(30):
            while len(self.got) < count:
                self.came.clear()
                await self.came.wait()
        return self.got


@asynccontextmanager
async def receiver(answer: bytes | None = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") -> AsyncGenerator[Receiver]:
    """Answers each request with *answer*; without one it never answers."""
    held: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = {key.lower(): value for key, _, value in (line.partition(": ") for line in head.splitlines()[1:])}
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        there.got.append((head.split(" ")[1], fields.get("authorization", ""), json.loads(body)))
        there.came.set()
        if answer is None:
            held.append(writer)
        else:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    there = Receiver(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        yield there
        for writer in held:
            writer.close()


async def test_webhook_hears_of_the_beginning_and_the_end(connect: Connect) -> None:
    """It gets who changed what, from what to what, why, when, and how it ended."""
    async with receiver() as hook, connect(webhook=f"{hook.url}/hooks/t0ken") as (client, _):
        end = await applied(client, version="1.0")
        begun, ended = [body for _, _, body in await hook.all(2)]

    assert [path for path, _, _ in hook.got] == ["/hooks/t0ken"] * 2
    assert (begun["state"], begun["ended_at"], ended["state"]) == ("running", None, "succeeded")
    assert (
        ended.items()
        >= {
            "deployment_id": end.deployment_id,
            "service": "shop",
            "environment": "dev",
            "action": "deploy",
            "before": None,
            "after": "1.0",
            "reason": WHY,
        }.items()
    )


async def test_grafana_gets_one_annotation_over_the_time_of_a_deployment(connect: Connect) -> None:
    """It is sent with the token when the deployment has ended, with times in milliseconds and tags to find it by."""
    async with receiver() as grafana, connect(grafana_url=f"{grafana.url}/", grafana_token=TOKEN) as (client, _):
        await applied(client, version="1.0")
        [(path, authorization, body)] = await grafana.all(1)

    assert (path, authorization) == ("/api/annotations", "Bearer t0ken")
    assert body["tags"] == ["deployment", "shop", "dev", "succeeded"]
    assert isinstance(body["time"], int)
    assert isinstance(body["timeEnd"], int)
    assert 10**12 < body["time"] < body["timeEnd"]
    assert "deploy shop nothing → 1.0: succeeded" in str(body["text"])


ELSEWHERE = b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [None, b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", ELSEWHERE, b"x"],
    ids=["hangs", "refuses", "elsewhere", "nonsense"],
)
async def test_sink_that_does_not_take_it_holds_nothing_up(
    connect: Connect, shop: Shop, answer: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink that hangs, refuses, sends elsewhere or speaks nonsense leaves deployments as they are, one after the other."""
    caplog.set_level(logging.WARNING)
    async with receiver(answer) as hook, connect(webhook=f"{hook.url}/hooks/t0ken") as (client, _):
        ends = [await applied(client, version=version) for version in ("1.0", "2.0")]
        await hook.all(4)

    assert [end.state for end in ends] == ["succeeded", "succeeded"]
    assert await shop.ask() == "2.0"
    assert all("t0ken" not in record.getMessage() for record in caplog.records)


async def test_sink_that_is_not_there(connect: Connect) -> None:
    """Where nobody listens, deployments succeed."""
    async with connect(webhook="http://127.0.0.1:1/", grafana_url="http://127.0.0.1:1") as (client, _):
        end = await applied(client, version="1.0")

    assert end.state == "succeeded"

"""What is found out about a release before it is made, on a real engine: each refusal says what to write instead."""

import asyncio
import socket
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opsroom_deployments.spec import Resources

from .shops import PROBE, Shop

_MISSING = '{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'


class _EmptyRegistry(BaseHTTPRequestHandler):
    """A registry that has no image."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = ("{}" if self.path == "/v2/" else _MISSING).encode()
        self.send_response(200 if self.path == "/v2/" else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Nothing is logged."""


@pytest.fixture
def registry() -> Generator[str]:
    """The address of a registry that answers and has nothing."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyRegistry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def test_good_release_passes(shop: Shop) -> None:
    """A release whose image, port and HEALTHCHECK are there passes every check."""
    checks = await shop.host.preflight(shop.release("1"))

    assert [check.name for check in checks if not check.ok] == []


@pytest.mark.parametrize(
    ("tag", "changes", "name", "words"),
    [
        ("1", {"image": None}, "image", 'add image = "registry.example/checkout"'),
        ("1", {"image": "127.0.0.1:1/shop:1"}, "image", "registry does not answer: check the name"),
        ("1", {"port": 0}, "container port", "add port = … to the service, on which it listens; the image exposes 8080/tcp"),
        ("unchecked", {}, "probe", 'no HEALTHCHECK; add probe = { path = "/healthz" }'),
        ("1", {"image": "127.0.0.1:1/shop:1"}, "probe", "whether it has a HEALTHCHECK is not known; add probe"),
        ("1", {"resources": Resources(memory_mib=1 << 20)}, "memory", "lower resources.memory_mib or replicas"),
        ("1", {"secrets": {"TOKEN": "env:NOT_SET_ANYWHERE"}}, "secret TOKEN", "NOT_SET_ANYWHERE is not set"),
    ],
    ids=["no-image", "registry-down", "no-port", "no-probe", "unknown-probe", "memory", "secret"],
)
async def test_bad_release_is_refused(shop: Shop, tag: str, changes: dict[str, object], name: str, words: str) -> None:
    """A release that cannot work is refused before anything is made, with what to write instead."""
    checks = await shop.host.preflight(shop.release(tag, None, **changes))
    failed = {check.name: check.detail for check in checks if not check.ok}

    assert words in failed[name]
    assert await shop.containers() == set()


async def test_image_that_is_nowhere_is_refused(shop: Shop, registry: str) -> None:
    """An image that its registry does not have is refused, and so is a release of it that was planned nevertheless."""
    lost = shop.release("1", image=f"{registry}/shop:9", probe=PROBE)
    checks = await shop.host.preflight(lost)
    outcome = await shop.do(lost)

    failed = {check.name: check.detail for check in checks if not check.ok}
    assert "neither on the engine nor in its registry" in failed["image"]
    assert (outcome.state, outcome.live) == ("failed", None)


async def test_port_of_another_service_is_refused(shop: Shop) -> None:
    """A port that another service publishes is refused with its name, and that service's own next release is not."""
    await shop.deploy("1")
    other = Shop(shop.docker, "another-shop")
    checks = await other.host.preflight(other.release("1", publish=shop.port))
    own = await shop.host.preflight(shop.release("2"))
    await other.aclose()

    failed = {check.name: check.detail for check in checks if not check.ok}
    assert failed == {"port": f"{shop.port} is that of {shop.target}; give another publish"}
    assert all(check.ok for check in own)


async def test_port_of_another_program_is_refused(shop: Shop) -> None:
    """A port that a program of the machine listens at is refused."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        checks = await shop.host.preflight(shop.release("1", publish=taken.getsockname()[1]))

    assert [check.name for check in checks if not check.ok] == ["port"]


async def test_secret_reaches_the_service_only(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a secret is in the environment of the service, and in nothing that is kept or answered about it."""
    monkeypatch.setenv("SHOP_SECRET", "correct-horse-battery")
    await shop.deploy("1", secrets={"SECRET": "env:SHOP_SECRET"})
    found = await asyncio.to_thread(shop.docker.inspect, shop.name("1"))
    told = repr((await shop.host.observe(shop.target), await shop.host.release(shop.target, "1"), found["Config"]["Labels"]))  # pyright: ignore[reportIndexIssue]

    assert await shop.ask("/secret") == "correct-horse-battery"
    assert "correct-horse-battery" not in told


async def test_release_is_read_back(shop: Shop) -> None:
    """What a release was made of is read back from its container, as it was given."""
    made = shop.release(
        "1", probe=PROBE, environment={"MOOD": "a 'quoted' = value"}, resources=Resources(memory_mib=64, cpus=0.5)
    )
    await shop.do(made)

    assert await shop.host.release(shop.target, "1") == made
    assert await shop.host.release(shop.target, "2") is None


async def test_logs_of_an_ended_release(shop: Shop) -> None:
    """The log of a release that has ended is there, with times, in order, and marked by replica where there are several."""
    await shop.deploy("1", replicas=2)
    await shop.deploy("2")
    rows = await shop.host.logs(shop.target, "1", since=None, tail=4)
    last = await shop.host.logs(shop.target, "1", since=None, tail=1)

    assert {row.text.partition(" ")[0] for row in rows} == {"#0", "#1"}
    assert [row.at for row in rows] == sorted(row.at for row in rows if row.at)
    assert [row.text for row in last] == [rows[-1].text]
    assert rows[-1].text.endswith("INFO ended")

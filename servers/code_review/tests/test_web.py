"""HTTP to a forge over real sockets: what is tried again, what is bounded, and where the token goes."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from opsroom_code_review.providers.web import Web, json_of
from opsroom_shared.errors import RateLimited, TimedOut, TooLarge, ToolFailure, Unavailable

TOKEN = "Bearer " + "not-a-secret"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def reply(status: int, body: bytes = b"{}", **headers: str) -> bytes:
    """An answer on the wire; underscores in names of headers are dashes."""
    named = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Scripted:
    """A server that gives its answers one after the other, the last one again and again, and keeps what it was sent."""

    def __init__(self, answers: Sequence[bytes | None]) -> None:
        """None closes the connection without an answer."""
        self._answers = list(answers)
        self.requests: list[str] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await self._head(reader):
            self.requests.append(head)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
        writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> str:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        except (asyncio.IncompleteReadError, ConnectionError):
            return ""
        length = next((int(line.partition(":")[2]) for line in head.splitlines() if line.startswith("content-length:")), 0)
        await reader.readexactly(length)
        return head


Serve = Callable[..., Awaitable[Scripted]]
Listen = Callable[..., Awaitable[str]]


@pytest.fixture
async def listen() -> AsyncGenerator[Listen]:
    """Starts a server on a free port of its own; gives its address without the scheme."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def started(handler: Handler, tls: ssl.SSLContext | None = None) -> str:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def run() -> None:
                try:
                    await handler(reader, writer)
                except ConnectionError:
                    pass  # the client has seen enough
                finally:
                    writer.close()

            tasks.add(asyncio.create_task(run()))

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield started
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def serve(listen: Listen) -> Serve:
    async def started(*answers: bytes | None, tls: ssl.SSLContext | None = None) -> Scripted:
        scripted = Scripted(answers)
        scripted.url = f"{'https' if tls else 'http'}://{await listen(scripted.handle, tls)}"
        return scripted

    return started


Connect = Callable[..., Web]


@pytest.fixture
async def connect() -> AsyncGenerator[Connect]:
    made: list[Web] = []

    def connected(url: str, seconds: float = 30.0, transport: httpx2.AsyncBaseTransport | None = None) -> Web:
        made.append(Web("hub", url, headers={"Authorization": TOKEN}, seconds=seconds, transport=transport))
        return made[-1]

    yield connected
    for web in made:
        await web.aclose()


async def test_a_forge_that_comes_back(serve: Serve, connect: Connect) -> None:
    """A GET is sent again where a proxy says that the forge is away, and its answer is the one that counts."""
    server = await serve(reply(503, retry_after="0"), reply(502, retry_after="0"), reply(200, b'{"a": 1}'))

    response = await connect(server.url).request("GET", "x")

    assert json_of(response, "hub") == {"a": 1}
    assert len(server.requests) == 3


async def test_a_forge_that_stays_away(serve: Serve, connect: Connect) -> None:
    """After three tries it is told that the forge is not available."""
    server = await serve(reply(503, retry_after="0"))

    with pytest.raises(Unavailable, match="not available at the moment"):
        await connect(server.url).request("GET", "x")
    assert len(server.requests) == 3


@pytest.mark.parametrize("answer", [reply(503, retry_after="0"), None])
async def test_a_write_is_sent_once(serve: Serve, connect: Connect, answer: bytes | None) -> None:
    """What may have been done is not done again: a POST is not repeated behind a failure in the middle."""
    server = await serve(answer)

    with pytest.raises(Unavailable):
        await connect(server.url).request("POST", "x", payload={"a": 1})
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [reply(503, retry_after="0"), None])
async def test_a_write_that_may_be_repeated(serve: Serve, connect: Connect, answer: bytes | None) -> None:
    """A POST that only asks, such as a query of GraphQL, is repeated like a GET."""
    server = await serve(answer, reply(200))

    response = await connect(server.url).request("POST", "x", payload={"a": 1}, repeatable=True)

    assert response.status == 200
    assert len(server.requests) == 2


async def test_a_short_wait_is_waited(serve: Serve, connect: Connect) -> None:
    """Where the forge refuses a request for the moment, nothing was done, so even a write is sent again after that time."""
    server = await serve(reply(429, retry_after="0"), reply(201))

    response = await connect(server.url).request("POST", "x", payload={"a": 1})

    assert response.status == 201
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"retry_after": "900"}),
        (403, {"retry_after": "900"}),
        (403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "4102444800"}),
    ],
)
async def test_a_long_wait_is_told(serve: Serve, connect: Connect, status: int, headers: dict[str, str]) -> None:
    """A wait that no caller would sit through is told at once instead."""
    server = await serve(reply(status, b"{}", **headers))

    with pytest.raises(RateLimited, match=r"asks to wait for [\d,]+ s") as caught:
        await connect(server.url).request("GET", "x")
    assert caught.value.code == "rate_limited"
    assert len(server.requests) == 1


async def test_no_permission_is_no_rate_limit(serve: Serve, connect: Connect) -> None:
    """A 403 with requests left is an answer, which the provider puts into words."""
    server = await serve(reply(403, x_ratelimit_remaining="12"))

    response = await connect(server.url).request("GET", "x")

    assert response.status == 403


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"x" * 5_000),
        reply(200, b"x" * 5_000).replace(b"content-length: 5000\r\n", b""),
        reply(200, gzip.compress(b"x" * 5_000), content_encoding="gzip"),
    ],
    ids=["honest", "without a length", "compressed"],
)
async def test_an_answer_that_is_too_large(listen: Listen, connect: Connect, answer: bytes) -> None:
    """More bytes than are wanted are not read, whatever the headers say, and however small they are on the wire."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    web = connect(f"http://{await listen(handle)}")

    with pytest.raises(TooLarge, match="more than 1,000 bytes"):
        await web.request("GET", "x", most=1_000)


async def test_the_end_of_a_log(serve: Serve, connect: Connect) -> None:
    """Of a long text only the last bytes are kept, and one that is too long for that is refused as well."""
    server = await serve(reply(200, b"0123456789" * 2_000))
    web = connect(server.url)

    response = await web.request("GET", "log", most=50_000, keep=15)

    assert response.body == b"567890123456789"
    with pytest.raises(TooLarge):
        await web.request("GET", "log", most=10_000, keep=15)


async def test_a_socket_that_never_answers(listen: Listen, connect: Connect) -> None:
    """A forge that takes the request and says nothing is given up after the time of the settings."""
    arrived: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrived.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.read()

    web = connect(f"http://{await listen(handle)}", seconds=0.5)

    with pytest.raises(TimedOut, match=r"within 0\.5 s"):
        await web.request("GET", "x")
    assert len(arrived) == 1


async def test_an_answer_that_drips(listen: Listen, connect: Connect) -> None:
    """A forge that always sends one byte more is given up as well."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(200, b"", content_length="1000000"))
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)  # the drip that the test is about

    web = connect(f"http://{await listen(handle)}", seconds=0.5)

    with pytest.raises(TimedOut):
        await web.request("GET", "x")


async def test_nobody_listens(connect: Connect) -> None:
    """An address where nothing listens is told in one line, without a trace of the token."""
    web = connect("http://127.0.0.1:1", seconds=5.0)

    with pytest.raises(Unavailable, match="hub cannot be reached") as caught:
        await web.request("GET", "x")
    assert "not-a-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(200, b"<html>log in</html>", content_type="text/html"), "did not answer in JSON"),
        (reply(200, b"{}", content_type="text/plain; charset=json"), "did not answer in JSON"),
        (reply(200, b'{"a": '), "broken JSON"),
        (reply(200, b"\xff\xfe"), "broken JSON"),
        (reply(200, b"[" * 100_000), "broken JSON"),
    ],
    ids=["html", "text", "cut off", "no text", "deep"],
)
async def test_what_is_no_json(serve: Serve, connect: Connect, answer: bytes, words: str) -> None:
    """A log-in page or half an answer is a failure in words, never data."""
    server = await serve(answer)
    response = await connect(server.url).request("GET", "x")

    with pytest.raises(Unavailable, match=words):
        json_of(response, "hub")


@pytest.mark.parametrize(
    "answer",
    [reply(200, b"no gzip", content_encoding="gzip"), reply(302, location="http://["), b"HTTP/1.1 banana\r\n\r\n"],
    ids=["compression", "address", "protocol"],
)
async def test_an_answer_that_breaks_the_rules(serve: Serve, connect: Connect, answer: bytes) -> None:
    """What no server should send is a failure of the forge in words, not a defect of ours."""
    server = await serve(answer)

    with pytest.raises(Unavailable, match=r"^hub "):
        await connect(server.url).request("GET", "x", follow=True)


async def test_no_cookies(serve: Serve, connect: Connect) -> None:
    """A session that the forge starts is not carried into the next request."""
    server = await serve(reply(200, set_cookie="session=1; Path=/"))
    web = connect(server.url)

    for _ in range(2):
        await web.request("GET", "x")

    assert [("cookie:" in request) for request in server.requests] == [False, False]


async def test_a_redirect_on_the_same_host(serve: Serve, connect: Connect) -> None:
    """What the forge has moved is followed there with the token, if that is wanted."""
    server = await serve(reply(301, location="/moved?x=1"), reply(200))

    response = await connect(server.url).request("GET", "x", follow=True)

    assert response.status == 200
    assert server.requests[1].startswith("get /moved?x=1 ")
    assert TOKEN.lower() in server.requests[1]


async def test_a_redirect_that_is_not_followed(serve: Serve, connect: Connect) -> None:
    """Without the wish, and behind a write, a redirect is the answer."""
    server = await serve(reply(307, location="/moved"))
    web = connect(server.url)

    read, written = await web.request("GET", "x"), await web.request("POST", "x", payload={}, follow=True)

    assert (read.status, written.status) == (307, 307)
    assert len(server.requests) == 2


async def test_a_redirect_to_another_host(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    """Another host, such as a store of logs, is asked without the token."""
    server_side, client_side = certified(tmp_path)
    store = await serve(reply(200, b"log", content_type="text/plain"), tls=server_side)
    server = await serve(reply(302, location=f"{store.url}/log?signature=1"))
    web = connect(server.url, transport=httpx2.AsyncHTTPTransport(verify=client_side))

    response = await web.request("GET", "x", follow=True)

    assert response.text() == "log"
    assert TOKEN.lower() in server.requests[0]
    assert "authorization" not in store.requests[0]


async def test_a_redirect_to_another_host_in_the_open(serve: Serve, connect: Connect) -> None:
    """Another host is followed over https only."""
    store = await serve(reply(200))
    server = await serve(reply(302, location=store.url))

    with pytest.raises(Unavailable, match="not https"):
        await connect(server.url).request("GET", "x", follow=True)
    assert store.requests == []


async def test_a_circle_of_redirects(serve: Serve, connect: Connect) -> None:
    """Redirects without end end."""
    server = await serve(reply(302, location="/again"))

    with pytest.raises(Unavailable, match="without end"):
        await connect(server.url).request("GET", "x", follow=True)


async def test_at_most_six_at_once(listen: Listen, connect: Connect) -> None:
    """However many are asked for, six requests are under way at a time."""
    under_way: list[int] = []
    now = 0
    full = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            now += 1
            under_way.append(now)
            if now == 6:
                full.set()
            await full.wait()
            now -= 1
            writer.write(reply(200))
            await writer.drain()

    web = connect(f"http://{await listen(handle)}")

    answers = await asyncio.gather(*(web.request("GET", str(number)) for number in range(20)))

    assert [answer.status for answer in answers] == [200] * 20
    assert max(under_way) == 6


@pytest.mark.parametrize("failure", [TimedOut, Unavailable, RateLimited])
def test_what_may_be_tried_again(failure: type[ToolFailure]) -> None:
    """What passes by itself is marked as worth another try."""
    assert failure.retryable


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The two sides of TLS on loopback, with a certificate made for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store of logs")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "public.pem", folder / "private.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(public, private)
    return server_side, ssl.create_default_context(cafile=str(public))

"""Serving MCP over streamable HTTP at /mcp, with /healthz and /readyz beside it, until SIGTERM or SIGINT."""

import asyncio
import contextlib
import hmac
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING

import uvicorn
from fastmcp.server.auth import AccessToken, TokenVerifier
from starlette.responses import JSONResponse
from typing_extensions import override

from .config import ConfigError
from .redact import redact
from .settings import ServerSettings, host_port

if TYPE_CHECKING:
    from types import FrameType

    from fastmcp import FastMCP
    from starlette.requests import Request
    from starlette.responses import Response

    from .ending import Ending

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 5
_CANCEL_SECONDS = 2
_READY_SECONDS = 10

Ready = Callable[[], Awaitable[dict[str, str | None]]]


def listen(address: str) -> socket.socket:
    """A socket that listens on HOST:PORT. Raises ConfigError."""
    host, port = host_port(address)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ConfigError(f"http: cannot listen on {address}: {reason}. Choose another HOST:PORT") from None
    # asyncio sets it on sockets that it makes itself. Without it an answer's body waits for the client to confirm its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def serve_http(mcp: "FastMCP", ready: Ready, settings: ServerSettings, listener: socket.socket, ending: "Ending") -> None:
    """Serves *mcp* on *listener*: a signal lets calls in flight finish for a few seconds, then the lifespan is torn down."""
    _add_health_routes(mcp, ready)
    if settings.token is not None:
        mcp.auth = _OneToken(settings.token.get_secret_value())
    host = host_port(settings.http or "")[0]
    asgi = mcp.http_app(path="/mcp", host_origin_protection=True, allowed_hosts=[host, *settings.allowed_hosts])
    server = _Server(
        uvicorn.Config(
            asgi,
            lifespan="off",  # entered here instead: what goes wrong in it must end the process with its reason
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )
    server.take_signals()
    async with asgi.lifespan(asgi):
        _announce(settings.name, listener)
        await server.serve([listener])
        ending.begin()


class _Server(uvicorn.Server):
    """uvicorn, but a signal that it has handled is not raised again: the lifespan still has to be torn down."""

    def take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    @override
    def handle_exit(self, sig: int, frame: "FrameType | None") -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a call that is cut off now is no error of ours
        super().handle_exit(sig, frame)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.server_state.tasks:  # cancelled, but not awaited: they still use what the lifespan holds
            await asyncio.wait(self.server_state.tasks, timeout=_CANCEL_SECONDS)


class _OneToken(TokenVerifier):
    """Accepts one bearer token, compared in constant time."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token.encode()

    @override
    async def verify_token(self, token: str) -> AccessToken | None:
        if not hmac.compare_digest(token.encode(errors="surrogateescape"), self._token):
            return None
        return AccessToken(token=token, client_id="token", scopes=[])


def _announce(name: str, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"opsroom-{name.replace('_', '-')} listens on http://{shown}:{port}/mcp", file=sys.stderr, flush=True)  # noqa: T201


def _add_health_routes(mcp: "FastMCP", ready: Ready) -> None:
    async def healthz(_: "Request") -> "Response":
        return JSONResponse({"status": "ok"})

    async def readyz(_: "Request") -> "Response":
        backends = await _readiness(ready)
        down = any(reason is not None for reason in backends.values())
        body = {
            "status": "unavailable" if down else "ok",
            "backends": {name: "ok" if reason is None else redact(reason) for name, reason in backends.items()},
        }
        return JSONResponse(body, status_code=503 if down else 200)

    mcp.custom_route("/healthz", methods=["GET"])(healthz)
    mcp.custom_route("/readyz", methods=["GET"])(readyz)


async def _readiness(ready: Ready) -> dict[str, str | None]:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            return await ready()
    except TimeoutError:
        return {"server": f"did not answer within {_READY_SECONDS} s"}
    except Exception:  # a probe that fails says not ready, whatever the reason
        log.exception("readiness cannot be told")
        return {"server": "cannot tell; its log says why"}

"""How every server is started: flags, settings, logs to stderr, then stdio or streamable HTTP until it is told to stop."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from .config import ConfigError, Table
from .redact import RedactingFormatter, redact
from .settings import ServerSettings, host_port, read_settings

if TYPE_CHECKING:
    from fastmcp import FastMCP
    from starlette.requests import Request
    from starlette.responses import Response

S = TypeVar("S", bound=ServerSettings)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHUTDOWN_SECONDS = 5


@dataclass(frozen=True)
class App:
    """A built server and how to tell whether its backends answer."""

    mcp: "FastMCP"
    ready: Callable[[], Awaitable[dict[str, str | None]]]
    """Backend name → None when it answers, or one line on why not. Bounded in time by the server that gives it."""


@dataclass(frozen=True)
class Program(Generic[S]):
    """A console script `opsroom-<name>`. `build` makes its heavy imports itself, so that --help does not pay for them."""

    name: str
    distribution: str
    description: str
    examples: str
    settings: type[S]
    build: Callable[[S], App]
    add_flags: Callable[[argparse.ArgumentParser], None] = lambda _: None
    """Adds flags of its own; their `dest` is the settings key, and an unset flag must default to argparse.SUPPRESS."""


def run(program: Program[S], argv: Sequence[str] | None = None) -> int:
    """Runs *program* until EOF on stdin, SIGTERM or SIGINT. Returns the exit status: 0 stopped, 2 bad usage or configuration."""
    flags: Table = vars(_parser(program).parse_args(argv))
    config = flags.pop("config", None) or os.environ.get(f"OPSROOM_{program.name.upper()}_CONFIG")
    try:
        settings = read_settings(program.settings, flags, Path(str(config)) if config else None)
        _refuse_open_http(settings)
        _log_to_stderr(settings.log_level)
        # before fastmcp is first imported: no call home, and no settings from a .env file of whoever's folder this is
        os.environ["FASTMCP_CHECK_FOR_UPDATES"] = "off"
        os.environ["FASTMCP_ENV_FILE"] = os.devnull
        os.environ["FASTMCP_LOG_ENABLED"] = "false"
        app = program.build(settings)
        if settings.http:
            _serve_http(app, settings, *host_port(settings.http))
        else:
            asyncio.run(_serve_stdio(app.mcp))
    except ConfigError as error:
        print(f"opsroom-{program.name.replace('_', '-')}: {redact(str(error))}", file=sys.stderr)  # noqa: T201 - the user's terminal
        return 2
    return 0


def _parser(program: Program[S]) -> argparse.ArgumentParser:
    unset = argparse.SUPPRESS
    script = f"opsroom-{program.name.replace('_', '-')}"
    parser = argparse.ArgumentParser(
        prog=script,
        description=program.description,
        epilog=f"{program.examples}\n\nEvery setting can also stand in the file of --config, or in the environment as "
        f"OPSROOM_{program.name.upper()}_<SETTING>. Flags win over the environment, the environment over the file.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=unset,
    )
    parser.add_argument("--version", action="version", version=f"{script} {version(program.distribution)}")
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings")
    parser.add_argument("--http", metavar="HOST:PORT", help="serve streamable HTTP at /mcp instead of stdio")
    parser.add_argument("--demo", action="store_true", help="run on embedded demo data, made on first use")
    parser.add_argument("--allow-writes", action="store_true", help="register the write tools; without it they do not exist")
    parser.add_argument("--state", metavar="DIR", help="folder for what the server keeps")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], help="what is logged to stderr")
    program.add_flags(parser)
    return parser


def _refuse_open_http(settings: ServerSettings) -> None:
    if settings.http and settings.token is None and host_port(settings.http)[0] not in _LOOPBACK:
        raise ConfigError(
            f"http: {settings.http} is reachable from other machines, and no token is set. "
            f"Set OPSROOM_{settings.name.upper()}_TOKEN, or listen on 127.0.0.1"
        )


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # fastmcp prints tracebacks of tools itself, unredacted; ErrorDetails logs the same ones through the formatter above
    library = logging.getLogger("fastmcp")
    library.handlers.clear()
    library.propagate = True
    library.setLevel(logging.DEBUG if level == "debug" else logging.CRITICAL)


async def _serve_stdio(mcp: "FastMCP") -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # The private, ref-counted lifespan manager is held here so that a signal can leave it; tests guard the name.
    async with mcp._lifespan_manager():  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        serving = asyncio.create_task(mcp.run_stdio_async(show_banner=False))
        signalled = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving  # stdin reached EOF, or this raises what ended it
    if not serving.done():
        sys.stderr.flush()
        os._exit(0)  # the thread that reads stdin cannot be interrupted


def _serve_http(app: App, settings: ServerSettings, host: str, port: int) -> None:
    import uvicorn

    _add_health_routes(app)
    _require_token(app.mcp, settings)

    def stop(*_: object) -> None:
        raise SystemExit(0)  # uvicorn raises SIGTERM again after its own graceful shutdown

    signal.signal(signal.SIGTERM, stop)
    asgi = app.mcp.http_app(host_origin_protection=True, allowed_hosts=[host, "localhost", "127.0.0.1", *settings.allowed_hosts])
    server = uvicorn.Server(
        uvicorn.Config(
            asgi,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
    )
    sockets = [server.config.bind_socket()]
    bound = cast("tuple[str, int]", sockets[0].getsockname()[:2])
    shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    print(  # noqa: T201
        f"opsroom-{settings.name.replace('_', '-')} listens on http://{shown}:{bound[1]}/mcp",
        file=sys.stderr,
        flush=True,
    )
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets)


def _add_health_routes(app: App) -> None:
    from starlette.responses import JSONResponse

    async def healthz(_: "Request") -> "Response":
        return JSONResponse({"status": "ok"})

    async def readyz(_: "Request") -> "Response":
        backends = await app.ready()
        down = {name: reason for name, reason in backends.items() if reason is not None}
        body = {
            "status": "unavailable" if down else "ok",
            "backends": {name: reason or "ok" for name, reason in backends.items()},
        }
        return JSONResponse(body, status_code=503 if down else 200)

    app.mcp.custom_route("/healthz", methods=["GET"])(healthz)
    app.mcp.custom_route("/readyz", methods=["GET"])(readyz)


def _require_token(mcp: "FastMCP", settings: ServerSettings) -> None:
    if settings.token is None:
        return
    from fastmcp.server.auth import StaticTokenVerifier

    mcp.auth = StaticTokenVerifier({settings.token.get_secret_value(): {"client_id": "token", "scopes": []}})

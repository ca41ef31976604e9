"""How every server is started: flags, settings, logs to stderr, then stdio or streamable HTTP until it is told to stop."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar, cast

from .config import ConfigError, Table
from .ending import Ending
from .redact import RedactingFormatter, redact
from .settings import ServerSettings, read_settings

if TYPE_CHECKING:
    from types import TracebackType

    from fastmcp import FastMCP

S = TypeVar("S", bound=ServerSettings)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class App:
    """A built server and how to tell whether its backends answer."""

    mcp: "FastMCP"
    ready: Callable[[], Awaitable[dict[str, str | None]]]
    """Backend name → None when it answers, or one line on why not. Bounded in time by the server that gives it."""


@dataclass(frozen=True)
class Command(Generic[S]):
    """`opsroom-<name> COMMAND ARGUMENT`: prints one text instead of serving."""

    argument: str
    """What the argument is, in capitals; empty where there is none."""
    help: str
    run: Callable[[S, str], Awaitable[str]]
    """The text. Raises ConfigError with what was wrong."""


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
    commands: Mapping[str, Command[S]] = field(default_factory=lambda: {})  # noqa: PIE807 - a bare dict has no element type
    """What the script does beside serving."""

    @property
    def script(self) -> str:
        return f"opsroom-{self.name.replace('_', '-')}"


def run(program: Program[S], argv: Sequence[str] | None = None) -> int:
    """Runs *program* until EOF on stdin, SIGTERM or SIGINT.

    Returns the exit status: 0 stopped, 1 ended by a defect, 2 bad usage or configuration. The process must end with it: half a
    second later it is ended, so that a thread that nothing can stop does not hold it.
    """
    gc.disable()  # imports make objects that stay: collecting while they run costs a tenth of the start
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    _log_to_stderr("warning")  # what goes wrong before the level is known is redacted too
    parser = _parser(program)
    flags: Table = vars(parser.parse_args(argv))
    command, argument = flags.pop("command", None), flags.pop("argument", None)
    if command is not None and command not in program.commands:
        parser.error(f"unknown command {command}; there are: {', '.join(program.commands)}")
    if command is not None and bool(wanted := program.commands[str(command)].argument) != (argument is not None):
        parser.error(f"{command} needs {wanted}" if wanted else f"{command} takes no argument")
    config = flags.pop("config", None) or os.environ.get(program.settings.variable("config"))
    try:
        settings = read_settings(program.settings, flags, Path(str(config)) if config else None)
        settings.check_reach()
        _log_to_stderr(settings.log_level)
        if command is not None:
            print(asyncio.run(_text_of(program.commands[str(command)].run(settings, str(argument or "")))))  # noqa: T201 - it was asked for
            return 0
        _serve(program, settings)
    except ConfigError as error:
        return _refused(program, error)
    except Exception as error:  # the last stop before a raw traceback, which could hold a secret
        wrapped = _config_error(error)
        if wrapped:
            return _refused(program, wrapped)
        log.exception("%s ended on a defect", program.script)
        return 1
    return 0


def _serve(program: Program[S], settings: S) -> None:
    ending = Ending()
    if settings.http:
        from .http import listen, serve_http

        with listen(settings.http) as listener:
            app = program.build(settings)
            asyncio.run(_until_torn_down(serve_http(app.mcp, app.ready, settings, listener, ending), ending))
    else:
        from .stdio import serve_stdio

        app = program.build(settings)
        asyncio.run(_until_torn_down(serve_stdio(app.mcp, ending), ending))


async def _text_of(work: Awaitable[str]) -> str:
    return await work


async def _until_torn_down(serving: Awaitable[None], ending: Ending) -> None:
    gc.freeze()
    gc.enable()
    await serving
    ending.torn_down()


def _parser(program: Program[S]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program.script,
        description=program.description,
        epilog=f"{program.examples}\n\nEvery setting can also stand in the file of --config, or in the environment as "
        f"{program.settings.variable('<setting>')}. Flags win over the environment, the environment over the file.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--version", action="version", version=f"{program.script} {version(program.distribution)}")
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings")
    parser.add_argument("--http", metavar="HOST:PORT", help="serve streamable HTTP at /mcp instead of stdio")
    parser.add_argument("--demo", action="store_true", help="run on embedded demo data, made on first use")
    parser.add_argument("--allow-writes", action="store_true", help="register the write tools; without it they do not exist")
    parser.add_argument("--state", metavar="DIR", help="folder for what the server keeps")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], help="what is logged to stderr")
    program.add_flags(parser)
    if program.commands:
        lines = [f"{name} {command.argument}".rstrip() + f": {command.help}" for name, command in program.commands.items()]
        parser.add_argument("command", nargs="?", help="; ".join(lines))
        parser.add_argument("argument", nargs="?", help="what the command is about")
    return parser


def _leave(*_: object) -> NoReturn:
    """Before serving has begun there is nothing to tear down."""
    raise SystemExit(0)


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    threading.excepthook = lambda args: log.error("a thread ended on a defect", exc_info=_exc_info(args.exc_value))
    # fastmcp logs tracebacks of tools itself, through a handler that redacts nothing; ErrorDetails logs the same ones
    os.environ["FASTMCP_LOG_ENABLED"] = "false"
    library = logging.getLogger("fastmcp")
    library.handlers.clear()
    library.propagate = True
    # at debug it logs the arguments of every call
    library.setLevel(logging.INFO if level == "debug" else logging.CRITICAL)


def _exc_info(error: BaseException | None) -> "tuple[type[BaseException], BaseException, TracebackType | None] | None":
    return (type(error), error, error.__traceback__) if error else None


def _config_error(error: BaseException) -> ConfigError | None:
    """The ConfigError that a lifespan raised: libraries that serve in task groups wrap it."""
    if isinstance(error, ConfigError):
        return error
    inner = cast("tuple[BaseException, ...]", getattr(error, "exceptions", ()))
    return next(filter(None, map(_config_error, inner)), None)


def _refused(program: Program[S], error: ConfigError) -> int:
    print(f"{program.script}: {redact(str(error))}", file=sys.stderr)  # noqa: T201 - the user's terminal
    return 2

"""The terminal face: `opsroom`. Commands import what they need when they run, so that --help stays fast."""

import sys
from typing import Annotated

import typer

from opsroom.errors import OpsroomError, UsageError

from . import ask, demo, evals, inventory, route, runs

app = typer.Typer(
    name="opsroom",
    help="Routes an operations request to a specialised agent with a few tools, and keeps answering when models or servers fail.",
    epilog='Start with: opsroom demo   or: opsroom ask "which tables are biggest?"',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"opsroom {version('opsroom')}")
        raise typer.Exit


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction] - typer calls it
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command(epilog=ask.EPILOG)(ask.ask)
app.command(epilog=route.EPILOG)(route.route)
app.command()(inventory.servers)
app.command()(inventory.tools)
app.command()(inventory.agents)
app.add_typer(runs.app, name="runs")
app.add_typer(evals.app, name="evals")
app.command()(demo.demo)


def main() -> None:
    """The console script. Every expected failure is one line on stderr and its exit status; nothing prints a traceback."""
    try:
        app(standalone_mode=True)
    except OpsroomError as error:
        sys.exit(_failed(str(error), error.exit_status))
    except BrokenPipeError:
        # whoever read our output has gone (`opsroom runs list | head`); the flush at exit must not complain about it
        sys.stdout = None
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # imported only now: it brings pydantic, a quarter of what --help takes
        from opsroom_shared.config import ConfigError

        if not isinstance(error, ConfigError):
            raise
        sys.exit(_failed(str(error), UsageError.exit_status))


def _failed(text: str, status: int) -> int:
    from opsroom_shared.redact import redact

    print(f"opsroom: {redact(text)}", file=sys.stderr)  # noqa: T201 - the user's terminal
    return status

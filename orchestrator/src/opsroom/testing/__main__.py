"""`python -m opsroom.testing`: plays a script on loopback until it is told to stop."""

import argparse
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from opsroom_shared.config import ConfigError

from .script import Script, play_named, read_script, shipped
from .server import ScriptedAnthropic


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m opsroom.testing",
        description="Plays the Anthropic API on loopback, without a key and without a model. Stops on SIGTERM and Ctrl-C.",
    )
    parser.add_argument("--port", type=_port, default=0, help="a free one if left out")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--script", type=Path, metavar="FILE", help="a script of your own, .json or .toml")
    what.add_argument("--play", default="demo", metavar="NAME", help=f"a script or fault that ships: {', '.join(shipped())}")
    chosen = parser.parse_args(arguments)
    try:
        script = read_script(chosen.script) if chosen.script else play_named(chosen.play)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return _serve(script, chosen.port)


def _serve(script: Script, port: int) -> int:
    signal.signal(signal.SIGTERM, _stop)
    try:
        with ScriptedAnthropic(script, port=port) as server:
            sys.stdout.write(f"ANTHROPIC_BASE_URL={server.url}\n")
            sys.stdout.flush()
            threading.Event().wait()
    except OSError as error:
        sys.stderr.write(f"port {port} cannot be used: {error.strerror}; choose another with --port\n")
        return 1
    except (KeyboardInterrupt, SystemExit):
        pass
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, and not {text!r}")
    return int(text)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit


if __name__ == "__main__":
    sys.exit(main())

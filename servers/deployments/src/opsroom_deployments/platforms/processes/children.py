"""Processes that outlive whoever started them, and how to tell one from another that has its number."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

_LOOK_SECONDS = 0.2
_ORDINARY = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")
"""What a child gets of the environment of this program; tokens and keys that may be in it stay here."""


_PORTS = range(20_000, 32_000)
"""Below those that the system gives to clients and to whoever asks for any: one of these could be taken before it is used."""
_TRIES = 200


def free_port() -> int:
    """A port that nobody holds. Raises OSError where there is none."""
    for _ in range(_TRIES):
        port = random.choice(_PORTS)  # noqa: S311 - it keeps out of the way of others, and hides nothing
        if is_free(port):
            return port
    raise OSError(f"no port from {_PORTS.start} to {_PORTS.stop} is free")


def is_free(port: int, host: str = "") -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def birth_of(pid: int) -> str | None:
    """When the process *pid* began, in the system's own words; None where there is none. "" where the system does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return "" if not Path("/proc/self/stat").exists() and _exists(pid) else None
    except ProcessLookupError:
        return None
    return None if fields[0] == "Z" else fields[19]


def environment(own: Mapping[str, str]) -> dict[str, str]:
    return {**{name: os.environ[name] for name in _ORDINARY if name in os.environ}, **own}


async def spawn(
    command: Sequence[str], *, folder: str | None, environment: Mapping[str, str], log: Path
) -> asyncio.subprocess.Process:
    """A process in a session of its own, with both its outputs appended to *log*. Raises OSError."""
    with log.open("ab") as stream:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def send(pid: int, number: signal.Signals) -> None:
    """Signals the whole session of *pid*: a shell that was started would otherwise leave its own children behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def end_of(pid: int, birth: str) -> None:
    """Returns when a process that is not a child of this one has ended."""
    while birth_of(pid) == birth:  # noqa: ASYNC110 - the system gives no event for it
        await asyncio.sleep(_LOOK_SECONDS)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

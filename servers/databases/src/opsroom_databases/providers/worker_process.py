"""What the child processes behind a WorkerPool have in common: frames on their pipes, an alarm, limits; standard library only.

A frame is four bytes of length, then JSON. The first one from stdin sets a process up; each of the others is a request, and is
answered with one on stdout, until EOF.
"""

import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

_LENGTH = struct.Struct(">I")
_MAX_REQUEST = 4 << 20
# What runs past its time may notice it by itself; what does not ends with the process.
_GRACE_SECONDS = 1.5

S = TypeVar("S")


def serve(set_up: Callable[[object], S], answer_to: Callable[[object, S], Mapping[str, object]]) -> None:
    """Answers requests until EOF, or until an answer is the last."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is for the server, which then closes stdin
    first = _receive()
    if first is None:
        return
    state = set_up(first)
    while (request := _receive()) is not None:
        answer = answer_to(request, state)
        _send(answer)
        if answer.get("last"):
            return


def run(main: Callable[[], None]) -> None:
    """Runs *main*, and ends the process."""
    with suppress(BrokenPipeError):
        main()
    os._exit(0)  # nothing to save, and tearing down the interpreter costs the next start


@contextmanager
def alarm(seconds: float) -> Generator[None]:
    """Ends the process some time after *seconds*: without a handler also inside the engine, and when the owner is gone."""
    signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def set_limit(kind: int, value: int) -> None:
    with suppress(ValueError, OSError):  # where the system refuses, the other limits still hold
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _receive() -> object:
    head = sys.stdin.buffer.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _MAX_REQUEST:
        return None
    return json.loads(sys.stdin.buffer.read(length))


def _send(answer: Mapping[str, object]) -> None:
    body = json.dumps(answer, separators=(",", ":")).encode()
    sys.stdout.buffer.write(_LENGTH.pack(len(body)) + body)
    sys.stdout.buffer.flush()

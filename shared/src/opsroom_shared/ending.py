"""The end of a server's process, bounded in time whatever is still running in it."""

import logging
import os
import sys
import threading

log = logging.getLogger(__name__)

_TO_TEAR_DOWN = 3.0
_TO_LEAVE = 0.5


class Ending:
    """Once begun, the process ends within a grace period: a call that blocks a thread can otherwise hold it for ever."""

    def __init__(self) -> None:
        self._begun = False

    def begin(self) -> None:
        """From now on calls are cancelled and the lifespan is torn down; unless that is done in time, it failed."""
        if not self._begun:
            self._begun = True
            _exit_after(_TO_TEAR_DOWN, 1)

    def torn_down(self) -> None:
        """The lifespan has released what it held: whatever still runs can be abandoned."""
        _exit_after(_TO_LEAVE, 0)


def _exit_after(seconds: float, status: int) -> None:
    def leave() -> None:
        if status:
            log.error("what the server holds was not released within %s s; it is abandoned", seconds)
        sys.stderr.flush()
        os._exit(status)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()

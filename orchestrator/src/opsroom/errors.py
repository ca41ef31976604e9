"""The orchestrator's errors: each ends a command with one line on stderr that says what was wrong and what to do.

OpsroomError                 exit status 1
├── UsageError               exit status 2: the command, its arguments or the configuration must change
└── ServerUnavailable        a tool server cannot be reached; the request goes on without it where it can
"""

from typing import ClassVar


class OpsroomError(Exception):
    exit_status: ClassVar[int] = 1


class UsageError(OpsroomError):
    exit_status = 2


class ServerUnavailable(OpsroomError):
    """Raised by a connection; its text names the server, the last error, and what to try."""

"""Runs the calls on one database that is reached through SQLAlchemy, in a child process that its owner may kill at any time.

It is started as `python -I -S generic_worker.py`, and speaks in the frames of worker_process. The first one says where the
database is, and where packages are found; so neither stands on the command line or in the environment.
"""

import os
import resource
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict, cast

if TYPE_CHECKING:
    from . import worker_process
    from .generic_session import Access, Session
else:
    # -I leaves the script's own folder out, and it must stay out: the names of its modules are those of drivers
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs a third of the start
    import worker_process

    sys.path.pop(0)


_TOO_MUCH_MEMORY = "The query needs more memory than it may take. Read or sort less at once."


class Setup(TypedDict):
    """The first frame."""

    paths: list[str]
    environment: dict[str, str]
    access: "Access"


class Request(TypedDict):
    call: str
    seconds: float
    arguments: dict[str, object]


def _session(setup: object) -> "Session":
    """The database, with everything imported that reading it takes; from here on memory is limited."""
    given = cast("Setup", setup)
    sys.path += [path for path in given["paths"] if path not in sys.path]
    os.environ.update(given["environment"])
    from opsroom_databases.dialects.generic import engine_of
    from opsroom_databases.providers.generic_session import Session

    session = Session(given["access"])
    engine = engine_of(given["access"]["dialect"])
    more = (given["access"]["memory_mib"] + engine.reserved_mib) << 20
    worker_process.set_limit(resource.RLIMIT_AS, _address_space() + more)
    if engine.is_file:
        worker_process.set_limit(resource.RLIMIT_FSIZE, 0)
    return session


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no pathlib needed here
        return int(file.read().split()[0]) * resource.getpagesize()


def _answer(received: object, session: "Session") -> Mapping[str, object]:
    from opsroom_shared.errors import ToolFailure

    from opsroom_databases.providers import generic_calls

    request = cast("Request", received)
    try:
        with worker_process.alarm(request["seconds"]):
            return {"value": generic_calls.answered(session, request["call"], request["arguments"])}
    except ToolFailure as failure:
        return {"failure": failure.code, "message": str(failure)}
    except MemoryError:
        return {"failure": "too_large", "message": _TOO_MUCH_MEMORY, "last": True}
    except Exception as error:  # noqa: BLE001 - every failure is an answer; only the owner can tell whose fault it was
        return {"failure": "defect", "message": f"{type(error).__name__}: {session.cleaned(error)}", "last": True}


def main() -> None:
    worker_process.serve(_session, _answer)


if __name__ == "__main__":
    worker_process.run(main)

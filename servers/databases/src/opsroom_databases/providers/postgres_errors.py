"""The one place where a failure of the engine, the driver or the network becomes a ToolFailure."""

import os
from collections.abc import Generator
from contextlib import contextmanager

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none
from opsroom_shared.errors import InvalidInput, NotPermitted, TimedOut, TooLarge, ToolFailure, Unavailable

from ..cells import text
from ..dialects.postgres_statement import Reading
from ..sql_position import marked

_MAX_MESSAGE = 1_000

_TIMEOUT = ("57014", "25P03", "25P04")
_LOCKED = ("55P03",)
_LOGIN = ("28000", "28P01")
_TOO_LARGE = ("53100", "53200", "53400", "54000", "54001", "54011", "54023")
_NOT_PERMITTED = ("25006", "42501")
_AGAIN = ("40001", "40P01", "53300", "57P01", "57P02", "57P03", "57P05", "58000")
_NO_DATABASE = "3D000"


@contextmanager
def translated(name: str, seconds: float, reading: Reading | None = None) -> Generator[None]:
    """Raises a ToolFailure for what goes wrong inside. *reading* is the caller's statement, if it is about one."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _from_engine(error, name, seconds, reading) from error
    except TimeoutError:
        raise too_slow(seconds) from None
    except (asyncpg.InterfaceError, OSError) as error:
        raise Unavailable(unreachable(name, error)) from error


def too_slow(seconds: float) -> TimedOut:
    return TimedOut(f"The query was stopped after {seconds:g} s. Narrow it with WHERE; explain_query shows what makes it slow.")


def unreachable(name: str, error: Exception) -> str:
    """Why there is no session, without the address or anything else of the URL."""
    if isinstance(error, asyncpg.PostgresError):
        code = _code(error)
        if code in _LOGIN:
            return f"{name} refused the login: check the user and the password in its URL."
        if code == _NO_DATABASE:
            return f"The engine of {name} has no database of the name in its URL."
        return f"{name} does not answer: {_message(error)}."
    if isinstance(error, TimeoutError):
        return f"{name} did not answer in time."
    reason = type(error).__name__
    if isinstance(error, OSError):  # asyncio's own text has the address in it
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no connection"
    return f"{name} cannot be reached ({reason}). Check that the engine runs, and the host and port in its URL."


def _from_engine(error: asyncpg.PostgresError, name: str, seconds: float, reading: Reading | None) -> ToolFailure:
    code, message = _code(error), _message(error)
    known: ToolFailure | None = None
    if code in _TIMEOUT:
        known = too_slow(seconds)
    elif code in _LOCKED:
        known = Unavailable("The query waits for a lock that somebody else holds, and was stopped. Try again in a moment.")
    elif code in _TOO_LARGE:
        known = TooLarge(f"The query needs more than the engine gives it: {message}. Read or sort less at once.")
    elif code in _NOT_PERMITTED:
        known = NotPermitted(f"The engine refused it: {message}.")
    elif code in (*_LOGIN, _NO_DATABASE, *_AGAIN) or code.startswith("08"):
        known = Unavailable(unreachable(name, error))
    return known or InvalidInput(f"{message}{_hint(error)}{_place(error, reading)}")


def _code(error: asyncpg.PostgresError) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _message(error: asyncpg.PostgresError) -> str:
    return text(str(error.args[0]) if error.args else type(error).__name__, _MAX_MESSAGE).rstrip(".")


def _hint(error: asyncpg.PostgresError) -> str:
    hint = str(getattr(error, "hint", None) or "")
    return f". {text(hint, _MAX_MESSAGE)}" if hint else ""


def _place(error: asyncpg.PostgresError, reading: Reading | None) -> str:
    """The place in the caller's statement that the engine points to; what was sent has the query in it."""
    sent, position = str(getattr(error, "query", None) or ""), str(getattr(error, "position", None) or "")
    if reading is None or not position.isdecimal() or reading.query_sql not in sent:
        return ""
    at = int(position) - 1 - sent.find(reading.query_sql) + reading.sql.rfind(reading.query_sql)
    return f"\n{marked(reading.sql, at)}" if 0 <= at <= len(reading.sql) else ""

"""The one place where a failure of the engine, the driver or the network becomes a ToolFailure."""

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from opsroom_shared.errors import InvalidInput, NotPermitted, TimedOut, TooLarge, ToolFailure, Unavailable

from ..cells import text
from ..dialects.mysql_statement import Reading
from ..index_advice import aliases
from ..names import nearest
from ..sql_position import marked, marked_name
from .mysql_session import Stopped
from .mysql_wire import DriverError, RowTooLarge

_MAX_MESSAGE = 1_000

_TIMEOUT = (1317, 1907, 1968, 1969, 3024)
_AGAIN = (1040, 1053, 1077, 1080, 1129, 1130, 1152, 1159, 1161, 1203, 1226, 1836, 1927)
_NO_SUCH_LOGIN = 2059
_DRIVERS_OWN = range(2000, 3000)
_MEMORY = "max-session-mem-used"
_SYNTAX = 1064

_WORDS: Sequence[tuple[Sequence[int], type[ToolFailure], str]] = (
    ((1205, 1213), Unavailable, "The query waits for a lock that somebody else holds, and was stopped. Try again in a moment."),
    ((1045, 1251, 1698, _NO_SUCH_LOGIN), Unavailable, "{name} refused the login: check the user and the password in its URL."),
    ((1044, 1049), Unavailable, "{name} has no database of the name in its URL, or its user may not read it."),
    (
        (3, 21, 28, 1034, 1037, 1038, 1041, 1104, 1114, 1153, 1301),
        TooLarge,
        "The query needs more than the engine gives it: {message}. Read or sort less at once.",
    ),
    ((1142, 1143, 1227, 1290, 1370, 1792), NotPermitted, "The engine refused it: {message}."),
)

_NO_COLUMN = re.compile(r"Unknown column '(?P<name>.+)' in ")
_NO_TABLE = re.compile(r"Table '(?:[^']*\.)?(?P<name>[^'.]+)' doesn't exist|Unknown table '(?:[^']*\.)?(?P<other>[^'.]+)'")
_NEAR = re.compile(r"near '(?P<near>.*)' at line \d+", re.DOTALL)

Existing = Sequence[tuple[str, str]]
"""Tables with their columns."""


class NameUnknown(InvalidInput):
    """A name in the statement does not exist; what is near it has yet to be looked up."""

    def __init__(self, message: str, name: str, *, is_table: bool) -> None:
        super().__init__(message)
        self.name, self.is_table = name, is_table


@contextmanager
def translated(name: str, seconds: float, reading: Reading | None = None) -> Generator[None]:
    """Raises a ToolFailure for what goes wrong inside. *reading* is the caller's statement, if it is about one."""
    try:
        yield
    except DriverError as error:
        raise _from_driver(error, name, seconds, reading) from error
    except RowTooLarge:
        raise TooLarge("The engine's answer is too large to be read. Ask for less at once.") from None
    except TimedOut:
        raise too_slow(seconds) from None
    except Stopped:
        raise Unavailable(f"The call was ended before {name} was reached.") from None
    except OSError as error:  # a certificate that is not there
        raise Unavailable(_unreachable(name, error)) from error


def too_slow(seconds: float) -> TimedOut:
    return TimedOut(f"The query was stopped after {seconds:g} s. Narrow it with WHERE; explain_query shows what makes it slow.")


def _from_driver(error: DriverError, name: str, seconds: float, reading: Reading | None) -> ToolFailure:
    code, message = code_of(error), _message(error)
    if code in _TIMEOUT:
        return too_slow(seconds)
    if _MEMORY in message:
        return TooLarge("The query needs more memory than memory_mib gives it. Read or sort less at once.")
    if (code in _DRIVERS_OWN and code != _NO_SUCH_LOGIN) or code == 0 or code in _AGAIN:
        return Unavailable(_unreachable(name, error))
    for codes, kind, words in _WORDS:
        if code in codes:
            return kind(words.format(name=name, message=message))
    return _about_statement(code, message, reading)


def _about_statement(code: int, message: str, reading: Reading | None) -> InvalidInput:
    if code == _SYNTAX and reading is not None:
        return InvalidInput(_syntax(message, reading))
    if match := _NO_COLUMN.search(message):
        return NameUnknown(message, match["name"], is_table=False)
    if match := _NO_TABLE.search(message):
        return NameUnknown(message, match["name"] or match["other"], is_table=True)
    return InvalidInput(f"{message}.")


def with_names(failure: NameUnknown, reading: Reading, existing: Existing) -> InvalidInput:
    """*failure* with the nearest names that exist, and the place in the statement that it speaks of."""
    near = _nearest(failure.name, reading, existing, is_table=failure.is_table)
    hint = f". Did you mean {' or '.join(near)}?" if near else ""
    return InvalidInput(f"{failure}{hint}{marked_name(reading.sql, failure.name.rpartition('.')[2])}")


def _nearest(name: str, reading: Reading, existing: Existing, *, is_table: bool) -> list[str]:
    """Tables, or columns as table.column, that look like *name*; those of the statement's own tables first."""
    qualifier, _, last = name.rpartition(".")
    if is_table:
        return nearest(last, {table for table, _ in existing})
    called = aliases(reading.tree) if reading.tree is not None else {}
    own = {called.get(qualifier.lower(), qualifier).lower()} if qualifier else {table.lower() for table in called.values()}
    keeps: Sequence[Callable[[str], bool]] = (lambda table: table.lower() in own, lambda _: True)
    for keep in keeps:
        columns = [(table, column) for table, column in existing if keep(table)]
        if near := nearest(last, {column for _, column in columns}):
            return [f"{table}.{column}" for each in near for table, column in columns if column == each][:3]
    return []


def _syntax(message: str, reading: Reading) -> str:
    """The place that the engine's parser stopped at: it quotes the statement from there on."""
    match = _NEAR.search(message)
    near = match["near"].removesuffix("\n)").rstrip() if match else ""
    at = reading.sql.find(near) if near else len(reading.sql)
    place = f":\n{marked(reading.sql, at)}" if at >= 0 else f" near {text(near, 80)!r}."
    return f"The engine cannot read the statement from here{place}"


def _unreachable(name: str, error: Exception) -> str:
    """Why there is no session, without the address or anything else of the URL."""
    code = code_of(error)
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, TimeoutError):
        return f"{name} did not answer in time."
    if code in (2006, 2013):
        return f"{name} ended the connection. Try again in a moment; the engine may be restarting."
    if code in _AGAIN:
        return f"{name} takes no query now: {_message(error)}."
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return f"{name} cannot be reached ({reason}). Check that the engine runs, and the host and port in its URL."


def code_of(error: Exception) -> int:
    """The engine's or the driver's number of what went wrong; 0 where there is none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def _message(error: Exception) -> str:
    return text(str(error.args[1] if len(error.args) > 1 else error), _MAX_MESSAGE).rstrip(".")

"""Judges what the names in a statement stand for."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from opsroom_shared.errors import InvalidInput, NotPermitted

from ..dialects.postgres import DENIED_FUNCTIONS, DENIED_RELATIONS, REPORTING_FUNCTIONS
from ..dialects.postgres_lexer import scan
from ..dialects.postgres_statement import Call, Reading, may_be_syntax
from ..names import did_you_mean
from ..sql_position import marked
from .postgres_lookup import MAX_SOURCE, Found, Function, function_names, look_up
from .postgres_session import Session

_MAX_ROUNDS = 6
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


async def check_names(reading: Reading, session: Session) -> list[Function]:
    """Lets a statement pass whose every call was found and may be made. Raises NotPermitted or InvalidInput.

    Gives the functions that users wrote, also those that they may call in turn.

    Which of several functions of one name is meant depends on types that only the engine knows, so all of them must pass.
    """
    names = [*(call.name for call in reading.calls), *reading.fields]
    found = await look_up(session, names, reading.names, reading.operators)
    for relation, through in found.relations:
        if DENIED_RELATIONS.fullmatch(relation):
            raise NotPermitted(f"The {through} reads {relation}, which shows more than the rows of this database.")
    reached = [
        function
        for function in found.functions
        if function.through or any(_may_mean(call, function, session.schemas) for call in reading.calls)
    ]
    reached += [function for function in found.functions if function.takes_row and function.name in reading.fields]
    for call in reading.calls:
        if not _is_known(call, found, session.schemas) and not may_be_syntax(call, reading):
            shown = f"{call.schema}.{call.name}" if call.schema else call.name
            hint = did_you_mean(call.name, await function_names(session))
            raise InvalidInput(f"There is no function {shown}.{hint}\n{marked(reading.sql, call.position)}")
    for function in reached:
        if reason := refusal(function):
            raise NotPermitted(_refused(function, reason, reading))
    return await _check_sources([function for function in reached if not function.provided], reading, session)


def refusal(function: Function) -> str | None:
    """Why *function* may not be called, whatever its arguments and whoever wrote it; None where nothing speaks against it."""
    if DENIED_FUNCTIONS.fullmatch(function.name):
        return "reaches beyond a read-only query"
    if not function.provided:
        return None if function.trusted else f"is written in {function.language}, which a read-only transaction does not hold"
    if function.volatile and not REPORTING_FUNCTIONS.fullmatch(function.name):
        return "has effects, or is not known to have none"
    return None


def source_refusal(function: Function, words: frozenset[str]) -> str | None:
    """Why a function that a user wrote may not be called, by the words of its source."""
    if len(function.source) >= MAX_SOURCE:
        return "is too long to be judged"
    if function.language == "plpgsql" and "execute" in words:
        return "runs SQL that it makes up itself"
    if denied := next((word for word in words if DENIED_RELATIONS.fullmatch(word)), None):
        return f"names {denied}"
    return None


async def _check_sources(functions: Sequence[Function], reading: Reading, session: Session) -> list[Function]:
    """Follows functions that users wrote into what they call. What else they do, the read-only transaction holds."""
    waiting, seen = list(functions), set[str]()
    followed: list[Function] = []
    for _ in range(_MAX_ROUNDS):
        if not waiting:
            break
        followed += waiting
        session.tainted = True  # what they leave in the session is not known
        seen |= {function.name for function in waiting}
        following: dict[Function, None] = {}  # of one name there may be several
        for outer in waiting:
            words = words_of(outer.source)
            inner = (await look_up(session, words)).functions
            reason = source_refusal(outer, words) or _inner_refusal(inner)
            if reason:
                raise NotPermitted(_refused(outer, reason, reading))
            following |= dict.fromkeys(each for each in inner if not each.provided and each.name not in seen)
        waiting = list(following)
    if waiting:
        raise NotPermitted("The statement calls functions that call each other too deeply to be judged.")
    return followed


def _inner_refusal(functions: Iterable[Function]) -> str | None:
    return next((f"may call {function.name}" for function in functions if refusal(function)), None)


def words_of(source: str) -> frozenset[str]:
    """The words of a function, in its strings too, but not in its comments."""
    with suppress(InvalidInput):  # another language than SQL: its comments are read along
        source = scan(source).sql
    return frozenset(word.lower() for word in WORD.findall(source))


def _may_mean(call: Call, function: Function, schemas: Sequence[str]) -> bool:
    return call.name == function.name and (function.schema == call.schema if call.schema else function.schema in schemas)


def _is_known(call: Call, found: Found, schemas: Sequence[str]) -> bool:
    """A type's name can be called as well: it casts."""
    return call.name in found.types or any(_may_mean(call, function, schemas) for function in found.functions)


def _refused(function: Function, reason: str, reading: Reading) -> str:
    if function.through:
        return f"The {function.through} calls {function.name}, which {reason}."
    call = next((call for call in reading.calls if call.name == function.name), None)
    place = f"\n{marked(reading.sql, call.position)}" if call else ""
    return f"The function {function.name} may not be called: it {reason}.{place}"

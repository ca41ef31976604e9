"""Asks the catalog what the calls in a statement call, and judges the functions that users wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opsroom_shared.errors import NotPermitted, ToolFailure

from ..dialects.mysql import BODY_SYNTAX, DENIED_SCHEMA, FOREIGN_BODY_WORDS, FUNCTIONS, ONLY_FUNCTIONS
from ..dialects.mysql_lexer import scan
from ..dialects.mysql_statement import Call, Reading, calls_in
from ..dialects.tokens import Kind, Token
from ..names import did_you_mean
from ..sql_position import marked
from .mysql_rows import plain
from .mysql_session import Session
from .mysql_wire import literal

_READ_OTHERWISE = frozenset({"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ORACLE"})
_MAX_ROUNDS = 6
_MAX_CALLS = 200

_LOOKUP = """
    SELECT routine_schema, routine_name, sql_data_access, routine_definition, routine_body, sql_mode
    FROM information_schema.routines
    WHERE routine_type = 'FUNCTION' AND routine_schema = {schema} AND routine_name IN ({names})"""


@dataclass(frozen=True)
class Function:
    """A function that somebody created."""

    schema: str
    name: str
    access: str
    """What its author says that it does; the engine does not hold it to that."""
    body: str | None
    """None where this account may not see it."""
    language: str
    mode: str
    """The SQL mode in which its body is read."""


def check_calls(reading: Reading, session: Session, database: str, *, writes: bool = False) -> None:
    """Lets a statement pass whose every call is known or was found harmless. Raises NotPermitted with the reason.

    In one that *writes*, no read-only transaction holds a function whose body the account may not see.
    """
    waiting: list[Call] = list(reading.calls)
    origin: dict[tuple[str, str], Call] = {}
    seen: set[tuple[str, str]] = set()
    where = database
    for _ in range(_MAX_ROUNDS):
        if not waiting:
            return
        if len(waiting) > _MAX_CALLS:
            raise NotPermitted(f"The statement calls more than {_MAX_CALLS} functions that would have to be looked up.")
        found = _lookup([(call.schema or where, call.name) for call in waiting], session)
        following: list[Call] = []
        for call in waiting:
            key = ((call.schema or where).lower(), call.name.lower())
            first = origin.get(key, call)
            function = found.get(key)
            if function is None:
                if not call.known:
                    raise NotPermitted(_unknown(call, first, reading.sql))
                continue
            if key in seen:
                continue
            seen.add(key)
            inner = _judged(function, first, reading.sql, writes=writes)
            for each in inner:
                named = Call(each.schema or function.schema, each.name, first.position, each.known)
                origin[(named.schema or where).lower(), each.name.lower()] = first
                following.append(named)
        waiting = following
    if waiting:
        raise NotPermitted("The statement calls functions that call each other too deeply to be judged.")


def _judged(function: Function, call: Call, sql: str, *, writes: bool) -> list[Call]:
    """The calls in the body of *function*, which itself only reads as far as its text tells."""
    shown = f"{function.schema}.{function.name}"
    if function.access == "MODIFIES SQL DATA":
        raise NotPermitted(f"The function {shown} changes data, as its declaration says.\n{marked(sql, call.position)}")
    if function.body is None:
        if writes:
            raise NotPermitted(f"What the function {shown} does is hidden from this account.\n{marked(sql, call.position)}")
        if function.access == "CONTAINS SQL":
            raise NotPermitted(
                f"What the function {shown} does is hidden from this account, and it is not declared NO SQL or READS SQL DATA.\n"
                f"{marked(sql, call.position)}"
            )
        return []
    if function.language != "SQL" or _READ_OTHERWISE.intersection(function.mode.upper().split(",")):
        raise NotPermitted(f"The text of the function {shown} cannot be judged.\n{marked(sql, call.position)}")
    try:
        tokens = scan(function.body).tokens
    except ToolFailure:
        raise NotPermitted(f"The text of the function {shown} cannot be judged.\n{marked(sql, call.position)}") from None
    if reason := _foreign(tokens):
        raise NotPermitted(f"The function {shown} may not be called: it {reason}.\n{marked(sql, call.position)}")
    return [each for each in calls_in(tokens) if each.name.lower() not in BODY_SYNTAX]


def _foreign(tokens: Sequence[Token]) -> str | None:
    """What in a function's body reaches beyond what the read-only transaction and the end of the session undo."""
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if token.kind is Kind.VARIABLE and token.text.startswith("@@") and following and following.text in ("=", ":="):
            return "sets a variable of the engine"
        if token.is_name and token.text.lower() == DENIED_SCHEMA and following and following.is_mark("."):
            return "reads accounts"
        if token.kind is not Kind.WORD or (index and tokens[index - 1].is_mark(".")):
            continue
        called = following is not None and following.is_mark("(")
        if token.text in FOREIGN_BODY_WORDS and not (called and token.text in (*ONLY_FUNCTIONS, "truncate")):
            return f"has the word {token.text.upper()} in it"
    return None


def _unknown(call: Call, first: Call, sql: str) -> str:
    shown = f"{call.schema}.{call.name}" if call.schema and call is first else call.name
    hint = did_you_mean(call.name, FUNCTIONS) if call is first else ""
    return f"The function {shown} is not among those allowed here.{hint}\n{marked(sql, first.position)}"


def _lookup(wanted: Sequence[tuple[str, str]], session: Session) -> Mapping[tuple[str, str], Function]:
    by_schema: dict[str, list[str]] = {}
    for schema, name in wanted:
        by_schema.setdefault(schema, []).append(name)
    found: dict[tuple[str, str], Function] = {}
    for schema, names in by_schema.items():
        rows = session.fetch(_LOOKUP.format(schema=literal(schema), names=", ".join(map(literal, names))))
        for owner, name, access, body, language, mode in plain(rows):
            function = Function(str(owner), str(name), str(access), body, str(language), str(mode))
            found[function.schema.lower(), function.name.lower()] = function
    asked = {(schema.lower(), name.lower()) for schema, name in wanted}
    if strange := next((function for key, function in found.items() if key not in asked), None):
        # to the engine a letter with an accent is the letter without it
        raise NotPermitted(f"A name in the statement may mean the function {strange.schema}.{strange.name}. Write that name.")
    return found

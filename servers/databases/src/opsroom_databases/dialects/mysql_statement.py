"""Judges a statement for MariaDB or MySQL by its text, and lists the calls in it that the engine's catalog has to judge. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from opsroom_shared.errors import InvalidInput, NotPermitted, TooLarge
from sqlglot import exp

from ..sql_position import marked
from ..sql_safety import bounded
from .mysql import (
    DENIED_REPORTS,
    DENIED_SCHEMA,
    FUNCTIONS,
    MAY_BE_NAMES,
    MODIFIERS,
    NO_READS,
    NOT_EVERYWHERE,
    ONLY_FUNCTIONS,
    SHOWS,
    SYNTAX,
)
from .mysql_lexer import scan
from .statement import one_statement, read_tree
from .tokens import Kind, Token, ascii_lower

_MAX_DEPTH = 200

Sort: TypeAlias = Literal["query", "explain", "show"]

_BEGINS_QUERY = ("select", "values", "table", "with")
_EXPLAINS = ("explain", "describe", "desc", "analyze")
_FORMATS = ("json", "traditional", "tree")
_REFUSED = {
    "into": "INTO writes a file or sets a variable. Leave it out to get the rows.",
    "lock": "FOR UPDATE, FOR SHARE and LOCK IN SHARE MODE lock rows. Leave them out.",
    "update": "FOR UPDATE, FOR SHARE and LOCK IN SHARE MODE lock rows. Leave them out.",
}
_SURELY_BUILT_IN = FUNCTIONS - NOT_EVERYWHERE


@dataclass(frozen=True)
class Call:
    """A name before a parenthesis that the engine may look for among the users' functions."""

    schema: str | None
    name: str
    position: int
    known: bool
    """Whether it is something harmless where no user wrote a function of that name."""


@dataclass(frozen=True)
class Reading:
    """A statement that its text lets pass, and what the catalog is to be asked about it."""

    sql: str
    """What is to run: the text that was judged, its comments blanked, every character in its place."""
    sort: Sort
    query_sql: str
    """The query alone, without EXPLAIN; empty where there is none."""
    inner_sql: str
    """The query as it may stand inside parentheses."""
    tree: exp.Expr | None
    """The query as sqlglot reads it, for advice; None where sqlglot does not know the syntax."""
    calls: tuple[Call, ...] = ()


def read(text: str, database: str) -> Reading:
    """*text* as a statement that may run in *database*. Raises InvalidInput, NotPermitted or TooLarge with the reason."""
    sql = bounded(text)
    scanned = scan(sql)
    tokens = one_statement(scanned.tokens, sql, lambda token: token.is_mark("?"))
    sql = scanned.sql[: tokens[-1].end]
    check_schemas(tokens, database, sql)
    if tokens[0].is_word("show"):
        return Reading(sql, "show", "", "", None, tuple(_show_calls(tokens, sql)))
    inner = tokens[_behind_explain(tokens, sql) :] if tokens[0].is_word(*_EXPLAINS) else tokens
    if tokens[0].is_word("explain", "describe", "desc") and _names_table(inner):
        return Reading(sql, "show", "", "", None)
    _check_query(inner, sql)
    return Reading(
        sql=sql,
        sort="explain" if len(inner) < len(tokens) else "query",
        query_sql=sql[inner[0].start :],
        inner_sql=_without(sql, [token for token in inner if token.is_word(*MODIFIERS)])[inner[0].start :],
        tree=read_tree(copy_for_sqlglot(inner, sql), "mysql"),
        calls=tuple(calls_in(inner)),
    )


def check_schemas(tokens: Sequence[Token], database: str, sql: str) -> None:
    """Refuses the schema of the accounts, and those reports of the engine that show what others hold."""
    if database.lower() == DENIED_SCHEMA:
        raise NotPermitted(f"The schema {DENIED_SCHEMA} may not be read: it holds the accounts. Configure another database.")
    for index, token in enumerate(tokens):
        if not token.is_name:
            continue
        name = token.text.lower()
        dotted = index + 1 < len(tokens) and tokens[index + 1].is_mark(".")
        in_show = tokens[0].is_word("show", "describe", "desc", "explain") and index > 0
        if name == DENIED_SCHEMA and (dotted or (in_show and tokens[index - 1].is_word("from", "in", "database", "schema"))):
            raise NotPermitted(f"The schema {DENIED_SCHEMA} may not be read: it holds the accounts.\n{marked(sql, token.start)}")
        schema = tokens[index - 2].text if index > 1 and tokens[index - 1].is_mark(".") else database
        denied = DENIED_REPORTS.get(schema.lower())
        if denied is not None and denied.fullmatch(name):
            raise NotPermitted(
                f"{token.text} may not be read: it shows what others hold, or reading changes it.\n{marked(sql, token.start)}"
            )


def _show_calls(tokens: Sequence[Token], sql: str) -> list[Call]:
    words = tuple(token.text if token.is_name else "" for token in tokens[1:5])
    head = next((show for show in SHOWS if words[: len(show)] == show), None)
    if head is None:
        shown = " ".join(filter(None, words[:2])).upper()
        raise NotPermitted(f"SHOW {shown[:60]} is not among the reports that are allowed here.\n{marked(sql, tokens[0].start)}")
    rest = tokens[1 + len(head) :]
    check_inside(rest, sql)
    if any(token.is_word("select") for token in rest):
        raise NotPermitted(f"SHOW is allowed without a query in it.\n{marked(sql, tokens[0].start)}")
    return calls_in(rest) if head != ("count",) else []


def _names_table(tokens: Sequence[Token]) -> bool:
    """Whether what follows DESCRIBE is `table`, `schema.table`, and perhaps a column or a pattern."""
    if not tokens[0].is_name or tokens[0].is_word(*_BEGINS_QUERY):
        return False
    rest = tokens[3:] if len(tokens) > 2 and tokens[1].is_mark(".") and tokens[2].is_name else tokens[1:]
    return not rest or (len(rest) == 1 and (rest[0].is_name or rest[0].kind is Kind.STRING))


def _behind_explain(tokens: Sequence[Token], sql: str) -> int:
    """The index of the first token behind EXPLAIN or ANALYZE and their options."""
    at = 1
    analyzing = tokens[0].is_word("analyze")
    while at < len(tokens):
        if tokens[at].is_word("extended", "partitions", "analyze") and not analyzing and at + 1 < len(tokens):
            following = tokens[at + 1]
            if not (following.is_word(*_BEGINS_QUERY, "format", "extended", "partitions") or following.is_mark("(")):
                break  # a table of that name
            at += 1
        elif tokens[at].is_word("format") and at + 2 < len(tokens) and tokens[at + 1].is_mark("="):
            if tokens[at + 2].text not in _FORMATS:
                raise NotPermitted(f"This format of EXPLAIN is not allowed here.\n{marked(sql, tokens[at + 2].start)}")
            at += 3
        else:
            break
    if at >= len(tokens):
        raise InvalidInput(f"{tokens[0].text.upper()} needs a query.")
    if analyzing and tokens[at].is_word("table"):
        raise NotPermitted("ANALYZE TABLE writes statistics. Only reading is allowed.")
    return at


def _check_query(tokens: Sequence[Token], sql: str) -> None:
    first = next((token for token in tokens if not token.is_mark("(")), tokens[-1])
    if not first.is_word(*_BEGINS_QUERY):
        raise NotPermitted(
            f"{sql[first.start : first.end].upper()[:40]} is not a query. Only reading is allowed: "
            "SELECT, VALUES, TABLE, WITH … SELECT, SHOW, DESCRIBE, and EXPLAIN of a query."
        )
    check_inside(tokens, sql)


def check_inside(tokens: Sequence[Token], sql: str, *, but: Collection[int] = ()) -> None:
    """Refuses what is no reading wherever it stands, and parentheses that do not match; not at the indexes *but*."""
    depth = 0
    for index, token in enumerate(tokens):
        depth += token.is_mark("(") - token.is_mark(")")
        if depth < 0 or (depth > 0 and index == len(tokens) - 1):
            raise InvalidInput(f"The parentheses do not match:\n{marked(sql, token.start)}")
        if depth > _MAX_DEPTH:
            raise TooLarge("The statement is nested too deeply.")
    for index, token in enumerate(tokens):
        if index not in but and (problem := _problem(tokens, index)):
            raise NotPermitted(f"{problem}\n{marked(sql, token.start)}")


def _problem(tokens: Sequence[Token], index: int) -> str | None:
    """What the token at *index* begins that is no reading."""
    token = tokens[index]
    if token.is_mark(":="):
        return "A variable is set here. Only reading is allowed; a common table expression or a window can do the same."
    if token.kind is not Kind.WORD or (index and tokens[index - 1].is_mark(".")):
        return None
    following = [each.text for each in tokens[index + 1 : index + 3]]
    if token.text == "next" and following == ["value", "for"]:
        return "NEXT VALUE FOR takes a number from the sequence. SELECT * FROM the sequence shows where it stands."
    if token.text == "for" and following[:1] == ["share"]:
        return _REFUSED["lock"]
    if token.text in NO_READS or (token.text in ONLY_FUNCTIONS and following[:1] != ["("]):
        return _REFUSED.get(token.text, f"{token.text.upper()} is no part of a query. Only reading is allowed.")
    return None


def calls_in(tokens: Sequence[Token]) -> list[Call]:
    """The calls that the catalog has to judge."""
    found: dict[tuple[str | None, str], Call] = {}
    for index, (token, after) in enumerate(pairwise(tokens)):
        if not (token.is_name and after.is_mark("(")) or (index and _ends_operand(tokens[index - 1])):
            continue
        name = ascii_lower(token.text)
        schema = tokens[index - 2].text if index > 1 and tokens[index - 1].is_mark(".") and tokens[index - 2].is_name else None
        syntax = token.kind is Kind.WORD and name in SYNTAX
        if schema is None and ((syntax and name not in MAY_BE_NAMES) or name in _SURELY_BUILT_IN):
            continue
        known = schema is None and (syntax or name in FUNCTIONS or _names_cte(tokens, index))
        found[schema, name] = Call(schema, token.text, token.start, known)
    return list(found.values())


def _ends_operand(token: Token) -> bool:
    """Whether no call can follow *token*: what has a parenthesis there is an alias with columns, a type, or a clause."""
    return token.kind in (Kind.STRING, Kind.NUMBER, Kind.NAME, Kind.VARIABLE) or token.is_mark(")") or token.is_word("as")


def _names_cte(tokens: Sequence[Token], index: int) -> bool:
    """Whether `name (…)` is followed by AS and a parenthesis, as only a common table expression is."""
    depth = 0
    for at in range(index + 1, len(tokens)):
        depth += tokens[at].is_mark("(") - tokens[at].is_mark(")")
        if depth == 0:
            return at + 2 < len(tokens) and tokens[at + 1].is_word("as") and tokens[at + 2].is_mark("(")
    return False


def _without(sql: str, tokens: Sequence[Token]) -> str:
    image = list(sql)
    for token in tokens:
        image[token.start : token.end] = " " * (token.end - token.start)
    return "".join(image)


def copy_for_sqlglot(tokens: Sequence[Token], sql: str) -> str:
    """The statement of *tokens*, every character in its place, so that sqlglot reads it as the engine does."""
    image = list(sql)
    for first, second in pairwise(tokens):
        if first.is_mark("-") and second.is_mark("-") and first.end == second.start:
            image[first.start : second.end] = "+ "  # two signs, where sqlglot sees a comment
    return "".join(image[tokens[0].start : tokens[-1].end])

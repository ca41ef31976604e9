"""Judges a PostgreSQL statement by its text, and lists the names in it that the engine's catalog has to judge. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from opsroom_shared.errors import InvalidInput, NotPermitted, TooLarge
from sqlglot import exp

from ..sql_position import marked
from ..sql_safety import bounded
from .postgres import ALSO_SYNTAX, DENIED_RELATIONS, EXPLAIN_OPTIONS, GRAMMAR_WORDS, HIDDEN_SETTINGS
from .postgres_lexer import scan
from .statement import one_statement, read_tree
from .tokens import Kind, Token

_MAX_DEPTH = 200

Sort: TypeAlias = Literal["query", "explain", "show"]

_BEGINS_QUERY = ("select", "values", "table", "with")
_WRITES = ("insert", "update", "delete", "merge")
_LOCKS = ("update", "share", "no", "key")
# Operators that sqlglot reads; any other, such as one of an extension, is read as + in its copy.
_KNOWN_TO_SQLGLOT = """
    + - * / % ^ < > = <= >= <> != || -> ->> #> #>> #- @> <@ ? ?| ?& @? @@ && ~ !~ ~* !~* ~~ !~~ ~~* !~~* | & # << >> => -|-
"""
_READ_OPERATORS = frozenset(_KNOWN_TO_SQLGLOT.split())


@dataclass(frozen=True)
class Call:
    """A name before a parenthesis that may be a function's."""

    schema: str | None
    name: str
    position: int


@dataclass(frozen=True)
class Reading:
    """A statement that its text lets pass, and what the catalog is to be asked about it."""

    sql: str
    """What is to run: the text that was judged, its comments blanked, every character in its place."""
    sort: Sort
    query_sql: str
    """The query alone, without EXPLAIN."""
    tree: exp.Expr | None
    """The query as sqlglot reads it, for advice; None where sqlglot does not know the syntax."""
    calls: tuple[Call, ...]
    fields: frozenset[str]
    """Names behind a dot: the engine calls a function of one argument for `row.name` where no column has that name."""
    names: frozenset[str]
    operators: frozenset[str]


def read(text: str) -> Reading:
    """*text* as a statement that may run. Raises InvalidInput, NotPermitted or TooLarge with the reason."""
    sql = bounded(text)
    scanned = scan(sql)
    tokens = one_statement(scanned.tokens, sql, lambda token: token.kind is Kind.PARAMETER)
    sql = scanned.sql[: tokens[-1].end]
    if tokens[0].is_word("show"):
        _check_show(tokens, sql)
        return Reading(sql, "show", sql, None, (), frozenset(), frozenset(), frozenset())
    inner = tokens[_behind_explain(tokens, sql) :] if tokens[0].is_word("explain") else tokens
    _check_query(inner, sql)
    tree = read_tree(copy_for_sqlglot(inner, sql), "postgres")
    return reading_of(inner, sql, "explain" if len(inner) < len(tokens) else "query", tree)


def reading_of(tokens: Sequence[Token], sql: str, sort: Sort, tree: exp.Expr | None) -> Reading:
    """What the catalog is to be asked about the statement of *tokens*, which stands at the end of *sql*."""
    return Reading(
        sql=sql,
        sort=sort,
        query_sql=sql[tokens[0].start :],
        tree=tree,
        calls=tuple(_calls(tokens)),
        fields=frozenset(name.text for dot, name in pairwise(tokens) if dot.is_mark(".") and name.is_name),
        names=frozenset(token.text for token in tokens if token.is_name),
        operators=frozenset(token.text for token in tokens if token.kind is Kind.OPERATOR),
    )


def _check_show(tokens: Sequence[Token], sql: str) -> None:
    if not all(token.is_name or token.is_mark(".") for token in tokens):
        raise InvalidInput(f"SHOW needs the name of a setting, or ALL:\n{marked(sql, tokens[0].start)}")
    if HIDDEN_SETTINGS.intersection(token.text.lower() for token in tokens):
        raise NotPermitted("This setting may not be read: it can hold a password.")


def _behind_explain(tokens: Sequence[Token], sql: str) -> int:
    """The index of the explained query's first token."""
    at = 1
    if len(tokens) > 2 and tokens[1].is_mark("(") and not (tokens[2].is_word(*_BEGINS_QUERY) or tokens[2].is_mark("(")):
        at = 2
        while at < len(tokens):
            if tokens[at].text.lower() not in EXPLAIN_OPTIONS:
                raise NotPermitted(f"EXPLAIN has no such option here:\n{marked(sql, tokens[at].start)}")
            at += 1
            if at < len(tokens) and tokens[at].kind in (Kind.WORD, Kind.NUMBER, Kind.STRING, Kind.NAME):
                at += 1
            if at < len(tokens) and tokens[at].is_mark(")"):
                at += 1
                break
            if at >= len(tokens) or not tokens[at].is_mark(","):
                raise InvalidInput(
                    f"The options of EXPLAIN cannot be read:\n{marked(sql, tokens[min(at, len(tokens) - 1)].start)}"
                )
            at += 1
    else:
        while at < len(tokens) and tokens[at].is_word("analyze", "analyse", "verbose"):
            at += 1
    if at >= len(tokens):
        raise InvalidInput("EXPLAIN needs a query.")
    return at


def _check_query(tokens: Sequence[Token], sql: str) -> None:
    first = next((token for token in tokens if not token.is_mark("(")), tokens[-1])
    if not first.is_word(*_BEGINS_QUERY):
        raise NotPermitted(
            f"{sql[first.start : first.end].upper()[:40]} is not a query. Only reading is allowed: "
            "SELECT, VALUES, TABLE, WITH … SELECT, SHOW, and EXPLAIN of a query."
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
        if index not in but and (problem := _problem(tokens, index)):
            raise NotPermitted(f"{problem}\n{marked(sql, token.start)}")


def _problem(tokens: Sequence[Token], index: int) -> str | None:
    """What the token at *index* begins that is no reading; the engine would refuse it once more."""
    token, before = tokens[index], tokens[index - 1] if index else None
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    if token.is_name and DENIED_RELATIONS.fullmatch(token.text):
        return f"{token.text} may not be read: it shows more than the rows of this database."
    if token.is_word("into"):
        return "SELECT INTO makes a table. Leave INTO out to get the rows."
    if token.is_word("for") and after is not None and after.is_word(*_LOCKS) and not _in_call(tokens, index):
        return "FOR UPDATE and FOR SHARE lock rows. Leave them out."
    if token.is_word(*_WRITES) and before is not None and before.is_mark("(") and index > 1:
        opener = tokens[index - 2]
        if opener.is_word("as", "materialized"):
            return f"{token.text.upper()} changes rows; only reading is allowed."
    return None


def _in_call(tokens: Sequence[Token], index: int) -> bool:
    """Whether *index* stands in the parentheses of substring(… FOR …) or overlay(… FOR …)."""
    depth = 0
    for at in range(index - 1, 0, -1):
        depth += tokens[at].is_mark(")") - tokens[at].is_mark("(")
        if depth < 0:
            return tokens[at - 1].is_word("substring", "overlay")
    return False


def _calls(tokens: Sequence[Token]) -> list[Call]:
    found: list[Call] = []
    for index, (token, after) in enumerate(pairwise(tokens)):
        if not (token.is_name and after.is_mark("(")):
            continue
        qualified = index > 1 and tokens[index - 1].is_mark(".") and tokens[index - 2].is_name
        if not qualified and token.kind is Kind.WORD and token.text in GRAMMAR_WORDS:
            continue
        found.append(Call(tokens[index - 2].text if qualified else None, token.text, token.start))
    return found


def may_be_syntax(call: Call, reading: Reading) -> bool:
    """Whether *call* needs no function of its name: it is a word of the grammar, or names a column list."""
    return call.schema is None and (call.name in ALSO_SYNTAX or call.name in _aliases(reading))


def _aliases(reading: Reading) -> frozenset[str]:
    if reading.tree is None:
        return reading.names  # the engine, which can read it, says whether there is such a function
    aliases = [alias.name for alias in reading.tree.find_all(exp.TableAlias) if alias.columns and alias.name]
    return frozenset(aliases).union(alias.lower() for alias in aliases)


def copy_for_sqlglot(tokens: Sequence[Token], sql: str) -> str:
    """The statement of *tokens*, every character in its place, without the operators that only the engine knows."""
    image = list(sql)
    for token in tokens:
        if token.kind is Kind.OPERATOR and token.text not in _READ_OPERATORS:
            image[token.start : token.end] = "+".ljust(token.end - token.start)
    return "".join(image[tokens[0].start : tokens[-1].end])

"""Judges by its text a statement that writes to PostgreSQL: one INSERT, UPDATE or DELETE, or a definition. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from opsroom_shared.errors import InvalidInput, NotPermitted
from sqlglot import exp

from ..sql_position import marked
from ..sql_safety import bounded
from ..write_safety import Write, definitions_refused, write_of
from .postgres_lexer import scan
from .postgres_statement import Reading, check_inside, copy_for_sqlglot, reading_of
from .statement import one_statement, write_tree
from .tokens import Kind, Token
from .write_target import Target, behind_with, target_at

_WRITES = {"insert": "into", "update": None, "delete": "from"}
_DEFINES = ("create", "alter", "drop")
_DEFINED = ("table", "index", "view")
_WITHOUT = {
    "merge": "Write INSERT … ON CONFLICT, UPDATE or DELETE: what MERGE changes cannot be told by its rows on every version.",
    "truncate": "DELETE without WHERE does the same, and can be tried.",
    "copy": "Write INSERT with its values.",
}
# ALTER TABLE can also hand a table to somebody else, switch off its triggers, or open its rows to everybody.
_ALTERATIONS = ("add", "alter", "drop", "rename", "validate")
_NOT_IN_DEFINITIONS = {
    "cascade": "CASCADE would drop what is not named here. Drop what depends on it first, each by itself.",
    "concurrently": "CONCURRENTLY cannot be tried in a transaction. Leave it out, or a person runs it by other means.",
    "inherits": "INHERITS is not among the parts of a definition that are allowed here.",
}


@dataclass(frozen=True)
class Writing:
    """A statement that its text lets pass, and what the catalog is to be asked about it."""

    write: Write
    reading: Reading
    """Its names and calls."""
    targets: tuple[Target, ...]
    """What it changes, or makes."""


def read_write(text: str, *, definitions: bool) -> Writing:
    """*text* as a statement that may be tried. Raises InvalidInput, NotPermitted or TooLarge with the reason."""
    sql = bounded(text)
    scanned = scan(sql)
    tokens = one_statement(scanned.tokens, sql, lambda token: token.kind is Kind.PARAMETER)
    sql = scanned.sql[: tokens[-1].end]
    begin = behind_with(tokens, sql)
    verb = tokens[begin]
    if begin == 0 and verb.is_word(*_DEFINES):
        definitions_refused(verb.text, allowed=definitions)
        return _definition(tokens, sql)
    if not verb.is_word(*_WRITES):
        hint = _WITHOUT.get(verb.text, "only one INSERT, UPDATE or DELETE; run_query is for reading.")
        raise NotPermitted(f"{sql[verb.start : verb.end].upper()[:40]} cannot be run here: {hint}")
    target, into = _target(tokens, begin, sql)
    check_inside(tokens, sql, but=() if into is None else (into,))
    tree = write_tree(_without_overriding(tokens, target.end, copy_for_sqlglot(tokens, sql)), "postgres")
    write = write_of(sql, tree, verb.text, target.name)
    return Writing(write, _reading(tokens, sql, (target,)), (target,))


def _reading(tokens: Sequence[Token], sql: str, named: Sequence[Target]) -> Reading:
    """What the catalog is to be asked. The relations *named* may have columns in parentheses behind them, and are not called."""
    # without a tree, the engine itself says whether there is a function of a name that need not be one's here
    reading = reading_of(tokens, sql, "query", None)
    starts = {target.start for target in named}
    return replace(reading, calls=tuple(call for call in reading.calls if call.position not in starts))


def _target(tokens: Sequence[Token], verb: int, sql: str) -> tuple[Target, int | None]:
    """What an INSERT, UPDATE or DELETE changes, and the index of INTO."""
    word = _WRITES[tokens[verb].text]
    at = verb + 1
    if word is not None:
        if at >= len(tokens) or not tokens[at].is_word(word):
            raise InvalidInput(f"{word.upper()} is missing here:\n{marked(sql, tokens[verb].start)}")
        at += 1
    if word != "into" and at < len(tokens) and tokens[at].is_word("only"):
        at += 1
    target = target_at(tokens, at, sql)
    end = target.end
    if word != "into" and end < len(tokens) and tokens[end].is_mark("*"):
        end += 1
    named = end < len(tokens) and tokens[end].is_word("as")
    end += named
    if end < len(tokens) and tokens[end].is_name and (named or (word != "into" and not _goes_on(tokens, end))):
        return replace(target, alias=tokens[end].text, end=end + 1), (verb + 1 if word == "into" else None)
    return replace(target, end=end), (verb + 1 if word == "into" else None)


def _goes_on(tokens: Sequence[Token], index: int) -> bool:
    """Whether the word at *index* is no alias; SET is one where another SET follows."""
    if tokens[index].is_word("set"):
        return not (index + 1 < len(tokens) and tokens[index + 1].is_word("set"))
    return tokens[index].is_word("using", "where", "returning")


def _without_overriding(tokens: Sequence[Token], begin: int, text: str) -> str:
    """Blanks OVERRIDING SYSTEM VALUE, which sqlglot does not read: it says only which values are taken."""
    for index in range(begin, len(tokens) - 2):
        if tokens[index].is_word("overriding") and tokens[index + 2].is_word("value"):
            start, end = tokens[index].start - tokens[0].start, tokens[index + 2].end - tokens[0].start
            return f"{text[:start]}{' ' * (end - start)}{text[end:]}"
    return text


def _definition(tokens: Sequence[Token], sql: str) -> Writing:
    check_inside(tokens, sql)
    verb = tokens[0].text
    for before, token in pairwise(tokens):
        if token.is_word(*_NOT_IN_DEFINITIONS) and not before.is_word("delete", "update"):
            raise NotPermitted(f"{_NOT_IN_DEFINITIONS[token.text]}\n{marked(sql, token.start)}")
    at = 1
    if verb == "create":
        at += 2 * (len(tokens) > 2 and tokens[1].is_word("or") and tokens[2].is_word("replace"))
        at += at < len(tokens) and tokens[at].is_word("unique")
    if at >= len(tokens) or not tokens[at].is_word(*_DEFINED):
        raise NotPermitted("Only tables, indexes and views can be created, altered and dropped here.")
    kind = tokens[at].text
    at += 1
    while at < len(tokens) and tokens[at].is_word("if", "not", "exists", "only"):
        at += 1
    if verb == "create":
        targets = _created(tokens, at, kind, sql)
    elif verb == "drop":
        targets = _dropped(tokens, at, sql)
    else:
        targets = (target_at(tokens, at, sql),)
        _check_alterations(tokens, targets[0].end, sql)
    trees: dict[str, exp.Expr] = {"create": exp.Create(), "alter": exp.Alter(), "drop": exp.Drop()}
    write = Write(sql, "definition", trees[verb], targets[0].name, returns=False, every_row=False)
    referenced = [target_at(tokens, index + 1, sql) for index, token in enumerate(tokens) if token.is_word("references")]
    return Writing(write, _reading(tokens, sql, [*targets, *referenced]), targets)


def _created(tokens: Sequence[Token], at: int, kind: str, sql: str) -> tuple[Target, ...]:
    """What is made; of an index, the table that it is made on; of a partition, the table that it is a part of, too."""
    if kind == "index":
        while at < len(tokens) and not tokens[at].is_word("on"):
            at += 1
        at += 2 if at + 1 < len(tokens) and tokens[at + 1].is_word("only") else 1
        return (target_at(tokens, at, sql),)
    made = target_at(tokens, at, sql)
    end = made.end
    if end + 1 < len(tokens) and tokens[end].is_word("partition") and tokens[end + 1].is_word("of"):
        return (made, target_at(tokens, end + 2, sql))
    return (made,)


def _dropped(tokens: Sequence[Token], at: int, sql: str) -> tuple[Target, ...]:
    targets = [target_at(tokens, at, sql)]
    while targets[-1].end < len(tokens) and tokens[targets[-1].end].is_mark(","):
        targets.append(target_at(tokens, targets[-1].end + 1, sql))
    return tuple(targets)


def _check_alterations(tokens: Sequence[Token], at: int, sql: str) -> None:
    """Every part of an ALTER, between the commas outside of parentheses, has to begin with an allowed word."""
    depth, begins = 0, True
    for token in tokens[at:]:
        if begins and not token.is_word(*_ALTERATIONS):
            raise NotPermitted(
                "ALTER can be used here to add, alter, drop, rename and validate columns and constraints:\n"
                f"{marked(sql, token.start)}"
            )
        depth += token.is_mark("(") - token.is_mark(")")
        begins = depth == 0 and token.is_mark(",")

"""Judges by its text a statement that writes to MariaDB or MySQL: one INSERT, UPDATE or DELETE of one table. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opsroom_shared.errors import NotPermitted

from ..sql_position import marked
from ..sql_safety import bounded
from ..write_safety import Write, write_of
from .mysql_lexer import scan
from .mysql_statement import Reading, calls_in, check_inside, check_schemas, copy_for_sqlglot
from .statement import one_statement, write_tree
from .tokens import Token
from .write_target import Target, behind_parentheses, behind_with, target_at

_WRITES = ("insert", "update", "delete")
_DEFINES = ("create", "alter", "drop", "truncate", "rename")
_MODIFIERS = ("low_priority", "high_priority", "delayed", "quick")
_BEHIND_TARGET = ("partition", "set", "where", "order", "limit", "returning", "using", "values", "value", "select", "with")


@dataclass(frozen=True)
class Writing:
    """A statement that its text lets pass, and what the catalog is to be asked about it."""

    write: Write
    reading: Reading
    target: Target
    upserts: bool
    """Whether it updates the rows that are there already."""
    chosen: str
    """What stands behind SELECT … of a query for the rows that an UPDATE or DELETE changes, from FROM on."""
    before: str
    """What stands before that SELECT: common table expressions."""


def read_write(text: str, database: str) -> Writing:
    """*text* as a statement that may be tried in *database*. Raises InvalidInput, NotPermitted or TooLarge with the reason."""
    sql = bounded(text)
    scanned = scan(sql)
    tokens = one_statement(scanned.tokens, sql, lambda token: token.is_mark("?"))
    sql = scanned.sql[: tokens[-1].end]
    check_schemas(tokens, database, sql)
    begin = behind_with(tokens, sql)
    _check_verb(tokens[begin], sql)
    kind = tokens[begin].text
    at, own = _behind_verb(tokens, begin, sql)
    target = target_at(tokens, at, sql)
    if target.schema is not None and target.schema != database:
        raise NotPermitted(f"Only tables of {database} can be changed here:\n{marked(sql, target.start)}")
    target = _with_alias(tokens, target) if kind != "insert" else target
    upsert = _upsert(tokens, target.end) if kind == "insert" else None
    own = own if upsert is None else (*own, upsert)
    check_inside(tokens, sql, but=own)
    tree = write_tree(_without_ignore(tokens, begin, copy_for_sqlglot(tokens, sql)), "mysql")
    write = write_of(sql, tree, kind, target.name)
    # the relation itself may have columns in parentheses behind it, and is not called
    calls = (*calls_in(tokens[:at]), *calls_in(tokens[target.end :]))
    reading = Reading(sql, "query", sql, "", tree, calls)
    chosen = _chosen(tokens, at, target, sql) if kind != "insert" else ""
    return Writing(write, reading, target, upsert is not None, chosen, sql[: tokens[begin].start])


def _check_verb(verb: Token, sql: str) -> None:
    if verb.is_word(*_WRITES):
        return
    hint = "only one INSERT, UPDATE or DELETE; run_query is for reading."
    if verb.is_word(*_DEFINES):
        hint = "MariaDB and MySQL commit it at once, so it cannot be tried and taken back. A person runs it by other means."
    elif verb.is_word("replace"):
        hint = "it deletes rows, and counts them with those that it inserts. Write INSERT … ON DUPLICATE KEY UPDATE."
    raise NotPermitted(f"{sql[verb.start : verb.end].upper()[:40]} cannot be run here: {hint}")


def _behind_verb(tokens: Sequence[Token], verb: int, sql: str) -> tuple[int, tuple[int, ...]]:
    """Where the target stands, and the indexes of words that belong to a statement that writes."""
    at = verb + 1
    if at < len(tokens) and tokens[at].is_word(*_MODIFIERS):
        raise NotPermitted(
            f"{tokens[at].text.upper()} changes when it runs, not what. Leave it out.\n{marked(sql, tokens[at].start)}"
        )
    at += at < len(tokens) and tokens[at].is_word("ignore")
    if tokens[verb].is_word("delete"):
        if at >= len(tokens) or not tokens[at].is_word("from"):
            raise NotPermitted(f"DELETE can only be written with FROM and one table here:\n{marked(sql, tokens[verb].start)}")
        return at + 1, (verb,)
    if tokens[verb].is_word("insert") and at < len(tokens) and tokens[at].is_word("into"):
        return at + 1, (verb, at)
    return at, (verb,)


def _with_alias(tokens: Sequence[Token], target: Target) -> Target:
    end = target.end
    named = end < len(tokens) and tokens[end].is_word("as")
    end += named
    if end < len(tokens) and tokens[end].is_name and (named or not tokens[end].is_word(*_BEHIND_TARGET)):
        return replace(target, alias=tokens[end].text, end=end + 1)
    return target


def _upsert(tokens: Sequence[Token], begin: int) -> int | None:
    """The index of UPDATE in ON DUPLICATE KEY UPDATE."""
    words = ("on", "duplicate", "key", "update")
    for at in range(begin, len(tokens) - len(words) + 1):
        if all(tokens[at + place].is_word(word) for place, word in enumerate(words)):
            return at + len(words) - 1
    return None


def _without_ignore(tokens: Sequence[Token], verb: int, text: str) -> str:
    """Blanks IGNORE behind the verb, which sqlglot does not read everywhere: it says what becomes of errors."""
    token = tokens[verb + 1]
    if not token.is_word("ignore"):
        return text
    start, end = token.start - tokens[0].start, token.end - tokens[0].start
    return f"{text[:start]}{' ' * (end - start)}{text[end:]}"


def _chosen(tokens: Sequence[Token], at: int, target: Target, sql: str) -> str:
    """The table, and what stands behind SET and before RETURNING: the condition, the order and the limit."""
    behind = target.end
    if behind + 1 < len(tokens) and tokens[behind].is_word("partition") and tokens[behind + 1].is_mark("("):
        behind = behind_parentheses(tokens, behind + 1)
    if behind < len(tokens) and not tokens[behind].is_word("set", "where", "order", "limit", "returning"):
        raise NotPermitted(
            f"The statement has to change one table, and read others in subqueries:\n{marked(sql, tokens[behind].start)}"
        )
    depth, tail, end = 0, None, len(tokens)
    for index in range(behind, len(tokens)):
        token = tokens[index]
        depth += token.is_mark("(") - token.is_mark(")")
        if depth == 0 and token.is_word("returning"):
            end = index
            break
        if depth == 0 and tail is None and token.is_word("where", "order", "limit"):
            tail = index
    table = f"FROM {sql[tokens[at].start : tokens[behind - 1].end]}"
    return table if tail is None else f"{table} {sql[tokens[tail].start : tokens[end - 1].end]}"

"""What judging a statement has in common on the network engines: one statement, and sqlglot's view of it as a veto. Pure."""

from collections.abc import Callable

import sqlglot
from opsroom_shared.errors import InvalidInput, NotPermitted, TooLarge
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ..sql_position import marked
from .tokens import Token

MAX_TOKENS = 30_000

_NOT_READS = (
    exp.Command,
    exp.Copy,
    exp.DDL,
    exp.Delete,
    exp.Drop,
    exp.Insert,
    exp.Into,
    exp.Lock,
    exp.Merge,
    exp.Set,
    exp.Transaction,
    exp.Update,
)
_READS = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery, exp.Table)
_WRITES = (exp.Insert, exp.Update, exp.Delete)


def one_statement(tokens: list[Token], sql: str, is_parameter: Callable[[Token], bool]) -> list[Token]:
    """*tokens* without the semicolons at their end. Raises where there are more statements, none, or parameters."""
    if len(tokens) > MAX_TOKENS:
        raise TooLarge(f"The statement has more than {MAX_TOKENS:,} words.")
    while tokens and tokens[-1].is_mark(";"):
        tokens = tokens[:-1]
    if not tokens:
        raise InvalidInput("The statement is empty: there is nothing but comments in it.")
    for token in tokens:
        if token.is_mark(";"):
            raise NotPermitted(f"One statement at a time, and another one follows here:\n{marked(sql, token.start)}")
        if is_parameter(token):
            raise InvalidInput(
                "The statement has a parameter, and there are no values for parameters. Write the value itself.\n"
                f"{marked(sql, token.start)}"
            )
    return tokens


def read_tree(text: str, dialect: str) -> exp.Expr | None:
    """The query as sqlglot reads it. What it reads must be a read; what it cannot read, the engine's own parser judges."""
    tree = _tree(text, dialect)
    if tree is not None and (not isinstance(tree, _READS) or tree.find(*_NOT_READS)):
        raise NotPermitted("Only reading is allowed: no writing, locking or setting anywhere in the statement.")
    return tree


def write_tree(text: str, dialect: str) -> exp.Expr:
    """The one INSERT, UPDATE or DELETE that sqlglot reads in *text*. What it cannot read is refused: it has to be understood."""
    tree = _tree(text, dialect)
    if tree is None:
        raise InvalidInput(
            "The statement cannot be read, or is written in a way that is not understood here. Write it more simply."
        )
    if not isinstance(tree, _WRITES) or any(isinstance(node, _NOT_READS) for node in tree.walk() if node is not tree):
        raise NotPermitted("One change in a statement: no second one, no locking or setting anywhere inside it.")
    return tree


def _tree(text: str, dialect: str) -> exp.Expr | None:
    try:
        trees = sqlglot.parse(text, read=dialect, error_level=sqlglot.ErrorLevel.IMMEDIATE)
    except SqlglotError:
        return None
    except RecursionError:
        raise TooLarge("The statement is nested too deeply.") from None
    if len(trees) != 1 or trees[0] is None:
        raise NotPermitted("One statement at a time.")
    return None if isinstance(trees[0], exp.Command) else trees[0]

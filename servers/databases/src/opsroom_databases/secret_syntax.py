"""Reads a statement for secrets: its tree, the names written in it, and what single forms of syntax mean. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import cast

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect as Parser
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from .secret_scope import Dialect, Unfollowed

_AROUND_POSITIONS = (
    exp.Order,
    exp.Ordered,
    exp.Group,
    exp.Distinct,
    exp.Tuple,
    exp.Paren,
    exp.Collate,
    exp.Neg,
    exp.Cast,
    exp.Rollup,
    exp.Cube,
    exp.GroupingSets,
)


def parsed(sql: str, dialect: Dialect) -> exp.Expr:
    """The tree of one query. Raises Unfollowed."""
    try:
        parser = Parser.get_or_raise(dialect.name)
        tokens = parser.tokenize(sql)
        for index, token in enumerate(tokens):
            if sql[token.start : token.end + 1].lower() in dialect.plain_words:
                tokens[index] = type(token)(
                    TokenType.VAR, token.text, token.line, token.col, token.start, token.end, token.comments
                )
        while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
            tokens.pop()
        trees = parser.parser(error_level=sqlglot.ErrorLevel.IMMEDIATE).parse(tokens, sql)
    except (SqlglotError, RecursionError):
        raise Unfollowed("it is written in a way that the parser does not know") from None
    if len(trees) != 1 or trees[0] is None:
        raise Unfollowed("it is not one query")
    return trees[0]


def standing_alone(clause: exp.Expr) -> Iterator[exp.Literal]:
    """The literals of ORDER BY, GROUP BY or DISTINCT ON that are no part of an expression."""
    waiting = [clause]
    while waiting:
        node = waiting.pop()
        if isinstance(node, exp.Literal):
            yield node
        elif isinstance(node, _AROUND_POSITIONS):
            waiting += node.iter_expressions()


def written_names(sql: str, dialect: Dialect) -> Counter[str]:
    """How often each name stands in *sql*, but for those that are called or given columns."""
    try:
        tokens = Parser.get_or_raise(dialect.name).tokenize(sql)
    except SqlglotError:
        raise Unfollowed("it is written in a way that the parser does not know") from None
    following = [*tokens[1:], None]
    return Counter(
        token.text.casefold()
        for token, after in zip(tokens, following, strict=True)
        if token.token_type != TokenType.STRING and (after is None or after.token_type != TokenType.L_PAREN)
    )


def shows_nothing(node: exp.Expr) -> bool:
    """Whether *node* tells of a column only whether it is NULL, which its mask tells as well."""
    if isinstance(node, exp.Is):
        return (
            isinstance(node.expression, exp.Null)
            and isinstance(node.this, exp.Column)
            and not isinstance(node.this.this, exp.Star)
        )
    if isinstance(node, exp.Count):
        return isinstance(node.this, exp.Column) and not isinstance(node.this.this, exp.Star) and not node.expressions
    return False


def is_parenthesised_join(node: exp.Expr) -> bool:
    inner = node.this if isinstance(node, exp.Subquery) else None
    return isinstance(inner, exp.Table) or (isinstance(inner, exp.Subquery) and bool(inner.alias or inner.args.get("joins")))


def names_index(table: exp.Table) -> bool:
    return bool(table.args.get("hints")) or isinstance(table.args.get("indexed"), exp.Expr)


def column_aliases(cte: exp.Expr) -> list[str]:
    alias = cte.args.get("alias")
    return [column.name for column in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []


def nodes(value: object) -> list[exp.Expr]:
    if isinstance(value, exp.Expr):
        return [value]
    return [each for each in cast("list[object]", value) if isinstance(each, exp.Expr)] if isinstance(value, list) else []

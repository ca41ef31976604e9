"""Judges a statement by its text alone: exactly one, a read, made only of what the dialect's rules allow. Pure."""

import contextlib
import logging
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import sqlglot
from opsroom_shared.errors import InvalidInput, NotPermitted, TooLarge
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from .dialects import Rules
from .names import did_you_mean
from .sql_position import marked

# It warns with the whole text of a statement that it does not know, which may hold a secret; such a statement is refused below.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

MAX_SQL_BYTES = 100_000
_MAX_TOKENS = 30_000
_FRAMES = 4_000

Kind: TypeAlias = Literal["query", "explain", "pragma"]

_READS = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery)

# A function call is judged by its name, an operator by its family; of everything else only these.
_NODES = (
    *_READS,
    exp.Func,
    exp.Binary,
    exp.Unary,
    exp.Alias,
    exp.Between,
    exp.Boolean,
    exp.Case,
    exp.Column,
    exp.CTE,
    exp.DataType,
    exp.DataTypeParam,
    exp.Distinct,
    exp.Exists,
    exp.Filter,
    exp.From,
    exp.Group,
    exp.Having,
    exp.HexString,
    exp.Identifier,
    exp.In,
    exp.IndexTableHint,
    exp.Join,
    exp.JSONKeyValue,
    exp.JSONPath,
    exp.JSONPathPart,
    exp.Limit,
    exp.Literal,
    exp.Null,
    exp.Offset,
    exp.Order,
    exp.Ordered,
    exp.Star,
    exp.Table,
    exp.TableAlias,
    exp.Tuple,
    exp.Var,
    exp.Where,
    exp.Window,
    exp.WindowSpec,
    exp.With,
)
_NOT_OPERATORS = (exp.PropertyEQ, exp.Kwarg)

# Words that a parenthesis may follow without a call being made. Anything else before a parenthesis is a name being called.
_SYNTAX = """
    all and any as asc between by case cast collate cross desc distinct else end escape except exists filter from full glob
    group having in indexed inner intersect is isnull join left like limit match materialized natural not notnull null
    offset on or order outer over partition plan query range recursive regexp right rows groups select then union using
    values when where window with
    """
_SYNTAX_BEFORE_PARENTHESIS = frozenset(_SYNTAX.split())
# These are also functions, so they count as syntax only where an operand has just ended.
_OPERATOR_WORDS = frozenset({"glob", "like", "match", "regexp"})
_NAMES = frozenset({TokenType.VAR, TokenType.IDENTIFIER})


@dataclass(frozen=True)
class Statement:
    """A statement that the guard let pass, and what it read in it."""

    sql: str
    """What is to run: the text that was judged, without what stands around it."""
    kind: Kind
    query: exp.Expr | None
    """The tree of the query; of the explained one for an EXPLAIN, None for a PRAGMA."""
    query_sql: str
    """The text of the query alone, without EXPLAIN."""


def check(text: str, rules: Rules) -> Statement:
    """*text* as a statement that may run. Raises InvalidInput, NotPermitted or TooLarge with the reason."""
    sql = bounded(text)
    tokens = _one_statement(_tokens(sql, rules), sql)
    if tokens[0].text.upper() == "PRAGMA":
        _check_pragma(tokens, sql, rules)
        return Statement(sql, "pragma", None, sql)
    query_sql, explained = _without_explain(sql, tokens, rules)
    if explained:
        tokens = _one_statement(_tokens(query_sql, rules), query_sql)
        if tokens[0].text.upper() in ("PRAGMA", "EXPLAIN"):
            raise NotPermitted("Only a query can be explained.")
    tree = _parse(tokens, query_sql, rules)
    if not isinstance(tree, _READS):
        raise NotPermitted(
            f"{tokens[0].text.upper()} is not a query. Only reading is allowed: SELECT, VALUES, WITH … SELECT, EXPLAIN."
        )
    check_parts(tree, tokens, query_sql, rules)
    return Statement(sql, "explain" if explained else "query", tree, query_sql)


def parsed(text: str, rules: Rules) -> tuple[str, list[Token], exp.Expr]:
    """One statement of any kind: its text without what stands around it, its tokens, and its tree; nothing in it is judged."""
    sql = bounded(text)
    tokens = _one_statement(_tokens(sql, rules), sql)
    return sql[: tokens[-1].end + 1], tokens, _parse(tokens, sql, rules)


def check_parts(tree: exp.Expr, tokens: Sequence[Token], sql: str, rules: Rules, not_calls: frozenset[int] = frozenset()) -> None:
    """Judges everything inside a statement. At *not_calls* stand names before parentheses that call nothing."""
    _check_nodes(tree, rules)
    _check_relations(tree, rules)
    _check_calls(tokens, sql, rules, not_calls | (_table_calls(tree) if rules.tables_take_arguments else frozenset[int]()))


def bounded(text: str) -> str:
    if len(text) > MAX_SQL_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_SQL_BYTES:
        raise TooLarge(f"The statement is longer than {MAX_SQL_BYTES:,} bytes.")
    if "\0" in text:
        raise InvalidInput("The statement holds a NUL byte.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput("The statement is not valid Unicode: it holds half of a surrogate pair.")
    sql = text.strip().lstrip("\ufeff").strip()
    if not sql:
        raise InvalidInput("The statement is empty.")
    return sql


def _tokens(sql: str, rules: Rules) -> list[Token]:
    try:
        tokens = Dialect.get_or_raise(rules.dialect).tokenize(sql)
    except TokenError as error:
        raise InvalidInput("The statement cannot be read: a quote, a bracket or a comment is not closed.") from error
    if len(tokens) > _MAX_TOKENS:
        raise TooLarge(f"The statement has more than {_MAX_TOKENS:,} words.")
    return [_as_name(token) if sql[token.start : token.end + 1].lower() in rules.plain_words else token for token in tokens]


def _as_name(token: Token) -> Token:
    return Token(TokenType.VAR, token.text, token.line, token.col, token.start, token.end, token.comments)


def _one_statement(tokens: list[Token], sql: str) -> list[Token]:
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens = tokens[:-1]
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            raise NotPermitted(f"One statement at a time, and another one follows here:\n{marked(sql, token.start)}")
    if not tokens:
        raise InvalidInput("The statement is empty: there is nothing but comments in it.")
    return tokens


def _without_explain(sql: str, tokens: Sequence[Token], rules: Rules) -> tuple[str, bool]:
    """The explained statement's text, and whether there was an EXPLAIN. sqlglot leaves what follows EXPLAIN unread."""
    if tokens[0].text.upper() != "EXPLAIN":
        return sql, False
    rest = sql[tokens[0].end + 1 :]
    following = _tokens(rest, rules)
    words = [token.text.upper() for token in following[:3]]
    longest = max((prefix for prefix in rules.explain_words if tuple(words[: len(prefix)]) == prefix), key=len)
    if longest:
        rest = rest[following[len(longest) - 1].end + 1 :]
    return rest.strip(), True


def _parse(tokens: list[Token], sql: str, rules: Rules) -> exp.Expr:
    try:
        with _room_to_recurse():
            trees = Dialect.get_or_raise(rules.dialect).parser(error_level=sqlglot.ErrorLevel.IMMEDIATE).parse(tokens, sql)
    except ParseError as error:
        raise InvalidInput(_parse_problem(error, sql)) from None
    except RecursionError:
        raise TooLarge("The statement is nested too deeply.") from None
    if len(trees) != 1 or trees[0] is None:
        raise NotPermitted("One statement at a time.")
    return trees[0]


@contextlib.contextmanager
def _room_to_recurse() -> Generator[None]:
    """The parser takes some fifteen frames for a level of nesting, and generated SQL nests once for every condition."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _parse_problem(error: ParseError, sql: str) -> str:
    first = error.errors[0] if error.errors else {}
    description = first.get("description") or str(error).splitlines()[0]
    line, column, highlight = first.get("line"), first.get("col"), first.get("highlight") or ""
    if description.startswith("Required keyword"):  # it names classes of the parser's
        description = "Something is missing here"
    description = f"The statement cannot be read: {description.rstrip('.')}."
    if highlight.isidentifier():
        description += " A name that is a word of SQL has to stand in double quotes."
    if line is None or column is None:
        return description
    start = sum(len(each) + 1 for each in sql.split("\n")[: line - 1]) + column - len(highlight)
    return f"{description}\n{marked(sql, max(start, 0))}"


def _check_nodes(tree: exp.Expr, rules: Rules) -> None:
    for node in tree.walk():
        if isinstance(node, exp.Placeholder | exp.Parameter):
            raise InvalidInput("The statement has a parameter, and there are no values for parameters. Write the value itself.")
        if isinstance(node, _NODES) and not isinstance(node, _NOT_OPERATORS):
            continue
        if type(node).__name__ not in rules.nodes:
            raise NotPermitted(f"{_words(type(node).__name__)} is not allowed in a read-only query.")


def _check_relations(tree: exp.Expr, rules: Rules) -> None:
    for table in tree.find_all(exp.Table):
        name = table.this.name if isinstance(table.this, exp.Func) else table.name
        if rules.denied_relations.fullmatch(name):
            raise NotPermitted(f"{name} may not be read: it shows more than the rows of this database.")


def _table_calls(tree: exp.Expr) -> frozenset[int]:
    """Where the names of `FROM name(…)` start."""
    calls = (table.this for table in tree.find_all(exp.Table) if isinstance(table.this, exp.Anonymous))
    return frozenset(start for call in calls if isinstance(start := call.meta.get("start"), int))


def _check_calls(tokens: Sequence[Token], sql: str, rules: Rules, not_calls: frozenset[int]) -> None:
    for token in called(tokens):
        name = token.text.lower()
        if name not in rules.functions and token.start not in not_calls:
            hint = did_you_mean(name, rules.functions)
            raise NotPermitted(f"The function {token.text} is not among those allowed here.{hint}\n{marked(sql, token.start)}")


def called(tokens: Sequence[Token]) -> Iterator[Token]:
    """The names that are called as functions. Tokens are the engine's own words, so no rewriting of the parser hides a call."""
    for index in range(len(tokens) - 1):
        token = tokens[index]
        if tokens[index + 1].token_type != TokenType.L_PAREN or not _is_name(token):
            continue
        previous = tokens[index - 1] if index else None
        quoted = token.token_type == TokenType.IDENTIFIER
        if not quoted and len(token.text.split()) > 1:
            continue  # ORDER BY and the like: a name of several words would be quoted
        word = token.text.lower()
        if not quoted and word in _SYNTAX_BEFORE_PARENTHESIS and not (word in _OPERATOR_WORDS and not _ends_operand(previous)):
            continue
        if previous is not None and previous.token_type == TokenType.ALIAS:
            continue  # a type: CAST(x AS DECIMAL(10, 2)); a call cannot follow AS
        if _names_cte(tokens, index):
            continue
        yield token


def _is_name(token: Token) -> bool:
    return token.token_type in _NAMES or token.text[:1].isalpha() or token.text[:1] == "_"


def _ends_operand(token: Token | None) -> bool:
    """Whether an operator can follow *token*: `a LIKE (b)` calls nothing, `, like(a, b)` does."""
    if token is None:
        return False
    return (
        token.token_type in (TokenType.R_PAREN, TokenType.STRING, TokenType.NUMBER, TokenType.HEX_STRING, *_NAMES)
        or token.text.upper() in ("NOT", "NULL", "END")
        or (token.text.isidentifier() and token.text.lower() not in _SYNTAX_BEFORE_PARENTHESIS)
    )


def _names_cte(tokens: Sequence[Token], index: int) -> bool:
    """Whether `name (…)` at *index* is followed by AS and a parenthesis, which only a common table expression is."""
    depth = 0
    for position in range(index + 1, len(tokens)):
        kind = tokens[position].token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        if depth == 0:
            words = [token.text.upper() for token in tokens[position + 1 : position + 5]]
            return words[:1] == ["AS"] and (
                words[1:2] == ["("] or words[1:3] == ["MATERIALIZED", "("] or words[1:4] == ["NOT", "MATERIALIZED", "("]
            )
    return False


def _check_pragma(tokens: Sequence[Token], sql: str, rules: Rules) -> None:
    """PRAGMA [schema.]name [= word | (word)], where the name decides whether a word may follow."""
    rest = list(tokens[1:])
    if len(rest) >= 3 and rest[1].token_type == TokenType.DOT:
        rest = rest[2:]
    if not rest or not _is_name(rest[0]):
        raise InvalidInput("PRAGMA needs a name, such as PRAGMA table_info(orders).")
    name, argument = rest[0].text.lower(), rest[1:]
    if not argument:
        allowed = name in rules.pragmas
    else:
        one_word = (len(argument) == 3 and argument[0].text == "(" and argument[2].text == ")") or (
            len(argument) == 2 and argument[0].text == "="
        )
        allowed = one_word and name in rules.pragmas_with_argument
    if not allowed:
        detail = " with a value" if argument and name in rules.pragmas else ""
        hint = did_you_mean(name, rules.pragmas | rules.pragmas_with_argument) if not detail else ""
        raise NotPermitted(
            f"PRAGMA {name}{detail} is not allowed here; only PRAGMAs that report are.{hint}\n{marked(sql, rest[0].start)}"
        )


def _words(class_name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() and index else letter for index, letter in enumerate(class_name))

"""Judges a statement for an engine that only the generic rules know: its text, its calls, and what it reads from. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput, NotPermitted
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from ..names import did_you_mean
from ..sql_position import marked
from ..sql_safety import Statement, bounded, called, check
from .generic import STATEMENT_WORDS, TABLE_FUNCTIONS, WITHOUT_RECURSIVE, WITHOUT_SEMICOLONS, Engine

Name = tuple[str, str]
"""Schema and name of a relation in lower case; the schema is empty where it is the default one."""

# What a SELECT may be made of; of the rest, engines have settings, formats and places to write to.
_CLAUSES = frozenset(
    {"distinct", "expressions", "from_", "group", "having", "joins", "laterals", "limit", "offset", "order", "qualify", "where"}
    | {"windows", "with_"}
)
_BEFORE_TEXTS = frozenset({"DATE", "INTERVAL", "TIME", "TIMESTAMP"})
_STRINGS = frozenset({TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.RAW_STRING, TokenType.BYTE_STRING})


@dataclass(frozen=True)
class Reading:
    """A query that the generic rules let pass, as far as its text tells."""

    statement: Statement
    relations: tuple[Name, ...]
    """The relations that it names, but for its own common table expressions."""

    @property
    def sql(self) -> str:
        return self.statement.sql

    @property
    def tree(self) -> exp.Expr:
        assert self.statement.query is not None  # noqa: S101 - read lets only queries pass
        return self.statement.query


def read(text: str, engine: Engine) -> Reading:
    """*text* as one query. Raises InvalidInput, NotPermitted or TooLarge with the reason."""
    if engine.parser is None:
        raise NotPermitted(
            f"Nothing here can parse the SQL of {engine.name}, so no query of it can be judged. "
            "search_schema and describe_table work, with sample_rows too."
        )
    tokens = _tokens(bounded(text), engine.parser)
    sql = _without_comments(bounded(text), tokens, engine.parser).rstrip("; \n")
    statement = check(sql, engine.rules)
    if statement.kind != "query" or statement.query is None:
        raise NotPermitted("Only a query may stand here; explain_query shows its plan.")
    tokens = _tokens(statement.sql, engine.parser)
    _check_texts(tokens, statement.sql)
    if engine.parser in WITHOUT_SEMICOLONS:
        _check_words(tokens, statement.sql)
    _check_calls(statement.query, tokens, statement.sql, engine)
    _check_clauses(statement.query)
    return Reading(statement, tuple(dict.fromkeys(_relations(statement.query, engine))))


def check_relations(reading: Reading, existing: Mapping[Name, object]) -> None:
    """Refuses a name that is none of *existing*: engines take file names, and names of other servers, for relations."""
    for schema, name in reading.relations:
        if (schema, name) not in existing:
            hint = did_you_mean(name, (each for _, each in existing))
            start = reading.sql.lower().find(name)
            place = f"\n{marked(reading.sql, start)}" if start >= 0 else ""
            raise InvalidInput(f"There is no table or view {schema}{'.' if schema else ''}{name}.{hint}{place}")


def _tokens(sql: str, parser: str) -> list[Token]:
    try:
        tokens = Dialect.get_or_raise(parser).tokenize(sql)
    except TokenError as error:
        raise InvalidInput("The statement cannot be read: a quote, a bracket or a comment is not closed.") from error
    if not tokens:
        raise InvalidInput("The statement is empty: there is nothing but comments in it.")
    if any(token.token_type == TokenType.COMMAND for token in tokens):
        raise NotPermitted("Only a query may stand here; explain_query shows its plan.")
    return tokens


def _without_comments(sql: str, tokens: Sequence[Token], parser: str) -> str:
    """*sql* with blanks for what stands between its tokens: comments are where a parser and an engine may differ."""
    parts: list[str] = []
    end = 0
    for token in tokens:
        gap = sql[end : token.start]
        parts.append(gap if gap.isspace() or not gap else "".join("\n" if each == "\n" else " " for each in gap))
        parts.append(sql[token.start : token.end + 1])
        end = token.end + 1
    blanked = "".join(parts).strip()
    again = _tokens(blanked, parser)
    if [(each.token_type, each.text) for each in again] != [(each.token_type, each.text) for each in tokens]:
        raise InvalidInput("The statement cannot be read without its comments. Leave them out.")
    return blanked


def _check_texts(tokens: Sequence[Token], sql: str) -> None:
    """Refuses texts whose end another scanner may find elsewhere."""
    for index, token in enumerate(tokens):
        raw = sql[token.start : token.end + 1]
        before = tokens[index - 1] if index else None
        if token.token_type in _STRINGS and ("\\'" in raw or '\\"' in raw or raw[:-1].endswith("\\")):
            raise NotPermitted(f"A backslash before a quote means different things to engines.\n{marked(sql, token.start)}")
        touches = before is not None and before.end + 1 == token.start and (before.text[-1:].isalnum() or before.text[-1:] == "_")
        if token.token_type in _STRINGS and touches and before is not None and before.text.upper() not in _BEFORE_TEXTS:
            raise NotPermitted(f"A word and a text that touch mean different things to engines.\n{marked(sql, token.start)}")


def _check_words(tokens: Sequence[Token], sql: str) -> None:
    """Refuses the words of other statements, but for names behind a dot or AS."""
    for index, token in enumerate(tokens):
        raw = sql[token.start : token.end + 1]
        before = tokens[index - 1] if index else None
        is_name = before is not None and before.token_type in (TokenType.DOT, TokenType.ALIAS)
        if raw.lower() in STATEMENT_WORDS and not is_name:
            raise NotPermitted(
                f"{raw.upper()} does not belong in a query. A name that is this word has to stand in quotes.\n"
                f"{marked(sql, token.start)}"
            )


def _check_calls(tree: exp.Expr, tokens: Sequence[Token], sql: str, engine: Engine) -> None:
    """What the lists of functions do not cover: calls of packages and methods, and names that only the tree knows as calls."""
    starts = {token.start: index for index, token in enumerate(tokens)}
    for token in called(tokens):
        index = starts[token.start]
        if index and tokens[index - 1].token_type == TokenType.DOT:
            raise NotPermitted(f"Only built-in functions may be called, without a dot before them.\n{marked(sql, token.start)}")
    for call in tree.find_all(exp.Anonymous, exp.AnonymousAggFunc):
        name = call.name.lower()
        if name not in engine.rules.functions:
            raise NotPermitted(f"The function {name} is not among those allowed here.")
    if tree.find(exp.NextValueFor, exp.ReadCSV, exp.ReadParquet, exp.Columns):
        raise NotPermitted("Sequences, files and columns by pattern may not be read here.")


def _check_clauses(tree: exp.Expr) -> None:
    for select in tree.find_all(exp.Select):
        if others := [key for key, value in select.args.items() if value and key not in _CLAUSES]:
            raise NotPermitted(f"{others[0].rstrip('_').upper()} is not allowed in a read-only query.")
    for ordered in tree.find_all(exp.Ordered):
        if isinstance(ordered.this, exp.Var):
            raise NotPermitted("ORDER BY ALL is not allowed here: name the columns.")
    if any(group.args.get("all") for group in tree.find_all(exp.Group)):
        raise NotPermitted("GROUP BY ALL is not allowed here: name the columns.")


def _relations(tree: exp.Expr, engine: Engine) -> Iterator[Name]:
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func):
            if type(table.this).__name__ not in TABLE_FUNCTIONS:
                raise NotPermitted("A function in FROM may not be called here, but for unnest, range and generate_series.")
            continue
        if not isinstance(table.this, exp.Identifier) or table.catalog:
            raise NotPermitted("Name a relation as schema.name or name; other catalogs and servers are not read.")
        if table.db or not _is_common_table(table, engine):
            yield table.db.casefold(), table.name.casefold()


def _is_common_table(table: exp.Table, engine: Engine) -> bool:
    """Whether a WITH around *table* gives its name. Inside of its own expression a name is still that of a relation or file."""
    came_from: exp.Expr = table
    node = table.parent
    while node is not None:
        clause = node if isinstance(node, exp.With) else node.args.get("with_")
        if isinstance(clause, exp.With) and not isinstance(came_from, exp.With):
            at = next((at for at, cte in enumerate(clause.expressions) if cte is came_from), None)
            if any(cte.alias.casefold() == table.name.casefold() for cte in clause.expressions[:at]):
                return True
            if isinstance(came_from, exp.CTE) and _reads_itself(came_from, table, clause, engine):
                return True
        came_from, node = node, node.parent
    return False


def _reads_itself(cte: exp.CTE, table: exp.Table, clause: exp.With, engine: Engine) -> bool:
    """Whether *table* means the rows that *cte* has made so far: in all but the first part of a recursive expression."""
    if cte.alias.casefold() != table.name.casefold() or not isinstance(cte.this, exp.SetOperation):
        return False
    first: exp.Expr = cte.this
    while isinstance(first, exp.SetOperation):
        first = first.this
    in_first = any(each is table for each in first.find_all(exp.Table))
    return not in_first and (bool(clause.args.get("recursive")) or engine.parser in WITHOUT_RECURSIVE)

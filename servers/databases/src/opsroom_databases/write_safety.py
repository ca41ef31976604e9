"""Judges a statement that writes by its text: one INSERT, UPDATE or DELETE, or a definition where those are allowed. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from opsroom_shared.errors import NotPermitted
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from .dialects import Rules
from .models import WriteKind
from .sql_safety import check_parts, parsed

_KINDS: dict[type[exp.Expr], WriteKind] = {exp.Insert: "insert", exp.Update: "update", exp.Delete: "delete"}
_WRITE_NODES = frozenset({"Insert", "Update", "Delete", "Schema", "OnConflict", "Returning"})
_DEFINITIONS = (exp.Create, exp.Drop, exp.Alter)
_DEFINED = ("TABLE", "INDEX", "VIEW")
_PARTS = """
    Create Drop Alter Schema ColumnDef ColumnConstraint Constraint Index IndexParameters RenameColumn AlterRename RenameTable
    PrimaryKey ForeignKey Reference UniqueColumnConstraint PrimaryKeyColumnConstraint NotNullColumnConstraint
    DefaultColumnConstraint CheckColumnConstraint CollateColumnConstraint AutoIncrementColumnConstraint
    ComputedColumnConstraint GeneratedAsIdentityColumnConstraint WithoutRowIdProperty StrictProperty Properties
"""
_DEFINITION_NODES = frozenset(_PARTS.split())
# Words that stand before a parenthesis in a statement that writes or defines, and call nothing.
_WORDS = """
    conflict set returning into key primary foreign references check unique default generated always autoincrement constraint
    char character varchar nvarchar nchar decimal numeric float real double precision int integer bigint text blob
"""
_NOT_CALLED = frozenset(_WORDS.split())


@dataclass(frozen=True)
class Write:
    """A statement that may be tried, and what it is."""

    sql: str
    kind: WriteKind
    tree: exp.Expr
    table: str
    """The name of what it changes, without a schema."""
    returns: bool
    """Whether it has RETURNING."""
    every_row: bool
    """Whether no condition on a column says which rows it changes."""


def check_write(text: str, rules: Rules, *, definitions: bool) -> Write:
    """*text* as a statement that may be tried. Raises InvalidInput, NotPermitted or TooLarge with the reason."""
    sql, tokens, tree = parsed(text, rules)
    if isinstance(tree, _DEFINITIONS):
        return _definition(tree, tokens, sql, rules, allowed=definitions)
    kind = _KINDS.get(type(tree))
    if kind is None:
        raise NotPermitted(
            f"{tokens[0].text.upper()} cannot be run here: only one INSERT, UPDATE or DELETE; run_query is for reading."
        )
    check_parts(tree, tokens, sql, replace(rules, nodes=rules.nodes | _WRITE_NODES), _no_calls(tree, tokens))
    return write_of(sql, tree, kind, target_of(tree).name)


def write_of(sql: str, tree: exp.Expr, kind: str, table: str) -> Write:
    """The INSERT, UPDATE or DELETE *tree* of *table*. Raises NotPermitted where *tree* is another *kind*, or of another table."""
    if kind != _KINDS.get(type(tree)) or target_of(tree).name.casefold() != table.casefold():
        raise NotPermitted("The statement is not understood: it can be read in more than one way. Write it more simply.")
    where = tree.args.get("where")
    return Write(
        sql=sql,
        kind=_KINDS[type(tree)],
        tree=tree,
        table=table,
        returns=tree.args.get("returning") is not None,
        every_row=kind != "insert" and (where is None or where.find(exp.Column) is None),
    )


def says_which_rows(write: Write, called: Iterable[str], columns: Iterable[str]) -> bool:
    """Whether a condition has one of the *columns* of the table in it, which is *called* so there."""
    where = write.tree.args.get("where")
    if where is None:
        return False
    names, own = {name.casefold() for name in called}, {column.casefold() for column in columns}
    return any(
        column.name.casefold() in own and (not column.table or column.table.casefold() in names)
        for column in where.find_all(exp.Column)
    )


def definitions_refused(verb: str, *, allowed: bool) -> None:
    """Raises NotPermitted for a definition where none is *allowed*."""
    if not allowed:
        raise NotPermitted(f"{verb.upper()} changes the schema. A person allows that with allow_ddl = true for this database.")


def target_of(tree: exp.Expr) -> exp.Table:
    """The table that an INSERT, UPDATE or DELETE changes."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if not isinstance(target, exp.Table) or not isinstance(target.this, exp.Identifier) or target.args.get("joins"):
        raise NotPermitted("The statement has to change one table, named plainly.")
    return target


def _definition(tree: exp.Expr, tokens: Sequence[Token], sql: str, rules: Rules, *, allowed: bool) -> Write:
    definitions_refused(tokens[0].text, allowed=allowed)
    if tree.args.get("kind") not in _DEFINED or tree.args.get("temporary"):
        raise NotPermitted("Only tables, indexes and views can be created, altered and dropped here.")
    check_parts(tree, tokens, sql, replace(rules, nodes=rules.nodes | _DEFINITION_NODES), _no_calls(tree, tokens))
    named = tree.find(exp.Table)
    return Write(sql, "definition", tree, named.name if named else "", returns=False, every_row=False)


def _no_calls(tree: exp.Expr, tokens: Sequence[Token]) -> frozenset[int]:
    """Where names of tables, indexes, and words of the grammar stand before parentheses."""
    named = [table.this for table in tree.find_all(exp.Table)] + [index.this for index in tree.find_all(exp.Index)]
    starts = {each.meta.get("start") for each in named if isinstance(each, exp.Identifier)}
    words = {token.start for token in tokens if token.token_type != TokenType.IDENTIFIER and token.text.lower() in _NOT_CALLED}
    return frozenset(start for start in starts | words if isinstance(start, int))

"""Finds the secret columns behind the names in a statement, before it runs on the same session."""

import re
from collections.abc import Iterable, Sequence

from ..dialects.mysql_statement import Reading
from ..secret_columns import NOTHING_MASKED, Masked, SecretColumns, Shape
from ..secret_names import Policy
from ..secret_scope import Dialect
from .mysql_rows import plain
from .mysql_session import Session
from .mysql_wire import literal

DIALECT = Dialect("mysql")

_MOST_ROUNDS = 6
_MOST_NAMES = 2_000
_WORD = re.compile(r"`((?:[^`]|``)+)`|([\w$]+)")
# Given one name, the engine looks for one table; given several, it looks through the schema, and opens all of it for columns.
_TABLE = "SELECT table_name FROM information_schema.tables WHERE table_schema = {schema} AND table_name = {table}"
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = {schema} AND table_name IN ({tables})"
_MOST_ONE_BY_ONE = 100
_COLUMNS = """
    SELECT table_schema, table_name, column_name, extra, generation_expression, table_schema = DATABASE()
    FROM information_schema.columns WHERE table_schema = {schema} AND table_name = {table} ORDER BY ordinal_position"""
_VIEW = "SELECT view_definition FROM information_schema.views WHERE table_schema = {schema} AND table_name = {table}"
_SCHEMAS = "SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ({names}) OR schema_name = DATABASE()"


def judged(reading: Reading, session: Session, policy: Policy) -> Masked:
    """What to mask of the rows of a query. Raises NotPermitted where a secret is used otherwise."""
    if not policy.on or reading.sort == "show":
        return NOTHING_MASKED
    masked = secret_columns(reading.query_sql, session, policy).judge(reading.query_sql, reading.tree)
    return masked if reading.sort == "query" else NOTHING_MASKED


def secret_columns(text: str, session: Session, policy: Policy) -> SecretColumns:
    """The secret columns of every relation that a word of *text* may name, and of what the views among them read."""
    found: dict[str, Shape] = {}
    seen: set[str] = set()
    if not policy.on:
        return SecretColumns(policy, (), DIALECT)
    waiting = _words(text)
    for _ in range(_MOST_ROUNDS):
        wanted = sorted(waiting - seen)[:_MOST_NAMES]
        if not wanted:
            break
        seen |= set(wanted)
        shapes = _shapes(wanted, sorted(seen)[:_MOST_NAMES], session)
        found |= shapes
        waiting = set[str]().union(*(_words(shape.definition) for shape in shapes.values() if shape.definition))
    return SecretColumns(policy, found.values(), DIALECT, whole=False)


def _shapes(tables: Sequence[str], words: Iterable[str], session: Session) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for (schema,) in plain(session.fetch(_SCHEMAS.format(names=_list(words)))):
        for name in _existing(str(schema), tables, session):
            found |= _shape(str(schema), name, session)
    return found


def _existing(schema: str, tables: Sequence[str], session: Session) -> list[str]:
    """Those of *tables* that are in *schema*, as they are written there."""
    if len(tables) > _MOST_ONE_BY_ONE:
        sql = _TABLES.format(schema=literal(schema), tables=_list(tables))
    else:
        sql = " UNION ".join(_TABLE.format(schema=literal(schema), table=literal(table)) for table in tables)
    return [str(name) for (name,) in plain(session.fetch(sql))]


def _shape(schema: str, name: str, session: Session) -> dict[str, Shape]:
    """The relation under the names by which a statement may call it."""
    place = {"schema": literal(schema), "table": literal(name)}
    columns = plain(session.fetch(_COLUMNS.format(**place)))
    view = plain(session.fetch(_VIEW.format(**place)))
    if not columns:
        return {}
    called = [f"{schema}.{name}", name] if columns[0][5] == "1" else [f"{schema}.{name}"]
    return {
        each: Shape(
            each,
            tuple(str(row[2]) for row in columns if "INVISIBLE" not in str(row[3]).upper()),
            hidden=tuple(str(row[2]) for row in columns if "INVISIBLE" in str(row[3]).upper()),
            generated={str(row[2]): row[4] or None for row in columns if "GENERATED" in _extra(row[3])},
            definition=str(view[0][0] or "") if view else None,
            copies=("histogram", "min_value", "max_value") if name.lower() in ("column_stats", "column_statistics") else (),
        )
        for each in called
    }


def _extra(value: str | None) -> str:
    return str(value).upper().replace("DEFAULT_GENERATED", "")


def _words(text: str | None) -> set[str]:
    return {(quoted.replace("``", "`") or bare) for quoted, bare in _WORD.findall(text or "")}


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(literal, names)) or "''"

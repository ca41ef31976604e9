"""Finds the secret columns behind the names in a statement, before it runs on the same session."""

import re
from collections.abc import Iterable

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
_COLUMNS = """
    SELECT c.table_schema, c.table_name, c.column_name, c.extra, c.generation_expression, c.table_schema = DATABASE(),
      v.view_definition, v.table_name IS NOT NULL
    FROM information_schema.columns c
      LEFT JOIN information_schema.views v ON v.table_schema = c.table_schema AND v.table_name = c.table_name
    WHERE c.table_schema IN ({schemas}) AND c.table_name IN ({tables})
    ORDER BY c.table_schema, c.table_name, c.ordinal_position"""
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


def _shapes(tables: Iterable[str], words: Iterable[str], session: Session) -> dict[str, Shape]:
    schemas = plain(session.fetch(_SCHEMAS.format(names=_list(words))))
    rows = plain(session.fetch(_COLUMNS.format(schemas=_list(str(schema) for (schema,) in schemas), tables=_list(tables))))
    columns: dict[tuple[str, str], list[list[str | None]]] = {}
    for row in rows:
        columns.setdefault((str(row[0]), str(row[1])), []).append(row)
    found: dict[str, Shape] = {}
    for (schema, name), mine in columns.items():
        called = [f"{schema}.{name}", name] if mine[0][5] == "1" else [f"{schema}.{name}"]
        for each in called:
            found[each] = Shape(
                each,
                tuple(str(row[2]) for row in mine if "INVISIBLE" not in str(row[3]).upper()),
                hidden=tuple(str(row[2]) for row in mine if "INVISIBLE" in str(row[3]).upper()),
                generated={str(row[2]): row[4] or None for row in mine if "GENERATED" in _extra(row[3])},
                definition=str(mine[0][6] or "") if mine[0][7] == "1" else None,
                copies=("histogram", "min_value", "max_value") if name.lower() in ("column_stats", "column_statistics") else (),
            )
    return found


def _extra(value: str | None) -> str:
    return str(value).upper().replace("DEFAULT_GENERATED", "")


def _words(text: str | None) -> set[str]:
    return {(quoted.replace("``", "`") or bare) for quoted, bare in _WORD.findall(text or "")}


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(literal, names)) or "''"

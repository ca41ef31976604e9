"""What a DuckDB database is made of, as its own tables tell it: duckdb-engine's inspection does not work with SQLAlchemy 2.1."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from opsroom_shared.errors import TooLarge
from sqlalchemy import Connection

from ..dialects.generic_statement import Name
from ..models import ForeignKey, IndexDescription, Reference, RelationKind
from .generic_catalog import MOST_COLUMNS, MOST_RELATIONS, Field, Keys, Listed

_KINDS: Mapping[str, RelationKind] = {"BASE TABLE": "table", "VIEW": "view"}

_RELATIONS = f"""
    SELECT table_schema, table_name, table_type FROM information_schema.tables
    WHERE table_catalog = current_database() AND table_schema <> 'information_schema' ORDER BY 1, 2 LIMIT {MOST_RELATIONS + 1}"""  # noqa: S608 - ours
_COLUMNS = f"""
    SELECT schema_name, table_name, column_name, data_type, is_nullable, column_default, is_generated, generation_expression,
      comment FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal
    ORDER BY schema_name, table_name, column_index LIMIT {MOST_COLUMNS + 1}"""  # noqa: S608 - ours
_DEFINITIONS = "SELECT schema_name, view_name, sql FROM duckdb_views() WHERE database_name = current_database() AND NOT internal"
_TABLES = "SELECT schema_name, table_name, estimated_size, comment FROM duckdb_tables() WHERE database_name = current_database()"
_INDEXES = """
    SELECT schema_name, table_name, index_name, expressions, is_unique FROM duckdb_indexes()
    WHERE database_name = current_database()"""
_KEYS = """
    SELECT schema_name, table_name, constraint_type, constraint_column_names, referenced_table, referenced_column_names
    FROM duckdb_constraints() WHERE database_name = current_database()
      AND constraint_type IN ('PRIMARY KEY', 'UNIQUE', 'FOREIGN KEY')"""
_PLAIN = re.compile(r"\[(?P<names>.*)\]", re.DOTALL)


class DuckdbCatalog:
    """The schemas of the one database file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.default_schema: str | None = "main"

    def listed(self) -> dict[Name, Listed]:
        rows = self._rows(_RELATIONS)
        if len(rows) > MOST_RELATIONS:
            raise TooLarge(f"The database has more than {MOST_RELATIONS:,} relations, which is more than can be read here.")
        found: dict[Name, Listed] = {}
        for schema, name, kind in rows:
            relation = Listed(None if schema == "main" else str(schema), str(name), _KINDS.get(str(kind), "table"))
            found[relation.key] = found[str(schema).casefold(), relation.key[1]] = relation
        return found

    def fields(self, relations: Sequence[Listed]) -> dict[Name, list[Field]]:
        wanted = {relation.key for relation in relations}
        rows = self._rows(_COLUMNS)
        if len(rows) > MOST_COLUMNS:
            raise TooLarge(f"The database has more than {MOST_COLUMNS:,} columns, which is more than can be read here.")
        found: dict[Name, list[Field]] = {}
        for schema, table, name, kind, nullable, default, computed, expression, comment in rows:
            key = _key(schema, table)
            if key in wanted:
                shown = None if computed else _text(default)
                field = Field(str(name), str(kind), bool(nullable), shown, bool(computed), _text(expression), _text(comment))
                found.setdefault(key, []).append(field)
        return found

    def definition(self, view: Listed) -> str | None:
        found = [sql for schema, name, sql in self._rows(_DEFINITIONS) if _key(schema, name) == view.key]
        return _text(found[0]) if found else None

    def keys(self, relation: Listed) -> Keys:
        primary: tuple[str, ...] = ()
        foreign: list[ForeignKey] = []
        indexes = list(self.indexes().get(relation.key, ()))
        for schema, table, kind, columns, other, theirs in self._rows(_KEYS):
            if _key(schema, table) != relation.key:
                continue
            names = _names(columns)
            if kind == "PRIMARY KEY":
                primary = tuple(names)
            elif kind == "UNIQUE":
                indexes.append(IndexDescription(name="(unique constraint)", columns=names, unique=True))
            else:
                foreign.append(ForeignKey(columns=names, table=str(other), to_columns=_names(theirs)))
        comments = {_key(schema, table): comment for schema, table, _, comment in self._rows(_TABLES)}
        return Keys(primary, tuple(indexes), tuple(foreign), _text(comments.get(relation.key)))

    def indexes(self) -> dict[Name, list[IndexDescription]]:
        found: dict[Name, list[IndexDescription]] = {}
        for schema, table, name, expressions, unique in self._rows(_INDEXES):
            match = _PLAIN.fullmatch(str(expressions))
            columns = [part.strip().strip("'\"") for part in (match["names"] if match else str(expressions)).split(",")]
            index = IndexDescription(name=str(name), columns=columns, unique=bool(unique))
            found.setdefault(_key(schema, table), []).append(index)
        return found

    def references(self, relation: Listed) -> list[Reference]:
        return [
            Reference(table=Listed(None if schema == "main" else str(schema), str(table), "table").shown, columns=_names(columns),
                      to_columns=_names(theirs))
            for schema, table, kind, columns, other, theirs in self._rows(_KEYS)
            if kind == "FOREIGN KEY" and str(other).casefold() == relation.name.casefold()
        ]  # fmt: skip

    def estimates(self) -> Mapping[Name, int]:
        return {_key(schema, table): int(str(rows)) for schema, table, rows, _ in self._rows(_TABLES) if rows is not None}

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        return [tuple(row) for row in self._connection.exec_driver_sql(sql, execution_options={"no_parameters": True})]


def _key(schema: object, name: object) -> Name:
    return "" if schema == "main" else str(schema).casefold(), str(name).casefold()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _names(value: object) -> list[str]:
    return [str(each) for each in cast("list[object]", value)] if isinstance(value, list) else []

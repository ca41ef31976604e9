"""What a database of another engine is made of, as SQLAlchemy's inspection tells it; runs in the child process."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy
from opsroom_shared.errors import TooLarge
from sqlalchemy import Connection, Inspector
from sqlalchemy.engine.interfaces import ReflectedColumn, ReflectedIndex
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.exc import CompileError, SQLAlchemyError

from ..dialects.generic_statement import Name
from ..models import ForeignKey, IndexDescription, Reference, RelationKind

MOST_RELATIONS = 5_000
MOST_COLUMNS = 50_000
_MOST_SCHEMAS = 40
_SYSTEM = """
    information_schema pg_catalog pg_toast sys system _v_internal guest db_owner db_accessadmin db_securityadmin db_ddladmin
    db_backupoperator db_datareader db_datawriter db_denydatareader db_denydatawriter ctxsys dbsnmp dvsys gsmadmin_internal
    lbacsys mdsys olapsys ordsys outln wmsys xdb appqossys audsys dbsfwuser ojvmsys
"""
_SYSTEM_SCHEMAS = frozenset(_SYSTEM.split())


@dataclass(frozen=True)
class Listed:
    """A relation by its name, as the engine writes it. *schema* is None for the default one."""

    schema: str | None
    name: str
    kind: RelationKind

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @property
    def key(self) -> Name:
        return (self.schema or "").casefold(), self.name.casefold()


@dataclass(frozen=True)
class Field:
    """A column of a relation."""

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    computed: bool = False
    expression: str | None = None
    """What a computed column is made of, where that is known."""
    comment: str | None = None


@dataclass(frozen=True)
class Keys:
    """The keys and indexes of one relation."""

    primary: tuple[str, ...] = ()
    indexes: tuple[IndexDescription, ...] = ()
    foreign: tuple[ForeignKey, ...] = ()
    comment: str | None = None


class Catalog(Protocol):
    """Reads the schema on one connection."""

    @property
    def default_schema(self) -> str | None: ...

    def listed(self) -> dict[Name, Listed]:
        """Every relation that is not the engine's own, also under the name of the default schema."""
        ...

    def fields(self, relations: Sequence[Listed]) -> dict[Name, list[Field]]: ...

    def definition(self, view: Listed) -> str | None: ...

    def keys(self, relation: Listed) -> Keys: ...

    def indexes(self) -> dict[Name, list[IndexDescription]]: ...

    def references(self, relation: Listed) -> list[Reference]: ...

    def estimates(self) -> Mapping[Name, int]:
        """About how many rows relations have, where the engine tells."""
        ...


class InspectedCatalog:
    """The schema by `sqlalchemy.inspect`."""

    def __init__(self, connection: Connection) -> None:
        self._dialect = connection.dialect
        self._inspector: Inspector = sqlalchemy.inspect(connection)

    @property
    def default_schema(self) -> str | None:
        return self._inspector.default_schema_name

    def listed(self) -> dict[Name, Listed]:
        found: dict[Name, Listed] = {}
        for schema in self._schemas():
            for relation in self._in_schema(schema):
                if len(found) >= MOST_RELATIONS:
                    raise TooLarge(
                        f"The database has more than {MOST_RELATIONS:,} relations, which is more than can be read here."
                    )
                found[relation.key] = relation
                if schema is None and self.default_schema:
                    found[self.default_schema.casefold(), relation.name.casefold()] = relation
        return found

    def _schemas(self) -> list[str | None]:
        """The default one, as None, and a bounded number of others."""
        default = (self.default_schema or "").casefold()
        try:
            names = self._inspector.get_schema_names()
        except (NotImplementedError, SQLAlchemyError):
            names = []  # an engine without schemas
        others = [name for name in names if name.casefold() not in _SYSTEM_SCHEMAS and name.casefold() != default]
        return [None, *others[:_MOST_SCHEMAS]]

    def _in_schema(self, schema: str | None) -> list[Listed]:
        found = [Listed(schema, name, "table") for name in self._inspector.get_table_names(schema=schema)]
        with suppress(NotImplementedError):
            found += [Listed(schema, name, "view") for name in self._inspector.get_view_names(schema=schema)]
        with suppress(NotImplementedError):
            found += [
                Listed(schema, name, "materialized view") for name in self._inspector.get_materialized_view_names(schema=schema)
            ]
        return found

    def fields(self, relations: Sequence[Listed]) -> dict[Name, list[Field]]:
        found: dict[Name, list[Field]] = {}
        read = 0
        for schema, mine in by_schema(relations).items():
            columns = self._inspector.get_multi_columns(
                schema=schema, filter_names=[relation.name for relation in mine], kind=ObjectKind.ANY
            )
            for (_, name), each in columns.items():
                read += len(each)
                if read > MOST_COLUMNS:
                    raise TooLarge(f"The database has more than {MOST_COLUMNS:,} columns, which is more than can be read here.")
                found[(schema or "").casefold(), name.casefold()] = [self._field(column) for column in each]
        return found

    def _field(self, column: ReflectedColumn) -> Field:
        computed = column.get("computed")
        return Field(
            column["name"],
            self._type(column),
            column["nullable"],
            column.get("default"),
            computed is not None,
            computed["sqltext"] if computed else None,
            column.get("comment"),
        )

    def _type(self, column: ReflectedColumn) -> str:
        try:
            return column["type"].compile(self._dialect)
        except (CompileError, NotImplementedError):
            return type(column["type"]).__name__.lower()  # a type that this dialect can read and not write

    def definition(self, view: Listed) -> str | None:
        try:
            return self._inspector.get_view_definition(view.name, schema=view.schema)
        except (NotImplementedError, SQLAlchemyError):
            return None

    def keys(self, relation: Listed) -> Keys:
        place = (relation.name, relation.schema)
        primary: Sequence[str] = ()
        comment: str | None = None
        indexes: list[IndexDescription] = []
        foreign: list[ForeignKey] = []
        # each of these is missing in some dialect, and an engine may refuse some of them for a view
        with suppress(NotImplementedError, SQLAlchemyError):
            primary = self._inspector.get_pk_constraint(*place)["constrained_columns"]
        with suppress(NotImplementedError, SQLAlchemyError):
            indexes = [_index(each) for each in self._inspector.get_indexes(*place)]
        with suppress(NotImplementedError, SQLAlchemyError):
            foreign = [
                ForeignKey(
                    columns=each["constrained_columns"],
                    table=f"{each['referred_schema']}.{each['referred_table']}"
                    if each["referred_schema"]
                    else each["referred_table"],
                    to_columns=each["referred_columns"],
                    on_delete=str(each.get("options", {}).get("ondelete") or "").lower() or None,
                )
                for each in self._inspector.get_foreign_keys(*place)
            ]
        with suppress(NotImplementedError, SQLAlchemyError):
            comment = self._inspector.get_table_comment(*place)["text"]
        return Keys(tuple(primary), tuple(indexes), tuple(foreign), comment)

    def indexes(self) -> dict[Name, list[IndexDescription]]:
        found: dict[Name, list[IndexDescription]] = {}
        with suppress(NotImplementedError, SQLAlchemyError):
            for (_, name), indexes in self._inspector.get_multi_indexes().items():
                found["", name.casefold()] = [_index(each) for each in indexes]
        return found

    def references(self, relation: Listed) -> list[Reference]:
        found: list[Reference] = []
        with suppress(NotImplementedError, SQLAlchemyError):
            for (schema, name), keys in self._inspector.get_multi_foreign_keys(schema=relation.schema).items():
                found += [
                    Reference(
                        table=f"{schema}.{name}" if schema else name,
                        columns=key["constrained_columns"],
                        to_columns=key["referred_columns"],
                    )
                    for key in keys
                    if key["referred_table"].casefold() == relation.name.casefold()
                ]
        return found

    def estimates(self) -> Mapping[Name, int]:
        return {}


def _index(index: ReflectedIndex) -> IndexDescription:
    return IndexDescription(
        name=str(index["name"]),
        columns=[column or "expression" for column in index["column_names"]],
        unique=index["unique"],
        partial=any(option.endswith("_where") for option in index.get("dialect_options", {})),
    )


def by_schema(relations: Iterable[Listed]) -> dict[str | None, list[Listed]]:
    found: dict[str | None, list[Listed]] = {}
    for relation in relations:
        found.setdefault(relation.schema, []).append(relation)
    return found

"""The secret columns behind the relations of one statement, worked out in the transaction that it runs in."""

import re
from collections.abc import Iterable, Mapping

from opsroom_shared.errors import ToolFailure

from ..dialects.generic import Engine
from ..dialects.generic_statement import Name, read
from ..secret_columns import SecretColumns, Shape
from ..secret_names import Policy
from ..secret_scope import Dialect
from .generic_catalog import Catalog, Field, Listed

_MOST_ROUNDS = 6
_WORD = re.compile(r"\w+")
_VIEW = re.compile(r"\s*CREATE\b.*?\bVIEW\b.*?\bAS\b(?=\s*(?:SELECT|WITH|VALUES)\b)", re.IGNORECASE | re.DOTALL)


def secret_columns(
    names: Iterable[Name], listed: Mapping[Name, Listed], catalog: Catalog, engine: Engine, policy: Policy
) -> SecretColumns:
    """The secret columns of the relations *names*, and of what the views among them read."""
    dialect = Dialect(
        engine.parser or "", rows_are_values=True, joined_first=engine.joined_first, dots_read_fields=True, aliases_at_once=True
    )
    if not policy.on:
        return SecretColumns(policy, (), dialect)
    shapes: dict[str, Shape] = {}
    seen: set[Name] = set()
    waiting: set[Name] = {listed[name].key for name in names if name in listed}
    for _ in range(_MOST_ROUNDS):
        waiting -= seen
        if not waiting:
            break
        seen |= waiting
        relations = [listed[name] for name in sorted(waiting)]
        fields = catalog.fields(relations)
        waiting = set[Name]()
        for relation in relations:
            definition = _definition(relation, catalog) if relation.kind != "table" else None
            opaque = relation.kind != "table" and not _is_followed(definition, engine)
            words = set(_WORD.findall((definition or "").casefold()))
            waiting |= {each.key for each in listed.values() if words.issuperset(_WORD.findall(each.key[1]))}
            for called in _called(relation, catalog.default_schema):
                shapes[called] = _shape(called, fields.get(relation.key, []), None if opaque else definition, opaque=opaque)
    if waiting - seen:  # views of views of views: what the last of them read was not looked at
        shapes = {name: _opaque(shape) if shape.definition is not None else shape for name, shape in shapes.items()}
    if any(shape.opaque for shape in shapes.values()) and not _any_secret(listed, catalog, policy):
        shapes = {name: Shape(shape.name, shape.columns) if shape.opaque else shape for name, shape in shapes.items()}
    return SecretColumns(policy, shapes.values(), dialect, whole=False)


def _called(relation: Listed, default: str | None) -> list[str]:
    """The names by which a statement may call *relation*."""
    return [relation.shown, *([f"{default}.{relation.name}"] if relation.schema is None and default else [])]


def _definition(view: Listed, catalog: Catalog) -> str | None:
    text = catalog.definition(view)
    return None if text is None else _VIEW.sub("", text, count=1).strip().rstrip(";").strip() or None


def _is_followed(definition: str | None, engine: Engine) -> bool:
    """Whether a view does no more than a query may: what a function of somebody's reads cannot be seen from here."""
    if definition is None:
        return False
    try:
        read(definition, engine)
    except ToolFailure:
        return False
    return True


def _shape(name: str, fields: Iterable[Field], definition: str | None, *, opaque: bool) -> Shape:
    fields = list(fields)
    return Shape(
        name,
        tuple(field.name for field in fields),
        generated={field.name: field.expression for field in fields if field.computed},
        definition="" if opaque else definition,
        opaque=opaque,
    )


def _opaque(shape: Shape) -> Shape:
    return Shape(shape.name, shape.columns, definition="", opaque=True)


def _any_secret(listed: Mapping[Name, Listed], catalog: Catalog, policy: Policy) -> bool:
    """Whether anything in the database is secret, by the names of its columns."""
    everything = list(dict.fromkeys(listed.values()))
    fields = catalog.fields(everything)
    return any(policy.masks(each.shown, field.name) for each in everything for field in fields.get(each.key, ()))

"""Judges what a statement that writes to PostgreSQL changes and calls, by the catalog of its own transaction."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from opsroom_shared.errors import NotPermitted, ToolFailure

from ..dialects.postgres import WRITING_WORDS
from ..dialects.postgres_lexer import scan
from ..dialects.postgres_write import Writing
from ..dialects.write_target import Target
from .postgres_judgement import WORD, check_names, words_of
from .postgres_lookup import Function
from .postgres_session import Session, quoted

_SYSTEM_SCHEMA = "(n.nspname ~ '^pg_' OR n.nspname = 'information_schema')"
_ABOUT = f"""
    SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, {_SYSTEM_SCHEMA} OR c.oid < 16384,
      (SELECT e.extname::text FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' LIMIT 1),
      EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')"""  # noqa: S608 - made of constants
# An unqualified name means what the engine finds first, in those schemas that the account may look into.
_NAMED = f"""{_ABOUT},
      (SELECT json_agg(a.attname ORDER BY a.attnum)::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')),
      (SELECT json_agg(a.attname ORDER BY a.attnum)::text FROM pg_index x JOIN pg_attribute a
        ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey) WHERE x.indrelid = c.oid AND x.indisprimary)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $2::text AND CASE WHEN $1::text IS NOT NULL THEN n.nspname = $1
      ELSE n.nspname = ANY ($3::text[]) AND has_schema_privilege(n.oid, 'USAGE') END
    ORDER BY array_position($3, n.nspname::text) LIMIT 1"""  # noqa: S608 - as above
# The partitions and heirs of a table, and what is behind a view, are changed with it. What a view reads stands in its stored
# tree: the engine keeps no record of its dependencies on system catalogs.
_WITH_IT = f"""
    WITH RECURSIVE parts (oid) AS (
        SELECT $1::oid
        UNION
        SELECT part.oid FROM parts p CROSS JOIN LATERAL (
          SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = p.oid
          UNION ALL
          SELECT m[1]::oid FROM pg_rewrite r, regexp_matches(r.ev_action::text, ':relid ([0-9]+)', 'g') m
          WHERE r.ev_class = p.oid) AS part (oid))
    {_ABOUT} FROM parts p JOIN pg_class c ON c.oid = p.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid <> $1::oid AND c.relkind IN ('r', 'p', 'v', 'f')"""  # noqa: S608 - as above
_CHANGED_KINDS = ("r", "p", "v")
_READ_LANGUAGES = ("sql", "plpgsql")


@dataclass(frozen=True)
class Relation:
    """What a statement changes, as the catalog has it."""

    schema: str
    name: str
    is_table: bool
    columns: tuple[str, ...]
    """Those that the account may read."""
    key: tuple[str, ...]

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


async def check_write(writing: Writing, session: Session) -> Relation | None:
    """The relation that a statement changes, once nothing spoke against it; None where there is none of its name yet.

    Only before look_around. Raises NotPermitted or InvalidInput with the reason.
    """
    found = [await _relation(target, session, defines=writing.write.kind == "definition") for target in writing.targets]
    check_functions(await check_names(writing.reading, session))
    return found[0]


def check_functions(functions: Iterable[Function]) -> None:
    """Refuses functions of users that may change something by themselves: no read-only transaction holds them here.

    The engine lets no statement write in a function that is declared STABLE or IMMUTABLE; what it calls was followed, by name.
    """
    for function in functions:
        if reason := _refusal(function):
            raise NotPermitted(f"The function {function.name} may not be called in a change: {reason}.")


def _refusal(function: Function) -> str | None:
    if function.language not in _READ_LANGUAGES:
        return f"what a function in {function.language} does cannot be read"
    try:
        tokens = scan(function.source).tokens
    except ToolFailure:
        return "its source cannot be read"
    called = (name.text for name, after in pairwise(tokens) if name.is_name and after.is_mark("("))
    if any(not WORD.fullmatch(name) for name in called):
        return "it calls a function whose name is no plain word"
    words = sorted(words_of(function.source) & WRITING_WORDS) if function.volatile else []
    return f"it has the word {words[0].upper()} in it, and is not declared STABLE" if words else None


async def _relation(target: Target, session: Session, *, defines: bool) -> Relation | None:
    if target.schema is not None and (target.schema.startswith("pg_") or target.schema == "information_schema"):
        raise NotPermitted(f"{target.schema}.{target.name} belongs to the engine and may not be changed.")
    rows = await session.fetch(_NAMED, target.schema, target.name, [*session.schemas])
    if not rows:
        return None
    oid, schema, name, kind, *about, columns, key = rows[0]
    shown = f"{schema}.{name}"
    _check(shown, kind, *about, defines=defines)
    for _, part_schema, part, part_kind, *about_part in await session.fetch(_WITH_IT, oid):
        _check(f"{part_schema}.{part}, which is behind {shown},", part_kind, *about_part, defines=defines)
    return Relation(str(schema), str(name), kind in ("r", "p"), _names(columns), _names(key))


def _check(shown: str, kind: object, system: object, extension: object, rules: object, *, defines: bool) -> None:
    reason = None
    if system:
        reason = "belongs to the engine"
    elif extension:
        reason = f"belongs to the extension {extension}, and may do more than keep rows"
    elif kind == "f":
        reason = "is a table of another server, where a trial could not be taken back for certain"
    elif rules and not defines:
        reason = "has rewrite rules, which make other statements of it"
    elif kind not in _CHANGED_KINDS and not defines:
        reason = "is no table"
    if reason:
        raise NotPermitted(f"{shown} {reason}: it may not be changed.")


def _names(raw: object) -> tuple[str, ...]:
    return tuple(cast("Sequence[str]", json.loads(str(raw or "[]"))))

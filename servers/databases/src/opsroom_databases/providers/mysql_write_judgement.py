"""Judges what a statement that writes to MariaDB or MySQL changes, by the catalog, as far as the account may see it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opsroom_shared.errors import NotPermitted

from ..dialects.mysql import DENIED_SCHEMA
from ..dialects.mysql_write import Writing
from .mysql_lookup import check_calls
from .mysql_rows import plain
from .mysql_session import Session
from .mysql_wire import literal, quoted

_ENGINE = "InnoDB"
_TABLES = ("BASE TABLE", "SYSTEM VERSIONED")
_MOST_ROUNDS, _MOST_WORDS = 6, 2_000
_WORD = re.compile(r"`((?:[^`]|``)+)`|([\w$]+)")

_FOUND = """
    SELECT table_schema, table_name, table_type, engine FROM information_schema.tables
    WHERE table_schema = {schema} AND table_name IN ({names})"""
_COLUMNS = """
    SELECT column_name, data_type FROM information_schema.columns
    WHERE table_schema = {schema} AND table_name = {name} AND extra NOT LIKE '%INVISIBLE%' ORDER BY ordinal_position"""
_KEY = """
    SELECT column_name FROM information_schema.statistics
    WHERE table_schema = {schema} AND table_name = {name} AND index_name = 'PRIMARY' AND sub_part IS NULL ORDER BY seq_in_index"""
_SCHEMAS = "SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ({names})"
_VIEWS = "SELECT view_definition FROM information_schema.views WHERE table_schema = {schema} AND table_name IN ({names})"
_TRIGGERS = """
    SELECT action_statement FROM information_schema.triggers
    WHERE event_object_schema = {schema} AND event_object_table IN ({names}) AND event_manipulation IN ({events})"""
_ROUTINES = """
    SELECT routine_definition FROM information_schema.routines
    WHERE routine_schema = {schema} AND routine_name IN ({names})"""
_SEES_TRIGGERS = ("TRIGGER", "ALL PRIVILEGES")
_EVENTS = ("INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True)
class Relation:
    """What a statement changes, as the catalog has it."""

    schema: str
    name: str
    is_table: bool
    columns: Mapping[str, str]
    """Those of `SELECT *` with their types, in order."""
    key: tuple[str, ...]

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def check_write(writing: Writing, session: Session, database: str) -> Relation | None:
    """The relation that a statement changes, once nothing spoke against it; None where there is none of its name.

    Raises NotPermitted with the reason, InvalidInput, and what the driver raises.
    """
    name = writing.target.name
    found = [row for row in _rows(session, _FOUND, schema=literal(database), names=literal(name)) if row[1] == name]
    kind = str(found[0][2]) if found else ""
    if found and kind not in (*_TABLES, "VIEW"):
        raise NotPermitted(f"{name} is no table: it may not be changed.")
    check_calls(writing.reading, session, database, writes=True)
    # behind EXPLAIN only a query, or a statement that changes rows, can stand, says the engine's own grammar
    session.wire.parse(f"EXPLAIN {writing.write.sql}")
    if not found:
        return None
    _check_sees_triggers(session, database)
    _check_reached(writing, session, database)
    place = {"schema": literal(database), "name": literal(name)}
    columns = {str(column): str(of) for column, of in _rows(session, _COLUMNS, **place)}
    key = tuple(str(column) for (column,) in _rows(session, _KEY, **place)) if kind in _TABLES else ()
    return Relation(database, name, kind in _TABLES, columns, key)


def _check_sees_triggers(session: Session, database: str) -> None:
    """Refuses an account from which the engine hides triggers, and with them the tables that a trial may reach."""
    grants = [str(line).upper() for (line,) in plain(session.fetch("SHOW GRANTS"))]
    if not any(right in line.partition(" TO ")[0] for line in grants for right in _SEES_TRIGGERS):
        raise NotPermitted(
            f"The engine hides from this account which triggers there are, so what a trial would reach is not known. "
            f"A person runs GRANT TRIGGER ON {quoted(database)}.* for it; this server makes no triggers."
        )


def _check_reached(writing: Writing, session: Session, database: str) -> None:
    """Refuses tables that a trial could not be taken back from: the target, and what its view and its triggers speak of.

    Their texts are not understood, only their words: what has the name of such a table counts.
    """
    events = [writing.write.kind.upper(), *(["UPDATE"] if writing.upserts else [])]
    words, seen = {writing.target.name}, set[str]()
    for _ in range(_MOST_ROUNDS):
        wanted = sorted(words - seen)
        if not wanted:
            return
        if len(seen) + len(wanted) > _MOST_WORDS:
            break
        texts: list[str | None] = []
        schemas = (
            {database, *(str(schema) for (schema,) in _rows(session, _SCHEMAS, names=_list(wanted)))} if seen else {database}
        )
        for schema in schemas:
            texts += _behind(schema, sorted(seen | set(wanted)), events, session)
        seen |= set(wanted)
        events = [*_EVENTS]
        words = {quoted_name.replace("``", "`") or bare for text in texts for quoted_name, bare in _WORD.findall(text or "")}
    raise NotPermitted(f"What changes with {writing.target.name} reaches too far to be judged.")


def _behind(schema: str, names: Sequence[str], events: Iterable[str], session: Session) -> list[str | None]:
    """The texts behind views, triggers and routines of these *names*. Raises NotPermitted for a table of another engine."""
    place = {"schema": literal(schema), "names": _list(names)}
    found = _rows(session, _FOUND, **place)
    for owner, table, kind, engine in found:
        if str(owner).lower() == DENIED_SCHEMA:
            raise NotPermitted(f"It reaches {owner}.{table}, and the schema {DENIED_SCHEMA} holds the accounts.")
        if kind in _TABLES and engine != _ENGINE:
            raise NotPermitted(
                f"{owner}.{table} is a table of the engine {engine}, which has no transactions: a trial could not be taken back."
            )
    texts = [row[0] for row in _rows(session, _ROUTINES, **place)]
    if found:
        texts += [row[0] for row in _rows(session, _VIEWS, **place)]
        texts += [row[0] for row in _rows(session, _TRIGGERS, events=_list(events), **place)]
    return texts


def _rows(session: Session, sql: str, **place: str) -> list[list[str | None]]:
    return plain(session.fetch(sql.format(**place)))


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(literal, names)) or "''"

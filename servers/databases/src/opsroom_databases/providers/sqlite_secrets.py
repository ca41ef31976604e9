"""The secret columns of an SQLite file, worked out once for each version of its schema."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sqlglot
from opsroom_shared.errors import Conflict, InvalidInput, TooLarge
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ..dialects.sqlite import RULES
from ..secret_columns import SecretColumns, Shape
from ..secret_names import Policy
from ..secret_scope import Dialect
from . import sqlite_worker
from .sqlite_file import SCHEMA_SECONDS, GuardedFile, SchemaChanged

T = TypeVar("T")

DIALECT = Dialect("sqlite", joined_first=False, plain_words=RULES.plain_words)

_ATTEMPTS = 3
_MOST_COLUMNS = 200_000
_MOST_BYTES = 12_000_000
_LONGEST_SQL = 100_000

_VERSION = "SELECT schema_version FROM pragma_schema_version"
_TABLES = """
    SELECT t.name, t.type, t.wr, s.sql FROM pragma_table_list t
    LEFT JOIN sqlite_schema s ON s.name = t.name AND s.type IN ('table', 'view') WHERE t.schema = 'main'"""
_COLUMNS = """
    SELECT t.name, c.name, c.type, c.pk, c.hidden FROM pragma_table_list t, pragma_table_xinfo(t.name) c
    WHERE t.schema = 'main' AND t.type IN ('table', 'shadow') ORDER BY t.name, c.cid"""
_INSIDE = "SELECT name FROM sqlite_schema WHERE type IN ('view', 'trigger')"
_COLUMNS_OF = "SELECT ?1, name, type, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid"
_ROW_NUMBERS = ("rowid", "oid", "_rowid_")
_MODULE = re.compile(r"\bUSING\s+(?P<module>\w+)\s*(?:\((?P<arguments>.*)\))?", re.IGNORECASE | re.DOTALL)
_READS_ANOTHER = {"fts5vocab": 2, "fts4aux": 1}
"""Modules that show the words of a full-text table, and which argument from the end names it."""
_VIEW = re.compile(
    r"\s*CREATE\s+(?:TEMP\s+|TEMPORARY\s+)?VIEW\b.*?\bAS\b(?=\s*(?:SELECT|WITH|VALUES)\b)", re.IGNORECASE | re.DOTALL
)
_STATISTICS = {"sqlite_stat3": ("sample",), "sqlite_stat4": ("sample",)}


@dataclass(frozen=True)
class Known:
    """The secret columns, and the state of the schema for which they hold."""

    columns: SecretColumns
    stamp: sqlite_worker.Stamp | None
    """None where nothing is masked."""
    views: tuple[str, ...] = ()
    """Views and triggers."""

    def guarding(self, used: Iterable[tuple[str, str]]) -> sqlite_worker.Secrets | None:
        """What the engine's own guard must not let a statement read that was judged to read only the secrets *used*."""
        if self.stamp is None:
            return None
        allowed = {(table.lower(), column.lower()) for table, column in used}
        secret = {(table.lower(), column.lower()) for table, column in self.columns.tables}
        return sqlite_worker.Secrets(
            stamp=self.stamp, denied=[[*each] for each in sorted(secret - allowed)], views=[view.lower() for view in self.views]
        )


class Secrets:
    """Knows the secret columns of one file. A statement that was judged by them runs only while they still hold."""

    def __init__(self, file: GuardedFile, policy: Policy) -> None:
        self._file, self._policy = file, policy
        self._known: Known | None = None
        self._path: Path | None = None

    async def reading(self, work: Callable[[Known], Awaitable[T]]) -> T:
        """What *work* returns, once it has run to its end without SchemaChanged."""
        for _ in range(_ATTEMPTS):
            known = await self._current()
            try:
                return await work(known)
            except SchemaChanged:
                self._known = None
        raise Conflict("The schema changes all the time. Try again when whoever changes it is done.")

    async def _current(self) -> Known:
        path = await self._file.path()
        if self._known is None or path != self._path:
            self._known, self._path = await self._load(path), path
        return self._known

    async def _load(self, path: Path) -> Known:
        if not self._policy.on:
            return Known(SecretColumns(self._policy, (), DIALECT), None)
        inode = _inode(path)
        # the version first: where it changes while the rest is read, it is out of date at once
        version = (await self._rows(_VERSION))[0][0]
        tables, columns = await self._rows(_TABLES), await self._rows(_COLUMNS)
        others = [str(name) for name, kind, _, _ in tables if kind in ("view", "virtual")]
        for name in others:
            with suppress(InvalidInput):  # a broken one cannot be queried either
                columns += await self._rows(_COLUMNS_OF, name)
        shapes = _shapes(tables, columns)
        views = tuple(_whole(name) for (name,) in await self._rows(_INSIDE))
        return Known(SecretColumns(self._policy, shapes, DIALECT), [inode, int(str(version))], views)

    async def _rows(self, sql: str, *parameters: str) -> list[list[sqlite_worker.Sent]]:
        read = sqlite_worker.Read(
            sql=sql, parameters=[*parameters], skip=0, rows=_MOST_COLUMNS, bytes=_MOST_BYTES, cell=_LONGEST_SQL, masked=[]
        )
        page = await self._file.read(read, seconds=SCHEMA_SECONDS)
        if page["more"]:
            raise TooLarge("The schema is too large to find the columns that must be masked. A person may set mask = false.")
        return page["rows"]


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0  # reading says what is wrong


def _shapes(tables: Sequence[Sequence[sqlite_worker.Sent]], columns: Sequence[Sequence[sqlite_worker.Sent]]) -> list[Shape]:
    by_table: dict[str, list[tuple[str, str, int, int]]] = {}
    for table, name, kind, key, hidden in columns:
        by_table.setdefault(_whole(table), []).append((_whole(name), str(kind), int(str(key)), int(str(hidden))))
    virtual = [_whole(name) for name, kind, _, _ in tables if kind == "virtual"]
    found: list[Shape] = []
    for raw_name, kind, without_rowid, sql in tables:
        name, definition = _whole(raw_name), _whole(sql)
        mine = by_table.get(name, [])
        keys = [column for column in mine if column[2]]
        is_row_number = kind == "table" and not without_rowid and len(keys) == 1 and keys[0][1].upper() == "INTEGER"
        module, owner = _module(definition) if kind == "virtual" else ("", None)
        if kind == "shadow":
            owner = max((each for each in virtual if name.startswith(f"{each}_")), key=len, default="")
        found.append(
            Shape(
                name,
                tuple(column[0] for column in mine if column[3] != 1),
                hidden=tuple(column[0] for column in mine if column[3] == 1),
                generated=_generated(definition, [column[0] for column in mine if column[3] in (2, 3)]),
                same_as={keys[0][0]: _ROW_NUMBERS} if is_row_number else {},
                definition=_VIEW.sub("", definition, count=1) if kind == "view" else None,
                copies=_STATISTICS.get(name, ()),
                searches=bool(module) and owner is None,
                stores=owner,
            )
        )
    return found


def _whole(value: sqlite_worker.Sent) -> str:
    """A text that may have been cut; what was cut off makes it unreadable, which is noticed."""
    return str(value[1]) if isinstance(value, list) else "" if value is None else str(value)


def _module(definition: str) -> tuple[str, str | None]:
    """The module of a virtual table, and the table whose words it shows."""
    match = _MODULE.search(definition)
    if match is None:
        return "unknown", ""
    module = match["module"].lower()
    if module not in _READS_ANOTHER:
        return module, None
    arguments = [argument.strip().strip("'\"`[]") for argument in (match["arguments"] or "").split(",")]
    place = _READS_ANOTHER[module]
    return module, arguments[-place] if len(arguments) >= place else ""


def _generated(definition: str, names: Sequence[str]) -> dict[str, str | None]:
    """The expressions of generated columns; None for one that was not found."""
    if not names:
        return {}
    found: dict[str, str | None] = dict.fromkeys(names)
    with suppress(SqlglotError, RecursionError):
        tree = sqlglot.parse_one(definition, dialect="sqlite")
        for column in tree.find_all(exp.ColumnDef):
            for constraint in column.args.get("constraints") or ():
                if column.name in found and isinstance(
                    constraint.kind,
                    exp.ComputedColumnConstraint | exp.GeneratedAsIdentityColumnConstraint | exp.GeneratedAsRowColumnConstraint,
                ):
                    found[column.name] = constraint.kind.sql(dialect="sqlite")
    return found

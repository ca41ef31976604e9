"""Changes an SQLite file: each statement is judged, then tried or applied by a worker that only writes have."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from opsroom_shared.errors import Conflict, InvalidInput, NotPermitted, TimedOut, TooLarge, ToolFailure, Unavailable

from .. import cells
from ..cells import Cell
from ..dialects.sqlite import RULES
from ..models import Column, WritePreview
from ..secret_columns import Masked
from ..settings import DatabasesSettings
from ..write_safety import check_write
from . import Effect, Uncertain, sqlite_worker
from .places import Places
from .sqlite_file import GuardedFile, SchemaChanged, cell, policy, quoted, shown
from .sqlite_secrets import Known
from .worker_pool import WorkerEnded, WorkerPool

_SAMPLE = 5
_CELL = 200
_ABOUT = """
    SELECT t.type, t.wr, c.name, c.pk FROM pragma_table_list t, pragma_table_xinfo(t.name) c
    WHERE t.schema = 'main' AND t.name = ? COLLATE NOCASE AND c.hidden <> 1 ORDER BY c.cid"""


@dataclass(frozen=True)
class _Target:
    """The table that a statement changes."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    """What tells its rows apart."""
    is_table: bool
    """Whether it is one that RETURNING works on."""


class SqliteWrites:
    """At most one change at a time: the engine has no more than one writer."""

    def __init__(self, file: GuardedFile, settings: DatabasesSettings) -> None:
        self._file, self._settings = file, settings
        script = Path(__file__).with_name("sqlite_write_worker.py")
        self._pool = WorkerPool(script, cast("Mapping[str, object]", policy(settings)), Places(file.name, 1, long=0))

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def write(self, sql: str, known: Known, *, definitions: bool, approved: tuple[int, int] | None) -> Effect:
        """As WritableDatabase says. Raises SchemaChanged, with nothing applied."""
        write = check_write(sql, RULES, definitions=definitions)
        masked = known.columns.judge_write(write)
        target = await self._target(write.table) if write.kind != "definition" else _Target((), (), is_table=False)
        secret = {name.lower(): origins for name, origins in known.columns.of(write.table).items()}
        adds = target.is_table and not write.returns
        key = target.key if adds and write.kind == "update" else ()
        names = target.columns if adds else ()
        positions = [at for at, name in enumerate(names) if name.lower() in secret] if adds else [*masked.positions]
        returning = ", ".join([*map(quoted, key), "*"])
        change: dict[str, object] = {
            "sql": f"{write.sql}\nRETURNING {returning}" if adds else write.sql,
            "kind": write.kind,
            "returning": adds or write.returns,
            "table": write.table,
            "key": [*key],
            "masked": positions,
            "rows": _SAMPLE,
            "cell": _CELL,
            "expected": None if approved is None else [*approved],
            "secrets": known.guarding((write.table, name) for name in secret),
        }
        answer = await self._run(change, applies=approved is not None)
        rows, also = cast("list[int]", answer["counts"])
        return Effect(write.kind, rows, also, write.every_row, self._preview(answer, None if adds else masked, secret))

    def _preview(
        self, answer: Mapping[str, object], masked: Masked | None, secret: Mapping[str, tuple[str, ...]]
    ) -> WritePreview:
        """The rows of RETURNING, which the worker has masked: its own by name, where *masked* is None."""
        columns = [str(name) for name in cast("list[object]", answer.get("columns", []))]
        if masked is None:
            words = [f"{name} ({', '.join(secret[name.lower()])})" for name in columns if name.lower() in secret]
        else:
            try:
                masked.check(columns)
            except NotPermitted:
                if answer.get("applied"):
                    return WritePreview()  # what is done is done, and its rows are not shown
                raise
            words = masked.words(columns)
        return WritePreview(
            columns=[Column(name=shown(name), type="") for name in columns],
            before=_cells(answer.get("before")),
            after=_cells(answer.get("after")),
            masked=[shown(each) for each in words],
        )

    async def _target(self, table: str) -> _Target:
        rows = (await self._file.rows((_ABOUT, (table,))))[0]
        keys = sorted((int(str(row[3])), str(row[2])) for row in rows if row[3])
        is_table = bool(rows) and rows[0][0] == "table"
        key = tuple(name for _, name in keys) if rows and (rows[0][1] or keys) else ("rowid",)
        return _Target(tuple(str(row[2]) for row in rows), key if is_table else (), is_table)

    async def _run(self, change: dict[str, object], *, applies: bool) -> Mapping[str, object]:
        path, seconds = await self._file.path(), self._settings.query_seconds
        request = {**change, "path": str(path), "seconds": seconds}
        begun = time.monotonic()
        try:
            answer = await self._pool.run(request, seconds)
        except (WorkerEnded, TimedOut):
            if applies:
                raise Uncertain(_UNCERTAIN) from None
            if time.monotonic() - begun >= seconds:
                raise _too_slow(seconds) from None
            raise Unavailable(f"The process that tried it on {self._file.name} ended. Nothing was changed.") from None
        if answer.get("failure") == "schema":
            raise SchemaChanged
        if "failure" in answer:
            raise self._failure(answer, seconds)
        return answer

    def _failure(self, answer: Mapping[str, object], seconds: float) -> ToolFailure | RuntimeError:
        message = cells.text(str(answer.get("message", "")), 2_000)
        known: dict[object, ToolFailure] = {
            "counts": Conflict(
                f"By now it would change {_counts(answer)}, not what was approved. Nothing was changed; call again to see the "
                "change as it would be now."
            ),
            "constraint": Conflict(f"The engine does not take it: {message}. Nothing was changed."),
            "sql": InvalidInput(f"{message}. Nothing was changed."),
            "denied": NotPermitted(f"The engine refused it: {message} is not allowed. Nothing was changed."),
            "time": _too_slow(seconds),
            "memory": TooLarge(f"It needs more than {self._settings.memory_mib} MiB of memory. Nothing was changed."),
            "size": TooLarge("It makes a value of more than 64 MiB. Nothing was changed."),
            "busy": Unavailable(f"{self._file.name} is locked by another writer. Nothing was changed; try again in a moment."),
            "file": Unavailable(f"{self._file.name} cannot be written: {message}. Nothing was changed."),
        }
        return known.get(answer.get("failure")) or RuntimeError(f"the writer of {self._file.name} failed: {message}")


_UNCERTAIN = (
    "The process that applied it ended before it answered: all of it was applied, or nothing. Look at the data before anything "
    "else is tried."
)


def _too_slow(seconds: float) -> TimedOut:
    return TimedOut(f"It was stopped after {seconds:g} s. Nothing was changed; change fewer rows at a time.")


def _counts(answer: Mapping[str, object]) -> str:
    rows, also = cast("list[int]", answer.get("counts", [0, 0]))
    return f"{rows:,} rows" + (f" and {also:,} more by triggers and foreign keys" if also else "")


def _cells(rows: object) -> list[list[Cell]]:
    return [[cell(value, _CELL) for value in row] for row in cast("list[list[sqlite_worker.Sent]]", rows or [])]

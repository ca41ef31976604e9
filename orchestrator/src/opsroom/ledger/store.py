"""Writes and reads the ledger. One thread of its own does the SQL, so that a slow disk never stops the event loop."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from opsroom_shared.redact import redact
from sqlalchemy import Connection, Engine, RowMapping, Table, create_engine, event, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from opsroom.errors import OpsroomError, UsageError

from . import schema
from .records import MAX_TEXT, ModelCallRecord, RunRecord, StepRecord, ToolCallRecord, Usage

if TYPE_CHECKING:
    from sqlite3 import Connection as SqliteConnection

    from opsroom.router.decision import Decision

T = TypeVar("T")
R = TypeVar("R", RunRecord, StepRecord, ModelCallRecord, ToolCallRecord)

LEDGER_NAME = "ledger.db"
_BUSY_MS = 10_000


@dataclass(frozen=True)
class DecisionRecord:
    decision: str
    agents: list[str]
    stage: str
    confidence: float
    candidates: list[dict[str, object]]
    question: str | None
    reason: str
    elapsed_ms: float


@dataclass(frozen=True)
class RunDetail:
    run: RunRecord
    decision: DecisionRecord | None
    steps: list[StepRecord]
    model_calls: list[ModelCallRecord]
    tool_calls: list[ToolCallRecord]


class Ledger:
    """An open ledger; an async context manager. Its methods raise OpsroomError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    @classmethod
    def at(cls, folder: Path) -> "Ledger":
        """The ledger in *folder*, made when missing."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return cls(_prepared(create_engine(f"sqlite:///{folder / LEDGER_NAME}", connect_args={"timeout": _BUSY_MS / 1000})))
        except (OSError, SQLAlchemyError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(getattr(error, "orig", error))
            raise OpsroomError(
                f"the ledger in {folder} cannot be used: {reason}; make the folder writable, or move it away"
            ) from None

    @classmethod
    def in_memory(cls) -> "Ledger":
        """A ledger that is gone when closed."""
        return cls(_prepared(create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    async def begin(self, run_id: str, text: str, user: str | None, started_at: str) -> None:
        values = {"id": run_id, "user": user, "text": redact(text)[:MAX_TEXT], "status": "running", "started_at": started_at}
        await self._insert(schema.runs, values)

    async def decided(self, run_id: str, decision: "Decision") -> None:
        values = decision.model_dump(mode="json", exclude={"call"})
        await self._insert(schema.decisions, {"run_id": run_id, **values})

    async def record(self, run_id: str, row: StepRecord | ModelCallRecord | ToolCallRecord) -> None:
        await self._insert(_TABLES[type(row)], {"run_id": run_id, **asdict(row)})

    async def finish(
        self, run_id: str, *, status: str, answer: str | None, model: str | None, elapsed_ms: float, usage: Usage
    ) -> None:
        values = {
            "status": status,
            "answer": redact(answer) if answer else answer,
            "model": model,
            "elapsed_ms": elapsed_ms,
            **asdict(usage),
        }
        await self._execute(lambda c: c.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(values)))

    async def runs(self, limit: int = 20) -> list[RunRecord]:
        """The latest *limit* runs, newest first."""
        query = select(schema.runs).order_by(schema.runs.c.started_at.desc()).limit(limit)
        return await self._execute(lambda c: [_typed(RunRecord, row) for row in c.execute(query).mappings()])

    async def run(self, run_id: str) -> RunDetail:
        """The run whose id is or begins with *run_id*. Raises UsageError when none or several do."""
        return await self._execute(lambda c: _detail(c, run_id))

    async def _insert(self, table: Table, values: Mapping[str, object]) -> None:
        await self._execute(lambda c: c.execute(insert(table).values(values)))

    async def _execute(self, work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        try:
            # shielded: a request that is cancelled just now still gets its row
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, transaction))
        except SQLAlchemyError as error:
            raise OpsroomError(f"the ledger failed: {getattr(error, 'orig', error)}") from error


_TABLES: dict[type, Table] = {StepRecord: schema.steps, ModelCallRecord: schema.model_calls, ToolCallRecord: schema.tool_calls}


def _prepared(engine: Engine) -> Engine:
    def pragmas(connection: "SqliteConnection", _: ConnectionPoolEntry) -> None:
        # WAL lets readers and one writer work at once; NORMAL can lose the last rows on power loss, never corrupt
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;")

    event.listen(engine, "connect", pragmas)
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
        version = connection.execute(select(schema.schema_version.c.version)).scalar()
        if version is None:
            connection.execute(insert(schema.schema_version).values(version=schema.SCHEMA_VERSION))
        elif version != schema.SCHEMA_VERSION:
            raise UsageError(
                f"the ledger has schema version {version}, this opsroom knows {schema.SCHEMA_VERSION}: update opsroom"
            )
    return engine


def _typed(kind: type[R], row: RowMapping) -> R:
    return kind(**{field.name: row[field.name] for field in fields(kind)})


def _detail(connection: Connection, run_id: str) -> RunDetail:
    # autoescape: a % or _ in what was typed is itself
    query = select(schema.runs).where(schema.runs.c.id.startswith(run_id, autoescape=True)).limit(2)
    found = connection.execute(query).mappings().all()
    if not found:
        raise UsageError(f"there is no run {run_id!r}; `opsroom runs list` shows them")
    if len(found) > 1:
        raise UsageError(f"several runs begin with {run_id!r}; give more of the id")
    run = _typed(RunRecord, found[0])

    def rows(table: Table, kind: type[R], order: str) -> list[R]:
        query = select(table).where(table.c.run_id == run.id).order_by(table.c[order])
        return [_typed(kind, row) for row in connection.execute(query).mappings()]

    decision = connection.execute(select(schema.decisions).where(schema.decisions.c.run_id == run.id)).mappings().first()
    return RunDetail(
        run=run,
        decision=DecisionRecord(**{f.name: decision[f.name] for f in fields(DecisionRecord)}) if decision else None,
        steps=rows(schema.steps, StepRecord, "number"),
        model_calls=rows(schema.model_calls, ModelCallRecord, "id"),
        tool_calls=rows(schema.tool_calls, ToolCallRecord, "id"),
    )

"""Any other engine that SQLAlchemy reaches: all is judged and read in a child process, which is killed at the time limit."""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

from opsroom_shared.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    TimedOut,
    TooLarge,
    ToolFailure,
    Unavailable,
)

from ..dialects.generic import engine_of
from ..health import Focus
from ..health.checks import Look, Seen, examine
from ..health.facts import Index, Indexing
from ..health.indexes import judge_indexes
from ..health.thresholds import THRESHOLDS, Thresholds
from ..models import DatabaseHealth, DatabaseStatus, Explanation, TableDescription, TopQueries, Unchecked
from ..settings import DatabasesSettings
from ..sources import AlchemySource
from ..workload import Order
from . import Relation, Rows, Sampling
from .generic_calls import ARGUMENTS, DESCRIBE, EXPLAIN, INDEXES, QUERY, RELATIONS, STATUS, Arguments, Call
from .generic_rows import Bounds
from .places import Places
from .worker_pool import WorkerEnded, WorkerPool

T = TypeVar("T")

_SCHEMA_SECONDS = 8.0
_SCRIPT = Path(__file__).with_name("generic_worker.py")
_FAILURES: Mapping[str, type[ToolFailure]] = {
    failure.code: failure for failure in (InvalidInput, NotFound, NotPermitted, Conflict, TooLarge, TimedOut, Unavailable)
}
# What drivers look for besides the URL: where their settings and certificates are.
_ENVIRONMENT = """
    HOME LANG PATH TMPDIR TZ ORACLE_HOME TNS_ADMIN NLS_LANG ODBCINI ODBCSYSINI KRB5CCNAME KRB5_CONFIG SSL_CERT_FILE SSL_CERT_DIR
    REQUESTS_CA_BUNDLE
"""
_NOT_CHECKED = (
    "sessions, locks, tables, sequences and replication are looked at on PostgreSQL, MariaDB, MySQL and SQLite only; "
    "here an index is only compared with the others"
)


class GenericDatabase:
    """A database of an engine that only the generic rules know."""

    def __init__(self, name: str, source: AlchemySource, settings: DatabasesSettings) -> None:
        self.name = name
        self.dialect = source.dialect
        self._source, self._settings = source, settings
        masking = settings.masking(name)
        access = {
            "url": source.url.get_secret_value(),
            "dialect": source.dialect,
            "name": name,
            "masks": masking.on,
            "also": [*masking.also],
            "excepted": [*masking.excepted],
            "memory_mib": settings.memory_mib,
        }
        setup = {
            "paths": [str(Path(path).resolve()) for path in sys.path if path],
            "environment": {key: os.environ[key] for key in _ENVIRONMENT.split() if key in os.environ},
            "access": access,
        }
        self._pool = WorkerPool(_SCRIPT, setup, Places(name, settings.concurrency))

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def status(self) -> DatabaseStatus:
        try:
            status = await self._call(STATUS, Arguments(), self._schema_seconds)
        except ToolFailure as failure:
            weaker = engine_of(self.dialect).weaker
            return DatabaseStatus(
                name=self.name, dialect=self.dialect, read_only=True, reachable=False, problem=str(failure), weaker=weaker
            )
        if self._source.file is not None:
            with suppress(OSError):  # it was there when it was read
                status.size_bytes = self._source.file.stat().st_size
        return status

    async def relations(self) -> list[Relation]:
        return await self._call(RELATIONS, Arguments(), self._schema_seconds)

    async def describe(self, relation: str, sampling: Sampling) -> TableDescription:
        return await self._call(DESCRIBE, Arguments(relation=relation, sampling=sampling), self._schema_seconds)

    async def query(self, sql: str, *, limit: int, skip: int) -> Rows:
        bounds = Bounds(limit, skip, self._settings.max_bytes, self._settings.max_cell)
        return await self._call(QUERY, Arguments(sql=sql, bounds=bounds), self._settings.query_seconds)

    async def explain(self, sql: str, *, analyze: bool) -> Explanation:
        return await self._call(EXPLAIN, Arguments(sql=sql, analyze=analyze), self._settings.query_seconds)

    async def health(self, focus: Focus, limits: Thresholds = THRESHOLDS) -> DatabaseHealth:
        health = await examine(self.name, (Look("indexes", "indexes", self._indexing, judge_indexes),), focus, limits)
        if focus != "indexes":
            health.unchecked.append(Unchecked(check="all others", reason=_NOT_CHECKED))
        return health

    async def top_queries(self, order: Order, limit: int) -> TopQueries:  # noqa: ARG002 - the same whatever is asked
        raise NotFound(
            f"What {self.dialect} counts of its queries is not read here: that is done for PostgreSQL, MariaDB and MySQL. "
            "Look into the engine's own statistics, then explain a slow query where the engine has plans."
        )

    async def role_sql(self) -> str:
        if self._source.file is not None:
            return "-- A file has no roles: its permissions say who may read it. Give the server's user read permission, no more."
        return (
            f"-- How {self.dialect} names its rights is not known here. Make an account that has CONNECT and SELECT on what may\n"
            "-- be read, with no right to run functions that others made, and put it into the URL."
        )

    @property
    def _schema_seconds(self) -> float:
        return min(_SCHEMA_SECONDS, self._settings.query_seconds)

    async def _indexing(self) -> Seen[Indexing]:
        found = await self._call(INDEXES, Arguments(), self._schema_seconds)
        indexes = tuple(
            # two partial ones are never taken for the same: their conditions are not known
            Index(each.name, table, tuple(each.columns), unique=each.unique, where=each.name if each.partial else "")
            for table, mine in found.items()
            for each in mine
        )
        return Seen(Indexing(indexes), ("which indexes are used or missing is not known here",))

    async def _call(self, call: Call[T], arguments: Arguments, seconds: float) -> T:
        request = {"call": call.name, "seconds": seconds, "arguments": ARGUMENTS.dump_python(arguments, mode="json")}
        begun = time.monotonic()
        try:
            answer = await self._pool.run(request, seconds)
        except WorkerEnded:
            if time.monotonic() - begun >= seconds:
                raise _too_slow(seconds) from None
            raise Unavailable(
                f"The process that read {self.name} ended. Call again; if it ends again, it may need more than "
                f"memory_mib = {self._settings.memory_mib}."
            ) from None
        except TimedOut:
            raise _too_slow(seconds) from None
        if "failure" not in answer:
            return call.result.validate_python(answer["value"])
        message, failure = str(answer.get("message")), _FAILURES.get(cast("str", answer["failure"]))
        if failure is None:
            raise RuntimeError(f"the process of {self.name} failed: {message}")
        raise failure(message)


def _too_slow(seconds: float) -> TimedOut:
    return TimedOut(f"The query was stopped after {seconds:g} s. Narrow it with WHERE, or name fewer columns.")

"""Reads and writes the state. One thread of its own does the SQL, so that a slow disk never stops the event loop."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from opsroom_shared.config import ConfigError
from opsroom_shared.errors import Conflict, NotFound, NotPermitted, Unavailable
from opsroom_shared.redact import redact
from sqlalchemy import Connection, Engine, RowMapping, create_engine, event, func, insert, select, update
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from ..platforms import Target
from ..vocabulary import DeploymentState, Stage
from . import schema
from .records import AuditRecord, DeploymentRecord, JournalRecord, PlanRecord

if TYPE_CHECKING:
    from sqlite3 import Connection as SqliteConnection

    from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")
R = TypeVar("R", PlanRecord, DeploymentRecord, JournalRecord, AuditRecord)

_BUSY_SECONDS = 10.0
_TRIES = 3
_FILE = "deployments.db"


class Store:
    """The state in a database. Nothing is opened before the first call."""

    def __init__(self, url: str | None, folder: Path) -> None:
        """*url* is SQLAlchemy's; without one it is a file in *folder*."""
        self._url, self._folder = url, folder
        self._engine: Engine | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")

    async def aclose(self) -> None:
        if self._engine is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    async def define(self, service: str, definition: Mapping[str, object], by: str) -> int:
        """Keeps a definition, and all before it; the number of this one."""

        def work(connection: Connection) -> int:
            table = schema.definitions
            latest = connection.scalar(select(func.max(table.c.version)).where(table.c.service == service)) or 0
            row = {"service": service, "version": latest + 1, "definition": dict(definition), "at": _now(), "by": by}
            connection.execute(insert(table).values(row))
            return latest + 1

        return await self._execute(work)

    async def definitions(self) -> dict[str, Mapping[str, object]]:
        """The newest definition of each service."""

        def work(connection: Connection) -> dict[str, Mapping[str, object]]:
            table = schema.definitions
            rows = connection.execute(select(table).order_by(table.c.version)).mappings()
            return {row["service"]: row["definition"] for row in rows}

        return await self._execute(work)

    async def used_names(self, target: Target) -> set[str]:
        table = schema.release_names
        query = select(table.c.release).where(table.c.service == target.service, table.c.environment == target.environment)
        return await self._execute(lambda c: set(c.scalars(query)))

    async def once_live(self, target: Target) -> set[str]:
        """Releases that a deployment has made live."""
        table = schema.deployments
        query = select(table.c.after).where(
            table.c.service == target.service, table.c.environment == target.environment, table.c.after.is_not(None)
        )
        return await self._execute(lambda c: set(c.scalars(query.where(table.c.state != "running"))))

    async def save_plan(self, plan: PlanRecord) -> None:
        await self._execute(lambda c: c.execute(insert(schema.plans).values(asdict(plan))))

    async def plan(self, plan_id: str) -> PlanRecord:
        """Raises NotFound."""
        query = select(schema.plans).where(schema.plans.c.plan_id == plan_id)
        row = await self._execute(lambda c: c.execute(query).mappings().first())
        if row is None:
            raise NotFound(f"There is no plan {plan_id!r}. Make one with plan_deployment.")
        return _typed(PlanRecord, row)

    async def open_plans(self, now: datetime) -> list[PlanRecord]:
        """Plans that can still be approved and applied, the newest first."""
        table = schema.plans
        query = select(table).where(table.c.deployment_id.is_(None), table.c.expires_at > now).order_by(table.c.expires_at.desc())
        return await self._execute(lambda c: [_typed(PlanRecord, row) for row in c.execute(query).mappings()])

    async def approve(self, plan_id: str, by: str) -> None:
        values = {"approved_by": by, "approved_at": _now()}
        table = schema.plans
        await self._execute(lambda c: c.execute(update(table).where(table.c.plan_id == plan_id).values(values)))

    async def begin(self, deployment: DeploymentRecord) -> None:
        """Binds a deployment to its plan. Raises Conflict where the plan was applied already: of two, one wins."""

        def work(connection: Connection) -> None:
            table = schema.plans
            connection.execute(insert(schema.deployments).values(asdict(deployment)))
            taken = connection.execute(
                update(table)
                .where(table.c.plan_id == deployment.plan_id, table.c.deployment_id.is_(None))
                .values(deployment_id=deployment.deployment_id)
            )
            if taken.rowcount != 1:
                raise Conflict(f"The plan {deployment.plan_id} was applied already. Make a new one with plan_deployment.")
            if deployment.after is not None:
                names = schema.release_names
                row = {"service": deployment.service, "environment": deployment.environment, "release": deployment.after}
                known = select(names).where(*(names.c[key] == value for key, value in row.items()))
                if connection.execute(known).first() is None:
                    connection.execute(insert(names).values(row))

        await self._execute(work)

    async def step(self, deployment_id: str, owner: str, stage: Stage, text: str) -> None:
        """Writes a step down before it is taken. Raises Conflict when *owner* does not have the deployment any more."""

        def work(connection: Connection) -> None:
            row = {"deployment_id": deployment_id, "at": _now(), "stage": stage, "text": redact(text)}
            if not _changed(connection, deployment_id, owner, {"stage": stage, "alive_at": row["at"]}):
                raise Conflict(f"{deployment_id} was taken over by another process, which took this one for dead.")
            connection.execute(insert(schema.journal).values(row))

        await self._execute(work)

    async def alive(self, deployment_id: str, owner: str) -> bool:
        """Says that who carries it out is there; whether it is to stop: somebody has asked for it, or has taken it over."""

        def work(connection: Connection) -> bool:
            if not _changed(connection, deployment_id, owner, {"alive_at": _now()}):
                return True
            table = schema.deployments
            return bool(connection.scalar(select(table.c.abort).where(table.c.deployment_id == deployment_id)))

        return await self._execute(work)

    async def take_over(self, record: DeploymentRecord, owner: str) -> bool:
        """Makes *owner* the one who brings it to an end; False where somebody else did so first."""

        def work(connection: Connection) -> bool:
            return _changed(connection, record.deployment_id, record.owner, {"owner": owner, "alive_at": _now()})

        return await self._execute(work)

    async def ask_to_stop(self, deployment_id: str) -> None:
        table = schema.deployments
        await self._execute(lambda c: c.execute(update(table).where(table.c.deployment_id == deployment_id).values(abort=True)))

    async def end(
        self, deployment_id: str, owner: str, state: DeploymentState, live: str | None, failure: Mapping[str, object] | None
    ) -> None:
        values = {
            "state": state,
            "stage": "done",
            "after": live,
            "failure": dict(failure) if failure else None,
            "ended_at": _now(),
        }
        await self._execute(lambda c: _changed(c, deployment_id, owner, values))

    async def deployment(self, deployment_id: str) -> DeploymentRecord:
        """Raises NotFound."""
        query = select(schema.deployments).where(schema.deployments.c.deployment_id == deployment_id)
        row = await self._execute(lambda c: c.execute(query).mappings().first())
        if row is None:
            raise NotFound(f"There is no deployment {deployment_id!r}. deployment_history lists them.")
        return _typed(DeploymentRecord, row)

    async def journal(self, deployment_id: str) -> list[JournalRecord]:
        table = schema.journal
        query = select(table).where(table.c.deployment_id == deployment_id).order_by(table.c.number)
        return await self._execute(lambda c: [_typed(JournalRecord, row) for row in c.execute(query).mappings()])

    async def running(self, target: Target | None = None) -> list[DeploymentRecord]:
        table = schema.deployments
        query = select(table).where(table.c.state == "running").order_by(table.c.started_at)
        if target is not None:
            query = query.where(table.c.service == target.service, table.c.environment == target.environment)
        return await self._execute(lambda c: [_typed(DeploymentRecord, row) for row in c.execute(query).mappings()])

    async def history(
        self,
        *,
        service: str | None,
        environment: str | None,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        skip: int = 0,
    ) -> tuple[list[DeploymentRecord], int]:
        """The newest first, and how many there are in all."""
        table = schema.deployments
        wanted = [
            column == value
            for column, value in ((table.c.service, service), (table.c.environment, environment))
            if value is not None
        ]
        if since is not None:
            wanted.append(table.c.started_at >= since)
        if until is not None:
            wanted.append(table.c.started_at < until)

        def work(connection: Connection) -> tuple[list[DeploymentRecord], int]:
            total = connection.scalar(select(func.count()).select_from(table).where(*wanted)) or 0
            query = (
                select(table).where(*wanted).order_by(table.c.started_at.desc(), table.c.deployment_id).limit(limit).offset(skip)
            )
            return [_typed(DeploymentRecord, row) for row in connection.execute(query).mappings()], total

        return await self._execute(work)

    async def note(self, row: AuditRecord) -> None:
        await self._execute(lambda c: c.execute(insert(schema.audit).values({**asdict(row), "why": redact(row.why)})))

    async def audit(self, limit: int = 100) -> list[AuditRecord]:
        """The newest first."""
        query = select(schema.audit).order_by(schema.audit.c.number.desc()).limit(limit)
        return await self._execute(lambda c: [_typed(AuditRecord, row) for row in c.execute(query).mappings()])

    async def _execute(self, work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            with self._opened().begin() as connection:
                return work(connection)

        try:
            # shielded: what a cancelled caller has begun to write is written whole
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, transaction))
        except IntegrityError:
            raise Conflict("Somebody else wrote the same at the same moment. Look again, and repeat it.") from None
        except ConfigError as error:
            raise NotPermitted(str(error)) from None
        except (SQLAlchemyError, OSError) as error:
            raise Unavailable(
                f"The state of the deployments cannot be used: {redact(str(getattr(error, 'orig', error)))}"
            ) from error

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = _engine(self._url, self._folder)
        return self._engine


def _changed(connection: Connection, deployment_id: str, owner: str, values: Mapping[str, object]) -> bool:
    """Changes a deployment that runs and that *owner* has; whether there was one."""
    table = schema.deployments
    own = (table.c.deployment_id == deployment_id, table.c.owner == owner, table.c.state == "running")
    return connection.execute(update(table).where(*own).values(dict(values))).rowcount == 1


def _engine(url: str | None, folder: Path) -> Engine:
    """Raises ConfigError for a URL that is none, and where the tables are of another version."""
    if url is None:
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{folder / _FILE}"
    try:
        engine = create_engine(
            url, connect_args={"timeout": _BUSY_SECONDS} if url.startswith("sqlite") else {}, pool_pre_ping=True
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"database: its driver {error.name} is not installed; pip install 'opsroom-deployments[postgres]' brings that of "
            "PostgreSQL"
        ) from None
    except ArgumentError:  # not repeated: it may hold a password
        raise ConfigError("database: not a URL of SQLAlchemy; write postgresql://user:password@host/database") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _pragmas)
    for left in reversed(range(_TRIES)):
        try:
            _prepare(engine)
            break
        except (IntegrityError, OperationalError, ProgrammingError):  # two that start at once make the same tables
            if not left:
                raise
    return engine


def _prepare(engine: Engine) -> None:
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
        version = connection.scalar(select(schema.schema_version.c.version))
        if version is None:
            connection.execute(insert(schema.schema_version).values(version=schema.SCHEMA_VERSION))
        elif version != schema.SCHEMA_VERSION:
            raise ConfigError(
                f"the state of the deployments has schema version {version}, this server knows {schema.SCHEMA_VERSION}: update it"
            )


def _pragmas(connection: "SqliteConnection", _: "ConnectionPoolEntry") -> None:
    # FULL: a step that was written down must be there after a power cut, because the next one relies on it
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")


def _typed(kind: type[R], row: RowMapping) -> R:
    return kind(**{each.name: row[each.name] for each in fields(kind)})


def _now() -> datetime:
    return datetime.now(UTC)

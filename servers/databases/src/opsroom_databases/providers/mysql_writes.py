"""Changes a database of MariaDB or MySQL: each statement is judged, then tried or applied on a connection of its own."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from opsroom_shared.errors import Conflict, NotPermitted, TimedOut, ToolFailure

from .. import cells
from ..dialects.mysql_write import Writing
from ..settings import DatabasesSettings
from ..sources import NetworkSource
from . import Effect, Uncertain
from .mysql_errors import NameUnknown, code_of, translated
from .mysql_rows import plain
from .mysql_secrets import secret_columns
from .mysql_session import Session, Sessions
from .mysql_wire import DriverError
from .mysql_write_count import Counter
from .mysql_write_judgement import check_write
from .mysql_write_run import Judged, run

_NOT_TAKEN_BACK = "1196"
_BROKEN = (1048, 1062, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1586, 1644, 1761, 1762, 1859, 3819, 4025)
"""What the engine says of a constraint, or of a trigger that refuses."""
_DUPLICATE = re.compile(r"Duplicate entry .*(?P<key> for key '[^']*')\Z", re.DOTALL)


@dataclass
class _Progress:
    """How far a change has come, for whoever waits for its thread."""

    committing: bool = False
    applied: Effect | None = None


class MysqlWrites:
    """Changes of one database, each on a connection of its own, which ends with it."""

    def __init__(self, name: str, source: NetworkSource, settings: DatabasesSettings) -> None:
        self._name, self._database, self._settings = name, source.database, settings
        self._sessions = Sessions(name, source, settings, writes=True)

    async def aclose(self) -> None:
        await self._sessions.aclose()

    async def write(self, writing: Writing, *, approved: tuple[int, int] | None) -> Effect:
        """As WritableDatabase says. Raises NameUnknown for a name that does not exist."""
        progress = _Progress()

        def work(session: Session) -> Effect:
            effect = self._tried(writing, session)
            if approved is None:
                _take_back(session)
            else:
                if approved != effect.counts:
                    raise Conflict(_other_counts(effect))
                progress.committing = True
                session.wire.execute("COMMIT")
                progress.applied = effect
            return effect

        seconds = self._settings.query_seconds
        with _explained(self._name, seconds, writing):
            try:
                return await self._sessions.run(work, seconds)
            except (DriverError, OSError, TimedOut) as error:
                if progress.applied is not None:
                    return progress.applied
                if progress.committing:
                    raise Uncertain(_UNCERTAIN) from error
                raise

    def _tried(self, writing: Writing, session: Session) -> Effect:
        """Runs the statement in the transaction that stays open, and looks at what it did."""
        judged = self._judged(writing, session)
        counter = Counter(session, judged.target)
        rows, preview = run(judged, session)
        return Effect(writing.write.kind, rows, max(0, counter.total(rows) - rows), judged.every_row, preview)

    def _judged(self, writing: Writing, session: Session) -> Judged:
        target = check_write(writing, session, self._database)
        known = secret_columns(writing.write.sql, session, self._settings.masking(self._name))
        masked = known.judge_write(writing.write)
        if target is None:
            raise NotPermitted("What the statement changes was not found in the catalog.")  # the engine has found something
        return Judged(writing, target, masked, known.of(f"{target.schema}.{target.name}"))


def _take_back(session: Session) -> None:
    session.wire.execute("ROLLBACK")
    if any(row[1] == _NOT_TAKEN_BACK for row in plain(session.fetch("SHOW WARNINGS"))):
        raise Conflict(
            "The trial reached a table without transactions, through a trigger or a function, and the engine could not take that "
            "back. Look at the data: the table itself is as it was, and what its triggers wrote elsewhere has stayed."
        )


_UNCERTAIN = (
    "The connection was lost while the change was committed: all of it was applied, or nothing. Look at the data before anything "
    "else is tried."
)


@contextmanager
def _explained(name: str, seconds: float, writing: Writing) -> Generator[None]:
    """Raises a ToolFailure for what goes wrong inside, where nothing of the change stays."""
    try:
        with translated(name, seconds, writing.reading):
            try:
                yield
            except DriverError as error:
                if code_of(error) in _BROKEN:
                    raise Conflict(f"The engine does not take it: {_without_values(error)}. Nothing was changed.") from error
                raise
    except TimedOut:
        raise TimedOut(f"It was stopped after {seconds:g} s. Nothing was changed; change fewer rows at a time.") from None
    except (Conflict, NameUnknown):
        raise
    except ToolFailure as failure:
        if isinstance(failure.__cause__, Exception):
            raise type(failure)(f"{failure}{chr(10) if chr(10) in str(failure) else ' '}Nothing was changed.") from failure
        raise


def _without_values(error: DriverError) -> str:
    """What the engine says, without the values of a key: some of its columns may be masked."""
    message = str(error.args[1] if len(error.args) > 1 else error)
    return cells.text(_DUPLICATE.sub(r"Duplicate entry\g<key>", message), 1_000).rstrip(".")


def _other_counts(effect: Effect) -> str:
    also = f" and {effect.also:,} more by triggers and foreign keys" if effect.also else ""
    return (
        f"By now it would change {effect.rows:,} rows{also}, not what was approved. Nothing was changed; call again to see the "
        "change as it would be now."
    )

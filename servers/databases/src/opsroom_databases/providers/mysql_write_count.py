"""Counts what a transaction of MariaDB or MySQL has changed so far, by triggers and foreign keys too."""

import secrets
import time

from opsroom_shared.errors import NotPermitted, Unavailable

from .mysql_errors import code_of
from .mysql_rows import plain
from .mysql_session import Session
from .mysql_wire import DriverError, literal
from .mysql_write_judgement import Relation

_NO_RIGHT = (1044, 1045, 1142, 1227)
_LOOK_AGAIN_SECONDS, _LOOKS = 0.12, 20

# A transaction counts each row that it changes. The engine gathers that for all of them at once, and not again where somebody
# has looked a moment ago: so the statement that it saw this transaction run has to be the very one that asks.
_COUNT = """
    SELECT trx_rows_modified, trx_query LIKE '%{nonce}%' FROM information_schema.innodb_trx
    WHERE trx_mysql_thread_id = CONNECTION_ID()"""
_BESIDES = """
    SELECT (SELECT COUNT(*) FROM information_schema.triggers WHERE event_object_schema = {schema} AND event_object_table = {name})
      + (SELECT COUNT(*) FROM information_schema.referential_constraints
        WHERE unique_constraint_schema = {schema} AND referenced_table_name = {name}
          AND (update_rule NOT IN ('RESTRICT', 'NO ACTION') OR delete_rule NOT IN ('RESTRICT', 'NO ACTION')))"""


class Counter:
    """Counts the rows that change in the transaction of *session*. Raises NotPermitted where some would not be counted."""

    def __init__(self, session: Session, target: Relation) -> None:
        self._session = session
        try:
            self._look()
        except DriverError as error:
            if code_of(error) not in _NO_RIGHT:
                raise
            _check_alone(session, target)
            self._counts = False
        else:
            self._counts = True

    def total(self, rows: int) -> int:
        """How many rows have changed, where a statement has changed *rows*."""
        if not self._counts:
            return rows
        looked = False
        for _ in range(_LOOKS):
            found = self._look()
            if found is not None:
                return found
            if not rows and looked:
                return 0  # a transaction that has changed nothing may be in no list
            looked = True
            time.sleep(_LOOK_AGAIN_SECONDS)
        raise Unavailable("The engine did not say how many rows the transaction has changed. Nothing was changed; try again.")

    def _look(self) -> int | None:
        """The number of rows; None where the engine's list is older than the question."""
        found = plain(self._session.fetch(_COUNT.format(nonce=secrets.token_hex(8))))
        return int(str(found[0][0])) if found and found[0][1] == "1" else None


def _check_alone(session: Session, target: Relation) -> None:
    """Refuses a target that changes others with it, which this account cannot count."""
    ((besides,),) = plain(session.fetch(_BESIDES.format(schema=literal(target.schema), name=literal(target.name))))
    if besides != "0":
        raise NotPermitted(
            f"What triggers and foreign keys of {target.name} change besides cannot be counted by this account. "
            "A person grants it PROCESS, with which the engine tells it of the rows that a transaction has changed."
        )

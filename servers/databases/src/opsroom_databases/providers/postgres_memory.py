"""Remembers which statements were let pass, for exactly as long as nothing in their engine has changed."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from ..dialects.postgres_statement import Reading, read
from ..secret_columns import Masked
from .postgres_session import Session

_MOST_KEPT = 64
_LONGEST_KEPT = 4_000


@dataclass(frozen=True)
class Verdict:
    """What judging a statement has found."""

    masked: Masked
    tainted: bool
    """It runs code that nobody judged."""


class Verdicts:
    """Verdicts on the statements of one database, for one policy.

    What a statement's names stand for is read in the snapshot in which it runs, so a verdict holds in each snapshot that shows
    the same: any change that was committed in between, of whatever, makes it void. It needs no time limit.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, tuple[str, ...]], tuple[str, Verdict]] = OrderedDict()

    def find(self, reading: Reading, session: Session) -> Verdict | None:
        """The verdict on the same statement in a transaction that saw what that of *session* sees."""
        key = (reading.sql, session.schemas)
        then, verdict = self._kept.get(key, (None, None))
        if session.now is None or then != session.now:
            return None
        self._kept.move_to_end(key)
        return verdict

    def keep(self, reading: Reading, session: Session, verdict: Verdict) -> None:
        if session.now is None or len(reading.sql) > _LONGEST_KEPT:
            return
        key = (reading.sql, session.schemas)
        self._kept[key] = (session.now, verdict)
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


def read_again(text: str) -> Reading:
    """As `read`, which depends on nothing but the text."""
    return _read_short(text) if len(text) <= _LONGEST_KEPT else read(text)


_read_short = lru_cache(_MOST_KEPT)(read)

"""Reads the rows of our own statements about an engine, whatever its driver makes of them."""

import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from opsroom_shared.outside import clean

TAG = "/* opsroom */ "
"""Stands before our own statements, so that nobody takes them for the load of a database."""
_MAX_NAME = 300


class Ask(Protocol):
    """Runs one read-only statement of ours, within limits. Raises a ToolFailure."""

    def __call__(self, sql: str, /) -> Awaitable[Sequence[Mapping[str, object]]]: ...


@dataclass(frozen=True)
class Row:
    """One row. A missing value is 0, empty, or None where `maybe_` says so."""

    values: Mapping[str, object]

    def raw(self, name: str) -> str:
        value = self.values[name]
        return "" if value is None else value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def text(self, name: str) -> str:
        """A name or a word, fit to show."""
        return clean(self.raw(name), _MAX_NAME)

    def maybe_number(self, name: str) -> float | None:
        raw = self.raw(name)
        return float(raw) if raw else None

    def number(self, name: str) -> float:
        return self.maybe_number(name) or 0.0

    def maybe_integer(self, name: str) -> int | None:
        raw = self.raw(name)
        return None if not raw else int(raw) if raw.lstrip("-").isdecimal() else int(float(raw))

    def integer(self, name: str) -> int:
        return self.maybe_integer(name) or 0

    def flag(self, name: str) -> bool:
        return self.raw(name).lower() in ("true", "1", "on", "yes")

    def list(self, name: str) -> tuple[str, ...]:
        """A JSON array of texts."""
        return tuple("" if each is None else str(each) for each in cast("Sequence[object]", json.loads(self.raw(name) or "[]")))


async def rows(ask: Ask, sql: str) -> list[Row]:
    return [Row(values) for values in await ask(sql)]


async def row(ask: Ask, sql: str) -> Row:
    """The only row of an aggregate."""
    (only,) = await rows(ask, sql)
    return only

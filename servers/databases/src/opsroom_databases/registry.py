"""The configured databases by name, each opened when it is first asked for."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opsroom_shared.errors import InvalidInput, NotFound
from opsroom_shared.paging import Cursors

from .names import did_you_mean
from .settings import DatabasesSettings
from .sources import Source

if TYPE_CHECKING:
    from .providers import Database


@dataclass
class Registry:
    """What a running server holds: its databases, its settings, and the key of its cursors."""

    settings: DatabasesSettings
    sources: Mapping[str, Source]
    cursors: Cursors = field(default_factory=Cursors)
    _open: "dict[str, Database]" = field(default_factory=lambda: {}, init=False)  # noqa: PIE807 - a bare dict has no element type

    def get(self, name: str | None) -> "Database":
        """The database *name*, or the only one. Raises InvalidInput or NotFound with the names that there are."""
        if name is None:
            if len(self.sources) > 1:
                raise InvalidInput(f"Several databases are configured. Set database to one of: {', '.join(self.sources)}.")
            name = next(iter(self.sources))
        if name not in self.sources:
            hint = did_you_mean(name, self.sources)
            raise NotFound(f"There is no database of that name.{hint} Configured: {', '.join(self.sources)}.")
        if name not in self._open:
            from .providers import open_database

            self._open[name] = open_database(name, self.sources[name], self.settings)
        return self._open[name]

    def all(self) -> "list[Database]":
        return [self.get(name) for name in self.sources]

    async def ready(self) -> dict[str, str | None]:
        """Name → None where the database answers, otherwise why not."""
        states = await asyncio.gather(*(database.status() for database in self.all()))
        return {state.name: state.problem for state in states}

    async def aclose(self) -> None:
        await asyncio.gather(*(database.aclose() for database in self._open.values()))
        await asyncio.gather(*(source.aclose() for source in self.sources.values()))
        self._open.clear()

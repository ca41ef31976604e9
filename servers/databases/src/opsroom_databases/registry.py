"""The configured databases by name, each opened when it is first asked for."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted
from opsroom_shared.paging import Cursors

from .names import did_you_mean
from .settings import DatabasesSettings
from .sources import Source

if TYPE_CHECKING:
    from .providers import Database, WritableDatabase


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

    def may_write(self, name: str) -> bool:
        database = self.settings.databases.get(name)
        return self.settings.allow_writes and database is not None and database.writable

    def writable(self, name: str | None) -> "tuple[WritableDatabase, bool]":
        """The database *name*, and whether its schema may be changed. Raises NotPermitted where nothing of it may."""
        from .providers import WritableDatabase

        opened = self.get(name)
        if not self.may_write(opened.name):
            raise NotPermitted(
                f"{opened.name} is read-only. A person changes that with writable = true in its section of the --config file."
            )
        if not isinstance(opened, WritableDatabase):
            raise NotPermitted(f"Databases of the dialect {opened.dialect} cannot be changed by this server.")
        return opened, self.settings.databases[opened.name].allow_ddl

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

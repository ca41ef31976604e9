"""Whose words are trusted: who may push, who is named in the settings, and the members of the teams named there."""

import asyncio
import logging
import time
from dataclasses import dataclass

from opsroom_shared.errors import ToolFailure

from ...models import Person
from ...settings import ProviderSettings
from .api import GitHubApi
from .references import team
from .wire import Association, RestUser

log = logging.getLogger(__name__)

_PUSHING = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_KEPT_SECONDS = 600.0
_MOST_PAGES = 10


@dataclass(frozen=True)
class Trust:
    """The rule as it stands, with the members of the teams read."""

    names: frozenset[str]

    def of(self, who: Person | None, association: Association) -> bool:
        """GitHub's *association* says what the author is to the repository. An app is trusted by name only."""
        if who is None:
            return False
        return who.name.lower() in self.names or (not who.bot and association in _PUSHING)


class TrustReader:
    """Keeps the members of the trusted teams for ten minutes."""

    def __init__(self, api: GitHubApi, settings: ProviderSettings) -> None:
        self._api = api
        self._named = frozenset(name.lower().removeprefix("@") for name in settings.trusted)
        self._groups = settings.trusted_groups
        self._kept: tuple[float, Trust] | None = None
        self._turn = asyncio.Lock()

    async def read(self) -> Trust:
        async with self._turn:
            if self._kept is None or time.monotonic() - self._kept[0] > _KEPT_SECONDS:
                members = [await self._members(group) for group in self._groups]
                self._kept = (time.monotonic(), Trust(self._named.union(*members)))
            return self._kept[1]

    async def _members(self, group: str) -> frozenset[str]:
        """Nobody, if the team cannot be read: what is not known to be trusted is not trusted."""
        parts = team(group)
        if parts is None:
            log.warning("%r in trusted_groups is no team of GitHub: say org/team", group)
            return frozenset()
        try:
            users, whole = await self._api.pages(RestUser, f"orgs/{parts[0]}/teams/{parts[1]}/members", most=_MOST_PAGES)
        except ToolFailure as failure:
            log.warning("the members of the team %s cannot be read, so its members are not trusted: %s", group, failure)
            return frozenset()
        if not whole:
            log.warning("the team %s has more members than are read; some of them are not trusted", group)
        return frozenset(user.login.lower() for user in users)

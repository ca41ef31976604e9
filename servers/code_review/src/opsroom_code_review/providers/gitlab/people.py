"""The people of one GitLab: who the account is, who has a name, and whose words are trusted."""

import re
import time
from collections.abc import Iterable

from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted
from opsroom_shared.outside import clean

from ...models import Person
from .api import PER_PAGE, GitLabApi
from .references import group_path, is_user_name, project_path
from .wire import Member, User

DEVELOPER = 30
"""The lowest access level that may push."""

_TOKEN_USER = re.compile(r"(?:project|group)_\d+_bot(?:_\w+|\d*)?|service_account_\w+")
"""How GitLab names the accounts behind access tokens; lists of people do not say that these are bots."""

_KEPT = 4_000
_SECONDS = 300.0
_MOST_ASKED = 500


class People:
    """What is known of people is kept for some minutes, and for so many people at most."""

    def __init__(self, api: GitLabApi, *, trusted: Iterable[str], groups: Iterable[str]) -> None:
        self._api = api
        self._trusted, self._groups = {name.casefold() for name in trusted}, tuple(groups)
        self._me: User | None = None
        self._users: dict[str, User] = {}
        self._levels: dict[tuple[str, int], tuple[float, int]] = {}

    async def me(self, *, fresh: bool = False) -> User:
        """The account itself; with *fresh*, asked for again."""
        if self._me is None or fresh:
            self._me = await self._api.one(User, "user")
        return self._me

    async def named(self, name: str) -> User:
        """The user called *name*. Raises InvalidInput, with those whose names are like it."""
        key = name.removeprefix("@").casefold()
        if key == "me":
            return await self.me()
        if (user := self._users.get(key)) is not None:
            return user
        found = await self._api.page(User, "users", {"username": key}) if is_user_name(key) else None
        if found is None or not found.items:
            raise InvalidInput(f"{self._api.name} has no user {clean(name, 80)!r}.{await self._similar(key)}")
        if len(self._users) >= _KEPT:
            self._users.clear()
        return self._users.setdefault(key, found.items[0])

    async def trusted(self, project: str, users: Iterable[User | None]) -> frozenset[str]:
        """Those of *users* whose words are trusted in *project*: by name, by group, or because they may push."""
        asked = {user.id: user for user in users if user is not None}
        by_name = {user.username for user in asked.values() if user.username.casefold() in self._trusted}
        rest = {user.id: user for user in asked.values() if user.username not in by_name}
        for scope, needed in [*((group_path(group), 1) for group in self._groups), (project_path(project), DEVELOPER)]:
            levels = await self._levels_of(scope, rest)
            by_name |= {user.username for user in rest.values() if levels.get(user.id, 0) >= needed}
        return frozenset(by_name)

    async def level(self, project: str, user: User) -> int:
        """The access level of *user*."""
        scope = project_path(project)
        return (await self._levels_of(scope, [user.id])).get(user.id, 0)

    async def _levels_of(self, scope: str, users: Iterable[int]) -> dict[int, int]:
        """The access levels of *users* in a project or group. Those that it does not tell of have none."""
        now = time.monotonic()
        known = {user: kept for user in users if (kept := self._levels.get((scope, user))) is not None and kept[0] > now}
        unknown = sorted(set(users) - set(known))[:_MOST_ASKED]
        if len(self._levels) + len(unknown) > _KEPT:
            self._levels.clear()
        for start in range(0, len(unknown), PER_PAGE):
            part = unknown[start : start + PER_PAGE]
            levels = await self._asked(scope, part)
            for user in part:
                known[user] = self._levels[scope, user] = (now + _SECONDS, levels.get(user, 0))
        return {user: level for user, (_, level) in known.items()}

    async def _asked(self, scope: str, users: list[int]) -> dict[int, int]:
        try:
            found = await self._api.page(Member, f"{scope}/members/all", {"user_ids[]": [str(user) for user in users]})
        except (NotFound, NotPermitted):
            return {}  # who may not see the members trusts none of them
        levels: dict[int, int] = {}
        for member in found.items:
            if member.state == "active":
                levels[member.id] = max(member.access_level, levels.get(member.id, 0))
        return levels

    async def _similar(self, name: str) -> str:
        if len(name) < 3:
            return ""
        found = await self._api.page(User, "users", {"search": name[:60], "active": "true", "per_page": 5})
        names = ", ".join(user.username for user in found.items[:5])
        return f" Similar: {names}." if names else ""


def person(user: User | None) -> Person | None:
    if user is None:
        return None
    return Person(name=user.username, bot=bool(user.bot) or _TOKEN_USER.fullmatch(user.username) is not None)

"""Names of people, projects and repositories to PHIDs and back: asked in batches, kept for a while."""

import asyncio
import difflib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote, urlsplit

from opsroom_shared.errors import InvalidInput, NotFound
from pydantic import JsonValue

from ...models import Person
from .cache import Cache
from .conduit import PAGE, Conduit
from .wire import Account, Column, Handle, Project, Repository, Results, User, as_map

_SECONDS = 600.0
_MOST = 5_000
_MOST_LISTED = 20
_MOST_PROJECTS = 1_000
_MOST_ASKED = 100
_MAX_NAME = 250
_USER = "PHID-USER-"
_HIDDEN = "(hidden)"
_PAGE_OF = re.compile(r"/(tag|source|diffusion)/([^/]+)/?")
_REPOSITORY_ID = re.compile(r"R([1-9][0-9]{0,9})", re.IGNORECASE)


@dataclass(frozen=True)
class Known:
    """What some PHIDs stand for. What the account may not see has no name here."""

    people: dict[str, Person]
    names: dict[str, str]

    def person(self, phid: str | None) -> Person | None:
        return None if phid is None else self.people.get(phid) or Person(name=self.names.get(phid, _HIDDEN))

    def name(self, phid: str | None) -> str | None:
        return None if phid is None else self.names.get(phid)


class Names:
    def __init__(self, conduit: Conduit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._conduit = conduit
        self._me: Cache[str, Account] = Cache(most=1, seconds=_SECONDS, clock=clock)
        self._people: Cache[str, Person | str] = Cache(most=_MOST, seconds=_SECONDS, clock=clock)
        self._handles: Cache[str, str] = Cache(most=_MOST, seconds=_SECONDS, clock=clock)
        self._users: Cache[str, str] = Cache(most=_MOST, seconds=_SECONDS, clock=clock)
        self._projects: Cache[str, Project] = Cache(most=_MOST, seconds=_SECONDS, clock=clock)
        self._repositories: Cache[str, Repository] = Cache(most=_MOST, seconds=_SECONDS, clock=clock)
        self._columns: Cache[str, list[Column]] = Cache(most=200, seconds=_SECONDS, clock=clock)
        self._memberships: Cache[str, frozenset[str]] = Cache(most=200, seconds=_SECONDS, clock=clock)

    async def me(self) -> Account:
        """The account of the token."""
        known = self._me.get("")
        return known or self._me.put("", await self._conduit.read(Account, "user.whoami"))

    async def my_projects(self) -> frozenset[str]:
        """The projects that the account is a member of."""
        me = (await self.me()).phid
        known = self._memberships.get(me)
        if known is None:
            found = await self._conduit.everything(
                Project, "project.search", constraints={"members": [me]}, most=_MOST_PROJECTS, what="projects of one account"
            )
            known = self._memberships.put(me, frozenset(project.phid for project in found))
        return known

    async def known(self, phids: Iterable[str | None]) -> Known:
        """What *phids* stand for: at most one request for the people among them, and one for the rest, side by side."""
        wanted = {phid for phid in phids if phid}
        people = {phid for phid in wanted if phid.startswith(_USER)}
        found_people: dict[str, Person] = {}
        found_names: dict[str, str] = {}
        await asyncio.gather(self._ask_people(people, found_people), self._ask_handles(wanted - people, found_names))
        found_names.update({phid: person.name for phid, person in found_people.items()})
        return Known(found_people, {phid: name for phid, name in found_names.items() if name})

    async def users(self, names: Iterable[str]) -> list[str]:
        """The PHIDs of people by user name. Raises InvalidInput that lists who is nearest, if one is not known."""
        wanted = [_name(name.removeprefix("@")) for name in names]
        missing = [name for name in dict.fromkeys(wanted) if self._users.get(name.lower()) is None]
        for part in _parts(missing):
            page = await self._conduit.search(User, "user.search", constraints={"usernames": list[JsonValue](part)})
            for user in page.data:
                self._users.put(user.name.lower(), user.phid)
        unknown = [name for name in missing if self._users.get(name.lower()) is None]
        if unknown:
            raise InvalidInput(await self._unknown_user(unknown[0]))
        return [phid for name in wanted if (phid := self._users.get(name.lower()))]

    async def projects(self, names: Iterable[str]) -> list[Project]:
        """Projects by tag (`backend`, `#backend`) or name. Raises InvalidInput that lists what there is."""
        wanted = [_name(name.removeprefix("#")) for name in names]
        slugs = {name: _slug(name) for name in wanted}
        missing = [slug for slug in dict.fromkeys(slugs.values()) if slug and self._projects.get(slug) is None]
        for part in _parts(missing):
            await self._ask_projects(part)
        return [self._projects.get(slug) or await self._project_by_name(name) for name, slug in slugs.items()]

    async def repository(self, name: str) -> Repository:
        """A repository by short name, callsign or number (`R1`). Raises InvalidInput that lists what there is."""
        name = _name(name)
        if known := self._repositories.get(name.lower()):
            return known
        constraints: list[dict[str, JsonValue]] = [{"shortNames": [name]}]
        if match := _REPOSITORY_ID.fullmatch(name):
            constraints = [{"ids": [int(match[1])]}, *constraints]
        elif re.fullmatch(r"r?[A-Za-z]{1,32}", name):
            constraints.append({"callsigns": [name.removeprefix("r").upper() if name[1:].isupper() else name.upper()]})
        pages = await asyncio.gather(
            *(self._conduit.search(Repository, "diffusion.repository.search", constraints=part) for part in constraints)
        )
        found = next((page.data[0] for page in pages if page.data), None)
        if found is None:
            raise InvalidInput(await self._unknown_repository(name))
        return self._repositories.put(name.lower(), found)

    async def repositories(self, names: Iterable[str]) -> list[Repository]:
        return [await self.repository(name) for name in names]

    async def columns(self, project: Project) -> list[Column]:
        """The columns of a project's workboard from left to right, without hidden ones."""
        known = self._columns.get(project.phid)
        if known is None:
            found = await self._conduit.everything(
                Column,
                "project.column.search",
                constraints={"projects": [project.phid]},
                most=500,
                what="columns of one workboard",
            )
            shown = sorted((column for column in found if not column.hidden), key=lambda column: column.sequence)
            known = self._columns.put(project.phid, shown)
        return known

    async def column(self, project: Project, name: str) -> Column:
        columns = await self.columns(project)
        found = next((column for column in columns if column.name.casefold() == name.strip().casefold()), None)
        if found is None:
            raise InvalidInput(f"#{project.shown} has no column {name!r}. Its columns: {listed(c.name for c in columns)}.")
        return found

    async def objects(self, refs: Iterable[str]) -> dict[str, str]:
        """The PHIDs of revisions and tasks by monogram. Raises NotFound for those that the account cannot see."""
        wanted = list(dict.fromkeys(refs))
        if not wanted:
            return {}
        handles = await self._lookup(wanted)
        if missing := [ref for ref in wanted if ref not in handles]:
            raise NotFound(f"{self._conduit.name} has no {listed(missing)}, or this account may not see it.")
        return {ref: handles[ref].phid for ref in wanted}

    async def members(self, groups: Iterable[str]) -> frozenset[str]:
        """The PHIDs of the members of projects. One that does not exist has none."""
        slugs = sorted({slug for group in groups if (slug := _slug(group.removeprefix("#")))})
        if not slugs:
            return frozenset()
        key = " ".join(slugs)
        known = self._memberships.get(key)
        if known is None:
            page = await self._conduit.search(
                Project, "project.search", constraints={"slugs": list[JsonValue](slugs)}, attachments=("members",)
            )
            known = self._memberships.put(key, frozenset(m["phid"] for p in page.data for m in p.members if "phid" in m))
        return known

    async def _ask_people(self, wanted: set[str], found: dict[str, Person]) -> None:
        missing: list[str] = []
        for phid in wanted:
            match self._people.get(phid):
                case Person() as person:
                    found[phid] = person
                case None:
                    missing.append(phid)
                case _:
                    pass
        for part in _parts(sorted(missing)):
            page = await self._conduit.search(User, "user.search", constraints={"phids": list[JsonValue](part)})
            for user in page.data:
                found[user.phid] = Person(name=user.name, bot="bot" in user.roles)
                self._people.put(user.phid, found[user.phid])
                self._users.put(user.name.lower(), user.phid)
            for phid in set(part) - found.keys():
                self._people.put(phid, _HIDDEN)

    async def _ask_handles(self, wanted: set[str], found: dict[str, str]) -> None:
        missing: list[str] = []
        for phid in wanted:
            known = self._handles.get(phid)
            if known is None:
                missing.append(phid)
            else:
                found[phid] = known
        for part in _parts(sorted(missing)):
            answer = as_map(await self._conduit.call("phid.query", {"phids": list[JsonValue](part)}))
            handles = cast("dict[str, JsonValue]", answer)
            for phid in part:
                name = _shown(self._conduit.validated(Handle, handles[phid], "phid.query")) if phid in handles else ""
                found[phid] = self._handles.put(phid, name)

    async def _lookup(self, names: list[str]) -> dict[str, Handle]:
        found: dict[str, Handle] = {}
        for part in _parts(names):
            answer = as_map(await self._conduit.call("phid.lookup", {"names": list[JsonValue](part)}))
            for name, handle in cast("dict[str, JsonValue]", answer).items():
                found[name] = self._conduit.validated(Handle, handle, "phid.lookup")
        return found

    async def _ask_projects(self, slugs: list[str]) -> None:
        page: Results[Project] = await self._conduit.search(
            Project, "project.search", constraints={"slugs": list[JsonValue](slugs)}
        )
        by_phid = {project.phid: project for project in page.data}
        slug_map = page.maps.get("slugMap")
        for slug, entry in (slug_map if isinstance(slug_map, dict) else {}).items():
            phid = entry.get("projectPHID") if isinstance(entry, dict) else None
            if isinstance(phid, str) and phid in by_phid:
                self._projects.put(slug, by_phid[phid])

    async def _project_by_name(self, name: str) -> Project:
        """A project without a tag of its own, such as a milestone; otherwise the words that say what there is."""
        page = await self._conduit.search(Project, "project.search", limit=PAGE)
        for project in page.data:
            if project.name.casefold() == name.casefold():
                return self._projects.put(_slug(name) or name, project)
        there = [project.shown for project in page.data]
        raise InvalidInput(f"{self._conduit.name} has no project {name!r}. {_nearest(name, there, more=bool(page.cursor.after))}")

    async def _unknown_user(self, name: str) -> str:
        page = await self._conduit.search(User, "user.search", constraints={"nameLike": name[:3]}, limit=_MOST_LISTED)
        there = [user.name for user in page.data]
        if not there:
            page = await self._conduit.search(User, "user.search", limit=PAGE)
            there = [user.name for user in page.data]
        return f"{self._conduit.name} has no user {name!r}. {_nearest(name, there, more=bool(page.cursor.after))}"

    async def _unknown_repository(self, name: str) -> str:
        page = await self._conduit.search(Repository, "diffusion.repository.search", limit=PAGE)
        there = [repository.shown for repository in page.data]
        return f"{self._conduit.name} has no repository {name!r}. {_nearest(name, there, more=bool(page.cursor.after))}"


def listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _MOST_LISTED} more" if len(every) > _MOST_LISTED else ""
    return (", ".join(every[:_MOST_LISTED]) or "none") + more


def _nearest(name: str, there: list[str], *, more: bool) -> str:
    """Which names there are; of many, the most similar ones."""
    if len(there) <= _MOST_LISTED and not more:
        return f"There are: {listed(there)}."
    near = difflib.get_close_matches(name, there, n=5, cutoff=0.3) or there[:5]
    return f"Near it: {listed(near)}."


def _name(text: str) -> str:
    text = text.strip()
    if not text or len(text) > _MAX_NAME or not text.isprintable():
        raise InvalidInput("A name is between 1 and 250 printable characters.")
    return text


def _slug(name: str) -> str:
    """The tag of a project of that name, as Phabricator makes it."""
    return re.sub(r"[\s./?#&+=%,:;<>@!\"'`|\\^~*$(){}\[\]]+", "_", name.strip().lower()).strip("_")


def _shown(handle: Handle) -> str:
    """What a person would type for an object: a project's tag, a repository's short name."""
    match = _PAGE_OF.fullmatch(urlsplit(handle.uri).path)
    if handle.kind == "PROJ" and match and match[1] == "tag":
        return unquote(match[2])
    if handle.kind == "REPO" and match and match[1] != "tag":
        name = unquote(match[2])
        return f"R{name}" if name.isdecimal() else name
    return handle.name


def _parts(names: list[str]) -> list[list[str]]:
    return [names[start : start + _MOST_ASKED] for start in range(0, len(names), _MOST_ASKED)]

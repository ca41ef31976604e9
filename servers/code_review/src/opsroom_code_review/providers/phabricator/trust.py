"""Whose words are trusted: people who are named in the settings, and members of the projects that are."""

from collections.abc import Iterable
from dataclasses import dataclass

from .names import Known, Names


@dataclass(frozen=True)
class Trust:
    """Who is trusted, at one time."""

    names: frozenset[str]
    phids: frozenset[str]

    def in_author(self, phid: str | None, known: Known) -> bool:
        person = known.people.get(phid) if phid else None
        return phid in self.phids or (person is not None and person.name.lower() in self.names)


class Trusting:
    def __init__(self, names: Names, people: Iterable[str], groups: Iterable[str]) -> None:
        self._names, self._groups = names, tuple(groups)
        self._people = frozenset(person.removeprefix("@").lower() for person in people)

    async def now(self) -> Trust:
        """Asks for the members of the projects, unless they are known from a short while ago."""
        return Trust(self._people, await self._names.members(self._groups))

"""What the agents' definitions find in a request: ids and statements, strong phrases, and vocabulary."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from opsroom.agents.definition import AgentDefinition
from opsroom.errors import UsageError

from .phrases import Hit, PhraseBook
from .promql import find_promql
from .sql import find_sql
from .words import IDENTIFIER, STATEMENT, Words, read_words, stem, words_of

Span: TypeAlias = tuple[int, int]

_NAMED: Mapping[str, Callable[[str], Span | None]] = {"{sql}": find_sql, "{promql}": find_promql}
"""Literals that are no regular expression: a definition writes their name."""
_MOST_LITERALS = 20
_MOST_HITS = 100


@dataclass(frozen=True)
class Reading:
    words: Words
    literals: tuple[tuple[str, int], ...]
    """Agent and index of the word that stands for the literal."""
    hits: tuple[Hit, ...]
    vocabulary: Mapping[str, Mapping[str, float]]
    """Agent → its words in the request → their weights."""

    def weight(self, agent: str) -> float:
        return sum(self.vocabulary.get(agent, {}).values())

    def strong(self) -> set[str]:
        """The agents whose ids or phrases the request has."""
        return {agent for agent, _ in self.literals} | {hit.agent for hit in self.hits}

    def empty(self) -> bool:
        return not (self.literals or self.hits or any(self.vocabulary.values()))

    def scores(self) -> dict[str, float]:
        """Per agent how much speaks for it, 0..1: independent signs add up, and none makes certainty."""
        missing: dict[str, float] = {}
        for agent, _ in self.literals:
            missing[agent] = missing.get(agent, 1) * 0.2
        for hit in self.hits:
            missing[hit.agent] = missing.get(hit.agent, 1) * (0.2 if hit.head else 0.3)
        for agent, words in self.vocabulary.items():
            for weight in words.values():
                missing[agent] = missing.get(agent, 1) * (1 - 0.6 * min(weight, 1))
        return {agent: round(1 - left, 3) for agent, left in missing.items() if left < 1}


@dataclass(frozen=True)
class _Literal:
    start: int
    end: int
    agent: str
    sign: str
    """The word that stands for it."""


class Reader:
    """The routing tables of all agents, compiled once."""

    def __init__(self, agents: Mapping[str, AgentDefinition]) -> None:
        """Raises UsageError for a phrase or a literal that cannot be used."""
        self._book = PhraseBook()
        for name, agent in agents.items():
            try:
                self._book.add(name, agent.routing.phrases, agent.routing.terms)
            except ValueError as error:
                raise UsageError(f"agent {name}: routing.phrases: {error}") from None
        self._named = [
            (name, _NAMED[literal]) for name, agent in agents.items() for literal in agent.routing.literals if literal in _NAMED
        ]
        self._patterns = [
            (name, _compiled(name, literal))
            for name, agent in agents.items()
            for literal in agent.routing.literals
            if literal not in _NAMED
        ]
        self._exact: dict[str, list[tuple[str, float]]] = {}
        self._stems: dict[str, list[tuple[str, float]]] = {}
        for name, agent in agents.items():
            for key, weight in agent.routing.words.items():
                exact = key.startswith("=")
                table = self._exact if exact else self._stems
                table.setdefault(key[1:].lower() if exact else stem(key.lower()), []).append((name, weight))

    def read(self, text: str) -> Reading:
        found = self._literals(text)
        pieces: list[str] = []
        at = 0
        for literal in found:
            pieces += [text[at : literal.start], f" {literal.sign} "]
            at = literal.end
        words = read_words("".join([*pieces, text[at:]]).replace("```", " "))
        places = [place for place, word in enumerate(words.words) if word in (IDENTIFIER, STATEMENT)]
        # the text itself may hold such a sign; then the places no longer line up, and all go to the first
        lined_up = len(places) == len(found)
        owners = tuple((literal.agent, places[index if lined_up else 0]) for index, literal in enumerate(found))
        return self._read(words, owners)

    def part(self, reading: Reading, start: int, end: int) -> Reading:
        """The words *start* to *end* of a reading, read as a request of their own."""
        owners = tuple((agent, place - start) for agent, place in reading.literals if start <= place < end)
        return self._read(words_of(reading.words.words[start:end]), owners)

    def without(self, reading: Reading, places: Collection[int]) -> Reading:
        """The reading as if the words at *places* had not been said. Its literals keep their old places."""
        words = [word for place, word in enumerate(reading.words.words) if place not in places]
        return self._read(words_of(words), tuple(owner for owner in reading.literals if owner[1] not in places))

    def _read(self, words: Words, owners: tuple[tuple[str, int], ...]) -> Reading:
        hits = list(islice(self._book.find(words), _MOST_HITS))
        # a longer phrase explains the shorter ones of others inside it, and the words that it is made of
        hits = [hit for hit in hits if not any(other.agent != hit.agent and hit.within(other) for other in hits)]
        explained = {place: hit.agent for hit in hits if len(hit.at) > 1 for place in hit.at}
        vocabulary: dict[str, dict[str, float]] = {}
        counted: set[tuple[str, str]] = set()
        for place, (word, stemmed) in enumerate(zip(words.words, words.stems, strict=True)):
            for agent, weight in (*self._exact.get(word, ()), *self._stems.get(stemmed, ())):
                if explained.get(place, agent) == agent and (agent, stemmed) not in counted:
                    counted.add((agent, stemmed))
                    vocabulary.setdefault(agent, {})[word] = weight
        return Reading(words, owners, tuple(hits), vocabulary)

    def _literals(self, text: str) -> list[_Literal]:
        """The literals of the text, in order and without overlap; the one that was listed first wins a place."""
        found: list[_Literal] = []
        for agent, find in self._named:
            if span := find(text):
                _claim(found, [_Literal(*span, agent, STATEMENT)])
        for agent, pattern in self._patterns:
            _claim(found, (_Literal(*match.span(), agent, IDENTIFIER) for match in pattern.finditer(text)))
        return sorted(found, key=lambda literal: literal.start)


def _claim(found: list[_Literal], more: Iterable[_Literal]) -> None:
    for new in more:
        if len(found) == _MOST_LITERALS:
            return
        if new.start < new.end and all(new.end <= other.start or new.start >= other.end for other in found):
            found.append(new)


def _compiled(agent: str, literal: str) -> re.Pattern[str]:
    try:
        return re.compile(literal, re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"agent {agent}: routing.literals: {literal!r} is no regular expression: {error}") from None

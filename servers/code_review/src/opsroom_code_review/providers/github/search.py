"""Several searches of GitHub shown as one listing, newest first, of one request."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar, cast

from opsroom_shared.errors import InvalidInput
from pydantic import JsonValue, model_validator

from .references import repository
from .wire import Dated, Graph, PageInfo

_ALIAS = re.compile(r"s\d+")
_MOST_SCOPES = 10
_MOST_WORDS = 12


Hit = TypeVar("Hit", bound=Dated)
H = TypeVar("H")


class Edge(Graph, Generic[H]):
    cursor: str
    node: H | None = None


class Search(Graph, Generic[H]):
    edges: list[Edge[H] | None] | None = None
    page_info: PageInfo = PageInfo()


class Searched(Graph, Generic[H]):
    """The answers to the searches s0, s1 and so on of one query, which has other parts, too."""

    searches: dict[str, Search[H] | None]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
        searches = {key: value for key, value in data.items() if _ALIAS.fullmatch(key)}
        return {**{key: value for key, value in data.items() if key not in searches}, "searches": searches}


@dataclass
class _Part(Generic[Hit]):
    """One search's answer while it is consumed."""

    edges: list[Edge[Hit]]
    more: bool
    after: str | None
    at: int = 0
    seen: set[str] = field(default_factory=set[str])

    def head(self) -> Hit | None:
        """The next item that is none of *seen*."""
        while self.at < len(self.edges):
            node = self.edges[self.at].node
            if node is not None and node.id not in self.seen:
                return node
            self.step()
        return None

    def step(self) -> None:
        self.after = self.edges[self.at].cursor
        self.at += 1


def merged(
    answers: Mapping[str, Search[Hit]], before: Mapping[str, str | None], limit: int
) -> tuple[list[Hit], dict[str, str | None]]:
    """The newest *limit* items of several answers, each once, and from where each search goes on; empty at the end of all.

    *before* is from where they went on this time.
    """
    seen: set[str] = set()
    parts = {
        key: _Part([edge for edge in answer.edges or [] if edge], answer.page_info.has_next_page, before[key], seen=seen)
        for key, answer in answers.items()
    }
    taken: list[Hit] = []
    while len(taken) < limit:
        heads = {key: head for key, part in parts.items() if (head := part.head()) is not None}
        # behind the last one of an answer that has more, it is not known what comes next
        if not heads or any(part.more for key, part in parts.items() if key not in heads):
            break
        key = max(heads, key=lambda key: heads[key].updated_at)
        taken.append(heads[key])
        seen.add(heads[key].id)
        parts[key].step()
    return taken, {key: part.after for key, part in parts.items() if part.head() is not None or part.more}


def position_of(value: JsonValue, count: int) -> dict[str, str | None]:
    """From where each of *count* searches goes on; the start without a position. Raises InvalidInput."""
    if value is None:
        return {f"s{index}": None for index in range(count)}
    keys = {f"s{index}" for index in range(count)}
    if not isinstance(value, dict) or not value or not keys.issuperset(value):
        raise InvalidInput("The cursor is none of this search. Begin again without it.")
    if not all(cursor is None or isinstance(cursor, str) for cursor in value.values()):
        raise InvalidInput("The cursor is none of this search. Begin again without it.")
    return cast("dict[str, str | None]", value)


def position_value(position: Mapping[str, str | None]) -> JsonValue:
    """What is given out as the position; None at the end."""
    return dict(position) or None


def words(text: str) -> list[str]:
    """Quoted words: in a search of GitHub, a colon, a minus, OR and NOT would mean something else unquoted."""
    parts = [part for part in text.replace('"', " ").replace("\\", " ").split() if part]
    if len(parts) > _MOST_WORDS:
        raise InvalidInput(f"GitHub searches for a few words; {len(parts)} are too many. Give at most {_MOST_WORDS}.")
    return [f'"{part}"' for part in parts]


def since(when: datetime) -> str:
    return f"updated:>={when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def scopes(wanted: str | None, allowed: Sequence[str]) -> list[str]:
    """Qualifiers, one for each search, that keep to the repository that is wanted, or to those of the settings.

    Empty where nothing of the kind limits the search, or where a search cannot say what the settings say.
    """
    if wanted is not None:
        return [f"repo:{repository(wanted)}"]
    found: list[str] = []
    for pattern in allowed:
        owner, _, name = pattern.partition("/")
        if any(sign in owner for sign in "*?[") or not name:
            return []
        found.append(f"user:{owner}" if any(sign in name for sign in "*?[") else f"repo:{repository(pattern)}")
    unique = list(dict.fromkeys(found))
    return unique if len(unique) <= _MOST_SCOPES else []

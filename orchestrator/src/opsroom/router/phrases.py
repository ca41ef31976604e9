"""The little language in which agent definitions write their strong phrases, and finding those phrases among words.

Words stand in order, inflected or not, and articles and the like may stand between them: `roll back release` finds
"rolling back the release"; for "roll back last night's release" it takes a gap, `roll back * release`.

    ^       before the first word: only where the request begins, after "please", "can you" and so on
    a|b     one of several words
    =a|b    these forms exactly: `=logs` is not "logged"
    {list}  any word of that list of the agent's `terms`
    *       up to four words
    ?       any one word
    #       a number or a version
    §       an id or a link that was recognised on its own
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .words import IDENTIFIER, MARKS, PASSED_OVER, Words, stem

_GAP = 4
_SKIPPED = 2


@dataclass(frozen=True)
class Hit:
    """A phrase of an agent, found at these words; the words in its gaps are not among them."""

    agent: str
    phrase: str
    at: tuple[int, ...]
    head: bool

    @property
    def start(self) -> int:
        return self.at[0]

    @property
    def end(self) -> int:
        return self.at[-1] + 1

    def within(self, other: "Hit") -> bool:
        """Whether *other* says the same words and more: the "alert" of "the alert table"."""
        return len(self.at) < len(other.at) and set(self.at) < set(other.at)


@dataclass(frozen=True)
class _Element:
    exact: frozenset[str] = frozenset()
    stems: frozenset[str] = frozenset()
    kind: str = "word"
    numbers: bool = False

    def matches(self, word: str, stemmed: str) -> bool:
        if self.kind == "?":
            return word not in MARKS
        if word in self.exact or stemmed in self.stems:
            return True
        return (self.numbers or self.kind == "#") and _is_number(word)


@dataclass(frozen=True)
class _Phrase:
    agent: str
    source: str
    elements: tuple[_Element, ...]
    head: bool


def _is_number(word: str) -> bool:
    """A count, an id or a version (12, #12, v2.3.1), not a time of the day."""
    return (word[0].isdigit() or (word[0] in "v#" and word[1:2].isdigit())) and ":" not in word


class PhraseBook:
    """The phrases of every agent, looked up by their first word so that the cost grows with the request, not with the book."""

    def __init__(self) -> None:
        self._by_word: dict[str, list[_Phrase]] = {}
        self._by_stem: dict[str, list[_Phrase]] = {}

    def add(self, agent: str, phrases: Iterable[str], terms: Mapping[str, Sequence[str]]) -> None:
        """Raises ValueError for a phrase that cannot be looked up or names no list of *terms*."""
        for source in phrases:
            phrase = _parse(agent, source, terms)
            first = phrase.elements[0]
            for word in first.exact:
                self._by_word.setdefault(word, []).append(phrase)
            for stemmed in first.stems:
                self._by_stem.setdefault(stemmed, []).append(phrase)

    def find(self, words: Words) -> Iterator[Hit]:
        for start, (word, stemmed) in enumerate(zip(words.words, words.stems, strict=True)):
            for book, key in ((self._by_word, word), (self._by_stem, stemmed)):
                for phrase in book.get(key, ()):
                    if phrase.head and start != words.head:
                        continue
                    found = _match(phrase.elements, words, 1, start + 1)
                    if found is not None:
                        yield Hit(phrase.agent, phrase.source, (start, *found), phrase.head)


def _parse(agent: str, source: str, terms: Mapping[str, Sequence[str]]) -> _Phrase:
    head = source.startswith("^")
    elements = tuple(_element(part, source, terms) for part in source.removeprefix("^").lower().split())
    if not elements or elements[0].kind != "word" or elements[0].numbers or elements[-1].kind == "*":
        raise ValueError(f"the phrase {source!r} must begin with a word and not end with a gap")
    return _Phrase(agent, source, elements, head)


def _element(part: str, source: str, terms: Mapping[str, Sequence[str]]) -> _Element:
    if part in ("*", "?", "#"):
        return _Element(kind=part)
    exact: set[str] = set()
    stems: set[str] = set()
    numbers = False
    for word in _alternatives(part, source, terms):
        if word == "#":
            numbers = True
        elif word.startswith("=") or word == IDENTIFIER:
            exact.add(word.removeprefix("="))
        else:
            stems.add(stem(word))
    return _Element(frozenset(exact), frozenset(stems), numbers=numbers)


def _alternatives(part: str, source: str, terms: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The words of `a|b|{list}`. A leading `=` holds for all that are written out."""
    exact = "=" if part.startswith("=") else ""
    for word in part.removeprefix("=").split("|"):
        if not word.startswith("{"):
            yield word if word.startswith("=") else exact + word
        elif word[1:-1] in terms:
            yield from (term.lower() for term in terms[word[1:-1]])
        else:
            raise ValueError(f"the phrase {source!r} names {word}, which is no list of `terms`")


def _match(elements: tuple[_Element, ...], words: Words, element: int, at: int) -> tuple[int, ...] | None:
    """The places of the elements from *element* on, when they stand at *at*."""
    if element == len(elements):
        return ()
    if elements[element].kind == "*":
        for start in range(at, min(at + _GAP, len(words)) + 1):
            if (found := _match(elements, words, element + 1, start)) is not None:
                return found
            if start < len(words) and words.words[start] in MARKS:
                break
        return None
    for place in range(at, min(at + _SKIPPED + 1, len(words))):
        word = words.words[place]
        if elements[element].matches(word, words.stems[place]):
            found = _match(elements, words, element + 1, place + 1)
            if found is not None:
                return (place, *found)
        if word not in PASSED_OVER:
            break
    return None

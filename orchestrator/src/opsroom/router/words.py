"""A request as words: lower case, contractions opened, punctuation kept as marks, inflections folded to a stem."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .vocabulary import VOCABULARY, word_set

IDENTIFIER = "§"
STATEMENT = "¤"
"""The words that stand for an id or a link, and for a statement of SQL or PromQL, that were recognised and cut out."""

MARKS = frozenset(",;.?!:\n")

_CONTRACTIONS = (
    (re.compile(r"[‘’`´]"), "'"),  # noqa: RUF001 - the apostrophes people paste
    (re.compile(r"\b(what|who|where|when|how|why|it|that|there|here|let|everything|something|anything)'?s\b"), r"\1 is"),
    (re.compile(r"\blet is\b"), "let us"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'m\b"), " am"),
    (re.compile(r"'d\b"), " would"),
    (re.compile(r"'s\b"), ""),
    # a hyphen inside a name (api-gateway) holds it together; in these compounds it is a space
    (
        re.compile(r"\b(on|roll|rolled|pull|merge|feature|code|post|error|slow|crash|blue|long|cherry|sign|full|re)-(?=[a-z])"),
        r"\1 ",
    ),
    (re.compile(r"\bre (run|deploy|start|open|base|try|build|view)"), r"re\1"),
)
_TOKEN = re.compile(r"@?\w+(?:[./:@#+~-]+\w+)*%?|[#!]\d+|[,;.?!:\n]|[§¤]")
_VOWELS = frozenset("aeiou")
_LONGEST_WORD = 30

PASSED_OVER = word_set(VOCABULARY.polite.passed_over)
"""Words that may stand between the words of a phrase."""

_POLITE = frozenset(tuple(opening.split()) for opening in VOCABULARY.polite.openings)
_LONGEST_OPENING = max(map(len, _POLITE))


@dataclass(frozen=True)
class Words:
    """The words and marks of a request, their stems, and where the request begins after its politeness."""

    words: tuple[str, ...]
    stems: tuple[str, ...]
    head: int

    def __len__(self) -> int:
        return len(self.words)

    def spoken(self) -> list[str]:
        """The words from the head on, without the marks."""
        return [word for word in self.words[self.head :] if word not in MARKS]


def read_words(text: str) -> Words:
    text = text.lower()
    for pattern, replacement in _CONTRACTIONS:
        text = pattern.sub(replacement, text)
    return words_of(_TOKEN.findall(text))


def words_of(words: Sequence[str]) -> Words:
    return Words(tuple(words), tuple(map(stem, words)), _head(words))


def _head(words: Sequence[str]) -> int:
    start = 0
    while start < len(words):
        if words[start] in MARKS or words[start].startswith("@"):
            start += 1
            continue
        lengths = range(_LONGEST_OPENING, 0, -1)
        longest = next((length for length in lengths if tuple(words[start : start + length]) in _POLITE), 0)
        if not longest:
            return start
        start += longest
    return 0


def stem(word: str) -> str:
    """*word* without its inflection: deploys, deployed and deploying are one. Only equality of two stems means anything."""
    return _stem(word) if 4 <= len(word) <= _LONGEST_WORD and word.isalpha() and word.isascii() else word


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    if word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not _VOWELS.isdisjoint(word[: -len(ending)]):
            word = word[: -len(ending)]
            break
    else:
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
    word = word.removesuffix("e")
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in _VOWELS:
        word = word[:-1]
    return word

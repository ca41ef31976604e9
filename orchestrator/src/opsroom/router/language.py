"""Telling an English request from another language, because keyword rules written for English misread the others."""

from collections.abc import Sequence

from .vocabulary import VOCABULARY, word_set

_ENGLISH = word_set(VOCABULARY.language.english)
_FOREIGN = word_set(VOCABULARY.language.foreign)
_DOUBTFUL = word_set(VOCABULARY.language.doubtful)


def looks_foreign(words: Sequence[str]) -> bool:
    """Whether the request is rather not English. Undecided is English: the rules then see only the words they know."""
    english = sum(word in _ENGLISH for word in words)
    doubtful = sum(word in _DOUBTFUL for word in words)
    foreign = sum(word in _FOREIGN or (not word.isascii() and word.isalpha()) for word in words)
    if foreign == doubtful:
        return doubtful > 1 and doubtful >= english
    return foreign >= english or (foreign >= 2 and 2 * foreign >= english)

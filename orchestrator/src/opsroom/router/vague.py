"""Requests that cannot be given to any agent without asking: a bare verb, a bare noun, "it" with nothing named."""

from collections.abc import Sequence

from .phrases import PhraseBook
from .vocabulary import VOCABULARY, word_set
from .words import MARKS, Words, words_of

_VAGUE = VOCABULARY.vague
_EMPTY = word_set(_VAGUE.empty)
_ACTS = word_set(_VAGUE.acts)
_OBJECTS = word_set(_VAGUE.objects)
_TAILS = word_set(_VAGUE.tails)
_LONGEST = 12
_LONGEST_NAME = 3

_OPENINGS = PhraseBook()
_OPENINGS.add("vague", _VAGUE.openings, {})
_CLOSINGS = PhraseBook()
_CLOSINGS.add("vague", _VAGUE.closings, {})


def is_vague(words: Words) -> bool:
    """Whether the request names nothing to work on, or a name and nothing about it.

    The caller makes sure that no agent's words are in it.
    """
    spoken = words.spoken()
    if not 0 < len(spoken) <= _LONGEST:
        return False
    return len(spoken) == 1 or _EMPTY.issuperset(spoken) or _is_name_only(spoken)


def is_bare_act(words: Words) -> bool:
    """Whether the request is a verb of the trade on nothing: "approve it", "roll it back now"."""
    spoken = words.spoken()
    return 0 < len(spoken) <= _LONGEST and spoken[0] in _ACTS and _OBJECTS.issuperset(spoken[1:])


def _is_name_only(spoken: Sequence[str]) -> bool:
    """Whether only a name of up to three words stands behind an opening ("what about …") or before a closing ("… is broken")."""
    while spoken and spoken[-1] in _TAILS:
        spoken = spoken[:-1]
    words = words_of([word for word in spoken if word not in MARKS])
    after = [len(words) - hit.end for hit in _OPENINGS.find(words)]
    before = [hit.start for hit in _CLOSINGS.find(words) if hit.end == len(words)]
    return any(0 < length <= _LONGEST_NAME for length in (*after, *before))

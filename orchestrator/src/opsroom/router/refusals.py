"""Requests that are none of opsroom's business: attempts to redirect the assistant, small talk, and everyday topics."""

from .phrases import Hit, PhraseBook
from .vocabulary import VOCABULARY, word_set
from .words import MARKS, Words

_TALK = VOCABULARY.small_talk
_SOCIAL = word_set(_TALK.social)
_CORE = word_set(_TALK.core)
_TOPICS = word_set(_TALK.topics)
_BUSINESS = word_set(_TALK.business)
_LONGEST_GREETING = 10

_REDIRECTS = PhraseBook()
_REDIRECTS.add("redirect", VOCABULARY.redirect.phrases, {})
_OPENINGS = PhraseBook()
_OPENINGS.add("small talk", _TALK.openings, _TALK.terms)


def redirects(words: Words) -> tuple[Hit, ...]:
    """The places where the request tries to give the assistant other instructions or to see its own."""
    return tuple(_REDIRECTS.find(words))


def is_small_talk(words: Words) -> bool:
    """Whether it is a greeting or an everyday topic by its own words.

    The caller makes sure that nothing operational stands beside.
    """
    said = [word for word in words.words if word not in MARKS]
    if 0 < len(said) <= _LONGEST_GREETING and _SOCIAL.issuperset(said) and not _CORE.isdisjoint(said):
        return True
    if next(_OPENINGS.find(words), None) is not None:
        return True
    return not _TOPICS.isdisjoint(said) and _BUSINESS.isdisjoint(said)

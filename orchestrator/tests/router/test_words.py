"""Requests as words."""

import pytest
from opsroom.router.language import looks_foreign
from opsroom.router.words import read_words, stem


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Could you please roll back checkout?", ["roll", "back", "checkout"]),
        ("Hey team, what's firing", ["what", "is", "firing"]),
        ("whats on api-gateway's on-call list", ["what", "is", "on", "api-gateway", "on", "call", "list"]),
        ("it didn\u2019t work", ["it", "did", "not", "work"]),
        ("please", ["please"]),
        ("@here 5% of web-1", ["5%", "of", "web-1"]),
    ],
)
def test_politeness_contractions_and_marks_are_taken_off(text: str, spoken: list[str]) -> None:
    """What is left is what is said, with names in one piece."""
    assert read_words(text).spoken() == spoken


@pytest.mark.parametrize(
    "forms",
    [
        ("deploy", "deploys", "deployed", "deploying"),
        ("query", "queries"),
        ("scale", "scaled", "scaling"),
        ("ship", "shipped", "shipping"),
        ("index", "indexes", "indexed"),
        ("roll", "rolls", "rolled", "rolling"),
    ],
)
def test_inflections_share_a_stem(forms: tuple[str, ...]) -> None:
    """The forms of a word are one word to the phrases."""
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("status", "state"), ("deploy", "deployment"), ("table", "tablet"), ("release", "lease")]
)
def test_different_words_keep_their_stems(one: str, other: str) -> None:
    """Folding stops at inflection."""
    assert stem(one) != stem(other)


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("¿cuántas tablas hay en la base de datos?", True),
        ("despliega checkout en producción", True),
        ("affiche les alertes de la nuit", True),
        ("zeig mir die Logs von checkout", True),
        ("reinicia o serviço de pagamentos", True),
        ("show me the alerts of last night", False),
        ("restart la-gateway in eu-west", False),
        ("who is on call", False),
        ("rollback", False),
    ],
)
def test_other_languages_are_told_from_english(text: str, foreign: bool) -> None:  # noqa: FBT001 - a parametrized expectation
    """The English rules keep away from requests in Spanish, French, German and Portuguese."""
    assert looks_foreign(read_words(text).words) is foreign

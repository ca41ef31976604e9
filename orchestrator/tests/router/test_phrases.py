"""The notation of strong phrases."""

import pytest
from opsroom.router.phrases import PhraseBook
from opsroom.router.words import read_words

TERMS = {"task": ("task", "ticket", "=pr")}


def found(phrase: str, text: str) -> bool:
    book = PhraseBook()
    book.add("a", [phrase], TERMS)
    return any(book.find(read_words(text)))


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("roll back release", "rolling back the release"),
        ("roll back * release", "roll back last night's broken release"),
        ("restart|bounce ? pods", "bounce checkout pods"),
        ("=logs", "show the logs"),
        ("^deploy ?", "could you please deploy checkout"),
        ("build #", "has build 5512 finished"),
        ("build #", "is build v2.3.1 good"),
        ("close {task}", "close my ticket"),
        ("close {task}", "closing the pr"),
        ("alert me when", "alert me when it breaks"),
    ],
)
def test_a_phrase_is_found(phrase: str, text: str) -> None:
    """Inflection, articles, gaps, lists and politeness do not hide a phrase."""
    assert found(phrase, text)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("roll back release", "roll back last night's release"),
        ("roll back * release", "roll back one two three four five release"),
        ("roll back * release", "roll back checkout, the release is bad"),
        ("=logs", "who logged in"),
        ("^deploy ?", "what did we deploy today"),
        ("build #", "the build at 14:00"),
        ("close {task}", "close the window"),
        ("^deploy ?", "deploy."),
    ],
)
def test_a_phrase_is_not_found(phrase: str, text: str) -> None:
    """A gap has an end, marks close it, exact forms are exact, and the head is the head."""
    assert not found(phrase, text)


@pytest.mark.parametrize("phrase", ["", "* release", "# builds", "deploy *", "close {nothing}", "{nothing} closed"])
def test_a_phrase_that_cannot_be_looked_up_is_refused(phrase: str) -> None:
    """A definition's mistake is told when it is loaded."""
    with pytest.raises(ValueError, match="phrase"):
        PhraseBook().add("a", [phrase], TERMS)

"""The router's own words and phrases, read once from vocabulary.toml."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_FILE = Path(__file__).with_name("vocabulary.toml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Polite(_Strict):
    openings: tuple[str, ...]
    passed_over: str


class Language(_Strict):
    english: str
    foreign: str
    doubtful: str


class Redirect(_Strict):
    phrases: tuple[str, ...]


class SmallTalk(_Strict):
    social: str
    core: str
    openings: tuple[str, ...]
    topics: str
    business: str
    terms: dict[str, tuple[str, ...]]


class Vague(_Strict):
    empty: str
    acts: str
    objects: str
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    tails: str


class Operations(_Strict):
    words: str


class Joints(_Strict):
    subordinate: str
    join: str
    cause: str
    condition: str
    imperatives: str


class Vocabulary(_Strict):
    polite: Polite
    language: Language
    redirect: Redirect
    small_talk: SmallTalk
    vague: Vague
    operations: Operations
    joints: Joints


VOCABULARY = Vocabulary.model_validate(tomllib.loads(_FILE.read_text(encoding="utf-8")))


def word_set(words: str) -> frozenset[str]:
    """A list of the file, which is one string, as a set."""
    return frozenset(words.split())

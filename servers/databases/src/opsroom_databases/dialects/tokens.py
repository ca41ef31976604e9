"""What the scanners of the network engines have in common: tokens, and blanking the comments between them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias


class Kind(Enum):
    WORD = auto()
    """A name or keyword without quotes, in lower case."""
    NAME = auto()
    """A quoted name, without its quotes."""
    STRING = auto()
    NUMBER = auto()
    OPERATOR = auto()
    PUNCTUATION = auto()
    PARAMETER = auto()
    """`$1`."""
    VARIABLE = auto()
    """`@name` or `@@name`."""


@dataclass(frozen=True)
class Token:
    kind: Kind
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        return self.kind is Kind.WORD and self.text in words

    def is_mark(self, mark: str) -> bool:
        return self.kind in (Kind.OPERATOR, Kind.PUNCTUATION) and self.text == mark

    @property
    def is_name(self) -> bool:
        return self.kind in (Kind.WORD, Kind.NAME)


Piece: TypeAlias = tuple[int, int, Token | None]
"""Where a token or, with None, a comment begins and ends."""


@dataclass(frozen=True)
class Scan:
    """A statement's tokens, and the statement with a space for every character of its comments."""

    tokens: list[Token]
    sql: str

    @classmethod
    def of(cls, sql: str, pieces: Iterable[Piece], line_ends: str) -> "Scan":
        """*line_ends* are the characters that end a line comment: they stay, so that lines keep their numbers."""
        tokens: list[Token] = []
        blanked: list[str] = []
        copied = 0
        for start, end, token in pieces:
            if token is not None:
                tokens.append(token)
            else:
                blanked += (sql[copied:start], re.sub(f"[^{line_ends}]", " ", sql[start:end]))
                copied = end
        return cls(tokens, "".join([*blanked, sql[copied:]]))


def ascii_lower(name: str) -> str:
    """ASCII letters only: no other letter makes a word of an engine's grammar."""
    return name.translate(_LOWER)


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}

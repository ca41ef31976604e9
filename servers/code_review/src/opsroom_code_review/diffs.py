"""A diff as data: files, hunks and lines with their numbers on both sides."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

FileKind = Literal["added", "modified", "deleted", "renamed", "copied", "mode"]
Side = Literal["new", "old"]
Sign = Literal[" ", "+", "-"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a hunk. A number is None on the side where the line does not exist."""

    sign: Sign
    text: str
    """Without its line end; a carriage return before it is part of the text."""
    old: int | None
    new: int | None
    ends: bool = True
    """False for a last line that no line end follows."""


@dataclass(frozen=True, slots=True)
class Hunk:
    lines: tuple[Line, ...]
    heading: str = ""
    """What stands behind the second @@: usually the function."""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What a change does to one file."""

    path: str
    """As it is afterwards; of a deleted file, as it was."""
    kind: FileKind
    old_path: str | None = None
    """Where it was before, if that is another path."""
    hunks: tuple[Hunk, ...] = ()
    added: int = 0
    removed: int = 0
    binary: bool = False
    modes: tuple[str, str] | None = None
    """Old and new mode, where they differ."""
    withheld: str | None = None
    """Why the backend did not send the hunks, such as "too large for the server". The counts may be known nevertheless."""

    def lines(self) -> Iterator[Line]:
        for hunk in self.hunks:
            yield from hunk.lines

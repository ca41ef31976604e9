"""The requests of a batch file: JSON Lines, checked whole before anything is decided."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from opsroom_shared.config import explain
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from opsroom.errors import UsageError
from opsroom.router.router import check_text

_MOST_LINES = 1_000_000
_LONGEST_LINE = 200_000


class BatchLine(BaseModel):
    """A request of a batch file; other fields are passed over."""

    model_config = ConfigDict(frozen=True)

    id: str | int | None = None
    text: str = Field(strict=True)


def read_batch(path: Path) -> list[BatchLine]:
    """Every line of the file. Raises UsageError naming the file and the line; nothing has been printed then."""
    if str(path) == "-":
        return _lines(sys.stdin, "standard input")
    try:
        with path.open(encoding="utf-8") as file:
            return _lines(file, str(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def _lines(file: TextIO, name: str) -> list[BatchLine]:
    found: list[BatchLine] = []
    for number, raw in enumerate(_raw_lines(file, name), 1):
        if not raw.strip():
            continue
        try:
            line = BatchLine.model_validate_json(raw)
            check_text(line.text)
        except ValidationError as error:
            problem = explain(error, None).removeprefix(": ")
            raise UsageError(f'{name}:{number}: expected {{"id": …, "text": "the request"}}: {problem}') from None
        except UsageError as error:
            raise UsageError(f"{name}:{number}: {error}") from None
        found.append(line)
    return found


def _raw_lines(file: TextIO, name: str) -> Iterator[str]:
    number = 0
    try:
        while raw := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(raw) > _LONGEST_LINE or number > _MOST_LINES:
                raise UsageError(f"{name}:{number}: at most {_MOST_LINES:,} lines of {_LONGEST_LINE:,} characters are read")
            yield raw
    except UnicodeDecodeError:
        raise UsageError(f"{name}:{number + 1}: is not UTF-8 text") from None

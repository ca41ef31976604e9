"""On which line each key of a TOML document stands, which tomllib does not keep."""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeAlias, cast

Location: TypeAlias = tuple[int | str, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PART = re.compile(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRING = re.compile(
    r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]+")
_MAX_DEPTH = 100


class _NotToml(Exception):
    """The text is not TOML from here on; what was found before still stands."""


def positions(text: str) -> dict[Location, int]:
    """The line, counted from 1, of every table, key and array element of *text*, which should be valid TOML."""
    scanner = _Scanner(text)
    with suppress(_NotToml):
        scanner.document()
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.found: dict[Location, int] = {}
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._last: dict[Location, int] = {}  # array of tables → index of its newest element

    def document(self) -> None:
        table: Location = ()
        while self._skip(_BLANK) and self._at < len(self._text):
            if self._took("[["):
                array = self._resolve(self._key())
                self._last[array] = self._last.get(array, -1) + 1
                table = (*array, self._last[array])
                self._record(table)
                self._expect("]]")
            elif self._took("["):
                table = self._resolve(self._key())
                self._record(table)
                self._expect("]")
            else:
                self._pair(table)

    def _pair(self, table: Location) -> None:
        location = (*table, *self._key())
        self._record(location)
        self._expect("=")
        self._value(location)

    def _value(self, location: Location) -> None:
        if len(location) > _MAX_DEPTH:
            raise _NotToml
        self._skip(_BLANK)
        if self._took("["):
            for index in self._items("]"):
                self._record((*location, index))
                self._value((*location, index))
        elif self._took("{"):
            for _ in self._items("}"):
                self._pair(location)
        elif not (self._skip(_STRING) or self._skip(_SCALAR)):
            raise _NotToml

    def _items(self, end: str) -> Iterator[int]:
        """Counts the items of an array or inline table; the caller reads each one."""
        index = 0
        while self._skip(_BLANK) and not self._took(end):
            yield index
            index += 1
            self._skip(_BLANK)
            if not self._took(","):
                self._expect(end)
                return

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            match = _PART.match(self._text, self._at)
            if not match:
                raise _NotToml
            parts.append(_unquoted(match[1]))
            self._at = match.end()
            if not self._took("."):
                return tuple(parts)

    def _resolve(self, name: tuple[str, ...]) -> Location:
        """Where the table of a header stands: below the newest element of every array of tables that it passes."""
        here: Location = ()
        for part in name[:-1]:
            here = (*here, part)
            if here in self._last:
                here = (*here, self._last[here])
        return (*here, name[-1])

    def _record(self, location: Location) -> None:
        line = bisect_right(self._newlines, self._at - 1) + 1
        for length in range(1, len(location) + 1):
            self.found.setdefault(location[:length], line)

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()
        return match is not None

    def _took(self, token: str) -> bool:
        taken = self._text.startswith(token, self._at)
        if taken:
            self._at += len(token)
        return taken

    def _expect(self, token: str) -> None:
        if not self._took(token):
            raise _NotToml


def _unquoted(part: str) -> str:
    if part[0] not in "\"'":
        return part
    try:
        return cast("str", tomllib.loads(f"key = {part}")["key"])
    except tomllib.TOMLDecodeError:
        raise _NotToml from None

"""Paths in the quoted form in which git writes those that do not fit into a line of text."""

import re

_PLAIN = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]*")
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
_LETTERS = {number: letter for letter, number in _ESCAPES.items()}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(rb'\\([0-3][0-7]{2}|[abtnvfr"\\])')


def shown(path: str) -> str:
    """*path* as it is given to a reader: quoted if it holds control characters or bytes that are no UTF-8, or looks quoted."""
    if _PLAIN.fullmatch(path) and given(path) == path:
        return path
    return '"' + "".join(_escaped(character) for character in path) + '"'


def given(text: str) -> str:
    """The path that a caller means: *text* itself, or what is in it if it is quoted."""
    if len(text) < 2 or not _QUOTED.fullmatch(text):
        return text
    try:
        return unquoted(text)[0]
    except ValueError:
        return text


def unquoted(text: str) -> tuple[str, str]:
    """The path at the start of *text*, which begins with a quote, and what follows it. Raises ValueError."""
    match = _QUOTED.match(text)
    if match is None:
        raise ValueError("a quoted path has no end")
    raw = match[1].encode(errors="surrogateescape")
    if b"\\" in _ESCAPE.sub(b"", raw):
        raise ValueError("a quoted path has an escape that git does not write")
    return _ESCAPE.sub(_byte, raw).decode(errors="surrogateescape"), text[match.end() :]


def _byte(escape: re.Match[bytes]) -> bytes:
    word = escape[1].decode()
    return bytes([_ESCAPES[word] if word in _ESCAPES else int(word, 8)])


def _escaped(character: str) -> str:
    if (number := ord(character)) in _LETTERS:
        return "\\" + _LETTERS[number]
    if _PLAIN.fullmatch(character):
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode(errors="surrogateescape"))

"""Cuts text into the tokens that the scanner of MariaDB and MySQL would see, and blanks its comments. Pure.

It holds in the SQL mode that every session of ours has: double quotes are literals, and a backslash hides what follows.
"""

import re
from collections.abc import Iterator

from opsroom_shared.errors import InvalidInput, NotPermitted

from ..sql_position import marked
from .tokens import Kind, Piece, Scan, Token, ascii_lower

_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_LINE_COMMENT = re.compile(r"(?:#|--(?=[\x01-\x20\x7f]|\Z))[^\n]*")
_NAME_CHARACTERS = r"0-9A-Za-z_$\x80-\U0010ffff"
_WORD = re.compile(f"[{_NAME_CHARACTERS}]+")
_NUMBER = re.compile(
    rf"0x[0-9A-Fa-f]+(?![{_NAME_CHARACTERS}])|0b[01]+(?![{_NAME_CHARACTERS}])"
    rf"|[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
    rf"|[0-9]+[eE][+-]?[0-9]+|[0-9]+(?![{_NAME_CHARACTERS}])"
)
_STRING = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"", re.DOTALL)
_QUOTED_NAME = re.compile(r"`((?:[^`]|``)+)`")
_VARIABLE = re.compile(f"[{_NAME_CHARACTERS}.]+")
_PREFIX = re.compile(r"[nNxXbB](?=')")
_OPERATOR = re.compile(r":=|<=>|->>|<<|>>|<>|<=|>=|!=|\|\||&&|->|\\N|[-+*/%=<>!|&^~,()\[\].;:?{}]")


def scan(sql: str) -> Scan:
    """*sql* as tokens. Raises InvalidInput where the engine's scanner would fail, NotPermitted for a comment that it runs."""
    return Scan.of(sql, _pieces(sql), line_ends="\n")


def _pieces(sql: str) -> Iterator[Piece]:
    """Where each token and each comment stands."""
    position = 0
    before: Token | None = None
    while position < len(sql):
        if match := _SPACE.match(sql, position):
            position = match.end()
            continue
        is_comment = sql.startswith("/*", position) or _LINE_COMMENT.match(sql, position)
        if is_comment and before is not None and before.end == position and sql.startswith("--", position - 2):
            # with a space in the comment's place, they would begin one
            raise InvalidInput(f"Two minus signs stand before this comment. Put a space between.\n{marked(sql, position)}")
        if match := _LINE_COMMENT.match(sql, position):
            end, token = match.end(), None
        elif sql.startswith("/*", position):
            end, token = _comment_end(sql, position), None
        else:
            adjoining = before if before is not None and before.end == position else None
            token = _part_of_name(sql, position, adjoining) or _token(sql, position)
            end, before = token.end, token
        yield position, end, token
        position = end


def _comment_end(sql: str, start: int) -> int:
    """Behind the comment at *start*; comments do not stand inside comments."""
    if sql.startswith(("/*!", "/*M!", "/*m!"), start):
        raise NotPermitted(
            f"The engine would run what stands in this comment. Write it as part of the statement.\n{marked(sql, start)}"
        )
    end = sql.find("*/", start + 2)
    if end < 0:
        raise InvalidInput(f"The comment that begins here does not end:\n{marked(sql, start)}")
    return end + 2


def _part_of_name(sql: str, start: int, adjoining: Token | None) -> Token | None:
    """The dot and the word of `a.b`, where what is read as a number elsewhere is part of the name."""
    if adjoining is None:
        return None
    if sql[start] == "." and adjoining.is_name:
        return Token(Kind.OPERATOR, ".", start, start + 1)
    if adjoining.is_mark(".") and (match := _WORD.match(sql, start)):
        return Token(Kind.WORD, ascii_lower(match[0]), start, match.end())
    return None


def _token(sql: str, start: int) -> Token:
    character = sql[start]
    if character in "'\"" or _PREFIX.match(sql, start):
        return Token(Kind.STRING, "", start, _string_end(sql, start if character in "'\"" else start + 1))
    if character == "`":
        match = _QUOTED_NAME.match(sql, start)
        if match is None:
            raise InvalidInput(f"The quoted name that begins here does not end, or is empty:\n{marked(sql, start)}")
        return Token(Kind.NAME, match[1].replace("``", "`"), start, match.end())
    if character == "@":
        return _variable(sql, start)
    for kind, pattern in ((Kind.NUMBER, _NUMBER), (Kind.OPERATOR, _OPERATOR)):
        if match := pattern.match(sql, start):
            return Token(kind, match[0], start, match.end())
    if match := _WORD.match(sql, start):
        return Token(Kind.WORD, ascii_lower(match[0]), start, match.end())
    raise InvalidInput(f"The statement cannot be read: this character has no meaning in SQL.\n{marked(sql, start)}")


def _string_end(sql: str, start: int) -> int:
    match = _STRING.match(sql, start)
    if match is None:
        raise InvalidInput(f"The text that begins here does not end:\n{marked(sql, start)}")
    return match.end()


def _variable(sql: str, start: int) -> Token:
    position = start + (2 if sql.startswith("@@", start) else 1)
    if position < len(sql) and sql[position] in "'\"" and position == start + 1:
        return Token(Kind.VARIABLE, "@", start, _string_end(sql, position))
    match = _QUOTED_NAME.match(sql, position) or _VARIABLE.match(sql, position)
    if match is None:
        raise InvalidInput(f"The statement cannot be read: a variable's name is missing here.\n{marked(sql, start)}")
    return Token(Kind.VARIABLE, sql[start : match.end()].lower(), start, match.end())

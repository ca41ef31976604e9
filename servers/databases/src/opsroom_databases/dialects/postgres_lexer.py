"""Cuts text into the tokens that PostgreSQL's own scanner would see, and blanks its comments. Pure."""

import re
from collections.abc import Iterator

from opsroom_shared.errors import InvalidInput

from ..sql_position import marked
from .tokens import Kind, Piece, Scan, Token, ascii_lower

_NAME_BYTES = 63
"""The engine cuts longer names to this length, so a longer name is another way to write the shorter one."""

_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_LINE_COMMENT = re.compile(r"--[^\n\r]*")
_COMMENT_MARK = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
_QUOTED_NAME = re.compile(r'"((?:[^"]|"")*)"')
_TAG = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$")
_PARAMETER = re.compile(r"\$[0-9]+")
_NUMBER = re.compile(
    r"0[xX](?:_?[0-9A-Fa-f])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+"
    r"|(?:\d(?:_?\d)*(?:\.(?!\.)(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?",
    re.ASCII,
)
_OPERATOR = re.compile(r"[~!@#^&|`?+\-*/%<>=]+")
_MAY_END_IN_SIGN = frozenset("~!@#^&|`?%")
_PUNCTUATION = re.compile(r"::|\.\.|:=|[,()\[\].;:]")
# Both ends of a literal are found with these alone: in '…' a backslash is nothing special, in E'…' it hides what follows.
_PLAIN_STRING = re.compile(r"'(?:[^']|'')*'")
_ESCAPE_STRING = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL)
# A literal goes on behind a line end, in the way in which it began.
_CONTINUED = re.compile(r"(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*(?=')")
_PREFIX = re.compile(r"[eE](?=')|[bBxXnN](?=')|[uU]&(?=['\"])")


def scan(sql: str) -> Scan:
    """*sql* as tokens. Raises InvalidInput where the engine's scanner would fail, or where names are written in escapes."""
    return Scan.of(sql, _pieces(sql), line_ends="\n\r")


def _pieces(sql: str) -> Iterator[Piece]:
    """Where each token and each comment stands."""
    position = 0
    while position < len(sql):
        if match := _SPACE.match(sql, position):
            position = match.end()
            continue
        if match := _LINE_COMMENT.match(sql, position):
            end, token = match.end(), None
        elif sql.startswith("/*", position):
            end, token = _comment_end(sql, position), None
        else:
            token = _token(sql, position)
            end = token.end
        yield position, end, token
        position = end


def _comment_end(sql: str, start: int) -> int:
    """Behind the comment at *start*; comments stand inside comments."""
    depth = 0
    for match in _COMMENT_MARK.finditer(sql, start):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    raise InvalidInput(f"The comment that begins here does not end:\n{marked(sql, start)}")


def _token(sql: str, start: int) -> Token:
    if (match := _PREFIX.match(sql, start)) or sql[start] == "'":
        return _literal(sql, start, match[0] if match else "")
    if match := _WORD.match(sql, start):
        return Token(Kind.WORD, _cut(ascii_lower(match[0])), start, match.end())
    if sql[start] == '"':
        match = _QUOTED_NAME.match(sql, start)
        if match is None or match.end() - start == 2:
            raise InvalidInput(f"The quoted name that begins here does not end, or is empty:\n{marked(sql, start)}")
        return Token(Kind.NAME, _cut(match[1].replace('""', '"')), start, match.end())
    if match := _TAG.match(sql, start):
        end = sql.find(match[0], match.end())
        if end < 0:
            raise InvalidInput(f"The text that begins here does not end:\n{marked(sql, start)}")
        return Token(Kind.STRING, "", start, end + len(match[0]))
    for kind, pattern in ((Kind.PARAMETER, _PARAMETER), (Kind.NUMBER, _NUMBER), (Kind.PUNCTUATION, _PUNCTUATION)):
        if match := pattern.match(sql, start):
            return Token(kind, match[0], start, match.end())
    if match := _OPERATOR.match(sql, start):
        text = _operator(match[0])
        return Token(Kind.OPERATOR, text, start, start + len(text))
    raise InvalidInput(f"The statement cannot be read: this character has no meaning in SQL.\n{marked(sql, start)}")


def _literal(sql: str, start: int, prefix: str) -> Token:
    position = start + len(prefix)
    if sql[position] == '"':
        raise InvalidInput(f'A name in U&"…" is not read here. Write it with its own letters.\n{marked(sql, start)}')
    pattern = _ESCAPE_STRING if prefix in ("e", "E") else _PLAIN_STRING
    match = pattern.match(sql, position)
    while match:
        position = match.end()
        following = _CONTINUED.match(sql, position)
        if following is None:
            return Token(Kind.STRING, "", start, position)
        match = pattern.match(sql, following.end())
    raise InvalidInput(f"The text that begins here does not end:\n{marked(sql, start)}")


def _operator(run: str) -> str:
    """The operator at the start of *run*: comments begin inside it, and + or - ends only some operators."""
    comment = min((at for at in (run.find("--"), run.find("/*")) if at >= 0), default=len(run))
    text = run[:comment]
    while len(text) > 1 and text[-1] in "+-" and not _MAY_END_IN_SIGN.intersection(text[:-1]):
        text = text[:-1]
    return text


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_BYTES // 4 else name.encode()[:_NAME_BYTES].decode("utf-8", "ignore")

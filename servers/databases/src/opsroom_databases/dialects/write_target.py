"""Finds in the tokens of a statement that writes which relation it changes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput, NotPermitted

from ..sql_position import marked
from .tokens import Token


@dataclass(frozen=True)
class Target:
    """A relation as the statement names it."""

    schema: str | None
    name: str
    alias: str | None = None
    """What the statement calls it otherwise."""
    start: int = 0
    """Where its name stands in the statement."""
    end: int = 0
    """The index of the first token behind it."""

    @property
    def called(self) -> str:
        return self.alias or self.name


def behind_with(tokens: Sequence[Token], sql: str) -> int:
    """The index of the first token behind the common table expressions that a statement may begin with."""
    if not tokens[0].is_word("with"):
        return 0
    at = 2 if len(tokens) > 1 and tokens[1].is_word("recursive") else 1
    while True:
        at += 1  # its name
        if _is_mark(tokens, at, "("):
            at = behind_parentheses(tokens, at)
        if not _is_word(tokens, at, "as"):
            break
        at += 1
        while _is_word(tokens, at, "not", "materialized"):
            at += 1
        if not _is_mark(tokens, at, "("):
            break
        at = behind_parentheses(tokens, at)
        if not _is_mark(tokens, at, ","):
            if at < len(tokens):
                return at
            break
        at += 1
    place = tokens[min(at, len(tokens) - 1)].start
    raise InvalidInput(f"The common table expressions cannot be read from here:\n{marked(sql, place)}")


def target_at(tokens: Sequence[Token], index: int, sql: str) -> Target:
    """The relation `name` or `schema.name` that stands at *index*. Raises NotPermitted where there is none."""
    if index >= len(tokens) or not tokens[index].is_name:
        place = tokens[min(index, len(tokens) - 1)].start
        raise NotPermitted(f"The statement has to change one table, named plainly here:\n{marked(sql, place)}")
    parts = [tokens[index].text]
    end = index + 1
    while _is_mark(tokens, end, ".") and end + 1 < len(tokens) and tokens[end + 1].is_name:
        parts.append(tokens[end + 1].text)
        end += 2
    if len(parts) > 2:
        raise NotPermitted(f"A table is named as table or schema.table:\n{marked(sql, tokens[index].start)}")
    return Target(parts[0] if len(parts) == 2 else None, parts[-1], start=tokens[end - 1].start, end=end)


def behind_parentheses(tokens: Sequence[Token], index: int) -> int:
    """The index behind the parenthesis that closes the one at *index*."""
    depth = 0
    for at in range(index, len(tokens)):
        depth += tokens[at].is_mark("(") - tokens[at].is_mark(")")
        if depth == 0:
            return at + 1
    return len(tokens)


def _is_mark(tokens: Sequence[Token], index: int, mark: str) -> bool:
    return index < len(tokens) and tokens[index].is_mark(mark)


def _is_word(tokens: Sequence[Token], index: int, *words: str) -> bool:
    return index < len(tokens) and tokens[index].is_word(*words)

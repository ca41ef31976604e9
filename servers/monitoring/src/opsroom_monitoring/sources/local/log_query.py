"""What a search of local logs asks for: a selector and line filters as in LogQL, or plain words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput

from .matching import matches, parse_selector, pattern_test

_MAX_QUERY = 2_000
_MAX_FILTERS = 10
_SELECTOR = re.compile(r'\s*(\{(?:[^"{}`]|"(?:[^"\\]|\\.)*")*\})\s*')
_FILTER = re.compile(r'\s*(\|=|!=|\|~|!~)\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)\s*')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True)
class LineFilter:
    """Which labels and which lines are wanted."""

    wants_labels: Callable[[Mapping[str, str]], bool]
    tests: tuple[Callable[[str], bool], ...]

    def wants(self, line: str) -> bool:
        return all(test(line) for test in self.tests)


def parse_log_query(text: str) -> LineFilter:
    """`{service="checkout"} |= "timeout"`, or words that a line must contain. Raises InvalidInput."""
    if len(text) > _MAX_QUERY:
        raise InvalidInput(f"The query is longer than {_MAX_QUERY:,} characters.")
    if not text.lstrip().startswith("{"):
        return LineFilter(lambda _: True, tuple(_contains_word(word) for word in text.split()[:_MAX_FILTERS]))
    head = _SELECTOR.match(text)
    if head is None:
        raise InvalidInput(f'{text[:100]!r} has no end of its selector. Write {{service="checkout"}} |= "words".')
    inner = head[1][1:-1].strip()
    tests = parse_selector(head[1]).tests() if inner else ()
    filters: list[Callable[[str], bool]] = []
    position = head.end()
    while position < len(text):
        part = _FILTER.match(text, position)
        if part is None or len(filters) >= _MAX_FILTERS:
            raise InvalidInput(
                f'{text[position : position + 60]!r} is not understood by the local source, which takes |= "text", != "text", '
                '|~ "pattern" and !~ "pattern" after the selector. More of LogQL needs a Loki.'
            )
        words = part[3] if part[3] is not None else _ESCAPE.sub(r"\1" if part[1] in ("|=", "!=") else _kept, part[2])
        filters.append(_line_test(part[1], words))
        position = part.end()
    return LineFilter(lambda labels: matches(tests, labels), tuple(filters))


def _kept(found: re.Match[str]) -> str:
    r"""In a quoted pattern \\d stands for \d, and \" for a quote."""
    return found[1] if found[1] in '\\"' else found[0]


def _line_test(op: str, words: str) -> Callable[[str], bool]:
    if op in ("|=", "!="):
        return lambda line: (words in line) == (op == "|=")
    found = pattern_test(words)
    return lambda line: found(line) == (op == "|~")


def _contains_word(word: str) -> Callable[[str], bool]:
    folded = word.casefold()
    return lambda line: folded in line.casefold()

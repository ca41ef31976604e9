"""The stream selectors in a LogQL query: found and checked before anything is sent."""

import re
import warnings
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput

MAX_QUERY = 5_000

_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`')
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(\"(?:\\.|[^\"\\\n])*\"|`[^`]*`)\s*")
_EXAMPLE = 'Begin with a stream selector and narrow it with filters, such as {service="checkout"} |= "timeout".'


@dataclass(frozen=True)
class Parsed:
    """A query by its parts."""

    selectors: tuple[str, ...]
    """The stream selectors, `{…}` included."""
    counts: bool
    """Whether it makes numbers of lines, such as rate(…), rather than lines."""
    bare: bool
    """Whether it is one selector, without filters."""


def parse_logql(query: str) -> Parsed:
    """The parts of *query*. Raises InvalidInput for what Loki would refuse, or would read everything for."""
    text = query.strip()
    if len(text) > MAX_QUERY:
        raise InvalidInput(f"The query has {len(text):,} characters; at most {MAX_QUERY:,} are sent.")
    found = _selectors(text)
    if not found:
        raise InvalidInput(f"The query has no stream selector. {_EXAMPLE}")
    for selector in found:
        _check(selector)
    return Parsed(tuple(found), counts=not text.startswith("{"), bare=text == found[0])


def _selectors(text: str) -> list[str]:
    """Every `{…}` outside of strings and comments."""
    found: list[str] = []
    at, opened = 0, -1
    while at < len(text):
        character = text[at]
        if character in '"`':
            string = _STRING.match(text, at)
            if string is None:
                raise InvalidInput(f"The text that begins at character {at + 1} of the query has no end. {_EXAMPLE}")
            at = string.end()
            continue
        if character == "#" and opened < 0:
            line_end = text.find("\n", at)
            at = len(text) if line_end < 0 else line_end
            continue
        if character == "{":
            if opened >= 0:
                raise InvalidInput(f"There is a {{ inside of a selector, at character {at + 1}. {_EXAMPLE}")
            opened = at
        elif character == "}":
            if opened < 0:
                raise InvalidInput(f"There is a }} without a {{, at character {at + 1}. {_EXAMPLE}")
            found.append(text[opened : at + 1])
            opened = -1
        at += 1
    if opened >= 0:
        raise InvalidInput(f"The selector that begins at character {opened + 1} has no }}. {_EXAMPLE}")
    return found


def _check(selector: str) -> None:
    body = selector[1:-1]
    at, narrows = 0, False
    while body.strip():
        matcher = _MATCHER.match(body, at)
        if matcher is None:
            raise InvalidInput(f'In {selector[:200]}: expected label="value", with =, !=, =~ or !~, at character {at + 2}.')
        narrows = narrows or _needs_a_value(matcher[2], matcher[3])
        at = matcher.end()
        if at == len(body):
            break
        if body[at] != ",":
            raise InvalidInput(f"In {selector[:200]}: expected a comma between two matchers, at character {at + 2}.")
        at += 1
    if not narrows:
        raise InvalidInput(
            f"{selector[:200]} matches every stream: Loki wants one with = or =~ that an empty value does not fit. {_EXAMPLE}"
        )


def _needs_a_value(operator: str, quoted: str) -> bool:
    """Whether the matcher is one that streams without the label do not fit: what Loki asks of one matcher at least."""
    value = quoted[1:-1]
    if operator == "=":
        return value != ""
    if operator != "=~":
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of forms that may mean something else in a later Python
            return re.fullmatch(value, "") is None
    except (re.error, RecursionError, OverflowError):
        return True  # RE2 knows forms that Python does not: Loki decides

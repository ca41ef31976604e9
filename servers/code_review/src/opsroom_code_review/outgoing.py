"""Words that would act on the system they are sent to, such as mentions and commands, made inert so that they still read.

A word in a code span acts nowhere, so that is where it goes. Where a span could be torn by other marks of its paragraph (a lone
backtick, a backslash, HTML, a link) a space goes into the word instead: it cannot act either, whatever those marks mean.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import pairwise

from .models import ProviderKind

_MENTION = r"(?<![A-Za-z0-9])(@[A-Za-z0-9_](?:[A-Za-z0-9_./@-]*[A-Za-z0-9_])?)"
_COMMAND = r"^[ \t]*(/[a-z][a-z_-]*)"
_ENTITY = r"(&(?:#[0-9]{1,9}|#[xX][0-9a-fA-F]{1,9}|commat|num|excl|sol);?)"  # it would become one of the signs
_CLOSED_URL = (
    r"\b(?:clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?)\b:?\s{1,8}"
    r"(?:issues?\s{1,8})?(https?://[^\s<>()\[\]`]+)"
)
_FORGE = (_ENTITY, _CLOSED_URL, _MENTION, _COMMAND)

_PATTERNS: Mapping[ProviderKind, tuple[str, ...]] = {
    "phabricator": (
        _MENTION,
        r"(?<!\w)((?-i:[A-Z])\d{1,12})(?!\w)",  # T4, D5; "Fixes T1" closes a task because of the T1 in it
        r"(?<!\w)(#[a-z](?:[\w.-]*\w)?)",
        r"(?<!\w)((?-i:r[A-Z]*[0-9a-f]{7,40}))(?!\w)",
        r"^[ \t]*(![a-z]+)",
    ),
    "github": (*_FORGE, r"(#\d{1,12})(?!\w)", r"(?<!\w)(gh-\d{1,12})(?!\w)"),
    "gitlab": (*_FORGE, r"([#!&]\d{1,12})(?!\w)"),
    "local": (),
}
_ACTING = {
    kind: tuple(re.compile(pattern, re.ASCII | re.MULTILINE | re.IGNORECASE) for pattern in patterns)
    for kind, patterns in _PATTERNS.items()
}

_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_SPAN = re.compile(r"(?<![\w`\\])`[^`\n]+`(?![\w`])")
_WHOLE_LINK = re.compile(r"\]\([^\s()<>\"'`]*\)")
_TEARS_SPANS = re.compile(r"[`\\]|<[A-Za-z!/?]|\]\(|\]:|##|%%%|\{|\[\[")
_HTML_BLOCK = re.compile(r"^[ \t>*+-]*<[A-Za-z!/?]", re.MULTILINE)
_FENCE = re.compile(r"```[\w+.-]{0,30} *")
_HEAD = re.compile(r"@|[a-z]+:(?=//)|gh-|r[A-Z]*(?=[0-9a-f])|[A-Z]|[#!&/]", re.IGNORECASE)


def neutralised(text: str, kind: ProviderKind) -> str:
    """*text* with nothing in it that acts on a system of this *kind*. What stands in code stays as it is."""
    if not _ACTING[kind]:
        return text
    blocks = list(_blocks(_LINES.findall(text.replace("\r\n", "\n").replace("\r", "\n"))))
    # within HTML neither fences nor spans are what they look like
    plain = not any(_HTML_BLOCK.search(block) for block, is_code in blocks if not is_code)
    return "".join(block if is_code and plain else _inert(block, kind, spans=plain) for block, is_code in blocks)


def _blocks(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """The paragraphs and code blocks of a text, and whether each is code: so that every dialect of Markdown agrees on it."""
    ticks = [at for at, line in enumerate(lines) if "```" in line]
    closing = {at: then for at, then in pairwise(ticks) if lines[then].rstrip() == "```"}
    begun = at = 0
    while at < len(lines):
        blank = not lines[at].strip()
        if at in closing and _FENCE.fullmatch(lines[at].rstrip("\n")) and (at == 0 or not lines[at - 1].strip()):
            yield "".join(lines[begun:at]), False
            begun, at = at, closing[at] + 1
            yield "".join(lines[begun:at]), True
            begun = at
            continue
        at += 1
        if blank:
            yield "".join(lines[begun:at]), False
            begun = at
    yield "".join(lines[begun:]), False


def _inert(paragraph: str, kind: ProviderKind, *, spans: bool) -> str:
    for pattern in _ACTING[kind]:
        code = [match.span() for match in _SPAN.finditer(paragraph)]
        spans = spans and not _TEARS_SPANS.search(_WHOLE_LINK.sub("", _SPAN.sub(" ", paragraph)))
        paragraph = _without(pattern, paragraph, code if spans else [], spans=spans)
    return paragraph


def _without(pattern: re.Pattern[str], paragraph: str, code: list[tuple[int, int]], *, spans: bool) -> str:
    def replaced(match: re.Match[str]) -> str:
        start, end = match.span(1)
        at = bisect_right(code, (start, len(paragraph)))
        if at and start < code[at - 1][1]:
            return match[0]
        before, after = paragraph[start - 1 : start], paragraph[end : end + 1]
        word = f"`{match[1]}`" if spans and not (_touches(before) or _touches(after)) else _parted(match[1])
        return paragraph[match.start() : start] + word

    return pattern.sub(replaced, paragraph)


def _touches(neighbour: str) -> bool:
    """Whether a code span next to this character is none, or gives it a new meaning."""
    return neighbour.isalnum() or neighbour in ("_", "`", "\\", "@", "#", "!", "&")


def _parted(word: str) -> str:
    head = _HEAD.match(word)
    end = head.end() if head else 1
    return f"{word[:end]} {word[end:]}"

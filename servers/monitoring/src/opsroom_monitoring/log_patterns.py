"""Mines patterns from log lines: what many lines have in common, how often, and one of them as an example."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact

from .models import LogLine, LogPattern

WILDCARD = "<_>"

MAX_LINE = 2_000
"""Characters of a line that are looked at."""
MAX_TOKENS = 64
MAX_SHAPES = 5_000
"""Different lines, apart from what is masked in them, that are told apart. The lines of further ones are counted together."""
MAX_IN_LEAF = 40
_MAX_TEXT = 300

_TOKEN = re.compile(r"(\s*)([^\s,;]+[,;]*|[,;]+)")
# a maximal run of what numbers, times, addresses, ids and sizes are made of, with a digit in it
_VARIABLE = re.compile(r"[A-Za-z_.:+-]{0,100}[0-9][\w.:+-]*")
_HEX = re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{8,}\b|\b[a-f]{12,}\b", re.IGNORECASE)
_SEVERITY = re.compile(
    r"\W*(?:(?:level|lvl|severity|loglevel)\W{1,4})?(fatal|critical|panic|error|err|warning|warn|notice|info|debug|trace)\W*",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\W*(?:http_?)?(?:status|code|status_?code)\W{1,4}([1-5][0-9][0-9])\W*", re.IGNORECASE)
_BARE_STATUS = re.compile(r"[1-5][0-9][0-9],?")
_PROTOCOL = re.compile(r"HTTP/[0-9.]{1,4}\"?$")

Tokens = tuple[str, ...]
"""Each with the space before it, so that joined they read as the line did."""


def mined(lines: Iterable[LogLine], most: int = 100) -> list[LogPattern]:
    """The patterns of *lines*, the most frequent first. Those beyond *most* are counted together, as `<_>`.

    Every line counts in exactly one pattern, and the order of the lines plays no part while there are up to MAX_SHAPES shapes.
    """
    miner = Miner()
    for line in lines:
        miner.add(line)
    return miner.patterns(most)


@dataclass
class _Tally:
    """How often, from when to when, and the newest line."""

    count: int = 0
    example: str = ""
    first: datetime | None = None
    last: datetime | None = None

    def add(self, other: "_Tally") -> None:
        self.count += other.count
        if not self.example or _newness(other) > _newness(self):
            self.example = other.example
        moments = [each for each in (self.first, other.first) if each is not None]
        self.first = min(moments, default=None)
        moments = [each for each in (self.last, other.last) if each is not None]
        self.last = max(moments, default=None)


@dataclass
class _Cluster:
    tokens: Tokens
    tally: _Tally = field(default_factory=_Tally)


@dataclass(frozen=True, order=True)
class _Shape:
    """A line without what differs from one to the next. *anchors*, its severity and status, must be equal within a pattern."""

    anchors: Tokens
    tokens: Tokens


class Miner:
    """A small Drain: a tree of fixed depth, by severity and status, then by number of tokens; a leaf holds patterns.

    Lines are first counted by their shape, so that the frequent ones found the patterns that others join.
    """

    def __init__(self) -> None:
        self.comparisons = 0
        """Of a shape with a pattern: at most MAX_IN_LEAF for each different shape, however many lines there are."""
        self._shapes: dict[_Shape, _Tally] = {}
        self._rest = _Tally()

    def add(self, line: LogLine) -> None:
        text = redact(clean(line.text, MAX_LINE)).strip()
        shape = _shape(text)
        tally = self._shapes.get(shape)
        if tally is None and len(self._shapes) >= MAX_SHAPES:
            tally = self._rest
        elif tally is None:
            tally = self._shapes[shape] = _Tally()
        tally.add(_Tally(1, clean(text, _MAX_TEXT), line.at, line.at))

    def patterns(self, most: int) -> list[LogPattern]:
        tree: dict[tuple[Tokens, int], list[_Cluster]] = {}
        rest = _Tally()
        rest.add(self._rest)
        for shape, tally in sorted(self._shapes.items(), key=lambda each: (-each[1].count, each[0])):
            leaf = tree.setdefault((shape.anchors, len(shape.tokens)), [])
            cluster = self._similar(leaf, shape.tokens)
            if cluster is not None:
                cluster.tokens = _common(cluster.tokens, shape.tokens)
                cluster.tally.add(tally)
            elif len(leaf) < MAX_IN_LEAF:
                leaf.append(_Cluster(shape.tokens, tally))
            else:
                rest.add(tally)
        found: dict[str, _Tally] = {}
        for cluster in (each for leaf in tree.values() for each in leaf):
            found.setdefault(_text(cluster.tokens), _Tally()).add(cluster.tally)
        if rest.count:
            found.setdefault(WILDCARD, _Tally()).add(rest)
        return _listed(found, max(most, 1))

    def _similar(self, leaf: list[_Cluster], tokens: Tokens) -> _Cluster | None:
        """The pattern with which two of three fixed words are shared, or more; the closest one."""
        constant = sum(WILDCARD not in token for token in tokens)
        best, closest = None, 0.0
        for cluster in leaf:
            self.comparisons += 1
            same = sum(one == other and WILDCARD not in one for one, other in zip(cluster.tokens, tokens, strict=True))
            fixed = max(constant, sum(WILDCARD not in token for token in cluster.tokens))
            # where nothing is fixed, what is left (brackets, keys) has to be the same
            share = same / fixed if fixed else float(cluster.tokens == tokens)
            if share * 3 >= 2 and share > closest:
                best, closest = cluster, share
        return best


def _shape(text: str) -> _Shape:
    tokens: list[str] = []
    severity, status = "", ""
    before = ""
    for found in _TOKEN.finditer(text):
        if len(tokens) == MAX_TOKENS:
            tokens.append(f" {WILDCARD}")
            break
        space, word = " " if found[1] and tokens else "", found[2]
        named = _STATUS.fullmatch(word)
        if not severity and (level := _SEVERITY.fullmatch(word)):
            severity = level[1].lower()
        if not status and (named or (_BARE_STATUS.fullmatch(word) and _PROTOCOL.search(before))):
            status = named[1] if named else word.rstrip(",")
        else:
            word = _VARIABLE.sub(_masked, _HEX.sub(WILDCARD, word))
        tokens.append(space + word)
        before = found[2]
    return _Shape((severity, status), tuple(tokens))


def _masked(found: re.Match[str]) -> str:
    """A run without its punctuation at the ends, which belongs to the text around it."""
    run = found[0]
    bare = run.rstrip(".:+-")
    start = len(run) - len(run.lstrip(".:"))
    return run[:start] + WILDCARD + run[len(bare) :]


def _common(one: Tokens, other: Tokens) -> Tokens:
    return tuple(a if a == b else _generalised(a, b) for a, b in zip(one, other, strict=True))


def _generalised(one: str, other: str) -> str:
    """What two different words share: the key of a value, or the quotes and commas around it."""
    space = " " if one.startswith(" ") or other.startswith(" ") else ""
    one, other = one.strip(), other.strip()
    tail = _shared(_closing(one)[::-1], _closing(other)[::-1])[::-1]
    for sign in ("=", ":"):
        key, found, _ = one.partition(sign)
        if found and key and WILDCARD not in key and other.startswith(key + sign):
            return f"{space}{key}{sign}{WILDCARD}{tail}"
    return f"{space}{WILDCARD}{tail}"


def _closing(word: str) -> str:
    """The punctuation at the end of *word*."""
    if word.endswith(WILDCARD):
        return ""
    return word[len(word.rstrip("\"',;)]}")) :]


def _shared(one: str, other: str) -> str:
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _text(tokens: Tokens) -> str:
    """The pattern, with a run of placeholders shown as one."""
    text = re.sub(rf"{WILDCARD}(?: ?{WILDCARD})+", WILDCARD, "".join(tokens).strip())
    return clean(text, _MAX_TEXT) or WILDCARD


def _listed(found: dict[str, _Tally], most: int) -> list[LogPattern]:
    ranked = sorted(found.items(), key=lambda each: (-each[1].count, each[0]))
    if len(ranked) > most:
        kept = [each for each in ranked if each[0] != WILDCARD][: most - 1]
        names = {name for name, _ in kept}
        rest = _Tally()
        for name, tally in ranked:
            if name not in names:
                rest.add(tally)
        ranked = [*kept, (WILDCARD, rest)]
    return [
        LogPattern(pattern=pattern, count=tally.count, example=tally.example, first=tally.first, last=tally.last)
        for pattern, tally in ranked
    ]


def _newness(tally: _Tally) -> tuple[float, str]:
    return (tally.last.timestamp() if tally.last else 0.0), tally.example

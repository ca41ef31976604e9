"""Reads the text that `/metrics` answers with, bounded: what is too much or broken is left out and counted."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from opsroom_shared.outside import clean

MAX_SAMPLES = 5_000
MAX_LINE = 8_000
MAX_LABELS = 30
MAX_VALUE = 400
_MAX_HELP = 300

LabelSet: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted by name."""

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}"
_SAMPLE = re.compile(rf"({_NAME})[ \t]*(?:\{{(.*)\}})?[ \t]*([^\s{{}}]+)(?:[ \t]+[-+0-9.eE]+)?(?:[ \t]+#.*)?[ \t]*")
_LABEL = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]{0,99})[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|\Z)')
_ESCAPE = re.compile(r"\\(.)")
_PLAIN: Mapping[str, str] = {"n": "\n", "\\": "\\", '"': '"'}
_COMMENT = re.compile(rf"#[ \t]+(HELP|TYPE|UNIT)[ \t]+({_NAME})[ \t]+(.*)")
_TYPES = {"counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram"}
_FLOAT = re.compile(r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|inf(?:inity)?|nan)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exposed:
    """One sample. A time that stands beside it is not taken: it is from now."""

    name: str
    labels: LabelSet
    value: float


@dataclass
class Description:
    """What is said about a metric beside its samples."""

    type: str | None = None
    help: str | None = None
    unit: str | None = None


@dataclass
class Exposition:
    samples: list[Exposed] = field(default_factory=list[Exposed])
    about: dict[str, Description] = field(default_factory=dict[str, Description])
    broken: int = 0
    """Lines that are no sample, or one of a size that is not taken."""
    left_out: int = 0
    """Samples beyond the number that is taken."""


def parse_exposition(text: str) -> Exposition:
    """The samples in *text*, in the text format of Prometheus or OpenMetrics. A series that stands twice counts once."""
    found = Exposition()
    seen: set[tuple[str, LabelSet]] = set()
    for line in text.split("\n"):
        stripped = line.strip(" \t\r")
        if not stripped:
            continue
        if len(stripped) > MAX_LINE:
            found.broken += 1
        elif stripped.startswith("#"):
            _describe(found, stripped)
        elif (sample := _sample(stripped)) is None:
            found.broken += 1
        elif len(found.samples) >= MAX_SAMPLES:
            found.left_out += 1
        elif (key := (sample.name, sample.labels)) not in seen:
            seen.add(key)
            found.samples.append(sample)
    return found


def _describe(found: Exposition, line: str) -> None:
    comment = _COMMENT.fullmatch(line)
    if comment is None or (comment[2] not in found.about and len(found.about) >= MAX_SAMPLES):
        return
    about, text = found.about.setdefault(comment[2], Description()), comment[3].strip()
    if comment[1] == "HELP":
        about.help = clean(_unescaped(text), _MAX_HELP)
    elif comment[1] == "UNIT":
        about.unit = clean(text, 40)
    elif text in _TYPES:
        about.type = text


def _sample(line: str) -> Exposed | None:
    parts = _SAMPLE.fullmatch(line)
    if parts is None or not _FLOAT.fullmatch(parts[3]):
        return None
    labels = _labels(parts[2] or "")
    return None if labels is None else Exposed(parts[1], labels, float(parts[3]))


def _labels(text: str) -> LabelSet | None:
    found: dict[str, str] = {}
    position, text = 0, text.rstrip(" \t")
    while position < len(text):
        label = _LABEL.match(text, position)
        if label is None or label[1] in found or len(found) >= MAX_LABELS or len(label[2]) > MAX_VALUE:
            return None
        found[label[1]] = clean(_unescaped(label[2]))
        position = label.end()
    # a label without a value is none
    return tuple(sorted((name, value) for name, value in found.items() if value))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _PLAIN.get(found[1], found[0]), text) if "\\" in text else text

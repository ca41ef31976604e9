"""Which of the connected tools an agent sees for one task: its pins, then the most relevant, three to five in all."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from ..agents.definition import AgentDefinition
from .words import SHAPES, SYNONYMS, stem, tokens

MIN_TOOLS = 3
TASK_CHARS = 4_000
"""The part of a task that is read: a pasted log does not say what to do."""

NAME_WEIGHT: Final = 3.0
PARAMETER_WEIGHT: Final = 0.5
SYNONYM_WEIGHT: Final = 0.7


@dataclass(frozen=True)
class CatalogueTool:
    """A tool of a connected server, as its `tools/list` describes it."""

    name: str
    server: str
    description: str
    input_schema: Mapping[str, object]
    read_only: bool
    destructive: bool
    idempotent: bool


@dataclass(frozen=True)
class Subset:
    """The tools for one task, best first. `names` are what a model calls them; `why` gives each name's reason for the trace."""

    tools: tuple[CatalogueTool, ...]
    names: tuple[str, ...]
    why: dict[str, str]

    def find(self, name: str) -> CatalogueTool | None:
        """The tool that the model calls *name*; None when it was not shown."""
        return dict(zip(self.names, self.tools, strict=True)).get(name)


def subset(definition: AgentDefinition, task_text: str, tools: Iterable[CatalogueTool]) -> Subset:
    """Three to `definition.max_tools` of *tools* for the task, fewer only where there are fewer.

    The same tools in any order give the same subset. A tool that writes is shown only when it is pinned or relevant, except
    where fewer than three others exist.
    """
    named = qualified(tools)
    scores = _relevance(task_text, tuple(named.values()))
    ranked = sorted(named, key=lambda name: (-scores[name_of(named[name])].total, not named[name].read_only, name))
    why: dict[str, str] = {}
    for pin in definition.pins:
        name = next((name for name in ranked if named[name].name == pin and name not in why), None)
        if name and len(why) < definition.max_tools:
            why[name] = "pinned"
    for name in ranked:
        found = scores[name_of(named[name])]
        if name not in why and found.total > 0 and len(why) < definition.max_tools:
            why[name] = f"matches {', '.join(found.words)}"
    for read_only in (True, False):
        for name in ranked:
            if name not in why and named[name].read_only is read_only and len(why) < MIN_TOOLS:
                why[name] = "fills up"
    return Subset(tuple(named[name] for name in why), tuple(why), why)


def qualified(tools: Iterable[CatalogueTool]) -> dict[str, CatalogueTool]:
    """*tools* by the name that a model may call each: its own, or SERVER__NAME where several servers have it.

    A tool that its server lists twice counts once.
    """
    distinct: dict[tuple[str, str], CatalogueTool] = {}
    for tool in sorted(tools, key=_order):
        distinct.setdefault(name_of(tool), tool)
    taken = Counter(_callable(tool.name) for tool in distinct.values())
    named: dict[str, CatalogueTool] = {}
    for tool in distinct.values():
        name = _callable(tool.name)
        if taken[name] > 1:
            name = _callable(f"{tool.server}__{tool.name}")
        candidate, number = name, 2
        while candidate in named or (candidate != _callable(tool.name) and candidate in taken):
            candidate, number = f"{name[:120]}_{number}", number + 1
        named[candidate] = tool
    return named


def name_of(tool: CatalogueTool) -> tuple[str, str]:
    return (tool.server, tool.name)


def _order(tool: CatalogueTool) -> tuple[str, ...]:
    return (tool.server, tool.name, tool.description, json.dumps(tool.input_schema, sort_keys=True, default=str))


def _callable(name: str) -> str:
    # a model's tool names are narrower than MCP's
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:128] or "tool"


@dataclass(frozen=True)
class _Match:
    total: float
    words: tuple[str, ...]
    """The words of the task that counted most."""


def _relevance(task: str, tools: Sequence[CatalogueTool]) -> dict[tuple[str, str], _Match]:
    """BM25 of the task's words over the tools' names, descriptions and parameters."""
    asked = _asked(task[:TASK_CHARS])
    documents = {name_of(tool): _document(tool) for tool in tools}
    average = sum(sum(words.values()) for words in documents.values()) / max(len(documents), 1)
    spread = Counter(word for words in documents.values() for word in words)
    return {key: _bm25(asked, words, spread, len(documents), average) for key, words in documents.items()}


def _bm25(
    asked: Mapping[str, tuple[float, str]], words: Mapping[str, float], spread: Mapping[str, int], count: int, average: float
) -> _Match:
    length = sum(words.values())
    parts: defaultdict[str, float] = defaultdict(float)
    for word, (weight, said) in asked.items():
        if often := words.get(word, 0.0):
            rarity = math.log(1 + (count - spread[word] + 0.5) / (spread[word] + 0.5))
            parts[said] += weight * rarity * often * 2.2 / (often + 1.2 * (0.4 + 0.6 * length / average))
    best = sorted(parts, key=lambda said: (-parts[said], said))[:3]
    return _Match(round(math.fsum(parts.values()), 9), tuple(best))


def _asked(task: str) -> dict[str, tuple[float, str]]:
    """Stem → its weight and the word of the task that it comes from."""
    asked: dict[str, tuple[float, str]] = {}
    said = [
        *((word, word) for word in tokens(task)),
        *((word, f"a {shape}") for shape, form, words in SHAPES if form.search(task) for word in words),
    ]
    for word, origin in said:
        asked.setdefault(stem(word), (1.0, origin))
    for word, origin in said:
        for other in SYNONYMS.get(stem(word), ()):
            asked.setdefault(other, (SYNONYM_WEIGHT, origin))
    return asked


def _document(tool: CatalogueTool) -> dict[str, float]:
    words: defaultdict[str, float] = defaultdict(float)
    for text, weight in ((tool.name, NAME_WEIGHT), (tool.description, 1.0), (_parameters(tool.input_schema), PARAMETER_WEIGHT)):
        for word in tokens(text):
            words[stem(word)] += weight
    return dict(words)


def _parameters(schema: Mapping[str, object]) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return ""
    texts: list[str] = []
    for name, part in cast("Mapping[str, object]", properties).items():
        texts.append(name)
        if isinstance(part, Mapping):
            described = cast("Mapping[str, object]", part)
            texts.append(str(described.get("description", "")))
            texts.extend(str(choice) for choice in cast("Iterable[object]", described.get("enum") or ()))
    return " ".join(texts)

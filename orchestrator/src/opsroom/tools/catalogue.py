"""Which of the connected tools an agent sees for one task: its pins, then the most relevant, three to five in all."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from ..agents.definition import AgentDefinition
from .words import SHAPES, SYNONYMS, Phrase, is_question, stem, tokens

MIN_TOOLS = 3
TASK_CHARS = 4_000
"""The part of a task that is read: a pasted log does not say what to do."""
TOOL_CHARS = 4_000
"""The part of a tool's description, and of its parameters, that counts: a server's long text does not make it relevant."""

NAME_WEIGHT: Final = 3.0
PARAMETER_WEIGHT: Final = 0.5
SYNONYM_WEIGHT: Final = 0.6
WRITE_IN_QUESTION: Final = 0.5
"""A question seldom needs a tool that writes."""


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

    The same tools in any order give the same subset. A tool that writes is shown when it is pinned or relevant, and the likeliest
    one when the task does not read as a question; otherwise only where fewer than three others exist.
    """
    task = task_text[:TASK_CHARS]
    named = qualified(tools)
    documents = {name: _document(tool) for name, tool in named.items()}
    asked = _relevance(task, documents)
    usual = _relevance(" ".join((definition.description, *definition.examples)), documents)
    question = is_question(task)

    def fit(name: str) -> float:
        return asked[name].total * (WRITE_IN_QUESTION if question and not named[name].read_only else 1)

    ranked = sorted(named, key=lambda name: (-fit(name), -usual[name].total, not named[name].read_only, name))
    why: dict[str, str] = {}

    def add(names: Iterable[str], reason: Callable[[str], str], upto: int) -> None:
        for name in names:
            if name not in why and len(why) < upto:
                why[name] = reason(name)

    for pin in definition.pins:
        add([name for name in ranked if named[name].name == pin][:1], lambda _: "pinned", definition.max_tools)
    add(
        [name for name in ranked if asked[name].total > 0],
        lambda name: f"matches {', '.join(asked[name].words)}",
        definition.max_tools,
    )
    writes = [name for name in ranked if not named[name].read_only]
    if not question and not why.keys() & set(writes):
        add(writes[:1], lambda _: "the task may ask for a change", definition.max_tools)
    add(
        [name for name in ranked if named[name].read_only],
        lambda name: "fits what this agent is often asked" if usual[name].total > 0 else "there is room for it",
        definition.max_tools,
    )
    add(writes, lambda _: "nothing else is connected", MIN_TOOLS)
    return Subset(tuple(named[name] for name in why), tuple(why), why)


def qualified(tools: Iterable[CatalogueTool]) -> dict[str, CatalogueTool]:
    """*tools* by the name that a model may call each: its own, or SERVER__NAME where several servers have it.

    A tool that its server lists twice counts once.
    """
    distinct: dict[tuple[str, str], CatalogueTool] = {}
    for tool in sorted(tools, key=_order):
        distinct.setdefault(_key(tool), tool)
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


def _key(tool: CatalogueTool) -> tuple[str, str]:
    return (tool.server, tool.name)


def _order(tool: CatalogueTool) -> tuple[str | bool, ...]:
    schema = json.dumps(tool.input_schema, sort_keys=True, default=str)
    return (tool.server, tool.name, tool.description, schema, tool.read_only, tool.destructive, tool.idempotent)


def _callable(name: str) -> str:
    # a model's tool names are narrower than MCP's
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:128] or "tool"


@dataclass(frozen=True)
class _Match:
    total: float
    words: tuple[str, ...]
    """What in the task counted most."""


@dataclass(frozen=True)
class _Said:
    """A word or a form in the task, with what it may mean."""

    origin: str
    meanings: tuple[tuple[float, Phrase], ...]


def _relevance(task: str, documents: Mapping[str, Mapping[str, float]]) -> dict[str, _Match]:
    """BM25 of what the task says over the tools' names, descriptions and parameters."""
    said = _said(task)
    average = math.fsum(math.fsum(words.values()) for words in documents.values()) / max(len(documents), 1)
    spread = Counter(word for words in documents.values() for word in words)
    rarity = {word: math.log(1 + (len(documents) - often + 0.5) / (often + 0.5)) for word, often in spread.items()}
    return {name: _match(said, _weights(words, rarity, average)) for name, words in documents.items()}


def _weights(words: Mapping[str, float], rarity: Mapping[str, float], average: float) -> dict[str, float]:
    long = math.fsum(words.values()) / (average or 1)
    return {word: rarity[word] * often * 2.2 / (often + 1.2 * (0.4 + 0.6 * long)) for word, often in words.items()}


def _match(said: Sequence[_Said], weights: Mapping[str, float]) -> _Match:
    """The best meaning of each thing said counts, once; a phrase means a tool only if the tool has all of it."""
    counted: dict[str, float] = {}
    for thing in said:
        fits = [
            weight * math.fsum(weights[word] for word in phrase)
            for weight, phrase in thing.meanings
            if weights.keys() >= {*phrase}
        ]
        if fits:
            counted[thing.origin] = max(fits)
    best = sorted(counted, key=lambda origin: (-counted[origin], origin))[:3]
    return _Match(round(math.fsum(counted.values()), 9), tuple(best))


def _said(task: str) -> list[_Said]:
    words: dict[str, str] = {}
    for word in tokens(task):
        words.setdefault(stem(word), word)
    said = [
        _Said(word, ((1.0, (root,)), *((SYNONYM_WEIGHT, phrase) for phrase in SYNONYMS.get(root, ()))))
        for root, word in words.items()
    ]
    return said + [
        _Said(f"a {form}", tuple((1.0, phrase) for phrase in meant)) for form, shape, meant in SHAPES if shape.search(task)
    ]


def _document(tool: CatalogueTool) -> dict[str, float]:
    words: defaultdict[str, float] = defaultdict(float)
    for text, weight in ((tool.name, NAME_WEIGHT), (tool.description, 1.0), (_parameters(tool.input_schema), PARAMETER_WEIGHT)):
        for word in tokens(text[:TOOL_CHARS], keep_empty=weight == NAME_WEIGHT):
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
            choices = described.get("enum")
            texts.append(str(described.get("description", "")))
            texts.extend(map(str, cast("list[object]", choices) if isinstance(choices, list) else ()))
    return " ".join(texts)

"""Reads the plan that DuckDB gives as JSON, and marks the steps that cost most. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from opsroom_shared.outside import clean

from .models import PlanStep

Node: TypeAlias = Mapping[str, object]

_MAX_STEPS = 200
_DEEPEST = 100
_MAX_NOTE = 200
_LARGE = 100_000
_SHOWN = ("Table", "Filters", "Conditions", "Join Type", "Groups", "Order By", "Top", "Expression")
_JOINS_ALL = ("CROSS_PRODUCT", "NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN")


def plan_steps(document: str) -> list[PlanStep]:
    found: list[PlanStep] = []
    for root in cast("Sequence[Node]", json.loads(document)):
        _add(root, 0, found)
    return found


def _add(node: Node, depth: int, found: list[PlanStep]) -> None:
    if len(found) >= _MAX_STEPS or depth > _DEEPEST:
        return
    name = str(node.get("name", "")).strip()
    about = cast("Node", node.get("extra_info") or {})
    notes = [f"{key.lower()}: {_words(about[key])}" for key in _SHOWN if key in about]
    rows = str(about.get("Estimated Cardinality", ""))
    if rows.isdecimal():
        notes.append(f"about {int(rows):,} rows")
    large = rows.isdecimal() and int(rows) >= _LARGE
    costly = name in _JOINS_ALL or (large and (name.endswith("SCAN") or name in ("ORDER_BY", "WINDOW")))
    found.append(PlanStep(depth=depth, operation=clean(name, 80), note=clean("; ".join(notes), _MAX_NOTE) or None, costly=costly))
    for child in cast("Sequence[Node]", node.get("children") or ()):
        _add(child, depth + 1, found)


def _words(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)

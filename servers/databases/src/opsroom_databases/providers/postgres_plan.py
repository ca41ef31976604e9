"""Reads the plan that PostgreSQL gives as JSON, and marks the steps that cost most. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ..cells import text
from ..models import PlanStep

Node: TypeAlias = Mapping[str, object]

_MAX_TEXT = 200
_MAX_STEPS = 300
_SHARE = 0.3
_WORTH_COST, _WORTH_MS = 500.0, 5.0
"""Below it no step is worth a word, whatever its share."""
_WRONG_BY = 10
_CONDITIONS = (
    "Index Cond",
    "Recheck Cond",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "Filter",
    "Sort Key",
    "Group Key",
    "Function Call",
)


@dataclass(frozen=True)
class Scan:
    """A table that the plan reads from end to end, and what it keeps of it."""

    schema: str
    table: str
    alias: str
    rows: float
    """How many rows are kept, as estimated."""
    filtered: bool


@dataclass(frozen=True)
class Plan:
    steps: list[PlanStep]
    cost: float
    scans: list[Scan]
    rows: int | None
    elapsed_ms: float | None


@dataclass
class _Step:
    node: Node
    depth: int
    total: float
    """Its own cost with that of the steps below it, or their time where the query was run."""
    alone: float = 0.0
    below: list["_Step"] = field(default_factory=list["_Step"])


def read_plan(raw: str) -> Plan:
    """The plan in the one cell of EXPLAIN (FORMAT JSON)."""
    explained = cast("Sequence[Node]", json.loads(raw))[0]
    root = cast("Node", explained["Plan"])
    elapsed = explained.get("Execution Time")
    ran = elapsed is not None
    tree = _step(root, 0, _total(root, ran=ran), ran=ran)
    listed = [each for each, _ in zip(_flat(tree), range(_MAX_STEPS), strict=False)]
    return Plan(
        steps=[_shown(each, tree.total, ran=ran) for each in listed],
        cost=_number(root, "Total Cost"),
        scans=[_scan(each.node) for each in listed if each.node.get("Node Type") == "Seq Scan"],
        rows=round(_number(root, "Actual Rows")) if ran else None,
        elapsed_ms=round(float(cast("float", elapsed)), 3) if ran else None,
    )


def _step(node: Node, depth: int, total: float, *, ran: bool) -> _Step:
    """A step above LIMIT costs less than all of what is below it would: no step counts for more than the one above."""
    step = _Step(node, depth, total)
    for child in cast("Sequence[Node]", node.get("Plans", ())):
        step.below.append(_step(child, depth + 1, min(_total(child, ran=ran), total), ran=ran))
    step.alone = max(0.0, total - sum(each.total for each in step.below))
    return step


def _total(node: Node, *, ran: bool) -> float:
    return _number(node, "Actual Total Time") * _number(node, "Actual Loops") if ran else _number(node, "Total Cost")


def _flat(step: _Step) -> Iterator[_Step]:
    yield step
    for each in step.below:
        yield from _flat(each)


def _shown(step: _Step, whole: float, *, ran: bool) -> PlanStep:
    enough = _WORTH_MS if ran else _WORTH_COST
    return PlanStep(
        depth=step.depth,
        operation=text(_operation(step.node), _MAX_TEXT * 2),
        note=_note(step.node, ran=ran),
        costly=step.alone >= max(enough, _SHARE * whole),
    )


def _operation(node: Node) -> str:
    join = str(node.get("Join Type", "Inner"))
    parts = [f"{node.get('Node Type')}{f' {join}' if join not in ('Inner', 'None') else ''}"]
    if node.get("Parallel Aware"):
        parts[0] = f"Parallel {parts[0]}"
    if index := node.get("Index Name"):
        parts.append(f"using {index}")
    if target := node.get("Relation Name") or node.get("Function Name") or node.get("CTE Name"):
        alias = node.get("Alias")
        parts.append(f"on {target}{f' {alias}' if alias not in (None, target) else ''}")
    for name in _CONDITIONS:
        if name in node:
            value = node[name]
            shown = ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
            parts.append(f"[{name.lower()}: {text(shown, _MAX_TEXT)}]")
    return " ".join(parts)


def _note(node: Node, *, ran: bool) -> str:
    expected = _number(node, "Plan Rows")
    if not ran:
        return f"about {expected:,.0f} rows, cost {_number(node, 'Total Cost'):,.0f}"
    loops = _number(node, "Actual Loops")
    if not loops:
        return "never executed"
    rows = _number(node, "Actual Rows")
    times = f", {loops:,.0f} times" if loops > 1 else ""
    notes = [f"{rows:,.0f} rows in {_total(node, ran=True):,.1f} ms{times}, estimated {expected:,.0f}"]
    if rows >= _WRONG_BY * max(expected, 1):  # fewer than expected is no mistake below a LIMIT
        notes.append("the estimate is far off: ANALYZE the table")
    removed = _number(node, "Rows Removed by Filter") + _number(node, "Rows Removed by Join Filter")
    if removed:
        notes.append(f"{removed * loops:,.0f} rows thrown away")
    if node.get("Sort Space Type") == "Disk" or _number(node, "Hash Batches") > 1:
        notes.append("does not fit in work_mem and uses the disk")
    return "; ".join(notes)


def _scan(node: Node) -> Scan:
    name = str(node.get("Relation Name", ""))
    return Scan(
        schema=str(node.get("Schema", "")),
        table=name,
        alias=str(node.get("Alias", name)),
        rows=_number(node, "Plan Rows"),
        filtered="Filter" in node,
    )


def _number(node: Node, key: str) -> float:
    value = node.get(key, 0)
    return float(value) if isinstance(value, int | float) else 0.0

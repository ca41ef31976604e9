"""Reads the plan that MariaDB or MySQL gives as JSON, and marks the steps that cost most. Pure but for `explain`."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from opsroom_shared.errors import InvalidInput

from ..cells import text
from ..dialects.mysql_statement import Reading
from ..index_advice import aliases, candidates
from ..models import Explanation, IndexAdvice, PlanStep
from .mysql_catalog import columns_of, indexes_of
from .mysql_rows import plain
from .mysql_session import Session
from .mysql_wire import quoted

Node: TypeAlias = "Mapping[str, object]"

_MAX_STEPS = 200
_MAX_TEXT = 200
_ALL = 1 << 60

# A step is worth a mark when it looks at this many rows, or takes this much of the time.
_MANY_ROWS = 10_000
_REPEATED_ROWS = 200
_SHARE, _WORTH_MS = 0.3, 10.0
_WORTH_AN_INDEX = 1_000
_WRONG_BY = 10

_ACCESS = {
    "ALL": "reads all of",
    "index": "reads the whole index of",
    "range": "reads a range of",
    "index_merge": "merges indexes of",
    "ref": "looks up in",
    "ref_or_null": "looks up in",
    "eq_ref": "looks up one row in",
    "const": "reads one row of",
    "system": "reads one row of",
    "fulltext": "searches the words of",
}
_SCANS = ("ALL", "index")
_LABELS = {
    "filesort": "sort",
    "temporary_table": "temporary table",
    "duplicates_removal": "remove duplicates",
    "duplicate_removal": "remove duplicates",
    "grouping_operation": "group",
    "ordering_operation": "order",
    "union_result": "union",
    "except_result": "except",
    "intersect_result": "intersect",
    "unit_result": "set operation",
    "windowing": "window functions",
    "window_functions_computation": "window functions",
    "materialized": "made once, in memory or on disk",
    "materialized_from_subquery": "made once, in memory or on disk",
    "subqueries": "subqueries",
    "block-nl-join": "join through a buffer",
    "expression_cache": "cached expression",
}


@dataclass
class Scan:
    """A table that is read from end to end, as the query calls it."""

    alias: str
    rows: float
    conditional: bool


@dataclass
class Plan:
    steps: list[PlanStep] = field(default_factory=list[PlanStep])
    scans: list[Scan] = field(default_factory=list[Scan])
    elapsed_ms: float | None = None


def read_plan(document: str) -> Plan:
    """The plan in the JSON of EXPLAIN or ANALYZE."""
    root = cast("Node", json.loads(document))
    block = _node(root, "query_block")
    plan = Plan()
    total = _number(block, "r_total_time_ms")
    plan.elapsed_ms = round(total, 3) if "r_total_time_ms" in block else None
    _Reader(plan, total).block(block, 0, 1.0)
    return plan


@dataclass
class _Reader:
    plan: Plan
    total_ms: float

    def block(self, node: Node, depth: int, times: float) -> None:
        """The steps below *node*, which happen *times* times."""
        for key, value in node.items():
            if len(self.plan.steps) >= _MAX_STEPS:
                return
            if key == "table":
                self._table(cast("Node", value), depth, times, conditional=False)
            elif key == "nested_loop":
                self._loop(cast("Sequence[Node]", value), depth, times)
            elif isinstance(value, Mapping):
                self._part(key, cast("Node", value), depth, times)
            elif isinstance(value, list):
                self._parts(
                    key, [cast("Node", each) for each in cast("list[object]", value) if isinstance(each, Mapping)], depth, times
                )

    def _parts(self, key: str, nodes: Sequence[Node], depth: int, times: float) -> None:
        if nodes and key in _LABELS:
            self._add(depth, _LABELS[key])
            depth += 1
        for node in nodes:
            self.block(node, depth, times)

    def _part(self, key: str, node: Node, depth: int, times: float) -> None:
        if key == "block-nl-join":
            buffered = _node(node, "table")
            self._table(
                buffered, depth, times, conditional="attached_condition" in node, join=text(str(node.get("join_type", "")), 20)
            )
            return
        if key not in _LABELS:
            self.block(node, depth, times)
            return
        label = _LABELS[key]
        if key == "filesort":
            label += f" by {text(str(node.get('sort_key', 'the key')), _MAX_TEXT)}"
        rows = _number(node, "r_output_rows") or _rows_below(node) * times
        elapsed = _number(node, "r_total_time_ms")
        costly = key == "filesort" and (self._is_slow(elapsed) if self.total_ms else rows >= _MANY_ROWS)
        self._add(depth, label, f"{elapsed:,.1f} ms" if elapsed else None, costly=costly)
        self.block(node, depth + 1, times)

    def _loop(self, nodes: Sequence[Node], depth: int, times: float) -> None:
        """Tables that are joined: each is read once for every row of those before it."""
        for node in nodes:
            self.block(node, depth, times)
            table = next(_tables(node), None)
            if table is not None:
                times *= max(1.0, _rows(table) * (_number(table, "filtered") or 100.0) / 100)

    def _table(self, node: Node, depth: int, times: float, *, conditional: bool, join: str = "") -> None:
        if "table_name" not in node:
            self._add(depth, text(str(node.get("message", "no table")), _MAX_TEXT))
            return
        name, access = str(node["table_name"]), str(node.get("access_type", ""))
        operation = f"{_ACCESS.get(access, access or 'reads')} {name}"
        if key := node.get("key"):
            operation += f" by {key}"
        if node.get("using_index"):
            operation += ", the index alone"
        if condition := node.get("attached_condition"):
            operation += f" where {text(str(condition), _MAX_TEXT)}"
        if join:
            operation += f", joined through a buffer ({join})"
        rows, scan = _rows(node), access in _SCANS
        elapsed = _number(node, "r_table_time_ms") + _number(node, "r_other_time_ms")
        repeated = times > 1 and not join
        if self.total_ms:
            costly = self._is_slow(elapsed)
        else:
            costly = rows * times >= _MANY_ROWS or (scan and repeated and rows >= _REPEATED_ROWS)
        self._add(depth, text(operation, 3 * _MAX_TEXT), _note(node, rows, times, elapsed), costly=costly)
        if scan and not name.startswith("<"):
            self.plan.scans.append(Scan(name, rows, conditional or condition is not None or repeated))
        for key, value in node.items():
            if key.startswith("materialized") and isinstance(value, Mapping):
                self.block(cast("Node", value), depth + 1, 1.0)

    def _is_slow(self, elapsed: float) -> bool:
        return elapsed >= _WORTH_MS and elapsed >= _SHARE * self.total_ms

    def _add(self, depth: int, operation: str, note: str | None = None, *, costly: bool = False) -> None:
        self.plan.steps.append(PlanStep(depth=depth, operation=operation, note=note, costly=costly))


def explain(reading: Reading, session: Session, *, analyze: bool) -> Explanation:
    """The plan of the query in *reading*, and with *analyze* what running it showed."""
    measured = analyze and session.wire.is_mariadb
    verb = "ANALYZE" if measured else "EXPLAIN"
    rows = plain(session.fetch(f"{verb} FORMAT=JSON {reading.query_sql}"))
    try:
        plan = read_plan(str(rows[0][0]))
    except (ValueError, IndexError, KeyError) as error:
        raise InvalidInput("The engine gave no plan for it.") from error
    explanation = Explanation(steps=plan.steps, advice=_advice(reading, plan, session), elapsed_ms=plan.elapsed_ms)
    if analyze and not measured:
        begun = time.monotonic()
        explanation.rows = session.stream(reading.query_sql).skip(_ALL)
        explanation.elapsed_ms = round((time.monotonic() - begun) * 1000, 3)
    if any(step.costly for step in plan.steps) and not explanation.advice:
        explanation.notes.append("No index suggests itself from the conditions of the query.")
    return explanation


def _advice(reading: Reading, plan: Plan, session: Session) -> list[IndexAdvice]:
    """One index a table that is read whole under a condition; a guess, as this engine cannot try one that does not exist."""
    if reading.tree is None:
        return []
    called = aliases(reading.tree)
    found: dict[str, IndexAdvice] = {}
    for scan in plan.scans:
        table = called.get(scan.alias.lower())
        if table is None or scan.rows < _WORTH_AN_INDEX or not scan.conditional or table in found:
            continue
        columns = {table: columns_of(session, table)}
        existing = indexes_of(session, table)
        for candidate in candidates(reading.tree, [scan.alias], columns):
            wanted = [column.lower() for column in candidate.columns]
            if any(index[: len(wanted)] == wanted for index in existing):
                continue
            on = ", ".join(map(quoted, candidate.columns))
            name = quoted("_".join([table, *candidate.columns, "idx"])[:64])
            found[table] = IndexAdvice(
                statement=f"CREATE INDEX {name} ON {quoted(table)} ({on})",
                checked=False,
                effect=f"the query reads about {scan.rows:,.0f} rows of {table}; not tried, as this engine cannot try an index "
                "that does not exist",
            )
            break
    return list(found.values())


def _note(node: Node, rows: float, times: float, elapsed: float) -> str:
    if "r_rows" in node or "r_loops" in node:
        loops = _number(node, "r_loops")
        if not loops:
            return "never executed"
        actual, expected = _number(node, "r_rows"), _number(node, "rows")
        repeated = f", {loops:,.0f} times" if loops > 1 else ""
        note = f"{actual:,.0f} rows in {elapsed:,.1f} ms{repeated}, estimated {expected:,.0f}"
        if max(actual, expected, 1) / max(min(actual, expected), 1) >= _WRONG_BY:
            note += "; the estimate is far off: ANALYZE TABLE may help"
        return note
    return f"about {rows:,.0f} rows" + (f", for each of about {times:,.0f} rows before" if times > 1 else "")


def _tables(node: Node) -> Iterator[Node]:
    """The tables in one step of a join, without those inside what is made for them."""
    for key, value in node.items():
        if not isinstance(value, Mapping):
            continue
        below = cast("Node", value)
        if key == "table":
            yield below
        elif not key.startswith("materialized"):
            yield from _tables(below)


def _rows_below(node: Node) -> float:
    """About how many rows come out of what is below *node*."""
    rows = 1.0
    loop = node.get("nested_loop")
    parts = cast("Sequence[Node]", loop) if isinstance(loop, list) else [node]
    for part in parts:
        for table in _tables(part):
            rows *= max(1.0, _rows(table) * (_number(table, "filtered") or 100.0) / 100)
    if not isinstance(loop, list):
        for key in ("temporary_table", "grouping_operation"):
            if isinstance(node.get(key), Mapping):
                rows = max(rows, _rows_below(_node(node, key)))
    return rows


def _rows(node: Node) -> float:
    return _number(node, "rows") or _number(node, "rows_examined_per_scan")


def _node(node: Node, key: str) -> Node:
    value = node.get(key)
    if not isinstance(value, Mapping):
        raise KeyError(key)
    return cast("Node", value)


def _number(node: Node, key: str) -> float:
    value = node.get(key, 0)
    try:
        return float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return 0.0

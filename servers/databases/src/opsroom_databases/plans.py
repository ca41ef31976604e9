"""Reads the plan that SQLite gives as rows, and marks the steps that cost most. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .models import PlanStep

# A scan below it is cheap wherever it stands; above it, a scan alone is worth an index.
_LARGE = 10_000
_REPEATED = 200

_SCAN = re.compile(r"SCAN (?:TABLE )?(?P<name>\S+)(?: USING (?:COVERING )?INDEX (?P<index>\S+))?(?P<virtual> VIRTUAL TABLE)?")
_AUTOMATIC = re.compile(
    r"SEARCH (?:TABLE )?(?P<name>\S+) USING AUTOMATIC (?:PARTIAL )?(?:COVERING )?INDEX \((?P<columns>[^)]*)\)"
)
_SORT = re.compile(r"USE TEMP B-TREE FOR (?:LAST \d+ TERMS? OF )?(?:RIGHT PART OF )?(?P<what>ORDER BY|GROUP BY|DISTINCT)")


@dataclass(frozen=True)
class PlanRow:
    identity: int
    parent: int
    detail: str


def plan_rows(rows: Iterable[Sequence[object]]) -> list[PlanRow]:
    """Rows of EXPLAIN QUERY PLAN: id, parent, an unused number, and the detail."""
    return [PlanRow(int(str(row[0])), int(str(row[1])), str(row[3])) for row in rows]


def scanned(rows: Iterable[PlanRow]) -> list[str]:
    """The names, aliases where there are any, that the plan reads from end to end or builds an index for, in order."""
    found: dict[str, None] = {}
    for row in rows:
        match = _AUTOMATIC.match(row.detail) or _SCAN.match(row.detail)
        if match and not (match.re is _SCAN and match["virtual"]):
            found[match["name"]] = None
    return list(found)


def steps(rows: Sequence[PlanRow], sizes: Mapping[str, int]) -> list[PlanStep]:
    """The plan as steps in order. *sizes* gives rows by the name that the plan uses, in lower case."""
    depths: dict[int, int] = {}
    scans_before: dict[int, int] = {}
    largest: dict[int, int] = {}
    done: list[PlanStep] = []
    for row in rows:
        depth = depths.get(row.parent, -1) + 1
        depths[row.identity] = depth
        inner = scans_before.get(row.parent, 0) > 0
        if row.detail.startswith(("SCAN ", "SEARCH ")):
            scans_before[row.parent] = scans_before.get(row.parent, 0) + 1
        note, costly = _judge(row.detail, sizes, inner=inner, sorted_rows=largest.get(row.parent, 0))
        if match := _SCAN.match(row.detail):
            largest[row.parent] = max(largest.get(row.parent, 0), sizes.get(match["name"].lower(), 0))
        done.append(PlanStep(depth=depth, operation=row.detail, note=note, costly=costly))
    return done


def _judge(detail: str, sizes: Mapping[str, int], *, inner: bool, sorted_rows: int) -> tuple[str | None, bool]:
    if match := _AUTOMATIC.match(detail):
        rows = sizes.get(match["name"].lower(), 0)
        return f"builds an index on about {rows:,} rows for this query alone", rows >= _REPEATED
    if (match := _SCAN.match(detail)) and match["name"].lower() in sizes and not match["virtual"]:
        rows = sizes[match["name"].lower()]
        if inner:
            return f"reads about {rows:,} rows for every row before", rows >= _REPEATED
        return f"reads all rows, about {rows:,}", rows >= _LARGE
    if _SORT.match(detail):
        return ("sorts what was read" if sorted_rows else None), sorted_rows >= _LARGE
    if detail.startswith("CORRELATED"):
        return "runs again for every row outside", False
    return None, False


def gain(before: Sequence[PlanRow], after: Sequence[PlanRow], index: str) -> str | None:
    """What changes when the plan *after* uses *index*; None where the engine does not choose it, or nothing gets better."""
    using = [row.detail for row in after if re.search(rf"\bINDEX {re.escape(index)}\b", row.detail)]
    if not using:
        return None
    fewer_sorts = sum(bool(_SORT.match(row.detail)) for row in before) - sum(bool(_SORT.match(row.detail)) for row in after)
    searches = [detail for detail in using if detail.startswith("SEARCH")]
    if not searches and fewer_sorts <= 0:
        return None  # a scan of another index reads as many rows
    replaced = [row.detail for row in before if row.detail not in {each.detail for each in after}]
    old = replaced[0] if replaced else before[0].detail
    new = (searches or using)[0].replace(index, "it")
    return f"{old} becomes {new}" + (", and a sort is saved" if fewer_sorts > 0 else "")

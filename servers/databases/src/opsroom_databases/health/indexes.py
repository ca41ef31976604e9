"""Judges indexes: those that are missing, broken, there twice, or used by nobody. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..models import Finding
from .facts import ForeignKey, Index, Indexing, Table
from .thresholds import Thresholds
from .verdict import Verdict, size


def judge_indexes(seen: Indexing, limits: Thresholds) -> Verdict:
    by_table: defaultdict[str, list[Index]] = defaultdict(list)
    for index in seen.indexes:
        by_table[index.table].append(index)
    keys: defaultdict[str, list[ForeignKey]] = defaultdict(list)
    for key in seen.foreign_keys:
        keys[key.table].append(key)
    found: list[Finding] = []
    for table, indexes in by_table.items():
        found += [_broken(index) for index in indexes if not index.valid]
        spare = dict(_spare(indexes))
        found += [_said_twice(index, kept) for index, kept in spare.items()]
        reads = seen.tables[table].lookups if table in seen.tables else None
        for index in indexes:
            if index not in spare and _is_unused(index, reads, limits) and not any(_serves(index, key) for key in keys[table]):
                found.append(_unused(index, reads or 0, seen.since))
    missing: dict[str, Finding] = {}  # by what makes it: a partitioned table lacks it once, not once a partition
    for key in seen.foreign_keys:
        rows = seen.tables[key.table].rows if key.table in seen.tables else 0
        if rows >= limits.large_rows and not any(_serves(index, key) for index in by_table[key.table]):
            missing.setdefault(key.create, _missing(key, rows))
    found += missing.values()
    found += [finding for table in seen.tables.values() for finding in _read_whole(table, limits)]
    listed = sum(not index.hidden for index in seen.indexes)
    since = f", uses counted since {seen.since}" if seen.since else ""
    return Verdict(tuple(found), f"{listed} indexes, {len(seen.foreign_keys)} foreign keys{since}")


def _spare(indexes: Sequence[Index]) -> Iterator[tuple[Index, Index]]:
    """Each index that another of the same table makes superfluous, with that other one."""
    kept: list[Index] = []
    # what must stay comes first, then the more useful, so that what is left over is what can go
    for index in sorted(
        indexes, key=lambda each: (not each.hidden, not each.required, not each.unique, -len(each.columns), each.name)
    ):
        if not index.valid:
            continue
        other = next((each for each in kept if _covers(each, index)), None)
        if other is None or index.required or index.hidden:
            kept.append(index)
        else:
            yield index, other


def _covers(wide: Index, narrow: Index) -> bool:
    """Whether everything that *narrow* is good for is done by *wide*."""
    if (wide.method, wide.where) != (narrow.method, narrow.where):
        return False
    columns = len(narrow.columns)
    same_length = len(wide.columns) == columns
    if wide.columns[:columns] != narrow.columns or wide.order[:columns] != narrow.order:
        return False
    if not same_length and (wide.method != "btree" or wide.hidden):
        return False
    if narrow.unique and not (same_length and wide.unique):
        return False
    return narrow.includes <= wide.includes | set(wide.columns)


def _serves(index: Index, key: ForeignKey) -> bool:
    """Whether the rows of a foreign key can be found by *index*: its columns lead it, in any order."""
    return index.valid and not index.where and set(index.columns[: len(key.columns)]) == set(key.columns)


def _is_unused(index: Index, reads: int | None, limits: Thresholds) -> bool:
    return (
        index.valid
        and index.uses == 0
        and not (index.unique or index.required or index.hidden)
        and (index.bytes or 0) >= limits.unused_bytes
        and (reads or 0) >= limits.unused_lookups
    )


def _broken(index: Index) -> Finding:
    return Finding(
        severity="warning",
        check="indexes",
        subject=index.name,
        evidence=f"invalid: building it on {index.table} failed or is not done, so it is kept up to date and never used",
        action="If nobody is building it now, build it again",
        statement=index.rebuild,
    )


def _said_twice(index: Index, kept: Index) -> Finding:
    same = len(index.columns) == len(kept.columns)
    what = f"the same as {_called(kept)}" if same else f"the beginning of {_called(kept)}"
    cost = f", takes about {size(index.bytes)}" if index.bytes else ""
    return Finding(
        severity="warning" if same else "notice",
        check="indexes",
        subject=index.name,
        evidence=f"{'duplicate' if same else 'redundant'}: ({', '.join(index.columns)}) on {index.table} is {what}{cost}",
        action="Every write pays for it; drop it",
        statement=index.drop,
    )


def _called(index: Index) -> str:
    return f"{index.name} ({', '.join(index.columns)})"


def _unused(index: Index, reads: int, since: str | None) -> Finding:
    return Finding(
        severity="notice",
        check="indexes",
        subject=index.name,
        evidence=(
            f"unused: not read once in {reads:,} reads of {index.table}{f' since {since}' if since else ''}, "
            f"takes about {size(index.bytes or 0)}"
        ),
        action="Replicas, and jobs that run seldom, may use it; if none does, drop it",
        statement=index.drop,
    )


def _missing(key: ForeignKey, rows: int) -> Finding:
    columns = ", ".join(key.columns)
    return Finding(
        severity="warning",
        check="indexes",
        subject=f"{key.table} ({columns})",
        evidence=f"a foreign key to {key.to} without an index: joins, and deleting there, read all of about {rows:,} rows",
        action="Make one",
        statement=key.create,
    )


def _read_whole(table: Table, limits: Thresholds) -> Iterator[Finding]:
    scanned = table.scanned_rows or 0
    times = scanned / max(table.rows, 1)
    if table.rows >= limits.large_rows and scanned >= limits.full_read_rows and times >= limits.full_reads:
        yield Finding(
            severity="notice",
            check="indexes",
            subject=table.name,
            evidence=f"about {table.rows:,} rows, read from end to end some {times:,.0f} times",
            action="A query may lack an index: find it with top_queries, then ask explain_query",
        )

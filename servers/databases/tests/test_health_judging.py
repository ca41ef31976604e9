"""Judging the facts of a database: what is found, how bad it is, and what a quiet database says."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from opsroom_databases.health.activity import (
    judge_cache,
    judge_connections,
    judge_locks,
    judge_replication,
    judge_transactions,
    judge_undo,
)
from opsroom_databases.health.facts import (
    Age,
    Ages,
    Cache,
    Connections,
    Counter,
    Counters,
    Damage,
    DatabaseFile,
    ForeignKey,
    Index,
    Indexing,
    Prepared,
    Replica,
    Replication,
    Session,
    Slot,
    Table,
    Tables,
    Transactions,
    Undo,
    Violations,
    Wait,
)
from opsroom_databases.health.indexes import judge_indexes
from opsroom_databases.health.storage import (
    judge_ages,
    judge_counters,
    judge_damage,
    judge_file,
    judge_tables,
    judge_violations,
)
from opsroom_databases.health.thresholds import GIB, MIB, THRESHOLDS, Thresholds
from opsroom_databases.health.verdict import Verdict, duration, percent, size

F = TypeVar("F")


def session(
    pid: int, seconds: float = 1, idle: float | None = None, *, waits: bool = False, query: str = "UPDATE t SET a = ?"
) -> Session:
    return Session(pid, "app", seconds, idle, waits, query, f"end {pid}")


def wait(waiting: int, holder: int | None, seconds: float) -> Wait:
    return Wait(session(waiting, waits=True), seconds, "a row", None if holder is None else session(holder, idle=9))


def table(rows: int = 50_000, **facts: object) -> Table:
    return Table("orders", rows, **facts)  # pyright: ignore[reportArgumentType] - keywords of the table below


def severities(verdict: Verdict) -> list[str]:
    return [finding.severity for finding in verdict.findings]


def drop(counter: int, limit: int) -> Counters:
    return Counters((Counter("orders_id_seq", counter, 1, limit, "widen it"),))


def standing(**facts: object) -> Replication:
    return Replication(**facts)  # pyright: ignore[reportArgumentType] - keywords of the table below


@pytest.mark.parametrize(
    ("judge", "facts", "expected"),
    [
        (judge_connections, Connections(79, 100), []),
        (judge_connections, Connections(80, 100, 3), ["warning"]),
        (judge_connections, Connections(100, 100), ["critical"]),
        (judge_cache, Cache(0, 0, "s"), []),
        (judge_cache, Cache(10, 990, "s"), []),
        (judge_cache, Cache(800_000, 300_000, "s"), ["warning"]),
        (judge_cache, Cache(9_900_000, 100_000, "s"), []),
        (judge_transactions, Transactions(()), []),
        (judge_transactions, Transactions((session(1, 200, 59), session(2, 299))), []),
        (judge_transactions, Transactions((session(1, 70, 60),)), ["warning"]),
        (judge_transactions, Transactions((session(1, 1_000, 900),)), ["critical"]),
        (judge_transactions, Transactions((session(1, 300),)), ["warning"]),
        (judge_transactions, Transactions((session(1, 4_000, 1),)), ["critical"]),
        (judge_transactions, Transactions((session(1, 4_000, waits=True),)), []),
        (judge_transactions, Transactions((), (Prepared("x", "app", 299, "end"),)), []),
        (judge_transactions, Transactions((), (Prepared("x", "app", 3_600, "end"),)), ["critical"]),
        (judge_undo, Undo(999_999), []),
        (judge_undo, Undo(10_000_000), ["critical"]),
        (judge_locks, (), []),
        (judge_locks, (wait(2, 1, 4),), []),
        (judge_locks, (wait(2, 1, 5),), ["warning"]),
        (judge_locks, (wait(2, None, 61),), ["critical"]),
        (judge_locks, (wait(2, 1, 5), wait(3, 2, 70)), ["critical"]),
        (judge_locks, (wait(1, 2, 6), wait(2, 1, 6)), ["warning"]),
        (judge_locks, (wait(2, 1, 6), wait(4, 3, 6)), ["warning", "warning"]),
        (judge_replication, Replication(), []),
        (judge_replication, standing(replicas=(Replica("r", 1, 5 * MIB),)), []),
        (judge_replication, standing(replicas=(Replica("r", 1, 5 * GIB),)), ["critical"]),
        (judge_replication, standing(replicas=(Replica("r", 61),)), ["warning"]),
        (judge_replication, standing(replicas=(Replica("r", stopped="no route"),)), ["critical"]),
        (judge_replication, standing(slots=(Slot("s", active=False, kept_bytes=5, lost=False, drop="d"),)), []),
        (judge_replication, standing(slots=(Slot("s", active=False, kept_bytes=GIB, lost=False, drop="d"),)), ["warning"]),
        (judge_replication, standing(slots=(Slot("s", active=True, kept_bytes=None, lost=True, drop="d"),)), ["critical"]),
        (judge_replication, standing(archiving_fails="0001 at noon"), ["critical"]),
        (judge_tables, Tables((table(dead_rows=9_999),)), []),
        (judge_tables, Tables((table(dead_rows=12_000),)), []),
        (judge_tables, Tables((table(dead_rows=13_000, changed_rows=40_000),)), ["warning"]),
        (judge_tables, Tables((table(bytes=20 * MIB, reclaimable_bytes=15 * MIB),)), []),
        (judge_tables, Tables((table(bytes=100 * MIB, reclaimable_bytes=16 * MIB),)), []),
        (judge_tables, Tables((table(bytes=40 * MIB, reclaimable_bytes=16 * MIB),)), ["notice"]),
        (judge_tables, Tables((table(has_statistics=False),)), ["warning"]),
        (judge_tables, Tables((table(rows=9_999, has_statistics=False),)), []),
        (judge_tables, Tables((table(changed_rows=14_999, has_statistics=True),)), []),
        (judge_tables, Tables((table(changed_rows=15_000, has_statistics=True),)), ["warning"]),
        (judge_tables, Tables((), never_vacuumed="switch it on"), ["critical"]),
        (judge_counters, drop(74, 100), []),
        (judge_counters, drop(76, 100), ["warning"]),
        (judge_counters, drop(91, 100), ["critical"]),
        (judge_counters, Counters((Counter("down", -95, -1, -100, "widen it"),)), ["critical"]),
        (judge_counters, Counters((Counter("one", 1, 1, 1, "widen it"),)), []),
        (judge_ages, Ages((Age("d", 200_000_000, 2**31, "number", "v"),)), []),
        (judge_ages, Ages((Age("d", 900_000_000, 2**31, "number", "v"),)), ["warning"]),
        (judge_ages, Ages((Age("d", 1_700_000_000, 2**31, "number", "v"),)), ["critical"]),
        (judge_damage, Damage((), more=False, looked_at="the file"), []),
        (judge_damage, Damage(("row 1 missing",), more=True, looked_at="the file"), ["critical"]),
        (judge_violations, Violations({}, more=False), []),
        (judge_violations, Violations({("orders", "customers"): 3}, more=False), ["warning"]),
        (judge_file, DatabaseFile(4_096, 100_000, 20_000, "delete", 0), []),
        (judge_file, DatabaseFile(4_096, 100_000, 30_000, "delete", 0), ["notice"]),
        (judge_file, DatabaseFile(4_096, 1_000, 900, "delete", 0), []),
        (judge_file, DatabaseFile(4_096, 1_000, 0, "wal", 64 * MIB), ["warning"]),
        (judge_file, DatabaseFile(4_096, 1_000, 0, "wal", 2 * GIB), ["critical"]),
    ],
)
def test_figures_are_judged_by_the_thresholds(judge: Callable[[F, Thresholds], Verdict], facts: F, expected: list[str]) -> None:
    """A figure at its threshold is a finding of that severity, and one below it is none; the figures are said either way."""
    verdict = judge(facts, THRESHOLDS)

    assert severities(verdict) == expected
    assert verdict.figures
    assert all(finding.evidence and finding.action for finding in verdict.findings)


def test_blocker_is_named_with_all_who_wait_for_it() -> None:
    """In a queue of sessions the finding is about the one at its head, with the longest wait and the number behind it."""
    waits = (wait(2, 1, 5), wait(3, 2, 70), wait(3, 1, 70), wait(4, 3, 8))

    (finding,) = judge_locks(waits, THRESHOLDS).findings

    assert finding.subject == "pid 1 (app)"
    assert "pid 3 (app) waits 70 s for a row" in finding.evidence
    assert "and 2 more wait behind it" in finding.evidence
    assert "idle in its transaction for 9 s after `UPDATE t SET a = ?`" in finding.evidence
    assert finding.statement == "end 1"


def test_hidden_query_is_said_to_be_unknown() -> None:
    """A query that the account may not see is not shown as an empty one."""
    (finding,) = judge_transactions(Transactions((session(1, 400, query=""),)), THRESHOLDS).findings

    assert "a query that is not known" in finding.evidence


def index(name: str, *columns: str, **facts: object) -> Index:
    return Index(name, "orders", columns, drop=f"DROP INDEX {name}", rebuild=f"REINDEX {name}", **facts)  # pyright: ignore[reportArgumentType] - keywords of the tables below


LOUD = {"uses": 0, "bytes": 2 * MIB}
READ = table(lookups=1_000)


@pytest.mark.parametrize(
    ("indexes", "expected"),
    [
        ([index("a", "x"), index("b", "y")], []),
        ([index("a", "x"), index("b", "x")], [("warning", "DROP INDEX b")]),
        ([index("a", "x"), index("b", "x"), index("c", "x")], [("warning", "DROP INDEX b"), ("warning", "DROP INDEX c")]),
        ([index("a", "x"), index("b", "x", required=True, unique=True)], [("warning", "DROP INDEX a")]),
        ([index("a", "x", required=True), index("b", "x", required=True)], []),
        ([index("a", "x"), index("b", "x", unique=True)], [("warning", "DROP INDEX a")]),
        ([index("a", "x", unique=True), index("b", "x", "y", unique=True)], []),
        ([index("a", "x"), index("b", "x", "y")], [("notice", "DROP INDEX a")]),
        ([index("a", "y"), index("b", "x", "y")], []),
        ([index("a", "x", method="hash"), index("b", "x", "y", method="hash")], []),
        ([index("a", "x", method="hash"), index("b", "x")], []),
        ([index("a", "x", where="x > 1"), index("b", "x")], []),
        ([index("a", "x", where="x > 1"), index("b", "x", where="x > 1")], [("warning", "DROP INDEX b")]),
        ([index("a", "x", order=("desc",)), index("b", "x", order=("asc",))], []),
        ([index("a", "x", includes=frozenset("z")), index("b", "x", "y")], []),
        ([index("a", "x", includes=frozenset("y")), index("b", "x", "y")], [("notice", "DROP INDEX a")]),
        ([index("a", "x", valid=False), index("b", "x")], [("warning", "REINDEX a")]),
        ([index("a", "id"), index("the primary key", "id", unique=True, hidden=True)], [("warning", "DROP INDEX a")]),
        ([index("a", "id", "x"), index("the primary key", "id", unique=True, hidden=True)], []),
        ([index("a", "x", **LOUD)], [("notice", "DROP INDEX a")]),
        ([index("a", "x", uses=1, bytes=2 * MIB)], []),
        ([index("a", "x", uses=None, bytes=2 * MIB)], []),
        ([index("a", "x", uses=0, bytes=MIB - 1)], []),
        ([index("a", "x", **LOUD, unique=True)], []),
        ([index("a", "x", **LOUD, required=True)], []),
        ([index("a", "customer", **LOUD)], []),
    ],
)
def test_superfluous_indexes_are_found(indexes: list[Index], expected: list[tuple[str, str]]) -> None:
    """Only what another index does as well, what is broken, and what no read has used is found, with what ends it."""
    keys = (ForeignKey("orders", ("customer",), "customers", "CREATE"),)
    seen = Indexing((*indexes, index("serving", "customer", "and_more", uses=1)), keys, {"orders": READ})
    if any(each.columns == ("customer",) for each in indexes):
        seen = Indexing(tuple(indexes), keys, {"orders": READ})

    verdict = judge_indexes(seen, THRESHOLDS)

    assert [(finding.severity, finding.statement) for finding in verdict.findings] == expected


def test_unused_needs_reads_of_the_table() -> None:
    """An index of a table that hardly anybody reads is not called unused."""
    seen = Indexing((index("a", "x", **LOUD),), tables={"orders": table(lookups=999)})

    assert judge_indexes(seen, THRESHOLDS).findings == ()


@pytest.mark.parametrize(
    ("rows", "indexes", "found"),
    [
        (10_000, [], True),
        (9_999, [], False),
        (10_000, [index("a", "b", "a", "c")], False),
        (10_000, [index("a", "a", "c", "b")], True),
        (10_000, [index("a", "a", "b", where="a > 1")], True),
        (10_000, [index("a", "a", "b", valid=False)], True),
    ],
)
def test_foreign_key_without_index_is_found(rows: int, indexes: list[Index], *, found: bool) -> None:
    """A foreign key of a large table needs an index that its columns lead, in any order."""
    keys = (ForeignKey("orders", ("a", "b"), "customers", "CREATE INDEX ON orders (a, b)"),)
    seen = Indexing(tuple(indexes), keys, {"orders": table(rows=rows)})

    statements = [finding.statement for finding in judge_indexes(seen, THRESHOLDS).findings]

    assert ("CREATE INDEX ON orders (a, b)" in statements) is found


def test_index_that_all_partitions_lack_is_said_once() -> None:
    """What one statement makes for every partition is one finding."""
    keys = tuple(ForeignKey(name, ("a",), "customers", "CREATE INDEX ON orders (a)") for name in ("orders_1", "orders_2"))
    tables = {name: Table(name, 50_000) for name in ("orders_1", "orders_2")}

    (found,) = judge_indexes(Indexing((), keys, tables), THRESHOLDS).findings

    assert (found.subject, found.statement) == ("orders_1 (a)", "CREATE INDEX ON orders (a)")


@pytest.mark.parametrize(
    ("rows", "scanned", "found"),
    [(50_000, 5_000_000, True), (50_000, 4_999_999, False), (9_999, 10**9, False), (10**6, 10**7, False)],
)
def test_large_table_that_is_read_whole_is_found(rows: int, scanned: int, *, found: bool) -> None:
    """Many full reads of a large table hint at a missing index; few reads, or a small table, do not."""
    seen = Indexing((), tables={"orders": table(rows=rows, scanned_rows=scanned)})

    assert bool(judge_indexes(seen, THRESHOLDS).findings) is found


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (duration(-1), "0 s"),
        (duration(119), "119 s"),
        (duration(120), "2 min"),
        (duration(7_200), "2 h"),
        (duration(200_000), "2 days"),
        (size(0), "0 B"),
        (size(999), "999 B"),
        (size(1_400_000_000), "1.4 GB"),
        (size(5 * 10**15), "5000 TB"),
        (percent(0), "0 %"),
        (percent(0.00001), "under 0.1 %"),
        (percent(0.125), "12.5 %"),
    ],
)
def test_figures_are_short(shown: str, expected: str) -> None:
    """Times, sizes and shares are said in the unit that a person would choose."""
    assert shown == expected

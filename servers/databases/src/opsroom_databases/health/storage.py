"""Judges what is stored: dead rows, statistics, numbers that run out, damage, files. Pure."""

from collections.abc import Iterator

from ..models import Finding
from .facts import Ages, Counter, Counters, Damage, DatabaseFile, Table, Tables, Violations
from .thresholds import Thresholds
from .verdict import Verdict, joined, percent, severity, size


def judge_tables(seen: Tables, limits: Thresholds) -> Verdict:
    found = [
        finding
        for table in seen.tables
        # what removes dead rows makes the statistics too
        for finding in (*(_dead(table, limits) or _statistics(table, limits)), *_reclaimable(table, seen.reclaimable_how, limits))
    ]
    if seen.never_vacuumed:
        found.append(
            Finding(
                severity="critical",
                check="tables",
                subject="autovacuum",
                evidence="nobody removes dead rows by itself",
                action=seen.never_vacuumed,
            )
        )
    sizes = [table.bytes for table in seen.tables if table.bytes is not None]
    return Verdict(tuple(found), joined([f"{len(seen.tables)} tables", size(sum(sizes)) if sizes else None]))


def _dead(table: Table, limits: Thresholds) -> list[Finding]:
    dead = table.dead_rows or 0
    share = dead / max(dead + table.rows, 1)
    if dead < limits.dead_rows or share < limits.dead_share:
        return []
    vacuumed = f"; {table.vacuumed}" if table.vacuumed else ""
    return [
        Finding(
            severity="warning",
            check="tables",
            subject=table.name,
            evidence=f"{dead:,} dead rows beside {table.rows:,} live ones ({percent(share)}), as the engine counts{vacuumed}",
            action="An open transaction may keep them; otherwise remove them",
            statement=table.vacuum,
        )
    ]


def _reclaimable(table: Table, how: str, limits: Thresholds) -> Iterator[Finding]:
    free, whole = table.reclaimable_bytes or 0, table.bytes or 0
    if whole and free >= limits.reclaimable_bytes and free / whole >= limits.reclaimable_share:
        yield Finding(
            severity="notice",
            check="tables",
            subject=table.name,
            evidence=f"about {size(free)} of {size(whole)} ({percent(free / whole)}) holds no rows, {how}",
            action=table.rewrite or "Rewrite the table when it is quiet",
        )


def _statistics(table: Table, limits: Thresholds) -> list[Finding]:
    changed = table.changed_rows or 0
    if table.rows < limits.large_rows:
        return []
    if table.has_statistics is False:
        evidence = f"about {table.rows:,} rows and no statistics: plans are guesses"
    elif changed >= limits.changed_share * table.rows:
        evidence = f"{changed:,} of about {table.rows:,} rows changed since its statistics were made"
    else:
        return []
    return [
        Finding(
            severity="warning",
            check="tables",
            subject=table.name,
            evidence=evidence,
            action="Make them",
            statement=table.analyze,
        )
    ]


def judge_counters(seen: Counters, limits: Thresholds) -> Verdict:
    shares = [(_used(counter), counter) for counter in seen.counters]
    found = tuple(
        Finding(
            severity=bad,
            check="sequences",
            subject=counter.name,
            evidence=f"at {counter.last:,} of {counter.limit:,} ({percent(share)})",
            action=counter.then,
        )
        for share, counter in shares
        if (bad := severity(share, limits.sequence_share))
    )
    most = max((share for share, _ in shares), default=0.0)
    return Verdict(found, f"{len(shares)} counters, at most {percent(most)} used" if shares else "none")


def _used(counter: Counter) -> float:
    return (counter.last - counter.first) / ((counter.limit - counter.first) or 1)


def judge_ages(seen: Ages, limits: Thresholds) -> Verdict:
    found = tuple(
        Finding(
            severity=bad,
            check="wraparound",
            subject=age.name,
            evidence=f"its oldest {age.what} is {age.age:,} back, of {age.limit:,} ({percent(age.age / age.limit)})",
            action="At the limit the engine stops writing; end old transactions and prepared ones, then",
            statement=age.vacuum,
        )
        for age in seen.ages
        if (bad := severity(age.age / age.limit, limits.wraparound_share))
    )
    most = max((age.age / age.limit for age in seen.ages), default=0.0)
    return Verdict(found, f"the furthest at {percent(most)}")


def judge_damage(seen: Damage, _: Thresholds) -> Verdict:
    if not seen.problems:
        return Verdict(figures=f"{seen.looked_at}: sound")
    more = ", and more" if seen.more else ""
    finding = Finding(
        severity="critical",
        check="integrity",
        subject=seen.looked_at,
        evidence=f"{'; '.join(seen.problems)}{more}",
        action="Copy it before anything else, restore a backup, and test the disk; damaged indexes alone are mended by REINDEX",
    )
    return Verdict((finding,), "damaged")


def judge_violations(seen: Violations, _: Thresholds) -> Verdict:
    if not seen.counts:
        return Verdict(figures="no foreign key points nowhere")
    found = tuple(
        Finding(
            severity="warning",
            check="foreign keys",
            subject=table,
            evidence=f"{'at least ' if seen.more else ''}{count:,} rows point to rows of {parent} that do not exist",
            action="Foreign keys are checked only on connections that ask for it. Add the missing rows, or delete these",
        )
        for (table, parent), count in seen.counts.items()
    )
    return Verdict(found, f"{len(found)} are violated")


def judge_file(seen: DatabaseFile, limits: Thresholds) -> Verdict:
    whole, free = seen.page_size * seen.pages, seen.page_size * seen.free_pages
    figures = joined(
        [
            f"{size(whole)} in pages of {seen.page_size}",
            f"{size(free)} free",
            f"journal mode {seen.journal}",
            f"write-ahead log {size(seen.log_bytes)}" if seen.journal == "wal" else None,
        ]
    )
    found: list[Finding] = []
    if free >= limits.free_bytes and free / max(whole, 1) >= limits.free_share:
        found.append(
            Finding(
                severity="notice",
                check="file",
                subject="free pages",
                evidence=f"{size(free)} of {size(whole)} ({percent(free / whole)}) holds nothing",
                action="It is used again by new rows. To make the file smaller, while nobody else uses it",
                statement="VACUUM",
            )
        )
    if bad := severity(seen.log_bytes, limits.log_bytes):
        found.append(
            Finding(
                severity=bad,
                check="file",
                subject="write-ahead log",
                evidence=f"{size(seen.log_bytes)} beside a file of {size(whole)}: a reader that never ends keeps it",
                action="End long readers, then",
                statement="PRAGMA wal_checkpoint(TRUNCATE)",
            )
        )
    return Verdict(tuple(found), figures)

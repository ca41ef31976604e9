"""Judges what sessions do now: connections, memory, open transactions, locks, replication. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ..models import Finding, Severity
from .facts import Cache, Connections, Prepared, Replica, Replication, Session, Slot, Transactions, Undo, Wait
from .thresholds import Thresholds
from .verdict import Verdict, duration, joined, percent, severity, size, worst


def judge_connections(seen: Connections, limits: Thresholds) -> Verdict:
    share = seen.used / max(seen.limit, 1)
    idle = f", {seen.idle_in_transaction} idle in a transaction" if seen.idle_in_transaction else ""
    figures = f"{seen.used} of {seen.limit} used{idle}"
    found = severity(share, limits.connections_share)
    if found is None:
        return Verdict(figures=figures)
    finding = Finding(
        severity=found,
        check="connections",
        subject="the engine",
        evidence=f"{figures} ({percent(share)})",
        action="Find who holds them, and use a connection pool; a higher max_connections costs memory and a restart",
    )
    return Verdict((finding,), figures)


def judge_cache(seen: Cache, limits: Thresholds) -> Verdict:
    asked = seen.found + seen.read
    if not asked:
        return Verdict(figures="nothing read yet")
    share = seen.found / asked
    figures = f"{percent(share)} of {asked:,} reads found in memory"
    if asked < limits.cache_reads or share >= limits.cache_share:
        return Verdict(figures=figures)
    finding = Finding(
        severity="warning",
        check="cache",
        subject="the engine",
        evidence=figures,
        action=f"See with top_queries (order io) who reads so much; if the queries are sound, raise {seen.setting}",
    )
    return Verdict((finding,), figures)


def judge_transactions(seen: Transactions, limits: Thresholds) -> Verdict:
    found = [finding for session in seen.sessions for finding in _open_transaction(session, limits)]
    found += [finding for prepared in seen.prepared for finding in _prepared(prepared, limits)]
    longest = max((session.seconds or 0 for session in seen.sessions), default=0)
    waits = f", {len(seen.prepared)} prepared" if seen.prepared else ""
    open_now = f"{len(seen.sessions)} open, the longest for {duration(longest)}" if seen.sessions else "none open"
    return Verdict(tuple(found), open_now + waits)


def _open_transaction(session: Session, limits: Thresholds) -> Iterator[Finding]:
    seconds = session.seconds or 0
    idle = None if session.idle_seconds is None else severity(session.idle_seconds, limits.idle_in_transaction_seconds)
    long = severity(seconds, limits.transaction_seconds)
    if session.waits or (found := worst(idle, long)) is None:
        return
    if session.idle_seconds is not None:
        doing, what = f"idle for {duration(session.idle_seconds)} inside of it, after", "idle in transaction"
        action = "It keeps its locks, and old row versions everywhere; let its program commit, or end it"
    else:
        doing, what = "now running", "long transaction"
        action = "Old row versions cannot be removed while it runs; wait for it, or end it"
    yield Finding(
        severity=found,
        check="transactions",
        subject=f"pid {session.pid} ({session.who})",
        evidence=f"{what}: open for {duration(seconds)}, {doing} {_quoted(session.query)}",
        action=action,
        statement=session.stop,
    )


def _prepared(prepared: Prepared, limits: Thresholds) -> Iterator[Finding]:
    if found := severity(prepared.seconds, limits.transaction_seconds):
        yield Finding(
            severity=found,
            check="transactions",
            subject=f"prepared transaction {prepared.name} ({prepared.who})",
            evidence=f"prepared {duration(prepared.seconds)} ago and neither committed nor rolled back; it keeps its locks",
            action="Ask its transaction manager which of the two it is; to give it up",
            statement=prepared.stop,
        )


def judge_undo(seen: Undo, limits: Thresholds) -> Verdict:
    figures = f"{seen.entries:,} old row versions kept"
    if (found := severity(seen.entries, limits.undo_entries)) is None:
        return Verdict(figures=figures)
    finding = Finding(
        severity=found,
        check="undo",
        subject="InnoDB's history list",
        evidence=figures,
        action="A long transaction, or too few purge threads, keeps them; see the check transactions",
    )
    return Verdict((finding,), figures)


def judge_locks(waits: Sequence[Wait], limits: Thresholds) -> Verdict:
    """One finding for each session that others wait for, and that waits for nobody itself."""
    if not waits:
        return Verdict(figures="nobody waits")
    longest = max(wait.seconds for wait in waits)
    figures = f"{len({wait.waiting.pid for wait in waits})} wait, the longest for {duration(longest)}"
    findings: list[Finding] = []
    for holder, behind in _behind(waits).items():
        wait = max(behind, key=lambda each: each.seconds)
        if found := severity(wait.seconds, limits.blocked_seconds):
            findings.append(_blocker(found, holder, wait, len({each.waiting.pid for each in behind})))
    return Verdict(tuple(findings), figures)


def _behind(waits: Sequence[Wait]) -> Mapping[Session | None, list[Wait]]:
    """All waits that would end with each root: a session that blocks and does not wait, or nobody where that is not known."""
    blocked_by: defaultdict[int | None, list[Wait]] = defaultdict(list)
    for wait in waits:
        blocked_by[wait.holder.pid if wait.holder else None].append(wait)
    waiting = {wait.waiting.pid for wait in waits}
    holders = {wait.holder.pid: wait.holder for wait in waits if wait.holder}
    roots: list[Session | None] = [holder for pid, holder in holders.items() if pid not in waiting]
    if None in blocked_by:
        roots.append(None)
    if not roots:  # a deadlock, which the engine is about to resolve
        roots += list(holders.values())[:1]
    found: dict[Session | None, list[Wait]] = {}
    for root in roots:
        reached: set[int | None] = set()
        pending: list[int | None] = [root.pid if root else None]
        found[root] = []
        while pending:
            pid = pending.pop()
            if pid in reached:
                continue
            reached.add(pid)
            found[root] += blocked_by[pid]
            pending += [wait.waiting.pid for wait in blocked_by[pid]]
    return found


def _blocker(found: Severity, holder: Session | None, wait: Wait, count: int) -> Finding:
    others = f", and {count - 1} more wait behind it" if count > 1 else ""
    waiting = (
        f"pid {wait.waiting.pid} ({wait.waiting.who}) waits {duration(wait.seconds)} for {wait.lock} "
        f"with {_quoted(wait.waiting.query)}{others}"
    )
    if holder is None:
        subject, evidence, action = "a lock", waiting, "Its holder cannot be seen; end the oldest open transaction"
    else:
        subject = f"pid {holder.pid} ({holder.who})"
        idle = holder.idle_seconds is not None
        doing = f"is idle in its transaction for {duration(holder.idle_seconds or 0)} after" if idle else "runs, or ran,"
        opened = f", open for {duration(holder.seconds)}" if holder.seconds is not None else ""
        evidence = f"blocks others: {waiting}; it {doing} {_quoted(holder.query)}{opened}"
        action = "Let its program commit, or end it" if idle else "Wait for it, or end it"
    return Finding(
        severity=found,
        check="locks",
        subject=subject,
        evidence=evidence,
        action=action,
        statement=holder.stop if holder else None,
    )


def _quoted(query: str) -> str:
    return f"`{query}`" if query else "a query that is not known"


def judge_replication(seen: Replication, limits: Thresholds) -> Verdict:
    found = [finding for replica in seen.replicas for finding in _replica(replica, limits)]
    found += [finding for slot in seen.slots for finding in _slot(slot, limits)]
    if seen.archiving_fails:
        found.append(
            Finding(
                severity="critical",
                check="replication",
                subject="the log archive",
                evidence=f"archiving fails: {seen.archiving_fails}; the engine keeps all log until it works",
                action="Read why in the engine's log, and test archive_command by hand",
            )
        )
    return Verdict(
        tuple(found), f"{len(seen.replicas)} replicas, {len(seen.slots)} slots" if seen.replicas or seen.slots else "none"
    )


def _replica(replica: Replica, limits: Thresholds) -> Iterator[Finding]:
    if replica.stopped:
        yield Finding(
            severity="critical",
            check="replication",
            subject=replica.name,
            evidence=f"stopped: {replica.stopped}",
            action="Its data grows old; read the error, repair its cause, and start it again",
        )
        return
    late = None if replica.seconds is None else severity(replica.seconds, limits.replication_seconds)
    far = None if replica.bytes is None else severity(replica.bytes, limits.replication_bytes)
    if found := worst(late, far):
        behind = joined(
            [
                None if replica.seconds is None else duration(replica.seconds),
                None if replica.bytes is None else f"{size(replica.bytes)} of log",
            ]
        )
        yield Finding(
            severity=found,
            check="replication",
            subject=replica.name,
            evidence=f"{behind} behind",
            action="Look for long queries and slow disks there, and for bulk writes here",
        )


def _slot(slot: Slot, limits: Thresholds) -> Iterator[Finding]:
    kept = slot.kept_bytes or 0
    found = severity(kept, limits.kept_log_bytes)
    if slot.lost:
        yield Finding(
            severity="critical",
            check="replication",
            subject=f"slot {slot.name}",
            evidence="the log that its follower needs is gone",
            action="Set its follower up again; the slot is of no more use",
            statement=slot.drop,
        )
    elif found:
        yield Finding(
            severity=found,
            check="replication",
            subject=f"slot {slot.name}",
            evidence=f"{'in use' if slot.active else 'used by nobody'}, and keeps {size(kept)} of log on the disk",
            action="Its follower has to catch up" if slot.active else "If its follower is gone for good",
            statement=None if slot.active else slot.drop,
        )

"""From when on a figure is worth a finding: one table for all engines. Pure."""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Level:
    """A figure from which on a finding is a warning, and one from which on it is critical."""

    warning: float
    critical: float


@dataclass(frozen=True)
class Thresholds:
    """The figures that findings are judged by. Times are in seconds, sizes in bytes, shares from 0 to 1."""

    connections_share: Level = Level(0.8, 0.95)
    blocked_seconds: Level = Level(5, 60)
    idle_in_transaction_seconds: Level = Level(60, 900)
    transaction_seconds: Level = Level(300, 3_600)

    cache_share: float = 0.9
    """Below it, after at least `cache_reads`, memory is short."""
    cache_reads: int = 1_000_000
    undo_entries: Level = Level(1_000_000, 10_000_000)
    """Old row versions that the engine has not been able to remove."""

    replication_seconds: Level = Level(60, 600)
    replication_bytes: Level = Level(256 * MIB, 4 * GIB)
    kept_log_bytes: Level = Level(1 * GIB, 16 * GIB)
    """Log that an engine keeps for a replica that does not fetch it."""

    large_rows: int = 10_000
    """Smaller tables are read from end to end faster than they are discussed."""
    dead_share: float = 0.2
    dead_rows: int = 10_000
    reclaimable_share: float = 0.4
    reclaimable_bytes: int = 16 * MIB
    changed_share: float = 0.3
    """The part of a table that has changed since its statistics were made."""
    full_reads: float = 100
    """How often a large table was read from end to end, while rows were read one by one in at least `full_read_rows`."""
    full_read_rows: int = 5_000_000

    unused_lookups: int = 1_000
    """An index that none of so many reads of its table has used is not needed by them."""
    unused_bytes: int = 1 * MIB

    sequence_share: Level = Level(0.75, 0.9)
    wraparound_share: Level = Level(0.4, 0.75)

    log_bytes: Level = Level(64 * MIB, 1 * GIB)
    """SQLite's write-ahead log."""
    free_share: float = 0.25
    free_bytes: int = 16 * MIB


THRESHOLDS = Thresholds()

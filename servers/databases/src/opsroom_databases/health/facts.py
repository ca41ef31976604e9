"""What was seen of an engine's state, in the same words for every engine; None where an engine does not tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Connections:
    used: int
    limit: int
    idle_in_transaction: int | None = None


@dataclass(frozen=True)
class Cache:
    """Blocks that were asked for since the engine began to count."""

    found: int
    read: int
    setting: str
    """What makes it larger."""


@dataclass(frozen=True)
class Session:
    """Somebody's session, with the transaction that it is in."""

    pid: int
    who: str
    seconds: float | None = None
    """How long the transaction is open."""
    idle_seconds: float | None = None
    """How long it has been doing nothing inside of the transaction; None while it works."""
    waits: bool = False
    """It waits for a lock, so that another session is to blame."""
    query: str = ""
    """What it runs, or ran last, fit to show."""
    stop: str | None = None
    """The statement that ends it."""


@dataclass(frozen=True)
class Prepared:
    """A transaction that was prepared for a second phase, which has not come."""

    name: str
    who: str
    seconds: float
    stop: str


@dataclass(frozen=True)
class Transactions:
    sessions: tuple[Session, ...]
    prepared: tuple[Prepared, ...] = ()


@dataclass(frozen=True)
class Wait:
    """A session that waits for a lock, and one that holds it, or stands before it in the queue."""

    waiting: Session
    seconds: float
    lock: str
    """What is waited for, such as `row of public.orders`."""
    holder: Session | None


@dataclass(frozen=True)
class Undo:
    """Old row versions that InnoDB still keeps."""

    entries: int


@dataclass(frozen=True)
class Replica:
    """Somebody who follows this engine, or this engine where it follows another."""

    name: str
    seconds: float | None = None
    bytes: int | None = None
    stopped: str | None = None
    """Why it does not follow at all."""


@dataclass(frozen=True)
class Slot:
    """Log that is kept for a follower."""

    name: str
    active: bool
    kept_bytes: int | None
    lost: bool
    drop: str


@dataclass(frozen=True)
class Replication:
    replicas: tuple[Replica, ...] = ()
    slots: tuple[Slot, ...] = ()
    archiving_fails: str | None = None
    """The log file that could not be archived, and since when."""


@dataclass(frozen=True)
class Table:
    name: str
    rows: int
    bytes: int | None = None
    dead_rows: int | None = None
    reclaimable_bytes: int | None = None
    """Space that rewriting the table would give back."""
    changed_rows: int | None = None
    """Rows changed since the statistics were made."""
    has_statistics: bool | None = None
    scanned_rows: int | None = None
    """Rows that were read by reading the whole table."""
    lookups: int | None = None
    """Reads of the table in any way."""
    vacuumed: str | None = None
    """When it was vacuumed last, in words."""
    vacuum: str | None = None
    """The statement that removes dead rows."""
    analyze: str | None = None
    """The statement that makes the statistics."""
    rewrite: str | None = None
    """What gives the reclaimable space back, in words."""


@dataclass(frozen=True)
class Tables:
    tables: tuple[Table, ...]
    reclaimable_how: str = ""
    """How the reclaimable space was found."""
    never_vacuumed: str | None = None
    """Why nobody vacuums by itself, and what to do."""


@dataclass(frozen=True)
class Index:
    name: str
    table: str
    columns: tuple[str, ...]
    """What it sorts by; an expression as text that is equal where the expression is."""
    order: tuple[str, ...] = ()
    """What else must be equal column by column: direction, operator class, collation."""
    includes: frozenset[str] = frozenset()
    method: str = "btree"
    where: str = ""
    """The condition of a partial index."""
    unique: bool = False
    required: bool = False
    """A constraint is built on it, so that it cannot be dropped alone."""
    hidden: bool = False
    """It stands for an order that the table has by itself."""
    valid: bool = True
    uses: int | None = None
    bytes: int | None = None
    drop: str = ""
    rebuild: str = ""


@dataclass(frozen=True)
class ForeignKey:
    table: str
    columns: tuple[str, ...]
    to: str
    create: str
    """The statement that makes an index for it."""


@dataclass(frozen=True)
class Indexing:
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict[str, Table])
    since: str | None = None
    """Since when uses are counted, in words."""


@dataclass(frozen=True)
class Counter:
    """A sequence, or the numbers of an automatic key."""

    name: str
    last: int
    first: int
    limit: int
    """The last number that it, and the column that it fills, can hold."""
    then: str
    """What to do before it runs out."""


@dataclass(frozen=True)
class Counters:
    counters: tuple[Counter, ...]


@dataclass(frozen=True)
class Age:
    """How far a database, or its oldest table, is on the way to running out of transaction numbers."""

    name: str
    age: int
    limit: int
    what: str
    vacuum: str


@dataclass(frozen=True)
class Ages:
    ages: tuple[Age, ...]


@dataclass(frozen=True)
class Damage:
    """What the engine found wrong with its files."""

    problems: tuple[str, ...]
    more: bool
    looked_at: str


@dataclass(frozen=True)
class Violations:
    """Rows whose foreign key points nowhere, by table and the table that they point to."""

    counts: Mapping[tuple[str, str], int]
    more: bool


@dataclass(frozen=True)
class DatabaseFile:
    page_size: int
    pages: int
    free_pages: int
    journal: str
    log_bytes: int

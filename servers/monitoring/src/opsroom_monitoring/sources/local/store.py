"""Keeps samples, log lines and silences in one SQLite file, in one thread, bounded in age, series and bytes."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from opsroom_shared.errors import TooLarge, Unavailable

from .exposition import Description, Exposed, LabelSet

T = TypeVar("T")
Floats: TypeAlias = npt.NDArray[np.float64]

MAX_SERIES = 20_000
MAX_BYTES = 512 << 20
MAX_READ = 160 << 20
"""Bytes of samples that one question may read."""
STALE = np.array([0x7FF0000000000002], dtype=np.uint64).view(np.float64)
"""Stands for "not there any more", as in Prometheus: a NaN that no target sends."""
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, name TEXT NOT NULL,
  labels TEXT NOT NULL, UNIQUE (source, name, labels));
CREATE TABLE IF NOT EXISTS layout (id INTEGER PRIMARY KEY, source TEXT NOT NULL, members BLOB NOT NULL, UNIQUE (source, members));
CREATE TABLE IF NOT EXISTS scrape (id INTEGER PRIMARY KEY, source TEXT NOT NULL, at REAL NOT NULL, layout INTEGER NOT NULL,
  samples BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS scrape_source_at ON scrape (source, at);
CREATE INDEX IF NOT EXISTS scrape_at ON scrape (at);
CREATE TABLE IF NOT EXISTS metric (name TEXT PRIMARY KEY, type TEXT, help TEXT, unit TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS target (source TEXT PRIMARY KEY, job TEXT NOT NULL, instance TEXT NOT NULL, url TEXT NOT NULL,
  problem TEXT, since REAL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_line (id INTEGER PRIMARY KEY, at REAL NOT NULL, labels TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_line_at ON log_line (at);
CREATE TABLE IF NOT EXISTS log_file (path TEXT PRIMARY KEY, inode INTEGER NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS silence (id TEXT PRIMARY KEY, matchers TEXT NOT NULL, starts REAL NOT NULL, ends REAL NOT NULL,
  author TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A series that the store has."""

    key: int
    source: str
    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Block:
    """Samples of series that were scraped together. Where a series was not there the value is STALE."""

    series: Sequence[Known]
    times: Floats
    values: Floats
    """One row for each time, one column for each series."""


class TargetRow(NamedTuple):
    """How a target was when it was last looked at."""

    job: str
    instance: str
    url: str
    problem: str | None
    since: float


class SilenceRow(NamedTuple):
    """A silence as it is kept; the matchers as JSON."""

    key: str
    matchers: str
    starts: float
    ends: float
    author: str
    reason: str


@dataclass
class _Index:
    """What is known without asking the file."""

    series: dict[int, Known] = field(default_factory=dict[int, Known])
    keys: dict[tuple[str, str, LabelSet], int] = field(default_factory=dict[tuple[str, str, LabelSet], int])
    by_name: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    layouts: dict[tuple[str, bytes], int] = field(default_factory=dict[tuple[str, bytes], int])
    metrics: dict[str, tuple[str | None, str | None, str | None]] = field(
        default_factory=dict[str, tuple[str | None, str | None, str | None]]
    )
    last: int = 0


class Store:
    """The file. `run` is how everything reaches it: a function that is given the connection's owner, in its thread."""

    def __init__(self, path: Path, keep_seconds: float, *, max_series: int = MAX_SERIES, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._keep, self._max_series, self._max_bytes = keep_seconds, max_series, max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="monitoring-store")
        self._opened: sqlite3.Connection | None = None
        self._index = _Index()

    async def run(self, work: Callable[["Store"], T]) -> T:
        """What *work* gives, in the store's thread. Raises Unavailable where the file cannot be used."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.now, work)

    def now(self, work: Callable[["Store"], T]) -> T:
        """As `run`, for who is in the thread already or alone."""
        try:
            return work(self)
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"The store of local telemetry cannot be used: {error}.") from None

    async def aclose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self.close)
        self._thread.shutdown(wait=False)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            opened = sqlite3.connect(self.path, timeout=5.0, isolation_level=None)
            opened.executescript("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            version = int(opened.execute("PRAGMA user_version").fetchone()[0])
            if version not in (0, _SCHEMA_VERSION):
                opened.close()
                raise sqlite3.DatabaseError(f"{self.path.name} was written by another version; remove it to begin anew")
            opened.executescript(f"{_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION};")
            self._opened = opened
            self._index = _Index()
        return self._opened

    # What is written.

    def append(self, source: str, at: float, samples: Iterable[Exposed]) -> int:
        """What was seen at one time. A series of *source* that is not in *samples* is gone.

        How many samples were left out, because there are too many series.
        """
        left_out = 0
        keys: list[int] = []
        values: list[float] = []
        with self._writing():
            for sample in samples:
                if (key := self._key(source, sample.name, sample.labels)) is None:
                    left_out += 1
                else:
                    keys.append(key)
                    values.append(sample.value)
            self._write(source, keys, [(at, np.asarray(values, dtype=np.float64).tobytes())])
        return left_out

    def append_history(self, source: str, series: Sequence[tuple[str, LabelSet]], times: Floats, values: Floats) -> None:
        """Many looks at the same series at once: a row of *values* for each time."""
        with self._writing():
            keys = [self._key(source, name, labels) for name, labels in series]
            if None in keys:
                raise TooLarge(f"More than {self._max_series:,} series are not kept.")
            rows = np.ascontiguousarray(values, dtype=np.float64)
            self._write(
                source,
                [key for key in keys if key is not None],
                [(float(at), rows[index].tobytes()) for index, at in enumerate(times)],
            )

    @contextmanager
    def _writing(self) -> Generator[None]:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._refresh()
            yield
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            self._index = _Index()  # it may know keys that were never written
            raise

    def _write(self, source: str, keys: list[int], rows: Sequence[tuple[float, bytes]]) -> None:
        members = np.asarray(keys, dtype=np.int32).tobytes()
        layout = self._index.layouts.get((source, members))
        if layout is None:
            self.connection.execute("INSERT OR IGNORE INTO layout (source, members) VALUES (?, ?)", (source, members))
            found = self.connection.execute("SELECT id FROM layout WHERE source = ? AND members = ?", (source, members))
            layout = self._index.layouts[source, members] = int(found.fetchone()[0])
        self.connection.executemany(
            "INSERT INTO scrape (source, at, layout, samples) VALUES (?, ?, ?, ?)",
            [(source, at, layout, samples) for at, samples in rows],
        )

    def _key(self, source: str, name: str, labels: LabelSet) -> int | None:
        known = self._index.keys.get((source, name, labels))
        if known is not None:
            return known
        if len(self._index.series) >= self._max_series:
            return None
        added = self.connection.execute(
            "INSERT INTO series (source, name, labels) VALUES (?, ?, ?)", (source, name, json.dumps(labels))
        )
        key = int(added.lastrowid or 0)
        self._learn(key, source, name, labels)
        return key

    def describe(self, about: Mapping[str, Description]) -> None:
        """Keeps what targets say about their metrics."""
        told = {name: (each.type, each.help, each.unit) for name, each in about.items()}
        news = [(name, *each) for name, each in told.items() if self._index.metrics.get(name) != each]
        if news:
            self.connection.executemany("INSERT OR REPLACE INTO metric VALUES (?, ?, ?, ?)", news)
            self._index.metrics.update(told)

    def trim(self, now: float) -> None:
        """Drops what is older than a day, or more than the file may hold; then what nothing refers to any more."""
        connection = self.connection
        connection.execute("DELETE FROM scrape WHERE at < ?", (now - self._keep,))
        connection.execute("DELETE FROM log_line WHERE at < ?", (now - self._keep,))
        connection.execute("DELETE FROM target WHERE seen < ?", (now - self._keep,))
        connection.execute("DELETE FROM silence WHERE ends < ?", (now - self._keep,))
        for _ in range(40):
            if self.bytes_used() <= self._max_bytes:
                break
            table = self._larger_table()
            connection.execute(
                f"DELETE FROM {table} WHERE at <= (SELECT min(at) + (max(at) - min(at)) * 0.1 FROM {table})"  # noqa: S608 - names of ours
            )
        connection.execute("DELETE FROM layout WHERE id NOT IN (SELECT DISTINCT layout FROM scrape)")
        self._forget_unused()
        connection.executescript("PRAGMA incremental_vacuum(20000)")

    def _larger_table(self) -> Literal["scrape", "log_line"]:
        """Which of samples and log lines takes more, so that a loud log does not push out the metrics."""
        samples, lines = (
            int(self.connection.execute(query).fetchone()[0] or 0)
            for query in ("SELECT sum(length(samples)) FROM scrape", "SELECT sum(length(text)) FROM log_line")
        )
        return "scrape" if samples >= lines else "log_line"

    def bytes_used(self) -> int:
        pages, free, size = (
            int(self.connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _forget_unused(self) -> None:
        used: set[int] = set()
        for (members,) in self.connection.execute("SELECT members FROM layout"):
            used.update(np.frombuffer(members, dtype=np.int32).tolist())
        self._refresh()
        unused = [key for key in self._index.series if key not in used]
        if unused:
            self.connection.executemany("DELETE FROM series WHERE id = ?", [(key,) for key in unused])
        self._index = _Index()

    # What is read.

    def known(self, name: str | None = None) -> Sequence[Known]:
        """The series called *name*, or all."""
        self._refresh()
        if name is None:
            return list(self._index.series.values())
        return [self._index.series[key] for key in self._index.by_name.get(name, ())]

    def names(self) -> Sequence[str]:
        self._refresh()
        return sorted(self._index.by_name)

    def descriptions(self) -> Mapping[str, Description]:
        rows = self.connection.execute("SELECT name, type, help, unit FROM metric")
        return {name: Description(kind, text, unit) for name, kind, text, unit in rows}

    def read(self, wanted: Sequence[Known], start: float, end: float) -> list[Block]:
        """The samples of *wanted* from *start* to *end*. Raises TooLarge."""
        by_source: dict[str, list[Known]] = {}
        for each in wanted:
            by_source.setdefault(each.source, []).append(each)
        budget = MAX_READ
        blocks: list[Block] = []
        for source, members in by_source.items():
            window = (source, start, end)
            size = self.connection.execute(
                "SELECT sum(length(samples)) FROM scrape WHERE source = ? AND at >= ? AND at <= ?", window
            ).fetchone()[0]
            budget -= int(size or 0)
            if budget < 0:
                raise TooLarge("That would read too many samples of the local store. Ask for a shorter time.")
            rows = self.connection.execute(
                "SELECT at, layout, samples FROM scrape WHERE source = ? AND at >= ? AND at <= ? ORDER BY at", window
            ).fetchall()
            if rows:
                blocks.append(self._block(members, rows))
        return blocks

    def seen(self, wanted: Sequence[Known], start: float, end: float) -> list[Known]:
        """Those of *wanted* that have samples from *start* to *end*."""
        rows = self.connection.execute(
            "SELECT members FROM layout WHERE id IN (SELECT DISTINCT layout FROM scrape WHERE at >= ? AND at <= ?)", (start, end)
        )
        there: set[int] = set()
        for (members,) in rows:
            there.update(np.frombuffer(members, dtype=np.int32).tolist())
        return [each for each in wanted if each.key in there]

    def _block(self, members: Sequence[Known], rows: Sequence[tuple[float, int, bytes]]) -> Block:
        values = np.full((len(rows), len(members)), STALE[0])
        values.view(np.uint64)[:] = STALE.view(np.uint64)[0]  # a float may lose which NaN it is on its way
        begin = 0
        while begin < len(rows):
            layout, end = rows[begin][1], begin + 1
            while end < len(rows) and rows[end][1] == layout:
                end += 1
            found = self.connection.execute("SELECT members FROM layout WHERE id = ?", (layout,)).fetchone()
            position = {key: index for index, key in enumerate(np.frombuffer(found[0], dtype=np.int32).tolist())}
            if position:
                part = np.frombuffer(b"".join(row[2] for row in rows[begin:end]), dtype=np.uint64).reshape(end - begin, -1)
                pairs = [(column, position[each.key]) for column, each in enumerate(members) if each.key in position]
                if pairs:
                    columns, places = (list(each) for each in zip(*pairs, strict=True))
                    values.view(np.uint64)[begin:end, columns] = part[:, places]
            begin = end
        return Block(members, np.array([row[0] for row in rows]), values)

    def _refresh(self) -> None:
        """Learns the series that this or another process has added."""
        rows = self.connection.execute(
            "SELECT id, source, name, labels FROM series WHERE id > ? ORDER BY id", (self._index.last,)
        )
        for key, source, name, labels in rows.fetchall():
            pairs: list[list[str]] = json.loads(labels)
            self._learn(key, source, name, tuple((label, value) for label, value in pairs))

    def _learn(self, key: int, source: str, name: str, labels: LabelSet) -> None:
        index = self._index
        index.series[key] = Known(key, source, name, dict(labels))
        index.keys[source, name, labels] = key
        index.by_name.setdefault(name, []).append(key)
        index.last = max(index.last, key)

    # Targets, logs and silences.

    def saw_target(self, source: str, target: TargetRow) -> None:
        """Keeps how a target is; `since` stays what it was while nothing has changed."""
        self.connection.execute(
            "INSERT INTO target VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source) DO UPDATE SET"
            " since = CASE WHEN (problem IS NULL) = (excluded.problem IS NULL) THEN since ELSE excluded.since END,"
            " url = excluded.url, problem = excluded.problem, seen = excluded.seen",
            (source, *target, target.since),
        )

    def targets(self, seen_since: float) -> Sequence[TargetRow]:
        rows = self.connection.execute(
            "SELECT job, instance, url, problem, since FROM target WHERE seen >= ? ORDER BY job, instance", (seen_since,)
        )
        return [TargetRow(*row) for row in rows]

    def log_position(self, path: str) -> tuple[int, int] | None:
        """The inode of a followed file and the bytes of it that were read."""
        row = self.connection.execute("SELECT inode, position FROM log_file WHERE path = ?", (path,)).fetchone()
        return (int(row[0]), int(row[1])) if row else None

    def add_lines(
        self, path: str, position: tuple[int, int], labels: Mapping[str, str], lines: Sequence[tuple[float, str]]
    ) -> None:
        with self._writing():
            encoded = json.dumps(dict(sorted(labels.items())))
            self.connection.executemany(
                "INSERT INTO log_line (at, labels, text) VALUES (?, ?, ?)", [(at, encoded, text) for at, text in lines]
            )
            self.connection.execute("INSERT OR REPLACE INTO log_file VALUES (?, ?, ?)", (path, *position))

    def log_labels(self) -> Sequence[str]:
        """The sets of labels that lines have, as they are kept."""
        return [row[0] for row in self.connection.execute("SELECT DISTINCT labels FROM log_line")]

    def log_bytes(self, start: float, end: float) -> int:
        row = self.connection.execute("SELECT sum(length(text)) FROM log_line WHERE at >= ? AND at <= ?", (start, end)).fetchone()
        return int(row[0] or 0)

    def log_lines(self, start: float, end: float) -> Iterator[tuple[float, str, str]]:
        """Time, labels and text, newest first."""
        yield from self.connection.execute(
            "SELECT at, labels, text FROM log_line WHERE at >= ? AND at <= ? ORDER BY at DESC, id DESC", (start, end)
        )

    def save_silence(self, row: SilenceRow) -> None:
        self.connection.execute("INSERT OR REPLACE INTO silence VALUES (?, ?, ?, ?, ?, ?)", row)

    def silences(self) -> Sequence[SilenceRow]:
        return [SilenceRow(*row) for row in self.connection.execute("SELECT * FROM silence ORDER BY starts DESC")]

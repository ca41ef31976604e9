"""What the names in a query mean for secrets: the columns of relations, of subqueries, and of the queries around. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

NOTHING: "frozenset[str]" = frozenset()


class Unfollowed(Exception):
    """The query is written in a way that is not understood; nothing may be concluded from it."""


@dataclass(frozen=True)
class Dialect:
    """What differs between engines in how names are resolved."""

    name: str
    """The dialect's name in sqlglot."""
    rows_are_values: bool = False
    """Whether the name of a table is a value, its row, and `row.f` may call f with it."""
    joined_first: bool = True
    """Whether `SELECT *` shows the columns of USING before all others."""
    plain_words: frozenset[str] = frozenset()
    """Keywords of the parser that are names like any other."""
    dots_read_fields: bool = False
    """Whether `column.f` is a field of a column, without parentheses."""
    aliases_at_once: bool = False
    """Whether a name given in a SELECT stands for its column in what follows there."""


@dataclass(frozen=True)
class Output:
    """A column of a relation or of a query's result."""

    name: str
    origins: frozenset[str] = NOTHING
    """The secret columns that it shows; empty for one that may be used freely."""
    certain: bool = False
    """Whether the engine gives it this name, too."""


Outputs: TypeAlias = "tuple[Output, ...] | None"
"""The columns of something, None where nobody knows them."""


def origins_of(columns: "Outputs | Sequence[Output]") -> frozenset[str]:
    return frozenset(origin for column in columns or () for origin in column.origins)


def renamed(columns: Outputs, names: Sequence[str]) -> Outputs:
    """*columns* with the first of them called *names*."""
    if columns is None or not names:
        return columns
    return tuple(replace(column, name=names[index]) if index < len(names) else column for index, column in enumerate(columns))


def distinct(columns: Outputs) -> Outputs:
    """*columns* with names that mean one of them each: engines call the second of one name differently."""
    if columns is None:
        return None
    names = [column.name.casefold() for column in columns]
    for column, name in zip(columns, names, strict=True):
        if column.origins and names.count(name) > 1:
            raise Unfollowed(f"two columns of a subquery are named {column.name}")
    return tuple(replace(column, name="") if names[index] in names[:index] else column for index, column in enumerate(columns))


@dataclass(frozen=True)
class Relation:
    """A table or view with its columns in the order of `SELECT *`, and those that only their names show."""

    name: str
    columns: tuple[Output, ...]
    hidden: tuple[Output, ...] = ()
    searches: bool = False
    """Whether a search in one of its columns may look into the others."""

    @property
    def everything(self) -> tuple[Output, ...]:
        return (*self.columns, *self.hidden)

    @property
    def secret(self) -> frozenset[str]:
        return origins_of(self.everything)


@dataclass(frozen=True)
class Source:
    """Something in FROM under the name, in lower case, by which the query calls it."""

    alias: str
    columns: Outputs
    hidden: tuple[Output, ...] = ()
    searches: bool = False

    @property
    def secret(self) -> frozenset[str]:
        return origins_of(self.columns) | origins_of(self.hidden)

    def find(self, name: str) -> frozenset[str] | None:
        """The secrets behind the column *name*; None where there is no such column, as far as anybody knows."""
        found = [column.origins for column in (*(self.columns or ()), *self.hidden) if column.name.casefold() == name]
        return NOTHING.union(*found) if found else None


@dataclass
class Scope:
    """The names that mean something in one SELECT. All lookups are in lower case."""

    outer: "Scope | None" = None
    sources: list[Source] = field(default_factory=list[Source])
    joined: list[Output] = field(default_factory=list[Output])
    """The columns of `*`."""
    open_ended: bool = False
    """Whether `*` has columns that nobody knows."""
    aliases: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """The secrets that names given in the SELECT stand for."""

    def levels(self) -> "Iterator[Scope]":
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    @property
    def secret(self) -> frozenset[str]:
        """Every secret that a name may mean here."""
        return NOTHING.union(*(source.secret for level in self.levels() for source in level.sources))

    @property
    def searchable(self) -> frozenset[str]:
        return NOTHING.union(*(source.secret for level in self.levels() for source in level.sources if source.searches))

    def called(self, alias: str) -> list[Source]:
        """The sources of the innermost query that has any of this name."""
        none: list[Source] = []
        return next((found for level in self.levels() if (found := [s for s in level.sources if s.alias == alias])), none)

    def row(self, alias: str) -> frozenset[str]:
        """The secrets in the rows of whatever is called *alias*."""
        return NOTHING.union(*(source.secret for level in self.levels() for source in level.sources if source.alias == alias))

    def column(self, qualifier: str, name: str, *, aliases: bool = True) -> frozenset[str] | None:
        """The secrets behind a column; None where no source is known to have one. *aliases* counts names of the SELECT too."""
        if qualifier:
            return _united(source.find(name) for source in self.called(qualifier))
        for level in self.levels():
            found = _united(source.find(name) for source in level.sources)
            given = level.aliases.get(name) if aliases else None
            if found is not None or given:
                return (found or NOTHING) | (given or NOTHING)
        return None

    def add(self, source: Source, using: Sequence[str] | None, *, joined_first: bool) -> None:
        """Another source. Of the columns *using* only the left one stands in `*`."""
        self.sources.append(source)
        if source.columns is None:
            self.open_ended = True
            return
        columns = [column for column in source.columns if column.name.casefold() not in (using or ())]
        if using and joined_first:
            first = [column for name in using for column in self.joined if column.name.casefold() == name]
            self.joined = [*first, *(column for column in self.joined if column not in first)]
        self.joined += columns

    def take_in(self, inner: "Scope") -> None:
        """The sources of a join in parentheses are those of the query around it."""
        self.sources += inner.sources
        self.joined += inner.joined
        self.open_ended = self.open_ended or inner.open_ended


def _united(found: "Iterator[frozenset[str] | None]") -> frozenset[str] | None:
    known = [each for each in found if each is not None]
    return NOTHING.union(*known) if known else None

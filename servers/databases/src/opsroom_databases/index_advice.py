"""Which indexes might help a query, read from its conditions, joins and order. Pure; whether they do is for the engine to say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

_PER_TABLE = 4
_MOST_COLUMNS = 3
_RANGES = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)


@dataclass(frozen=True)
class Candidate:
    """An index that does not exist."""

    table: str
    columns: tuple[str, ...]


@dataclass
class _Wanted:
    """The columns of one table by how the query uses them, in order of appearance."""

    equal: dict[str, None] = field(default_factory=dict[str, None])
    ranged: dict[str, None] = field(default_factory=dict[str, None])
    ordered: dict[str, None] = field(default_factory=dict[str, None])


def aliases(query: exp.Expr) -> dict[str, str]:
    """The name or alias by which each table is called in *query*, in lower case, and the table."""
    return {table.alias_or_name.lower(): table.name for table in query.find_all(exp.Table) if table.name}


def candidates(query: exp.Expr, tables: Iterable[str], columns: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """Indexes worth trying for *tables* (as the query calls them). *columns* gives those of each real table."""
    called = aliases(query)
    found: dict[Candidate, None] = {}
    for alias in tables:
        table = called.get(alias.lower())
        if table is None or table not in columns:
            continue
        wanted = _wanted(query, alias.lower(), {name.lower(): name for name in columns[table]})
        for chosen in _combinations(wanted)[:_PER_TABLE]:
            found[Candidate(table, chosen)] = None
    return list(found)


def _wanted(query: exp.Expr, alias: str, columns: Mapping[str, str]) -> _Wanted:
    wanted = _Wanted()
    for condition in query.find_all(exp.EQ, exp.In, exp.Is, exp.Between, exp.GT, exp.GTE, exp.LT, exp.LTE):
        sides = (condition.this, condition.expression) if isinstance(condition, exp.Binary) else (condition.this,)
        for side in sides:
            if name := _column(side, alias, columns):
                (wanted.ranged if isinstance(condition, _RANGES) else wanted.equal)[name] = None
    for clause in query.find_all(exp.Group, exp.Order):
        for term in clause.expressions:
            if name := _column(term.this if isinstance(term, exp.Ordered) else term, alias, columns):
                wanted.ordered[name] = None
    return wanted


def _column(node: object, alias: str, columns: Mapping[str, str]) -> str | None:
    """The table's column that *node* is, bare: inside a function no index on it can be searched."""
    while isinstance(node, exp.Paren):
        node = node.this
    if not isinstance(node, exp.Column) or (node.table and node.table.lower() != alias):
        return None
    return columns.get(node.name.lower())


def _combinations(wanted: _Wanted) -> list[tuple[str, ...]]:
    """The narrower first, so that the shortest index that helps is the one advised."""
    equal, ranged, ordered = list(wanted.equal), list(wanted.ranged), list(wanted.ordered)
    singles = [(name,) for name in dict.fromkeys([*equal, *ranged, *ordered])]
    wider: list[tuple[str, ...]] = []
    if len(equal) > 1:
        wider.append(tuple(equal))
    if equal and ranged:
        wider.append((*equal, ranged[0]))
    if equal and ordered:
        wider.append((*equal, *ordered))
    if len(ordered) > 1:
        wider.append(tuple(ordered))
    kept = [tuple(dict.fromkeys(columns))[:_MOST_COLUMNS] for columns in wider]
    return list(dict.fromkeys([*singles[: _PER_TABLE - min(2, len(kept))], *kept]))

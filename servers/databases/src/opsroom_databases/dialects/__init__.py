"""What the guard must know about each SQL dialect, as data; it costs nothing to import."""

import re
from dataclasses import dataclass, field

NOTHING_DENIED = re.compile(r"(?!)")


@dataclass(frozen=True)
class Rules:
    """One dialect's allow-lists. Names are compared in lower case."""

    dialect: str
    """The dialect's name in sqlglot."""
    functions: frozenset[str]
    """Functions that may be called; every other call is refused."""
    operators: frozenset[str] = frozenset()
    """Functions that the engine calls for its own operators."""
    pragmas: frozenset[str] = frozenset()
    """PRAGMAs that may be read."""
    pragmas_with_argument: frozenset[str] = frozenset()
    """PRAGMAs whose argument is the name of what to look at, never a new value."""
    nodes: frozenset[str] = frozenset()
    """Syntax nodes beyond those of every dialect, by class name in sqlglot."""
    denied_relations: re.Pattern[str] = field(default=NOTHING_DENIED)
    """Relations that show more than rows of the database."""
    plain_words: frozenset[str] = frozenset()
    """Keywords of the parser that are names like any other in this dialect."""
    tables_take_arguments: bool = False
    """Whether `FROM name(…)` opens a table of that name and can never call a function."""
    explain_words: tuple[tuple[str, ...], ...] = ((),)
    """What may stand between EXPLAIN and the statement."""

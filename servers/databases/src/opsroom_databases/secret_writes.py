"""Follows secret columns through a statement that writes: they may be written, and neither read nor copied. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from opsroom_shared.errors import NotPermitted
from sqlglot import exp

from .secret_lineage import Follower, Known
from .secret_scope import Dialect, Outputs, Relation, Scope, Source, origins_of
from .write_safety import Write, target_of

_READ = ("this", "expression", "expressions", "conflict", "returning", "with_", "from_", "using")


class WriteFollower(Follower):
    """Follows one INSERT, UPDATE or DELETE."""

    def __init__(self, relations: Mapping[str, Relation], dialect: Dialect, write: Write) -> None:
        super().__init__(relations, dialect, write.sql)
        self._write = write

    def returned(self) -> Outputs:
        """The columns of RETURNING. Raises NotPermitted for a use of a secret, Unfollowed for what is not understood."""
        tree = self._write.tree
        known = self._with(tree, {}, None)
        scope = Scope()
        self._from(target_of(tree), {}, scope)
        target = scope.sources[0]
        for source in _sources(tree):
            self._from(source, known, scope)
        if isinstance(tree, exp.Update):
            for assignment in tree.expressions:
                if not isinstance(assignment, exp.EQ):
                    raise NotPermitted("Only assignments can stand behind SET.")
                self._condition(assignment.expression, known, scope)
        if isinstance(tree, exp.Insert):
            self._inserted(tree, target, known)
        outputs: list[Outputs] = []
        if returning := tree.args.get("returning"):
            outputs = [self._projection(each, known, scope) for each in returning.expressions]
        self._clauses(tree, _READ, known, scope, None)
        self._all_read(tree)
        return None if any(each is None for each in outputs) else tuple(column for each in outputs for column in each or ())

    def _inserted(self, tree: exp.Insert, target: Source, known: Known) -> None:
        values = tree.args.get("expression")
        if isinstance(values, exp.Query | exp.Values):
            self._refuse(origins_of(self._query(values, known, None)), values, "to be copied")
        elif isinstance(values, exp.Expr):
            self._condition(values, known, Scope())
        if conflict := tree.args.get("conflict"):
            # what was to be inserted is the caller's own
            own = tuple(replace(column, origins=frozenset()) for column in target.columns or ())
            called = ("excluded", values.alias.casefold() if isinstance(values, exp.Values) else "")
            inside = Scope(sources=[target, *(Source(name, own) for name in called if name)])
            self._only_of(inside, conflict)
            for assignment in conflict.expressions:
                set_to = assignment.expression if isinstance(assignment, exp.EQ) else assignment
                self._condition(set_to.copy().transform(_without_inserted), known, inside)
            self._clauses(conflict, ("expressions",), known, inside, None)

    def _only_of(self, scope: Scope, conflict: exp.Expr) -> None:
        """Refuses secrets that are not of *scope*: on some engines those of the query that is inserted have names here, too."""
        for column in conflict.find_all(exp.Column):
            name = column.name.casefold()
            if name in self._names and scope.column(column.table.casefold(), name) is None:
                self._refuse(frozenset({name}), column)


def _without_inserted(node: exp.Expr) -> exp.Expr:
    """NULL for VALUES(column), which is the value that was to be inserted."""
    return exp.Null() if isinstance(node, exp.Anonymous) and node.name.upper() in ("VALUES", "VALUE") else node


def _sources(tree: exp.Expr) -> list[exp.Expr]:
    """What an UPDATE or DELETE reads besides the table that it changes."""
    found = [tree.args["from_"].this] if tree.args.get("from_") else []
    using = tree.args.get("using")
    return [*found, *(using if isinstance(using, list) else [using] if isinstance(using, exp.Expr) else [])]

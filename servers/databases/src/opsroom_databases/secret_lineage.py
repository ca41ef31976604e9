"""Follows secret columns through a query: which columns of its result they become, and where they are used otherwise. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from opsroom_shared.errors import NotPermitted
from sqlglot import exp

from .secret_scope import NOTHING, Dialect, Output, Outputs, Relation, Scope, Source, Unfollowed, distinct, origins_of, renamed
from .secret_syntax import column_aliases, is_parenthesised_join, names_index, nodes, shows_nothing, standing_alone, written_names
from .sql_position import marked

_DEEPEST = 60
_SYSTEM = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


@dataclass(frozen=True)
class _Named:
    """A common table expression. One that is not `ready` stands further on: engines differ in whether its name means it yet."""

    columns: Outputs = None
    ready: bool = True


Known: TypeAlias = Mapping[str, _Named]


class Follower:
    """Follows one statement. A strict one refuses every use of a secret that could show something of it.

    One that is not strict reads the definition of a view, whose author decided what it does: there an expression of secrets
    is a secret itself, and conditions are left alone.
    """

    def __init__(self, relations: Mapping[str, Relation], dialect: Dialect, sql: str, *, strict: bool = True) -> None:
        text = sql.casefold()
        self._relations, self._dialect, self._sql, self._strict = relations, dialect, sql, strict
        self._secret_relations = {name.rpartition(".")[2] for name, relation in relations.items() if relation.secret}
        self._names = {
            column.name.casefold()
            for relation in relations.values()
            for column in relation.everything
            if column.origins and column.name.casefold() in text
        }
        """Every name under which a secret may be meant: those of the schema, and those that the query gives."""
        self.used: set[tuple[str, str]] = set()
        """The secret columns of tables that the statement reads."""
        self._depth = 0

    def query(self, tree: exp.Expr) -> Outputs:
        """The columns of the result, None where nobody knows how many there are, and none is secret.

        Raises NotPermitted for a use that would show a secret, Unfollowed for what is not understood.
        """
        try:
            outputs = self._query(tree, {}, None)
        except RecursionError:
            raise Unfollowed("it is nested too deeply") from None
        if self._strict:
            self._all_read(tree)
        return outputs

    def _all_read(self, tree: exp.Expr) -> None:
        """Refuses where the text names a secret more often than the tree does: the parser has left something out."""
        if not self._names:
            return
        named: Counter[str] = Counter()
        for node in tree.walk():
            if isinstance(node, exp.Identifier | exp.Var | exp.Anonymous):
                named[node.name.casefold()] += 1
        written = written_names(self._sql, self._dialect)
        if missing := [name for name in self._names if written[name] > named[name]]:
            raise Unfollowed(f"{missing[0]} stands where no column is expected")

    def _query(self, node: exp.Expr, known: Known, outer: Scope | None) -> Outputs:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unfollowed("it is nested too deeply")
        try:
            known = self._with(node, known, outer)
            if isinstance(node, exp.Select):
                return self._select(node, known, outer)
            if isinstance(node, exp.SetOperation):
                return self._set_operation(node, known, outer)
            if isinstance(node, exp.Subquery):
                return self._subquery(node, known, outer)
            if isinstance(node, exp.Values):
                return self._values(node, known, outer)
            raise Unfollowed(f"{type(node).__name__} is not understood")
        finally:
            self._depth -= 1

    def _with(self, node: exp.Expr, known: Known, outer: Scope | None) -> Known:
        clause = node.args.get("with_")
        if clause is None:
            return known
        names = [cte.alias.casefold() for cte in clause.expressions]
        if len(set(names)) < len(names):
            raise Unfollowed("two common table expressions have one name")
        worked = {**known, **{name: _Named(ready=False) for name in names if name in self._secret_relations or name in known}}
        for cte, name in zip(clause.expressions, names, strict=True):
            body = cte.this
            reads_itself = name in {table.name.casefold() for table in body.find_all(exp.Table) if not table.db}
            if reads_itself and isinstance(body.unnest(), exp.SetOperation):
                outputs = self._recursive(name, cte, worked, outer)
            else:
                inside = {each: named for each, named in worked.items() if each != name}
                if name in known:
                    inside[name] = known[name]
                outputs = renamed(self._query(body, inside, outer), column_aliases(cte))
            worked[name] = _Named(distinct(outputs))
        return worked

    def _recursive(self, name: str, cte: exp.Expr, known: Known, outer: Scope | None) -> Outputs:
        """An expression that reads itself may not carry secrets at all: what it does with them is not followed."""
        if name in self._secret_relations:
            raise Unfollowed(f"{name} is both a table and a common table expression that reads itself")
        first: exp.Expr = cte.this
        while isinstance(first, exp.SetOperation | exp.Subquery):
            first = first.this
        shape = renamed(self._query(first, known, outer), column_aliases(cte))
        clean = None if shape is None else tuple(Output(column.name) for column in shape)
        outputs = self._query(cte.this, {**known, name: _Named(clean)}, outer)
        secrets = origins_of(outputs)
        self._refuse(secrets, cte, "inside a common table expression that reads itself")
        if clean is None:
            return None
        return tuple(replace(column, origins=secrets) for column in clean)

    def _set_operation(self, node: exp.SetOperation, known: Known, outer: Scope | None) -> Outputs:
        left, right = self._query(node.this, known, outer), self._query(node.expression, known, outer)
        both = [*(left or ()), *(right or ())]
        compares = not isinstance(node, exp.Union) or node.args.get("distinct") is not False
        if compares:
            self._refuse(origins_of(both), node, "where rows are compared")
        if node.args.get("by_name") or node.args.get("on") or node.args.get("side") or node.args.get("kind"):
            raise Unfollowed("this form of UNION is not understood")
        if left is None or right is None:
            if origins_of(both):
                raise Unfollowed("it combines columns that nobody knows with masked ones")
            outputs: Outputs = None
        elif len(left) != len(right):
            raise Unfollowed("the two sides of a set operation have different numbers of columns")
        else:
            outputs = tuple(replace(one, origins=one.origins | other.origins) for one, other in zip(left, right, strict=True))
        scope = Scope(outer)
        for column in both:
            self._alias(scope, column.name, column.origins)
        self._clauses(node, ("this", "expression", "with_"), known, scope, outputs)
        return outputs

    def _subquery(self, node: exp.Subquery, known: Known, outer: Scope | None) -> Outputs:
        if isinstance(node.this, exp.Table):
            raise Unfollowed("a join in parentheses stands where a query was expected")
        outputs = self._query(node.this, known, outer)
        scope = Scope(outer)
        for column in outputs or ():
            self._alias(scope, column.name, column.origins)
        self._clauses(node, ("this", "with_", "alias", "joins"), known, scope, outputs)
        return outputs

    def _values(self, node: exp.Values, known: Known, outer: Scope | None) -> Outputs:
        scope = Scope(outer)
        width: set[int] = set()
        for row in node.expressions:
            cells = row.expressions if isinstance(row, exp.Tuple) else [row]
            width.add(len(cells))
            for cell in cells:
                self._refuse(self._flow(cell, known, scope), cell)
        self._clauses(node, ("expressions", "alias", "with_"), known, scope, None)
        return tuple(Output(f"column{number + 1}") for number in range(min(width, default=0)))

    def _select(self, node: exp.Select, known: Known, outer: Scope | None) -> Outputs:
        scope = Scope(outer)
        if source := node.args.get("from_"):
            self._from(source.this, known, scope)
        for lateral in node.args.get("laterals") or ():
            self._from(lateral, known, scope)
        for join in node.args.get("joins") or ():
            self._join(join, known, scope)
        outputs: list[Output] = []
        open_ended = False
        for projection in node.expressions:
            shown = self._projection(projection, known, scope)
            open_ended = open_ended or shown is None
            outputs += shown or ()
            if self._dialect.aliases_at_once:
                for column in shown or ():
                    self._alias(scope, column.name, column.origins)
        for column in outputs:
            self._alias(scope, column.name, column.origins)
        secret = origins_of(outputs)
        distinct = node.args.get("distinct")
        if distinct is not None and not distinct.args.get("on"):
            self._refuse(secret, distinct, "where rows are compared")
        result = tuple(outputs)
        read = ("from_", "laterals", "joins", "expressions", "with_")
        self._clauses(node, read, known, scope, None if open_ended else result)
        if open_ended and secret:
            raise Unfollowed("it shows columns that nobody knows beside masked ones")
        return None if open_ended else result

    def _from(self, node: exp.Expr, known: Known, scope: Scope, using: Sequence[str] | None = None) -> None:
        """Adds what stands in FROM or JOIN. *using* names the columns that both sides share and that are shown once."""
        if is_parenthesised_join(node):
            if node.alias:
                raise Unfollowed("a join in parentheses has a name")
            self._parenthesised(node, known, scope, using)
            return
        source, nested = self._source(node, known, scope)
        scope.add(source, using, joined_first=self._dialect.joined_first)
        for join in nested:
            self._join(join, known, scope)

    def _parenthesised(self, node: exp.Expr, known: Known, scope: Scope, using: Sequence[str] | None) -> None:
        inner = Scope(scope)
        self._from(node.this, known, inner)
        for join in node.args.get("joins") or ():
            self._join(join, known, inner)
        if using is not None and (inner.secret or scope.secret):
            raise Unfollowed("a join in parentheses is joined by the names of columns")
        scope.take_in(inner)

    def _source(self, node: exp.Expr, known: Known, scope: Scope) -> tuple[Source, list[exp.Expr]]:
        alias = node.args.get("alias")
        renames = [column.name for column in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
        if isinstance(node, exp.Table):
            return self._table(node, renames, known, scope), list(node.args.get("joins") or ())
        name = node.alias.casefold()
        if isinstance(node, exp.Subquery):
            return self._derived(name, self._query(node, known, scope), renames), list(node.args.get("joins") or ())
        if isinstance(node, exp.Values):
            return self._derived(name, self._query(node, known, scope), renames), []
        if isinstance(node, exp.Lateral):
            if isinstance(node.this, exp.Subquery | exp.Select | exp.SetOperation):
                return self._derived(name, self._query(node.this, known, scope), renames), []
            self._refuse(self._flow(node.this, known, scope), node)
            return Source(name, None), []
        if isinstance(node, exp.Unnest | exp.Func):
            for argument in node.iter_expressions():
                if not isinstance(argument, exp.TableAlias):
                    self._refuse(self._flow(argument, known, scope), argument)
            return Source(name or node.name.casefold(), None), []
        raise Unfollowed(f"{type(node).__name__} in FROM is not understood")

    def _derived(self, name: str, columns: Outputs, renames: Sequence[str]) -> Source:
        return Source(name, distinct(renamed(columns, renames)))

    def _table(self, node: exp.Table, renames: Sequence[str], known: Known, scope: Scope) -> Source:
        if node.args.get("pivots"):
            raise Unfollowed("PIVOT is not understood")
        alias = node.alias_or_name.casefold()
        for key, value in node.args.items():
            if key not in ("this", "db", "catalog", "alias", "joins"):
                for part in nodes(value):
                    self._refuse(self._flow(part, known, scope), part)
        if not isinstance(node.this, exp.Identifier):
            return self._table_function(node, known, scope)
        if not node.db and node.name.casefold() in known:
            named = known[node.name.casefold()]
            if not named.ready:
                raise Unfollowed(f"{node.name} may be a table or a common table expression")
            return self._derived(alias, named.columns, renames)
        source = self._table_source(f"{node.db}.{node.name}" if node.db else node.name, alias)
        if source.secret and names_index(node):
            raise Unfollowed("it names an index, and rows that come in the order of one tell of its columns")
        return replace(source, columns=renamed(source.columns, renames))

    def _table_function(self, node: exp.Table, known: Known, scope: Scope) -> Source:
        called = node.this.name.casefold() if node.this is not None else ""
        if called in self._secret_relations:
            self._refuse(frozenset({called}), node, "in a search")
        if node.this is not None:
            self._refuse(self._flow(node.this, known, scope), node)
        return Source(node.alias_or_name.casefold() or called, None)

    def _table_source(self, name: str, alias: str) -> Source:
        bare = name.rpartition(".")[2].casefold()
        relation = self._relations.get(name.casefold()) or self._relations.get(bare)
        if relation is None:
            if bare in self._secret_relations:
                raise Unfollowed(f"there are several relations named {bare}")
            return Source(alias.casefold(), None)
        return Source(alias.casefold(), relation.columns, relation.hidden, relation.searches)

    def _join(self, join: exp.Expr, known: Known, scope: Scope) -> None:
        if not isinstance(join, exp.Join):
            raise Unfollowed(f"{type(join).__name__} is not understood")
        using = [name.name.casefold() for name in join.args.get("using") or ()]
        natural = str(join.args.get("method") or "").upper() == "NATURAL"
        if natural:
            right = Scope(scope.outer)
            self._from(join.this, known, right)
            if (scope.open_ended or right.open_ended) and (scope.secret or right.secret):
                raise Unfollowed("NATURAL JOIN with columns that nobody knows")
            theirs = {column.name.casefold() for column in right.joined}
            using = [name for name in dict.fromkeys(column.name.casefold() for column in scope.joined) if name in theirs]
        self._from(join.this, known, scope, using if using or natural else None)
        for name in using:
            shared = NOTHING.union(*(source.find(name) or NOTHING for source in scope.sources))
            self._refuse(shared, join, "in a join")
        for key, value in join.args.items():
            if key not in ("this", "using"):
                for part in nodes(value):
                    self._condition(part, known, scope)

    def _projection(self, node: exp.Expr, known: Known, scope: Scope) -> Outputs:
        if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
            return self._star(node, scope)
        bare = node.this if isinstance(node, exp.Alias) else node
        name = node.alias if isinstance(node, exp.Alias) else node.name if isinstance(node, exp.Column) else ""
        if isinstance(bare, exp.Column) and not isinstance(bare.this, exp.Star):
            found = self._plain(bare, scope)
            if found is not None:
                return (Output(name, found, certain=isinstance(node, exp.Alias)),)
        origins = self._flow(bare, known, scope)
        self._refuse(origins, bare)
        return (Output(name, origins, certain=isinstance(node, exp.Alias)),)

    def _plain(self, node: exp.Column, scope: Scope) -> frozenset[str] | None:
        """The secrets behind a column that stands alone; None where it is no column but a whole row, or nobody knows."""
        found = scope.column(node.table.casefold(), node.name.casefold(), aliases=False)
        return None if found is None else self._use(found)

    def _star(self, node: exp.Expr, scope: Scope) -> Outputs:
        star = node.this if isinstance(node, exp.Column) else node
        if any(star.args.get(key) for key in star.args):
            raise Unfollowed("this form of * is not understood")
        if isinstance(node, exp.Star):
            columns: Outputs = None if scope.open_ended else tuple(scope.joined)
            if columns is None and any(source.secret for source in scope.sources):
                raise Unfollowed("* shows columns that nobody knows beside masked ones")
        else:
            qualifier = cast("exp.Column", node).table.casefold()
            sources = scope.called(qualifier)
            if len(sources) != 1:
                raise Unfollowed(f"{qualifier}.* is not understood")
            columns = sources[0].columns
        if columns is None:
            return None
        self._use(origins_of(columns))
        return tuple(replace(column, certain=bool(column.name)) for column in columns)

    def _clauses(self, node: exp.Expr, read: Sequence[str], known: Known, scope: Scope, outputs: Outputs) -> None:
        """Everything of a query that is no source and no projection."""
        for key, value in node.args.items():
            if key in read:
                continue
            for part in nodes(value):
                if key in ("order", "group", "distinct") or isinstance(part, exp.Order | exp.Group):
                    self._positions(part, outputs)
                self._condition(part, known, scope)

    def _positions(self, clause: exp.Expr, outputs: Outputs) -> None:
        """Refuses a number in *clause* that stands for a masked column of the result."""
        for number in standing_alone(clause):
            chosen = outputs or ()
            if number.name.isdecimal():
                chosen = chosen[max(int(number.name[:6]) - 1, 0) : int(number.name[:6])]
            self._refuse(origins_of(chosen), number)

    def _condition(self, node: exp.Expr, known: Known, scope: Scope) -> None:
        self._refuse(self._flow(node, known, scope), node)

    def _flow(self, node: exp.Expr, known: Known, scope: Scope) -> frozenset[str]:
        """The secrets that the value of an expression, or what it compares, depends on."""
        found: set[str] = set()
        waiting = [node]
        while waiting:
            each = waiting.pop()
            origins = self._own_flow(each, known, scope)
            if origins is None:
                waiting += each.iter_expressions()
                continue
            self._refuse(origins, each)
            found |= origins
        return frozenset(found)

    def _own_flow(self, node: exp.Expr, known: Known, scope: Scope) -> frozenset[str] | None:
        """What *node* gives away; None where its parts say so."""
        if isinstance(node, exp.Query | exp.Values):
            outputs = self._query(node, known, scope)
            return NOTHING if isinstance(node.parent, exp.Exists) else origins_of(outputs)
        if isinstance(node, exp.Column):
            return self._column(node, scope)
        if isinstance(node, exp.Star):
            return NOTHING if isinstance(node.parent, exp.Count) else scope.secret
        if isinstance(node, exp.Table | exp.In):
            return self._relation_as_value(node, known)
        if shows_nothing(node) and self._plain(cast("exp.Column", node.this), scope) is not None:
            return NOTHING
        return self._word(node, scope)

    def _word(self, node: exp.Expr, scope: Scope) -> frozenset[str] | None:
        """What a search, or a name that is no column to the parser, gives away."""
        if isinstance(node, exp.Identifier | exp.Var) and node.name.casefold() in self._names:
            return frozenset({node.name.casefold()})
        is_search = isinstance(node, exp.Match | exp.MatchAgainst) or (
            isinstance(node, exp.Anonymous) and node.name.lower() == "match"
        )
        return (scope.searchable or None) if is_search else None

    def _relation_as_value(self, node: exp.Expr, known: Known) -> frozenset[str] | None:
        """The secrets of a table that stands as a list of values: `x IN t`."""
        table = node.args.get("field") if isinstance(node, exp.In) else node
        names = {part.name.casefold() for part in table.find_all(exp.Identifier)} if isinstance(table, exp.Expr) else set[str]()
        found = NOTHING.union(*(origins_of(known[name].columns) for name in names if name in known))
        return found | {name for name in names if name not in known and name in self._secret_relations} or None

    def _column(self, node: exp.Column, scope: Scope) -> frozenset[str]:
        """The secrets that a name may stand for, wherever it could be looked up."""
        qualifier, name = node.table.casefold(), node.name.casefold()
        if isinstance(node.this, exp.Star):
            return scope.row(qualifier)
        found = scope.column(qualifier, name)
        if found is not None:
            return self._use(found)
        if self._dialect.dots_read_fields and (fields := self._read_of(node, scope)):
            return self._use(fields)
        if qualifier and scope.called(qualifier):
            calls = self._dialect.rows_are_values and name not in _SYSTEM
            return scope.row(qualifier) if calls else NOTHING
        is_relation = name in self._secret_relations and (self._dialect.rows_are_values or bool(qualifier))
        suspected = is_relation or (name in self._names and bool(scope.secret))
        return scope.row(name) or (frozenset({name}) if suspected else NOTHING)

    def _read_of(self, node: exp.Column, scope: Scope) -> frozenset[str]:
        """The secrets in the columns whose fields *node* may be."""
        parts = [part.name.casefold() for part in node.parts[:-1]]
        return NOTHING.union(
            *(scope.column("", part) or (frozenset({part}) if part in self._names else NOTHING) for part in parts)
        )

    def _alias(self, scope: Scope, name: str, origins: frozenset[str]) -> None:
        if origins:
            scope.aliases[name.casefold()] = scope.aliases.get(name.casefold(), NOTHING) | origins
            self._names.add(name.casefold())

    def _use(self, origins: frozenset[str]) -> frozenset[str]:
        for origin in origins:
            relation, _, column = origin.rpartition(".")
            self.used.add((relation, column))
        return origins

    def _refuse(self, origins: frozenset[str], node: exp.Expr, place: str = "") -> None:
        if not origins or not self._strict:
            return
        raise NotPermitted(refusal(origins, place) + self._place(node))

    def _place(self, node: exp.Expr) -> str:
        starts = [part.meta["start"] for part in node.find_all(exp.Identifier) if "start" in part.meta]
        return f"\n{marked(self._sql, min(starts))}" if starts and self._sql else ""


def refusal(origins: Iterable[str], place: str = "") -> str:
    """Why a statement may not run, and what may be done instead."""
    names = sorted(origins)
    which = ", ".join(names)
    one = len(names) == 1
    setting = ", ".join(f'"{name}"' for name in names)
    return (
        f"{which} {'looks like a secret and is' if one else 'look like secrets and are'} masked, and may not be used "
        f"{place or 'here'}: only as a plain column of the result, with IS NULL or IS NOT NULL, or in count(). "
        f"A person shows {'it' if one else 'them'} with mask_except = [{setting}] in the settings of this database."
    )

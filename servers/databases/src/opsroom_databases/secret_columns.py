"""Which columns of which relation hold secrets: by name, and through views and generated columns by what they are made of."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from opsroom_shared.errors import NotPermitted, ToolFailure
from sqlglot import exp

from .secret_lineage import Follower
from .secret_names import Policy
from .secret_scope import Dialect, Output, Outputs, Relation, Unfollowed
from .secret_syntax import parsed
from .secret_writes import WriteFollower
from .write_safety import Write

MASK = "***"
"""What stands for a value that is masked."""

_MOST_VIEWS = 2_000
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Shape:
    """A table or view as the engine has it. `columns` stand in the order of `SELECT *`."""

    name: str
    """As a statement may call it; a second name, such as `schema.name`, is an entry of its own."""
    columns: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    """Columns that `SELECT *` leaves out and that can be named all the same."""
    generated: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    """Generated columns with their expressions, None where it is not known."""
    same_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """A column, and further names of it."""
    definition: str | None = None
    """The query of a view, alone."""
    opaque: bool = False
    """A view whose query nobody knows: it may show any secret."""
    copies: tuple[str, ...] = ()
    """Columns that hold values of other relations, such as the statistics of a planner."""
    searches: bool = False
    """A full-text index: a search in it looks into all of its columns."""
    stores: str | None = None
    """The relation whose values this one keeps, in whatever form."""


@dataclass(frozen=True)
class Masked:
    """Which columns of one result are masked."""

    positions: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    """Position from 0, and the secret columns behind it."""
    expected: tuple[str | None, ...] | None = None
    """The names of the result's columns, None for one that the engine makes up; None altogether where nothing is masked."""
    used: frozenset[tuple[str, str]] = frozenset()
    """The secret columns, with their relations, that the statement reads in ways that show nothing of them."""

    def check(self, names: Iterable[str]) -> None:
        """Compares with the *names* that the engine gives. Raises NotPermitted where the statement was understood wrongly."""
        if self.expected is None:
            return
        given = list(names)
        fits = len(given) == len(self.expected) and all(
            want is None or want.casefold() == have.casefold() for want, have in zip(self.expected, given, strict=True)
        )
        if not fits:
            raise NotPermitted(
                "The statement reads columns that are masked, and which of the result's columns they are is not certain. "
                "Name the columns instead of *."
            )

    def words(self, names: Iterable[str]) -> list[str]:
        """Each masked column of the result, and what it is made of."""
        given = list(names)
        return [f"{given[at]} ({', '.join(origins)})" for at, origins in sorted(self.positions.items()) if at < len(given)]


NOTHING_MASKED = Masked()


class SecretColumns:
    """The secret columns of one database, worked out once for its schema."""

    def __init__(self, policy: Policy, shapes: Iterable[Shape], dialect: Dialect, *, whole: bool = True) -> None:
        """*whole* says that *shapes* are all of the schema: without any secret in it, nothing can copy one."""
        self._policy, self._dialect = policy, dialect
        self._shapes = {shape.name.casefold(): shape for shape in shapes}
        self._relations: dict[str, Relation] = {}
        self._in_work: set[str] = set()
        self._mentions: dict[str, frozenset[str]] = {}
        self._whole = whole
        if policy.on:
            self._work_out()
        self._secret = {name: relation for name, relation in self._relations.items() if relation.secret}

    def of(self, relation: str) -> Mapping[str, tuple[str, ...]]:
        """The secret columns of *relation*, by name, with what they are made of."""
        found = self._relations.get(relation.casefold())
        return {column.name: tuple(sorted(column.origins)) for column in found.everything if column.origins} if found else {}

    @property
    def tables(self) -> frozenset[tuple[str, str]]:
        """Every secret column of a table that is not the engine's own storage, in the writing of the schema."""
        return frozenset(
            (shape.name, column.name)
            for name, relation in self._secret.items()
            if (shape := self._shapes[name]).definition is None and shape.stores is None and not shape.searches
            for column in relation.everything
            if column.origins and column.name in shape.columns
        )

    def judge(self, sql: str, tree: exp.Expr | None = None) -> Masked:
        """What to mask in the result of the query *sql*, whose *tree* is that of an earlier reading.

        Raises NotPermitted where a secret is used in another way than to be shown.
        """
        if not self.mentioned(sql):
            return NOTHING_MASKED
        try:
            tree = tree or parsed(sql, self._dialect)
        except Unfollowed as reason:
            raise NotPermitted(self._not_followed(str(reason))) from None
        follower = Follower(self._relations, self._dialect, sql)
        try:
            outputs = follower.query(tree)
        except Unfollowed as reason:
            raise NotPermitted(self._not_followed(str(reason))) from None
        return replace(_masked(outputs), used=frozenset(follower.used))

    def judge_write(self, write: Write) -> Masked:
        """What to mask in the rows of RETURNING. Raises NotPermitted where a secret is read, or would lose its mask."""
        mentioned = self.mentioned(write.sql)
        if not mentioned or isinstance(write.tree, exp.Drop):
            return NOTHING_MASKED
        if write.kind == "definition":
            raise NotPermitted(
                f"{', '.join(sorted(mentioned))}: columns here are masked, and a changed definition could show them. "
                "A person makes it by other means, or sets mask_except for these columns."
            )
        try:
            outputs = WriteFollower(self._relations, self._dialect, write).returned()
        except Unfollowed as reason:
            raise NotPermitted(self._not_followed(str(reason))) from None
        return _masked(outputs)

    def mentioned(self, sql: str) -> list[str]:
        """The relations with secrets whose names stand anywhere in *sql*, in its texts and comments too."""
        text = sql.casefold()
        plain = text.replace('""', '"').replace("``", "`").replace("]]", "]")
        return [name for name in self._secret if (bare := name.rpartition(".")[2]) in text or bare in plain]

    def _not_followed(self, reason: str) -> str:
        return (
            f"The statement reads a relation with masked columns in a way that cannot be followed: {reason}. "
            "Write it more simply, and name the columns that you need."
        )

    def _work_out(self) -> None:
        tables = [shape for shape in self._shapes.values() if shape.definition is None and shape.stores is None]
        for shape in tables:
            self._relations[shape.name.casefold()] = self._table(shape)
        if not self._whole or any(relation.secret for relation in self._relations.values()):
            for shape in self._shapes.values():
                if shape.stores is not None:
                    self._relations[shape.name.casefold()] = self._storage(shape)
                elif shape.copies:
                    self._relations[shape.name.casefold()] = _all_of(shape, shape.copies)
        views = [shape for shape in self._shapes.values() if shape.definition is not None]
        for shape in views:
            self._mentions[shape.name.casefold()] = frozenset(_WORD.findall((shape.definition or "").casefold()))
        for shape in views[:_MOST_VIEWS]:
            self._view(shape)
        for shape in views[_MOST_VIEWS:]:
            self._relations[shape.name.casefold()] = _all_of(shape, shape.columns)

    def _table(self, shape: Shape) -> Relation:
        secret = {column for column in (*shape.columns, *shape.hidden) if self._policy.masks(shape.name, column)}
        for column, expression in shape.generated.items():
            if column not in secret and secret and not self._policy.excepts(shape.name, column):
                words = set(_WORD.findall((expression or "").casefold()))
                if expression is None or any(part in words for name in secret for part in _WORD.findall(name.casefold())):
                    secret.add(column)
        if secret and shape.searches:
            secret |= set(shape.hidden)
        origins = {column: frozenset({f"{shape.name}.{column}"}) for column in secret}
        for column, others in shape.same_as.items():
            if column in secret:
                origins |= dict.fromkeys(others, origins[column])
        return _relation(shape, origins)

    def _storage(self, shape: Shape) -> Relation:
        owner = self._relations.get((shape.stores or "").casefold())
        # storage of unknown things may be that of anything
        return _all_of(shape, (*shape.columns, *shape.hidden)) if owner is None or owner.secret else _relation(shape, {})

    def _view(self, shape: Shape) -> Relation:
        key = shape.name.casefold()
        if key in self._relations:
            return self._relations[key]
        if key in self._in_work:
            return _all_of(shape, shape.columns)
        self._in_work.add(key)
        for other in self._shapes.values():  # what it may read has to be known before it
            if other.definition is not None and other is not shape and _last_words(other.name) & self._mentions[key]:
                self._view(other)
        self._relations[key] = self._followed(shape)
        return self._relations[key]

    def _followed(self, shape: Shape) -> Relation:
        definition = shape.definition or ""
        if shape.opaque:
            return _relation(shape, self._without_excepted(shape, {c: frozenset({f"{shape.name}.{c}"}) for c in shape.columns}))
        by_name = {
            column: frozenset({f"{shape.name}.{column}"}) for column in shape.columns if self._policy.masks(shape.name, column)
        }
        reads = [
            name
            for name, relation in self._relations.items()
            if relation.secret and _last_words(name) & self._mentions[shape.name.casefold()]
        ]
        if not reads:
            return _relation(shape, by_name)
        outputs = self._outputs(definition)
        if outputs is None or len(outputs) != len(shape.columns):
            # what it shows of the secrets is not known
            unknown = {column: frozenset({f"{shape.name}.{column}"}) for column in shape.columns}
            return _relation(shape, self._without_excepted(shape, unknown))
        made_of = {column: output.origins for column, output in zip(shape.columns, outputs, strict=True) if output.origins}
        return _relation(shape, self._without_excepted(shape, by_name | made_of))

    def _outputs(self, definition: str) -> Outputs:
        try:
            follower = Follower(self._relations, self._dialect, definition, strict=False)
            return follower.query(parsed(definition, self._dialect))
        except (Unfollowed, ToolFailure):
            return None

    def _without_excepted(self, shape: Shape, secret: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
        return {column: origins for column, origins in secret.items() if not self._policy.excepts(shape.name, column)}


def _masked(outputs: Outputs) -> Masked:
    positions = {at: tuple(sorted(output.origins)) for at, output in enumerate(outputs or ()) if output.origins}
    names = tuple(output.name if output.certain else None for output in outputs or ())
    return Masked(positions, names if positions else None)


def _last_words(name: str) -> set[str]:
    return set(_WORD.findall(name.casefold().rpartition(".")[2]))


def _all_of(shape: Shape, columns: Iterable[str]) -> Relation:
    return _relation(shape, {column: frozenset({f"{shape.name}.{column}"}) for column in columns})


def _relation(shape: Shape, secret: Mapping[str, frozenset[str]]) -> Relation:
    def outputs(columns: Iterable[str]) -> tuple[Output, ...]:
        return tuple(Output(column, secret.get(column, frozenset())) for column in columns)

    others = [other for names in shape.same_as.values() for other in names]
    return Relation(shape.name, outputs(shape.columns), outputs([*shape.hidden, *others]), searches=shape.searches)

"""The calls that pass between the server and the child process of a database, as JSON."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from opsroom_shared.errors import InvalidInput
from pydantic import TypeAdapter

from ..models import DatabaseStatus, Explanation, IndexDescription, TableDescription
from . import Relation, Rows, Sampling
from .generic_rows import Bounds

if TYPE_CHECKING:
    from .generic_session import Session

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call by its name, and how its result is written and read."""

    name: str
    result: TypeAdapter[T]

    def written(self, value: T) -> object:
        return self.result.dump_python(value, mode="json")


STATUS = Call("status", TypeAdapter(DatabaseStatus))
RELATIONS = Call("relations", TypeAdapter(list[Relation]))
DESCRIBE = Call("describe", TypeAdapter(TableDescription))
QUERY = Call("query", TypeAdapter(Rows))
EXPLAIN = Call("explain", TypeAdapter(Explanation))
INDEXES = Call("indexes", TypeAdapter(dict[str, list[IndexDescription]]))


@dataclass(frozen=True)
class Arguments:
    """What the calls may be given; each takes its own part."""

    sql: str = ""
    relation: str = ""
    analyze: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    bounds: Bounds = field(default_factory=lambda: Bounds(0, 0, 0, 0))


ARGUMENTS = TypeAdapter(Arguments)


def answered(session: "Session", name: str, given: object) -> object:
    """The result of the call *name*, in the child process. Raises a ToolFailure."""
    arguments = ARGUMENTS.validate_python(given)
    if name == STATUS.name:
        return STATUS.written(session.status())
    if name == RELATIONS.name:
        return RELATIONS.written(session.relations())
    if name == DESCRIBE.name:
        return DESCRIBE.written(session.describe(arguments.relation, arguments.sampling))
    if name == QUERY.name:
        return QUERY.written(session.query(arguments.sql, arguments.bounds))
    if name == EXPLAIN.name:
        return EXPLAIN.written(session.explain(arguments.sql, analyze=arguments.analyze))
    if name == INDEXES.name:
        return INDEXES.written(session.indexes())
    raise InvalidInput(f"There is no call {name}.")

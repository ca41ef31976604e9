"""What Conduit answers with, as models that forgive its habits: `[]` for an empty map, numbers as strings, epochs as times."""

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

T = TypeVar("T")

_LATEST = 253_402_300_799
"""The last second of the year 9999, after which Python has no date."""


def as_map(value: object) -> object:
    """A map where PHP, which has one type for both, wrote an empty map as an empty list."""
    return {} if value is None or value == [] else value


def as_number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.lstrip("-").isdecimal() else value


def as_time(value: object) -> datetime | None:
    number = as_number(value)
    if not isinstance(number, int) or not 0 < number <= _LATEST:
        return None
    return datetime.fromtimestamp(number, UTC)


def as_text(value: object) -> object:
    return "" if value is None else value


Number = Annotated[int, BeforeValidator(as_number)]
Time = Annotated[datetime | None, BeforeValidator(as_time)]
Text = Annotated[str, BeforeValidator(as_text)]
AnyMap = Annotated[dict[str, JsonValue], BeforeValidator(as_map)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Account(Wire):
    phid: str
    name: str = Field(alias="userName")
    roles: list[str] = []

    @property
    def is_bot(self) -> bool:
        return "agent" in self.roles or "bot" in self.roles


class User(Wire):
    phid: str
    name: str = Field(validation_alias=AliasPath("fields", "username"))
    roles: list[str] = Field(default=[], validation_alias=AliasPath("fields", "roles"))


class Handle(Wire):
    """What phid.query and phid.lookup know of an object of any kind."""

    phid: str
    kind: str = Field(alias="type")
    name: str
    uri: Text = ""


class Project(Wire):
    phid: str
    name: str = Field(validation_alias=AliasPath("fields", "name"))
    slug: str | None = Field(None, validation_alias=AliasPath("fields", "slug"))
    members: list[dict[str, str]] = Field(default=[], validation_alias=AliasPath("attachments", "members", "members"))

    @property
    def shown(self) -> str:
        return self.slug or self.name


class Column(Wire):
    phid: str
    name: Text = Field("", validation_alias=AliasPath("fields", "name"))
    hidden: bool = Field(default=False, validation_alias=AliasPath("fields", "isHidden"))
    sequence: Number = Field(0, validation_alias=AliasPath("fields", "sequence"))


class Repository(Wire):
    id: Number
    phid: str
    callsign: str | None = Field(None, validation_alias=AliasPath("fields", "callsign"))
    short_name: str | None = Field(None, validation_alias=AliasPath("fields", "shortName"))
    default_branch: str | None = Field(None, validation_alias=AliasPath("fields", "defaultBranch"))

    @property
    def shown(self) -> str:
        return self.short_name or self.callsign or f"R{self.id}"


class Reviewing(Wire):
    phid: str = Field(alias="reviewerPHID")
    status: str
    blocking: bool = Field(default=False, alias="isBlocking")
    actor: str | None = Field(None, alias="actorPHID")


class Revision(Wire):
    id: Number
    phid: str
    title: str = Field(validation_alias=AliasPath("fields", "title"))
    author: str = Field(validation_alias=AliasPath("fields", "authorPHID"))
    status: str = Field(validation_alias=AliasPath("fields", "status", "value"))
    closed: bool = Field(default=False, validation_alias=AliasPath("fields", "status", "closed"))
    repository: str | None = Field(None, validation_alias=AliasPath("fields", "repositoryPHID"))
    diff: str | None = Field(None, validation_alias=AliasPath("fields", "diffPHID"))
    summary: Text = Field("", validation_alias=AliasPath("fields", "summary"))
    test_plan: Text = Field("", validation_alias=AliasPath("fields", "testPlan"))
    draft: bool = Field(default=False, validation_alias=AliasPath("fields", "isDraft"))
    modified: Time = Field(None, validation_alias=AliasPath("fields", "dateModified"))
    reviewers: list[Reviewing] = Field(default=[], validation_alias=AliasPath("attachments", "reviewers", "reviewers"))

    @property
    def ref(self) -> str:
        return f"D{self.id}"


class DiffRef(Wire):
    kind: str = Field(alias="type")
    name: str | None = None
    identifier: str | None = None


class Diff(Wire):
    id: Number
    phid: str
    revision: str | None = Field(None, validation_alias=AliasPath("fields", "revisionPHID"))
    refs: list[DiffRef] = Field(default=[], validation_alias=AliasPath("fields", "refs"))
    created: Time = Field(None, validation_alias=AliasPath("fields", "dateCreated"))

    @property
    def base(self) -> str | None:
        return next((ref.identifier for ref in self.refs if ref.kind == "base"), None)

    @property
    def branch(self) -> str | None:
        return next((ref.name for ref in self.refs if ref.kind == "branch"), None)


class Wording(Wire):
    """One version of a comment."""

    id: Number
    phid: str
    removed: bool = False
    raw: Text = Field("", validation_alias=AliasPath("content", "raw"))


class Transaction(Wire):
    """One entry of the history of a revision or task. Many have no type: what they mean is not told."""

    id: Number
    phid: str
    kind: str | None = Field(None, alias="type")
    author: str = Field(alias="authorPHID")
    created: Time = Field(None, alias="dateCreated")
    group: str | None = Field(None, alias="groupID")
    comments: list[Wording] = []
    fields: AnyMap = {}

    @property
    def wording(self) -> Wording | None:
        """Its comment as it reads now. The versions come newest first."""
        return self.comments[0] if self.comments else None


class Place(Wire):
    """The fields of an inline comment's transaction. They do not say on which side it stands."""

    diff_id: Number | None = Field(None, validation_alias=AliasPath("diff", "id"))
    diff: str | None = Field(None, validation_alias=AliasPath("diff", "phid"))
    path: Text = ""
    line: Number | None = None
    length: Number = 1
    answers: str | None = Field(None, alias="replyToCommentPHID")
    done: bool = Field(default=False, alias="isDone")


class Buildable(Wire):
    phid: str
    object: str | None = Field(None, validation_alias=AliasPath("fields", "objectPHID"))


class Build(Wire):
    id: Number
    phid: str
    name: Text = Field("", validation_alias=AliasPath("fields", "name"))
    status: str = Field(validation_alias=AliasPath("fields", "buildStatus", "value"))


class Target(Wire):
    id: Number
    phid: str
    build: str | None = Field(None, validation_alias=AliasPath("fields", "buildPHID"))
    name: Text = Field("", validation_alias=AliasPath("fields", "name"))
    status: str = Field(validation_alias=AliasPath("fields", "status", "value"))
    status_name: Text = Field("", validation_alias=AliasPath("fields", "status", "name"))


class Log(Wire):
    target: str | None = Field(None, validation_alias=AliasPath("fields", "buildTargetPHID"))
    length: Number = Field(0, validation_alias=AliasPath("fields", "byteLength"))
    file: str | None = Field(None, validation_alias=AliasPath("fields", "filePHID"))


class TaskStatus(Wire):
    name: str
    value: str
    closed: bool = False


class TaskPriority(Wire):
    name: str
    keywords: list[str]
    value: Number


class OnBoard(Wire):
    phid: str
    name: Text = ""


class Board(Wire):
    columns: list[OnBoard] = []


class TaskRecord(Wire):
    id: Number
    phid: str
    title: str = Field(validation_alias=AliasPath("fields", "name"))
    body: Text = Field("", validation_alias=AliasPath("fields", "description", "raw"))
    author: str | None = Field(None, validation_alias=AliasPath("fields", "authorPHID"))
    owner: str | None = Field(None, validation_alias=AliasPath("fields", "ownerPHID"))
    status: str = Field(validation_alias=AliasPath("fields", "status", "value"))
    priority: Number | None = Field(None, validation_alias=AliasPath("fields", "priority", "value"))
    priority_name: Text = Field("", validation_alias=AliasPath("fields", "priority", "name"))
    modified: Time = Field(None, validation_alias=AliasPath("fields", "dateModified"))
    projects: list[str] = Field(default=[], validation_alias=AliasPath("attachments", "projects", "projectPHIDs"))
    boards: Annotated[dict[str, Board], BeforeValidator(as_map)] = Field(
        default={}, validation_alias=AliasPath("attachments", "columns", "boards")
    )

    @property
    def ref(self) -> str:
        return f"T{self.id}"


class Edge(Wire):
    source: str = Field(alias="sourcePHID")
    kind: str = Field(alias="edgeType")
    target: str = Field(alias="destinationPHID")


class Edited(Wire):
    """The answer to an edit. What changed nothing succeeds, too, with no transactions."""

    id: Number = Field(validation_alias=AliasPath("object", "id"))
    phid: str = Field(validation_alias=AliasPath("object", "phid"))
    transactions: list[dict[str, str]] = []

    @property
    def done(self) -> frozenset[str]:
        return frozenset(entry["phid"] for entry in self.transactions if "phid" in entry)


class Cursor(Wire):
    after: Annotated[str | None, BeforeValidator(lambda value: value if value is None else str(value))] = None


class Results(Wire, Generic[T]):
    """A page of a *.search method."""

    data: list[T]
    maps: AnyMap = {}
    cursor: Cursor = Cursor()

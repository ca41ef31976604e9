"""What GitHub sends, as far as it is read here."""

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

T = TypeVar("T")

Association = str
"""Such as OWNER or NONE; a value that is new to us is not trusted."""


class Rest(BaseModel):
    model_config = ConfigDict(frozen=True)


class Graph(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class Detail(Rest):
    resource: str | None = None
    field: str | None = None
    code: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        return self.message or " ".join(word for word in (self.resource, self.field, self.code) if word)


class Refusal(Rest):
    """The body of a REST answer that is no success."""

    message: str | None = None
    errors: list[Detail | str] | str | None = None

    def details(self) -> list[str]:
        errors = [self.errors] if isinstance(self.errors, str) else self.errors or []
        return [str(error) for error in errors[:5]]


class Problem(Rest):
    """One entry of GraphQL's errors."""

    message: str = ""
    type: str | None = None
    path: list[str | int] = Field(default_factory=list[str | int])


class Replied(Rest):
    data: JsonValue = None
    errors: list[Problem] = Field(default_factory=list[Problem])


class PageInfo(Graph):
    has_next_page: bool = False
    end_cursor: str | None = None


class Connection(Graph, Generic[T]):
    """A list of GraphQL. An entry that the account may not see is null."""

    nodes: list[T | None] | None = None
    total_count: int | None = None
    page_info: PageInfo = PageInfo()

    @property
    def items(self) -> list[T]:
        return [node for node in self.nodes or [] if node is not None]

    @property
    def following(self) -> str | None:
        """The cursor behind which there is more."""
        return self.page_info.end_cursor if self.page_info.has_next_page else None


class Actor(Graph):
    kind: str = Field(alias="__typename")
    login: str


class RepositoryName(Graph):
    name_with_owner: str


class Numbered(Graph):
    """A pull request or an issue that another one names."""

    number: int
    repository: RepositoryName

    def __str__(self) -> str:
        return f"{self.repository.name_with_owner}#{self.number}"


class Opinion(Graph):
    state: str


class Dated(Graph):
    """What a search finds and can sort."""

    id: str
    updated_at: datetime


class PullSummary(Graph):
    number: int
    title: str
    state: str
    is_draft: bool
    review_decision: str | None = None
    url: str
    updated_at: datetime
    head_ref_oid: str
    author: Actor | None = None
    repository: RepositoryName
    opinions: Connection[Opinion] | None = None


class Path(Graph):
    path: str


class FoundPull(PullSummary, Dated):
    files: Connection[Path] | None = None


class CommitId(Graph):
    oid: str


class ReviewSummary(Graph):
    author: Actor | None = None
    state: str
    commit: CommitId | None = None


class Reviewed(Graph):
    """Who is asked for a review: of a team its combined slug, of others the login."""

    kind: str = Field(alias="__typename")
    login: str | None = None
    combined_slug: str | None = None


class ReviewRequest(Graph):
    as_code_owner: bool = False
    requested_reviewer: Reviewed | None = None


class PullFile(Graph):
    path: str
    change_type: str
    additions: int
    deletions: int


class DatedCommit(Graph):
    oid: str
    committed_date: datetime


class PullCommit(Graph):
    commit: DatedCommit


class ForcePush(Graph):
    created_at: datetime | None = None
    before_commit: CommitId | None = None
    after_commit: CommitId | None = None


class Count(Graph):
    state: str
    count: int


class ContextCounts(Graph):
    check_run_counts_by_state: list[Count] | None = None
    status_context_counts_by_state: list[Count] | None = None


class RollupSummary(Graph):
    state: str
    contexts: ContextCounts


class TipCommit(Graph):
    status_check_rollup: RollupSummary | None = None


class Tip(Graph):
    commit: TipCommit


class ThreadState(Graph):
    is_resolved: bool


class Branch(Graph):
    associated_pull_requests: Connection[Numbered]


class PullMore(Graph):
    """The parts of a pull request that can need more pages."""

    files: Connection[PullFile] | None = None
    review_threads: Connection[ThreadState] | None = None


class Pull(PullSummary, PullMore):
    body: str
    author_association: Association
    viewer_did_author: bool
    locked: bool
    base_ref_name: str
    head_ref_name: str
    changed_files: int
    base_ref: Branch | None = None
    commits: Connection[PullCommit]
    forced: Connection[ForcePush]
    latest: Connection[ReviewSummary] | None = None
    opinionated: Connection[ReviewSummary] | None = None
    review_requests: Connection[ReviewRequest] | None = None
    closing_issues_references: Connection[Numbered] | None = None
    tip: Connection[Tip]


class AnIssue(Graph):
    """Nothing but that it is an issue."""

    kind: Literal["Issue"] = Field(alias="__typename")


class APull(Graph):
    """Nothing but that it is a pull request."""

    kind: Literal["PullRequest"] = Field(alias="__typename")


class CommentNode(Graph):
    id: str
    body: str
    created_at: datetime
    author: Actor | None = None
    author_association: Association


class ReviewId(Graph):
    id: str


class ReviewComment(CommentNode):
    state: str
    original_commit: CommitId | None = None
    pull_request_review: ReviewId | None = None


class ThreadNode(Graph):
    id: str
    is_resolved: bool
    is_outdated: bool
    path: str
    line: int | None = None
    start_line: int | None = None
    original_line: int | None = None
    original_start_line: int | None = None
    diff_side: str
    comments: Connection[ReviewComment]


class ReviewNode(CommentNode):
    state: str
    submitted_at: datetime | None = None
    commit: CommitId | None = None


class Annotation(Graph):
    path: str
    location: "AnnotationPlace"
    annotation_level: str | None = None
    message: str
    title: str | None = None


class AnnotationLine(Graph):
    line: int


class AnnotationPlace(Graph):
    start: AnnotationLine


class Context(Graph):
    """A check run or a commit status."""

    kind: Literal["CheckRun", "StatusContext"] = Field(alias="__typename")
    id: str
    name: str | None = None
    status: str | None = None
    conclusion: str | None = None
    details_url: str | None = None
    title: str | None = None
    context: str | None = None
    state: str | None = None
    target_url: str | None = None
    description: str | None = None


class Titled(Graph):
    title: str


class Named(Graph):
    name: str


class Login(Graph):
    login: str


class IssueNode(Dated):
    number: int
    title: str
    state: str
    state_reason: str | None = None
    url: str
    body: str
    author: Actor | None = None
    author_association: Association
    repository: RepositoryName
    assignees: Connection[Login]
    labels: Connection[Named] | None = None
    milestone: Titled | None = None
    parent: Numbered | None = None
    closed_by_pull_requests_references: Connection[Numbered] | None = None


class Commit(Rest):
    sha: str


class RestHead(Rest):
    sha: str
    ref: str


class RestPull(Rest):
    number: int
    state: str
    changed_files: int
    head: RestHead
    base: RestHead


class RestFile(Rest):
    filename: str
    status: str
    sha: str | None = None
    additions: int
    deletions: int
    changes: int
    contents_url: str = ""
    patch: str | None = None
    previous_filename: str | None = None


class RestComparison(Rest):
    status: str
    merge_base_commit: Commit
    files: list[RestFile] = Field(default_factory=list[RestFile])


class RestUser(Rest):
    login: str


class RestReview(Rest):
    node_id: str
    state: str
    html_url: str


class RestComment(Rest):
    html_url: str


class RestNumbered(Rest):
    number: int


class RestMade(Rest):
    number: int
    node_id: str

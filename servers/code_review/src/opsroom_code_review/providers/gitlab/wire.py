"""What GitLab sends, as far as it is read here."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}$")]
"""The id of a commit, which becomes part of addresses."""


class Rest(BaseModel):
    model_config = ConfigDict(frozen=True)


class User(Rest):
    id: int
    username: str
    state: str = "active"
    bot: bool | None = None
    """Only what GitLab says of the account itself has it."""


class Instance(Rest):
    version: str


class DiffRefs(Rest):
    """The three commits that a place in a diff is given by."""

    base_sha: Commit
    head_sha: Commit
    start_sha: Commit


class References(Rest):
    full: str


class PipelineHead(Rest):
    id: int
    status: str
    project_id: int | None = None
    web_url: str | None = None


class MergeRequest(Rest):
    iid: int
    title: str
    description: str | None = None
    state: str
    draft: bool = False
    author: User | None = None
    sha: Commit | None = None
    diff_refs: DiffRefs | None = None
    source_branch: str
    target_branch: str
    updated_at: AwareDatetime | None = None
    web_url: str | None = None
    references: References
    detailed_merge_status: str | None = None
    user_notes_count: int = 0
    reviewers: list[User] = Field(default_factory=list[User])
    head_pipeline: PipelineHead | None = None
    changes_count: str | None = None
    """How many files it changes; `1000+` where GitLab stopped counting."""

    @property
    def project(self) -> str:
        return self.references.full.rpartition("!")[0]


class DiffEntry(Rest):
    """One file of a diff. Collapsed, too large and undecodable ones have an empty *diff*."""

    old_path: str
    new_path: str
    a_mode: str = "0"
    b_mode: str = "0"
    new_file: bool = False
    renamed_file: bool = False
    deleted_file: bool = False
    collapsed: bool | None = None
    """None from a GitLab that does not say it."""
    too_large: bool | None = None
    diff: str = ""


class DiffVersion(Rest):
    id: int
    head_commit_sha: str | None = None
    created_at: AwareDatetime | None = None
    diffs: list[DiffEntry] = Field(default_factory=list[DiffEntry])


class Comparison(Rest):
    diffs: list[DiffEntry] = Field(default_factory=list[DiffEntry])
    compare_timeout: bool = False


class Approver(Rest):
    user: User


class Approvals(Rest):
    approved: bool = False
    approved_by: list[Approver] = Field(default_factory=list[Approver])
    user_has_approved: bool = False
    user_can_approve: bool = False


class Reviewing(Rest):
    """One reviewer, and where their review stands."""

    user: User
    state: str = "unreviewed"


class Blocking(Rest):
    """A dependency. What the account may not see is left out."""

    blocking_merge_request: MergeRequest | None = None


class LineEnd(Rest):
    old_line: int | None = None
    new_line: int | None = None


class LineRange(Rest):
    start: LineEnd | None = None


class Position(Rest):
    head_sha: str | None = None
    old_path: str | None = None
    new_path: str | None = None
    old_line: int | None = None
    new_line: int | None = None
    line_range: LineRange | None = None


class Note(Rest):
    id: int
    body: str = ""
    author: User | None = None
    created_at: AwareDatetime | None = None
    system: bool = False
    resolvable: bool = False
    resolved: bool = False
    position: Position | None = None


class Discussion(Rest):
    id: str
    notes: list[Note] = Field(default_factory=list[Note])


class Draft(Rest):
    """A comment that only its author sees."""

    id: int
    note: str = ""


class Job(Rest):
    """A job, a trigger of another pipeline, or what an outside system reported about a commit."""

    id: int
    name: str
    status: str
    allow_failure: bool = False
    web_url: str | None = None
    target_url: str | None = None


class CaseResult(Rest):
    name: str = ""
    file: str | None = None
    status: str = "unknown"
    system_output: str | dict[str, object] | None = None
    stack_trace: str | None = None


class SuiteResult(Rest):
    name: str = ""
    test_cases: list[CaseResult] = Field(default_factory=list[CaseResult])


class TestsReport(Rest):
    test_suites: list[SuiteResult] = Field(default_factory=list[SuiteResult])


class Member(User):
    access_level: int = 0


class Project(Rest):
    path_with_namespace: str
    default_branch: str | None = None


class Milestone(Rest):
    id: int
    title: str


class Issue(Rest):
    iid: int
    title: str
    description: str | None = None
    state: str
    labels: list[str] = Field(default_factory=list[str])
    milestone: Milestone | None = None
    assignees: list[User] = Field(default_factory=list[User])
    author: User | None = None
    updated_at: AwareDatetime | None = None
    web_url: str | None = None
    references: References

    @property
    def project(self) -> str:
        return self.references.full.rpartition("#")[0]


class Linked(Rest):
    """An issue that a merge request names. One of an outside system has no reference."""

    references: References | None = None


class Label(Rest):
    name: str


class BoardList(Rest):
    label: Label | None = None


class Board(Rest):
    name: str
    lists: list[BoardList] = Field(default_factory=list[BoardList])

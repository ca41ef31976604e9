"""What the tools return: structured for programs, and as a few lines for the reader who pays per token."""

from datetime import datetime
from typing import Literal

from opsroom_shared.tools import Answer
from pydantic import BaseModel, Field

from .diffs import FileKind, Side

ProviderKind = Literal["phabricator", "github", "gitlab", "local"]
ChangeState = Literal["draft", "open", "needs_changes", "accepted", "closed", "abandoned"]
ReviewerVerdict = Literal["none", "accepted", "changes_requested", "commented", "resigned"]
Verdict = Literal["comment", "accept", "request_changes"]
CheckState = Literal["queued", "running", "passed", "failed", "skipped", "unknown"]
CommentState = Literal["published", "draft", "in_summary", "duplicate", "rejected"]


class Person(BaseModel):
    """Someone, by the name that they sign in with."""

    name: str
    bot: bool = False


class Change(BaseModel):
    """A pull request, merge request, revision or branch that is, or was, up for review."""

    ref: str = Field(description="What to call it in other tools.")
    title: str
    state: ChangeState
    native_state: str | None = Field(default=None, description="The provider's own word.")
    author: Person | None = None
    repo: str | None = None
    version: str | None = None
    updated_at: datetime | None = None
    url: str | None = None


class Changes(Answer):
    changes: list[Change]
    next_cursor: str | None = None
    hint: str | None = None


class Version(BaseModel):
    id: str
    created_at: datetime | None = None


class Reviewer(BaseModel):
    who: Person
    verdict: ReviewerVerdict = "none"
    blocking: bool = False
    stale: bool = Field(default=False, description="Whether the verdict is about an earlier version.")


class ChangedFile(BaseModel):
    path: str
    old_path: str | None = None
    kind: FileKind
    added: int | None = None
    removed: int | None = None
    binary: bool = False


class ChecksSummary(BaseModel):
    state: CheckState
    failed: int = 0


class Can(BaseModel):
    """What can be done to this change here, with these settings and this account."""

    comment: bool = False
    accept: bool = False
    publish_inline: bool = False
    reply: bool = False
    resolve: bool = False


class ChangeDetails(Answer):
    change: Change
    summary: str = ""
    trusted: bool = Field(default=True, description="Whether who wrote title and summary is trusted.")
    test_plan: str | None = None
    base: str | None = None
    head: str | None = None
    versions: list[Version] = Field(default_factory=list[Version])
    reviewers: list[Reviewer] = Field(default_factory=list[Reviewer])
    files: list[ChangedFile] = Field(default_factory=list[ChangedFile])
    files_total: int | None = Field(default=None, description="Where not all files are listed.")
    tasks: list[str] = Field(default_factory=list[str])
    parents: list[str] = Field(default_factory=list[str])
    checks: ChecksSummary | None = None
    open_threads: int | None = Field(default=None, description="null where the provider cannot tell.")
    can: Can = Field(default_factory=Can)


class Commentable(BaseModel):
    """Lines, numbered in the file, on which a comment can stand."""

    side: Side
    start: int
    end: int


class DiffFile(BaseModel):
    path: str
    old_path: str | None = None
    kind: FileKind
    text: str = Field(description="Old and new line number, sign, line.")
    commentable: list[Commentable] = Field(default_factory=list[Commentable])


class Skipped(BaseModel):
    path: str
    reason: str


class Diff(Answer):
    version: str
    files: list[DiffFile]
    skipped: list[Skipped] = Field(default_factory=list[Skipped])
    complete: bool = Field(description="False when anything of what was asked for is not in this answer.")
    next_cursor: str | None = None
    hint: str | None = None


class FileText(Answer):
    path: str
    commit: str | None = None
    start: int = 1
    content: str = Field(serialization_alias="text", description="The lines, without numbers.")
    total_lines: int
    hint: str | None = None


class Anchor(BaseModel):
    """Where a thread stands in a diff."""

    path: str
    line: int | None = None
    end_line: int | None = None
    side: Literal["new", "old", "unknown"] = "unknown"
    version: str | None = None
    outdated: bool = False


class Comment(BaseModel):
    id: str
    author: Person | None = None
    trusted: bool = False
    at: datetime | None = None
    text: str
    verdict: str | None = None


class Thread(BaseModel):
    id: str
    anchor: Anchor | None = None
    resolved: bool | None = Field(default=None, description="null where the provider does not know.")
    comments: list[Comment]


class Threads(Answer):
    threads: list[Thread]
    next_cursor: str | None = None
    hint: str | None = None


class Annotation(BaseModel):
    path: str | None = None
    line: int | None = None
    level: str
    text: str


class Check(BaseModel):
    id: str
    name: str
    state: CheckState
    url: str | None = None
    annotations: list[Annotation] = Field(default_factory=list[Annotation])
    log_tail: str | None = None


class Checks(Answer):
    state: CheckState
    checks: list[Check]
    hint: str | None = None


class CommentOutcome(BaseModel):
    """What became of one inline comment."""

    index: int
    state: CommentState
    reason: str | None = None
    nearest_line: int | None = None
    thread: str | None = None


class ReviewResult(Answer):
    submitted: bool
    verdict: Verdict
    url: str | None = None
    comments: list[CommentOutcome]
    note: str | None = None


class ReplyResult(Answer):
    posted: bool
    resolved: bool | None = None
    url: str | None = None
    note: str | None = None


class ChangeEdited(Answer):
    change: Change
    changed: list[str]
    note: str | None = None


class BoardColumn(BaseModel):
    board: str
    column: str


class Task(BaseModel):
    ref: str
    title: str
    status: str
    open: bool = True
    body: str | None = None
    trusted: bool = Field(default=True, description="Whether who wrote title and body is trusted.")
    priority: str | None = None
    owner: Person | None = None
    author: Person | None = None
    projects: list[str] = Field(default_factory=list[str])
    columns: list[BoardColumn] = Field(default_factory=list[BoardColumn])
    parents: list[str] = Field(default_factory=list[str])
    changes: list[str] = Field(default_factory=list[str])
    updated_at: datetime | None = None
    url: str | None = None


class Vocabulary(BaseModel):
    """The words that status, priority and column take here."""

    statuses: list[str] = Field(default_factory=list[str])
    priorities: list[str] = Field(default_factory=list[str])
    columns: list[str] = Field(default_factory=list[str])


class Tasks(Answer):
    tasks: list[Task]
    vocabulary: Vocabulary = Field(default_factory=Vocabulary)
    next_cursor: str | None = None
    hint: str | None = None


class TaskSaved(Answer):
    task: Task
    changed: list[str]
    note: str | None = None

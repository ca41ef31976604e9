"""The systems behind the tools: one narrow Protocol, one package or module per system."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from opsroom_shared.config import ConfigError
from pydantic import JsonValue

from ..diffs import FileDiff, Side
from ..models import (
    Change,
    ChangeDetails,
    ChangeEdited,
    Checks,
    CommentOutcome,
    FileText,
    ProviderKind,
    ReplyResult,
    Task,
    TaskSaved,
    Thread,
    Verdict,
    Vocabulary,
)

if TYPE_CHECKING:
    from ..settings import CodeReviewSettings, ProviderSettings

T = TypeVar("T")

Role = Literal["author", "reviewer", "todo", "any"]
Openness = Literal["open", "closed", "all"]
NewState = Literal["draft", "ready", "changes_planned", "abandoned", "reopened"]


@dataclass(frozen=True)
class Page:
    """Which part of a listing: at most *limit* items from *position*, which an earlier part gave, or from the start."""

    limit: int = 20
    position: JsonValue = None


@dataclass(frozen=True)
class Found(Generic[T]):
    """Part of a listing. *position* is where the next part begins; None at the end."""

    items: list[T]
    position: JsonValue = None


@dataclass(frozen=True)
class ChangeQuery:
    role: Role = "any"
    """What the account of the provider has to do with it. `todo`: what waits for it, as reviewer or as author."""
    state: Openness = "open"
    repo: str | None = None
    author: str | None = None
    text: str | None = None
    path: str | None = None
    updated_since: datetime | None = None


@dataclass(frozen=True)
class TaskQuery:
    refs: tuple[str, ...] = ()
    """References of this provider, in its own form. With them, bodies are given in full."""
    text: str | None = None
    status: str | None = None
    """open, closed, all, or a word of the provider's own."""
    owner: str | None = None
    """A user name, `me`, or `none`."""
    project: str | None = None
    column: str | None = None
    priority: str | None = None
    updated_since: datetime | None = None


@dataclass(frozen=True)
class TasksFound(Found[Task]):
    vocabulary: Vocabulary = field(default_factory=Vocabulary)


@dataclass(frozen=True)
class ChangeDiff:
    """What a version changes, or what lies between two versions."""

    version: str
    repo: str | None
    files: list[FileDiff]
    missing: str | None = None
    """Why files are not in the list at all, if that is so: a forge that lists no more than its cap, for example."""


@dataclass(frozen=True)
class FileAt:
    """A file of a change's `head` or `base`, or of a commit of a repository. One of *change* and *repo* is given."""

    path: str
    change: str | None = None
    repo: str | None = None
    at: str = "head"


@dataclass(frozen=True)
class InlineComment:
    """A comment whose place exists in the diff of the review's version."""

    index: int
    """Its place among the comments of the call."""
    path: str
    old_path: str
    """Where the file was before; the same as *path* unless it was renamed or copied."""
    side: Side
    line: int
    end_line: int
    """The last line that is commented on; the same as *line* for one line."""
    ends: tuple[tuple[int | None, int | None], tuple[int | None, int | None]]
    """Old and new number of the first and of the last line, as the diff has them: None where the line does not exist."""
    quoted: tuple[str, ...]
    """The lines that are commented on."""
    body: str
    suggestion: str | None = None
    """What the lines should be instead."""


@dataclass(frozen=True)
class Review:
    """One review: all of it is sent, or nothing, as far as the provider can do that."""

    change: str
    version: str
    verdict: Verdict
    summary: str
    comments: tuple[InlineComment, ...] = ()


@dataclass(frozen=True)
class Sent:
    """What became of a review, as it was read back."""

    url: str | None
    outcomes: list[CommentOutcome]
    note: str | None = None


@dataclass(frozen=True)
class Reply:
    change: str | None
    thread: str
    body: str | None = None
    resolve: bool | None = None


@dataclass(frozen=True)
class ChangeEdit:
    """What to make of a change; None leaves a thing as it is. Without *change*, one is made of *source* in *repo*."""

    change: str | None = None
    repo: str | None = None
    source: str | None = None
    """A branch, or where the provider takes one, the text of a patch."""
    base: str | None = None
    title: str | None = None
    summary: str | None = None
    test_plan: str | None = None
    add_reviewers: tuple[str, ...] = ()
    remove_reviewers: tuple[str, ...] = ()
    state: NewState | None = None
    link_tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskEdit:
    """What to make of a task; None leaves a thing as it is. Without *task*, one is made."""

    task: str | None = None
    project: str | None = None
    title: str | None = None
    body: str | None = None
    status: str | None = None
    priority: str | None = None
    owner: str | None = None
    add_projects: tuple[str, ...] = ()
    remove_projects: tuple[str, ...] = ()
    column: str | None = None
    parent: str | None = None
    comment: str | None = None
    link_changes: tuple[str, ...] = ()


class Provider(Protocol):
    """One system that keeps changes and tasks, seen through one account.

    References are in the provider's own form, as change_ref and task_ref give them. Every method is bounded in time and in
    what it returns, follows the provider's own pages as far as that needs, and raises a ToolFailure: InvalidInput for words
    that the provider does not know (with those that it does), NotFound also for what the account may not see. People are user
    names, times are UTC. `trusted` is set by who wrote a text, never by what it says.
    """

    @property
    def name(self) -> str:
        """How it is called in the configuration, and before the colon of a reference."""
        ...

    @property
    def kind(self) -> ProviderKind: ...

    def change_ref(self, text: str) -> str | None:
        """The change that *text* names (`D12`, `owner/repo#12`, a URL), if it has the form of one of this provider's."""
        ...

    def task_ref(self, text: str) -> str | None: ...

    def repo_of(self, ref: str) -> str | None:
        """The repository of the change or task *ref*, if the reference itself says it."""
        ...

    async def ready(self) -> str | None:
        """None when it answers, otherwise one line on why it does not. Bounded to a few seconds; never raises."""
        ...

    async def find_changes(self, query: ChangeQuery, page: Page) -> Found[Change]:
        """Newest update first."""
        ...

    async def change(self, ref: str) -> ChangeDetails:
        """All but the text of the diff. `can` says what this provider and account can do, whatever the settings allow."""
        ...

    async def diff(
        self, ref: str, *, version: str | None, since: str | None, context: int, wanted: Callable[[str], bool]
    ) -> ChangeDiff:
        """The files whose path (new or old) is *wanted*, in the provider's order, with *context* lines where it can give them.

        *since* is another version: what is different between the two.
        """
        ...

    async def file(self, where: FileAt) -> FileText:
        """The whole text. Raises TooLarge, and InvalidInput for what is no text."""
        ...

    async def threads(self, *, change: str | None, task: str | None) -> list[Thread]:
        """The discussion of a change or of a task, oldest comment of a thread first. Verdicts and summaries are threads too."""
        ...

    async def checks(self, ref: str, *, check: str | None, log_lines: int) -> Checks:
        """All checks of the newest version, or one with its annotations and the end of its log."""
        ...

    async def find_tasks(self, query: TaskQuery, page: Page) -> TasksFound: ...

    async def submit(self, review: Review) -> Sent:
        """Raises Conflict where the change has a newer version by now."""
        ...

    async def reply(self, reply: Reply) -> ReplyResult: ...

    async def edit_change(self, edit: ChangeEdit) -> ChangeEdited: ...

    async def save_task(self, edit: TaskEdit) -> TaskSaved: ...

    async def aclose(self) -> None: ...


def open_provider(name: str, settings: "ProviderSettings", server: "CodeReviewSettings") -> Provider:
    """The provider for one configured system; it connects to nothing before its first call. Raises ConfigError."""
    try:
        return _OPENERS[settings.kind](name, settings, server)
    except ValueError as error:
        raise ConfigError(f"providers.{name}: {error}") from None


# What one kind of system needs is imported by the first of its kind.
def _local(name: str, settings: "ProviderSettings", server: "CodeReviewSettings") -> Provider:
    from .local import LocalProvider

    return LocalProvider(name, settings, server)


def _phabricator(name: str, settings: "ProviderSettings", server: "CodeReviewSettings") -> Provider:
    from .phabricator import PhabricatorProvider

    return PhabricatorProvider(name, settings, server)


def _github(name: str, settings: "ProviderSettings", server: "CodeReviewSettings") -> Provider:
    from .github import GitHubProvider

    return GitHubProvider(name, settings, server)


def _gitlab(name: str, settings: "ProviderSettings", server: "CodeReviewSettings") -> Provider:
    from .gitlab import GitLabProvider

    return GitLabProvider(name, settings, server)


_OPENERS: "Mapping[ProviderKind, Callable[[str, ProviderSettings, CodeReviewSettings], Provider]]" = {
    "local": _local,
    "phabricator": _phabricator,
    "github": _github,
    "gitlab": _gitlab,
}

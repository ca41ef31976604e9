"""The branches of a repository and the commits that are only on them, read from two answers of git."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .references import spelled

MOST_BRANCHES = 1_000
"""Of more, those with the newest commits are listed; the others can be named."""
MOST_COMMITS = 20_000
BRANCH_FORMAT = (
    "%(refname)%00%(objectname)%00%(symref)%00%(HEAD)%00"
    "%(authorname)%00%(authoremail:trim)%00%(committerdate:unix)%00%(subject)%00"
)
COMMIT_FORMAT = "%x00%H%x00%P%x00%aN%x00%aE%x00%ct%x00%s%x00%b%x00"
CHECKS_REF = "refs/notes/opsroom-checks"

_HEADS = "refs/heads/"
_REMOTES = "refs/remotes/"
_USUAL_DEFAULTS = ("main", "master", "trunk")


@dataclass(frozen=True, slots=True)
class Author:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    parents: tuple[str, ...]
    author: Author
    at: datetime
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A ref as git lists it."""

    name: str
    head: str
    target: str
    """The ref that it stands for, if it is a symbolic one."""
    checked_out: bool
    author: Author
    at: datetime
    subject: str

    @property
    def short(self) -> str:
        return self.name.removeprefix(_HEADS).removeprefix(_REMOTES)

    @property
    def is_remote(self) -> bool:
        return self.name.startswith(_REMOTES)

    @property
    def last_name(self) -> str:
        """Without the remote that a remote branch is of."""
        return self.short.partition("/")[2] if self.is_remote else self.short


@dataclass(frozen=True)
class Default:
    """The branch that changes go into: here, at the remote, or both."""

    name: str
    tips: tuple[str, ...]


def parse_refs(data: bytes) -> list[Ref]:
    """What for-each-ref answers in BRANCH_FORMAT."""
    fields = data.decode(errors="surrogateescape").split("\0")
    found: list[Ref] = []
    for at in range(0, len(fields) - 8, 8):
        name, head, target, mark, author, email, seconds, subject = fields[at : at + 8]
        if seconds:  # a ref to something that is no commit has no author and no time
            found.append(
                Ref(
                    name.lstrip("\n"),
                    head,
                    target,
                    mark == "*",
                    Author(_text(author), _text(email)),
                    _time(seconds),
                    _text(subject),
                )
            )
    return found


def parse_commits(data: bytes) -> list[Commit]:
    """What rev-list answers in COMMIT_FORMAT."""
    fields = data.decode(errors="replace").split("\0")
    found: list[Commit] = []
    for at in range(0, len(fields) - 8, 8):
        _, commit, parents, author, email, seconds, subject, body = fields[at : at + 8]
        found.append(Commit(commit, tuple(parents.split()), Author(author, email), _time(seconds), subject, body.strip("\n")))
    return found


def default_of(refs: Iterable[Ref], *, bare: bool, configured: str | None) -> Default | None:
    """What the remote calls its default, or the HEAD of a bare repository, or one of the usual names, or the configured one."""
    refs = list(refs)
    heads = {ref.short: ref for ref in refs if not ref.is_remote and not ref.target}
    remotes = {ref.short: ref for ref in refs if ref.is_remote and not ref.target}
    pointers = [ref for ref in refs if ref.is_remote and ref.target and ref.last_name == "HEAD"]
    pointers.sort(key=lambda ref: ref.short != "origin/HEAD")
    checked_out = next((ref.short for ref in refs if ref.checked_out and not ref.is_remote), None)
    names = [pointer.target.removeprefix(_REMOTES) for pointer in pointers]
    for short in names:
        if short in remotes:
            name = short.partition("/")[2]
            return Default(name, tuple(dict.fromkeys(ref.head for ref in (remotes[short], heads.get(name)) if ref)))
    local = [checked_out] if bare else []
    for name in (*local, *_USUAL_DEFAULTS, configured, checked_out):
        tips = [ref.head for ref in (heads.get(name or ""), remotes.get(f"origin/{name}")) if ref]
        if name and tips:
            return Default(name, tuple(dict.fromkeys(tips)))
    return None


@dataclass
class Graph:
    """What is not in the default branch."""

    default: Default | None
    refs: list[Ref]
    commits: dict[str, Commit]
    complete: bool
    """False when there were more commits than are read; then merge bases must be asked for."""
    merged: set[str] = field(default_factory=set[str])
    """Heads that are in the default branch, where the commits do not tell it."""
    notes: dict[str, str] = field(default_factory=dict[str, str])
    """Notes of checks about commits, as far as they were read."""

    def __post_init__(self) -> None:
        self._order = {commit: place for place, commit in enumerate(self.commits)}
        self._heads = {ref.name: ref.head for ref in self.refs if ref.name.startswith(_HEADS)}
        self._looked = set(looked_at(self.refs))
        self.branches = {self.spelling(ref): ref for ref in self.refs if ref.head in self._looked and self._is_change(ref)}
        self._tips: dict[str, list[str]] = {}
        for name, ref in self.branches.items():
            self._tips.setdefault(ref.head, []).append(name)

    @property
    def has_checks(self) -> bool:
        """Whether any check has noted anything about a commit."""
        return any(ref.name == CHECKS_REF for ref in self.refs)

    def spelling(self, ref: Ref) -> str:
        """What to call a branch: short, unless that would also mean another one, or something else."""
        if ref.is_remote and _HEADS + ref.short in self._heads:
            return ref.name
        return spelled(ref.short, of=ref.name)

    def _is_change(self, ref: Ref) -> bool:
        if ref.target or not _is_text(ref.name) or (self.default and ref.last_name == self.default.name):
            return False
        if not ref.is_remote:
            return ref.name.startswith(_HEADS)
        local = self._heads.get(_HEADS + ref.last_name)
        return local is None or not (local == ref.head or ref.head in self.own(local))

    def is_merged(self, ref: Ref) -> bool:
        if not self.complete or ref.head not in self._looked:
            return ref.head in self.merged
        return self.default is not None and ref.head not in self.commits

    def own(self, head: str) -> dict[str, Commit]:
        """The commits that lead to *head* and are not in the default branch."""
        return self._down(head, frozenset[str]())[0]

    def _down(self, head: str, ends: Container[str]) -> tuple[dict[str, Commit], list[str]]:
        """The commits below and with *head*, as far as *ends*, and which of those were met."""
        found: dict[str, Commit] = {}
        met: list[str] = []
        waiting = [head]
        while waiting:
            commit = self.commits.get(waiting.pop())
            if commit is None or commit.id in found:
                continue
            if commit.id != head and commit.id in ends:
                met.append(commit.id)
                continue
            found[commit.id] = commit
            waiting.extend(commit.parents)
        return found, met

    def proposed(self, name: str) -> list[Commit]:
        """The commits of the branch *name* down to the branches that it stands on, the oldest first."""
        if name not in self.branches:
            return []
        found, _ = self._down(self.branches[name].head, self._tips)
        return sorted(found.values(), key=lambda commit: -self._order[commit.id])

    def base(self, head: str, other: str | None = None) -> str | None:
        """Where *head* parted from *other*, or from the default branch, if the commits alone tell it."""
        if not self.complete or head not in self.commits or (other is not None and other not in self.commits):
            return None
        beside = self.own(other) if other else dict[str, Commit]()
        own = {commit.id: commit for commit in self.own(head).values() if commit.id not in beside}
        beyond = {parent for commit in own.values() for parent in commit.parents if parent not in own}
        if len(beyond) != 1 or (other and not beyond <= beside.keys()):  # it may lie further back than where this one left
            return None
        return beyond.pop()

    def parents(self, name: str) -> list[str]:
        """The open branches that the branch *name* stands on: those right below it."""
        if name not in self.branches:
            return []
        _, met = self._down(self.branches[name].head, self._tips)
        return sorted({branch for tip in met for branch in self._tips[tip]})


def looked_at(refs: Sequence[Ref]) -> list[str]:
    """The heads whose commits are read: the newest ones, *refs* being sorted by time."""
    return list(dict.fromkeys(ref.head for ref in refs if ref.name != CHECKS_REF and not ref.target))[:MOST_BRANCHES]


def _is_text(name: str) -> bool:
    """Whether a name can be shown at all: git lets one hold any bytes."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _time(seconds: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):  # a commit may claim any time
        return datetime.fromtimestamp(0, UTC)


def _text(value: str) -> str:
    return value.encode(errors="surrogateescape").decode(errors="replace")

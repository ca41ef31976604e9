"""One repository as it is at the moment: who uses it, its branches, and what a reference stands for."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from opsroom_shared.config import ConfigError
from opsroom_shared.errors import InvalidInput, NotFound, Unavailable

from .change_records import ChangeRecord, changes
from .comparing import Comparing
from .git import Git
from .graph import (
    BRANCH_FORMAT,
    CHECKS_REF,
    COMMIT_FORMAT,
    MOST_COMMITS,
    Commit,
    Graph,
    Ref,
    default_of,
    looked_at,
    parse_commits,
    parse_refs,
)
from .place import Place, find_place
from .references import WORKTREE, BranchName, Range, WorkingTree, read_reference
from .store import Store
from .working_tree import STATUS, Status, filter_drivers, fingerprint, no_filters, parse_status

_CONFIGURATION = r"^(user\.(name|email)|init\.defaultbranch|filter\..*)$"


@dataclass(frozen=True)
class Me:
    """Whose account this is: as git would sign a commit."""

    name: str | None
    email: str | None


@dataclass(frozen=True)
class Resolved:
    """A change as it is at the moment."""

    ref: str
    key: str
    """What the store calls it; a working tree's is one for each working tree."""
    version: str
    head: str
    """A commit; of the working tree, the one that it stands on."""
    base: str
    """A commit or a tree."""
    base_name: str
    tips: tuple[str, ...] = ()
    """What a head is compared with to find its base."""
    branch: Ref | None = None
    status: Status | None = None
    graph: Graph = field(default_factory=lambda: Graph(None, [], {}, complete=True))


@dataclass(frozen=True)
class _Configuration:
    me: Me
    default: str | None
    keys: tuple[str, ...]


class Repository:
    """Found at its first use."""

    def __init__(self, place: Place, seconds: float) -> None:
        self.place = place
        self.git = Git(place.folder, seconds)
        self.comparing = Comparing(self.git)
        self.store = Store(place.common)
        self._configuration: tuple[object, _Configuration] | None = None
        self._graph: tuple[bytes, Graph] | None = None

    @property
    def top(self) -> Path:
        """The working tree. Raises InvalidInput where there is none."""
        if self.place.top is None:
            raise InvalidInput("This is a bare repository, which has no working tree; name a branch.")
        return self.place.top

    @classmethod
    async def open(cls, path: Path, seconds: float) -> "Repository":
        try:
            return cls(await asyncio.to_thread(find_place, path), seconds)
        except ConfigError as error:
            raise Unavailable(f"{error}.") from None

    async def me(self) -> Me:
        return (await self._configured()).me

    async def graph(self) -> Graph:
        """The branches and their commits; the commits are read again only when a branch has moved."""
        refs = await self.git.read(
            "for-each-ref",
            f"--format={BRANCH_FORMAT}",
            "--sort=-committerdate",
            "refs/heads",
            "refs/remotes",
            CHECKS_REF,
        )
        if self._graph is None or self._graph[0] != refs:
            self._graph = (refs, await self._read_graph(parse_refs(refs)))
        return self._graph[1]

    async def _read_graph(self, refs: list[Ref]) -> Graph:
        configured = (await self._configured()).default
        default = default_of(refs, bare=self.place.is_bare, configured=configured)
        heads = looked_at(refs)
        tips = default.tips if default else ()
        lines = [*heads, *(f"^{tip}" for tip in tips)]
        if not heads or not tips:
            return Graph(default, refs, {}, complete=True)
        output = await self.git.run(
            "rev-list",
            "--topo-order",
            "--encoding=UTF-8",
            f"--max-count={MOST_COMMITS + 1}",
            f"--format={COMMIT_FORMAT}",
            "--stdin",
            stdin="".join(f"{line}\n" for line in lines).encode(),
            may_cut=True,
        )
        if output.code:
            raise output.failure()
        commits = parse_commits(output.data)
        complete = len(commits) <= MOST_COMMITS and not output.cut
        merged = set[str]() if complete else await self._merged(tips)
        return Graph(default, refs, {commit.id: commit for commit in commits[:MOST_COMMITS]}, complete, merged)

    async def commits_between(self, base: str, head: str) -> list[Commit]:
        """The newest of the commits that *head* has and *base* has not, the oldest of them first."""
        if base == self.place.empty_tree:
            return []
        data = await self.git.read(
            "rev-list",
            "--topo-order",
            "--encoding=UTF-8",
            "--max-count=200",
            f"--format={COMMIT_FORMAT}",
            f"{base}..{head}",
            "--",
        )
        return parse_commits(data)[::-1]

    async def branch_named(self, name: str) -> Ref:
        return self.any_branch(await self.graph(), name)

    async def checks_note(self, commit: str, graph: Graph) -> str:
        """What checks have noted about a commit. Read once, until a branch or a note is another one."""
        if not graph.has_checks:
            return ""
        if commit not in graph.notes:
            graph.notes[commit] = await self._read_note(commit)
        return graph.notes[commit]

    async def _read_note(self, commit: str) -> str:
        notes = ("--no-notes", f"--notes={CHECKS_REF}")
        data = await self.git.read(
            "log", "--no-walk", "--no-show-signature", "--encoding=UTF-8", "--format=%N", *notes, commit, "--"
        )
        return data.decode(errors="replace")

    async def _merged(self, tips: Sequence[str]) -> set[str]:
        """The heads of branches that are in one of the commits *tips*."""
        patterns = ("--format=%(objectname)", "refs/heads", "refs/remotes")
        found = [await self.git.read("for-each-ref", f"--merged={tip}", *patterns) for tip in tips]
        return {head for data in found for head in data.decode().split()}

    async def touching(self, graph: Graph, path: str) -> set[str]:
        """The commits outside of the default branch that touch a file or folder."""
        tips = graph.default.tips if graph.default else ()
        lines = "".join(f"{line}\n" for line in (*looked_at(graph.refs), *(f"^{tip}" for tip in tips)))
        name = os.fsencode(path.strip("/"))
        return set((await self.git.read("rev-list", "--stdin", "--", name, stdin=lines.encode())).decode().split())

    async def status(self) -> Status:
        _ = self.top
        return parse_status(await self.git.read(*STATUS, config=no_filters(await self.filters())))

    async def filters(self) -> list[str]:
        """The filters that a file of the working tree may go through."""
        return filter_drivers((await self._configured()).keys)

    async def resolve(self, text: str) -> tuple[Resolved, ChangeRecord]:
        """What *text* stands for, and what is known of it."""
        resolved, record = await self._resolved(text)
        return resolved, record or await self.record(resolved.key)

    async def record(self, key: str) -> ChangeRecord:
        found = await self.store.read(lambda db: changes(db, key), dict[str, ChangeRecord]())
        return found.get(key, ChangeRecord())

    async def _resolved(self, text: str) -> tuple[Resolved, ChangeRecord | None]:
        match read_reference(text):
            case WorkingTree():
                return await self.working_tree(), None
            case Range() as span:
                return await self._range(span), None
            case BranchName(name):
                return await self._branch(name)
            case None:
                raise InvalidInput(f"{text!r} is no change here; give a branch, a..b, a...b or {WORKTREE}.")

    async def _branch(self, name: str) -> tuple[Resolved, ChangeRecord]:
        graph = await self.graph()
        spelling, ref = self.find_branch(graph, name)
        record = await self.record(spelling)
        # a base that was merged and removed leaves the default branch
        target = next((each for each in graph.refs if record.base in {each.short, each.name} and not each.target), None)
        if graph.default is None and target is None:
            raise InvalidInput(
                "This repository has no branch that others are compared with; give a range, such as main..feature."
            )
        tips = (target.head,) if target else graph.default.tips if graph.default else ()
        known = ref.head if ref.head in tips else graph.base(ref.head, target.head if target else None)
        found = known or await self.merge_base(ref.head, *tips)
        if found == ref.head and target is None:
            graph.merged.add(ref.head)
        base_name = target.short if target else graph.default.name if graph.default else ""
        return Resolved(spelling, spelling, ref.head, ref.head, found, base_name, tips, branch=ref, graph=graph), record

    def find_branch(self, graph: Graph, name: str) -> tuple[str, Ref]:
        """Raises NotFound, with what there is."""
        if name in graph.branches:
            return name, graph.branches[name]
        for spelling, ref in graph.branches.items():
            if ref.name == name:
                return spelling, ref
        if graph.default and name in {graph.default.name, f"origin/{graph.default.name}", f"refs/heads/{graph.default.name}"}:
            raise InvalidInput(
                f"{name} is the branch that changes go into. To see what it has, give a range, such as {name}~5..{name}."
            )
        if hidden := next((ref for ref in graph.refs if name in {ref.short, ref.name} and not ref.target), None):
            return graph.spelling(hidden), hidden
        near = get_close_matches(name, graph.branches, 3, 0.5) or list(graph.branches)[:5]
        told = f" There are: {', '.join(near)}." if near else " It has no branch beside the default one."
        raise NotFound(f"There is no branch {name!r} in this repository.{told}")

    def any_branch(self, graph: Graph, name: str) -> Ref:
        """A branch to compare with, which the default one may be, too."""
        found = next((ref for ref in graph.refs if name in {ref.short, ref.name} and not ref.target), None)
        if found is None:
            raise NotFound(
                f"There is no branch {name!r} to compare with. There are: {', '.join(ref.short for ref in graph.refs[:10])}."
            )
        return found

    async def merge_base(self, head: str, *tips: str) -> str:
        """Where the two parted; the empty tree if they have nothing in common."""
        output = await self.git.run("merge-base", head, *tips)
        if output.code == 1 and not output.error:
            if self.place.is_shallow:
                raise Unavailable(
                    "The clone is shallow, and where the two branches parted lies beyond what it has. "
                    "Run git fetch --unshallow, or give a range of two commits, a..b."
                )
            return self.place.empty_tree
        if output.code:
            raise output.failure()
        return output.data.decode().split("\n", 1)[0]

    async def commits(self, *names: str) -> list[str]:
        """The ids of the commits that *names* stand for. Raises NotFound for the first that is none."""
        if odd := next((name for name in names if "\n" in name), None):
            raise NotFound(f"{odd!r} is no commit that this repository has.")
        lines = "".join(f"{name}^{{commit}}\n" for name in names)
        answer = await self.git.read("cat-file", "--batch-check=%(objectname)", stdin=lines.encode(errors="surrogateescape"))
        ids = answer.decode(errors="replace").splitlines()
        for name, found in zip(names, ids, strict=False):
            if not found.isalnum():
                reason = "is ambiguous" if found.endswith(" ambiguous") else "is no commit that this repository has"
                raise NotFound(f"{name!r} {reason}.")
        return ids

    async def _range(self, span: Range) -> Resolved:
        left, right = await self.commits(span.left, span.right)
        if span.dots == "...":
            return Resolved(str(span), str(span), right, right, await self.merge_base(right, left), span.left, (left,))
        # both ends make the version: the left one may move, too
        return Resolved(str(span), str(span), f"{left}..{right}", right, left, span.left, (left,))

    async def working_tree(self) -> Resolved:
        status = await self.status()
        version = await asyncio.to_thread(fingerprint, self.top, status)
        key = f"{WORKTREE} {self.place.worktree}".rstrip()
        base = status.head or self.place.empty_tree
        return Resolved(WORKTREE, key, version, base, base, status.branch or "HEAD", status=status)

    async def _configured(self) -> _Configuration:
        """Read again when a file of the repository's configuration has changed."""
        state = await asyncio.to_thread(_states, (self.place.common / "config", self.place.own / "config.worktree"))
        if self._configuration is None or self._configuration[0] != state:
            output = await self.git.run("config", "-z", "--includes", "--get-regexp", _CONFIGURATION)
            if output.code > 1:
                raise output.failure()
            values: dict[str, str] = {}
            for item in output.data.decode(errors="surrogateescape").split("\0")[:-1]:
                name, _, value = item.partition("\n")
                values[name] = value  # the last one counts
            me = Me(_text(values.get("user.name")), _text(values.get("user.email")))
            found = _Configuration(me, values.get("init.defaultbranch"), tuple(values))
            self._configuration = (state, found)
        return self._configuration[1]


def _text(value: str | None) -> str | None:
    return value.encode(errors="surrogateescape").decode(errors="replace") if value else None


def _states(files: Sequence[Path]) -> tuple[tuple[int, int] | None, ...]:
    found: list[tuple[int, int] | None] = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_mtime_ns, state.st_size))
    return tuple(found)

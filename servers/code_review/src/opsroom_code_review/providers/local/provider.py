"""A plain git repository as a provider: branches, ranges and the working tree, with the reviews kept beside the objects."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from opsroom_shared.config import ConfigError
from opsroom_shared.errors import Conflict, InvalidInput, NotFound, ToolFailure
from opsroom_shared.outside import clean

from ...models import (
    Change,
    ChangeDetails,
    ChangeEdited,
    Checks,
    ChecksSummary,
    FileText,
    ProviderKind,
    ReplyResult,
    TaskSaved,
    Thread,
)
from ...paths import shown
from ...settings import CodeReviewSettings, ProviderSettings
from .. import (
    ChangeDiff,
    ChangeEdit,
    ChangeQuery,
    FileAt,
    Found,
    Page,
    Reply,
    Review,
    Sent,
    TaskEdit,
    TaskQuery,
    TasksFound,
)
from . import describing
from .change_records import ChangeRecord, ThreadRecord, changes, threads
from .check_notes import answer, parse_checks, summary_of
from .discussion import described, placed_threads
from .file_text import committed_text, uncommitted_text
from .finding import CLOSED, Candidate, check_me, is_asked_for
from .listing import Entry
from .people import find_person, known_people
from .place import repository_name
from .references import BranchName, read_reference, read_task
from .repository import Me, Repository, Resolved
from .tasks import TaskList
from .uncommitted import uncommitted_entries, uncommitted_files
from .versions import version_of
from .working_tree import Status
from .writing import EditWords, Subject, send_reply, send_review, write_edit


class LocalProvider:
    """The repository at the path of its settings, seen by whom git would name as the author of a commit."""

    def __init__(self, name: str, settings: ProviderSettings, server: CodeReviewSettings) -> None:
        if settings.path is None:
            raise ConfigError(f"providers.{name}: a local provider needs the path of its repository")
        self._name = name
        self._settings = settings
        self._seconds = server.request_seconds
        self._path = settings.path
        self._repo = repository_name(settings.path)
        self._opening = asyncio.Lock()
        self._opened: Repository | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def kind(self) -> ProviderKind:
        return "local"

    @property
    def processes(self) -> int:
        """How many git processes were started so far: the round trips of this provider."""
        return self._opened.git.started if self._opened else 0

    def change_ref(self, text: str) -> str | None:
        text = text.strip()
        own = text.removeprefix(f"{self._name}:")
        if own != text and read_reference(own) is None and read_reference(f"refs/heads/{own}"):
            return f"refs/heads/{own}"  # said to be one of ours, whatever it looks like
        found = read_reference(own)
        return None if found is None else str(found)

    def task_ref(self, text: str) -> str | None:
        return read_task(text.strip().removeprefix(f"{self._name}:"))

    def repo_of(self, ref: str) -> str | None:  # noqa: ARG002 - there is one, whatever the reference
        return self._repo

    async def ready(self) -> str | None:
        try:
            async with asyncio.timeout(5):
                repository = await self._repository()
                await repository.git.read("rev-parse", "--git-dir")
        except TimeoutError:
            return "git did not answer within 5 s"
        except ToolFailure as error:
            return str(error)
        return None

    async def find_changes(self, query: ChangeQuery, page: Page) -> Found[Change]:
        self._check_repo(query.repo)
        repository = await self._repository()
        me = await repository.me()
        check_me(query, me)
        graph = await repository.graph()
        records = await repository.store.read(changes, dict[str, ChangeRecord]())
        touching = await repository.touching(graph, query.path) if query.path else None
        found: list[Change] = []
        for ref in graph.branches.values():
            spelling = graph.spelling(ref)
            record = records.get(spelling, ChangeRecord())
            change = describing.branch_change(graph, spelling, ref, record, self._repo)
            summary = (record.summary or describing.summary_of(graph.proposed(spelling))) if query.text else ""
            candidate = Candidate(change, record, describing.is_mine(graph, ref, me), summary, ref.author.email)
            touched = touching is None or not touching.isdisjoint(graph.own(ref.head))
            if touched and is_asked_for(query, candidate, me):
                found.append(change)
        if touching is None and query.state != "closed" and not repository.place.is_bare:
            found += await self._uncommitted(repository, query, me)
        found.sort(key=lambda change: (change.updated_at or datetime.now(UTC), change.ref), reverse=True)
        start = page.position if isinstance(page.position, int) else 0
        end = start + page.limit
        return Found(found[start:end], end if len(found) > end else None)

    async def _uncommitted(self, repository: Repository, query: ChangeQuery, me: Me) -> list[Change]:
        """The working tree, if there is anything in it that is in no commit."""
        if query.role not in {"author", "any"}:
            return []
        resolved = await repository.working_tree()
        if resolved.status is None or resolved.status.is_clean:
            return []
        record = await repository.record(resolved.key)
        change = self._uncommitted_change(repository, resolved, resolved.status, record, me)
        return [change] if is_asked_for(query, Candidate(change, record, mine=True, summary=""), me) else []

    async def change(self, ref: str) -> ChangeDetails:
        repository = await self._repository()
        me = await repository.me()
        resolved, record = await repository.resolve(ref)
        entries = await self._entries(repository, resolved)
        parents: list[str] = []
        at: datetime | None = None
        summary = ""
        if resolved.status is not None:
            change, mine = self._uncommitted_change(repository, resolved, resolved.status, record, me), True
        elif resolved.branch is not None:
            graph = resolved.graph
            change = describing.branch_change(graph, resolved.ref, resolved.branch, record, self._repo)
            mine = describing.is_mine(graph, resolved.branch, me)
            parents, at = graph.parents(resolved.ref), resolved.branch.at
            summary = describing.summary_of(graph.proposed(resolved.ref))
        else:
            commits = await repository.commits_between(resolved.base, resolved.head)
            change = describing.range_change(resolved, record, commits, self._repo)
            summary = describing.summary_of(commits)
            mine = bool(commits) and describing.wrote(commits[-1], me)
        author = change.author.name if change.author else None
        return ChangeDetails(
            change=change,
            summary=clean(summary if record.summary is None else record.summary),
            trusted=self._trusts(author if record.summary is None else record.said_by, me, signed=record.summary is not None),
            test_plan=record.test_plan,
            base=resolved.base_name,
            head=resolved.ref,
            versions=describing.versions_of(record, resolved.version, at),
            reviewers=describing.reviewers_of(record, resolved.version),
            files=describing.files_of(entries),
            files_total=len(entries),
            tasks=record.tasks,
            parents=parents,
            checks=await self._checks_summary(repository, resolved),
            open_threads=len(record.open_threads),
            can=describing.can_do(me, mine=mine, is_open=change.state not in CLOSED),
        )

    async def diff(
        self, ref: str, *, version: str | None, since: str | None, context: int, wanted: Callable[[str], bool]
    ) -> ChangeDiff:
        repository = await self._repository()
        resolved, record = await repository.resolve(ref)

        def chosen(entry: Entry) -> bool:
            return any(wanted(path) for path in entry.paths)

        if resolved.status is not None:
            if {version, since} - {None, resolved.version}:
                raise Conflict(f"Only the working tree of now can be shown, which is version {resolved.version}.")
            files = await uncommitted_files(repository, resolved, resolved.status, context, chosen)
            return ChangeDiff(resolved.version, self._repo, files)
        base, head, of = await version_of(repository, resolved, record, version)
        comparing = repository.comparing
        if since is None:
            return ChangeDiff(of, self._repo, await comparing.files(base, head, context=context, wanted=chosen))
        old_base, old_head, _ = await version_of(repository, resolved, record, since)
        touched: set[str] | None = None
        if old_base != base:  # what a rebase brought in from elsewhere is no difference between the two versions of this change
            listed = [*await comparing.listing(old_base, old_head), *await comparing.listing(base, head)]
            touched = {path for entry in listed for path in entry.paths}
        files = await comparing.files(
            old_head,
            head,
            context=context,
            wanted=lambda entry: chosen(entry) and (touched is None or not touched.isdisjoint(entry.paths)),
        )
        return ChangeDiff(of, self._repo, files)

    async def file(self, where: FileAt) -> FileText:
        repository = await self._repository()
        self._check_repo(where.repo)
        if where.change is None:
            name = "HEAD" if where.at in {"head", "base"} else where.at
            return await committed_text(repository, (await repository.commits(name))[0], where.path)
        resolved, record = await repository.resolve(where.change)
        if where.at == "base":
            if resolved.base == repository.place.empty_tree:
                raise NotFound("The change begins from nothing; there is no base to read a file of.")
            return await committed_text(repository, resolved.base, where.path)
        if where.at != "head":
            _, commit, _ = await version_of(repository, resolved, record, where.at)
            return await committed_text(repository, commit, where.path)
        if resolved.status is not None:
            return await uncommitted_text(repository, where.path)
        return await committed_text(repository, resolved.head, where.path)

    async def threads(self, *, change: str | None, task: str | None) -> list[Thread]:
        repository = await self._repository()
        me = await repository.me()

        def trusts(name: str) -> bool:
            return self._trusts(name, me, signed=True)

        if change is None:
            number = (await self._tasks(repository, me).numbers([task or ""]))[0]
            of_task = await repository.store.read(lambda db: threads(db, task=number), list[ThreadRecord]())
            return [described(thread, trusts) for thread in of_task]
        resolved, record = await repository.resolve(change)
        stored = await repository.store.read(lambda db: threads(db, ref=resolved.key), list[ThreadRecord]())
        return await placed_threads(repository, resolved, record, stored, trusts)

    async def checks(self, ref: str, *, check: str | None, log_lines: int) -> Checks:
        repository = await self._repository()
        resolved, _ = await repository.resolve(ref)
        if resolved.status is not None:
            return Checks(state="unknown", checks=[], hint="checks are about commits; the working tree is in none yet")
        graph = resolved.graph if resolved.branch else await repository.graph()
        found, bad = parse_checks(await repository.checks_note(resolved.head, graph), log_lines)
        if check is not None:
            names = [each.name for each in found]
            found = [each for each in found if check in {each.id, each.name}]
            if not found:
                raise NotFound(f"There is no check {check!r} of this version. There are: {', '.join(names[:20]) or 'none'}.")
        return answer(found, bad, check)

    async def find_tasks(self, query: TaskQuery, page: Page) -> TasksFound:
        repository = await self._repository()
        return await self._tasks(repository, await repository.me()).find(query, page)

    async def submit(self, review: Review) -> Sent:
        repository = await self._repository()
        me = await repository.me()
        return await send_review(repository, await self._subject(repository, review.change, me), review, me)

    async def reply(self, reply: Reply) -> ReplyResult:
        repository = await self._repository()
        key = None if reply.change is None else (await repository.resolve(reply.change))[0].key
        return await send_reply(repository, reply, key, await repository.me())

    async def edit_change(self, edit: ChangeEdit) -> ChangeEdited:
        self._check_repo(edit.repo)
        repository = await self._repository()
        me = await repository.me()
        ref = edit.change or edit.source
        if ref is None:
            raise InvalidInput("Name the change to edit, or a source branch to make one of.")
        if edit.change is not None and edit.source is not None:
            raise InvalidInput("A branch is its own source: commit to it to give it another version.")
        if not isinstance(read_reference(ref), BranchName) and (edit.change is None or edit.base is not None):
            raise InvalidInput(
                f"{shown(ref[:80])} is no branch; here a change is made of a branch, and only a branch has another base."
            )
        subject = await self._subject(repository, ref, me)
        people = await known_people(repository, me) if edit.add_reviewers or edit.remove_reviewers else dict[str, str]()
        words = EditWords(
            tuple(find_person(name, people, me) for name in edit.add_reviewers),
            tuple(find_person(name, people, me) for name in edit.remove_reviewers),
            tuple(await self._tasks(repository, me).numbers(edit.link_tasks)),
            None if edit.base is None else (await repository.branch_named(edit.base)).short,
        )
        changed = await write_edit(repository, subject, edit, words, me)
        after = await self.change(subject.resolved.ref)
        return ChangeEdited(change=after.change, changed=changed, note=None if changed else "It was so already.")

    async def save_task(self, edit: TaskEdit) -> TaskSaved:
        repository = await self._repository()
        keys = [(await repository.resolve(ref))[0].key for ref in edit.link_changes]
        return await self._tasks(repository, await repository.me()).save(edit, keys)

    async def aclose(self) -> None:
        self._opened = None

    async def _repository(self) -> Repository:
        async with self._opening:
            if self._opened is None:
                self._opened = await Repository.open(self._path, self._seconds)
            return self._opened

    def _check_repo(self, repo: str | None) -> None:
        if repo is not None and repo not in {self._repo, self._name}:
            raise NotFound(f"There is no repository {repo!r} here; the only one is {self._repo!r}.")

    async def _subject(self, repository: Repository, ref: str, me: Me) -> Subject:
        resolved, record = await repository.resolve(ref)
        merged = resolved.branch is not None and resolved.graph.is_merged(resolved.branch)
        state = describing.state_of(record, resolved.version, merged=merged)
        if resolved.branch is not None:
            return Subject(resolved, state, describing.is_mine(resolved.graph, resolved.branch, me))
        if resolved.status is not None:
            return Subject(resolved, state, mine=True)
        commits = await repository.commits_between(resolved.base, resolved.head)
        return Subject(resolved, state, bool(commits) and describing.wrote(commits[-1], me))

    def _tasks(self, repository: Repository, me: Me) -> TaskList:
        return TaskList(repository, me, self._repo, lambda name: self._trusts(name, me, signed=True))

    async def _entries(self, repository: Repository, resolved: Resolved) -> list[Entry]:
        if resolved.status is not None:
            return await uncommitted_entries(repository, resolved, resolved.status)
        return await repository.comparing.listing(resolved.base, resolved.head)

    async def _checks_summary(self, repository: Repository, resolved: Resolved) -> ChecksSummary | None:
        if resolved.status is not None:
            return None
        graph = resolved.graph if resolved.branch else await repository.graph()
        return summary_of(parse_checks(await repository.checks_note(resolved.head, graph), 0)[0])

    def _uncommitted_change(
        self, repository: Repository, resolved: Resolved, status: Status, record: ChangeRecord, me: Me
    ) -> Change:
        written = describing.newest((*status.tracked, *status.untracked), repository.top)
        return describing.uncommitted_change(resolved, record, me, self._repo, written)

    def _trusts(self, name: str | None, me: Me, *, signed: bool) -> bool:
        """Whether the words of *name* are trusted. Anybody can put any name into a commit: only *signed* words can be mine."""
        return name is not None and (name in self._settings.trusted or (signed and describing.is_me(name, me)))

"""The tools that read: plain functions over the registry; nothing in here knows a system."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastmcp import Context
from fastmcp.dependencies import CurrentContext, Depends
from opsroom_shared.errors import InvalidInput, NotFound
from opsroom_shared.outside import clean
from opsroom_shared.progress import with_progress
from opsroom_shared.tools import Tool, lifespan_value
from pydantic import Field

from .diff_cache import commentable_context
from .diff_text import Position, page, visible
from .diffs import FileDiff
from .globs import fits, matches
from .incoming import HOW_TO_SEE, WITHHELD, cleaned
from .listing import listed
from .models import (
    Change,
    ChangeDetails,
    Changes,
    Checks,
    ChecksSummary,
    Diff,
    FileText,
    Task,
    Tasks,
    Thread,
    Threads,
    Vocabulary,
)
from .paths import given, shown
from .providers import ChangeQuery, FileAt, Found, Openness, Page, Provider, Role, TaskQuery
from .registry import Named, Registry

_MOST_FILES = 300
MOST_LINES = 9_999_999

_MOST_THREAD_CHARS = 40_000
_MOST_FILE_CHARS = 60_000
_MOST_CHECK_CHARS = 60_000


def the_registry(context: Context = CurrentContext()) -> Registry:
    return lifespan_value(context, Registry)


ChangeRef = Annotated[
    str,
    Field(
        description="D12, owner/repo#12, group/proj!12, branch, a..b, URL",
        max_length=500,
    ),
]
Name = Annotated[str | None, Field(max_length=300)]
Cursor = Annotated[str | None, Field(description="next_cursor", max_length=4_096)]
Limit = Annotated[int, Field(description="Items", ge=1, le=100)]
Since = Annotated[datetime | None, Field(description="ISO time")]
Paths = Annotated[list[Annotated[str, Field(max_length=999)]], Field(max_length=99)]


async def find_changes(
    *,
    role: Annotated[Role, Field(description="Your part")] = "any",
    state: Annotated[Openness, Field(description="State")] = "open",
    repo: Annotated[Name, Field(description="Repository")] = None,
    author: Annotated[Name, Field(description="User name")] = None,
    text: Annotated[Name, Field(description="Words in it")] = None,
    path: Annotated[Name, Field(description="Path in it")] = None,
    updated_since: Since = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> Changes:
    """List changes (pull requests, revisions, branches), newest first. role=todo: what waits for you."""
    providers, name = registry.chosen(repo)
    query = ChangeQuery(role, state, name, author, text, path and given(path), _utc(updated_since))

    async def ask(provider: Provider, part: Page) -> Found[Change]:
        return await provider.find_changes(query, part)

    question = f"find_changes {_json(role, state, repo, author, text, path, str(query.updated_since))}"
    work = listed(providers, ask, cursors=registry.cursors, question=question, cursor=cursor, limit=limit)
    found = await with_progress(work, context, "looking for changes")
    changes = [
        tidy_change(registry, provider, change) for provider, change in found.items if registry.shows_change(provider, change)
    ]
    if len(providers) > 1:
        changes.sort(key=lambda change: change.updated_at or datetime.min.replace(tzinfo=UTC), reverse=True)
    hints = _hints(found.problems, hidden=len(found.items) - len(changes), withheld=any(c.title == WITHHELD for c in changes))
    return Changes(changes=changes, next_cursor=found.next_cursor, hint=hints)


async def get_change(
    change: ChangeRef, *, registry: Registry = Depends(the_registry), context: Context = CurrentContext()
) -> ChangeDetails:
    """One change: summary, reviewers, versions, files with line counts, tasks, stack, checks. No diff."""
    named = registry.change(change)
    details = await with_progress(named.provider.change(named.ref), context, "reading the change")
    registry.check_repo(named.provider, details.change.repo)
    return _details(registry, named, details)


async def read_diff(
    change: ChangeRef,
    *,
    files: Annotated[Paths | None, Field(description="Paths or globs")] = None,
    version: Annotated[Name, Field(description="Newest if absent")] = None,
    since_version: Annotated[Name, Field(description="Compare with")] = None,
    context: Annotated[int, Field(description="Context lines", ge=0, le=50)] = 3,
    max_chars: Annotated[int, Field(description="Page size", ge=1_000, le=100_000)] = 20_000,
    cursor: Cursor = None,
    registry: Registry = Depends(the_registry),
    progress: Context = CurrentContext(),
) -> Diff:
    """Diff with the line numbers of both sides, in pages of max_chars. complete: whether all was shown."""
    named, patterns = registry.change(change), [given(pattern) for pattern in files or []]
    await registry.check_change(named)
    question = f"read_diff {_json(named.key, version, since_version, context, *patterns)}"
    at_version, start = _diff_position(registry, question, cursor)
    work = registry.diffs.get(
        named.provider, named.ref, version=at_version or version, since=since_version, context=context, files=patterns
    )
    fetched = await with_progress(work, progress, "fetching the diff")
    diff = fetched.diff
    registry.check_repo(named.provider, diff.repo)
    wanted = [
        file
        for file in diff.files
        if not patterns or fits(file.path, patterns) or (file.old_path and fits(file.old_path, patterns))
    ]
    if patterns and not wanted:
        raise NotFound(f"No file of version {diff.version} fits files. There are, for example: {_some(diff.files)}.")
    reach = commentable_context(named.provider.kind)
    part = page(wanted, context=context, reach=reach, max_chars=max_chars, start=start)
    if fetched.whole:
        registry.readings.note(named.key, diff.version, since_version, diff.files, part.changes_shown)
    hints = [f"{shown(pattern)} fits no file." for pattern in patterns if not any(matches(f.path, pattern) for f in diff.files)]
    if diff.missing is not None:
        hints.append(f"Files are missing from this diff: {clean(diff.missing, 300)}")
    if not wanted:
        hints.append("Nothing is different.")
    next_cursor = None
    if part.following is not None:
        position = part.following
        next_cursor = registry.cursors.encode(question, [diff.version, position.file, position.line, position.lost])
        hints.append("Repeat the call with the cursor for the rest, or narrow it with files.")
    return Diff(
        version=clean(diff.version, 100),
        files=part.files,
        skipped=part.skipped,
        complete=part.complete and diff.missing is None,
        next_cursor=next_cursor,
        hint=" ".join(hints) or None,
    )


async def read_file(
    path: Annotated[str, Field(description="Path", max_length=4_000)],
    *,
    change: Annotated[str | None, Field(description="Change", max_length=500)] = None,
    repo: Annotated[Name, Field(description="Repository")] = None,
    at: Annotated[str, Field(description="head, base or a commit", max_length=200)] = "head",
    start: Annotated[int, Field(description="First line", ge=1, le=MOST_LINES)] = 1,
    end: Annotated[int | None, Field(description="Last line", ge=1, le=MOST_LINES)] = None,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> FileText:
    """Lines of a file at the head or base of a change, or at a commit."""
    if (change is None) == (repo is None):
        raise InvalidInput("Give a change, or a repo together with at, one of the two.")
    if end is not None and end < start:
        raise InvalidInput(f"end {end} is before start {start}.")
    named = registry.change(change) if change is not None else None
    if named is not None:
        await registry.check_change(named)
        provider, where = named.provider, FileAt(given(path), change=named.ref, at=at)
    else:
        provider, name = registry.only(repo, "repo")
        registry.check_repo(provider, name)
        where = FileAt(given(path), repo=name, at=at)
    whole = await with_progress(provider.file(where), context, "reading the file")
    answer, is_whole = _lines_of(whole, start, end)
    if named is not None and is_whole and at == "head":
        registry.readings.whole_file(named.key, whole.commit, given(path))
    return answer


async def list_threads(
    *,
    change: Annotated[str | None, Field(description="Change", max_length=500)] = None,
    task: Annotated[str | None, Field(description="Task", max_length=500)] = None,
    state: Annotated[Literal["open", "all"], Field(description="State")] = "all",
    path: Annotated[Name, Field(description="Only this file")] = None,
    since: Since = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> Threads:
    """Discussion of a change or a task as threads, open ones first."""
    named = registry.thing(change, task)
    if change is not None:
        await registry.check_change(named)
    else:
        await check_task(registry, named)
    question = f"list_threads {_json(named.key, change is None, state, path, str(_utc(since)))}"
    first = _offset(registry, question, cursor)
    work = named.provider.threads(change=named.ref if change is not None else None, task=named.ref if change is None else None)
    threads = await with_progress(work, context, "reading the discussion")
    wanted = [thread for thread in threads if _is_wanted(thread, state, path, _utc(since))]
    wanted.sort(key=lambda thread: thread.resolved is True)
    part, room = list[Thread](), _MOST_THREAD_CHARS
    for thread in wanted[first : first + limit]:
        thread = registry.incoming(named.provider).thread(thread)  # noqa: PLW2901 - the same, made harmless
        room -= sum(len(comment.text) + 80 for comment in thread.comments)
        if room < 0 and part:
            break
        part.append(thread)
    following = first + len(part)
    next_cursor = registry.cursors.encode(question, following) if following < len(wanted) else None
    withheld = any(comment.text == WITHHELD for thread in part for comment in thread.comments)
    hint = HOW_TO_SEE if withheld else None
    return Threads(threads=part, next_cursor=next_cursor, hint=hint)


async def get_checks(
    change: Annotated[str, Field(description="Change", max_length=500)],
    *,
    check: Annotated[Name, Field(description="Check id")] = None,
    only_failed: Annotated[bool, Field(description="Failed only")] = False,
    log_lines: Annotated[int, Field(description="Of its log", ge=0, le=500)] = 80,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> Checks:
    """Builds and tests; with check, its failures and the end of its log."""
    named = registry.change(change)
    await registry.check_change(named)
    work = named.provider.checks(named.ref, check=check, log_lines=log_lines)
    found = cleaned(await with_progress(work, context, "reading the checks"))
    checks = [each for each in found.checks if each.state == "failed"] if only_failed else found.checks
    room, kept = _MOST_CHECK_CHARS, 0
    for each in checks:
        room -= len(each.log_tail or "") + 120 + sum(len(note.text) + 60 for note in each.annotations)
        if room < 0 and kept:
            break
        kept += 1
    hints = [found.hint] if found.hint else []
    if kept < len(checks):
        hints.append(f"{len(checks) - kept} more are not shown: ask for one with check, or with only_failed.")
    return found.model_copy(update={"checks": checks[:kept], "hint": " ".join(hints) or None})


async def find_tasks(
    *,
    refs: Annotated[Paths | None, Field(description="Tasks")] = None,
    text: Annotated[Name, Field(description="Words")] = None,
    status: Annotated[Name, Field(description="open, closed, all or a native status")] = None,
    owner: Annotated[Name, Field(description="User name, me or none")] = None,
    project: Annotated[Name, Field(description="Project")] = None,
    column: Annotated[Name, Field(description="Column")] = None,
    priority: Annotated[Name, Field(description="Priority")] = None,
    updated_since: Since = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> Tasks:
    """Find tasks or issues; with refs, these in full."""
    providers, name = registry.chosen(project)
    by_provider: dict[str, list[str]] = {}
    for named in (registry.task(ref) for ref in refs or []):
        by_provider.setdefault(named.provider.name, []).append(named.ref)
    if refs:
        providers = [provider for provider in providers if provider.name in by_provider]
    since, vocabularies = _utc(updated_since), list[Vocabulary]()

    async def ask(provider: Provider, part: Page) -> Found[Task]:
        wanted = tuple(by_provider.get(provider.name, ()))
        query = TaskQuery(wanted, text, status, owner, name, column, priority, since)
        found = await provider.find_tasks(query, Page(max(part.limit, len(wanted)), part.position))
        vocabularies.append(found.vocabulary)
        return found

    question = f"find_tasks {_json(*(refs or []), '', text, status, owner, project, column, priority, str(since))}"
    work = listed(providers, ask, cursors=registry.cursors, question=question, cursor=cursor, limit=limit)
    found = await with_progress(work, context, "looking for tasks")
    tasks = [tidy_task(registry, provider, task) for provider, task in found.items if registry.shows_task(provider, task)]
    hints = _hints(found.problems, hidden=len(found.items) - len(tasks), withheld=any(t.title == WITHHELD for t in tasks))
    return Tasks(tasks=tasks, vocabulary=cleaned(_merged(vocabularies)), next_cursor=found.next_cursor, hint=hints)


READ_TOOLS = tuple(
    Tool(function, open_world=True)
    for function in (find_changes, get_change, read_diff, read_file, list_threads, get_checks, find_tasks)
)


async def check_task(registry: Registry, named: Named) -> Task | None:
    """Raises NotFound for a task that the allow-lists hide. The task, where it had to be read for that."""
    system = registry.systems[named.provider.name]
    if not (system.projects or system.repositories):
        return None
    found = await named.provider.find_tasks(TaskQuery(refs=(named.ref,)), Page(1))
    if not found.items or not registry.shows_task(named.provider, found.items[0]):
        raise NotFound(f"There is no such task here, or this server is not set up for its project: {named.ref}.")
    return found.items[0]


def tidy_task(registry: Registry, provider: Provider, task: Task) -> Task:
    task = registry.incoming(provider).task(task)
    return task.model_copy(
        update={
            "ref": registry.spelled(provider, task.ref, "task"),
            "parents": [registry.spelled(provider, parent, "task") for parent in task.parents],
            "changes": [registry.spelled(provider, change, "change") for change in task.changes],
        }
    )


def tidy_change(registry: Registry, provider: Provider, change: Change) -> Change:
    """What is shown of a change: harmless, and with a reference that means it here."""
    change = registry.incoming(provider).change(change)
    return change.model_copy(update={"ref": registry.spelled(provider, change.ref, "change")})


def _details(registry: Registry, named: Named, details: ChangeDetails) -> ChangeDetails:
    provider, settings = named.provider, registry.settings
    details = registry.incoming(provider).details(details)
    may = details.can.model_copy(
        update={name: can and settings.allow_writes for name, can in details.can}
        | {"accept": details.can.accept and settings.allow_writes and settings.allow_accept}
    )
    total = details.files_total if details.files_total is not None else len(details.files)
    return details.model_copy(
        update={
            "change": details.change.model_copy(update={"ref": registry.spelled(provider, details.change.ref, "change")}),
            "tasks": [registry.spelled(provider, task, "task") for task in details.tasks],
            "parents": [registry.spelled(provider, parent, "change") for parent in details.parents],
            "files": details.files[:_MOST_FILES],
            "files_total": total if total > min(len(details.files), _MOST_FILES) else None,
            "can": may,
            "checks": details.checks or ChecksSummary(state="unknown"),
        }
    )


def _lines_of(whole: FileText, start: int, end: int | None) -> tuple[FileText, bool]:
    """The lines from *start* to *end*, as many as an answer holds, and whether these are all that the file has."""
    lines = whole.content.split("\n")
    if lines[-1] == "":
        lines.pop()
    hints = [whole.hint] if whole.hint else []
    if lines and all(line.endswith("\r") for line in lines):
        lines = [line[:-1] for line in lines]
        hints.append("Every line ends in CRLF.")
    if start > max(len(lines), 1):
        raise InvalidInput(f"The file has {len(lines):,} lines; start {start:,} is behind them.")
    wanted, room, part, cut = lines[start - 1 : end], _MOST_FILE_CHARS, list[str](), False
    for line in wanted:
        text = visible(line[:2_000]) + (f"… (+{len(line) - 2_000:,} characters)" if len(line) > 2_000 else "")
        room -= len(text) + 1
        if room < 0 and part:
            break
        cut = cut or len(line) > 2_000
        part.append(text)
    if len(part) < len(wanted):
        hints.append(f"Cut after line {start + len(part) - 1:,}: go on with start {start + len(part):,}.")
    answer = FileText(
        path=shown(given(whole.path)),
        commit=whole.commit and clean(whole.commit, 100),
        start=start,
        content="\n".join(part),
        total_lines=len(lines),
        hint=clean(" ".join(hints), 500) or None,
    )
    return answer, len(part) == len(lines) and not cut


def _diff_position(registry: Registry, question: str, cursor: str | None) -> tuple[str | None, Position]:
    """The version that the pages before were of, and where the next one begins. It is ours: the cursor is signed."""
    if cursor is None:
        return None, Position()
    match registry.cursors.decode(question, cursor):
        case [str(version), int(file), int(line), bool(lost)]:
            return version, Position(file, line, lost)
        case _:
            raise InvalidInput("The cursor is not one of this tool's. Repeat the call without it.")


def _offset(registry: Registry, question: str, cursor: str | None) -> int:
    match registry.cursors.decode(question, cursor) if cursor is not None else 0:
        case int(offset):
            return offset
        case _:
            raise InvalidInput("The cursor is not one of this tool's. Repeat the call without it.")


def _is_wanted(thread: Thread, state: str, path: str | None, since: datetime | None) -> bool:
    if state == "open" and thread.resolved is True:
        return False
    if path is not None and (thread.anchor is None or not matches(given(thread.anchor.path), given(path))):
        return False
    times = (comment.at for comment in thread.comments)
    return since is None or any(at is not None and _in_utc(at) >= since for at in times)


def _utc(when: datetime | None) -> datetime | None:
    return None if when is None else _in_utc(when)


def _in_utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _merged(vocabularies: list[Vocabulary]) -> Vocabulary:
    return Vocabulary(
        **{
            name: list(dict.fromkeys(word for vocabulary in vocabularies for word in getattr(vocabulary, name)))
            for name in Vocabulary.model_fields
        }
    )


def _hints(problems: list[str], *, hidden: int, withheld: bool) -> str | None:
    hints = [clean(f"No answer from {problem}", 300) for problem in problems]
    if hidden:
        hints.append(f"{hidden} are not shown: this server is not set up for their repositories or projects.")
    if withheld:
        hints.append(HOW_TO_SEE)
    return " ".join(hints) or None


def _some(files: Sequence[FileDiff]) -> str:
    paths = [clean(shown(file.path), 200) for file in files[:5]]
    return ", ".join(paths) + (f" and {len(files) - 5} more" if len(files) > 5 else "") if paths else "none at all"


def _json(*parts: object) -> str:
    return json.dumps(parts)

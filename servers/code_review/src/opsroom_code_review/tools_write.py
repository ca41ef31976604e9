"""The tools that write: reviews, replies, edits of changes and of tasks. Nothing merges, and nothing is deleted."""

from dataclasses import replace
from typing import Annotated

from fastmcp import Context
from fastmcp.dependencies import CurrentContext, Depends
from opsroom_shared.errors import InvalidInput, NotFound
from opsroom_shared.progress import with_progress
from opsroom_shared.tools import Tool
from pydantic import Field

from .incoming import cleaned
from .journal import key
from .models import ChangeEdited, ReplyResult, ReviewResult, TaskSaved, Thread, Verdict
from .outgoing import neutralised
from .providers import ChangeEdit, NewState, Provider, Reply, TaskEdit
from .registry import Named, Registry
from .reviewing import NewComment, review
from .sending import REPEATED, is_said, normalised, once
from .tools_read import ChangeRef, Name, check_task, the_registry, tidy_change, tidy_task

_LONGEST = 60_000

Reference = Annotated[str | None, Field(max_length=500)]
Words = Annotated[str | None, Field(max_length=_LONGEST)]
Title = Annotated[str | None, Field(max_length=500)]
Names = Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=50)]


async def submit_review(
    change: ChangeRef,
    version: Annotated[str, Field(description="What you read", max_length=300)],
    *,
    verdict: Annotated[Verdict, Field(description="Verdict")] = "comment",
    summary: Annotated[str, Field(description="Markdown", max_length=_LONGEST)] = "",
    comments: Annotated[list[NewComment] | None, Field(description="Inline comments", max_length=100)] = None,
    dry_run: Annotated[bool, Field(description="Check only")] = False,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> ReviewResult:
    """Send one review, all or nothing: verdict, summary, inline comments. Refused when the change moved past version."""
    named = registry.change(change)
    work = review(registry, named, version=version, verdict=verdict, summary=summary, comments=comments or [], dry_run=dry_run)
    return cleaned(await with_progress(work, context, "reviewing"))


async def reply_thread(
    thread: Annotated[str, Field(description="Thread id", max_length=500)],
    *,
    change: Annotated[str | None, Field(description="Change or task", max_length=500)] = None,
    body: Annotated[Words, Field(description="Markdown")] = None,
    resolve: Annotated[bool | None, Field(description="false reopens")] = None,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> ReplyResult:
    """Reply in a thread and, if asked, resolve or reopen it."""
    if not (body or "").strip() and resolve is None:
        raise InvalidInput("There is nothing to do: give a body, or resolve.")
    return cleaned(await with_progress(_reply(registry, thread, change, body, resolve), context, "replying"))


async def edit_change(
    *,
    change: Annotated[Reference, Field(description="Absent: create")] = None,
    repo: Annotated[Name, Field(description="Repository")] = None,
    source: Annotated[str | None, Field(description="Branch or patch text", max_length=1_000_000)] = None,
    base: Annotated[Name, Field(description="Target branch")] = None,
    title: Annotated[Title, Field(description="Title")] = None,
    summary: Annotated[Words, Field(description="Summary")] = None,
    test_plan: Annotated[Words, Field(description="Test plan")] = None,
    add_reviewers: Annotated[Names | None, Field(description="Names")] = None,
    remove_reviewers: Annotated[Names | None, Field(description="Names")] = None,
    state: Annotated[NewState | None, Field(description="New state")] = None,
    link_tasks: Annotated[Names | None, Field(description="Tasks")] = None,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> ChangeEdited:
    """Create a change or edit one: title, summary, reviewers, state. Never merges."""
    if change is None:
        if not source:
            raise InvalidInput("Give the change to edit, or repo and source to create one.")
        provider, name = registry.only(repo, "repo")
        registry.check_repo(provider, name)
        ref = None
    else:
        named = registry.change(change)
        await registry.check_change(named)
        provider, ref, name = named.provider, named.ref, repo and registry.chosen(repo)[1]
    edit = ChangeEdit(
        change=ref,
        repo=name,
        source=source,
        base=base,
        title=_title(registry, provider, title),
        summary=_outgoing(registry, provider, summary),
        test_plan=_outgoing(registry, provider, test_plan),
        add_reviewers=tuple(add_reviewers or ()),
        remove_reviewers=tuple(remove_reviewers or ()),
        state=state,
        link_tasks=_refs(provider, [registry.task(task) for task in link_tasks or []]),
    )
    work = _edit_change(registry, provider, edit)
    edited = cleaned(await with_progress(work, context, "editing the change"))
    return edited.model_copy(update={"change": tidy_change(registry, provider, edited.change)})


async def save_task(
    *,
    task: Annotated[Reference, Field(description="Absent: create")] = None,
    project: Annotated[Name, Field(description="Project")] = None,
    title: Annotated[Title, Field(description="Title")] = None,
    body: Annotated[Words, Field(description="Markdown")] = None,
    status: Annotated[Name, Field(description="Status")] = None,
    priority: Annotated[Name, Field(description="Priority")] = None,
    owner: Annotated[Name, Field(description="Name, me or none")] = None,
    add_projects: Annotated[Names | None, Field(description="Names")] = None,
    remove_projects: Annotated[Names | None, Field(description="Names")] = None,
    column: Annotated[Name, Field(description="Column")] = None,
    parent: Annotated[Reference, Field(description="Parent task")] = None,
    comment: Annotated[Words, Field(description="Comment")] = None,
    link_changes: Annotated[Names | None, Field(description="Changes")] = None,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> TaskSaved:
    """Create a task, or change the given fields of one."""
    if task is None:
        if not title:
            raise InvalidInput("Give the task to change, or a title to create one.")
        provider, name = registry.only(project, "project")
        registry.check_project(provider, name)
        ref = None
    else:
        named = registry.task(task)
        await check_task(registry, named)
        provider, ref, name = named.provider, named.ref, project and registry.chosen(project)[1]
        if name is not None:
            registry.check_project(provider, name)
    edit = TaskEdit(
        task=ref,
        project=name,
        title=_title(registry, provider, title),
        body=_outgoing(registry, provider, body),
        status=status,
        priority=priority,
        owner=owner,
        add_projects=tuple(add_projects or ()),
        remove_projects=tuple(remove_projects or ()),
        column=column,
        parent=_refs(provider, [registry.task(parent)])[0] if parent else None,
        comment=_outgoing(registry, provider, comment),
        link_changes=_refs(provider, [registry.change(each) for each in link_changes or []]),
    )
    saved = cleaned(await with_progress(_save_task(registry, provider, edit), context, "saving the task"))
    return saved.model_copy(update={"task": tidy_task(registry, provider, saved.task)})


WRITE_TOOLS = tuple(
    Tool(function, read_only=False, open_world=True) for function in (submit_review, reply_thread, edit_change, save_task)
)


async def _reply(registry: Registry, thread: str, change: str | None, body: str | None, resolve: bool | None) -> ReplyResult:  # noqa: FBT001 - None, true and false are the tool's own
    named = _its_change(registry, change)
    provider = named.provider if named is not None else registry.only(None, "change")[0]
    words = _outgoing(registry, provider, body.strip()) if body and body.strip() else None
    if named is None and registry.systems[provider.name].repositories:
        raise InvalidInput("Give the change of the thread: this server is set up for some repositories only.")
    threads = await _threads_with(registry, named, thread) if named is not None else None
    asked = Reply(named.ref if named is not None else None, thread, words, resolve)
    if words is None:
        return await provider.reply(asked)

    async def arrived() -> ReplyResult | None:
        return ReplyResult(posted=True) if threads is not None and is_said(threads, words) else None

    about = key("reply", provider.name, thread, normalised(words))
    answer, is_new = await once(registry.journal, about, ReplyResult, lambda: provider.reply(asked), arrived=arrived)
    if is_new:
        return answer
    if resolve is not None:
        again = await provider.reply(replace(asked, body=None))
        return again.model_copy(update={"note": REPEATED if again.note is None else f"{REPEATED} {again.note}"})
    return answer.model_copy(update={"note": REPEATED})


def _its_change(registry: Registry, text: str | None) -> Named | None:
    """The change, or the task, that a thread is said to belong to."""
    if text is None:
        return None
    try:
        return registry.change(text)
    except InvalidInput:
        try:
            return registry.task(text)
        except InvalidInput:
            pass
        raise


async def _threads_with(registry: Registry, named: Named, thread: str) -> list[Thread]:
    """The discussion that *thread* is part of. Raises NotFound: an id alone could be of a repository that is on no list."""
    is_change = named.provider.change_ref(named.ref) == named.ref
    if is_change:
        await registry.check_change(named)
    else:
        await check_task(registry, named)
    threads = await named.provider.threads(change=named.ref if is_change else None, task=None if is_change else named.ref)
    if all(thread not in (each.id, *(comment.id for comment in each.comments)) for each in threads):
        raise NotFound(f"{named.ref} has no thread of that id. list_threads gives the ids.")
    return threads


async def _edit_change(registry: Registry, provider: Provider, edit: ChangeEdit) -> ChangeEdited:
    if edit.change is not None and edit.source is None:
        return await provider.edit_change(edit)  # repeated, it changes nothing
    about = key("change", provider.name, repr(edit))
    answer, is_new = await once(registry.journal, about, ChangeEdited, lambda: provider.edit_change(edit))
    return answer if is_new else answer.model_copy(update={"note": REPEATED})


async def _save_task(registry: Registry, provider: Provider, edit: TaskEdit) -> TaskSaved:
    if edit.task is not None and edit.comment is None:
        return await provider.save_task(edit)  # repeated, it changes nothing
    if edit.task is None:
        about = key("task", provider.name, repr(edit))
        answer, is_new = await once(registry.journal, about, TaskSaved, lambda: provider.save_task(edit))
        return answer if is_new else answer.model_copy(update={"note": REPEATED})

    without_comment = replace(edit, comment=None)

    async def arrived() -> TaskSaved | None:
        threads = await provider.threads(change=None, task=edit.task)
        return await provider.save_task(without_comment) if is_said(threads, edit.comment or "") else None

    about = key("task comment", provider.name, edit.task, normalised(edit.comment or ""))
    answer, is_new = await once(registry.journal, about, TaskSaved, lambda: provider.save_task(edit), arrived=arrived)
    if is_new:
        return answer
    # the comment is there; the rest of the call may be another than it was then
    saved = await provider.save_task(without_comment)
    return saved.model_copy(update={"note": f"The comment was sent before: it was not sent again. {saved.note or ''}".strip()})


def _refs(provider: Provider, named: list[Named]) -> tuple[str, ...]:
    """The references of things that have to be of the same system. Raises InvalidInput."""
    for each in named:
        if each.provider is not provider:
            raise InvalidInput(f"{each.ref} is of {each.provider.name}, and this is of {provider.name}: they cannot be linked.")
    return tuple(each.ref for each in named)


def _outgoing(registry: Registry, provider: Provider, text: str | None) -> str | None:
    return text if text is None or registry.settings.allow_mentions else neutralised(text, provider.kind)


def _title(registry: Registry, provider: Provider, title: str | None) -> str | None:
    """A title acts on Phabricator only, where it becomes the first line of a commit message; elsewhere it is plain text."""
    return _outgoing(registry, provider, title) if provider.kind == "phabricator" else title

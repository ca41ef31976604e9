"""Phabricator and Phorge as a provider of changes and tasks."""

import asyncio
from collections.abc import Callable

import httpx2
from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure

from ...models import Change, ChangeDetails, ChangeEdited, Checks, FileText, ProviderKind, ReplyResult, TaskSaved, Thread
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
from .checks import Builds, checks
from .conduit import Conduit
from .diffs import Diffs, version_number
from .edits import Edits
from .files import Files
from .names import Names
from .references import monogram, thread_place
from .reviews import Reviews
from .revisions import Current, Revisions
from .tasks import Tasks
from .threads import discussion
from .trust import Trusting
from .wire import Account, Diff, Revision

_READY_SECONDS = 4.0


class PhabricatorProvider:
    """One Phabricator or Phorge, seen through the account of one API token."""

    kind: ProviderKind = "phabricator"

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        server: CodeReviewSettings,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        if not settings.url:
            raise ValueError(f"the provider {name} needs a url, such as https://phorge.example")
        self.name = name
        self._conduit = Conduit(name, settings.url, settings.token, seconds=server.request_seconds, transport=transport)
        self._names = Names(self._conduit)
        self._diffs = Diffs(self._conduit)
        self._builds = Builds(self._conduit)
        self._trusting = Trusting(self._names, settings.trusted, settings.trusted_groups)
        self._revisions = Revisions(self._conduit, self._names, self._diffs, self._builds, self._trusting)
        self._files = Files(self._conduit, self._names, self._diffs)
        self._tasks = Tasks(self._conduit, self._names, self._trusting)
        self._reviews = Reviews(self._conduit, self._names, self._revisions, settings.inline)
        self._edits = Edits(self._conduit, self._names, self._revisions)

    def change_ref(self, text: str) -> str | None:
        return monogram(text, "D", self._conduit.url)

    def task_ref(self, text: str) -> str | None:
        return monogram(text, "T", self._conduit.url)

    def repo_of(self, ref: str) -> str | None:  # noqa: ARG002 - the reference of a revision never says it
        return None

    async def ready(self) -> str | None:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._conduit.read(Account, "user.whoami")
        except ToolFailure as failure:
            return str(failure)
        except TimeoutError:
            return f"{self.name} did not answer within {_READY_SECONDS:g} s."
        return None

    async def find_changes(self, query: ChangeQuery, page: Page) -> Found[Change]:
        return await self._revisions.find(query, page)

    async def change(self, ref: str) -> ChangeDetails:
        details = await self._revisions.details(ref)
        details.can.publish_inline = self._reviews.publishes_inline
        return details

    async def diff(
        self, ref: str, *, version: str | None, since: str | None, context: int, wanted: Callable[[str], bool]
    ) -> ChangeDiff:
        revision, number, earlier = await self._versions(ref, version, since)
        known, files = await asyncio.gather(
            self._names.known([revision.repository]),
            self._diffs.files(number, context=context)
            if earlier is None
            else self._diffs.between(earlier, number, context=context, wanted=wanted),
        )
        shown = [file for file in files if wanted(file.path) or (file.old_path is not None and wanted(file.old_path))]
        return ChangeDiff(version=str(number), repo=known.name(revision.repository), files=shown)

    async def file(self, where: FileAt) -> FileText:
        if where.change is not None:
            return await self._files.of_change(await self._revisions.current(where.change), where.path, where.at)
        if where.repo is None:
            raise InvalidInput("Give a change or a repository.")
        return await self._files.of_repository(where.repo, where.path, where.at)

    async def threads(self, *, change: str | None, task: str | None) -> list[Thread]:
        if (change is None) == (task is None):
            raise InvalidInput("Give a change or a task.")
        if change is not None:
            revision, history, trust = await asyncio.gather(
                self._revisions.revision(change), discussion(self._conduit, change), self._trusting.now()
            )
            history.current = revision.diff
        else:
            history, trust = await asyncio.gather(discussion(self._conduit, task or ""), self._trusting.now())
        return history.threads(await self._names.known(history.authors), trust)

    async def checks(self, ref: str, *, check: str | None, log_lines: int) -> Checks:
        current = await self._revisions.current(ref)
        return await checks(self._builds, current.diff.phid, current.diff.id, ref, check=check, log_lines=log_lines)

    async def find_tasks(self, query: TaskQuery, page: Page) -> TasksFound:
        return await self._tasks.find(query, page)

    async def submit(self, review: Review) -> Sent:
        return await self._reviews.submit(review)

    async def reply(self, reply: Reply) -> ReplyResult:
        place = thread_place(reply.thread)
        ref = reply.change or (place[0] if place else None)
        if ref is None:
            raise InvalidInput("Say which change the thread belongs to.")
        asked = Reply(ref, reply.thread, reply.body, reply.resolve)
        return await self._reviews.reply(asked, task=ref.startswith("T"))

    async def edit_change(self, edit: ChangeEdit) -> ChangeEdited:
        return await self._edits.edit(edit)

    async def save_task(self, edit: TaskEdit) -> TaskSaved:
        return await self._tasks.save(edit)

    async def aclose(self) -> None:
        await self._conduit.aclose()

    async def _versions(self, ref: str, version: str | None, since: str | None) -> tuple[Revision, int, int | None]:
        """The revision and the diffs that are asked for, which must be its own: another's may be in a hidden repository."""
        asked = {version_number(text) for text in (version, since) if text is not None}
        if not asked:
            current: Current = await self._revisions.current(ref)
            return current.revision, current.diff.id, None
        revision, found = await asyncio.gather(self._revisions.revision(ref), self._diffs.by_id(asked))
        for number in sorted(asked):
            diff: Diff | None = found.get(number)
            if diff is None or diff.revision != revision.phid:
                raise NotFound(f"{ref} has no version {number}. get_change lists its versions.")
        newest = version_number(version) if version is not None else (await self._diffs.newest(revision)).id
        return revision, newest, version_number(since) if since is not None else None

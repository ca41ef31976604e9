"""GitLab over its REST interface, version 4: gitlab.com, or one of a team's own."""

import asyncio
from collections.abc import Callable

from opsroom_shared.errors import InvalidInput, ToolFailure
from opsroom_shared.outside import clean
from opsroom_shared.redact import hide

from ...models import Change, ChangeDetails, ChangeEdited, Checks, FileText, ProviderKind, ReplyResult, TaskSaved, Thread
from ...settings import CodeReviewSettings, ProviderSettings
from .. import ChangeDiff, ChangeEdit, ChangeQuery, FileAt, Found, Page, Reply, Review, Sent, TaskEdit, TaskQuery, TasksFound
from ..web import Web
from .api import GitLabApi
from .changes import Changes
from .discussions import Discussions
from .editing import Editing
from .files import Files
from .issue_edits import IssueEdits
from .issues import Issues
from .listing import Listing
from .patches import Patches
from .people import People
from .pipelines import Pipelines
from .references import Item, Site
from .review import Reviews

_READY_SECONDS = 5.0


class GitLabProvider:
    """One GitLab, seen through the token of one account."""

    def __init__(self, name: str, settings: ProviderSettings, server: CodeReviewSettings) -> None:
        self._name = name
        self._site = Site(settings.url)
        token = settings.token.get_secret_value() if settings.token else ""
        hide(token)
        headers = {"PRIVATE-TOKEN": token} if token else {}
        web = Web(name, self._site.api, headers=headers, seconds=server.request_seconds)
        api = self._api = GitLabApi(web, has_token=bool(token))
        people = self._people = People(api, trusted=settings.trusted, groups=settings.trusted_groups)
        patches = self._patches = Patches(api)
        changes = self._changes = Changes(api, people, patches)
        self._listing = Listing(api, people, changes, settings.repositories)
        self._files = Files(api, changes)
        self._discussions = Discussions(api, self._site, people, changes)
        self._pipelines = Pipelines(api)
        self._reviews = Reviews(api, people, changes, patches)
        self._editing = Editing(api, self._site, people, changes)
        issues = self._issues = Issues(api, self._site, people, settings.projects)
        self._issue_edits = IssueEdits(api, self._site, people, issues)

    @property
    def name(self) -> str:
        return self._name

    @property
    def kind(self) -> ProviderKind:
        return "gitlab"

    def change_ref(self, text: str) -> str | None:
        return _text(self._site.change(text))

    def task_ref(self, text: str) -> str | None:
        return _text(self._site.task(text))

    def repo_of(self, ref: str) -> str | None:
        item = self._site.change(ref) or self._site.task(ref)
        return item.project if item else None

    async def ready(self) -> str | None:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._people.me(fresh=True)
        except TimeoutError:
            return f"{self._name} did not answer within {_READY_SECONDS:g} s."
        except ToolFailure as failure:
            return str(failure)
        return None

    async def find_changes(self, query: ChangeQuery, page: Page) -> Found[Change]:
        return await self._listing.find(query, page)

    async def change(self, ref: str) -> ChangeDetails:
        return await self._changes.details(self._change(ref))

    async def diff(
        self,
        ref: str,
        *,
        version: str | None,
        since: str | None,
        context: int,  # noqa: ARG002 - GitLab gives three lines, whatever is asked
        wanted: Callable[[str], bool],
    ) -> ChangeDiff:
        item = self._change(ref)
        merge_request = await self._changes.merge_request(item)
        return await self._patches.diff(item, merge_request, version=version, since=since, wanted=wanted)

    async def file(self, where: FileAt) -> FileText:
        return await self._files.read(where, self._change(where.change) if where.change is not None else None)

    async def threads(self, *, change: str | None, task: str | None) -> list[Thread]:
        if change is not None:
            return await self._discussions.of_change(self._change(change))
        item = self._site.task(task or "")
        if item is None:
            raise InvalidInput(f"{clean(task or '', 80)!r} is no issue; one looks like group/project#12.")
        return await self._discussions.of_task(item)

    async def checks(self, ref: str, *, check: str | None, log_lines: int) -> Checks:
        item = self._change(ref)
        return await self._pipelines.checks(item, await self._changes.merge_request(item), check=check, log_lines=log_lines)

    async def find_tasks(self, query: TaskQuery, page: Page) -> TasksFound:
        return await self._issues.find(query, page)

    async def submit(self, review: Review) -> Sent:
        return await self._reviews.submit(self._change(review.change), review)

    async def reply(self, reply: Reply) -> ReplyResult:
        return await self._discussions.reply(reply)

    async def edit_change(self, edit: ChangeEdit) -> ChangeEdited:
        return await self._editing.edit(edit)

    async def save_task(self, edit: TaskEdit) -> TaskSaved:
        return await self._issue_edits.save(edit)

    async def aclose(self) -> None:
        await self._api.aclose()

    def _change(self, ref: str) -> Item:
        item = self._site.change(ref)
        if item is None:
            raise InvalidInput(f"{clean(ref, 80)!r} is no merge request of {self._name}; one looks like group/project!12.")
        return item


def _text(item: Item | None) -> str | None:
    return str(item) if item else None

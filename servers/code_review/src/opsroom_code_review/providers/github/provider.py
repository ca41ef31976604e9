"""GitHub as a provider: one account's view of github.com or of a GitHub Enterprise."""

import asyncio
from collections.abc import Callable

import httpx2
from opsroom_shared.errors import InvalidInput, ToolFailure
from opsroom_shared.outside import clean
from opsroom_shared.redact import hide

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
from ..web import Web
from .api import GitHubApi
from .changes import ChangeFinder, ChangeReader
from .checking import CheckReader
from .diffing import DiffReader
from .discussion import DiscussionReader
from .editing import ChangeEditor
from .files import FileReader
from .references import Item, Site, repository
from .reviewing import Reviewer
from .tasks import TaskEditor, TaskFinder
from .trust import TrustReader
from .wire import Graph, Login

_API_VERSION = "2022-11-28"
_READY_SECONDS = 5.0


class _Viewer(Graph):
    viewer: Login


class GitHubProvider:
    """Connects to nothing before its first call."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        server: CodeReviewSettings,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._name = name
        self._site = Site.of(settings.url)
        token = settings.token.get_secret_value() if settings.token else ""
        hide(token)
        headers = {"X-GitHub-Api-Version": _API_VERSION, "User-Agent": "opsroom-code-review"}
        if token:
            headers["Authorization"] = f"Bearer {token}"

        web = Web(name, self._site.rest, headers=headers, seconds=server.request_seconds, transport=transport)
        self._api = api = GitHubApi(web, self._site.graphql, has_token=bool(token))
        trust = TrustReader(api, settings)
        files = FileReader(api)
        self._finder = ChangeFinder(api, settings.repositories)
        self._changes = ChangeReader(api, trust)
        self._diffs = DiffReader(api, files)
        self._files = files
        self._discussion = DiscussionReader(api, trust)
        self._checks = CheckReader(api)
        self._reviewer = Reviewer(api)
        self._editor = ChangeEditor(api, self._site.item)
        self._task_finder = TaskFinder(api, trust, settings.repositories, self._site.item)
        self._task_editor = TaskEditor(api, trust, self._site.item)

    @property
    def name(self) -> str:
        return self._name

    @property
    def kind(self) -> ProviderKind:
        return "github"

    def change_ref(self, text: str) -> str | None:
        """Issues and pull requests are told apart by GitHub only; the call says so where it was the other one."""
        item = self._site.item(text)
        return str(item) if item else None

    def task_ref(self, text: str) -> str | None:
        return self.change_ref(text)

    def repo_of(self, ref: str) -> str | None:
        item = self._site.item(ref)
        return str(item.repository) if item else None

    async def ready(self) -> str | None:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._api.query(_Viewer, "{ viewer { login } }", {})
        except ToolFailure as failure:
            return str(failure)
        except TimeoutError:
            return f"{self._name} did not answer within {_READY_SECONDS:g} s."
        return None

    async def find_changes(self, query: ChangeQuery, page: Page) -> Found[Change]:
        return await self._finder.find(query, page)

    async def change(self, ref: str) -> ChangeDetails:
        return await self._changes.read(self._item(ref))

    async def diff(
        self, ref: str, *, version: str | None, since: str | None, context: int, wanted: Callable[[str], bool]
    ) -> ChangeDiff:
        return await self._diffs.read(self._item(ref), version=version, since=since, context=context, wanted=wanted)

    async def file(self, where: FileAt) -> FileText:
        if where.change is not None:
            item = self._item(where.change)
            return await self._files.read(where, item.repository, item, self._diffs.pull)
        if where.repo is None:
            raise InvalidInput("Give the change, or the repo (owner/name), that the file is of.")
        return await self._files.read(where, repository(where.repo), None, self._diffs.pull)

    async def threads(self, *, change: str | None, task: str | None) -> list[Thread]:
        return await self._discussion.read(self._item(change or task or ""), task=change is None)

    async def checks(self, ref: str, *, check: str | None, log_lines: int) -> Checks:
        return await self._checks.read(self._item(ref), check=check, log_lines=log_lines)

    async def find_tasks(self, query: TaskQuery, page: Page) -> TasksFound:
        return await self._task_finder.find(query, page)

    async def submit(self, review: Review) -> Sent:
        return await self._reviewer.submit(self._item(review.change), review)

    async def reply(self, reply: Reply) -> ReplyResult:
        if reply.change is None:
            raise InvalidInput("On GitHub a thread's id says nothing of where it is; give the change (owner/repo#12), too.")
        return await self._reviewer.reply(self._item(reply.change), reply)

    async def edit_change(self, edit: ChangeEdit) -> ChangeEdited:
        return await self._editor.edit(edit)

    async def save_task(self, edit: TaskEdit) -> TaskSaved:
        return await self._task_editor.save(edit)

    async def aclose(self) -> None:
        await self._api.aclose()

    def _item(self, text: str) -> Item:
        item = self._site.item(text)
        if item is None:
            raise InvalidInput(
                f"{clean(text, 80)!r} is no reference of GitHub. Say owner/repo#12, or give the address of its page."
            )
        return item

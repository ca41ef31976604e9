"""Pull requests made and changed: never merged, never pushed to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure
from opsroom_shared.outside import clean
from pydantic import Field, JsonValue, model_validator

from ...models import ChangeEdited
from .. import ChangeEdit
from . import queries
from .api import Answered, GitHubApi, names
from .changes import wrong_kind
from .document import Document
from .mapping import change_of, with_links
from .references import Item, Repository, login, repository, team
from .wire import (
    AnIssue,
    APull,
    Connection,
    Graph,
    Login,
    Named,
    PullSummary,
    RestNumbered,
    ReviewRequest,
)

_MOST_NAMES = 30


class EditedPull(PullSummary):
    id: str
    body: str
    base_ref_name: str
    review_requests: Connection[ReviewRequest] | None = None

    @property
    def requested(self) -> set[str]:
        asked = [one.requested_reviewer for one in (self.review_requests.items if self.review_requests else [])]
        return {name.lower() for one in asked if one and (name := one.combined_slug or one.login)}


class _Slug(Graph):
    slug: str


class _Organization(Graph):
    team: _Slug | None = None


class _Linked(Graph):
    item: AnIssue | APull | None = Field(None, discriminator="kind")


class _Edited(Graph):
    default_branch_ref: Named | None = None
    pull: EditedPull | None = None
    item: AnIssue | APull | None = Field(None, discriminator="kind")
    assignable_users: Connection[Login] | None = None


class _Plan(Graph):
    """The pull request as it is, and what the names of the edit stand for; absent is what GitHub does not know."""

    repository: _Edited | None = None
    users: dict[str, Login | None]
    teams: dict[str, _Organization | None]
    tasks: dict[str, _Linked | None]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
        groups: dict[str, JsonValue] = {
            group: {key: value for key, value in data.items() if key.startswith(f"{group}_")}
            for group in ("users", "teams", "tasks")
        }
        return {"repository": data.get("repository"), **groups}


class Mutated(Graph):
    """That a mutation was accepted; how the pull request is then is read."""


@dataclass(frozen=True)
class Names:
    """People and teams, as GitHub wants them told apart."""

    users: tuple[str, ...] = ()
    teams: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Names":
        found = [(text, team(text)) for text in texts]
        if len(found) > _MOST_NAMES:
            raise InvalidInput(f"{len(found)} reviewers are too many for one call; give at most {_MOST_NAMES}.")
        return cls(tuple(login(text) for text, one in found if one is None), tuple(one for _, one in found if one is not None))

    def payload(self) -> dict[str, JsonValue]:
        return {"reviewers": list(self.users), "team_reviewers": [slug for _, slug in self.teams]}

    def kept(self, known: set[str]) -> "Names":
        """Those that are among *known*, which are in lower case."""
        return Names(
            tuple(user for user in self.users if user.lower() in known),
            tuple(one for one in self.teams if "/".join(one).lower() in known),
        )

    def __bool__(self) -> bool:
        return bool(self.users or self.teams)


Write = Callable[[], Awaitable[object]]


@dataclass
class Steps:
    """Writes in their order. What fails after something was written is told beside what was written."""

    waiting: list[tuple[str, Write]] = field(default_factory=list[tuple[str, Write]])

    def add(self, what: str, write: Write) -> None:
        self.waiting.append((what, write))

    async def run(self, *, written: bool = False) -> tuple[list[str], str | None]:
        """What was done, and a note where not all of it was. Raises when the first one fails and nothing was *written*."""
        done: list[str] = []
        for at, (what, write) in enumerate(self.waiting):
            try:
                await write()
            except ToolFailure as failure:
                if not (done or written):
                    raise
                missing = ", ".join(name for name, _ in self.waiting[at:])
                return done, f"Not done: {missing}. {failure}"
            done.append(what)
        return done, None


class ChangeEditor:
    def __init__(self, api: GitHubApi, item_of: Callable[[str], Item | None]) -> None:
        self._api, self._item_of = api, item_of

    async def edit(self, edit: ChangeEdit) -> ChangeEdited:
        if edit.test_plan is not None:
            raise InvalidInput("GitHub has no test plan. Say it in the summary.")
        if edit.state == "changes_planned":
            raise InvalidInput("GitHub knows no planned changes. The states are draft, ready, abandoned and reopened.")
        linked = [self._item(text) for text in edit.link_tasks]
        if edit.change is None:
            return await self._create(edit, linked)
        return await self._change(edit, self._item(edit.change), linked)

    def _item(self, text: str) -> Item:
        item = self._item_of(text)
        if item is None:
            raise InvalidInput(f"{clean(text, 80)!r} is no reference of GitHub. Say owner/repo#12.")
        return item

    async def _create(self, edit: ChangeEdit, linked: Sequence[Item]) -> ChangeEdited:
        if edit.repo is None or edit.source is None or edit.title is None:
            raise InvalidInput("To open a pull request, give repo, source (a branch, or owner:branch of a fork) and title.")
        if "\n" in edit.source or not edit.source.strip():
            raise InvalidInput("GitHub takes a branch as source, no patch. Push the branch, then give its name.")
        if edit.remove_reviewers or edit.state in ("abandoned", "reopened"):
            raise InvalidInput("A pull request that is opened has no reviewers to remove and is not closed; leave these out.")
        home, asked = repository(edit.repo), Names.of(edit.add_reviewers)
        found = await self._plan(home, None, asked, linked)
        base = edit.base or (found.default_branch_ref.name if found.default_branch_ref else None)
        if base is None:
            raise InvalidInput(f"{home} has no default branch; give the base.")
        payload: dict[str, JsonValue] = {
            "title": edit.title,
            "head": edit.source,
            "base": base,
            "body": with_links(edit.summary or "", linked, home),
            "draft": edit.state == "draft",
        }
        made = await self._api.write(RestNumbered, "POST", f"{home.path}/pulls", payload)
        item = Item(home, made.number)
        steps = Steps()
        if asked:
            path = f"{home.path}/pulls/{made.number}/requested_reviewers"
            steps.add("reviewers", lambda: self._api.write(RestNumbered, "POST", path, asked.payload()))
        done, note = await steps.run(written=True)
        after = await self._read(item)
        created = ["created", "title", "base", *(["summary"] if edit.summary else []), *(["tasks"] if linked else [])]
        return ChangeEdited(change=change_of(after), changed=[*created, *done], note=note)

    async def _change(self, edit: ChangeEdit, item: Item, linked: Sequence[Item]) -> ChangeEdited:
        if edit.source is not None:
            raise InvalidInput("A new version of a pull request is pushed with git; GitHub takes none over its interface.")
        adding, removing = Names.of(edit.add_reviewers), Names.of(edit.remove_reviewers)
        found = await self._plan(item.repository, item, adding, linked)
        before = found.pull
        if before is None:
            raise NotFound(f"There is no pull request {item} that this account may see.")
        steps = Steps()
        self._add_fields(steps, edit, item, before, linked)
        self._add_reviewers(steps, item, adding, removing.kept(before.requested))
        if not steps.waiting:
            return ChangeEdited(change=change_of(before), changed=[], note="It was so already.")
        done, note = await steps.run()
        after = await self._read(item)
        return ChangeEdited(change=change_of(after), changed=[word for words in done for word in words.split(", ")], note=note)

    def _add_fields(self, steps: Steps, edit: ChangeEdit, item: Item, before: EditedPull, linked: Sequence[Item]) -> None:
        path, payload = f"{item.repository.path}/pulls/{item.number}", dict[str, JsonValue]()
        words: list[str] = []
        body = with_links(before.body if edit.summary is None else edit.summary, linked, item.repository)
        if edit.title is not None and edit.title != before.title:
            payload["title"] = edit.title
            words.append("title")
        if body != before.body:
            payload["body"] = body
            words += [*(["summary"] if edit.summary is not None else []), *(["tasks"] if linked else [])]
        if edit.base is not None and edit.base != before.base_ref_name:
            payload["base"] = edit.base
            words.append("base")
        state = {"abandoned": "closed", "reopened": "open"}.get(edit.state or "")
        if state is not None and state != before.state.lower():
            if before.state == "MERGED":
                raise InvalidInput(f"{item} is merged; it can be neither closed nor reopened.")
            payload["state"] = state
            words.append("state")
        if payload:
            steps.add(", ".join(words), lambda: self._api.write(RestNumbered, "PATCH", path, payload))
        if (edit.state, before.is_draft) in (("draft", False), ("ready", True)):
            document = queries.DRAFT if edit.state == "draft" else queries.READY
            steps.add("state", lambda: self._api.mutate(Mutated, document, {"id": before.id}))

    def _add_reviewers(self, steps: Steps, item: Item, adding: Names, removing: Names) -> None:
        path = f"{item.repository.path}/pulls/{item.number}/requested_reviewers"
        if adding:
            steps.add("reviewers", lambda: self._api.write(RestNumbered, "POST", path, adding.payload()))
        if removing:
            steps.add("reviewers removed", lambda: self._api.write(RestNumbered, "DELETE", path, removing.payload()))

    async def _read(self, item: Item) -> EditedPull:
        pull = (await self._plan(item.repository, item, Names(), ())).pull
        if pull is None:
            raise NotFound(f"{item} was written, but cannot be read any more.")
        return pull

    async def _plan(self, home: Repository, item: Item | None, asked: Names, linked: Sequence[Item]) -> _Edited:
        """The pull request and the names that the edit uses, in one query. Raises NotFound for an unknown name."""
        document = Document()
        place = _place(document, home)
        parts = ["defaultBranchRef { name }"]
        if asked:
            parts.append("assignableUsers(first: 30) { nodes { login } }")
        if item is not None:
            number = document.value("Int!", item.number)
            parts.append(f"item: issueOrPullRequest(number: {number}) {{ __typename }}")
            parts.append(f"pull: pullRequest(number: {number}) {{ ...edited }}")
        document.ask(f"repository({place}) {{ {' '.join(parts)} }}", *([queries.EDITED] if item is not None else []))
        for index, user in enumerate(asked.users):
            if not user.endswith("[bot]"):
                document.ask(f"users_{index}: user(login: {document.value('String!', user)}) {{ login }}")
        for index, (organization, slug) in enumerate(asked.teams):
            owner, name = document.value("String!", organization), document.value("String!", slug)
            document.ask(f"teams_{index}: organization(login: {owner}) {{ team(slug: {name}) {{ slug }} }}")
        for index, task in enumerate(linked):
            where, number = _place(document, task.repository), document.value("Int!", task.number)
            document.ask(f"tasks_{index}: repository({where}) {{ item: issueOrPullRequest(number: {number}) {{ __typename }} }}")
        answered = await self._api.query(_Plan, document.text, document.variables)
        if answered.data.repository is None:
            raise answered.absence(f"There is no repository {home} that this account may see.")
        if item is not None and isinstance(answered.data.repository.item, AnIssue):
            raise wrong_kind(item, answered.data.repository.item)
        _refuse_unknown(answered, answered.data.repository, asked, linked)
        return answered.data.repository


def _place(document: Document, home: Repository) -> str:
    return f"owner: {document.value('String!', home.owner)}, name: {document.value('String!', home.name)}"


def _refuse_unknown(answered: Answered[_Plan], found: _Edited, asked: Names, linked: Sequence[Item]) -> None:
    plan = answered.data
    users = [
        user for index, user in enumerate(asked.users) if f"users_{index}" in plan.users and plan.users[f"users_{index}"] is None
    ]
    if users:
        known = [user.login for user in (found.assignable_users.items if found.assignable_users else [])]
        raise answered.absence(f"GitHub knows no user {names(users)}. Some who can review here: {names(known)}.")
    for index, one in enumerate(asked.teams):
        organization = plan.teams.get(f"teams_{index}")
        if organization is None or organization.team is None:
            raise answered.absence(f"There is no team {'/'.join(one)} that this account may see.")
    for index, item in enumerate(linked):
        task = plan.tasks.get(f"tasks_{index}")
        if task is None or task.item is None:
            raise answered.absence(f"There is no issue {item} that this account may see.")
        if isinstance(task.item, APull):
            raise wrong_kind(item, task.item)

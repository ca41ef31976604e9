"""Pull requests: found by a search, and one with all that there is to it."""

from collections.abc import Mapping, Sequence
from typing import Literal

from opsroom_shared.errors import InvalidInput, NotFound
from pydantic import Field, JsonValue

from ...globs import matches
from ...models import Can, Change, ChangeDetails, ChecksSummary, Version
from .. import ChangeQuery, Found, Page
from . import queries
from .api import Answered, GitHubApi
from .document import Document
from .mapping import change_of, changed_file, check_state, failed_checks, linked, person, reviewers
from .references import Item, login, repository
from .search import Searched, merged, position_of, position_value, scopes, since, words
from .trust import TrustReader
from .wire import AnIssue, APull, Connection, FoundPull, Graph, Login, Path, Pull, PullMore, RepositoryName

_WRITING = ("WRITE", "MAINTAIN", "ADMIN")
_MOST_FILES = 300
_MOST_MORE = 5
_PATH_PAGES = 4
_PATH_AT_ONCE = 25
_MOST_PATHS = 30


class _FoundPulls(Searched[FoundPull]):
    author: Login | None = None
    repository: RepositoryName | None = None


class _Paths(Graph):
    files: Connection[Path] | None = None


class _PathsNode(Graph):
    node: _Paths | None = None


class _Item(Pull):
    kind: Literal["PullRequest"] = Field(alias="__typename")


class _ChangeRepository(Graph):
    viewer_permission: str | None = None
    is_archived: bool = False
    item: _Item | AnIssue | None = Field(None, discriminator="kind")


class _ChangeData(Graph):
    repository: _ChangeRepository | None = None


class _MoreRepository(Graph):
    item: PullMore | None = None


class _MoreData(Graph):
    repository: _MoreRepository | None = None


class ChangeFinder:
    """Searches pull requests."""

    def __init__(self, api: GitHubApi, allowed: Sequence[str]) -> None:
        self._api, self._allowed = api, allowed

    async def find(self, query: ChangeQuery, page: Page) -> Found[Change]:
        searches = _searches(query, self._allowed)
        position = position_of(page.position, len(searches))
        if query.path is None:
            pulls, position = await self._part(query, searches, position, page.limit)
            return Found([change_of(pull) for pull in pulls], position_value(position))
        return await self._touching(query, query.path, searches, position, page.limit)

    async def _touching(
        self, query: ChangeQuery, path: str, searches: list[str], position: dict[str, str | None], limit: int
    ) -> Found[Change]:
        """GitHub cannot search by path, so the files of what is found otherwise are looked at, a few pages far."""
        taken: list[Change] = []
        for _ in range(_PATH_PAGES):
            # no more than are still wanted, or the position would be behind some that were not shown
            pulls, position = await self._part(query, searches, position, min(_PATH_AT_ONCE, max(limit - len(taken), 1)))
            taken += [change_of(pull) for pull in pulls if await self._touches(pull, path)]
            if len(taken) >= limit or not position:
                break
        return Found(taken, position_value(position))

    async def _touches(self, pull: FoundPull, path: str) -> bool:
        files = pull.files
        for _ in range(_MOST_PATHS):
            if files is None:
                return False
            if any(matches(file.path, path) for file in files.items):
                return True
            if files.following is None:
                return False
            answered = await self._api.query(_PathsNode, queries.MORE_PATHS, {"id": pull.id, "after": files.following})
            files = answered.data.node.files if answered.data.node else None
        return False

    async def _part(
        self, query: ChangeQuery, searches: list[str], position: Mapping[str, str | None], limit: int
    ) -> tuple[list[FoundPull], dict[str, str | None]]:
        document = Document()
        most = document.value("Int!", limit)
        found = queries.FOUND_PULLS if query.path is None else queries.FOUND_PULLS_WITH_FILES
        for key, cursor in position.items():
            text = document.value("String!", searches[int(key.removeprefix("s"))])
            after = document.value("String", cursor)
            document.ask(f"{key}: search(type: ISSUE, query: {text}, first: {most}, after: {after}) {{ ...foundPulls }}", found)
        author = query.author if query.author not in (None, "me") else None
        if author is not None and not author.endswith("[bot]"):
            document.ask(f"author: user(login: {document.value('String!', login(author))}) {{ login }}")
        if query.repo is not None:
            wanted = repository(query.repo)
            owner, name = document.value("String!", wanted.owner), document.value("String!", wanted.name)
            document.ask(f"repository(owner: {owner}, name: {name}) {{ nameWithOwner }}")
        answered = await self._api.query(_FoundPulls, document.text, document.variables)
        _refuse_unknown(answered, author if author and not author.endswith("[bot]") else None, query.repo)
        answers = {key: answer for key, answer in answered.data.searches.items() if answer is not None}
        if answers.keys() != position.keys():
            raise answered.absence("GitHub did not answer the search.")
        return merged(answers, position, limit)


def _refuse_unknown(answered: Answered[_FoundPulls], author: str | None, repo: str | None) -> None:
    """A search for a name that does not exist just finds nothing, so the names are looked up beside it."""
    if author is not None and answered.data.author is None:
        raise answered.absence(f"GitHub knows no user {author!r}.")
    if repo is not None and answered.data.repository is None:
        raise answered.absence(f"There is no repository {repo!r} that this account may see.")


def _searches(query: ChangeQuery, allowed: Sequence[str]) -> list[str]:
    roles = {
        "any": [""],
        "author": ["author:@me"],
        "reviewer": ["review-requested:@me", "reviewed-by:@me"],
        "todo": ["review-requested:@me", "author:@me review:changes_requested"],
    }[query.role]
    qualifiers = ["is:pr", "sort:updated-desc"]
    if query.state != "all":
        qualifiers.append(f"is:{query.state}")
    if query.author == "me":
        qualifiers.append("author:@me")
    elif query.author is not None:
        name = login(query.author)
        qualifiers.append(f"author:app/{name.removesuffix('[bot]')}" if name.endswith("[bot]") else f"author:{name}")
    if query.updated_since is not None:
        qualifiers.append(since(query.updated_since))
    if query.text is not None:
        qualifiers += [*words(query.text), "in:title,body"]
    limits = scopes(query.repo, allowed)
    if not limits and query.role == "any" and query.author is None:
        raise InvalidInput("GitHub would search everything that is public. Give a repo (owner/name), an author, or a role.")
    return [" ".join(filter(None, [*qualifiers, role, limit])) for role in roles for limit in limits or [""]]


class ChangeReader:
    """Reads one pull request."""

    def __init__(self, api: GitHubApi, trust: TrustReader) -> None:
        self._api, self._trust = api, trust

    async def read(self, item: Item) -> ChangeDetails:
        variables = variables_of(item)
        answered = await self._api.query(_ChangeData, queries.CHANGE, variables)
        found = answered.data.repository
        if found is None or found.item is None:
            raise answered.absence(f"There is no pull request {item} that this account may see.")
        if isinstance(found.item, AnIssue):
            raise wrong_kind(item, found.item)
        pull = found.item
        files = list(pull.files.items if pull.files else [])
        threads = list(pull.review_threads.items if pull.review_threads else [])
        part: PullMore = pull
        counted = True
        for _ in range(_MOST_MORE):
            files_after = part.files.following if part.files and len(files) < _MOST_FILES else None
            threads_after = part.review_threads.following if part.review_threads else None
            if files_after is None and threads_after is None:
                break
            part = await self._more(item, files_after, threads_after)
            files += part.files.items if part.files else []
            threads += part.review_threads.items if part.review_threads else []
            counted = part.review_threads is None or part.review_threads.following is None
        trusted = (await self._trust.read()).of(person(pull.author), pull.author_association)
        return ChangeDetails(
            change=change_of(pull),
            summary=pull.body,
            trusted=trusted,
            base=pull.base_ref_name,
            head=pull.head_ref_name,
            versions=_versions(pull),
            reviewers=reviewers(pull),
            files=[changed_file(file) for file in files],
            files_total=pull.changed_files if pull.changed_files > len(files) else None,
            tasks=_tasks(pull, item),
            parents=[str(parent) for parent in pull.base_ref.associated_pull_requests.items] if pull.base_ref else [],
            checks=_checks(pull),
            open_threads=sum(not thread.is_resolved for thread in threads) if counted and pull.review_threads else None,
            can=_can(pull, found),
        )

    async def _more(self, item: Item, files: str | None, threads: str | None) -> PullMore:
        variables: dict[str, JsonValue] = {
            **variables_of(item),
            "files": files,
            "withFiles": files is not None,
            "threads": threads,
            "withThreads": threads is not None,
        }
        answered = await self._api.query(_MoreData, queries.CHANGE_MORE, variables)
        if answered.data.repository is None or answered.data.repository.item is None:
            raise answered.absence(f"There is no pull request {item} any more.")
        return answered.data.repository.item


def variables_of(item: Item) -> dict[str, JsonValue]:
    return {"owner": item.repository.owner, "name": item.repository.name, "number": item.number}


def wrong_kind(item: Item, found: AnIssue | APull) -> NotFound:
    if isinstance(found, AnIssue):
        return NotFound(f"{item} is an issue, no pull request. Use it where a task is asked for.")
    return NotFound(f"{item} is a pull request, no issue. Use it where a change is asked for.")


def _versions(pull: Pull) -> list[Version]:
    """Commits that can have been read as the newest one, oldest first: GitHub keeps no list of what was pushed when."""
    found: dict[str, Version] = {}
    for event in pull.forced.items:
        for commit in (event.before_commit, event.after_commit):
            if commit is not None:
                found.setdefault(commit.oid, Version(id=commit.oid, created_at=event.created_at))
    for reviews in (pull.latest, pull.opinionated):
        for review in reviews.items if reviews else []:
            if review.commit is not None:
                found.setdefault(review.commit.oid, Version(id=review.commit.oid))
    for node in pull.commits.items:
        # a commit's own date is known; when it was pushed is not
        found.pop(node.commit.oid, None)
        found[node.commit.oid] = Version(id=node.commit.oid, created_at=node.commit.committed_date)
    newest = found.pop(pull.head_ref_oid, Version(id=pull.head_ref_oid))
    return [*found.values(), newest]


def _tasks(pull: Pull, item: Item) -> list[str]:
    closing = pull.closing_issues_references.items if pull.closing_issues_references else []
    return list(dict.fromkeys([*(str(issue) for issue in closing), *linked(pull.body, item.repository)]))


def _checks(pull: Pull) -> ChecksSummary | None:
    rollup = next((tip.commit.status_check_rollup for tip in pull.tip.items), None)
    if rollup is None:
        return None
    return ChecksSummary(state=check_state(rollup.state), failed=failed_checks(rollup))


def _can(pull: Pull, found: _ChangeRepository) -> Can:
    writes = found.viewer_permission in _WRITING
    if found.is_archived or (pull.locked and not writes):
        return Can()
    return Can(
        comment=True,
        accept=pull.state == "OPEN" and not pull.viewer_did_author,
        publish_inline=True,
        reply=True,
        resolve=writes or pull.viewer_did_author,
    )

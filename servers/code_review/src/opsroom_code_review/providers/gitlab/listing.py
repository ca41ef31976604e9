"""Finding merge requests: what GitLab can filter it does, the rest is looked at within bounds."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from opsroom_shared.errors import InvalidInput
from pydantic import JsonValue

from ...globs import matches
from ...models import Change
from .. import ChangeQuery, Found, Page
from .api import PER_PAGE, GitLabApi
from .changes import Changes, change, is_open
from .people import People
from .references import Item, listing_path, project_path
from .wire import DiffEntry, MergeRequest

_MOST_PAGES = 10
"""Pages of a listing that one call looks through for what GitLab does not filter."""
_MOST_LOOKED_AT = 60
"""Merge requests of which one call asks more than the listing says."""
_AT_ONCE = 6
_MOST_FILE_PAGES = 3
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

_Accepts = Callable[[MergeRequest], Awaitable[bool]]
_State = {"open": "opened", "closed": "all", "all": "all"}
"""GitLab filters by one state, and there are two closed ones."""


@dataclass(frozen=True)
class _At:
    """A place in a listing: a page of GitLab's, and how many of its items were given out already."""

    page: int = 1
    taken: int = 0
    size: int | None = None
    """Items of a page of GitLab's, which must stay the same from one part of a listing to the next."""

    @classmethod
    def of(cls, position: JsonValue) -> "_At":
        match position:
            case None:
                return cls()
            case [int(page), int(taken), int(size)] if page >= 1 and taken >= 0 and 1 <= size <= PER_PAGE:
                return cls(page, taken, size)
            case _:
                raise InvalidInput("The cursor is not one of this listing. Repeat the call without it.")

    @property
    def position(self) -> JsonValue:
        return [self.page, self.taken, self.size or PER_PAGE]


@dataclass(frozen=True)
class _Source:
    """A listing of GitLab's, and what it cannot filter."""

    path: str
    params: dict[str, str | int]
    missing: str | None
    only_closed: bool


class Listing:
    def __init__(self, api: GitLabApi, people: People, changes: Changes, repositories: Sequence[str]) -> None:
        self._api, self._people, self._changes = api, people, changes
        self._repositories = tuple(repositories)

    async def find(self, query: ChangeQuery, page: Page) -> Found[Change]:
        if query.path is not None and query.repo is None:
            raise InvalidInput("GitLab cannot search all projects for a path; say in which repo, such as group/project.")
        at = _At.of(page.position)
        if query.role == "todo":
            return await self._waiting(query, page.limit, at)
        params = await self._params(query)
        if query.role == "reviewer":
            params["reviewer_username"] = (await self._people.me()).username
        accepts = self._touching(query.path) if query.path is not None else None
        missing = f"There is no project {query.repo}, or this account may not see it." if query.repo else None
        source = _Source(self._where(query), params, missing, only_closed=query.state == "closed")
        return await self._walk(source, page.limit, at, accepts)

    async def _params(self, query: ChangeQuery) -> dict[str, str | int]:
        params: dict[str, str | int] = {
            "scope": "all",
            "state": _State[query.state],
            "order_by": "updated_at",
            "sort": "desc",
        }
        author = await self._people.named(query.author) if query.author is not None else None
        if query.role == "author":
            me = await self._people.me()
            if author is not None and author.id != me.id:
                raise InvalidInput(f"role author lists what {me.username} wrote; leave out role to list what others wrote.")
            author = me
        if author is not None:
            params["author_username"] = author.username
        if query.text:
            params |= {"search": query.text, "in": "title,description"}
        if query.updated_since is not None:
            params["updated_after"] = query.updated_since.isoformat()
        return params

    def _where(self, query: ChangeQuery) -> str:
        """The narrowest listing that holds what is asked for: all of a large GitLab would be other people's work."""
        if query.repo is not None:
            return f"{project_path(query.repo)}/merge_requests"
        narrow = listing_path(self._repositories)
        return f"{narrow}/merge_requests" if narrow else "merge_requests"

    async def _walk(self, source: _Source, limit: int, at: _At, accepts: _Accepts | None) -> Found[Change]:
        """The next *limit* of a listing that fit, from *at*."""
        size = at.size or (PER_PAGE if accepts or source.only_closed else min(limit, PER_PAGE))
        found: list[Change] = []
        looked = 0
        for _ in range(_MOST_PAGES):
            params = {**source.params, "per_page": size, "page": at.page}
            listed = await self._api.page(MergeRequest, source.path, params, missing=source.missing)
            fitting = [
                (number, merge_request)
                for number, merge_request in enumerate(listed.items)
                if number >= at.taken and not (source.only_closed and merge_request.state in ("opened", "locked"))
            ]
            for start in range(0, len(fitting), _AT_ONCE):
                part = fitting[start : start + _AT_ONCE]
                kept = [True] * len(part) if accepts is None else await asyncio.gather(*(accepts(each) for _, each in part))
                looked += 0 if accepts is None else len(part)
                for (number, merge_request), keep in zip(part, kept, strict=True):
                    if keep:
                        found.append(change(merge_request))
                    if len(found) == limit:
                        following = _At(at.page, number + 1, size)
                        ends = number + 1 == len(listed.items) and listed.next_page is None
                        return Found(found, None if ends else following.position)
                if looked >= _MOST_LOOKED_AT:
                    return Found(found, _At(at.page, part[-1][0] + 1, size).position)
            if listed.next_page is None:
                return Found(found)
            at = _At(listed.next_page, size=size)
        return Found(found, at.position)

    def _touching(self, path: str) -> _Accepts:
        async def touches(merge_request: MergeRequest) -> bool:
            item = Item(merge_request.project, merge_request.iid, "!")
            listed = await self._api.pages(DiffEntry, f"{item.path}/diffs", most=_MOST_FILE_PAGES)
            return any(matches(name, path) for entry in listed.items for name in (entry.new_path, entry.old_path))

        return touches

    async def _waiting(self, query: ChangeQuery, limit: int, at: _At) -> Found[Change]:
        """What waits for the account: as reviewer without a verdict, as author with open threads or asked for changes."""
        if query.state == "closed":
            raise InvalidInput("Nothing that is closed waits for you; leave out state.")
        me = await self._people.me()
        params = {**await self._params(query), "state": "opened", "per_page": PER_PAGE}
        where = self._where(query)
        asked, own = await asyncio.gather(
            self._api.page(MergeRequest, where, {**params, "reviewer_username": me.username}),
            self._api.page(MergeRequest, where, {"author_username": me.username, **params}),
        )
        mine = {(each.project, each.iid) for each in own.items if each.author is not None and each.author.id == me.id}
        candidates = _newest_first([*asked.items, *(each for each in own.items if (each.project, each.iid) in mine)])
        touches = self._touching(query.path) if query.path is not None else None

        async def waits(merge_request: MergeRequest) -> bool:
            item = Item(merge_request.project, merge_request.iid, "!")
            is_mine = (merge_request.project, merge_request.iid) in mine
            waiting = await (self._is_sent_back(item, merge_request) if is_mine else self._is_unreviewed(item, me.id))
            return waiting and (touches is None or await touches(merge_request))

        found: list[Change] = []
        until = min(len(candidates), at.taken + _MOST_LOOKED_AT)
        for start in range(at.taken, until, _AT_ONCE):
            part = candidates[start : min(start + _AT_ONCE, until)]
            for number, waiting in enumerate(await asyncio.gather(*(waits(each) for each in part)), start):
                if waiting:
                    found.append(change(candidates[number]))
                if len(found) == limit:
                    return Found(found, _At(1, number + 1).position if number + 1 < len(candidates) else None)
        return Found(found, _At(1, until).position if until < len(candidates) else None)

    async def _is_unreviewed(self, item: Item, me: int) -> bool:
        reviewers = await self._changes.reviewers(item)
        if reviewers is None:
            return not (await self._changes.approvals(item)).user_has_approved
        return any(each.user.id == me and each.state not in ("approved", "requested_changes") for each in reviewers)

    async def _is_sent_back(self, item: Item, merge_request: MergeRequest) -> bool:
        if merge_request.detailed_merge_status in ("requested_changes", "discussions_not_resolved"):
            return True
        reviewers = await self._changes.reviewers(item) if merge_request.reviewers else None
        if any(each.state == "requested_changes" for each in reviewers or ()):
            return True
        # without a comment there is no thread that could be open
        return merge_request.user_notes_count > 0 and any(map(is_open, (await self._changes.discussions(item)).items))


def _newest_first(merge_requests: Iterable[MergeRequest]) -> list[MergeRequest]:
    unique = {(each.project, each.iid): each for each in merge_requests}
    return sorted(unique.values(), key=lambda each: each.updated_at or _LONG_AGO, reverse=True)

"""Revisions: which ones a question is about, and what is known of one."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput, NotFound
from pydantic import JsonValue

from ...models import Can, Change, ChangeDetails, ChangedFile, ChangeState, Person, Reviewer, ReviewerVerdict, Version
from .. import ChangeQuery, Found, Page
from .checks import Builds, summary
from .conduit import FOREIGN_CURSOR, Conduit, own_cursor, page_size
from .diffs import Diffs
from .names import Known, Names
from .references import number
from .threads import Discussion, discussion
from .trust import Trusting
from .wire import Account, Diff, Edge, Reviewing, Revision

_MOST_WAITING = 1_000
_METHOD = "differential.revision.search"

_STATES: dict[str, ChangeState] = {
    "draft": "draft",
    "needs-review": "open",
    "needs-revision": "needs_changes",
    "changes-planned": "needs_changes",
    "accepted": "accepted",
    "published": "closed",
    "abandoned": "abandoned",
}
_VERDICTS: dict[str, ReviewerVerdict] = {
    "accepted": "accepted",
    "accepted-older": "accepted",
    "rejected": "changes_requested",
    "rejected-older": "changes_requested",
    "commented": "commented",
    "resigned": "resigned",
}
_STANDING = ("accepted", "rejected", "resigned")
"""What a reviewer has said that still counts. What reads `-older` was about another diff."""
_OWN_TURN = ("needs-revision", "accepted")


@dataclass(frozen=True)
class Current:
    """A revision and the diff that it is about now."""

    revision: Revision
    diff: Diff

    @property
    def version(self) -> str:
        return str(self.diff.id)


class Revisions:
    def __init__(self, conduit: Conduit, names: Names, diffs: Diffs, builds: Builds, trusting: Trusting) -> None:
        self._conduit, self._names, self._diffs = conduit, names, diffs
        self._builds, self._trusting = builds, trusting

    async def revision(self, ref: str) -> Revision:
        """Raises NotFound also for one that the account may not see: a search just leaves it out."""
        page = await self._conduit.search(Revision, _METHOD, constraints={"ids": [number(ref)]}, attachments=("reviewers",))
        if not page.data:
            raise NotFound(f"{self._conduit.name} has no {ref}, or this account may not see it.")
        return page.data[0]

    async def current(self, ref: str) -> Current:
        revision = await self.revision(ref)
        return Current(revision, await self._diffs.newest(revision))

    async def find(self, query: ChangeQuery, page: Page) -> Found[Change]:
        """Newest update first.

        `todo` is what waits for this account: revisions that need review and have it, or a project that it belongs to, as a
        reviewer who has said nothing that stands; and its own ones that need changes, or are accepted and wait for landing.
        """
        constraints = await self._constraints(query)
        if query.role == "todo":
            return await self._waiting(query, constraints, page)
        me = await self._names.me() if query.role != "any" else None
        if me and query.role == "author":
            if constraints.get("authorPHIDs", [me.phid]) != [me.phid]:
                return Found([])
            constraints["authorPHIDs"] = [me.phid]
        elif me and query.role == "reviewer":
            constraints["reviewerPHIDs"] = list[JsonValue]([me.phid, *sorted(await self._names.my_projects())])
        if query.state != "all":
            constraints["statuses"] = ["open()" if query.state == "open" else "closed()"]
        results = await self._conduit.search(
            Revision,
            _METHOD,
            constraints=constraints,
            order="updated",
            limit=page_size(page.limit),
            after=own_cursor(page.position),
        )
        return Found(await self.changes(results.data), results.cursor.after)

    async def changes(self, revisions: list[Revision]) -> list[Change]:
        """With names for PHIDs, which are all asked for at once."""
        known, diffs = await asyncio.gather(
            self._names.known(phid for revision in revisions for phid in (revision.author, revision.repository)),
            self._diffs.by_phid({revision.diff for revision in revisions if revision.diff}),
        )
        return [self._change(revision, known, diffs.get(revision.diff or "")) for revision in revisions]

    async def details(self, ref: str) -> ChangeDetails:
        """In three rounds: what is found by the revision's number, then by its PHID, then by what these name."""
        revision, history, me, trust = await asyncio.gather(
            self.revision(ref), discussion(self._conduit, ref), self._names.me(), self._trusting.now()
        )
        people = [revision.author, *(reviewing.phid for reviewing in revision.reviewers)]
        # people are asked for by another method than the rest, so they need not wait for what the links name
        _, versions, edges, builds = await asyncio.gather(
            self._names.known(phid for phid in people if phid.startswith("PHID-USER-")),
            self._diffs.of(revision),
            self._conduit.everything(
                Edge,
                "edge.search",
                more={"sourcePHIDs": [revision.phid], "types": ["revision.parent", "revision.child", "revision.task"]},
                most=1_000,
                what=f"links of {ref}",
            ),
            self._builds.of(revision.diff),
        )
        diff = next((version for version in versions if version.phid == revision.diff), None) or await self._diffs.newest(
            revision
        )
        linked = [edge.target for edge in edges if edge.kind in ("revision.parent", "revision.task")]
        known, files = await asyncio.gather(
            self._names.known([*people, revision.repository, *linked]), self._diffs.files(diff.id)
        )
        return ChangeDetails(
            change=self._change(revision, known, diff),
            summary=revision.summary,
            trusted=trust.in_author(revision.author, known),
            test_plan=revision.test_plan or None,
            base=diff.base,
            head=diff.branch,
            versions=[Version(id=str(version.id), created_at=version.created) for version in versions],
            reviewers=_reviewers(revision.reviewers, history, known),
            files=[
                ChangedFile(
                    path=file.path,
                    old_path=file.old_path,
                    kind=file.kind,
                    added=file.added,
                    removed=file.removed,
                    binary=file.binary,
                )
                for file in files
            ],
            tasks=_linked(edges, "revision.task", known),
            parents=_linked(edges, "revision.parent", known),
            checks=summary(builds),
            open_threads=history.open_threads(),
            can=Can(comment=True, accept=can_accept(revision, me)),
        )

    def _change(self, revision: Revision, known: Known, diff: Diff | None) -> Change:
        return Change(
            ref=revision.ref,
            title=revision.title,
            state="draft" if revision.draft else _STATES.get(revision.status, "closed" if revision.closed else "open"),
            native_state=revision.status,
            author=known.person(revision.author),
            repo=known.name(revision.repository),
            version=str(diff.id) if diff else None,
            updated_at=revision.modified,
            url=self._conduit.page(revision.ref),
        )

    async def _constraints(self, query: ChangeQuery) -> dict[str, JsonValue]:
        constraints: dict[str, JsonValue] = {}
        repository, authors = await asyncio.gather(
            self._names.repositories([query.repo] if query.repo else []),
            self._names.users([query.author] if query.author else []),
        )
        if repository:
            constraints["repositoryPHIDs"] = [repository[0].phid]
        if authors:
            constraints["authorPHIDs"] = list[JsonValue](authors)
        if query.text and query.text.strip():
            constraints["query"] = query.text.strip()
        if query.path:
            constraints["affectedPaths"] = [query.path]
        if query.updated_since is not None:
            constraints["modifiedStart"] = max(int(query.updated_since.timestamp()), 0)
        return constraints

    async def _waiting(self, query: ChangeQuery, constraints: dict[str, JsonValue], page: Page) -> Found[Change]:
        if query.state == "closed":
            return Found([])
        projects, me = await self._names.my_projects(), await self._names.me()
        mine = {me.phid, *projects}
        reviews: dict[str, JsonValue] = {"statuses": ["needs-review"], "reviewerPHIDs": list[JsonValue](sorted(mine))}
        own: dict[str, JsonValue] = {"statuses": list[JsonValue](_OWN_TURN), "authorPHIDs": [me.phid]}
        wanted = [reviews] if constraints.get("authorPHIDs", [me.phid]) != [me.phid] else [reviews, own]
        to_review, *rest = await asyncio.gather(*(self._all({**constraints, **part}) for part in wanted))
        to_do = rest[0] if rest else []
        found = [revision for revision in to_review if revision.author != me.phid and _waits(revision, me, mine)] + to_do
        found.sort(key=_recency, reverse=True)
        if (last := _position(page)) is not None:
            found = [revision for revision in found if _recency(revision) < last]
        shown = found[: page.limit]
        more = len(found) > len(shown) and bool(shown)
        return Found(await self.changes(shown), list[JsonValue](_recency(shown[-1])) if more else None)

    async def _all(self, constraints: dict[str, JsonValue]) -> list[Revision]:
        return await self._conduit.everything(
            Revision,
            _METHOD,
            constraints=constraints,
            attachments=("reviewers",),
            order="updated",
            most=_MOST_WAITING,
            what="changes that wait",
        )


def can_accept(revision: Revision, me: Account) -> bool:
    return revision.author != me.phid and not revision.closed and not revision.draft and revision.status != "draft"


def own_status(revision: Revision, me: Account) -> str | None:
    """How the account itself stands among the reviewers."""
    return next((reviewing.status for reviewing in revision.reviewers if reviewing.phid == me.phid), None)


def _reviewers(reviewing: Iterable[Reviewing], history: Discussion, known: Known) -> list[Reviewer]:
    """Acceptance is sticky: a reviewer still reads as accepted after a new diff, so its age is told from the history."""
    times, update = history.verdict_times(), history.last_update()
    found: list[Reviewer] = []
    for entry in reviewing:
        verdict = _VERDICTS.get(entry.status, "none")
        judged = verdict in ("accepted", "changes_requested")
        given = times.get(entry.actor or entry.phid, 0)
        found.append(
            Reviewer(
                who=_reviewer(entry.phid, known),
                verdict=verdict,
                blocking=entry.blocking or entry.status == "blocking",
                stale=judged and (entry.status.endswith("-older") or given < update),
            )
        )
    return found


def _reviewer(phid: str, known: Known) -> Person:
    """A project, too, can review. It is called as one would type it."""
    project = known.name(phid) if phid.startswith("PHID-PROJ-") else None
    return Person(name=f"#{project}") if project else known.person(phid) or Person(name="(hidden)")


def _waits(revision: Revision, me: Account, mine: set[str]) -> bool:
    """Whether a verdict of this account is wanted: as itself or for a project, and it has none of its own that stands."""
    if own_status(revision, me) in _STANDING:
        return False
    return any(reviewing.phid in mine and reviewing.status not in _STANDING for reviewing in revision.reviewers)


def _linked(edges: list[Edge], kind: str, known: Known) -> list[str]:
    names = [known.name(edge.target) for edge in edges if edge.kind == kind]
    return [name for name in names if name]


def _recency(revision: Revision) -> tuple[int, int]:
    return (int(revision.modified.timestamp()) if revision.modified else 0, revision.id)


def _position(page: Page) -> tuple[int, int] | None:
    match page.position:
        case None:
            return None
        case [int() as modified, int() as number_]:
            return modified, number_
        case _:
            raise InvalidInput(FOREIGN_CURSOR)

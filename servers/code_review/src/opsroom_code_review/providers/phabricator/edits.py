"""Making and changing revisions."""

import asyncio
import re

from opsroom_shared.errors import InvalidInput
from pydantic import JsonValue

from ...diff_parser import parse_patch
from ...models import ChangeEdited
from .. import ChangeEdit
from .conduit import Conduit
from .names import Names
from .revisions import Revisions
from .threads import newest_entries
from .wire import Edge, Edited, Revision, Transaction, Wire

_EDIT = "differential.revision.edit"
_MAX_PATCH = 8 << 20
_DELTA = re.compile(r"^GIT binary patch\n(?:.*\n)*?delta \d", re.MULTILINE)

_CHANGED = {
    "title": "title",
    "summary": "summary",
    "testPlan": "test_plan",
    "reviewers": "reviewers",
    "update": "version",
    "abandon": "state",
    "reclaim": "state",
    "reopen": "state",
    "plan-changes": "state",
    "request-review": "state",
    "draft": "state",
}
_STATES = {"draft": ("draft",), "changes_planned": ("changes-planned",), "abandoned": ("abandoned",)}


class _Made(Wire):
    id: int
    phid: str


class Edits:
    def __init__(self, conduit: Conduit, names: Names, revisions: Revisions) -> None:
        self._conduit, self._names, self._revisions = conduit, names, revisions

    async def edit(self, edit: ChangeEdit) -> ChangeEdited:
        before = await self._revisions.revision(edit.change) if edit.change else None
        if before is None and not (edit.repo and edit.source and edit.title and edit.title.strip()):
            raise InvalidInput("A new revision needs `repo`, `title` and, as `source`, the text of a patch.")
        transactions = [*_texts(edit), *await self._people(edit), *_state(edit, before)]
        tasks = await self._names.objects(edit.link_tasks)
        if tasks:
            transactions.append({"type": "tasks.add", "value": list[JsonValue](tasks.values())})
        notes: list[str] = []
        if edit.base is not None:
            notes.append("`base` was not used: a patch is all that can be sent, and it names no base.")
        if edit.source is not None:
            repository = (await self._names.repository(edit.repo)).phid if edit.repo else before.repository if before else None
            transactions.insert(0, {"type": "update", "value": await self._diff(edit.source, repository)})
        if not transactions:
            raise InvalidInput("Nothing to change: give at least one thing to make of the change.")
        params: dict[str, JsonValue] = {"transactions": list[JsonValue](transactions)}
        if before is not None:
            params = {"objectIdentifier": before.ref, **params}
        saved = await self._conduit.read(Edited, _EDIT, params, writes=True)
        return await self._read_back(edit, f"D{saved.id}", saved, tasks, notes)

    async def _read_back(
        self, edit: ChangeEdit, ref: str, saved: Edited, tasks: dict[str, str], notes: list[str]
    ) -> ChangeEdited:
        """What the history shows of the call. The server takes some things in silence and does not do them."""
        newest, revision = await asyncio.gather(newest_entries(self._conduit, ref), self._revisions.revision(ref))
        entries = [entry for entry in newest if entry.phid in saved.done]
        change = (await self._revisions.changes([revision]))[0]
        changed = _changed(entries)
        if tasks:
            linked = await self._linked(revision.phid)
            missing = [task for task, phid in tasks.items() if phid not in linked]
            if missing:
                notes.append(f"Not linked: {', '.join(missing)}.")
            elif entries:
                changed.append("tasks")
        wanted = _STATES.get(edit.state or "")
        if wanted is not None and revision.status not in wanted and not (edit.state == "draft" and revision.draft):
            notes.append(f"The state is {revision.status}: the server took {edit.state!r} without doing it.")
        if not changed and not notes:
            notes.append("Everything was so already: nothing changed.")
        return ChangeEdited(change=change, changed=changed, note=" ".join(notes) or None)

    async def _linked(self, phid: str) -> set[str]:
        edges = await self._conduit.everything(
            Edge,
            "edge.search",
            more={"sourcePHIDs": [phid], "types": ["revision.task"]},
            most=1_000,
            what="linked tasks",
        )
        return {edge.target for edge in edges}

    async def _people(self, edit: ChangeEdit) -> list[dict[str, JsonValue]]:
        """Reviewers as PHIDs, which is all that edits take. A name with `!` behind it is a blocking reviewer."""
        found: list[dict[str, JsonValue]] = []
        if edit.add_reviewers:
            added: list[JsonValue] = []
            for name in edit.add_reviewers:
                phid = await self._reviewer(name.removesuffix("!"))
                added.append(f"blocking({phid})" if name.endswith("!") else phid)
            found.append({"type": "reviewers.add", "value": added})
        if edit.remove_reviewers:
            removed = [await self._reviewer(name.removesuffix("!")) for name in edit.remove_reviewers]
            found.append({"type": "reviewers.remove", "value": list[JsonValue](removed)})
        return found

    async def _reviewer(self, name: str) -> str:
        if name.startswith("#"):
            return (await self._names.projects([name]))[0].phid
        return (await self._names.users([name]))[0]

    async def _diff(self, patch: str, repository: str | None) -> str:
        """Stores a patch as a diff, which no revision has yet."""
        if len(patch) > _MAX_PATCH:
            raise InvalidInput(f"The patch has more than {_MAX_PATCH:,} characters.")
        try:
            files = parse_patch(patch)
        except ValueError as error:
            raise InvalidInput(f"The source is no patch: {error}. Here a change is made of the text of one.") from None
        if not files:
            raise InvalidInput("The source is no patch. Here a change is made of the text of one, not of the name of a branch.")
        if _DELTA.search(patch):
            raise InvalidInput("The patch holds a binary delta, which the server cannot read: leave binary files out.")
        params: dict[str, JsonValue] = {"diff": patch}
        if repository is not None:
            params["repositoryPHID"] = repository
        return (await self._conduit.read(_Made, "differential.createrawdiff", params, writes=True)).phid


def _texts(edit: ChangeEdit) -> list[dict[str, JsonValue]]:
    if edit.title is not None and not edit.title.strip():
        raise InvalidInput("A revision needs a title.")
    pairs = (("title", edit.title), ("summary", edit.summary), ("testPlan", edit.test_plan))
    return [{"type": kind, "value": value} for kind, value in pairs if value is not None]


def _state(edit: ChangeEdit, before: Revision | None) -> list[dict[str, JsonValue]]:
    """The action that leads to the state. Which one it is depends on where the revision stands."""
    if edit.state is None:
        return []
    if before is None:
        if edit.state == "draft":
            return [{"type": "draft", "value": True}]
        if edit.state == "ready":
            return []
        raise InvalidInput(f"A new revision is `draft` or `ready`, not {edit.state!r}.")
    action = {"draft": "draft", "ready": "request-review", "changes_planned": "plan-changes", "abandoned": "abandon"}.get(
        edit.state
    )
    if edit.state == "reopened":
        action = {"abandoned": "reclaim", "published": "reopen"}.get(before.status)
        if action is None:
            raise InvalidInput(f"{before.ref} is {before.status}: only what is abandoned or closed can be reopened.")
    if before.status in _STATES.get(edit.state, ()) or (edit.state == "ready" and before.status == "needs-review"):
        return []  # asking for it again would be refused
    return [{"type": action, "value": True}]


def _changed(entries: list[Transaction]) -> list[str]:
    words = [_CHANGED[entry.kind] for entry in reversed(entries) if entry.kind in _CHANGED]
    return list(dict.fromkeys(words))

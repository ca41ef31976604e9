"""The discussion of a merge request or an issue as threads, and replies to them."""

import asyncio
import re
from collections.abc import Iterable

from opsroom_shared.errors import InvalidInput, NotFound, TooLarge, ToolFailure
from opsroom_shared.outside import clean

from ...models import Anchor, Comment, ReplyResult, Thread
from .. import Reply
from .api import GitLabApi
from .changes import Changes, is_open, verdict_of
from .patches import head
from .people import People, person
from .references import Item, Site
from .wire import Discussion, Note, Position

_THREAD = re.compile(r"[0-9a-f]{40}")
_NOTE = re.compile(r"[1-9][0-9]{0,17}")
_COMMAND = re.compile(r"/[a-z_]+\b")
_MOST_PAGES = 30


class Discussions:
    def __init__(self, api: GitLabApi, site: Site, people: People, changes: Changes) -> None:
        self._api, self._site, self._people, self._changes = api, site, people, changes

    async def of_change(self, item: Item) -> list[Thread]:
        merge_request, discussions = await asyncio.gather(self._changes.merge_request(item), self._all(item))
        return _threads(discussions, await self._trusted(item, discussions), newest=head(merge_request))

    async def of_task(self, item: Item) -> list[Thread]:
        discussions = await self._all(item)
        return _threads(discussions, await self._trusted(item, discussions), newest=None)

    async def reply(self, reply: Reply) -> ReplyResult:
        item = self._item(reply.change)
        if reply.body is not None:
            must_be_text(reply.body)
        thread = await self._thread(item, reply.thread)
        path = f"{item.path}/discussions/{thread}"
        missing = f"{item} has no thread {thread}, or this account may not see it."
        if reply.resolve is not None:
            discussion = await self._api.one(Discussion, path, missing=missing)
            if item.sign == "#" or not any(note.resolvable for note in discussion.notes):
                raise InvalidInput("GitLab cannot resolve this thread: only those of a merge request that take replies.")
        url = None
        if reply.body is not None:
            response = await self._api.send("POST", f"{path}/notes", {"body": reply.body}, missing=missing)
            if response.status == 202:
                return ReplyResult(posted=False, note="GitLab carried out commands in the text, and posted nothing.")
            url = self._site.note_url(item, self._api.parsed(Note, response).id)
        note, resolved = None, None
        if reply.resolve is not None:
            try:
                changed = await self._api.made(Discussion, "PUT", path, {"resolved": reply.resolve}, missing=missing)
                resolved = not is_open(changed)
            except ToolFailure as failure:
                if url is None:
                    raise
                note = f"The reply was posted, but the thread is as it was: {failure}"
        return ReplyResult(posted=url is not None, resolved=resolved, url=url, note=note)

    async def _all(self, item: Item) -> list[Discussion]:
        """The whole discussion: without its end it would hide what was said last. Raises TooLarge."""
        missing = f"There is no {item}, or this account may not see it."
        listed = await self._api.pages(Discussion, f"{item.path}/discussions", most=_MOST_PAGES, missing=missing)
        if listed.next_page is not None:
            raise TooLarge(f"{item} has more than {len(listed.items):,} threads, which are not read here. See its page.")
        return listed.items

    async def _trusted(self, item: Item, discussions: Iterable[Discussion]) -> frozenset[str]:
        return await self._people.trusted(item.project, [note.author for each in discussions for note in each.notes])

    def _item(self, reference: str | None) -> Item:
        """What the thread belongs to: a merge request or an issue."""
        if reference is None:
            raise InvalidInput("Say which change or task the thread belongs to.")
        item = self._site.change(reference) or self._site.task(reference)
        if item is None:
            raise InvalidInput(f"{clean(reference, 80)!r} is neither a merge request nor an issue of GitLab.")
        return item

    async def _thread(self, item: Item, text: str) -> str:
        """The id of the thread that *text* names, itself or by one of its comments."""
        if _THREAD.fullmatch(text):
            return text
        if _NOTE.fullmatch(text):
            for discussion in await self._all(item):
                if any(note.id == int(text) for note in discussion.notes):
                    return discussion.id
        raise NotFound(f"{item} has no thread {clean(text, 80)!r}; list_threads gives their ids.")


def must_be_text(body: str) -> None:
    """Refuses a text of nothing but commands: GitLab would carry them out, and post nothing. Raises InvalidInput."""
    lines = [line for line in body.splitlines() if line.strip()]
    if not lines:
        raise InvalidInput("There is no text to send.")
    if all(_COMMAND.match(line) for line in lines):
        raise InvalidInput("The text is nothing but commands of GitLab, which are not sent. Write what is to be said.")


def _threads(discussions: Iterable[Discussion], trusted: frozenset[str], *, newest: str | None) -> list[Thread]:
    threads: list[Thread] = []
    for discussion in discussions:
        notes = [note for note in discussion.notes if not note.system or verdict_of(note)]
        if not notes:
            continue
        resolvable = any(note.resolvable for note in notes)
        threads.append(
            Thread(
                id=discussion.id,
                anchor=_anchor(notes[0].position, newest) if notes[0].position else None,
                resolved=not is_open(discussion) if resolvable else None,
                comments=[_comment(note, trusted) for note in notes],
            )
        )
    return threads


def _comment(note: Note, trusted: frozenset[str]) -> Comment:
    verdict = verdict_of(note)
    # what GitLab writes itself of a verdict is no text of the person
    return Comment(
        id=str(note.id),
        author=person(note.author),
        trusted=verdict is not None or (note.author is not None and note.author.username in trusted),
        at=note.created_at,
        text=note.body,
        verdict=verdict,
    )


def _anchor(position: Position, newest: str | None) -> Anchor:
    """Where a thread stands now. GitLab moves it along with its line as long as the line is there."""
    first = last = position.new_line
    side = "new"
    if position.new_line is None:
        first, last, side = position.old_line, position.old_line, "old"
    start = position.line_range.start if position.line_range else None
    if start is not None:
        begins = start.new_line if side == "new" else start.old_line
        first = begins if begins is not None and (last is None or begins <= last) else first
    return Anchor(
        path=position.new_path or position.old_path or "",
        line=first,
        end_line=last if last != first else None,
        side="unknown" if first is None else "old" if side == "old" else "new",
        version=position.head_sha,
        outdated=newest is not None and position.head_sha != newest,
    )

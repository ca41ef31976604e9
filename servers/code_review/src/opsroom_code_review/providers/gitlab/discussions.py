"""The discussion of a merge request or an issue as threads, and replies to them."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted, TooLarge, ToolFailure
from opsroom_shared.outside import clean

from ...models import Anchor, Comment, ReplyResult, Thread
from .. import Reply
from .api import GitLabApi, Listed
from .changes import Changes, is_open, verdict_of
from .patches import head
from .people import People, person
from .references import Item, Site
from .wire import Discussion, Note, Position, User

_THREAD = re.compile(r"[0-9a-f]{40}")
_COMMAND = re.compile(r"/[a-z_]+\b")
_MOST_PAGES = 30


class Discussions:
    def __init__(self, api: GitLabApi, site: Site, people: People, changes: Changes, projects: Sequence[str]) -> None:
        self._api, self._site, self._people, self._changes = api, site, people, changes
        self._projects = tuple(projects)

    async def of_change(self, item: Item) -> list[Thread]:
        merge_request, listed = await asyncio.gather(
            self._changes.merge_request(item), self._changes.discussions(item, most=_MOST_PAGES)
        )
        _must_be_whole(item, listed)
        trusted = await self._people.trusted(item.project, _authors(listed.items))
        return _threads(listed.items, trusted, newest=head(merge_request), prefix="")

    async def of_task(self, item: Item) -> list[Thread]:
        missing = f"There is no issue {item}, or this account may not see it."
        listed = await self._api.pages(Discussion, f"{item.path}/discussions", most=_MOST_PAGES, missing=missing)
        _must_be_whole(item, listed)
        trusted = await self._people.trusted(item.project, _authors(listed.items))
        # a reply names only a change, so the thread of an issue says itself where it is
        return _threads(listed.items, trusted, newest=None, prefix=f"{item}/")

    async def reply(self, reply: Reply) -> ReplyResult:
        item, thread = self._where(reply)
        path = f"{item.path}/discussions/{thread}"
        missing = f"{item} has no thread {thread}, or this account may not see it."
        if reply.body is not None:
            must_be_text(reply.body)
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

    def _where(self, reply: Reply) -> tuple[Item, str]:
        """Where the thread is, and its id: of an issue, both stand in the name of the thread."""
        reference, slash, thread = reply.thread.rpartition("/")
        named = self._site.task(reference) if slash else None
        change = self._site.change(reply.change) if reply.change is not None else None
        if named is not None and change is not None:
            raise InvalidInput(f"The thread belongs to {named}, not to {change}; leave out the change.")
        item = named or change
        if item is None:
            raise InvalidInput("Say which change the thread belongs to.")
        if named is not None and not self._may_write(named):
            raise NotPermitted(f"{named.project} is not among the projects that this server may change.")
        thread = thread if named else reply.thread
        if not _THREAD.fullmatch(thread):
            raise NotFound(f"{clean(thread, 80)!r} is no thread of {item}; list_threads gives their ids.")
        return item, thread

    def _may_write(self, task: Item) -> bool:
        """Whether the settings let the project's tasks be changed: a caller that names a thread only names no task to check."""
        return not self._projects or any(fnmatchcase(task.project, pattern) for pattern in self._projects)


def must_be_text(body: str) -> None:
    """Refuses a text of nothing but commands: GitLab would carry them out, and post nothing. Raises InvalidInput."""
    lines = [line for line in body.splitlines() if line.strip()]
    if not lines:
        raise InvalidInput("There is no text to send.")
    if all(_COMMAND.match(line) for line in lines):
        raise InvalidInput("The text is nothing but commands of GitLab, which are not sent. Write what is to be said.")


def _must_be_whole(item: Item, listed: Listed[Discussion]) -> None:
    """A discussion without its end would hide what was said last. Raises TooLarge."""
    if listed.next_page is not None:
        raise TooLarge(f"{item} has more than {len(listed.items):,} threads, which are not read here. See its page.")


def _authors(discussions: Iterable[Discussion]) -> list[User | None]:
    return [note.author for discussion in discussions for note in discussion.notes]


def _threads(discussions: Iterable[Discussion], trusted: frozenset[str], *, newest: str | None, prefix: str) -> list[Thread]:
    threads: list[Thread] = []
    for discussion in discussions:
        notes = [note for note in discussion.notes if not note.system or verdict_of(note)]
        if not notes:
            continue
        resolvable = any(note.resolvable for note in notes)
        threads.append(
            Thread(
                id=f"{prefix}{discussion.id}",
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

"""The history of a revision or task read as a discussion: inline threads, comments, verdicts."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from opsroom_shared.errors import InvalidInput, NotFound
from pydantic import ValidationError

from ...models import Anchor, Comment, Thread
from .conduit import Conduit
from .names import Known
from .references import thread_place
from .trust import Trust
from .wire import Place, Transaction

_MOST = 5_000

_VERDICTS = {"accept": "accept", "request-changes": "request_changes", "resign": "resign"}
"""Types of transactions. The one for which edits say `reject` reads `request-changes` here."""


@dataclass
class _Inline:
    entry: Transaction
    place: Place
    answers: list["_Inline"] = field(default_factory=list["_Inline"])


@dataclass
class Discussion:
    """The history of one object, newest first."""

    ref: str
    entries: list[Transaction]
    current: str | None = None
    """The diff that the revision is about now."""

    @property
    def authors(self) -> set[str]:
        """Those who said something. Much else in a history is the server's own doing."""
        return {entry.author for entry in self.entries if entry.kind in ("comment", "inline", *_VERDICTS)}

    def threads(self, known: Known, trust: Trust) -> list[Thread]:
        """Oldest first. Side and, of a comment that is no inline one, whether it is resolved, are not told."""
        found = [(root.entry.id, self._inline_thread(root, known, trust)) for root in self._inlines()]
        for entries in self._groups():
            comment = self._spoken(entries, known, trust)
            if comment is not None:
                thread = Thread(id=self._thread_id(comment.id), comments=[comment])
                found.append((min(entry.id for entry in entries), thread))
        return [thread for _, thread in sorted(found, key=lambda pair: pair[0])]

    def open_threads(self) -> int:
        return sum(not root.place.done for root in self._inlines())

    def find(self, thread: str) -> tuple[Transaction, Place | None]:
        """The entry that starts the thread of that id. Raises InvalidInput and NotFound."""
        place = thread_place(thread)
        if place is None:
            raise InvalidInput(f"{thread[:100]!r} is no thread. list_threads gives their ids, such as {self.ref}#inline-5.")
        if place[0] not in (None, self.ref):
            raise InvalidInput(f"The thread {thread} does not belong to {self.ref}.")
        for root in self._inlines():
            if any(_inline_id(part.entry) == place[1] for part in (root, *root.answers)):
                return root.entry, root.place
        for entry in self.entries:
            if str(entry.id) == place[1] and (entry.kind in _VERDICTS or (entry.kind == "comment" and _is_there(entry))):
                return entry, None
        raise NotFound(f"{self.ref} has no thread {thread!r}. list_threads gives the ids of all.")

    def verdict_times(self) -> dict[str, int]:
        """Where in the history each person's last verdict stands."""
        found: dict[str, int] = {}
        for entry in self.entries:
            if entry.kind in ("accept", "request-changes"):
                found[entry.author] = max(found.get(entry.author, 0), entry.id)
        return found

    def last_update(self) -> int:
        """Where in the history the newest diff came. The one that landing makes of the commit changes nothing to review."""
        return max((e.id for e in self.entries if e.kind == "update" and not e.fields.get("commitPHIDs")), default=0)

    def _inlines(self) -> list[_Inline]:
        """The comments that start a thread, oldest first, each with all that answers it or one of its answers."""
        by_comment: dict[str, _Inline] = {}
        found: list[_Inline] = []
        for entry in reversed(self.entries):
            if entry.kind == "inline" and entry.wording is not None:
                inline = _Inline(entry, _place(entry))
                root = by_comment.get(inline.place.answers or "")
                if root is None:
                    found.append(inline)
                    root = inline
                else:
                    root.answers.append(inline)
                by_comment.update({wording.phid: root for wording in entry.comments})
        return [root for root in found if any(_is_there(part.entry) for part in (root, *root.answers))]

    def _groups(self) -> Iterable[list[Transaction]]:
        """Comments and verdicts that one press of a button, or one call, made together."""
        groups: defaultdict[str, list[Transaction]] = defaultdict(list)
        for entry in self.entries:
            if entry.kind == "comment" or entry.kind in _VERDICTS:
                groups[entry.group or entry.phid].append(entry)
        return groups.values()

    def _inline_thread(self, root: _Inline, known: Known, trust: Trust) -> Thread:
        place = root.place
        anchor = Anchor(
            path=place.path,
            line=place.line,
            end_line=None if place.line is None else place.line + max(place.length, 1) - 1,
            side="unknown",
            version=None if place.diff_id is None else str(place.diff_id),
            outdated=self.current is not None and place.diff != self.current,
        )
        comments = [self._comment(part.entry, _inline_id(part.entry), known, trust) for part in (root, *root.answers)]
        return Thread(id=self._thread_id(_inline_id(root.entry)), anchor=anchor, resolved=place.done, comments=comments)

    def _spoken(self, entries: list[Transaction], known: Known, trust: Trust) -> Comment | None:
        said = next((entry for entry in entries if entry.kind == "comment" and _is_there(entry)), None)
        judged = next((entry for entry in entries if entry.kind in _VERDICTS), None)
        entry = said or judged
        if entry is None:
            return None
        comment = self._comment(entry, str(entry.id), known, trust)
        return comment.model_copy(update={"verdict": _VERDICTS[judged.kind]}) if judged and judged.kind else comment

    def _comment(self, entry: Transaction, number: str, known: Known, trust: Trust) -> Comment:
        wording = entry.wording
        return Comment(
            id=number,
            author=known.person(entry.author),
            trusted=trust.in_author(entry.author, known),
            at=entry.created,
            text="(removed)" if wording and wording.removed else (wording.raw if wording else ""),
        )

    def _thread_id(self, place: str) -> str:
        return f"{self.ref}#{place}"


async def discussion(conduit: Conduit, ref: str, current: str | None = None) -> Discussion:
    """The whole history of *ref*."""
    entries = await conduit.everything(
        Transaction, "transaction.search", more={"objectIdentifier": ref}, most=_MOST, what=f"entries in the history of {ref}"
    )
    return Discussion(ref, entries, current)


async def newest_entries(conduit: Conduit, ref: str) -> list[Transaction]:
    """The newest page of the history: where what was just written must stand."""
    page = await conduit.search(Transaction, "transaction.search", more={"objectIdentifier": ref})
    return page.data


def _inline_id(entry: Transaction) -> str:
    """As the server's own pages call the place: the number of the comment, the same in all of its versions."""
    return f"inline-{min(wording.id for wording in entry.comments)}"


def _place(entry: Transaction) -> Place:
    try:
        return Place.model_validate(entry.fields)
    except ValidationError:  # the comment is worth more than where it stands
        return Place.model_validate({})


def _is_there(entry: Transaction) -> bool:
    return entry.wording is not None and not entry.wording.removed and entry.wording.raw != ""

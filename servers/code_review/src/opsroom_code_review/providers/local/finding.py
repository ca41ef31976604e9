"""Which changes a question is about."""

from collections.abc import Iterable
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput

from ...models import Change
from .. import ChangeQuery, Role
from .change_records import ChangeRecord
from .describing import is_me, waits_for
from .repository import Me

CLOSED = frozenset({"closed", "abandoned"})


@dataclass(frozen=True)
class Candidate:
    change: Change
    record: ChangeRecord
    mine: bool
    summary: str
    email: str = ""


def is_asked_for(query: ChangeQuery, candidate: Candidate, me: Me) -> bool:
    """Whether all but the repository and the path fits."""
    change = candidate.change
    closed = change.state in CLOSED
    since, updated = query.updated_since, change.updated_at
    return (
        (query.state == "all" or closed == (query.state == "closed"))
        and (since is None or (updated is not None and updated >= since))
        and (not query.author or _is_by(query.author, candidate, me))
        and (not query.text or _has_words(query.text, (change.ref, change.title, candidate.summary)))
        and _plays(query.role, candidate, me)
    )


def _plays(role: Role, candidate: Candidate, me: Me) -> bool:
    """Whether the account has this to do with the change."""
    change, record = candidate.change, candidate.record
    match role:
        case "author":
            return candidate.mine
        case "reviewer":
            return any(is_me(name, me) for name in (*record.reviewers, *record.stands))
        case "todo":
            return change.state not in CLOSED and waits_for(me, record, change.version or "", mine=candidate.mine)
        case "any":
            return True


def check_me(query: ChangeQuery, me: Me) -> None:
    if me.name is None and (query.role != "any" or query.author == "me"):
        raise InvalidInput("git does not know who you are in this repository. Set user.name, or ask with role any and a name.")


def _is_by(author: str, candidate: Candidate, me: Me) -> bool:
    if author == "me":
        return candidate.mine
    name = candidate.change.author.name if candidate.change.author else ""
    return author.casefold() in {name.casefold(), candidate.email.casefold()} or (candidate.mine and is_me(author, me))


def _has_words(text: str, places: Iterable[str]) -> bool:
    where = "\n".join(places).casefold()
    return all(word in where for word in text.casefold().split())

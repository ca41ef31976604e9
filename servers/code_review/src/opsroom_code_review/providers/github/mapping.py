"""GitHub's words and objects in ours."""

import re
from collections.abc import Iterable, Mapping

from ...diffs import FileKind
from ...models import Change, ChangedFile, ChangeState, CheckState, Person, Reviewer, ReviewerVerdict
from .references import Item, Repository
from .wire import Actor, Opinion, Pull, PullFile, PullSummary, RollupSummary

_KINDS: Mapping[str, FileKind] = {
    "ADDED": "added",
    "DELETED": "deleted",
    "REMOVED": "deleted",
    "RENAMED": "renamed",
    "COPIED": "copied",
    "CHANGED": "mode",
}
_DECISIONS: Mapping[str, ChangeState] = {"CHANGES_REQUESTED": "needs_changes", "APPROVED": "accepted"}
_VERDICTS: Mapping[str, ReviewerVerdict] = {
    "APPROVED": "accepted",
    "CHANGES_REQUESTED": "changes_requested",
    "COMMENTED": "commented",
}
_CHECKS: Mapping[str, CheckState] = {
    "SUCCESS": "passed",
    "COMPLETED": "passed",
    "NEUTRAL": "passed",
    "FAILURE": "failed",
    "ERROR": "failed",
    "TIMED_OUT": "failed",
    "STARTUP_FAILURE": "failed",
    "ACTION_REQUIRED": "failed",
    "CANCELLED": "failed",
    "SKIPPED": "skipped",
    "STALE": "skipped",
    "QUEUED": "queued",
    "REQUESTED": "queued",
    "WAITING": "queued",
    "PENDING": "running",
    "EXPECTED": "running",
    "IN_PROGRESS": "running",
}
_LINKED = re.compile(r"^(?:Refs|Related):? +(?P<items>\S.*)$", re.MULTILINE)
_ONE_LINKED = re.compile(r"(?:(?P<repository>[A-Za-z0-9][\w-]*/[\w.-]+))?#(?P<number>[1-9]\d{0,9})\b")


def person(actor: Actor | None) -> Person | None:
    """Nobody for a deleted account. An app's name ends in [bot], so that no person can have it."""
    if actor is None:
        return None
    bot = actor.kind == "Bot"
    return Person(name=f"{actor.login.removesuffix('[bot]')}[bot]" if bot else actor.login, bot=bot)


def change_of(pull: PullSummary) -> Change:
    repository = pull.repository.name_with_owner
    return Change(
        ref=f"{repository}#{pull.number}",
        title=pull.title,
        state=change_state(pull),
        native_state="draft" if pull.is_draft and pull.state == "OPEN" else pull.state.lower(),
        author=person(pull.author),
        repo=repository,
        version=pull.head_ref_oid,
        updated_at=pull.updated_at,
        url=pull.url,
    )


def change_state(pull: PullSummary) -> ChangeState:
    if pull.state == "MERGED":
        return "closed"
    if pull.state == "CLOSED":
        return "abandoned"
    if pull.is_draft:
        return "draft"
    # without a rule that demands reviews there is no decision, but there are reviews
    decision = pull.review_decision or _decided(pull.opinions.items if pull.opinions else [])
    return _DECISIONS.get(decision, "open")


def _decided(opinions: Iterable[Opinion]) -> str:
    states = {opinion.state for opinion in opinions}
    return next((state for state in ("CHANGES_REQUESTED", "APPROVED") if state in states), "")


def file_kind(word: str) -> FileKind:
    return _KINDS.get(word.upper(), "modified")


def changed_file(file: PullFile) -> ChangedFile:
    return ChangedFile(path=file.path, kind=file_kind(file.change_type), added=file.additions, removed=file.deletions)


def verdict(state: str) -> ReviewerVerdict:
    return _VERDICTS.get(state, "none")


def reviewers(pull: Pull) -> list[Reviewer]:
    """Who reviewed, with their last opinion, and who is asked to. Who is asked again has a verdict that waits to be renewed."""
    found: dict[str, Reviewer] = {}
    for reviews in (pull.latest, pull.opinionated):  # the second one wins: a comment does not take back an opinion
        for review in reviews.items if reviews else []:
            who = person(review.author)
            if who is not None and review.state != "PENDING":
                stale = review.commit is None or review.commit.oid != pull.head_ref_oid
                word = verdict(review.state)
                found[who.name] = Reviewer(who=who, verdict=word, stale=stale and word != "none")
    for request in pull.review_requests.items if pull.review_requests else []:
        asked = request.requested_reviewer
        name = (asked.combined_slug or asked.login) if asked else None
        if asked is None or name is None:
            continue
        who = Person(name=name) if asked.kind == "Team" else person(Actor(__typename=asked.kind, login=name))
        if who is not None:
            before = found.get(who.name, Reviewer(who=who))
            found[who.name] = before.model_copy(update={"blocking": request.as_code_owner})
    return list(found.values())


def check_state(word: str | None) -> CheckState:
    return _CHECKS.get((word or "").upper(), "unknown")


def failed_checks(rollup: RollupSummary) -> int:
    counts = [*(rollup.contexts.check_run_counts_by_state or []), *(rollup.contexts.status_context_counts_by_state or [])]
    return sum(count.count for count in counts if check_state(count.state) == "failed")


def linked(body: str, repository: Repository) -> list[str]:
    """What the `Refs` lines of a text link, which are the ones that this provider writes."""
    return [
        f"{one['repository'] or repository}#{one['number']}"
        for line in _LINKED.finditer(body[:200_000])
        for one in _ONE_LINKED.finditer(line["items"])
    ]


def with_links(body: str, items: Iterable[Item], repository: Repository) -> str:
    """*body* with a line that links *items*. The word is none that closes an issue."""
    known = set(linked(body, repository))
    new = [item for item in dict.fromkeys(items) if str(item) not in known]
    if not new:
        return body
    words = ", ".join(f"#{item.number}" if item.repository == repository else str(item) for item in new)
    return f"{body.rstrip()}\n\nRefs {words}".lstrip()

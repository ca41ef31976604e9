"""What checks said of a commit, as they noted it themselves.

A check, such as a CI job or a hook, records its result with one command, a JSON object on one line:

    git notes --ref=opsroom-checks append -m '{"name": "tests", "state": "failed", "log": "…"}' HEAD

`name` and `state` (queued, running, passed, failed or skipped) are needed; `url`, `log` and `annotations` (each with `text`, and
`path`, `line` and `level` where it has them) may be there. Of several notes of one name, the last counts. Notes are part of the
repository: they can be pushed and fetched like branches.
"""

import json
from collections.abc import Iterable
from typing import cast, get_args

from opsroom_shared.outside import clean
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...models import Annotation, Check, Checks, ChecksSummary, CheckState

_MOST = 200
_ANNOTATIONS = 100
_LOG = 200_000
_STATES = frozenset(cast("tuple[str, ...]", get_args(CheckState)))
_GRAVEST: tuple[CheckState, ...] = ("failed", "running", "queued", "unknown", "passed", "skipped")


class _Note(BaseModel):
    """One line of a note, from whoever wrote it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    state: str
    url: str | None = Field(None, max_length=2_000)
    log: str = ""
    annotations: list[Annotation] = Field(default_factory=list[Annotation])


def parse_checks(text: str, log_lines: int) -> tuple[list[Check], int]:
    """The checks of a note, and how many of its lines are none."""
    found: dict[str, Check] = {}
    bad = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            note = _Note.model_validate(json.loads(line))
        except (ValueError, RecursionError, ValidationError):
            bad += 1
            continue
        found.pop(note.name, None)
        if len(found) < _MOST:
            found[note.name] = _check(note, log_lines)
    return list(found.values()), bad


def _check(note: _Note, log_lines: int) -> Check:
    log = clean(note.log[-_LOG:]).splitlines()[-log_lines:] if log_lines > 0 else []
    return Check(
        id=clean(note.name),
        name=clean(note.name),
        state=cast("CheckState", note.state) if note.state in _STATES else "unknown",
        url=note.url,
        annotations=note.annotations[:_ANNOTATIONS],
        log_tail="\n".join(log) or None,
    )


def overall(checks: Iterable[Check]) -> CheckState:
    """The gravest of the states; unknown without any check."""
    states = {check.state for check in checks}
    for state in _GRAVEST:
        if state in states:
            return state
    return "unknown"


def summary_of(checks: list[Check]) -> ChecksSummary | None:
    if not checks:
        return None
    return ChecksSummary(state=overall(checks), failed=sum(check.state == "failed" for check in checks))


def answer(checks: list[Check], bad: int, wanted: str | None) -> Checks:
    """All checks in few words, or the one that is *wanted* with what it said."""
    hint = f"{bad} lines of the note are no checks" if bad else None
    if wanted is None:
        checks = [check.model_copy(update={"annotations": [], "log_tail": None}) for check in checks]
    if not checks:
        hint = "no check has noted a result for this version (git notes --ref=opsroom-checks)"
    return Checks(state=overall(checks), checks=checks, hint=hint)

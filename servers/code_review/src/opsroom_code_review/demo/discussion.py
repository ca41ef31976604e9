"""What was said about the open changes of the demo shop, which tasks there are, and what the checks found."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..models import Verdict
from ..providers import InlineComment, Review
from ..providers.local.change_records import ReviewPlace, add_comment, add_review, remember_version, set_resolved
from ..providers.local.task_records import TaskChange, add_task, change_task

_ADA, _JONAS, _MATEO, _PRIYA, _YUKI = "Ada Novak", "Jonas Weber", "Mateo Silva", "Priya Khan", "Yuki Tanaka"


@dataclass(frozen=True)
class Made:
    """A branch as it was made."""

    head: str
    base: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Said:
    """A review of one person; *place* is a path and a text that the commented line holds."""

    ago: float
    branch: str
    who: str
    summary: str = ""
    verdict: Verdict = "comment"
    place: tuple[str, str] | None = None
    body: str = ""
    answers: tuple[tuple[float, str, str], ...] = ()
    resolved: bool = False
    earlier: bool = False
    """Whether it is about the first version of the branch."""


_SAID = (
    Said(5.5, "payment-retries", _JONAS, "Fine with me: the runbook asks for this.", "accept", earlier=True),
    Said(
        2.6,
        "payment-retries",
        _MATEO,
        place=("shop/payments.py", "_TIMEOUT = 2.0"),
        body="Why does this go down to 2 s? We set it to 8 s because the gateway's 99th percentile is 3.1 s.",
        answers=((2.4, _ADA, "So that three attempts fit into the time that a checkout may take. I can raise it again."),),
    ),
    Said(
        6.5,
        "order-export",
        _MATEO,
        "Does what the accountants asked for.",
        "accept",
        place=("shop/export.py", "cents / 100"),
        body="Is a float exact enough here?",
        answers=((6.2, _JONAS, "Up to 2**53 cents, yes."),),
        resolved=True,
    ),
    Said(
        3.8,
        "shipping-labels",
        _YUKI,
        "The rename is good. One thing has to change first.",
        "request_changes",
        place=("shop/shipping_labels.py", '["static/logo.png"'),
        body="This prints the path on the parcel. The printer takes pictures only as ^GF commands.",
    ),
)
_REVIEWERS = {
    "payment-retries": (_MATEO, _PRIYA),
    "order-export": (_MATEO,),
    "order-export-filters": (_MATEO, _PRIYA),
    "shipping-labels": (_YUKI,),
    "mail-placeholders": (_ADA, _PRIYA),
    "catalog-cache": (_PRIYA,),
}
_BASES = {"order-export-filters": "order-export"}


@dataclass(frozen=True)
class _Planned:
    ago: float
    title: str
    body: str
    author: str
    values: dict[str, str | int | None]
    projects: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    comment: tuple[str, str] | None = None


_TASKS = (
    _Planned(
        16,
        "Card payments fail when the gateway is slow",
        "One checkout in fifty ends without an answer from the gateway. Customers give up and call.",
        _MATEO,
        {"priority": "high", "owner": _ADA, "status": "in_progress", "stage": "review"},
        ("payments",),
        ("payment-retries",),
    ),
    _Planned(
        11,
        "Customers see two charges for one order",
        "Three support tickets say so. The gateway's log shows different keys for the same order, minutes apart.",
        _PRIYA,
        {"priority": "urgent", "owner": _JONAS},
        ("payments", "support"),
        comment=(_JONAS, "Those three came from the old app, which sent the form twice. Is anything else making new keys?"),
    ),
    _Planned(
        30,
        "Export orders for the accountants",
        "One CSV a month, all orders of it.",
        _PRIYA,
        {"owner": _JONAS, "status": "in_progress", "stage": "review"},
        ("checkout",),
        ("order-export", "order-export-filters"),
    ),
    _Planned(
        27,
        "A customer's page takes seconds",
        "orders_of() reads the whole table: orders.customer_id has no index.",
        _MATEO,
        {"priority": "normal", "stage": "backlog"},
        ("orders",),
    ),
    _Planned(
        22,
        "Refund the faulty grinders at once",
        "Give them a reason of their own.",
        _PRIYA,
        {"status": "resolved", "owner": _PRIYA, "stage": "done"},
        ("support",),
    ),
)
_LOG = """\
tests/test_mails.py::test_every_mail_can_be_filled_in[order_shipped.pl.txt] FAILED
tests/test_mails.py::test_every_mail_can_be_filled_in[order_shipped.sv.txt] PASSED
tests/test_mails.py::test_every_mail_can_be_filled_in[ticket_closed.pl.txt] PASSED
tests/test_mails.py::test_every_mail_can_be_filled_in[ticket_closed.sv.txt] FAILED

=================================== FAILURES ===================================
____________ test_every_mail_can_be_filled_in[order_shipped.pl.txt] ____________
    return file.read_text(encoding="utf-8").format(**values)
E   KeyError: 'order_nubmer'
shop/mails/__init__.py:12: KeyError
____________ test_every_mail_can_be_filled_in[ticket_closed.sv.txt] ____________
    return file.read_text(encoding="utf-8").format(**values)
E   KeyError: 'order'
shop/mails/__init__.py:12: KeyError
======================== 2 failed, 81 passed in 0.41s =========================
"""
_CHECKS: dict[str, tuple[dict[str, object], ...]] = {
    "payment-retries": ({"name": "tests", "state": "passed"}, {"name": "lint", "state": "passed"}),
    "order-export": ({"name": "tests", "state": "passed"}, {"name": "lint", "state": "passed"}),
    "order-export-filters": ({"name": "tests", "state": "running"},),
    "mail-placeholders": (
        {
            "name": "tests",
            "state": "failed",
            "log": _LOG,
            "annotations": [
                {"path": "shop/mails/order_shipped.pl.txt", "line": 5, "level": "error", "text": "KeyError: 'order_nubmer'"},
                {"path": "shop/mails/ticket_closed.sv.txt", "line": 1, "level": "error", "text": "KeyError: 'order'"},
            ],
        },
        {"name": "lint", "state": "passed"},
    ),
}


def check_notes(branch: str) -> str:
    """What the checks noted about the head of a branch."""
    return "".join(f"{json.dumps(check)}\n" for check in _CHECKS.get(branch, ()))


def talk(db: sqlite3.Connection, now: datetime, made: Mapping[str, Made], earlier: Mapping[str, Made]) -> None:
    """Writes all of it into an empty store, as of *now*."""

    def seconds(ago: float) -> int:
        return int((now - timedelta(days=ago)).astimezone(UTC).timestamp())

    for plan in _TASKS:
        task = add_task(db, plan.title, plan.body, plan.author, seconds(plan.ago))
        change = TaskChange(plan.values, plan.projects, link=plan.changes)
        change_task(db, task, change, plan.author, seconds(plan.ago - 1))
        if plan.comment is not None:
            who, body = plan.comment
            change_task(db, task, TaskChange(comment=body), who, seconds(plan.ago - 2))
    for branch, base in _BASES.items():
        statement = "INSERT INTO changes (ref, base, said_by, updated_at) VALUES (?, ?, ?, ?)"
        db.execute(statement, (branch, base, _JONAS, seconds(4.9)))
        remember_version(db, branch, made[branch].head, made[branch].base, seconds(4.9))
    for branch, names in _REVIEWERS.items():
        db.executemany("INSERT INTO reviewers VALUES (?, ?)", [(branch, name) for name in names])
    for said in sorted(_SAID, key=lambda said: -said.ago):
        _say(db, said, (earlier if said.earlier else made)[said.branch], seconds)


def _say(db: sqlite3.Connection, said: Said, made: Made, seconds: Callable[[float], int]) -> None:
    comments: tuple[InlineComment, ...] = ()
    paths: tuple[str, ...] = ()
    if said.place is not None:
        path, text = said.place
        lines = made.files[path].decode().split("\n")
        number = next(at for at, line in enumerate(lines, 1) if text in line)
        ends = ((None, number), (None, number))
        comments = (InlineComment(0, path, path, "new", number, number, ends, (lines[number - 1],), said.body),)
        paths = (path,)
    review = Review(said.branch, made.head, said.verdict, said.summary, comments)
    written = add_review(db, review, ReviewPlace(said.branch, made.base, paths), said.who, seconds(said.ago))
    for thread in written:
        for ago, who, body in said.answers:
            add_comment(db, thread.thread, (who, body, seconds(ago)))
        set_resolved(db, thread.thread, resolved=said.resolved)

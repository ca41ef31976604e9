"""The writing tools over MCP, on a real repository."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from opsroom_code_review.models import ChangeDetails, ChangeEdited, Diff, ReplyResult, ReviewResult, Tasks, TaskSaved, Threads

from .answers import Caller, call, refused
from .conftest import Connect, Work

TENTH = {"path": "app.py", "line": 10, "body": "Why ten?"}


async def version_of(client: Caller, change: str = "fix") -> str:
    return str((await call(client, ChangeDetails, "get_change", change=change)).change.version)


async def comments(client: Caller, change: str = "fix") -> list[str]:
    threads = await call(client, Threads, "list_threads", change=change)
    return [comment.text for thread in threads.threads for comment in thread.comments]


async def review(client: Caller, version: str, **arguments: object) -> ReviewResult:
    return await call(client, ReviewResult, "submit_review", change="fix", version=version, **arguments)


async def test_a_server_without_writes_has_no_writing_tools(connect: Connect) -> None:
    """They are not listed, and a call says how a person allows them."""
    async with connect() as client:
        names = [tool.name for tool in await client.list_tools()]
        failure = await refused(client, "save_task", title="x")

    assert len(names) == 7
    assert "--allow-writes" in failure.words


async def test_a_review_is_published_with_its_comments(connect: Connect) -> None:
    """Verdict, summary and inline comments arrive together, each read back where it stands."""
    async with connect(allow_writes=True) as client:
        version = await version_of(client)
        result = await review(
            client,
            version,
            verdict="request_changes",
            summary="Two things.",
            comments=[TENTH, {"path": "app.py", "line": 40, "side": "old", "body": "Still used."}],
        )
        details = await call(client, ChangeDetails, "get_change", change="fix")
        threads = await call(client, Threads, "list_threads", change="fix", path="app.py")

    assert (result.submitted, [comment.state for comment in result.comments]) == (True, ["published", "published"])
    assert details.change.state == "needs_changes"
    anchors = [(each.anchor.line, each.anchor.side) for each in threads.threads if each.anchor]
    assert sorted(anchors) == [(10, "new"), (40, "old")]


async def test_nothing_is_sent_when_one_place_does_not_exist(connect: Connect) -> None:
    """A comment outside of the diff comes back with the nearest line, and the others are not sent without it."""
    async with connect(allow_writes=True) as client:
        version = await version_of(client)
        result = await review(client, version, summary="s", comments=[TENTH, {"path": "notes.txt", "line": 1, "body": "b"}])
        far = await review(client, version, comments=[{"path": "new file.py", "line": 9, "body": "b"}])
        said = await comments(client)

    assert (result.submitted, [comment.state for comment in result.comments]) == (False, ["unsent", "rejected"])
    assert "not among the files" in (result.comments[1].reason or "")
    assert (far.comments[0].nearest_line, said) == (2, [])


async def test_a_dry_run_answers_the_same_and_sends_nothing(connect: Connect) -> None:
    """Places are checked, and nothing is written."""
    async with connect(allow_writes=True) as client:
        version = await version_of(client)
        bad = {"path": "app.py", "line": 900, "body": "b"}
        dry = await review(client, version, comments=[TENTH, bad], dry_run=True)
        wet = await review(client, version, comments=[TENTH, bad])
        good = await review(client, version, comments=[TENTH], dry_run=True)
        said = await comments(client)

    assert dry.comments == wet.comments
    assert (good.submitted, good.comments[0].state, said) == (False, "unsent", [])


async def test_a_change_that_moved_on_refuses_the_review(connect: Connect, work: Work) -> None:
    """The newest version is named, and nothing is sent."""
    async with connect(allow_writes=True) as client:
        version = await version_of(client)
        newer = work.change("fix", "app.py", "all new\n")
        failure = await refused(client, "submit_review", change="fix", version=version, summary="Fine", comments=[TENTH])
        said = await comments(client)

    assert (failure.code, newer in failure.words, "since_version" in failure.words, said) == ("conflict", True, True, [])


async def test_a_rerun_sends_nothing_twice(connect: Connect, work: Work) -> None:
    """The same review again is a duplicate in another process and in a later version; what is new in it is sent."""
    arguments: dict[str, object] = {"summary": "Look.", "comments": [TENTH]}
    async with connect(allow_writes=True) as client:
        version = await version_of(client)
        await review(client, version, **arguments)
    async with connect(allow_writes=True) as client:
        again = await review(client, version, **arguments)
        more = await review(
            client, version, summary="Look.", comments=[TENTH, {"path": "new file.py", "line": 1, "body": "New."}]
        )
        work.change("fix", "app.py", "zero\n" + work.git("show", "fix:app.py") + "\n")
        moved = await review(client, await version_of(client), comments=[{**TENTH, "line": 11}], dry_run=True)
        said = await comments(client)

    assert (again.submitted, again.comments[0].state) == (False, "duplicate")
    assert (more.submitted, [comment.state for comment in more.comments]) == (True, ["duplicate", "published"])
    assert moved.comments[0].state == "duplicate"
    assert sorted(said) == ["Look.", "New.", "Why ten?"]


async def test_the_same_words_on_other_lines_are_another_comment(connect: Connect, work: Work) -> None:
    """Equal lines are told apart by their order; a comment that stands twice in one call is sent once."""
    work.change("fix", "twice.py", "pass\nfoo\npass\n")
    same = {"path": "twice.py", "body": "Why pass?"}
    async with connect(allow_writes=True) as client:
        result = await review(
            client, await version_of(client), comments=[{**same, "line": 1}, {**same, "line": 3}, {**same, "line": 3}]
        )

    assert [comment.state for comment in result.comments] == ["published", "published", "duplicate"]


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_call_that_was_cut_off_is_settled_by_what_can_be_seen(
    connect: Connect,
    tmp_path: Path,
    arrived: bool,  # noqa: FBT001 - a case of the table
) -> None:
    """After a crash between sending and noting, the discussion says whether the comment is there; if not, it is sent."""
    async with connect(allow_writes=True) as client:
        version = await version_of(client)
        if arrived:
            await review(client, version, comments=[TENTH])
        else:
            await review(client, version, comments=[{"path": "new file.py", "line": 1, "body": "Other"}])
    with closing(sqlite3.connect(tmp_path / "state" / "sent.sqlite", isolation_level=None)) as journal:
        if arrived:
            journal.execute("UPDATE sent SET ended = NULL, process = ?", (_dead(),))
        else:
            journal.execute("DELETE FROM sent")
    async with connect(allow_writes=True) as client:
        result = await review(client, version, comments=[TENTH])
        said = await comments(client)

    assert result.comments[0].state == ("duplicate" if arrived else "published")
    assert said.count("Why ten?") == 1


def _dead() -> int:
    """The id of a process that has ended."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


async def test_accepting_has_its_own_switch(connect: Connect) -> None:
    """Without it the verdict is refused, and get_change does not offer it."""
    async with connect(allow_writes=True) as client:
        details = await call(client, ChangeDetails, "get_change", change="fix")
        failure = await refused(client, "submit_review", change="fix", version=details.change.version, verdict="accept")

    assert (details.can.comment, details.can.accept, failure.code) == (True, False, "not_permitted")
    assert "allow_accept" in failure.words


async def test_only_what_was_read_is_accepted(connect: Connect, work: Work) -> None:
    """Unread files are named; once read_diff has shown them all, also through a newer version, the change is accepted."""
    async with connect(allow_writes=True, allow_accept=True) as client:
        version = await version_of(client)
        await call(client, Diff, "read_diff", change="fix", files=["app.py"])
        unread = await refused(client, "submit_review", change="fix", version=version, verdict="accept")
        await call(client, Diff, "read_diff", change="fix")
        work.change("fix", "more.py", "c = 3\n")
        newer = await version_of(client)
        moved = await refused(client, "submit_review", change="fix", version=newer, verdict="accept")
        await call(client, Diff, "read_diff", change="fix", since_version=version)
        result = await review(client, newer, verdict="accept")

    assert (unread.code, "new file.py" in unread.words, "app.py" in unread.words) == ("not_permitted", True, False)
    assert "more.py" in moved.words
    assert result.submitted


async def test_ones_own_change_is_not_accepted(connect: Connect, work: Work) -> None:
    """Who made the change cannot accept it, whatever has been read."""
    work.git("config", "user.name", "Ben")
    work.git("config", "user.email", "ben@example.org")
    async with connect(allow_writes=True, allow_accept=True, accept_needs_reading=False) as client:
        version = await version_of(client)
        failure = await refused(client, "submit_review", change="fix", version=version, verdict="accept")

    assert (failure.code, "its own" in failure.words) == ("not_permitted", True)


async def test_a_reply_is_posted_once_and_resolves(connect: Connect) -> None:
    """The same reply again answers what came of the first; an id of another change is not found."""
    async with connect(allow_writes=True) as client:
        await review(client, await version_of(client), comments=[TENTH])
        thread = (await call(client, Threads, "list_threads", change="fix")).threads[-1].id
        first = await call(client, ReplyResult, "reply_thread", change="fix", thread=thread, body="Right.", resolve=True)
        again = await call(client, ReplyResult, "reply_thread", change="fix", thread=thread, body="Right.", resolve=True)
        reopened = await call(client, ReplyResult, "reply_thread", change="fix", thread=thread, resolve=False)
        unknown = await refused(client, "reply_thread", change="fix", thread="r999", body="x")
        nothing = await refused(client, "reply_thread", change="fix", thread=thread)
        said = await comments(client)

    assert (first.posted, first.resolved, reopened.resolved) == (True, True, False)
    assert "sent before" in (again.note or "")
    assert (said.count("Right."), unknown.code, nothing.code) == (1, "not_found", "invalid_input")


async def test_a_change_is_edited_and_a_task_saved_once(connect: Connect) -> None:
    """Titles and states are set as often as asked; a task is created once a day, and a comment on it posted once."""
    async with connect(allow_writes=True) as client:
        edited = await call(client, ChangeEdited, "edit_change", change="fix", title="Better title", state="abandoned")
        reopened = await call(client, ChangeEdited, "edit_change", change="fix", state="reopened")
        first = await call(client, TaskSaved, "save_task", title="Flaky", link_changes=["fix"])
        again = await call(client, TaskSaved, "save_task", title="Flaky", link_changes=["fix"])
        noted = [await call(client, TaskSaved, "save_task", task=first.task.ref, comment="Seen again.") for _ in range(2)]
        tasks = await call(client, Tasks, "find_tasks")
        threads = await call(client, Threads, "list_threads", task=first.task.ref)

    assert (edited.change.title, edited.change.state, reopened.change.state) == ("Better title", "abandoned", "open")
    assert (first.task.ref == again.task.ref, "before" in (again.note or ""), len(tasks.tasks)) == (True, True, 1)
    assert "not sent again" in (noted[1].note or "")
    assert [comment.text for thread in threads.threads for comment in thread.comments].count("Seen again.") == 1


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("edit_change", {"title": "x"}),
        ("save_task", {"body": "x"}),
        ("submit_review", {"change": "fix", "version": "1234567"}),
        ("submit_review", {"change": "fix", "version": "x", "comments": [{"path": "a", "line": 0, "body": "b"}]}),
        ("submit_review", {"change": "fix", "version": "x", "comments": [{"path": "a", "line": 1, "body": "b", "more": 1}]}),
    ],
)
async def test_calls_that_say_too_little_are_refused(connect: Connect, tool: str, arguments: dict[str, object]) -> None:
    """Nothing is made of a call that does not say what to do, or says what does not exist."""
    async with connect(allow_writes=True) as client:
        failure = await refused(client, tool, **arguments)

    assert failure.code == "invalid_input"


async def test_writes_keep_to_the_allow_list(connect: Connect) -> None:
    """What may not be read may not be written either."""
    async with connect(local={"repositories": ["other"], "projects": ["mine"]}, allow_writes=True) as client:
        failures = [
            await refused(client, "submit_review", change="fix", version="x", summary="s"),
            await refused(client, "reply_thread", change="fix", thread="r1", body="b"),
            await refused(client, "edit_change", change="fix", title="t"),
            await refused(client, "save_task", title="t", project="theirs"),
            await refused(client, "save_task", title="t"),
        ]

    assert {failure.code for failure in failures} == {"not_permitted"}

"""Reviews, threads and edits of changes, kept under the git directory."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from opsroom_code_review.models import Thread
from opsroom_code_review.providers import ChangeEdit, Reply, Review, TaskEdit
from opsroom_code_review.providers.local import LocalProvider
from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted, ToolFailure, Unavailable

from .scratch import BEN, Scratch, comment, diff_of, provider, review


@pytest.fixture
def fix(shop: Scratch) -> Scratch:
    """Ben's branch `fix`, which Ada may judge; it is checked out."""
    shop.branch("fix")
    shop.commit("Mend it", {"app.py": "".join(f"row {number}\n" for number in range(1, 31))}, author=BEN)
    return shop


async def threads(source: LocalProvider, change: str = "fix") -> list[Thread]:
    return await source.threads(change=change, task=None)


def database(shop: Scratch) -> Path:
    return shop.folder / ".git" / "opsroom" / "reviews.db"


async def test_reading_makes_no_file(fix: Scratch) -> None:
    """The store begins with the first thing that is said."""
    source = provider(fix.folder)
    await source.change("fix")
    await threads(source)
    with pytest.raises(NotFound):
        await source.reply(Reply("fix", "r1", "Hello"))

    assert not database(fix).parent.exists()


async def test_a_review_is_stored_whole_and_read_back(fix: Scratch) -> None:
    """Summary, verdict and comments are threads of the change; the verdict is the reviewer's stand."""
    source = provider(fix.folder)
    head = fix.git("rev-parse", "fix")
    asked = replace(review("fix", head, comment("app.py", 3, "row 3"), summary="Please look again."), verdict="request_changes")

    sent = await source.submit(asked)

    first, second = await threads(source)
    assert [(each.index, each.state, each.thread) for each in sent.outcomes] == [(0, "published", second.id)]
    assert (first.anchor, first.resolved, first.comments[0].verdict, first.comments[0].text) == (
        None,
        None,
        "request_changes",
        "Please look again.",
    )
    assert second.anchor is not None
    assert (second.anchor.path, second.anchor.line, second.anchor.side, second.anchor.outdated) == ("app.py", 3, "new", False)
    assert (second.resolved, second.comments[0].text, second.comments[0].trusted) == (False, "Why?", True)
    details = await source.change("fix")
    assert (details.change.state, details.open_threads) == ("needs_changes", 1)
    assert [(each.who.name, each.verdict, each.stale) for each in details.reviewers] == [("Ada", "changes_requested", False)]


async def test_the_same_review_again_says_nothing_twice(fix: Scratch) -> None:
    """A rerun finds its comments there already, even on a newer version."""
    source = provider(fix.folder)
    head = fix.git("rev-parse", "fix")
    once = review("fix", head, comment("app.py", 3, "row 3"), summary="Hm.")
    await source.submit(once)

    again = await source.submit(once)
    newer = fix.commit("More", {"b.py": "x\n"}, author=BEN)
    on_newer = await source.submit(review("fix", newer, comment("app.py", 3, "row 3")))

    assert [each.state for each in (*again.outcomes, *on_newer.outcomes)] == ["duplicate", "duplicate"]
    assert len(await threads(source)) == 2


async def test_a_review_of_an_old_version_is_refused(fix: Scratch) -> None:
    """The answer names the newest version, and nothing is stored."""
    source = provider(fix.folder)
    old = fix.git("rev-parse", "fix")
    new = fix.commit("More", {"b.py": "x\n"}, author=BEN)

    with pytest.raises(Conflict, match=new):
        await source.submit(review("fix", old, summary="Fine."))
    assert not database(fix).exists()


async def test_nobody_accepts_their_own_change(shop: Scratch) -> None:
    """Not by name and not by address; a comment is fine."""
    source = provider(shop.folder)
    head = shop.git("rev-parse", "feature")

    with pytest.raises(NotPermitted, match="own"):
        await source.submit(Review("feature", head, "accept", "Good."))
    await source.submit(review("feature", head, summary="A note to myself."))
    assert not (await source.change("feature")).can.accept


async def test_a_merged_change_takes_no_verdict(fix: Scratch) -> None:
    """It takes comments, though."""
    head = fix.git("rev-parse", "fix")
    fix.switch("main")
    fix.git("merge", "--quiet", "--no-ff", "--message", "Merge", "fix")
    source = provider(fix.folder)

    with pytest.raises(Conflict, match="closed"):
        await source.submit(Review("fix", head, "accept", "Good."))
    await source.submit(review("fix", head, summary="Late, but thanks."))
    assert len(await threads(source)) == 1


async def test_an_accepted_change_is_open_again_after_a_new_version(fix: Scratch) -> None:
    """An acceptance is about what was read."""
    source = provider(fix.folder)
    await source.submit(Review("fix", fix.git("rev-parse", "fix"), "accept", ""))
    before = (await source.change("fix")).change.state
    fix.commit("More", {"b.py": "x\n"}, author=BEN)

    after = await source.change("fix")

    assert (before, after.change.state) == ("accepted", "open")
    assert [each.stale for each in after.reviewers] == [True]


async def test_comments_move_with_their_lines(fix: Scratch) -> None:
    """A newer version shows each where its line is now, through a rename, and says which lines are gone."""
    source = provider(fix.folder)
    head = fix.git("rev-parse", "fix")
    places = [comment("app.py", line, f"row {line}", f"About {line}", index) for index, line in enumerate((2, 10, 20))]
    await source.submit(review("fix", head, *places))
    rows = [f"row {number}\n" for number in range(1, 31) if number != 10]
    fix.git("mv", "app.py", "main.py")
    fix.commit("Move", {"main.py": "".join(["first\n", *rows])}, author=BEN)

    anchors = [thread.anchor for thread in await threads(source)]

    assert [(each.path, each.line, each.outdated) for each in anchors if each] == [
        ("main.py", 3, False),
        ("app.py", 10, True),
        ("main.py", 20, False),
    ]


async def test_comments_on_the_old_side_stay_through_a_rebase(fix: Scratch) -> None:
    """They follow the base, which moved."""
    source = provider(fix.folder)
    old_line = replace(comment("app.py", 5, "line 5"), side="old", ends=((5, None), (5, None)))
    await source.submit(review("fix", fix.git("rev-parse", "fix"), old_line))
    fix.switch("main")
    base = "".join(f"line {number}\n" for number in range(1, 41))
    fix.commit("Above", {"app.py": "zero\n" + base})
    fix.switch("fix")
    fix.git("reset", "--quiet", "--hard", "main")
    fix.commit("Mend it", {"app.py": "".join(f"row {number}\n" for number in range(1, 31))}, author=BEN)

    anchor = (await threads(source))[0].anchor

    assert anchor is not None
    assert (anchor.side, anchor.line, anchor.outdated) == ("old", 6, False)


async def test_comments_on_the_working_tree_follow_their_text(shop: Scratch) -> None:
    """Its earlier states are not kept; the quoted line is looked for instead."""
    source = provider(shop.folder)
    shop.write({"notes.txt": "one\ntwo\nthree\n"})
    version = (await source.change("worktree")).change.version or ""
    await source.submit(review("worktree", version, comment("notes.txt", 2, "two"), comment("notes.txt", 3, "three", index=1)))
    shop.write({"notes.txt": "zero\none\ntwo\n"})

    anchors = [thread.anchor for thread in await threads(source, "worktree")]

    assert [(each.line, each.outdated) for each in anchors if each] == [(3, False), (3, True)]


async def test_a_version_that_is_gone_makes_its_comments_outdated(fix: Scratch) -> None:
    """They are shown with the version that they were about."""
    source = provider(fix.folder)
    old = fix.git("rev-parse", "fix")
    await source.submit(review("fix", old, comment("app.py", 2, "row 2")))
    fix.git("reset", "--quiet", "--hard", "main")
    new = fix.commit("Another way", {"app.py": "row 1\nrow 2\n"}, author=BEN)
    fix.git("reflog", "expire", "--expire=now", "--all")
    fix.git("gc", "--quiet", "--prune=now")

    anchor = (await threads(source))[0].anchor

    assert anchor is not None
    assert (anchor.version, anchor.outdated) == (old, True)
    with pytest.raises(NotFound, match=new):
        await diff_of(source, "fix", since=old)


async def test_threads_are_answered_and_resolved(fix: Scratch) -> None:
    """A reply is read back, the state with it; resolving alone posts nothing; the same words are not repeated."""
    source = provider(fix.folder)
    await source.submit(review("fix", fix.git("rev-parse", "fix"), comment("app.py", 2, "row 2")))
    name = (await threads(source))[0].id

    replied = await source.reply(Reply("fix", name, "Because."))
    again = await source.reply(Reply(None, name, "Because."))
    resolved = await source.reply(Reply("fix", name, resolve=True))
    reopened = await source.reply(Reply("fix", name, "No.", resolve=False))

    assert [(each.posted, each.resolved) for each in (replied, again, resolved, reopened)] == [
        (True, False),
        (False, False),
        (False, True),
        (True, False),
    ]
    assert [each.text for each in (await threads(source))[0].comments] == ["Why?", "Because.", "No."]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply("fix", "r99", "x"), NotFound),
        (Reply("fix", "nonsense", "x"), NotFound),
        (Reply("feature", "r2", "x"), NotFound),
        (Reply("fix", "r2"), InvalidInput),
        (Reply("fix", "r1", "x", resolve=True), InvalidInput),
    ],
)
async def test_replies_that_cannot_be_are_refused(fix: Scratch, reply: Reply, error: type[ToolFailure]) -> None:
    """An unknown thread, one of another change, an empty reply, and a summary that has no state: nothing is stored."""
    source = provider(fix.folder)
    await source.submit(review("fix", fix.git("rev-parse", "fix"), comment("app.py", 2, "row 2"), summary="Hm."))
    before = await threads(source)

    with pytest.raises(error):
        await source.reply(reply)
    assert await threads(source) == before


async def test_a_change_is_edited(fix: Scratch) -> None:
    """Title, reviewers, state and tasks are kept; only what is different is told, and once."""
    source = provider(fix.folder)
    await source.save_task(TaskEdit(title="Mend the shop"))
    edit = ChangeEdit(
        change="fix", title="Mend the app", summary="All of it.", add_reviewers=("ada",), state="draft", link_tasks=("T1",)
    )

    first = await source.edit_change(edit)
    second = await source.edit_change(edit)
    details = await source.change("fix")

    assert first.changed == ["title", "summary", "state", "reviewers", "tasks"]
    assert second.changed == []
    assert (details.change.title, details.summary, details.change.state, details.tasks) == (
        "Mend the app",
        "All of it.",
        "draft",
        ["T1"],
    )
    assert [each.who.name for each in details.reviewers] == ["Ada"]


@pytest.mark.parametrize(
    ("state", "shown"), [("changes_planned", "needs_changes"), ("abandoned", "abandoned"), ("ready", "open"), ("draft", "draft")]
)
async def test_states_are_kept(fix: Scratch, state: str, shown: str) -> None:
    """Each is shown as what it means, and can be taken back."""
    source = provider(fix.folder)
    after = await source.edit_change(ChangeEdit(change="fix", state=state))  # type: ignore[arg-type]
    back = await source.edit_change(ChangeEdit(change="fix", state="reopened"))

    assert (after.change.state, back.change.state) == (shown, "open")


@pytest.mark.parametrize(
    "edit",
    [
        ChangeEdit(change="fix", add_reviewers=("nobody",)),
        ChangeEdit(change="fix", link_tasks=("T9",)),
        ChangeEdit(change="fix", base="nowhere"),
        ChangeEdit(change="fix", title=" "),
        ChangeEdit(change="fix", title="x" * 301),
        ChangeEdit(source="--- a/x\n+++ b/x\n"),
        ChangeEdit(change="nothing"),
        ChangeEdit(change="fix", repo="elsewhere"),
        ChangeEdit(),
    ],
)
async def test_words_that_are_unknown_are_refused(fix: Scratch, edit: ChangeEdit) -> None:
    """Nobody, no task, no branch: the edit is refused as a whole, and nothing is stored."""
    with pytest.raises((InvalidInput, NotFound)):
        await provider(fix.folder).edit_change(edit)
    assert not database(fix).exists()


async def test_without_a_name_nothing_is_written(fix: Scratch) -> None:
    """Git has to know who it is."""
    fix.git("config", "--unset", "user.name")

    with pytest.raises(InvalidInput, match=r"user\.name"):
        await provider(fix.folder).submit(review("fix", fix.git("rev-parse", "fix"), summary="Hm."))


WRITER = """
import asyncio, sys
from pathlib import Path
from opsroom_code_review.providers import Review
from opsroom_code_review.providers.local import LocalProvider
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings

async def main():
    local = LocalProvider("here", ProviderSettings(kind="local", path=Path(sys.argv[1])), CodeReviewSettings())
    for number in range(10):
        await local.submit(Review("fix", sys.argv[2], "comment", f"{sys.argv[3]} {number}"))

asyncio.run(main())
"""


async def test_processes_may_write_at_once(fix: Scratch) -> None:
    """Three of them make the store and write to it together; nothing is lost."""
    head = fix.git("rev-parse", "fix")
    children = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(fix.folder), head, name, stderr=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]
    ended = [await child.communicate() for child in children]

    assert [child.returncode for child in children] == [0, 0, 0], ended
    assert len(await threads(provider(fix.folder))) == 30


@pytest.mark.parametrize("content", [b"no database", b""])
async def test_a_broken_store_is_told_and_left_alone(fix: Scratch, content: bytes) -> None:
    """A file that is none is not overwritten; an empty one is where the store begins."""
    file = database(fix)
    file.parent.mkdir()
    file.write_bytes(content)
    source = provider(fix.folder)
    head = fix.git("rev-parse", "fix")

    if content:
        with pytest.raises(Unavailable):
            await source.submit(review("fix", head, summary="Hm."))
        assert file.read_bytes() == content
    else:
        await source.submit(review("fix", head, summary="Hm."))
        assert len(await threads(source)) == 1


async def test_a_newer_store_is_not_touched(fix: Scratch) -> None:
    """A format that this version does not know is refused."""
    source = provider(fix.folder)
    head = fix.git("rev-parse", "fix")
    await source.submit(review("fix", head, summary="Hm."))
    with closing(sqlite3.connect(database(fix))) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(Conflict, match="newer"):
        await threads(source)


async def test_a_store_that_is_a_link_is_not_followed(fix: Scratch, tmp_path: Path) -> None:
    """A repository could point it at a database of somebody else."""
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE private (x)")
    database(fix).parent.mkdir()
    database(fix).symlink_to(other)

    with pytest.raises(Unavailable, match="link"):
        await provider(fix.folder).submit(review("fix", fix.git("rev-parse", "fix"), summary="Hm."))


async def test_a_suggestion_is_kept_in_a_fence(fix: Scratch) -> None:
    """What it suggests may hold fences of its own."""
    source = provider(fix.folder)
    suggested = replace(comment("app.py", 2, "row 2", "Better:"), suggestion="```\ncode\n```")

    await source.submit(review("fix", fix.git("rev-parse", "fix"), suggested))

    assert (await threads(source))[0].comments[0].text == "Better:\n\n````suggestion\n```\ncode\n```\n````"

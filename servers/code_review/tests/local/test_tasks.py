"""Tasks of a local repository."""

from collections.abc import Sequence

import pytest
from opsroom_code_review.providers import Page, TaskEdit, TaskQuery
from opsroom_code_review.providers.local import LocalProvider
from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure

from .scratch import BEN, Scratch, provider


@pytest.fixture
async def source(shop: Scratch) -> LocalProvider:
    """Three tasks in the repository: T1 of the project `pay` for Ben, T2 below it, and T3, which is done."""
    shop.commit("Ben was here", author=BEN)
    local = provider(shop.folder)
    await local.save_task(TaskEdit(title="Charge once", body="Never twice.", project="pay", priority="high", owner="ben"))
    await local.save_task(TaskEdit(title="Test it", parent="T1", column="doing", owner="me"))
    await local.save_task(TaskEdit(title="Old thing", status="resolved"))
    return local


async def refs(source: LocalProvider, query: TaskQuery) -> Sequence[str]:
    return sorted(task.ref for task in (await source.find_tasks(query, Page())).items)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (TaskQuery(), ["T1", "T2"]),
        (TaskQuery(status="all"), ["T1", "T2", "T3"]),
        (TaskQuery(status="closed"), ["T3"]),
        (TaskQuery(status="resolved"), ["T3"]),
        (TaskQuery(text="TWICE charge"), ["T1"]),
        (TaskQuery(owner="me"), ["T2"]),
        (TaskQuery(owner="Ben"), ["T1"]),
        (TaskQuery(owner="none", status="all"), ["T3"]),
        (TaskQuery(project="pay"), ["T1"]),
        (TaskQuery(project="shop"), ["T1", "T2"]),
        (TaskQuery(column="doing"), ["T2"]),
        (TaskQuery(priority="high"), ["T1"]),
    ],
)
async def test_tasks_are_found_by_what_is_asked(source: LocalProvider, query: TaskQuery, expected: list[str]) -> None:
    """Each filter keeps what fits it."""
    assert await refs(source, query) == expected


async def test_tasks_that_are_named_are_given_whole(source: LocalProvider) -> None:
    """With their bodies, in the order of the names."""
    found = (await source.find_tasks(TaskQuery(refs=("T2", "T1")), Page())).items

    assert [(task.ref, task.body, task.parents) for task in found] == [("T2", "", ["T1"]), ("T1", "Never twice.", [])]
    assert found[1].owner is not None
    assert found[1].owner.name == "Ben"


async def test_a_task_is_changed_and_commented(source: LocalProvider) -> None:
    """Only what is different is told; the comment is in its thread; links go both ways."""
    edit = TaskEdit(
        task="T1", status="in_progress", column="review", add_projects=("cards",), comment="On it.", link_changes=("feature",)
    )

    first = await source.save_task(edit)
    second = await source.save_task(edit)
    said = await source.threads(change=None, task="T1")

    assert first.changed == ["status", "column", "projects", "changes", "comment"]
    assert second.changed == []
    assert (first.task.projects, first.task.changes) == (["cards", "pay"], ["feature"])
    assert [comment.text for thread in said for comment in thread.comments] == ["On it."]
    assert (await source.change("feature")).tasks == ["T1"]


async def test_the_same_new_task_is_made_once(source: LocalProvider) -> None:
    """A call that is made again finds it there."""
    edit = TaskEdit(title="Charge once", body="Never twice.")

    again = await source.save_task(edit)

    assert (again.task.ref, again.changed) == ("T1", [])
    assert again.note is not None


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (TaskEdit(), InvalidInput),
        (TaskEdit(task="T9", title="x"), NotFound),
        (TaskEdit(task="T1", status="closed"), InvalidInput),
        (TaskEdit(task="T1", priority="unbreak"), InvalidInput),
        (TaskEdit(task="T1", column="nowhere"), InvalidInput),
        (TaskEdit(task="T1", owner="nobody"), InvalidInput),
        (TaskEdit(task="T1", parent="T2"), InvalidInput),
        (TaskEdit(task="T1", parent="T9"), NotFound),
        (TaskEdit(task="T1", link_changes=("nothing",)), NotFound),
        (TaskEdit(task="T1", title=""), InvalidInput),
        (TaskEdit(task="T1", body="x" * 100_001), InvalidInput),
    ],
)
async def test_words_that_are_unknown_are_refused(source: LocalProvider, edit: TaskEdit, error: type[ToolFailure]) -> None:
    """With the valid ones, and nothing changes."""
    before = (await source.find_tasks(TaskQuery(status="all"), Page())).items

    with pytest.raises(error):
        await source.save_task(edit)
    assert (await source.find_tasks(TaskQuery(status="all"), Page())).items == before


@pytest.mark.parametrize(
    "query",
    [
        TaskQuery(status="nope"),
        TaskQuery(priority="nope"),
        TaskQuery(column="nope"),
        TaskQuery(owner="nope"),
        TaskQuery(project="nope"),
    ],
)
async def test_questions_with_unknown_words_are_refused(source: LocalProvider, query: TaskQuery) -> None:
    """An empty list would look like an answer."""
    with pytest.raises(InvalidInput, match="There are"):
        await source.find_tasks(query, Page())

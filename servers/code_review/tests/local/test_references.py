"""What a person may call a change of a local repository."""

from pathlib import Path

import pytest
from opsroom_code_review.providers.local.references import BranchName, Range, WorkingTree, read_reference, read_task, spelled

from .scratch import provider


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("feature", BranchName("feature")),
        (" origin/ada/fix-1 ", BranchName("origin/ada/fix-1")),
        ("refs/heads/D12", BranchName("refs/heads/D12")),
        ("größe", BranchName("größe")),
        ("worktree", WorkingTree()),
        ("main..feature", Range("main", "feature", "..")),
        ("main...feature", Range("main", "feature", "...")),
        ("v1.0..HEAD~2", Range("v1.0", "HEAD~2", "..")),
        ("main..", Range("main", "HEAD", "..")),
        ("...feature", Range("HEAD", "feature", "...")),
    ],
)
def test_references_are_branches_ranges_and_the_working_tree(text: str, meant: object) -> None:
    """Each form that a person types is read as what it means."""
    assert read_reference(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-x",
        "--output=/tmp/x",
        "a b",
        "a\nb",
        "a\0b",
        "x:y",
        "a..b..c",
        "..",
        "...",
        "-a..b",
        "a..-b",
        "main@{1}",
        "HEAD^{/secret}..HEAD",
        "a.lock",
        "a/",
        "/a",
        "D12",
        "T3",
        "acme/shop#4",
        "group/shop!4",
        "https://forge.example/x",
        "x" * 300,
    ],
)
def test_other_texts_are_no_references(text: str) -> None:
    """What git might take for an option, a path or a search, and what other systems call their things, is no change here."""
    assert read_reference(text) is None


@pytest.mark.parametrize(("text", "task"), [("T3", "T3"), (" t12 ", "T12"), ("T0", None), ("3", None), ("T1x", None)])
def test_tasks_are_called_by_their_numbers(text: str, task: str | None) -> None:
    """A task is a T and a number."""
    assert read_task(text) == task


@pytest.mark.parametrize("name", ["worktree", "D12", "a#3"])
def test_a_branch_that_looks_like_something_else_is_spelled_in_full(name: str) -> None:
    """What a provider gives as a reference is understood as that branch again."""
    full = spelled(name, of=f"refs/heads/{name}")

    assert full == f"refs/heads/{name}"
    assert read_reference(full) == BranchName(full)


def test_the_name_of_the_provider_may_stand_in_front(tmp_path: Path) -> None:
    """With it, even a name that another system would use is a branch."""
    local = provider(tmp_path)

    assert local.change_ref("here:feature") == "feature"
    assert local.change_ref("here:D12") == "refs/heads/D12"
    assert local.task_ref("here:T4") == "T4"
    assert local.change_ref("there:feature") is None

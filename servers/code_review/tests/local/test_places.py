"""Where a repository may be, and what is none."""

import os
from pathlib import Path

import pytest
from opsroom_code_review.providers import ChangeEdit, ChangeQuery, Page
from opsroom_code_review.providers.local import LocalProvider, find_place
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings
from opsroom_shared.config import ConfigError
from opsroom_shared.errors import InvalidInput

from .scratch import Scratch, diff_of, provider


@pytest.mark.parametrize("kind", ["top", "folder", "git", "worktree", "bare"])
async def test_a_repository_is_found_wherever_it_is_entered(shop: Scratch, tmp_path: Path, kind: str) -> None:
    """Its top, a folder inside, its git directory, another working tree and a bare clone: all show the same changes."""
    (shop.folder / "lib" / "deep").mkdir(parents=True)
    shop.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "second"), "main")
    shop.git("clone", "--quiet", "--bare", ".", str(tmp_path / "shop.git"))
    path = {
        "top": shop.folder,
        "folder": shop.folder / "lib" / "deep",
        "git": shop.folder / ".git",
        "worktree": tmp_path / "second",
        "bare": tmp_path / "shop.git",
    }[kind]
    source = provider(path)

    listed = (await source.find_changes(ChangeQuery(), Page())).items

    assert [change.ref for change in listed] == ["feature"]
    assert listed[0].repo == source.repo_of("feature") == "shop"
    assert list(await diff_of(source, "feature")) == ["app.py", "new.py"]
    assert await source.ready() is None


async def test_a_bare_repository_has_no_working_tree(shop: Scratch, tmp_path: Path) -> None:
    """Asked for it, the answer says why."""
    shop.git("clone", "--quiet", "--bare", ".", str(tmp_path / "shop.git"))

    with pytest.raises(InvalidInput, match="bare"):
        await provider(tmp_path / "shop.git").change("worktree")


async def test_the_working_trees_of_a_repository_share_their_reviews(shop: Scratch, tmp_path: Path) -> None:
    """What was said in one is read in the other, but for what is about the tree itself."""
    shop.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "second"), "main")
    shop.write({"README": "x\n"})
    here, there = provider(shop.folder), provider(tmp_path / "second")

    await here.edit_change(ChangeEdit(change="feature", title="Told here"))
    await here.edit_change(ChangeEdit(change="worktree", title="My tree"))

    assert (await there.change("feature")).change.title == "Told here"
    assert (await there.change("worktree")).change.title != "My tree"


def test_what_is_no_repository_is_told_at_the_start(tmp_path: Path) -> None:
    """A folder without one, and no folder at all."""
    with pytest.raises(ConfigError, match="is not a git repository"):
        find_place(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        find_place(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_repository_of_somebody_else_is_explained(shop: Scratch) -> None:
    """Git does not trust its configuration; the answer says what a person does who does."""
    for path in (shop.folder, shop.folder / ".git"):
        os.chown(path, 12_345, 12_345)

    with pytest.raises(ConfigError, match=r"safe\.directory"):
        find_place(shop.folder)


def test_a_local_provider_needs_a_path() -> None:
    """Without one, the configuration is refused before anything runs."""
    with pytest.raises(ConfigError, match="path"):
        LocalProvider("here", ProviderSettings(kind="local"), CodeReviewSettings(state=None))


async def test_a_repository_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    """Readiness says why, and does not raise."""
    assert "not a folder" in (await provider(tmp_path / "gone").ready() or "")

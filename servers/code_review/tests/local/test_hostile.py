"""Repositories that were made to run programs, or to show what is outside of them."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from opsroom_code_review.providers import ChangeQuery, FileAt, Page
from opsroom_code_review.providers.local import find_place
from opsroom_shared.config import ConfigError
from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure

from .scratch import Scratch, made, provider

Trap = Callable[[Scratch, str], None]


def trap_script(folder: Path) -> tuple[str, Path]:
    """A program that leaves a mark, and the mark."""
    mark = folder / "mark"
    script = folder / "trap"
    script.write_text(f"#!/bin/sh\necho ran >> {shlex.quote(str(mark))}\n")
    script.chmod(0o755)
    return str(script), mark


def fsmonitor(shop: Scratch, script: str) -> None:
    shop.git("config", "core.fsmonitor", script)


def external_diff(shop: Scratch, script: str) -> None:
    shop.git("config", "diff.external", script)


def diff_driver(shop: Scratch, script: str) -> None:
    shop.git("config", "diff.evil.command", script)
    (shop.folder / ".git" / "info" / "attributes").write_text("* diff=evil\n")


def textconv(shop: Scratch, script: str) -> None:
    shop.git("config", "diff.evil.textconv", script)
    (shop.folder / ".git" / "info" / "attributes").write_text("* diff=evil\n")


def clean_filter(shop: Scratch, script: str) -> None:
    shop.git("config", "filter.evil.clean", script)
    shop.git("config", "filter.evil.smudge", script)
    shop.git("config", "filter.evil.required", "true")
    (shop.folder / ".git" / "info" / "attributes").write_text("* filter=evil\n")


def process_filter(shop: Scratch, script: str) -> None:
    shop.git("config", "filter.evil.process", script)
    (shop.folder / ".git" / "info" / "attributes").write_text("* filter=evil\n")


def included_filter(shop: Scratch, script: str) -> None:
    (shop.folder / ".git" / "more").write_text(f'[filter "evil.more"]\n\tclean = {script}\n')
    shop.git("config", "include.path", "more")
    (shop.folder / ".git" / "info" / "attributes").write_text("* filter=evil.more\n")


def hooks(shop: Scratch, script: str) -> None:
    for name in ("post-index-change", "pre-auto-gc", "reference-transaction", "post-checkout"):
        hook = shop.folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(Path(script).read_text())
        hook.chmod(0o755)


def signature(shop: Scratch, script: str) -> None:
    shop.git("config", "log.showSignature", "true")
    shop.git("config", "gpg.program", script)
    tree = shop.git("rev-parse", "feature^{tree}")
    parent = shop.git("rev-parse", "main")
    lines = (
        f"tree {tree}\nparent {parent}\nauthor Ada <a@x> 1790000600 +0000\ncommitter Ada <a@x> 1790000600 +0000\n"
        "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----\n\nSigned\n"
    )
    signed = shop.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=lines.encode())
    shop.git("update-ref", "refs/heads/feature", signed)
    shop.git("notes", "--ref=opsroom-checks", "add", "-m", '{"name": "tests", "state": "passed"}', "feature")


def pager_and_aliases(shop: Scratch, script: str) -> None:
    shop.git("config", "core.pager", script)
    shop.git("config", "pager.diff-tree", script)
    for name in ("diff-tree", "for-each-ref", "rev-list", "cat-file", "status"):
        shop.git("config", f"alias.{name}", f"!{script}")


def missing_objects(shop: Scratch, script: str) -> None:
    shop.git("config", "remote.origin.url", f"ext::{script}")
    shop.git("config", "remote.origin.promisor", "true")
    shop.git("config", "remote.origin.partialclonefilter", "blob:none")
    shop.git("config", "protocol.ext.allow", "always")
    shop.git("config", "core.repositoryformatversion", "1")
    shop.git("config", "extensions.partialClone", "origin")
    blob = shop.git("rev-parse", "feature:new.py")
    (shop.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


def submodule_configuration(shop: Scratch, script: str) -> None:
    inner = made(shop.folder / "inner")
    inner.commit("Inside", {"x": "1\n"})
    shop.git("add", "inner")
    shop.git("commit", "--quiet", "--message", "A repository inside")
    inner.git("config", "core.fsmonitor", script)
    inner.write({"x": "2\n"})
    shop.git("config", "submodule.inner.url", f"ext::{script}")
    shop.git("config", "submodule.recurse", "true")
    shop.git("config", "diff.submodule", "log")


@pytest.mark.parametrize(
    "trap",
    [
        fsmonitor,
        external_diff,
        diff_driver,
        textconv,
        clean_filter,
        process_filter,
        included_filter,
        hooks,
        signature,
        pager_and_aliases,
        missing_objects,
        submodule_configuration,
    ],
)
async def test_nothing_that_a_repository_names_is_run(shop: Scratch, tmp_path: Path, trap: Trap) -> None:
    """Whatever program the configuration or the hooks of a repository name, no read of any kind starts it."""
    script, mark = trap_script(tmp_path)
    trap(shop, script)
    shop.write({"app.py": "changed\n", "untracked.py": "new\n"})
    mark.unlink(missing_ok=True)
    local = provider(shop.folder)

    answered = 0
    for ref in ("feature", "worktree", "main..feature", "main...feature"):
        for call in (
            lambda ref=ref: local.change(ref),
            lambda ref=ref: local.diff(ref, version=None, since=None, context=3, wanted=lambda _: True),
            lambda ref=ref: local.file(FileAt("app.py", change=ref)),
            lambda ref=ref: local.file(FileAt("new.py", change=ref)),
            lambda ref=ref: local.checks(ref, check=None, log_lines=10),
        ):
            try:
                await call()
                answered += 1
            except ToolFailure:
                continue  # some of what is asked is missing on purpose
    await local.find_changes(ChangeQuery(state="all", path="app.py", text="more"), Page())
    await local.find_changes(ChangeQuery(), Page())

    assert not mark.exists()
    assert answered >= 10


@pytest.mark.parametrize(
    ("trap", "command"),
    [
        (fsmonitor, ("status",)),
        (external_diff, ("diff", "main", "feature")),
        (textconv, ("diff", "main", "feature")),
        (clean_filter, ("status",)),
        (signature, ("log", "-1", "feature")),
        (missing_objects, ("cat-file", "blob", "feature:new.py")),
    ],
)
def test_the_traps_work(shop: Scratch, tmp_path: Path, trap: Trap, command: tuple[str, ...]) -> None:
    """Plain git falls into them; otherwise the test above would prove nothing."""
    script, mark = trap_script(tmp_path)
    trap(shop, script)
    shop.write({"app.py": "changed\n"})
    mark.unlink(missing_ok=True)

    try:
        shop.git(*command)
    except AssertionError:
        assert mark.exists()

    assert mark.exists()


async def test_a_filter_that_cannot_be_turned_off_keeps_the_working_tree_closed(shop: Scratch, tmp_path: Path) -> None:
    """A name with an equals sign cannot be overridden, so nothing is compared."""
    script, mark = trap_script(tmp_path)
    with (shop.folder / ".git" / "config").open("a") as config:
        config.write(f'[filter "x=y"]\n\tclean = {script}\n')
    (shop.folder / ".git" / "info" / "attributes").write_text("* filter=x=y\n")
    shop.write({"app.py": "changed\n"})
    local = provider(shop.folder)

    with pytest.raises(InvalidInput, match="filter"):
        await local.change("worktree")
    assert not mark.exists()
    assert (await local.change("feature")).change.ref == "feature"


async def test_files_that_go_through_a_filter_are_withheld(shop: Scratch) -> None:
    """What a filter would make of them is not known without running it."""
    shop.git("config", "filter.lfs.clean", "false")
    shop.write({".gitattributes": "*.bin filter=lfs\n", "big.bin": "content", "app.py": "changed\n"})
    local = provider(shop.folder)

    files = {
        file.path: file.withheld
        for file in (await local.diff("worktree", version=None, since=None, context=3, wanted=lambda _: True)).files
    }

    assert files["app.py"] is None
    assert "lfs" in (files["big.bin"] or "")


def test_a_working_tree_elsewhere_is_refused(shop: Scratch, tmp_path: Path) -> None:
    """core.worktree must not show the files of another folder."""
    (tmp_path / "secrets").mkdir()
    shop.git("config", "core.worktree", str(tmp_path))

    with pytest.raises(ConfigError, match=r"core\.worktree"):
        find_place(shop.folder)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../secret", ".git/config", "link/secret", "link", "ignored"])
async def test_no_file_outside_is_read(shop: Scratch, tmp_path: Path, path: str) -> None:
    """Neither a path nor a link leads out of the working tree, and what is ignored stays private."""
    (tmp_path / "secret").write_text("secret")
    (shop.folder / "link").symlink_to(tmp_path)
    shop.write({".gitignore": "ignored\n", "ignored": "secret"})
    local = provider(shop.folder)

    for at in ("head", "base"):
        try:
            text = (await local.file(FileAt(path, change="worktree", at=at))).content
        except (InvalidInput, NotFound):
            continue
        assert text == str(tmp_path)  # the link itself, not what it leads to


async def test_a_link_that_took_the_place_of_a_folder_is_not_followed(shop: Scratch, tmp_path: Path) -> None:
    """A tracked path whose folder became a link leads outside; its file is not read."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.py").write_text("secret")
    shop.commit("A folder", {"inside/x.py": "harmless\n"})
    (shop.folder / "inside" / "x.py").unlink()
    (shop.folder / "inside").rmdir()
    (shop.folder / "inside").symlink_to(tmp_path / "outside")
    local = provider(shop.folder)

    with pytest.raises(NotFound):
        await local.file(FileAt("inside/x.py", change="worktree"))
    shown = await local.diff("worktree", version=None, since=None, context=3, wanted=lambda _: True)

    assert "secret" not in str(shown)


@pytest.mark.parametrize("version", ["--output=x", "HEAD", "feature", "refs/heads/feature", "0" * 40, "zz", "a..b..c"])
async def test_versions_are_commit_ids_and_nothing_else(shop: Scratch, version: str) -> None:
    """No option, name or made-up id gets through as a version."""
    local = provider(shop.folder)

    with pytest.raises((InvalidInput, NotFound), match=r"[Vv]ersion"):
        await local.diff("feature", version=version, since=None, context=3, wanted=lambda _: True)


async def test_a_replacement_does_not_change_what_an_id_stands_for(shop: Scratch) -> None:
    """refs/replace would show another commit under the id that was reviewed."""
    head = shop.git("rev-parse", "feature")
    shop.branch("other")
    other = shop.commit("Evil", {"evil.py": "x\n"})
    shop.git("replace", head, other)

    files = await provider(shop.folder).diff("feature", version=None, since=None, context=3, wanted=lambda _: True)

    assert [file.path for file in files.files] == ["app.py", "new.py"]

"""Diffs of every kind of file, and files of any size and name."""

import os

import pytest
from opsroom_code_review.paths import given
from opsroom_code_review.providers import FileAt
from opsroom_shared.errors import Conflict, InvalidInput, NotFound, TooLarge

from .scratch import Scratch, diff_of, lines_of, made, provider

ODD = (
    "größe.txt",
    "with space.txt",
    "tab\there.txt",
    "new\nline.txt",
    'quo"te.txt',
    "back\\slash.txt",
    "-dash.txt",
    ":(glob)x.txt",
    "*.txt",
    "a b/x b/y.txt",
    os.fsdecode(b"latin-\xe9.txt"),
)


async def test_paths_of_any_bytes_are_shown_and_read(shop: Scratch) -> None:
    """Each file of the diff can be read by the path that it was shown with."""
    shop.branch("odd")
    for path in ODD:
        file = shop.folder / path
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text("hello\n")
    shop.commit("Odd names")
    source = provider(shop.folder)

    files = await diff_of(source, "odd")
    texts = [(await source.file(FileAt(path, change="odd"))).content for path in files]
    details = await source.change("odd")
    one_by_one = [list(await diff_of(source, "odd", wanted=lambda path, only=path: path == only)) for path in ODD]

    assert set(files) == set(ODD)
    assert texts == ["hello\n"] * len(ODD)
    assert {given(file.path) for file in details.files} == set(ODD)
    assert one_by_one == [[path] for path in ODD]


async def test_odd_paths_of_the_working_tree(shop: Scratch) -> None:
    """Untracked files may be called anything, too."""
    for path in ODD:
        file = shop.folder / path
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text("hello\n")
    source = provider(shop.folder)

    files = await diff_of(source, "worktree")
    texts = [(await source.file(FileAt(path, change="worktree"))).content for path in ODD]

    assert set(files) == set(ODD)
    assert texts == ["hello\n"] * len(ODD)


async def test_three_thousand_files_are_one_diff(shop: Scratch) -> None:
    """They come whole, and one of them alone costs no more than itself."""
    shop.branch("big")
    shop.commit("Many", {f"lib/{number:04}.py": f"x = {number}\n" for number in range(3_000)})
    source = provider(shop.folder)

    files = await diff_of(source, "big")
    one = await diff_of(source, "big", wanted=lambda path: path == "lib/0007.py")
    details = await source.change("big")

    assert len(files) == len(details.files) == 3_000
    assert lines_of(one["lib/0007.py"]) == ["+x = 7"]
    assert source.processes <= 9


async def test_huge_and_binary_files_are_named_and_not_shown(shop: Scratch) -> None:
    """A text of 100 MB is withheld with the reason, a binary is told as one."""
    shop.branch("huge")
    shop.write(
        {"huge.txt": b"0123456789abcdef\n" * (100 * 1024 * 1024 // 17), "huge.bin": os.urandom(9 << 20), "small.bin": b"\0\1"}
    )
    source = provider(shop.folder)
    uncommitted = await diff_of(source, "worktree")
    shop.commit("Huge")

    files = await diff_of(source, "huge")

    for found in (uncommitted, files):
        assert "too large" in (found["huge.txt"].withheld or "")
        assert (found["small.bin"].binary, found["small.bin"].withheld) == (True, None)
        assert not any(file.hunks for file in found.values())
    with pytest.raises(TooLarge):
        await source.file(FileAt("huge.txt", change="huge"))
    with pytest.raises(InvalidInput, match="binary"):
        await source.file(FileAt("small.bin", change="huge"))


async def test_renames_modes_links_and_line_ends(shop: Scratch) -> None:
    """Each kind of change is told as what it is."""
    body = "".join(f"row {number}\n" for number in range(30))
    shop.commit(
        "Before",
        {
            "old.py": body,
            "run.sh": "#!/bin/sh\n",
            "case.txt": body.upper(),
            "crlf.csv": b"a\r\nb\r\n",
            "gone": "x\n",
            "kind": "text\n",
        },
    )
    shop.branch("kinds")
    shop.git("mv", "old.py", "renamed.py")
    shop.git("mv", "case.txt", "Case.txt")
    (shop.folder / "run.sh").chmod(0o755)
    (shop.folder / "gone").unlink()
    (shop.folder / "kind").unlink()
    (shop.folder / "kind").symlink_to("app.py")
    shop.commit("After", {"renamed.py": body + "last\n", "crlf.csv": b"a\r\nc\r\n"})
    source = provider(shop.folder)

    files = await diff_of(source, "kinds")

    told = {path: (file.kind, file.old_path) for path, file in files.items()}
    assert told == {
        "Case.txt": ("renamed", "case.txt"),
        "crlf.csv": ("modified", None),
        "gone": ("deleted", None),
        "kind": ("modified", None),
        "renamed.py": ("renamed", "old.py"),
        "run.sh": ("mode", None),
    }
    assert files["run.sh"].modes == ("100644", "100755")
    assert lines_of(files["crlf.csv"]) == [" a\r", "-b\r", "+c\r"]
    assert lines_of(files["kind"]) == ["-text", "+app.py"]
    assert files["kind"].modes == ("100644", "120000")


async def test_a_submodule_is_one_line(shop: Scratch) -> None:
    """Its commit is shown, its files are in a repository of their own."""
    inner = made(shop.folder / "inner")
    inner.commit("One", {"x": "1\n"})
    shop.branch("inside")
    shop.commit("Take it in")
    second = inner.commit("Two", {"x": "2\n"})
    source = provider(shop.folder)

    files = await diff_of(source, "inside")
    uncommitted = await diff_of(source, "worktree")

    assert lines_of(files["inner"])[0].startswith("+Subproject commit")
    assert lines_of(uncommitted["inner"])[1] == f"+Subproject commit {second}"
    with pytest.raises(InvalidInput, match="submodule"):
        await source.file(FileAt("inner", change="inside"))


async def test_a_pointer_of_lfs_is_told_as_one(shop: Scratch) -> None:
    """The content is elsewhere; that is said."""
    shop.branch("lfs")
    shop.commit("Pointer", {"big.psd": "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n"})

    text = await provider(shop.folder).file(FileAt("big.psd", change="lfs"))

    assert "LFS" in (text.hint or "")


@pytest.mark.parametrize(("context", "count"), [(0, 2), (1, 5), (50, 41)])
async def test_context_is_what_was_asked_for(shop: Scratch, context: int, count: int) -> None:
    """As many unchanged lines around each change as wanted, where there are so many."""
    files = await diff_of(provider(shop.folder), "feature", context=context)

    assert len(lines_of(files["app.py"])) == count


async def test_the_configuration_does_not_change_the_form_of_a_diff(shop: Scratch) -> None:
    """What a person likes to see in a terminal has no part in what is parsed."""
    plain = await diff_of(provider(shop.folder), "feature")
    for name, value in (
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("color.ui", "always"),
        ("diff.renames", "false"),
        ("diff.context", "9"),
        ("diff.interHunkContext", "40"),
        ("core.quotePath", "true"),
        ("diff.wsErrorHighlight", "all"),
        ("diff.orderFile", "/nowhere"),
    ):
        shop.git("config", name, value)
    shop.write({"README": "x\n"})

    assert await diff_of(provider(shop.folder), "feature") == plain
    assert lines_of((await diff_of(provider(shop.folder), "worktree"))["README"]) == ["-Shop", "+x"]


async def test_a_rebase_is_a_new_version_and_only_its_own_changes_are_new(shop: Scratch) -> None:
    """Between two versions, what main brought in is left out, and what the author did is shown."""
    shop.switch("feature")
    first = shop.git("rev-parse", "HEAD")
    shop.switch("main")
    shop.commit("Elsewhere", {"other.py": "x\n", "README": "Shop!\n"})
    shop.switch("feature")
    shop.git("rebase", "--quiet", "main")
    shop.commit("Once more", {"new.py": "one\ntwo\nthree\n"})
    source = provider(shop.folder)

    between = await diff_of(source, "feature", since=first)
    old = await diff_of(source, "feature", version=first)

    assert list(between) == ["new.py"]
    assert lines_of(between["new.py"]) == [" one", " two", "+three"]
    assert lines_of(old["new.py"]) == ["+one", "+two"]


async def test_an_earlier_state_of_the_working_tree_is_gone(shop: Scratch) -> None:
    """Only commits are kept; that is said, with the version of now."""
    shop.write({"app.py": "x\n"})
    source = provider(shop.folder)
    version = (await source.change("worktree")).change.version
    shop.write({"app.py": "y\n"})

    with pytest.raises(Conflict, match="worktree-"):
        await diff_of(source, "worktree", version=version)


async def test_files_are_read_at_head_base_and_any_commit(shop: Scratch) -> None:
    """Also of the working tree, and of the repository without a change."""
    source = provider(shop.folder)
    shop.write({"app.py": "uncommitted\n"})
    main = shop.git("rev-parse", "main")

    head = await source.file(FileAt("app.py", change="feature"))
    base = await source.file(FileAt("app.py", change="feature", at="base"))
    commit = await source.file(FileAt("app.py", repo="shop", at="main"))
    written = await source.file(FileAt("app.py", change="worktree"))

    assert "the end" in head.content
    assert "the end" not in base.content
    assert (commit.content, commit.commit) == (base.content, main)
    assert (written.content, written.total_lines) == ("uncommitted\n", 1)


@pytest.mark.parametrize(
    ("path", "words"), [("nope", "no file nope"), ("folder", "is a folder"), ("", "no path"), ("./app.py", "no path")]
)
async def test_what_is_no_file_is_told_as_what_it_is(shop: Scratch, path: str, words: str) -> None:
    """The answer says why there is nothing to read."""
    shop.branch("more")
    shop.commit("Folder", {"folder/x": "1\n"})

    with pytest.raises((NotFound, InvalidInput), match=words):
        await provider(shop.folder).file(FileAt(path, change="more"))


async def test_bytes_that_are_no_text_are_replaced(shop: Scratch) -> None:
    """A line in another encoding is shown with a mark, in a diff and in a file."""
    shop.branch("latin")
    shop.commit("Latin", {"l.txt": b"caf\xe9\n"})
    source = provider(shop.folder)

    files = await diff_of(source, "latin")

    assert lines_of(files["l.txt"]) == ["+caf\N{REPLACEMENT CHARACTER}"]
    assert (await source.file(FileAt("l.txt", change="latin"))).content == "caf\N{REPLACEMENT CHARACTER}\n"

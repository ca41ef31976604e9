"""Branches, ranges and the working tree as changes."""

from datetime import UTC, datetime

import pytest
from opsroom_code_review.models import Change
from opsroom_code_review.providers import ChangeEdit, ChangeQuery, Page, Provider, Review
from opsroom_code_review.providers.local import LocalProvider
from opsroom_shared.errors import InvalidInput, NotFound, Unavailable

from .scratch import BEN, Scratch, diff_of, lines_of, made, provider


async def found(source: LocalProvider, query: ChangeQuery | None = None, limit: int = 20) -> list[Change]:
    return (await source.find_changes(query or ChangeQuery(), Page(limit))).items


async def refs(source: LocalProvider, query: ChangeQuery | None = None) -> list[str]:
    return [change.ref for change in await found(source, query)]


def test_it_fits_the_protocol(shop: Scratch) -> None:
    """What the server expects of a provider is what this one has."""
    source: Provider = provider(shop.folder)

    assert (source.name, source.kind, source.repo_of("feature")) == ("here", "local", "shop")


async def test_a_branch_is_compared_with_where_it_left_the_default_one(shop: Scratch) -> None:
    """What main did since then is not part of the change."""
    shop.commit("Go on", {"README": "Shop, and more\n"})
    source = provider(shop.folder)

    details = await source.change("feature")

    assert [(file.path, file.added, file.removed) for file in details.files] == [("app.py", 1, 1), ("new.py", 2, 0)]
    assert (details.change.title, details.summary) == ("Say more", "Much more.")
    assert (details.base, details.head, details.change.state) == ("main", "feature", "open")
    assert details.change.version == shop.git("rev-parse", "feature")


async def test_main_is_no_change(shop: Scratch) -> None:
    """The branch that others go into is named as such."""
    with pytest.raises(InvalidInput, match="changes go into"):
        await provider(shop.folder).change("main")


async def test_an_unknown_branch_is_refused_with_near_ones(shop: Scratch) -> None:
    """A slip of the finger is answered with what was meant."""
    with pytest.raises(NotFound, match="feature"):
        await provider(shop.folder).change("featur")


async def test_a_merged_branch_is_closed(shop: Scratch) -> None:
    """It is listed among the closed ones only, and its diff is empty."""
    shop.git("merge", "--quiet", "--no-ff", "--message", "Merge", "feature")
    source = provider(shop.folder)

    assert await refs(source) == []
    assert await refs(source, ChangeQuery(state="closed")) == ["feature"]
    assert (await source.change("feature")).change.native_state == "merged"


async def test_a_branch_that_merged_main_again_is_compared_with_the_newest_common_commit(shop: Scratch) -> None:
    """What came in from main does not count as the branch's own."""
    shop.commit("Go on", {"README": "More\n"})
    shop.switch("feature")
    shop.git("merge", "--quiet", "--message", "Merge main", "main")
    shop.commit("Further", {"more.py": "x\n"})

    details = await provider(shop.folder).change("feature")

    assert [file.path for file in details.files] == ["app.py", "more.py", "new.py"]


async def test_a_branch_on_a_branch_has_it_as_parent(shop: Scratch) -> None:
    """Only the one right below is named, and titles are of what is new."""
    shop.branch("second", "feature")
    shop.commit("Second", {"b.py": "x\n"})
    shop.branch("third", "second")
    shop.commit("Third", {"c.py": "x\n"})
    source = provider(shop.folder)

    third = await source.change("third")

    assert third.parents == ["second"]
    assert third.change.title == "Third"
    assert (await source.change("second")).parents == ["feature"]
    assert [file.path for file in third.files] == ["app.py", "b.py", "c.py", "new.py"]


async def test_a_branch_can_be_compared_with_another_one(shop: Scratch) -> None:
    """With the branch below as its base, a stacked change shows only what is its own."""
    shop.branch("second", "feature")
    shop.commit("Second", {"b.py": "x\n"})
    source = provider(shop.folder)

    await source.edit_change(ChangeEdit(source="second", base="feature"))
    details = await source.change("second")

    shop.git("branch", "-D", "feature")
    without = await source.change("second")

    assert [file.path for file in details.files] == ["b.py"]
    assert (details.base, without.base) == ("feature", "main")


async def test_the_default_branch_is_what_the_remote_says(shop: Scratch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A clone knows it by origin/HEAD; branches of others are changes, once each."""
    clone = tmp_path_factory.mktemp("clone") / "copy"
    shop.branch("trunk")
    shop.commit("On trunk", {"t": "1\n"})
    shop.git("clone", "--quiet", "--branch", "trunk", ".", str(clone))
    copy = Scratch(clone)
    copy.git("remote", "set-head", "origin", "trunk")
    copy.git("config", "user.name", "Ada")
    copy.git("config", "user.email", "ada@shop.example")
    copy.git("switch", "--quiet", "feature")
    source = provider(clone)

    assert await refs(source) == ["feature"]
    assert (await source.change("feature")).base == "trunk"
    copy.switch("trunk")
    copy.git("branch", "-D", "feature")
    assert await refs(source) == ["origin/feature"]


async def test_the_working_tree_is_a_change_when_it_is_not_clean(shop: Scratch) -> None:
    """Staged, unstaged and untracked files are in it; what is ignored is not."""
    source = provider(shop.folder)
    before = await refs(source)
    shop.write({".gitignore": "secret\n", "secret": "x\n", "app.py": "staged\n"})
    shop.git("add", "app.py", ".gitignore")
    shop.write({"README": "unstaged\n", "new file.txt": "one\ntwo"})

    listed = await found(source)
    files = await diff_of(source, "worktree")

    assert before == ["feature"]
    assert listed[0].ref == "worktree"
    assert listed[0].version is not None
    assert listed[0].version.startswith("worktree-")
    assert list(files) == [".gitignore", "README", "app.py", "new file.txt"]
    assert lines_of(files["new file.txt"]) == ["+one", "+two"]
    assert [line.ends for line in files["new file.txt"].lines()] == [True, False]


async def test_a_touched_file_is_no_change(shop: Scratch) -> None:
    """A new time of an old content says nothing."""
    (shop.folder / "app.py").touch()
    shop.write({"README": "other\n"})

    assert list(await diff_of(provider(shop.folder), "worktree")) == ["README"]


async def test_every_edit_makes_another_version_of_the_working_tree(shop: Scratch) -> None:
    """And going back makes the old one again."""
    source = provider(shop.folder)
    seen: list[str | None] = []
    for text in ("a\n", "b\n", "a\n"):
        shop.write({"app.py": text})
        seen.append((await source.change("worktree")).change.version)

    assert seen[0] == seen[2] != seen[1]


async def test_a_range_is_what_the_right_has_over_the_left(shop: Scratch) -> None:
    """Two dots compare the ends, three start where they parted."""
    shop.commit("Go on", {"README": "More\n"})
    source = provider(shop.folder)

    assert list(await diff_of(source, "main..feature")) == ["README", "app.py", "new.py"]
    assert list(await diff_of(source, "main...feature")) == ["app.py", "new.py"]
    assert (await source.change("main..feature")).change.version == "..".join(
        (shop.git("rev-parse", "main"), shop.git("rev-parse", "feature"))
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ChangeQuery(author="Ben"), ["fix"]),
        (ChangeQuery(author="ben@shop.example"), ["fix"]),
        (ChangeQuery(author="me"), ["feature"]),
        (ChangeQuery(role="author"), ["feature"]),
        (ChangeQuery(role="todo"), ["fix"]),
        (ChangeQuery(role="reviewer"), []),
        (ChangeQuery(text="much SAY"), ["feature"]),
        (ChangeQuery(text="nothing such"), []),
        (ChangeQuery(path="new.py"), ["feature"]),
        (ChangeQuery(path="lib"), ["fix"]),
        (ChangeQuery(updated_since=datetime(2099, 1, 1, tzinfo=UTC)), []),
        (ChangeQuery(repo="shop"), ["fix", "feature"]),
    ],
)
async def test_changes_are_found_by_what_is_asked(shop: Scratch, query: ChangeQuery, expected: list[str]) -> None:
    """Each filter keeps what fits it."""
    shop.branch("fix")
    shop.commit("Mend it", {"lib/x.py": "x\n"}, author=BEN)
    shop.switch("main")

    assert await refs(provider(shop.folder), query) == expected


async def test_another_repository_is_refused(shop: Scratch) -> None:
    """There is one, and the answer says which."""
    with pytest.raises(NotFound, match="shop"):
        await found(provider(shop.folder), ChangeQuery(repo="warehouse"))


async def test_a_review_takes_a_change_off_the_list_until_its_next_version(shop: Scratch) -> None:
    """What I have judged waits for its author; what is new waits for me again."""
    shop.branch("fix")
    first = shop.commit("Mend it", {"x.py": "x\n"}, author=BEN)
    source = provider(shop.folder)
    await source.submit(Review("fix", first, "request_changes", "Not yet."))

    after_review = await refs(source, ChangeQuery(role="todo"))
    shop.commit("Mend it better", {"x.py": "y\n"}, author=BEN)
    after_push = await refs(source, ChangeQuery(role="todo"))
    details = await source.change("fix")

    assert (after_review, after_push) == ([], ["fix"])
    assert [(each.who.name, each.verdict, each.stale) for each in details.reviewers] == [("Ada", "changes_requested", True)]
    assert details.change.state == "open"
    assert [version.id for version in details.versions] == [first, shop.git("rev-parse", "fix")]


async def test_a_listing_goes_on_where_it_ended(shop: Scratch) -> None:
    """Pages hold every change once, the newest first."""
    for number in range(5):
        shop.branch(f"b{number}")
        shop.commit(f"Number {number}", {f"{number}": "x\n"})
    shop.switch("main")
    source = provider(shop.folder)

    seen: list[str] = []
    position = None
    while True:
        part = await source.find_changes(ChangeQuery(), Page(2, position))
        seen += [change.ref for change in part.items]
        position = part.position
        if position is None:
            break

    assert seen == ["b4", "b3", "b2", "b1", "b0", "feature"]


async def test_a_branch_whose_name_is_no_text_hides_no_other(shop: Scratch) -> None:
    """Names may hold any bytes; such a branch cannot be shown, and the rest is."""
    head = shop.git("rev-parse", "feature")
    (shop.folder / ".git" / "packed-refs").write_bytes(head.encode() + b" refs/heads/caf\xe9\n")

    assert await refs(provider(shop.folder)) == ["feature"]


async def test_a_repository_with_a_long_history_beside_main(shop: Scratch) -> None:
    """Beyond the commits that are read, bases are asked for, and merged branches are still closed."""
    shop.branch("merged")
    shop.commit("In main", {"m": "1\n"})
    shop.switch("main")
    shop.git("merge", "--quiet", "--no-ff", "--message", "Merge", "merged")
    start = shop.git("rev-parse", "main")
    commits = [f"commit refs/heads/long\ncommitter A <a@x> {1_790_100_000 + n} +0000\ndata 1\nx" for n in range(20_005)]
    commits[0] += f"\nfrom {start}"
    shop.git("fast-import", "--quiet", stdin="\n".join([*commits, ""]).encode())
    source = provider(shop.folder)

    assert sorted(await refs(source)) == ["feature", "long"]
    assert await refs(source, ChangeQuery(state="closed")) == ["merged"]
    assert [file.path for file in (await source.change("feature")).files] == ["app.py", "new.py"]


async def test_main_is_found_behind_a_thousand_newer_branches(shop: Scratch) -> None:
    """The newest are listed; older ones can still be named, and what is merged of them is known."""
    start = shop.git("rev-parse", "main")
    commits = [
        f"commit refs/heads/b{n}\ncommitter A <a@x> {1_790_100_000 + n} +0000\ndata 1\nx\nfrom {start}" for n in range(1_005)
    ]
    shop.git("fast-import", "--quiet", stdin="\n".join([*commits, ""]).encode())
    shop.git("branch", "merged", "main")
    source = provider(shop.folder)

    newest = await refs(source)

    assert newest[0] == "b1004"
    assert (await source.change("feature")).base == "main"
    assert (await source.change("merged")).change.state == "closed"


async def test_names_come_from_the_mailmap(shop: Scratch) -> None:
    """People are called what the project calls them."""
    shop.branch("fix")
    shop.commit("Mend", {".mailmap": "Ben Major <ben@shop.example>\n"}, author=BEN)

    author = (await provider(shop.folder).change("fix")).change.author

    assert author is not None
    assert author.name == "Ben Major"


async def test_only_what_a_configured_name_wrote_is_trusted(shop: Scratch) -> None:
    """A commit may carry any name, mine included; what I wrote into the store is mine."""
    mine = provider(shop.folder)
    by_name = await provider(shop.folder, trusted=["Ada"]).change("feature")
    from_commit = await mine.change("feature")
    await mine.edit_change(ChangeEdit(change="feature", summary="What I say."))
    from_store = await mine.change("feature")

    assert (by_name.trusted, from_commit.trusted, from_store.trusted) == (True, False, True)
    assert from_store.summary == "What I say."


async def test_an_empty_repository_has_no_changes(empty: Scratch) -> None:
    """Before the first commit there is nothing to compare, but for the files that are there."""
    source = provider(empty.folder)
    nothing = await refs(source)
    empty.write({"a.py": "x\n"})
    empty.git("add", "a.py")
    empty.write({"b.py": "y\n"})

    files = await diff_of(source, "worktree")

    assert nothing == []
    assert [(file.path, file.kind) for file in files.values()] == [("a.py", "added"), ("b.py", "added")]
    with pytest.raises(NotFound):
        await source.change("feature")


async def test_without_a_default_branch_a_range_is_asked_for(shop: Scratch) -> None:
    """Where no branch has a usual name and none is checked out, nothing can be compared with it."""
    shop.git("switch", "--quiet", "--detach", "main")
    shop.git("branch", "--move", "main", "one")

    with pytest.raises(InvalidInput, match="no branch that others are compared with"):
        await provider(shop.folder).change("feature")


async def test_an_unborn_branch_and_a_detached_head_do_not_matter(shop: Scratch) -> None:
    """What is checked out has no part in what the branches are."""
    source = provider(shop.folder)
    shop.git("switch", "--quiet", "--detach", "feature")
    detached = await refs(source)
    shop.git("switch", "--quiet", "--orphan", "fresh")
    unborn = await refs(source)

    assert detached == ["feature"]
    assert [ref for ref in unborn if ref != "worktree"] == ["feature"]


async def test_a_branch_without_common_history_is_compared_with_nothing(shop: Scratch) -> None:
    """All of its files are added ones."""
    shop.git("switch", "--quiet", "--orphan", "site")
    shop.commit("A site", {"index.html": "<p>\n"})

    files = await diff_of(provider(shop.folder), "site")

    assert [(file.path, file.kind) for file in files.values()] == [("index.html", "added")]


async def test_a_shallow_clone_says_what_it_lacks(shop: Scratch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the merge base was cut off, the answer says so and what to do."""
    shop.commit("Go on", {"README": "More\n"})
    clone = tmp_path_factory.mktemp("clone") / "copy"
    shop.git("clone", "--quiet", "--depth=1", "--no-single-branch", f"file://{shop.folder}", str(clone))
    source = provider(clone)

    with pytest.raises(Unavailable, match="unshallow"):
        await source.change("origin/feature")
    assert list(await diff_of(source, "main..origin/feature")) == ["README", "app.py", "new.py"]


async def test_few_processes_are_needed(shop: Scratch) -> None:
    """Finding, looking at and reading a change takes a handful of processes, and no more with many branches."""
    for number in range(20):
        shop.branch(f"b{number}")
        shop.commit(f"Number {number}", {f"{number}": "x\n"})
    source = provider(shop.folder)

    await found(source)
    after_finding = source.processes
    await source.change("feature")
    after_details = source.processes
    await diff_of(source, "feature")

    assert (after_finding, after_details - after_finding, source.processes - after_details) == (4, 2, 2)


async def test_many_branches_are_listed_by_their_names(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A branch may be called like the working tree, or like a change elsewhere; its reference is understood again."""
    shop = made(tmp_path_factory.mktemp("odd") / "shop")
    shop.commit("Start", {"a": "1\n"})
    for name in ("worktree", "D12", "fix#3", "größe", "a-b.c_d/e"):
        shop.branch(name)
        shop.commit(f"On {name}", {name.replace("/", "-"): "x\n"})
    shop.switch("main")
    source = provider(shop.folder)

    listed = await refs(source)
    looked_up = [(await source.change(source.change_ref(ref) or "")).change.ref for ref in listed]

    assert sorted(listed) == ["a-b.c_d/e", "größe", "refs/heads/D12", "refs/heads/fix#3", "refs/heads/worktree"]
    assert looked_up == listed

"""Diffs and files of GitLab."""

import pytest
from gitlab_forge import HEAD, MR, OLDER, PATCH, Answer, Forge, Json, entry, merge_request
from opsroom_code_review.providers import FileAt
from opsroom_code_review.providers.gitlab import GitLabProvider
from opsroom_code_review.providers.gitlab.patches import file_diff
from opsroom_code_review.providers.gitlab.wire import DiffEntry
from opsroom_shared.errors import InvalidInput, NotFound, TooLarge

FILE = "GET /projects/group/app/repository/files/{}/raw"
HUNK = "@@ -1 +1 @@\n-a\n+b\n"


def every(_: str) -> bool:
    return True


async def test_patch_is_read_whole_in_one_request(gitlab: GitLabProvider, forge: Forge) -> None:
    """The patch itself has no collapsed files; it is read once for a version."""
    diff = await gitlab.diff("group/app!1", version=None, since=None, context=3, wanted=every)
    again = await gitlab.diff("group/app!1", version=HEAD, since=None, context=3, wanted=lambda path: path.startswith("docs/"))

    assert diff.version == HEAD
    assert [(file.path, file.kind, file.added, file.removed) for file in diff.files] == [
        ("src/retry.py", "modified", 2, 1),
        ("docs/new.md", "renamed", 1, 1),
        ("logo.png", "modified", 0, 0),
        ("run.sh", "mode", 0, 0),
    ]
    assert [file.path for file in again.files] == ["docs/new.md"]
    assert len(forge.asked(f"{MR}/raw_diffs")) == 1


async def test_renamed_file_is_found_by_its_old_path(gitlab: GitLabProvider) -> None:
    """Who asks for a file by the name that it had gets it."""
    diff = await gitlab.diff("group/app!1", version=None, since=None, context=3, wanted=lambda path: path == "docs/old.md")

    assert [file.path for file in diff.files] == ["docs/new.md"]


async def test_files_are_listed_where_the_patch_is_not_to_be_had(gitlab: GitLabProvider, forge: Forge) -> None:
    """Without the patch, all pages of files are read, and what GitLab leaves out of them is said."""
    forge.answers[f"{MR}/raw_diffs"] = Answer({"message": "500 Internal Server Error"}, 500)
    files = [entry(f"f{number}.py", HUNK) for number in range(150)]
    forge.answers[f"{MR}/diffs"] = [*files, entry("big.sql", "", collapsed=True), entry("huge.sql", "", too_large=True)]

    diff = await gitlab.diff("group/app!1", version=None, since=None, context=3, wanted=every)

    assert len(diff.files) == 152
    assert diff.missing is None
    assert [file.withheld for file in diff.files[-2:]] == [
        "collapsed by GitLab because the diff is large",
        "too large for GitLab to show",
    ]
    assert [request.query["page"] for request in forge.asked(f"{MR}/diffs")] == [["1"], ["2"]]


async def test_broken_patch_falls_back_to_the_files(gitlab: GitLabProvider, forge: Forge) -> None:
    """A patch that ends in the middle is not shown as if it were whole."""
    forge.answers[f"{MR}/raw_diffs"] = PATCH[:260].encode()
    forge.answers[f"{MR}/diffs"] = [entry("a.py", HUNK)]

    diff = await gitlab.diff("group/app!1", version=None, since=None, context=3, wanted=every)

    assert [file.path for file in diff.files] == ["a.py"]


async def test_patch_that_lacks_files_falls_back_to_them(gitlab: GitLabProvider, forge: Forge) -> None:
    """A patch that broke off between two files has fewer files than GitLab counts, and is not shown as if it were whole."""
    forge.answers[f"{MR}/raw_diffs"] = PATCH.partition("diff --git a/logo")[0].encode()
    forge.answers[f"{MR}/diffs"] = [entry(f"{number}.py", HUNK) for number in range(4)]

    diff = await gitlab.diff("group/app!1", version=None, since=None, context=3, wanted=every)

    assert len(diff.files) == 4


async def test_earlier_version_is_read_as_it_was(gitlab: GitLabProvider, forge: Forge) -> None:
    """An earlier version, which the start of its id names, comes from GitLab's record of it."""
    forge.answers[f"{MR}/versions/11"] = {"id": 11, "head_commit_sha": OLDER, "diffs": [entry("a.py", HUNK)]}

    diff = await gitlab.diff("group/app!1", version=OLDER[:10], since=None, context=3, wanted=every)

    assert diff.version == OLDER
    assert [file.path for file in diff.files] == ["a.py"]


async def test_two_versions_are_compared_directly(gitlab: GitLabProvider, forge: Forge) -> None:
    """What is new since a version is the difference of the two heads."""
    compare = "GET /projects/group/app/repository/compare"
    forge.answers[compare] = {"diffs": [entry("a.py", HUNK)], "compare_timeout": True}

    diff = await gitlab.diff("group/app!1", version=None, since=OLDER, context=3, wanted=every)

    assert [file.path for file in diff.files] == ["a.py"]
    assert diff.missing == "GitLab took too long to compare the versions; files may be missing."
    assert forge.asked(compare)[0].query == {"from": [OLDER], "to": [HEAD], "straight": ["true"]}


async def test_unknown_version_is_refused_with_those_that_there_are(gitlab: GitLabProvider) -> None:
    """Who asks for a version that never was learns which there are."""
    with pytest.raises(NotFound, match=rf"no version 'abcdef0'\. Its versions, newest first: {HEAD[:12]}, {OLDER[:12]}"):
        await gitlab.diff("group/app!1", version="abcdef0", since=None, context=3, wanted=every)


async def test_push_between_two_reads_is_read_anew(gitlab: GitLabProvider, forge: Forge) -> None:
    """The patch of one version is never given out as that of the next."""
    await gitlab.diff("group/app!1", version=None, since=None, context=3, wanted=every)
    forge.merge_request = merge_request(
        1, sha=OLDER, diff_refs={"base_sha": OLDER, "head_sha": OLDER, "start_sha": OLDER}, changes_count="0"
    )
    forge.answers[f"{MR}/raw_diffs"] = b""

    diff = await gitlab.diff("group/app!1", version=None, since=None, context=3, wanted=every)

    assert (diff.version, diff.files) == (OLDER, [])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            entry("a", "", new_file=True, a_mode="0"),
            {"kind": "added", "withheld": "GitLab sent no lines for this file; it may be empty, binary, or too large"},
        ),
        (entry("a", HUNK, deleted_file=True, b_mode="0"), {"kind": "deleted", "added": 1, "removed": 1}),
        (entry("b", "", old_path="a", renamed_file=True), {"kind": "renamed", "old_path": "a", "withheld": None}),
        (entry("a", "", b_mode="100755"), {"kind": "mode", "modes": ("100644", "100755"), "withheld": None}),
        (entry("a", "Binary files a/a and b/a differ\n"), {"kind": "modified", "binary": True}),
        (entry("a", "--broken encoding: no"), {"withheld": "GitLab could not decode the diff of this file"}),
        (
            {"old_path": "a", "new_path": "b", "renamed_file": True, "diff": ""},
            {"withheld": "GitLab sent no lines for this file; it may be empty, binary, or too large"},
        ),
    ],
)
def test_file_of_a_list_says_what_it_is(entry: Json, expected: dict[str, object]) -> None:
    """New, deleted, renamed, binary and mode changes are told apart, and lines that were not sent are not shown as no change."""
    file = file_diff(DiffEntry.model_validate(entry))

    assert {name: getattr(file, name) for name in expected} == expected


async def test_file_is_read_at_the_head_of_a_change(gitlab: GitLabProvider, forge: Forge) -> None:
    """The file as the change leaves it, with its number of lines."""
    name = "src/ü ?#.py"
    forge.answers[FILE.format(name)] = b"eins\nzwei"

    text = await gitlab.file(FileAt(path=name, change="group/app!1"))

    assert (text.content, text.total_lines, text.commit) == ("eins\nzwei", 2, HEAD)
    assert forge.asked(FILE.format(name))[0].query == {"ref": [HEAD]}


async def test_file_is_read_at_the_base_of_a_change_and_in_a_repository(gitlab: GitLabProvider, forge: Forge) -> None:
    """Base is where the change begins; without a change, head is the project's own."""
    forge.answers[FILE.format("a.py")] = b"x\n"

    await gitlab.file(FileAt(path="a.py", change="group/app!1", at="base"))
    await gitlab.file(FileAt(path="a.py", repo="group/app"))

    assert [request.query["ref"] for request in forge.asked(FILE.format("a.py"))] == [["b" * 40], ["HEAD"]]


@pytest.mark.parametrize(
    ("content", "failure"),
    [(b"a\0b", InvalidInput), (b"\xff\xfe", InvalidInput), (b"x" * (2 << 20) + b"x", TooLarge)],
)
async def test_what_is_no_text_is_refused(gitlab: GitLabProvider, forge: Forge, content: bytes, failure: type[Exception]) -> None:
    """Binary files, other encodings and files over the limit are refused, not cut."""
    forge.answers[FILE.format("a")] = content

    with pytest.raises(failure):
        await gitlab.file(FileAt(path="a", repo="group/app"))


@pytest.mark.parametrize("at", ["--upload-pack=x", "a..b", "a b", "x" * 300])
async def test_revision_must_look_like_one(gitlab: GitLabProvider, at: str) -> None:
    """Only the name of one commit goes to GitLab."""
    with pytest.raises(InvalidInput, match="no commit"):
        await gitlab.file(FileAt(path="a", repo="group/app", at=at))


async def test_absent_file_is_named(gitlab: GitLabProvider, forge: Forge) -> None:
    """The refusal says which file, where."""
    forge.answers[FILE.format("no.py")] = Answer({"message": "404 File Not Found"}, 404)

    with pytest.raises(NotFound, match=r"no file 'no\.py' at HEAD of group/app"):
        await gitlab.file(FileAt(path="no.py", repo="group/app"))

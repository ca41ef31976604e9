"""What a pull request changes."""

import json
from collections.abc import Callable
from typing import cast

import pytest
from opsroom_code_review.diffs import FileDiff
from opsroom_code_review.providers import ChangeDiff, ChangeQuery, FileAt, Page
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import Conflict, InvalidInput, NotFound, TooLarge
from pydantic import JsonValue

from .contract import Contract, Json
from .forge import Answer, Forge, Request
from .world import BASE, HEAD, OLD, file, issue, nodes, pull, repository, searching

PULL = "GET /repos/acme/shop/pulls/12"
FILES = "GET /repos/acme/shop/pulls/12/files"
PATCH = "@@ -1,3 +1,4 @@ def charge():\n one\n-two\n+2\n+2b\n three"
RAW = "application/vnd.github.raw+json; charset=utf-8"


def everything(_: str) -> bool:
    return True


def entry(path: str, *, head: str = HEAD, **changed: JsonValue) -> Json:
    whole: Json = {
        "sha": "1" * 40,
        "filename": path,
        "status": "modified",
        "additions": 2,
        "deletions": 1,
        "changes": 3,
        "blob_url": f"https://github.example/acme/shop/blob/{head}/x",
        "raw_url": f"https://github.example/acme/shop/raw/{head}/x",
        "contents_url": f"https://github.example/api/v3/repos/acme/shop/contents/x?ref={head}",
        "patch": PATCH,
    }
    return whole | changed


Script = Callable[..., None]


@pytest.fixture
def scripted(forge: Forge, contract: Contract) -> Script:
    """Gives the forge the pull request acme/shop#12 with these files."""

    def script(*files: Json, count: int | None = None) -> None:
        example = contract.example("GET /repos/{owner}/{repo}/pulls/{pull_number}")
        assert isinstance(example, dict)
        head = {**cast("Json", example["head"]), "sha": HEAD}
        base = {**cast("Json", example["base"]), "sha": BASE}
        whole: Json = {
            **example,
            "number": 12,
            "head": head,
            "base": base,
            "changed_files": len(files) if count is None else count,
        }
        forge.on(PULL, Answer(body=whole))

        def page(request: Request) -> Answer:
            start = (int(request.query["page"]) - 1) * int(request.query["per_page"])
            return Answer(body=cast("JsonValue", list(files[start : start + int(request.query["per_page"])])))

        forge.on(FILES, page)

    return script


Compare = Callable[..., None]


@pytest.fixture
def compare(forge: Forge, contract: Contract) -> Compare:
    """Scripts a comparison of two commits."""

    def script(base: str, head: str, *files: Json, status: str = "ahead", left: str | None = None) -> None:
        example = contract.example("GET /repos/{owner}/{repo}/compare/{basehead}")
        assert isinstance(example, dict)
        merge_base = {**cast("Json", example["merge_base_commit"]), "sha": left or base}
        body: Json = {**example, "status": status, "merge_base_commit": merge_base, "files": cast("JsonValue", list(files))}
        forge.on(f"GET /repos/acme/shop/compare/{base}...{head}", Answer(body=body))

    return script


def text_at(forge: Forge, path: str, texts: dict[str, str]) -> None:
    """The text of a file at each commit; at another one there is no such file."""

    def content(request: Request) -> Answer:
        text = texts.get(request.query.get("ref", ""))
        return Answer(404, {"message": "Not Found"}) if text is None else Answer(body=text.encode(), kind=RAW)

    forge.on(f"GET /repos/acme/shop/contents/{path}", content)


def shown(diff: FileDiff) -> list[str]:
    return [f"{line.sign}{line.text}" for line in diff.lines()]


async def read(hub: GitHubProvider, *, version: str | None = None, since: str | None = None, context: int = 3) -> ChangeDiff:
    return await hub.diff("acme/shop#12", version=version, since=since, context=context, wanted=everything)


async def test_two_requests_at_once(forge: Forge, hub: GitHubProvider, scripted: Script) -> None:
    """A diff of up to a hundred files takes two requests, which do not wait for each other."""
    scripted(entry("charge.py"), entry("till.py"))

    diff = await hub.diff("acme/shop#12", version=None, since=None, context=3, wanted=lambda path: path == "till.py")

    assert {(one.method, one.path) for one in forge.requests} == {tuple(PULL.split()), tuple(FILES.split())}
    assert len(forge.requests) == 2
    assert (diff.version, diff.repo, diff.missing) == (HEAD, "acme/shop", None)
    assert [one.path for one in diff.files] == ["till.py"]
    assert shown(diff.files[0]) == [" one", "-two", "+2", "+2b", " three"]
    assert (diff.files[0].added, diff.files[0].removed) == (2, 1)
    assert diff.files[0].hunks[0].heading == "def charge():"


@pytest.mark.parametrize(
    ("changed", "kind", "binary", "withheld"),
    [
        ({"patch": None, "changes": 9_000}, "modified", False, True),
        ({"patch": None, "changes": 0}, "modified", True, False),
        ({"patch": None, "changes": 0, "status": "added"}, "added", True, False),
        (
            {"patch": None, "changes": 0, "status": "added", "sha": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"},
            "added",
            False,
            False,
        ),
        ({"patch": None, "changes": 0, "status": "renamed", "previous_filename": "was.py"}, "renamed", False, False),
        ({"patch": None, "changes": 0, "status": "changed"}, "mode", False, False),
        ({"patch": "@@ -1,3 +1,4 @@\n one"}, "modified", False, True),
        ({"status": "removed", "patch": "@@ -1 +0,0 @@\n-gone"}, "deleted", False, False),
    ],
)
async def test_kinds_of_files(
    hub: GitHubProvider, scripted: Script, changed: Json, kind: str, *, binary: bool, withheld: bool
) -> None:
    """A file without a patch is too large, binary, or just moved; none is shown as if it had not changed."""
    whole = {key: value for key, value in {**entry("x"), **changed}.items() if value is not None}
    scripted(whole)

    (diff,) = (await read(hub)).files

    assert (diff.kind, diff.binary, diff.withheld is not None) == (kind, binary, withheld)
    assert diff.old_path == changed.get("previous_filename")


async def test_a_renamed_file_is_wanted_by_either_name(hub: GitHubProvider, scripted: Script) -> None:
    """A file filter fits the path before a rename, too."""
    scripted(entry("new.py", status="renamed", previous_filename="was.py"), entry("other.py"))

    diff = await hub.diff("acme/shop#12", version=None, since=None, context=3, wanted=lambda path: path == "was.py")

    assert [one.path for one in diff.files] == ["new.py"]


async def test_the_cap_of_three_thousand_files(forge: Forge, hub: GitHubProvider, scripted: Script) -> None:
    """GitHub lists no more than 3,000 files of a change; that there are more is said."""
    scripted(*(entry(f"{number}.py") for number in range(3_000)), count=3_456)

    diff = await read(hub)

    assert len(diff.files) == 3_000
    assert diff.missing == "GitHub lists 3,000 of the 3,456 files of this change, and no more."
    assert len(forge.asked(FILES)) == 30


async def test_a_push_between_two_requests(forge: Forge, hub: GitHubProvider, scripted: Script) -> None:
    """A list of files of another version than the one that is named is read again, and not mixed."""
    scripted(entry("charge.py"))
    forge.on(FILES, Answer(body=[entry("charge.py", head=OLD)]), Answer(body=[entry("till.py")]))

    diff = await read(hub)

    assert [one.path for one in diff.files] == ["till.py"]


async def test_pushes_without_end(forge: Forge, hub: GitHubProvider, scripted: Script) -> None:
    """Where the list stays of another version, no diff is better than a mixed one."""
    scripted(entry("charge.py"))
    forge.on(FILES, Answer(body=[entry("charge.py", head=OLD)]))

    with pytest.raises(Conflict, match="new version"):
        await read(hub)


async def test_an_older_version(hub: GitHubProvider, scripted: Script, compare: Compare) -> None:
    """An older version is compared with where it left the base."""
    scripted(entry("charge.py"))
    compare(BASE, OLD, entry("old.py"))

    diff = await read(hub, version=OLD)

    assert diff.version == OLD
    assert [one.path for one in diff.files] == ["old.py"]


async def test_since_a_version_that_was_followed(hub: GitHubProvider, scripted: Script, compare: Compare) -> None:
    """Where commits were added, GitHub's own comparison of the two versions is the answer."""
    scripted(entry("charge.py"), entry("till.py"))
    compare(OLD, HEAD, entry("till.py"))

    diff = await read(hub, since=OLD)

    assert [one.path for one in diff.files] == ["till.py"]


async def test_a_comparison_with_too_many_files(hub: GitHubProvider, scripted: Script, compare: Compare) -> None:
    """GitHub names 300 files of a comparison; that there may be more is said."""
    scripted(entry("charge.py"))
    compare(OLD, HEAD, *(entry(f"{number}.py") for number in range(300)))

    diff = await read(hub, since=OLD)

    assert diff.missing is not None
    assert "at most 300 files" in diff.missing


async def test_since_a_version_that_was_rebased(forge: Forge, hub: GitHubProvider, scripted: Script, compare: Compare) -> None:
    """Behind a rebase only what the author changed is shown: the texts of the two versions are compared here."""
    scripted(entry("charge.py"))
    compare(OLD, HEAD, entry("upstream.py"), status="diverged", left="9" * 40)
    compare(BASE, OLD, entry("same.py"), entry("charge.py", sha="2" * 40), entry("dropped.py", status="added"))
    compare(BASE, HEAD, entry("same.py"), entry("charge.py", sha="3" * 40))
    text_at(forge, "charge.py", {OLD: "one\ntwo\n", HEAD: "one\n2"})
    text_at(forge, "dropped.py", {OLD: "gone\n"})

    diff = await read(hub, since=OLD, context=0)

    assert [(one.path, one.kind) for one in diff.files] == [("charge.py", "modified"), ("dropped.py", "deleted")]
    assert shown(diff.files[0]) == ["-two", "+2"]
    assert [line.ends for line in diff.files[0].lines()] == [True, False]
    assert shown(diff.files[1]) == ["-gone"]


@pytest.mark.parametrize(
    ("context", "lines", "hunks"),
    [
        (0, ["-two", "+2", "+2b"], 1),
        (1, [" one", "-two", "+2", "+2b", " three"], 1),
        (5, [" one", "-two", "+2", "+2b", " three", " four", " five", " six", " seven"], 1),
    ],
)
async def test_context(forge: Forge, hub: GitHubProvider, scripted: Script, context: int, lines: list[str], hunks: int) -> None:
    """Less context is cut off; for more than GitHub's three lines the file is fetched."""
    scripted(entry("charge.py"))
    text_at(forge, "charge.py", {HEAD: "one\n2\n2b\nthree\nfour\nfive\nsix\nseven\neight\n"})

    diff = await read(hub, context=context)

    assert shown(diff.files[0]) == lines
    assert len(diff.files[0].hunks) == hunks
    assert len(forge.requests) == (3 if context > 3 else 2)


async def test_context_that_cannot_be_fetched(forge: Forge, hub: GitHubProvider, scripted: Script) -> None:
    """A file that cannot be fetched for more context is shown with the context that there is."""
    scripted(entry("charge.py"))
    forge.on("GET /repos/acme/shop/contents/charge.py", Answer(403, {"message": "Resource not accessible"}))

    diff = await read(hub, context=9)

    assert shown(diff.files[0]) == [" one", "-two", "+2", "+2b", " three"]


async def test_an_issue_has_no_diff(forge: Forge, hub: GitHubProvider) -> None:
    """A diff of an issue is refused with what it is."""
    forge.root["repository"] = repository(issue())
    for operation in ("GET /repos/acme/shop/pulls/7", "GET /repos/acme/shop/pulls/7/files"):
        forge.on(operation, Answer(404, {"message": "Not Found"}))

    with pytest.raises(NotFound, match="acme/shop#7 is an issue"):
        await hub.diff("acme/shop#7", version=None, since=None, context=3, wanted=everything)


async def test_a_branch_is_no_version(hub: GitHubProvider) -> None:
    """A version is a commit id, and nothing else gets into the path of the request."""
    with pytest.raises(InvalidInput, match="commit id"):
        await read(hub, version="main...evil")


async def test_files_at_both_ends(forge: Forge, hub: GitHubProvider, scripted: Script, compare: Compare) -> None:
    """The head of a change is its newest commit, and its base the one where it left its target."""
    left = "9" * 40
    scripted(entry("charge.py"))
    compare(BASE, HEAD, left=left)
    text_at(forge, "src/a b#?.py", {HEAD: "new\n", left: "old", OLD: ""})

    texts = {at: await hub.file(FileAt("src/a b#?.py", change="acme/shop#12", at=at)) for at in ("head", "base", OLD)}

    assert [(text.content, text.total_lines, text.commit) for text in texts.values()] == [
        ("new\n", 1, HEAD),
        ("old", 1, left),
        ("", 0, OLD),
    ]


async def test_a_file_of_a_repository(forge: Forge, hub: GitHubProvider) -> None:
    """Without a change, head is the default branch."""
    text_at(forge, "a.py", {"": "text\n"})

    text = await hub.file(FileAt("a.py", repo="acme/shop"))

    assert (text.content, text.commit) == ("text\n", None)


@pytest.mark.parametrize("path", ["../../../user", "a/../b", "/etc/passwd", "", "a//b", "a/./b", "a/"])
async def test_paths_that_leave_the_repository(forge: Forge, hub: GitHubProvider, path: str) -> None:
    """A path cannot become another route of the interface."""
    with pytest.raises(InvalidInput, match="no path inside"):
        await hub.file(FileAt(path, repo="acme/shop"))
    assert forge.requests == []


async def test_what_is_no_text(forge: Forge, hub: GitHubProvider, contract: Contract) -> None:
    """Folders, binaries and files that are too large are refused in words; a missing one names its place."""
    example = contract.example("GET /repos/{owner}/{repo}/contents/{path}")
    forge.on("GET /repos/acme/shop/contents/folder", Answer(body=json.dumps([example]).encode()))
    forge.on("GET /repos/acme/shop/contents/image", Answer(body=b"\x89PNG\0", kind=RAW))
    forge.on("GET /repos/acme/shop/contents/large", Answer(body=b"x" * (5 << 20), kind=RAW))
    forge.on("GET /repos/acme/shop/contents/missing", Answer(404, {"message": "Not Found"}))

    for path, failure, words in (
        ("folder", InvalidInput, "folder"),
        ("image", InvalidInput, "no text"),
        ("large", TooLarge, "more than"),
        ("missing", NotFound, "default branch"),
    ):
        with pytest.raises(failure, match=words):
            await hub.file(FileAt(path, repo="acme/shop"))


async def test_round_trips_of_eighty_files(forge: Forge, hub: GitHubProvider, scripted: Script) -> None:
    """Finding, opening and reading a change of 80 files takes four requests, two of which run at once."""
    paths = [f"src/{number}.py" for number in range(80)]
    large = pull(files=nodes(*(file(path) for path in paths)), changedFiles=80)
    forge.root |= {"search": searching(lambda _: [large]), "repository": repository(large)}
    scripted(*(entry(path) for path in paths))

    found = await hub.find_changes(ChangeQuery(repo="acme/shop"), Page())
    details = await hub.change(found.items[0].ref)
    diff = await read(hub, version=details.change.version)

    assert len(details.files) == len(diff.files) == 80
    assert len(forge.asked("POST /graphql")) == 2
    assert len(forge.requests) == 4

"""Diffs: text, context, versions, and what lies between two of them."""

import pytest
from opsroom_code_review.diffs import FileDiff
from opsroom_code_review.providers import ChangeDiff
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import InvalidInput, NotFound, Unavailable

from .conduit_server import ConduitServer
from .world import World


async def _diff(
    provider: PhabricatorProvider, ref: str, *, version: str | None = None, since: str | None = None, context: int = 3
) -> ChangeDiff:
    return await provider.diff(ref, version=version, since=since, context=context, wanted=lambda _: True)


def _shown(file: FileDiff) -> list[str]:
    return [f"{line.old or ''}/{line.new or ''}{line.sign}{line.text}" for line in file.lines()]


async def test_the_newest_version(provider: PhabricatorProvider) -> None:
    """Without a version, what the revision is about now, with its repository."""
    found = await _diff(provider, "D1")

    assert (found.version, found.repo) == ("25", "widgets")
    assert [(file.path, file.added, file.removed) for file in found.files] == [("widgets/http_client.py", 12, 3)]


async def test_round_trips_of_a_diff(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Cold: the revision, its diff's number, the text, the repository's name. Known diffs cost one request: may it be seen?"""
    await _diff(provider, "D1")
    cold = phorge.methods
    phorge.requests.clear()
    await _diff(provider, "D1")

    assert cold[:2] == ["differential.revision.search", "differential.diff.search"]
    assert sorted(cold[2:]) == ["differential.getrawdiff", "phid.query"]
    assert phorge.methods == ["differential.revision.search"]


async def test_a_diff_after_its_change_is_one_request(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """What get_change read is there for read_diff."""
    await provider.change("D8")
    phorge.requests.clear()

    found = await _diff(provider, "D8")

    assert len(found.files) == 81
    assert phorge.methods == ["differential.revision.search"]


async def test_only_the_files_that_are_wanted(provider: PhabricatorProvider) -> None:
    """Either path of a renamed file picks it."""
    found = await provider.diff("D7", version=None, since=None, context=3, wanted=lambda path: path == "widgets/util.py")

    assert [(file.path, file.old_path) for file in found.files] == [("widgets/text.py", "widgets/util.py")]


async def test_less_context(provider: PhabricatorProvider) -> None:
    """Context is cut to what is asked for, and a hunk falls apart where nothing connects it."""
    found = await _diff(provider, "D1", context=0)

    assert len(found.files[0].hunks) == 4
    assert all(line.sign != " " for line in found.files[0].lines())


async def test_quirk_15_more_context_than_the_text_has(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Arc uploads whole files, and getrawdiff shows three lines of them: the old method has the rest."""
    few = await _diff(provider, "D1", version="1")
    many = await _diff(provider, "D1", version="1", context=50)

    assert _shown(few.files[0])[-1].startswith("16/24 ")
    assert _shown(many.files[0])[-1].startswith("18/26 ")
    assert "differential.querydiffs" in phorge.methods


async def test_quirk_15_both_methods_tell_the_same(provider: PhabricatorProvider) -> None:
    """The text and the stored hunks of one of everything lead to the same files."""
    text = await _diff(provider, "D7")
    stored = await _diff(provider, "D7", context=4)

    assert {file.path: file for file in text.files} == {file.path: file for file in stored.files}


@pytest.mark.parametrize("version", ["x", "", "-1", "1.5", "99999999999", "٣"])
async def test_what_is_no_version(provider: PhabricatorProvider, version: str) -> None:
    """A version is the number of a diff."""
    with pytest.raises(InvalidInput, match="is no version"):
        await _diff(provider, "D1", version=version)


@pytest.mark.parametrize(("version", "since"), [("2", None), ("99999", None), ("25", "7"), (None, "2")])
async def test_a_diff_of_another_revision_is_refused(
    provider: PhabricatorProvider, version: str | None, since: str | None
) -> None:
    """Another revision's diff may belong to a repository that is not to be shown."""
    with pytest.raises(NotFound, match="D1 has no version"):
        await _diff(provider, "D1", version=version, since=since)


async def test_between_two_versions(provider: PhabricatorProvider) -> None:
    """Only what the second diff of D1 does otherwise, numbered in the first and in the second."""
    found = await _diff(provider, "D1", since="1", context=1)

    assert found.version == "25"
    assert _shown(found.files[0]) == [
        "18/18                     return response.read()",
        "19/-            except urllib.error.URLError:",
        "/19+            except urllib.error.URLError as error:",
        "/20+                last = error",
        "20/21                 time.sleep(2 ** attempt)",
        "21/-        return None",
        "/22+        raise last",
        "22/23 ",
    ]
    assert (found.files[0].added, found.files[0].removed) == (3, 2)


async def test_between_a_version_and_itself(provider: PhabricatorProvider) -> None:
    """Nothing."""
    assert (await _diff(provider, "D1", version="25", since="25")).files == []


async def test_a_text_that_cannot_be_read(provider: PhabricatorProvider, world: World) -> None:
    """A patch that ends too early is an error that names the diff, not half a diff."""
    world.texts[25] = "--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n context\n"

    with pytest.raises(Unavailable, match="diff 25"):
        await _diff(provider, "D1")

"""Whole files, at commits and as a diff leaves them."""

import pytest
from opsroom_code_review.providers import FileAt
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure

from .conduit_server import ConduitServer
from .transcripts import transcript
from .world import World


async def test_a_file_of_a_repository(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Head is the default branch; the content comes from a stored file, as was recorded."""
    found = await provider.file(FileAt("widgets/store.py", repo="widgets"))

    assert found.commit == "main"
    assert found.content.startswith('"""SQLite backed store')
    assert found.total_lines == 22
    assert phorge.sent("diffusion.filecontentquery") == [transcript("diffusion.filecontentquery").params]


async def test_the_head_of_a_change(provider: PhabricatorProvider) -> None:
    """The base with the changes of the newest diff; which base that was, is a guess that is told."""
    found = await provider.file(FileAt("widgets/http_client.py", change="D1"))

    assert "        raise last\n" in found.content
    assert found.content.endswith("            return response.read()\n")
    assert found.commit is None
    assert found.hint is not None
    assert "does not say which commit it starts from: this is main" in found.hint


async def test_the_base_of_a_change(provider: PhabricatorProvider) -> None:
    """The file without the changes."""
    found = await provider.file(FileAt("widgets/http_client.py", change="D1", at="base"))

    assert "retries" not in found.content
    assert found.commit == "main"
    assert found.total_lines == 18


async def test_a_file_that_the_change_does_not_touch(provider: PhabricatorProvider) -> None:
    """Its head is its base."""
    head = await provider.file(FileAt("widgets/store.py", change="D1"))
    base = await provider.file(FileAt("widgets/store.py", change="D1", at="base"))

    assert head.content == base.content


async def test_a_file_that_the_change_adds(provider: PhabricatorProvider) -> None:
    """Everything of it stands in the diff."""
    found = await provider.file(FileAt("docs/größe.md", change="D7"))

    assert found.content == "Größe der Widgets: 日本語 🎉\n"
    assert found.total_lines == 1


@pytest.mark.parametrize(
    ("where", "kind", "words"),
    [
        (FileAt("widgets/legacy.py", change="D7"), NotFound, "deletes widgets/legacy.py"),
        (FileAt("widgets/util.py", change="D7"), NotFound, "renames widgets/util.py to widgets/text.py"),
        (FileAt("assets/logo.png", change="D7"), InvalidInput, "is no text"),
        (FileAt("nowhere.py", repo="widgets"), NotFound, "no nowhere.py at main"),
        (FileAt("nowhere.py", change="D1"), NotFound, "no nowhere.py at main"),
        (FileAt("widgets/store.py", repo="widgets", at="base"), InvalidInput, "Only a change has a base"),
        (FileAt("widgets/store.py"), InvalidInput, "Give a change or a repository"),
        (FileAt("widgets/store.py", repo="widgets", at="--upload-pack=x"), InvalidInput, "is no commit"),
        (FileAt("../../etc/passwd", repo="widgets"), InvalidInput, "is no path"),
    ],
)
async def test_what_cannot_be_read(provider: PhabricatorProvider, where: FileAt, kind: type[ToolFailure], words: str) -> None:
    """Each reason has its words, and nothing of the server's own commands gets through."""
    with pytest.raises(kind, match=words) as caught:
        await provider.file(where)

    assert "git" not in str(caught.value)


async def test_changes_that_do_not_fit_are_not_forced(provider: PhabricatorProvider, world: World) -> None:
    """On another base the head cannot be told, and is not made up."""
    world.files["main", "widgets/http_client.py"] = "something else\n" * 30

    with pytest.raises(NotFound, match="its changes do not fit the file at main"):
        await provider.file(FileAt("widgets/http_client.py", change="D1"))


async def test_bytes_that_are_no_text(provider: PhabricatorProvider, world: World) -> None:
    """A zero byte is in no text."""
    world.files["main", "widgets/store.py"] = "a\0b"

    with pytest.raises(InvalidInput, match="is no text"):
        await provider.file(FileAt("widgets/store.py", repo="widgets"))

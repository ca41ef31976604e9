"""The history of revisions and tasks as a discussion."""

import pytest
from opsroom_code_review.models import Anchor, Thread
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import InvalidInput, NotFound

from .conduit_server import ConduitServer
from .conftest import Connect
from .transcripts import as_map, maps, transcript
from .world import ALICE, World


def _by_id(threads: list[Thread]) -> dict[str, Thread]:
    return {thread.id: thread for thread in threads}


async def _threads(provider: PhabricatorProvider, ref: str) -> dict[str, Thread]:
    task = ref.startswith("T")
    return _by_id(await provider.threads(change=None if task else ref, task=ref if task else None))


async def test_inline_threads_have_a_place(provider: PhabricatorProvider) -> None:
    """Bob's comment on lines 15 to 20 of diff 1, with alice's answer, is done and stands on an older diff."""
    thread = (await _threads(provider, "D1"))["D1#inline-5"]

    assert thread.anchor == Anchor(
        path="widgets/http_client.py", line=15, end_line=20, side="unknown", version="1", outdated=True
    )
    assert thread.resolved is True
    assert [(c.author.name if c.author else None, c.text[:10]) for c in thread.comments] == [
        ("bob", "This swall"),
        ("alice", "Good catch"),
    ]


async def test_oldest_first(provider: PhabricatorProvider) -> None:
    """Threads stand in the order in which they began."""
    threads = await provider.threads(change="D1", task=None)

    times = [thread.comments[0].at for thread in threads if thread.comments[0].at]
    assert times == sorted(times)
    assert len(threads) == 11


async def test_quirk_16_entries_without_a_type_are_skipped(provider: PhabricatorProvider) -> None:
    """Nothing but comments and verdicts is discussion."""
    types = [entry["type"] for entry in transcript("transaction.search.revision").data]

    assert None in types
    assert all(thread.comments[0].text for thread in (await _threads(provider, "D1")).values())


async def test_quirk_16_a_verdict_and_its_words_are_one(provider: PhabricatorProvider) -> None:
    """What one Submit did shares a group: the verdict is told with the comment, under the word that edits use."""
    landed, rejected = await _threads(provider, "D3"), await _threads(provider, "D2")

    assert [(t.comments[0].verdict, t.comments[0].text) for t in landed.values()] == [("accept", "Nice.")]
    assert rejected["D2#192"].comments[0].verdict == "request_changes"
    assert rejected["D2#192"].comments[0].text == "Needs the placeholder fix before it can land."
    assert rejected["D2#178"].comments[0].verdict is None


async def test_quirk_16_verdicts_without_words(provider: PhabricatorProvider) -> None:
    """A bare accept and a resignation are said, too."""
    found = await _threads(provider, "D10")

    assert [(t.comments[0].verdict, t.comments[0].author) for t in found.values() if t.comments[0].verdict] == [
        ("accept", found["D10#200"].comments[0].author),
        ("resign", found["D10#202"].comments[0].author),
    ]
    assert found["D10#200"].resolved is None


async def test_quirk_16_removed_and_edited_comments(phorge: ConduitServer, world: World, provider: PhabricatorProvider) -> None:
    """The newest version of an edited comment counts; a removed one is gone."""
    recorded = transcript("transaction.search.removed-and-edited").data
    world.history["D1"] = recorded

    found = await _threads(provider, "D1")

    assert found["D1#215"].comments[0].text == "identifier test, edited"
    assert "D1#224" not in found
    assert found["D1#225"].comments[0].text.endswith("unicode by PHID")
    assert len(phorge.sent("transaction.search")) == 1


async def test_quirk_16_a_removed_comment_with_answers_keeps_its_place(world: World, provider: PhabricatorProvider) -> None:
    """What was answered does not vanish with the words."""
    root = next(entry for entry in world.history["D1"] if entry["id"] == 181)
    maps(root["comments"])[0].update({"removed": True, "content": {"raw": ""}})

    thread = (await _threads(provider, "D1"))["D1#inline-5"]

    assert [comment.text for comment in thread.comments] == ["(removed)", "Good catch, will re-raise."]


async def test_quirk_16_the_side_is_not_told(provider: PhabricatorProvider) -> None:
    """Carol commented on the old side; the history does not say so, and neither does the thread."""
    thread = (await _threads(provider, "D1"))["D1#inline-4"]

    assert as_map(transcript("differential.createinline.by-diff-old-side").result)["isNewFile"] == 0
    assert thread.anchor is not None
    assert thread.anchor.side == "unknown"
    assert thread.resolved is False


async def test_quirk_17_drafts_are_not_there(provider: PhabricatorProvider, world: World) -> None:
    """A draft, even the account's own, is in no history: it appears when its author submits the page."""
    world.history["D2"] = transcript("transaction.search.after-createinline").data
    before = await _threads(provider, "D2")
    world.history["D2"] = transcript("transaction.search.inline-published").data
    after = await _threads(provider, "D2")

    assert before == {}
    thread = after["D2#inline-1"]
    assert thread.anchor == Anchor(path="widgets/store.py", line=20, end_line=21, side="unknown", version="2", outdated=False)


async def test_tasks_have_comments(provider: PhabricatorProvider) -> None:
    """The discussion of T1 is bob's comment; its columns and links are none."""
    found = await _threads(provider, "T1")

    assert list(found) == ["T1#77"]
    assert found["T1#77"].comments[0].text.startswith("I can reproduce")


async def test_long_histories_are_followed_to_the_end(provider: PhabricatorProvider, world: World, phorge: ConduitServer) -> None:
    """More than a page of comments is asked for page by page."""
    for number in range(150):
        world.add_comment("D12", f"number {number}", ALICE)

    found = await _threads(provider, "D12")

    assert len(found) == 150
    assert len(phorge.sent("transaction.search")) == 2


async def test_quirk_12_the_history_is_asked_for_by_monogram(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """transaction.search takes D1 and no number, so it is asked beside the revision instead of after it."""
    await provider.threads(change="D1", task=None)

    assert phorge.sent("transaction.search") == [{"objectIdentifier": "D1"}]
    assert sorted(phorge.methods) == ["differential.revision.search", "transaction.search", "user.search"]


async def test_trust_of_each_comment(connect: Connect) -> None:
    """Members of a trusted project are trusted wherever they wrote."""
    found = await _threads(connect(trusted_groups=["backend"]), "D1")

    assert [comment.trusted for comment in found["D1#inline-5"].comments] == [True, True]
    assert found["D1#183"].comments[0].trusted is False
    bot = found["D1#218"].comments[0].author
    assert bot is not None
    assert bot.bot is True


async def test_a_place_that_cannot_be_read_costs_no_comment(provider: PhabricatorProvider, world: World) -> None:
    """A history of another version may lack what an inline comment stands on."""
    entry = next(entry for entry in world.history["D1"] if entry["id"] == 184)
    entry["fields"] = {"line": "nowhere"}

    thread = (await _threads(provider, "D1"))["D1#inline-4"]

    assert thread.comments[0].text == "Why does the default change?"


@pytest.mark.parametrize(("ref", "account"), [("D9", ALICE), ("T5", ALICE), ("D99999", ALICE), ("T99999", ALICE)])
async def test_hidden_and_missing_discussions(connect: Connect, world: World, ref: str, account: str) -> None:
    """Of what the account may not see there is no discussion."""
    world.account = account

    with pytest.raises(NotFound):
        await _threads(connect(), ref)


async def test_one_of_change_and_task(provider: PhabricatorProvider) -> None:
    """Both, or none, is no question."""
    with pytest.raises(InvalidInput):
        await provider.threads(change="D1", task="T1")
    with pytest.raises(InvalidInput):
        await provider.threads(change=None, task=None)

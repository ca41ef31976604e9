"""One revision: its people, versions, files, links, checks, and whose words are trusted."""

import pytest
from opsroom_code_review.models import Can, ChecksSummary
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import NotFound

from .conduit_server import ConduitServer
from .conftest import Connect
from .transcripts import transcript
from .world import ALICE, BACKEND, BOB, CAROL, World


async def test_everything_about_one(provider: PhabricatorProvider) -> None:
    """D1 with both of its diffs, its reviewers, the failed build and the two threads that are not done."""
    found = await provider.change("D1")

    assert found.change.title == "Retry GET requests with exponential backoff"
    assert [version.id for version in found.versions] == ["25", "1"]
    assert [(r.who.name, r.verdict, r.blocking) for r in found.reviewers] == [("bob", "none", False), ("carol", "none", True)]
    assert [(file.path, file.added, file.removed) for file in found.files] == [("widgets/http_client.py", 12, 3)]
    assert found.checks == ChecksSummary(state="failed", failed=1)
    assert found.open_threads == 2
    assert found.test_plan == "Ran the sync job against a flaky server."
    assert found.can == Can(comment=True, accept=True, publish_inline=False, reply=False, resolve=False)


async def test_round_trips_of_one_change(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Three rounds: by number, by PHID, and by what these name. Ten requests cold; the second time nothing is asked twice."""
    await provider.change("D1")
    cold = sorted(phorge.methods)
    phorge.requests.clear()
    await provider.change("D1")

    always = [
        "differential.diff.search",
        "differential.revision.search",
        "edge.search",
        "harbormaster.build.search",
        "harbormaster.buildable.search",
        "transaction.search",
    ]
    assert cold == sorted([*always, "differential.getrawdiff", "phid.query", "user.search", "user.whoami"])
    assert sorted(phorge.methods) == always


async def test_stack_and_tasks(provider: PhabricatorProvider) -> None:
    """Links are monograms: D11 stands on D10, and D25 is about T3."""
    child, linked = await provider.change("D11"), await provider.change("D25")

    assert child.parents == ["D10"]
    assert [(r.who.name, r.verdict) for r in child.reviewers] == [("carol", "none"), ("#backend", "none")]
    assert linked.tasks == ["T3"]


async def test_quirk_13_acceptance_is_sticky(provider: PhabricatorProvider) -> None:
    """D25 got a new diff after bob had accepted: the server still says accepted, the history says that this is stale."""
    found = await provider.change("D25")

    assert found.change.state == "accepted"
    assert [(r.who.name, r.verdict, r.stale) for r in found.reviewers] == [("bob", "accepted", True)]


async def test_quirk_13_landing_makes_nothing_stale(provider: PhabricatorProvider) -> None:
    """The diff that landing makes of the commit came after bob's verdict on D3, and changes nothing about it."""
    found = await provider.change("D3")

    assert found.change.state == "closed"
    assert found.change.version == "27"
    assert [(r.who.name, r.verdict, r.stale) for r in found.reviewers] == [("bob", "accepted", False)]
    assert found.can.accept is False


async def test_a_verdict_after_the_last_update_is_not_stale(provider: PhabricatorProvider) -> None:
    """Carol accepted D10 and bob resigned, and no diff came since."""
    found = await provider.change("D10")

    assert [(r.who.name, r.verdict, r.stale) for r in found.reviewers] == [
        ("carol", "accepted", False),
        ("bob", "resigned", False),
    ]


@pytest.mark.parametrize(
    ("word", "verdict", "stale"),
    [
        ("accepted-older", "accepted", True),
        ("rejected-older", "changes_requested", True),
        ("commented", "commented", False),
        ("added", "none", False),
        ("a-word-of-a-fork", "none", False),
    ],
)
async def test_words_of_reviewers(provider: PhabricatorProvider, world: World, word: str, verdict: str, stale: bool) -> None:  # noqa: FBT001 - a case
    """What installs without sticky acceptance write, and words that are not known."""
    world.reset(1, "needs-review", {BOB: word})

    found = await provider.change("D1")

    assert [(r.verdict, r.stale) for r in found.reviewers] == [(verdict, stale)]


async def test_quirk_15_files_of_every_kind(provider: PhabricatorProvider) -> None:
    """Kinds, counts and binaries come from the patch; changeset.search has only paths."""
    found = await provider.change("D7")

    kinds = {file.path: (file.kind, file.old_path, file.added, file.removed, file.binary) for file in found.files}
    assert kinds == {
        "widgets/text.py": ("renamed", "widgets/util.py", 1, 1, False),
        "widgets/legacy.py": ("deleted", None, 0, 9, False),
        "widgets/http_client.py": ("modified", None, 1, 1, False),
        "widgets/client_copy.py": ("copied", "widgets/http_client.py", 2, 0, False),
        "scripts/sync.sh": ("mode", None, 0, 0, False),
        "docs/with space.txt": ("added", None, 1, 0, False),
        "docs/windows.txt": ("modified", None, 2, 1, False),
        "docs/noeol.txt": ("modified", None, 1, 1, False),
        "docs/größe.md": ("added", None, 1, 0, False),
        "assets/logo.png": ("modified", None, 0, 0, True),
    }


async def test_quirk_15_base_and_branch_are_known_only_from_arc(connect: Connect, world: World) -> None:
    """Diff 1 came from arc and names them; diff 25 came as text and does not."""
    raw = await connect().change("D1")
    world.reset(1, "needs-review", {})
    revision = world.revision(1)
    fields = revision["fields"]
    assert isinstance(fields, dict)
    fields["diffPHID"] = "PHID-DIFF-2qgoqqn3ascc5ujxbkc6"
    arc = await connect().change("D1")

    assert (raw.base, raw.head) == (None, None)
    assert (arc.base, arc.head) == ("73094636e8cae2313425fa085680f0459c59dd5d", "retry")


@pytest.mark.parametrize("ref", ["D9", "D99999"])
async def test_quirk_11_hidden_and_missing_read_alike(connect: Connect, world: World, ref: str) -> None:
    """Who may not see D9 learns no more than of one that does not exist."""
    world.account = ALICE

    with pytest.raises(NotFound, match=r"or this account may not see it|no such object"):
        await connect().change(ref)

    assert transcript("differential.revision.search.restricted").data == []


async def test_the_own_change_cannot_be_accepted(connect: Connect, world: World) -> None:
    """`can` knows whose change it is."""
    world.account = ALICE

    assert (await connect().change("D1")).can.accept is False
    assert (await connect(inline="lint").change("D1")).can.publish_inline is True


@pytest.mark.parametrize(
    ("settings", "trusted"),
    [
        ({}, False),
        ({"trusted": ["@Alice"]}, True),
        ({"trusted_groups": ["backend"]}, True),
        ({"trusted_groups": ["#backend", "frontend"]}, True),
        ({"trusted_groups": ["frontend"]}, False),
        ({"trusted_groups": ["no-such-project"]}, False),
        ({"trusted": ["bob"]}, False),
    ],
)
async def test_trust_is_about_who_wrote_it(connect: Connect, settings: dict[str, object], trusted: bool) -> None:  # noqa: FBT001 - a case
    """Names, and members of projects; a project that does not exist makes nobody trusted."""
    assert (await connect(**settings).change("D1")).trusted is trusted


async def test_members_are_asked_for_once(connect: Connect, phorge: ConduitServer) -> None:
    """Who belongs to the trusted projects is kept for a while."""
    provider = connect(trusted_groups=["backend"])

    await provider.change("D1")
    await provider.change("D1")

    assert len(phorge.sent("project.search")) == 1


async def test_people_who_are_hidden_have_no_name(provider: PhabricatorProvider, world: World) -> None:
    """A reviewer that the account may not see is shown as hidden, never as a PHID."""
    world.reset(1, "needs-review", {"PHID-USER-somebodyelse00000000": "added", CAROL: "added", BACKEND: "added"})

    found = await provider.change("D1")

    assert sorted(r.who.name for r in found.reviewers) == ["#backend", "(hidden)", "carol"]

"""Making and changing revisions."""

import pytest
from opsroom_code_review.providers import ChangeEdit
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted, ToolFailure

from .conduit_server import ConduitServer
from .conftest import Connect
from .transcripts import as_map, maps, transcript
from .world import ALICE, BOB, CAROL, World

EDIT = "differential.revision.edit"
PATCH = "diff --git a/NEWS b/NEWS\nnew file mode 100644\n--- /dev/null\n+++ b/NEWS\n@@ -0,0 +1 @@\n+news\n"


@pytest.fixture
def alice(world: World, connect: Connect) -> PhabricatorProvider:
    """A provider with the token of alice, who wrote most revisions."""
    world.account = ALICE
    return connect()


@pytest.mark.parametrize(
    ("name", "edit", "changed"),
    [
        ("abandon", ChangeEdit("D4", state="abandoned"), ["state"]),
        ("plan-changes", ChangeEdit("D5", state="changes_planned"), ["state"]),
        ("request-review-from-draft", ChangeEdit("D6", state="ready"), ["state"]),
        ("project-reviewer", ChangeEdit("D11", add_reviewers=("#backend",)), ["reviewers"]),
    ],
)
async def test_quirk_14_edits_as_they_were_recorded(
    alice: PhabricatorProvider, phorge: ConduitServer, world: World, name: str, edit: ChangeEdit, changed: list[str]
) -> None:
    """The request is the recorded one, and what changed is read from the history."""
    world.reset(int(str(edit.change)[1:]), "draft" if name.endswith("draft") else "needs-review", {CAROL: "added"})
    phorge.play(f"{EDIT}.{name}")

    done = await alice.edit_change(edit)

    assert phorge.sent(EDIT) == [transcript(f"{EDIT}.{name}").params]
    assert done.changed == changed
    assert done.note is None


async def test_a_new_revision(alice: PhabricatorProvider, phorge: ConduitServer) -> None:
    """A patch becomes a diff, and the diff a revision with its people and its task, in the recorded order of things."""
    done = await alice.edit_change(
        ChangeEdit(
            repo="widgets",
            source=PATCH,
            title="Add NEWS",
            summary="Start a change log.",
            test_plan="None needed.",
            add_reviewers=("bob", "carol!"),
            link_tasks=("T3",),
        )
    )

    assert done.change.ref == "D26"
    assert done.changed == ["title", "summary", "test_plan", "reviewers", "version", "tasks"] or "version" in done.changed
    assert done.note is None
    assert phorge.sent("differential.createrawdiff") == [{"diff": PATCH, "repositoryPHID": "PHID-REPO-bkz26xvuzhr2va3iimzu"}]
    steps = maps(phorge.sent(EDIT)[0]["transactions"])
    recorded = [step["type"] for step in maps(transcript(f"{EDIT}.create").params["transactions"])]
    assert [step["type"] for step in steps] == recorded
    assert steps[4]["value"] == [BOB, f"blocking({CAROL})"]


async def test_a_new_version(alice: PhabricatorProvider, phorge: ConduitServer) -> None:
    """With a revision, a patch becomes its next diff."""
    done = await alice.edit_change(ChangeEdit("D1", source=PATCH))

    assert done.changed == ["version"]
    assert done.change.version not in (None, "25")
    assert phorge.sent("differential.createrawdiff")[0]["repositoryPHID"] == "PHID-REPO-bkz26xvuzhr2va3iimzu"


async def test_texts_and_reviewers(alice: PhabricatorProvider) -> None:
    """Everything that is given is changed in one call, and shown as it is then."""
    done = await alice.edit_change(ChangeEdit("D1", title="Retry", remove_reviewers=("carol",), link_tasks=("T1",)))

    assert done.change.title == "Retry"
    assert sorted(done.changed) == ["reviewers", "tasks", "title"]


async def test_quirk_14_a_draft_that_the_server_does_not_make(alice: PhabricatorProvider, world: World) -> None:
    """After review was asked for, `draft` succeeds and does nothing, as was recorded: the note says it."""
    assert as_map(transcript(f"{EDIT}.back-to-draft").result)["transactions"] == []
    world.reset(6, "needs-review", {BOB: "added"})

    done = await alice.edit_change(ChangeEdit("D6", state="draft"))

    assert done.changed == []
    assert done.note is not None
    assert "took 'draft' without doing it" in done.note


async def test_quirk_14_nothing_new_changes_nothing(alice: PhabricatorProvider) -> None:
    """The same title again is no change, and no failure."""
    done = await alice.edit_change(ChangeEdit("D1", title="Retry GET requests with exponential backoff"))

    assert done.changed == []
    assert done.note == "Everything was so already: nothing changed."


@pytest.mark.parametrize(("status", "kind"), [("abandoned", "reclaim"), ("published", "reopen")])
async def test_reopening_depends_on_how_it_was_closed(
    alice: PhabricatorProvider, phorge: ConduitServer, world: World, status: str, kind: str
) -> None:
    """What was abandoned is reclaimed, what was closed is reopened."""
    world.reset(4, status, {})

    await alice.edit_change(ChangeEdit("D4", state="reopened"))

    assert maps(phorge.sent(EDIT)[0]["transactions"]) == [{"type": kind, "value": True}]


@pytest.mark.parametrize(
    ("edit", "kind", "words"),
    [
        (ChangeEdit("D1"), InvalidInput, "Nothing to change"),
        (ChangeEdit("D1", title=" "), InvalidInput, "needs a title"),
        (ChangeEdit("D1", add_reviewers=("carl",)), InvalidInput, "There are: carol"),
        (ChangeEdit("D1", add_reviewers=("#back",)), InvalidInput, "There are: .*backend"),
        (ChangeEdit("D1", link_tasks=("T99999",)), NotFound, "T99999"),
        (ChangeEdit("D1", state="reopened"), InvalidInput, "only what is abandoned or closed"),
        (ChangeEdit("D99999", title="x"), NotFound, "D99999"),
        (ChangeEdit(title="x"), InvalidInput, "needs `repo`, `title`"),
        (ChangeEdit(repo="widgets", source=PATCH, title="x", state="abandoned"), InvalidInput, "`draft` or `ready`"),
        (ChangeEdit(repo="widgets", source="my-branch", title="x"), InvalidInput, "not of the name of a branch"),
        (ChangeEdit(repo="widgets", source="--- a/x\n+++ b/x\n@@ -1 +1,5 @@\n", title="x"), InvalidInput, "is no patch"),
    ],
)
async def test_edits_that_are_not_sent(
    alice: PhabricatorProvider, phorge: ConduitServer, edit: ChangeEdit, kind: type[ToolFailure], words: str
) -> None:
    """Each is refused before anything is written."""
    with pytest.raises(kind, match=words):
        await alice.edit_change(edit)

    assert phorge.sent(EDIT) == phorge.sent("differential.createrawdiff") == []


async def test_quirk_15_binary_deltas_are_refused_before(alice: PhabricatorProvider, phorge: ConduitServer) -> None:
    """The server refuses git's delta form with an error of its parser; the words here say what to do."""
    recorded = transcript("differential.createrawdiff.error-binary-delta")

    assert recorded.answer["error_code"] == "ERR-CONDUIT-CORE"
    with pytest.raises(InvalidInput, match="leave binary files out"):
        await alice.edit_change(ChangeEdit("D7", source=str(recorded.params["diff"])))
    assert phorge.sent("differential.createrawdiff") == []


async def test_the_server_wants_a_test_plan(alice: PhabricatorProvider) -> None:
    """What the server says about it reaches the caller."""
    with pytest.raises(InvalidInput, match="You must provide a test plan"):
        await alice.edit_change(ChangeEdit(repo="widgets", source=PATCH, title="x"))


async def test_another_ones_revision(provider: PhabricatorProvider) -> None:
    """Only the author abandons."""
    with pytest.raises(NotPermitted, match="not the author"):
        await provider.edit_change(ChangeEdit("D1", state="abandoned"))

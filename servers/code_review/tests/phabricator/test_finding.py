"""Finding revisions."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from opsroom_code_review.providers import ChangeQuery, Page
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import InvalidInput, NotPermitted

from .conduit_server import ConduitServer
from .conftest import Connect
from .transcripts import as_map, transcript
from .world import ALICE, BACKEND, BOB, BOT, CAROL, World

if TYPE_CHECKING:
    from pydantic import JsonValue

SEARCH = "differential.revision.search"


async def _refs(provider: PhabricatorProvider, query: ChangeQuery, limit: int = 100) -> list[str]:
    return [change.ref for change in (await provider.find_changes(query, Page(limit))).items]


async def test_open_ones_newest_update_first(provider: PhabricatorProvider) -> None:
    """Open revisions in the order of their updates, with names, repository and version."""
    found = await provider.find_changes(ChangeQuery(), Page(3))

    assert [change.ref for change in found.items] == ["D25", "D10", "D1"]
    first = found.items[2]
    assert first.author is not None
    assert first.author.name == "alice"
    assert (first.repo, first.version, first.state, first.native_state) == ("widgets", "25", "open", "needs-review")
    assert first.updated_at == datetime(2026, 11, 22, 8, 29, 47, tzinfo=UTC)
    assert first.url is not None
    assert first.url.endswith("/D1")


async def test_round_trips_of_a_listing(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """One search, then three lookups side by side; the next listing of known names is one request."""
    await provider.find_changes(ChangeQuery(), Page(5))
    first = phorge.methods
    phorge.requests.clear()
    await provider.find_changes(ChangeQuery(), Page(5))

    assert first[0] == SEARCH
    assert sorted(first[1:]) == ["differential.diff.search", "phid.query", "user.search"]
    assert phorge.methods == [SEARCH]


async def test_quirk_5_pages_to_the_end(provider: PhabricatorProvider) -> None:
    """The positions lead through all revisions without a gap or a repetition, and end."""
    seen: list[str] = []
    position: JsonValue = None
    for _ in range(20):
        found = await provider.find_changes(ChangeQuery(state="all"), Page(7, position))
        seen += [change.ref for change in found.items]
        position = found.position
        if position is None:
            break

    assert position is None
    assert sorted(seen, key=lambda ref: int(ref[1:])) == [f"D{number}" for number in range(1, 26)]


@pytest.mark.parametrize("query", [ChangeQuery(), ChangeQuery(role="todo")])
async def test_quirk_5_a_foreign_position_is_refused(
    provider: PhabricatorProvider, phorge: ConduitServer, query: ChangeQuery
) -> None:
    """A cursor of another listing reaches no search."""
    with pytest.raises(InvalidInput, match="cursor"):
        await provider.find_changes(query, Page(5, {"page": 2}))

    assert not any("after" in params for params in phorge.sent(SEARCH))


@pytest.mark.parametrize(
    ("query", "refs"),
    [
        (ChangeQuery(state="closed"), ["D3", "D4"]),
        (ChangeQuery(repo="widgets", path="widgets/store.py"), ["D11", "D2"]),
        (ChangeQuery(text="backoff"), ["D1"]),
        (ChangeQuery(author="alice", updated_since=datetime(2026, 11, 22, 8, 45, tzinfo=UTC)), ["D25"]),
        (ChangeQuery(role="reviewer", text="store"), ["D11", "D2"]),
        (ChangeQuery(role="author", state="all"), [f"D{number}" for number in range(24, 12, -1)] + ["D9"]),
        (ChangeQuery(role="author", author="alice"), []),
    ],
)
async def test_filters(provider: PhabricatorProvider, query: ChangeQuery, refs: list[str]) -> None:
    """Each filter finds what the recorded world has; as a reviewer, projects count that the account belongs to."""
    assert await _refs(provider, query) == refs


async def test_quirk_9_words_are_whole(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Full text is given to the server as it is, which finds whole words only."""
    assert await _refs(provider, ChangeQuery(text="  back ")) == []
    assert as_map(phorge.sent(SEARCH)[0]["constraints"])["query"] == "back"


@pytest.mark.parametrize("name", ["widgets", "WID", "rWID", "R1", "r1", "wid"])
async def test_names_of_a_repository(provider: PhabricatorProvider, phorge: ConduitServer, name: str) -> None:
    """Short name, callsign and number mean the same repository."""
    found = await provider.find_changes(ChangeQuery(repo=name), Page(1))

    assert found.items[0].repo == "widgets"
    assert as_map(phorge.sent(SEARCH)[0]["constraints"])["repositoryPHIDs"] == ["PHID-REPO-bkz26xvuzhr2va3iimzu"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (ChangeQuery(author="alicia"), r"no user 'alicia'\. There are: alice"),
        (ChangeQuery(author="nobody-here"), "There are: reviewbot, carol, bob, alice, admin"),
        (ChangeQuery(repo="wodgets"), r"no repository 'wodgets'\. There are: gadgets, widgets"),
        (ChangeQuery(author="  "), "between 1 and 250"),
        (ChangeQuery(repo="x" * 300), "between 1 and 250"),
    ],
)
async def test_quirk_7_unknown_names_are_refused(
    provider: PhabricatorProvider, phorge: ConduitServer, query: ChangeQuery, words: str
) -> None:
    """The server would find nothing and say nothing; so names are looked up, and who there is is listed."""
    with pytest.raises(InvalidInput, match=words):
        await provider.find_changes(query, Page())

    assert transcript(f"{SEARCH}.author-unknown-username").data == []
    assert phorge.sent(SEARCH) == []


async def test_todo_is_what_waits_for_a_reviewer(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Bob has not judged D1 and D6; D11 waits for his project; D12 and D5 show who else and what else does not count."""
    refs = await _refs(provider, ChangeQuery(role="todo"))

    assert refs == ["D1", "D11", "D6", "D12"]
    asked = [as_map(params["constraints"]).get("reviewerPHIDs") for params in phorge.sent(SEARCH)]
    assert sorted([BACKEND, BOB, "PHID-PROJ-5jtld26btqkxbqf55mmc"]) in asked


async def test_round_trips_of_todo(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Who this is and what it belongs to is asked once; then both kinds of waiting side by side."""
    await _refs(provider, ChangeQuery(role="todo"))
    cold = phorge.methods
    phorge.requests.clear()
    await _refs(provider, ChangeQuery(role="todo"))

    assert cold[:4] == ["user.whoami", "project.search", SEARCH, SEARCH]
    assert len(cold) == 7
    assert phorge.methods == [SEARCH, SEARCH]


async def test_todo_has_no_standing_verdicts(provider: PhabricatorProvider, world: World) -> None:
    """Who accepted, rejected or resigned waits for nothing; what they said of an older diff does not stand."""
    world.reset(1, "needs-review", {BOB: "accepted", CAROL: "blocking"})
    world.reset(6, "needs-review", {BOB: "rejected-older"})
    world.reset(11, "needs-review", {BOB: "resigned", BACKEND: "added"})
    world.reset(12, "needs-review", {BACKEND: "accepted"})

    assert await _refs(provider, ChangeQuery(role="todo")) == ["D6"]


async def test_todo_has_the_own_ones_that_are_on(connect: Connect, world: World) -> None:
    """Of alice's own: D2 needs changes, D10 and D25 are accepted and wait for landing; of others' those she reviews."""
    world.account = ALICE

    refs = await _refs(connect(), ChangeQuery(role="todo"))

    assert refs[:3] == ["D25", "D10", "D2"]
    assert refs[3:] == [f"D{number}" for number in range(24, 12, -1)]


async def test_todo_goes_on_by_position(connect: Connect, world: World) -> None:
    """The merged listing has pages, too."""
    world.account = ALICE
    provider = connect()
    whole = await _refs(provider, ChangeQuery(role="todo"))

    parts: list[str] = []
    position: JsonValue = None
    for _ in range(10):
        found = await provider.find_changes(ChangeQuery(role="todo"), Page(4, position))
        parts += [change.ref for change in found.items]
        position = found.position
        if position is None:
            break

    assert parts == whole


async def test_a_bot_in_no_project_has_nothing_to_do(connect: Connect, world: World) -> None:
    """Nothing waits for an account that reviews nothing."""
    world.account = BOT

    assert await _refs(connect(), ChangeQuery(role="todo")) == []
    assert await _refs(connect(), ChangeQuery(role="todo", state="closed")) == []


async def test_quirk_11_what_is_hidden_is_absent(connect: Connect, world: World) -> None:
    """D9 is bob's alone."""
    world.account = CAROL

    refs = await _refs(connect(), ChangeQuery(state="all"))

    assert "D9" not in refs
    assert "D8" in refs


@pytest.mark.parametrize(
    ("number", "status", "state"),
    [
        (1, "needs-review", "open"),
        (1, "needs-revision", "needs_changes"),
        (1, "changes-planned", "needs_changes"),
        (1, "accepted", "accepted"),
        (1, "draft", "draft"),
        (1, "published", "closed"),
        (1, "abandoned", "abandoned"),
        (1, "a-word-of-a-fork", "open"),
    ],
)
async def test_quirk_13_states(provider: PhabricatorProvider, world: World, number: int, status: str, state: str) -> None:
    """Every status has a state, and the server's own word stays beside it."""
    world.reset(number, status, {})

    found = await provider.find_changes(ChangeQuery(state="all", author="alice", text="backoff"), Page())

    assert [(change.state, change.native_state) for change in found.items] == [(state, status)]


async def test_quirk_13_a_former_draft_is_no_draft(provider: PhabricatorProvider) -> None:
    """D6 was a draft, and keeps holdAsDraft; what counts is isDraft."""
    found = await provider.find_changes(ChangeQuery(text="WIP"), Page())

    assert as_map(transcript(f"{SEARCH}.draft").data[0]["fields"])["holdAsDraft"] is True
    assert [change.state for change in found.items] == ["open"]


async def test_ready(provider: PhabricatorProvider, connect: Connect, world: World) -> None:
    """A server that answers is ready; otherwise the words say why not, and nothing is raised."""
    assert await provider.ready() is None
    world.refuses = ("user.whoami", "error.expired-token")
    expired = await provider.ready()
    assert expired is not None
    assert "has expired" in expired
    gone = await connect(url="http://127.0.0.1:1").ready()
    assert gone is not None
    assert "cannot be reached" in gone
    no_token = await connect(token=None).ready()
    assert no_token is not None
    assert "has no API token" in no_token
    with pytest.raises(NotPermitted):
        await connect(token=None).find_changes(ChangeQuery(), Page())

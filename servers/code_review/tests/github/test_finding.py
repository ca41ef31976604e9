"""Pull requests found by a search."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

import pytest
from opsroom_code_review.models import Change
from opsroom_code_review.providers import ChangeQuery, Found, Page, Role
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import InvalidInput, NotFound

from .conftest import Connect
from .forge import Forge
from .world import actor, at, by_id, file, nodes, pull, repository, searching, user

Finder = Callable[[str], Sequence[Mapping[str, object]]]


def scripted(forge: Forge, found: Finder) -> list[str]:
    """The forge with a search; the queries that it got stand in the list afterwards."""
    queries: list[str] = []

    def noted(query: str) -> Sequence[Mapping[str, object]]:
        queries.append(query)
        return found(query)

    forge.root = {"search": searching(noted), "repository": repository(), "user": user}
    return queries


def refs(found: Found[Change]) -> list[str]:
    return [change.ref for change in found.items]


async def test_a_search_takes_one_request(forge: Forge, hub: GitHubProvider) -> None:
    """A listing with states, versions and authors is one round trip, and names are checked in it."""
    queries = scripted(forge, lambda _: [pull(), pull(id="PR_2", number=13, author=actor("dependabot", "Bot"), isDraft=True)])

    found = await hub.find_changes(
        ChangeQuery(repo="acme/shop", author="alice", updated_since=datetime(2026, 11, 1, tzinfo=UTC)), Page()
    )

    assert len(forge.requests) == 1
    assert queries == ["is:pr sort:updated-desc is:open author:alice updated:>=2026-11-01T00:00:00Z repo:acme/shop"]
    first, second = found.items
    assert (first.ref, first.state, first.version, first.updated_at) == (
        "acme/shop#12",
        "open",
        "a" * 40,
        datetime(2026, 11, 20, 10, tzinfo=UTC),
    )
    assert second.state == "draft"
    assert second.author is not None
    assert (second.author.name, second.author.bot) == ("dependabot[bot]", True)
    assert found.position is None


@pytest.mark.parametrize(
    ("role", "parts"),
    [
        ("todo", ["review-requested:@me", "author:@me review:changes_requested"]),
        ("reviewer", ["review-requested:@me", "reviewed-by:@me"]),
        ("author", ["author:@me"]),
    ],
)
async def test_roles(forge: Forge, hub: GitHubProvider, role: Role, parts: list[str]) -> None:
    """A role is one search or two of one request, and what both find is shown once."""
    queries = scripted(forge, lambda _: [pull()])

    found = await hub.find_changes(ChangeQuery(role=role), Page())

    assert len(forge.requests) == 1
    assert queries == [f"is:pr sort:updated-desc is:open {part}" for part in parts]
    assert refs(found) == ["acme/shop#12"]


async def test_pages_of_two_searches(forge: Forge, hub: GitHubProvider) -> None:
    """Two searches are merged newest first over all pages; nothing is lost between them, and nothing comes twice."""
    asked = [pull(id=f"A{day}", number=day, updatedAt=at(day)) for day in (20, 18, 16, 14, 12)]
    own = [pull(id=f"A{day}", number=day, updatedAt=at(day)) for day in (19, 18, 11)]
    scripted(forge, lambda query: asked if "review-requested" in query else own)
    seen: list[str] = []
    page = Page(limit=3)

    for _ in range(3):
        found = await hub.find_changes(ChangeQuery(role="todo"), page)
        seen += refs(found)
        page = Page(limit=3, position=found.position)

    assert seen == [f"acme/shop#{day}" for day in (20, 19, 18, 16, 14, 12, 11)]
    assert page.position is None


@pytest.mark.parametrize("position", ["x", {"s9": None}, {"s0": 3}, {}, [1]])
async def test_a_cursor_of_something_else(hub: GitHubProvider, position: object) -> None:
    """A position that no earlier page gave is refused before anything is asked."""
    with pytest.raises(InvalidInput, match="cursor"):
        await hub.find_changes(ChangeQuery(role="author"), Page(position=cast("str", position)))


async def test_words_cannot_become_qualifiers(forge: Forge, hub: GitHubProvider) -> None:
    """What a caller looks for cannot reach another repository: every word is quoted."""
    queries = scripted(forge, lambda _: [])

    await hub.find_changes(ChangeQuery(repo="acme/shop", text='retry repo:acme/secret OR "is:closed'), Page())

    assert queries == ['is:pr sort:updated-desc is:open "retry" "repo:acme/secret" "OR" "is:closed" in:title,body repo:acme/shop']


async def test_searching_the_whole_of_github(hub: GitHubProvider) -> None:
    """Without a repository, a role or an author the search would be over all that is public; it is refused with what to say."""
    with pytest.raises(InvalidInput, match="everything that is public"):
        await hub.find_changes(ChangeQuery(text="retry"), Page())


async def test_the_repositories_of_the_settings(forge: Forge, connect: Connect) -> None:
    """Where the settings name repositories, they are what is searched."""
    queries = scripted(forge, lambda _: [])
    provider = connect(repositories=("acme/shop", "acme/till", "tools/*"))

    await provider.find_changes(ChangeQuery(state="closed"), Page())

    assert len(forge.requests) == 1
    assert [query.rpartition(" ")[2] for query in queries] == ["repo:acme/shop", "repo:acme/till", "user:tools"]


async def test_names_that_do_not_exist(forge: Forge, hub: GitHubProvider) -> None:
    """GitHub finds nothing for a name that it does not know; here that is an error."""
    scripted(forge, lambda _: [])
    forge.errors = [{"type": "NOT_FOUND", "path": ["author"], "message": "Could not resolve to a User"}]

    with pytest.raises(NotFound, match="no user 'mallory'"):
        await hub.find_changes(ChangeQuery(author="mallory"), Page())
    with pytest.raises(NotFound, match="no repository 'acme/none'"):
        await hub.find_changes(ChangeQuery(repo="acme/none"), Page())


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("docs", [13]), ("docs/guide.md", [13]), ("**/*.md", [13, 14]), ("deep/last.py", [14]), ("nothing", [])],
)
async def test_a_path(forge: Forge, hub: GitHubProvider, wanted: str, expected: list[int]) -> None:
    """GitHub cannot search by path, so the files of what is found are looked at, all pages of them."""
    large = pull(id="PR_14", number=14, updatedAt=at(10))

    def files(_: object, first: int, after: str | None = None) -> object:
        assert first == 100
        return nodes(file("deep/last.py")) if after == "next" else nodes(file("b.md"), after="next")

    large["files"] = files
    found_pulls = [pull(), pull(id="PR_13", number=13, files=nodes(file("docs/guide.md"))), large]
    scripted(forge, lambda _: found_pulls)
    forge.root["node"] = by_id(large)

    found = await hub.find_changes(ChangeQuery(repo="acme/shop", path=wanted), Page())

    assert [int(ref.rpartition("#")[2]) for ref in refs(found)] == expected


@pytest.mark.parametrize(
    ("decision", "opinions", "changed", "state"),
    [
        (None, [], {}, "open"),
        ("REVIEW_REQUIRED", ["CHANGES_REQUESTED"], {}, "open"),
        (None, ["APPROVED", "CHANGES_REQUESTED"], {}, "needs_changes"),
        (None, ["APPROVED"], {}, "accepted"),
        ("APPROVED", [], {}, "accepted"),
        ("CHANGES_REQUESTED", [], {"isDraft": True}, "draft"),
        ("APPROVED", [], {"state": "MERGED"}, "closed"),
        ("APPROVED", [], {"state": "CLOSED", "isDraft": True}, "abandoned"),
    ],
)
async def test_states(
    forge: Forge, hub: GitHubProvider, decision: str | None, opinions: list[str], changed: dict[str, object], state: str
) -> None:
    """The state follows GitHub's decision, and the reviews where no rule demands a decision."""
    opinion_nodes = nodes(*({"state": word} for word in opinions))
    scripted(forge, lambda _: [pull(reviewDecision=decision, latestOpinionatedReviews=opinion_nodes, **changed)])

    found = await hub.find_changes(ChangeQuery(role="author", state="all"), Page())

    assert [change.state for change in found.items] == [state]

"""One pull request with all that there is to it."""

import pytest
from opsroom_code_review.models import Can
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import NotFound

from .conftest import Connect
from .contract import Contract
from .forge import Answer, Forge
from .world import HEAD, OLD, Node, actor, at, file, issue, nodes, pull, repository


def review(who: str | None, state: str, commit: str = HEAD) -> Node:
    return {"author": actor(who), "state": state, "commit": {"oid": commit}}


def request(kind: str, name: str, *, owner: bool = False) -> Node:
    key = "combinedSlug" if kind == "Team" else "login"
    return {"asCodeOwner": owner, "requestedReviewer": {"__typename": kind, key: name}}


async def test_one_round_trip(forge: Forge, hub: GitHubProvider) -> None:
    """Everything about a pull request of ordinary size comes with one request."""
    rollup = {
        "state": "FAILURE",
        "contexts": {
            "checkRunCountsByState": [{"state": "FAILURE", "count": 2}, {"state": "SUCCESS", "count": 5}],
            "statusContextCountsByState": [{"state": "ERROR", "count": 1}],
        },
    }
    forge.root["repository"] = repository(
        pull(
            body="Tries again.\n\nRefs #7, acme/till#4",
            files=nodes(file("charge.py", added=3), file("old.py", "DELETED", 0, 9), file("new.py", "RENAMED")),
            changedFiles=3,
            reviewThreads=nodes({"isResolved": False}, {"isResolved": True}, None),
            closingIssuesReferences=nodes({"number": 9, "repository": {"nameWithOwner": "acme/shop"}}),
            baseRef={"associatedPullRequests": nodes({"number": 11, "repository": {"nameWithOwner": "acme/shop"}})},
            commits=nodes({"commit": {"oid": HEAD, "committedDate": at(19), "statusCheckRollup": rollup}}),
        )
    )

    details = await hub.change("acme/shop#12")

    assert len(forge.requests) == 1
    assert [(one.path, one.kind, one.added, one.removed) for one in details.files] == [
        ("charge.py", "modified", 3, 1),
        ("old.py", "deleted", 0, 9),
        ("new.py", "renamed", 1, 1),
    ]
    assert details.files_total is None
    assert details.tasks == ["acme/shop#9", "acme/shop#7", "acme/till#4"]
    assert details.parents == ["acme/shop#11"]
    assert details.checks is not None
    assert (details.checks.state, details.checks.failed) == ("failed", 3)
    assert details.open_threads == 1
    assert (details.base, details.head, details.change.version) == ("main", "retry", HEAD)
    assert details.can == Can(comment=True, accept=True, publish_inline=True, reply=True, resolve=True)


async def test_reviewers(forge: Forge, hub: GitHubProvider) -> None:
    """A later comment does not take back an opinion, one about an older commit is stale, and teams are asked by their slug."""
    forge.root["repository"] = repository(
        pull(
            latestReviews=nodes(review("bob", "COMMENTED"), review("dave", "COMMENTED", OLD), review(None, "APPROVED")),
            latestOpinionatedReviews=nodes(review("bob", "APPROVED", OLD), review("erin", "DISMISSED")),
            reviewRequests=nodes(
                request("Team", "acme/payments", owner=True),
                request("User", "bob"),
                request("Bot", "copilot"),
                {"asCodeOwner": False, "requestedReviewer": None},
            ),
        )
    )

    details = await hub.change("acme/shop#12")

    assert [(one.who.name, one.verdict, one.stale, one.blocking) for one in details.reviewers] == [
        ("bob", "accepted", True, False),
        ("dave", "commented", True, False),
        ("erin", "none", False, False),
        ("acme/payments", "none", False, True),
        ("copilot[bot]", "none", False, False),
    ]


async def test_versions(forge: Forge, hub: GitHubProvider) -> None:
    """Commits that may have been read before are versions: what was forced away, what was reviewed, what was pushed."""
    forced, pushed, reviewed = "d" * 40, "e" * 40, "f" * 40
    event = {
        "__typename": "HeadRefForcePushedEvent",
        "createdAt": at(17),
        "beforeCommit": {"oid": forced},
        "afterCommit": {"oid": pushed},
    }
    commits = [{"commit": {"oid": oid, "committedDate": at(day)}} for oid, day in ((pushed, 16), (HEAD, 19))]
    forge.root["repository"] = repository(
        pull(timelineItems=nodes(event), commits=nodes(*commits), latestReviews=nodes(review("bob", "COMMENTED", reviewed)))
    )

    details = await hub.change("acme/shop#12")

    assert [one.id for one in details.versions] == [forced, reviewed, pushed, HEAD]
    assert [one.created_at.day if one.created_at else None for one in details.versions] == [17, None, 16, 19]


async def test_more_pages(forge: Forge, hub: GitHubProvider) -> None:
    """Files and threads beyond the first hundred take one more request for both; beyond three hundred files the count is told."""

    def files(_: object, first: int, after: str | None = None) -> Node:
        start = int(after or 0)
        return nodes(*(file(f"{start + number}.py") for number in range(first)), after=str(start + first))

    def threads(_: object, first: int, after: str | None = None) -> Node:
        return nodes(*([{"isResolved": False}] * first), after="1") if after is None else nodes({"isResolved": False})

    forge.root["repository"] = repository(pull(files=files, changedFiles=1_234, reviewThreads=threads))

    details = await hub.change("acme/shop#12")

    assert len(forge.requests) == 3
    assert [one.path for one in details.files] == [f"{number}.py" for number in range(300)]
    assert details.files_total == 1_234
    assert details.open_threads == 101


@pytest.mark.parametrize(
    ("changed", "repo", "expected"),
    [
        (
            {"viewerDidAuthor": True},
            {"viewerPermission": "READ"},
            Can(comment=True, publish_inline=True, reply=True, resolve=True),
        ),
        ({}, {"viewerPermission": "READ"}, Can(comment=True, accept=True, publish_inline=True, reply=True)),
        ({"state": "MERGED"}, {}, Can(comment=True, publish_inline=True, reply=True, resolve=True)),
        ({"locked": True}, {"viewerPermission": "TRIAGE"}, Can()),
        ({}, {"isArchived": True}, Can()),
    ],
)
async def test_what_can_be_done(
    forge: Forge, hub: GitHubProvider, changed: dict[str, object], repo: dict[str, object], expected: Can
) -> None:
    """What is possible follows the account's permission, authorship, locks and the archive."""
    forge.root["repository"] = repository(pull(**changed), **repo)

    details = await hub.change("acme/shop#12")

    assert details.can == expected


@pytest.mark.parametrize(
    ("author", "association", "trusted"),
    [
        (actor("alice"), "COLLABORATOR", True),
        (actor("alice"), "CONTRIBUTOR", False),
        (actor("Zoe"), "NONE", True),
        (actor("tess"), "NONE", True),
        (actor("helper", "Bot"), "MEMBER", False),
        (actor("dependabot", "Bot"), "NONE", True),
        (actor("dependabot"), "NONE", False),
        (None, "OWNER", False),
    ],
)
async def test_trust(
    forge: Forge, connect: Connect, contract: Contract, author: Node | None, association: str, *, trusted: bool
) -> None:
    """Trusted are those who may push, those of the settings, and the members of its teams; a bot by its name alone."""
    forge.root["repository"] = repository(pull(author=author, authorAssociation=association))
    member = contract.example("GET /orgs/{org}/teams/{team_slug}/members")
    assert isinstance(member, list)
    assert isinstance(member[0], dict)
    forge.on("GET /orgs/acme/teams/payments/members", Answer(body=[{**member[0], "login": "Tess"}]))
    provider = connect(trusted=("zoe", "dependabot[bot]"), trusted_groups=("acme/payments",))

    details = await provider.change("acme/shop#12")
    await provider.change("acme/shop#12")

    assert details.trusted is trusted
    assert len(forge.asked("GET /orgs/acme/teams/payments/members")) == 1


async def test_a_team_that_cannot_be_read(forge: Forge, connect: Connect) -> None:
    """A team that the account may not read makes nobody trusted, and does not keep anybody from reading."""
    forge.root["repository"] = repository(pull(author=actor("tess"), authorAssociation="NONE"))
    forge.on("GET /orgs/acme/teams/payments/members", Answer(404, {"message": "Not Found"}))

    details = await connect(trusted_groups=("acme/payments", "nonsense")).change("acme/shop#12")

    assert not details.trusted


async def test_an_issue_is_no_change(forge: Forge, hub: GitHubProvider) -> None:
    """Who asks for the wrong kind is told which one it is."""
    forge.root["repository"] = repository(issue())

    with pytest.raises(NotFound, match="acme/shop#7 is an issue"):
        await hub.change("acme/shop#7")


@pytest.mark.parametrize("ref", ["acme/shop#99", "acme/other#1"])
async def test_what_is_not_there(forge: Forge, hub: GitHubProvider, ref: str) -> None:
    """What does not exist and what the account may not see read the same."""
    forge.root["repository"] = repository(pull())

    with pytest.raises(NotFound, match="may see"):
        await hub.change(ref)


async def test_parts_that_the_token_may_not_read(forge: Forge, hub: GitHubProvider) -> None:
    """A token without the right to checks still reads the rest; what is unknown is null."""
    forge.root["repository"] = repository(pull())
    forge.errors = [{"type": "FORBIDDEN", "path": ["repository", "item", "tip"], "message": "Resource not accessible"}]

    details = await hub.change("acme/shop#12")

    assert details.checks is None
    assert details.change.title == "Retry the charge"

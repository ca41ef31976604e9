"""The discussion of a pull request or an issue."""

import pytest
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import NotFound

from .forge import Forge
from .world import HEAD, OLD, Node, actor, by_id, comment, issue, nodes, pull, repository, thread


def remark(identity: str, body: str, *, state: str = "SUBMITTED", commit: str = HEAD, who: str = "alice", **more: object) -> Node:
    fields: Node = {"state": state, "originalCommit": {"oid": commit}, "pullRequestReview": None}
    return comment(identity, body, who) | fields | more


async def test_threads_reviews_and_comments(forge: Forge, hub: GitHubProvider) -> None:
    """All three kinds come in one request: lines with their place, reviews with their verdict, comments by themselves."""
    forge.root["repository"] = repository(
        pull(
            reviewThreads=nodes(
                thread("T1", remark("C1", "Why?"), remark("C2", "So.", who="mallory", authorAssociation="NONE"), isResolved=True),
                thread(
                    "T2",
                    remark("C3", "Old.", commit=OLD),
                    line=None,
                    originalLine=9,
                    originalStartLine=7,
                    isOutdated=True,
                    diffSide="LEFT",
                ),
            ),
            reviews=nodes(
                comment("R1", "", state="COMMENTED"),
                comment("R2", "Good.", state="APPROVED"),
                comment("R3", "", state="CHANGES_REQUESTED", author=actor("scanner", "Bot")),
            ),
            comments=nodes(comment("I1", "Ship it.", author=None)),
        )
    )

    first, second, *others = await hub.threads(change="acme/shop#12", task=None)

    assert len(forge.requests) == 1
    assert first.anchor is not None
    assert (first.anchor.path, first.anchor.line, first.anchor.end_line, first.anchor.side) == ("charge.py", 3, 3, "new")
    assert (first.resolved, [(one.text, one.trusted) for one in first.comments]) == (True, [("Why?", True), ("So.", False)])
    assert second.anchor is not None
    assert (second.anchor.line, second.anchor.end_line, second.anchor.side) == (7, 9, "old")
    assert (second.anchor.version, second.anchor.outdated) == (OLD, True)
    assert [(one.id, one.comments[0].verdict, one.resolved) for one in others] == [
        ("R2", "accepted", None),
        ("R3", "changes_requested", None),
        ("I1", None, None),
    ]
    bot = others[1].comments[0].author
    assert bot is not None
    assert (bot.name, bot.bot) == ("scanner[bot]", True)
    assert others[2].comments[0].author is None


async def test_a_draft_is_marked(forge: Forge, hub: GitHubProvider) -> None:
    """What only this account sees, because its review is not sent, is marked as a draft."""
    forge.root["repository"] = repository(pull(reviewThreads=nodes(thread("T1", remark("C1", "Hm.", state="PENDING")))))

    (only,) = await hub.threads(change="acme/shop#12", task=None)

    assert only.comments[0].verdict == "draft"


async def test_long_discussions(forge: Forge, hub: GitHubProvider) -> None:
    """All pages of threads and of comments within a thread are followed; nothing comes twice."""

    def threads(_: object, first: int, after: str | None = None) -> Node:
        start = int(after or 0)
        end = min(start + first, 120)
        return nodes(
            *(thread(f"T{number}", remark("C", "x")) for number in range(start, end)), after=str(end) if end < 120 else None
        )

    def remarks(_: object, first: int, after: str | None = None) -> Node:
        assert first in (50, 100)
        return nodes(remark("last", "y")) if after else nodes(remark("first", "x"), after="more")

    long = thread("T-long", comments=remarks)
    forge.root |= {"node": by_id(long)}
    forge.root["repository"] = repository(pull(reviewThreads=threads, comments=nodes(comment("I1", "once"))))
    many = await hub.threads(change="acme/shop#12", task=None)
    forge.root["repository"] = repository(pull(reviewThreads=nodes(long)))

    (deep,) = await hub.threads(change="acme/shop#12", task=None)

    assert [one.id for one in many] == [*(f"T{number}" for number in range(120)), "I1"]
    assert [one.id for one in deep.comments] == ["first", "last"]


async def test_the_discussion_of_an_issue(forge: Forge, hub: GitHubProvider) -> None:
    """An issue has comments only, and each stands by itself."""
    forge.root["repository"] = repository(
        issue(comments=nodes(comment("I1", "Me too.", "carol", "NONE"), comment("I2", "Fixed.")))
    )

    threads = await hub.threads(change=None, task="acme/shop#7")

    assert [(one.id, one.comments[0].text, one.comments[0].trusted) for one in threads] == [
        ("I1", "Me too.", False),
        ("I2", "Fixed.", True),
    ]


async def test_the_wrong_kind(forge: Forge, hub: GitHubProvider) -> None:
    """A task that is a pull request, and a change that is an issue, are told apart."""
    forge.root["repository"] = repository(issue(), pull())

    with pytest.raises(NotFound, match="acme/shop#12 is a pull request"):
        await hub.threads(change=None, task="acme/shop#12")
    with pytest.raises(NotFound, match="acme/shop#7 is an issue"):
        await hub.threads(change="acme/shop#7", task=None)

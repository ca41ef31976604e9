"""Objects of GitHub in the form that GraphQL has them, with only what a test is about said at the test."""

from collections.abc import Callable, Mapping, Sequence

HEAD = "a" * 40
OLD = "b" * 40
BASE = "c" * 40

Node = dict[str, object]


def actor(login: str | None, kind: str = "User") -> Node | None:
    return {"__typename": kind, "login": login} if login else None


def nodes(*items: object, after: str | None = None) -> Node:
    """A connection; *after* is the cursor behind which there is more."""
    return {"nodes": list(items), "pageInfo": {"hasNextPage": after is not None, "endCursor": after}}


def at(day: int) -> str:
    return f"2026-11-{day:02}T10:00:00Z"


def home(name: str = "acme/shop") -> Node:
    return {"nameWithOwner": name}


def pull(**changed: object) -> Node:
    whole: Node = {
        "__typename": "PullRequest",
        "id": "PR_1",
        "number": 12,
        "title": "Retry the charge",
        "state": "OPEN",
        "isDraft": False,
        "reviewDecision": None,
        "url": "https://github.example/acme/shop/pull/12",
        "updatedAt": at(20),
        "headRefOid": HEAD,
        "author": actor("alice"),
        "repository": home(),
        "latestOpinionatedReviews": nodes(),
        "latestReviews": nodes(),
        "body": "Tries again.",
        "authorAssociation": "MEMBER",
        "viewerDidAuthor": False,
        "locked": False,
        "baseRefName": "main",
        "headRefName": "retry",
        "changedFiles": 1,
        "baseRef": {"associatedPullRequests": nodes()},
        "files": nodes(file("charge.py")),
        "reviewThreads": nodes(),
        "commits": nodes({"commit": {"oid": HEAD, "committedDate": at(19), "statusCheckRollup": None}}),
        "timelineItems": nodes(),
        "reviewRequests": nodes(),
        "closingIssuesReferences": nodes(),
        "reviews": nodes(),
        "comments": nodes(),
        "viewerLatestReview": None,
    }
    return whole | changed


def file(path: str, kind: str = "MODIFIED", added: int = 1, removed: int = 1) -> Node:
    return {"path": path, "changeType": kind, "additions": added, "deletions": removed}


def issue(**changed: object) -> Node:
    whole: Node = {
        "__typename": "Issue",
        "id": "I_7",
        "number": 7,
        "title": "Charges fail at night",
        "state": "OPEN",
        "stateReason": None,
        "url": "https://github.example/acme/shop/issues/7",
        "updatedAt": at(18),
        "body": "Since Monday.",
        "author": actor("carol"),
        "authorAssociation": "NONE",
        "repository": home(),
        "assignees": nodes(),
        "labels": nodes(),
        "milestone": None,
        "parent": None,
        "closedByPullRequestsReferences": nodes(),
        "comments": nodes(),
    }
    return whole | changed


def comment(identity: str, body: str, who: str = "alice", association: str = "MEMBER", **more: object) -> Node:
    whole: Node = {
        "__typename": "IssueComment",
        "id": identity,
        "body": body,
        "createdAt": at(19),
        "author": actor(who),
        "authorAssociation": association,
    }
    return whole | more


def thread(identity: str, *comments: Node, **more: object) -> Node:
    whole: Node = {
        "__typename": "PullRequestReviewThread",
        "id": identity,
        "isResolved": False,
        "isOutdated": False,
        "path": "charge.py",
        "line": 3,
        "startLine": None,
        "originalLine": 3,
        "originalStartLine": None,
        "diffSide": "RIGHT",
        "comments": nodes(*comments),
        "viewerCanReply": True,
        "viewerCanResolve": True,
        "viewerCanUnresolve": True,
    }
    return whole | more


def repository(*items: Mapping[str, object], **more: object) -> Callable[..., Node | None]:
    """The resolver of a repository acme/shop with these pull requests and issues, and no other repository."""

    def item(_: object, number: int) -> Mapping[str, object] | None:
        return next((one for one in items if one["number"] == number), None)

    def pull_request(_: object, number: int) -> Mapping[str, object] | None:
        return next((one for one in items if (one["number"], one["__typename"]) == (number, "PullRequest")), None)

    def label(_: object, name: str) -> Node | None:
        return {"name": name.lower()} if name.lower() in ("bug", "night") else None

    def find(_: object, owner: str, name: str, **_more: object) -> Node | None:
        if f"{owner}/{name}" != "acme/shop":
            return None
        whole: Node = {
            **home(),
            "viewerPermission": "WRITE",
            "isArchived": False,
            "issueOrPullRequest": item,
            "pullRequest": pull_request,
            "defaultBranchRef": {"name": "main"},
            "assignableUsers": nodes({"login": "alice"}, {"login": "bob"}),
            "labels": nodes({"name": "bug"}, {"name": "night"}),
            "label": label,
            "milestones": nodes({"title": "1.4", "number": 3}),
        }
        return whole | more

    return find


def searching(found: Callable[[str], Sequence[Mapping[str, object]]]) -> Callable[..., Node]:
    """The resolver of a search: *found* says what a query finds, and this gives it in pages."""

    def search(_: object, *, type: str, query: str, first: int, after: str | None = None) -> Node:  # noqa: A002 - GitHub's name
        assert type == "ISSUE"
        everything = list(found(query))
        start = int(after or 0)
        part = everything[start : start + first]
        edges = [{"cursor": str(start + index + 1), "node": one} for index, one in enumerate(part)]
        more = start + first < len(everything)
        return {"edges": edges, "pageInfo": {"hasNextPage": more, "endCursor": str(start + len(part))}}

    return search


def user(_: object, login: str) -> Node | None:
    return {"login": login} if login in ("alice", "bob", "carol") else None


def by_id(*items: Mapping[str, object]) -> Callable[..., Mapping[str, object] | None]:
    def node(_: object, id: str) -> Mapping[str, object] | None:  # noqa: A002 - GitHub's name
        return next((one for one in items if one["id"] == id), None)

    return node

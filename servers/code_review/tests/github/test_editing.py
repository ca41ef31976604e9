"""Pull requests made and changed."""

from collections.abc import Callable

import pytest
from opsroom_code_review.providers import ChangeEdit
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure

from .contract import Contract, Json
from .forge import Answer, Forge, Request
from .world import Node, issue, nodes, pull, repository, user

PULLS = "POST /repos/acme/shop/pulls"
PULL = "PATCH /repos/acme/shop/pulls/12"
ASK = "POST /repos/acme/shop/pulls/12/requested_reviewers"
UNASK = "DELETE /repos/acme/shop/pulls/12/requested_reviewers"
FIELDS = {"title": "title", "body": "body", "base": "baseRefName"}


class World:
    """acme/shop#12 on the forge, which changes as it is told."""

    def __init__(self, forge: Forge, contract: Contract, **changed: object) -> None:
        self.forge, self.contract, self.pull = forge, contract, pull(**changed)
        forge.root = {"user": user, "organization": self._organization, "repository": self._repository}
        forge.root |= {"convertPullRequestToDraft": self._draft(True), "markPullRequestReadyForReview": self._draft(False)}  # noqa: FBT003 - a factory
        forge.on(PULLS, self._made)
        forge.on(PULL, self._changed)
        forge.on(ASK, self._asked)
        forge.on(UNASK, self._unasked)

    def _repository(self, info: object, **place: str) -> Node | None:
        if place["name"] == "empty":
            return {"nameWithOwner": "acme/empty", "defaultBranchRef": None}
        return repository(self.pull, issue())(info, **place)

    def _organization(self, _: object, login: str) -> Node | None:
        return {"team": lambda _, slug: {"slug": slug} if slug == "payments" else None} if login == "acme" else None  # pyright: ignore[reportUnknownLambdaType] - a resolver

    def _draft(self, value: bool) -> Callable[..., Node]:  # noqa: FBT001 - a factory
        def change(_: object, input: Json) -> Node:  # noqa: A002 - GitHub's name
            assert input["pullRequestId"] == "PR_1"
            self.pull["isDraft"] = value
            return {"pullRequest": self.pull}

        return change

    def _answer(self, operation: str, status: int) -> Answer:
        example = self.contract.example(operation)
        assert isinstance(example, dict)
        return Answer(status, {**example, "number": 12})

    def _made(self, request: Request) -> Answer:
        self._changed(request)
        self.pull["isDraft"] = request.payload["draft"]
        return self._answer("POST /repos/{owner}/{repo}/pulls", 201)

    def _changed(self, request: Request) -> Answer:
        for name, value in request.payload.items():
            if name in FIELDS:
                self.pull[FIELDS[name]] = value
            if name == "state":
                self.pull["state"] = str(value).upper()
        return self._answer("PATCH /repos/{owner}/{repo}/pulls/{pull_number}", 200)

    def _asked(self, _: Request) -> Answer:
        return self._answer("POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers", 201)

    def _unasked(self, _: Request) -> Answer:
        return self._answer("DELETE /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers", 200)


MakeWorld = Callable[..., World]


@pytest.fixture
def world(forge: Forge, contract: Contract) -> MakeWorld:
    def made(**changed: object) -> World:
        return World(forge, contract, **changed)

    return made


def writes(forge: Forge) -> list[str]:
    return [f"{one.method} {one.path}" for one in forge.requests if one.path != "/graphql"]


async def test_a_new_pull_request(forge: Forge, hub: GitHubProvider, world: MakeWorld) -> None:
    """A pull request is opened against the default branch, with its reviewers asked and its tasks linked, not closed."""
    world()
    edit = ChangeEdit(
        repo="acme/shop",
        source="carol:retry",
        title="Retry",
        summary="Again.",
        add_reviewers=("alice", "acme/payments"),
        state="draft",
        link_tasks=("acme/shop#7",),
    )

    edited = await hub.edit_change(edit)

    assert forge.asked(PULLS)[0].payload == {
        "title": "Retry",
        "head": "carol:retry",
        "base": "main",
        "body": "Again.\n\nRefs #7",
        "draft": True,
    }
    assert forge.asked(ASK)[0].payload == {"reviewers": ["alice"], "team_reviewers": ["payments"]}
    assert (edited.change.ref, edited.change.state) == ("acme/shop#12", "draft")
    assert edited.changed == ["created", "title", "base", "summary", "tasks", "reviewers"]


async def test_reviewers_of_a_new_pull_request_fail(forge: Forge, hub: GitHubProvider, world: MakeWorld) -> None:
    """Where the pull request is open and its reviewers are refused, that is told as what is missing, not as a failure."""
    world()
    forge.on(ASK, Answer(422, {"message": "Reviews may only be requested from collaborators."}))

    edited = await hub.edit_change(ChangeEdit(repo="acme/shop", source="retry", title="Retry", add_reviewers=("bob",)))

    assert edited.changed == ["created", "title", "base"]
    assert edited.note is not None
    assert "Not done: reviewers" in edited.note
    assert "collaborators" in edited.note


@pytest.mark.parametrize(
    ("edit", "before", "sent", "changed"),
    [
        ({"title": "New"}, {}, [(PULL, {"title": "New"})], ["title"]),
        ({"summary": "New.", "base": "next"}, {}, [(PULL, {"body": "New.", "base": "next"})], ["summary", "base"]),
        ({"state": "abandoned"}, {}, [(PULL, {"state": "closed"})], ["state"]),
        ({"state": "reopened"}, {"state": "CLOSED"}, [(PULL, {"state": "open"})], ["state"]),
        ({"state": "draft"}, {}, [], ["state"]),
        ({"state": "ready"}, {"isDraft": True}, [], ["state"]),
        ({"link_tasks": ("acme/shop#7",)}, {}, [(PULL, {"body": "Tries again.\n\nRefs #7"})], ["tasks"]),
        ({"link_tasks": ("acme/shop#7",)}, {"body": "Refs #7"}, [], []),
        ({"title": "Retry the charge", "base": "main", "state": "ready"}, {}, [], []),
        ({"add_reviewers": ("@alice",)}, {}, [(ASK, {"reviewers": ["alice"], "team_reviewers": []})], ["reviewers"]),
        ({"remove_reviewers": ("mallory",)}, {}, [], []),
    ],
)
async def test_changes(
    forge: Forge,
    hub: GitHubProvider,
    world: MakeWorld,
    edit: dict[str, object],
    before: dict[str, object],
    sent: list[tuple[str, Json]],
    changed: list[str],
) -> None:
    """Only what differs is sent, and only what was sent is claimed."""
    world(**before)

    edited = await hub.edit_change(ChangeEdit(change="acme/shop#12", **edit))  # pyright: ignore[reportArgumentType] - fields of the dataclass

    assert [(f"{one.method} {one.path}", one.payload) for one in forge.requests if one.path != "/graphql"] == sent
    assert edited.changed == changed
    assert (edited.note is not None) == (not changed)


async def test_reviewers_who_are_asked_are_removed(forge: Forge, hub: GitHubProvider, world: MakeWorld) -> None:
    """Of the reviewers to remove, those who are asked are; a team is named by its slug."""
    team = {"asCodeOwner": False, "requestedReviewer": {"__typename": "Team", "combinedSlug": "acme/payments"}}
    person = {"asCodeOwner": False, "requestedReviewer": {"__typename": "User", "login": "Bob"}}
    world(reviewRequests=nodes(team, person))

    await hub.edit_change(ChangeEdit(change="acme/shop#12", remove_reviewers=("bob", "acme/payments", "zoe")))

    assert forge.asked(UNASK)[0].payload == {"reviewers": ["bob"], "team_reviewers": ["payments"]}


async def test_half_of_it(forge: Forge, hub: GitHubProvider, world: MakeWorld) -> None:
    """What was written before something failed is claimed, and what was not is named with the reason."""
    world()
    forge.on(ASK, Answer(403, {"message": "Must have write access"}))

    edited = await hub.edit_change(ChangeEdit(change="acme/shop#12", title="New", add_reviewers=("bob",)))

    assert edited.changed == ["title"]
    assert edited.change.title == "New"
    assert edited.note is not None
    assert "Not done: reviewers" in edited.note


@pytest.mark.parametrize(
    ("edit", "failure", "words"),
    [
        (ChangeEdit(change="acme/shop#12", add_reviewers=("mallory",)), NotFound, "no user mallory.*alice, bob"),
        (ChangeEdit(change="acme/shop#12", add_reviewers=("acme/nobody",)), NotFound, "no team acme/nobody"),
        (ChangeEdit(change="acme/shop#12", add_reviewers=("not a name",)), InvalidInput, "no user name"),
        (ChangeEdit(change="acme/shop#12", add_reviewers=("bob",) * 31), InvalidInput, "too many"),
        (ChangeEdit(change="acme/shop#12", link_tasks=("acme/shop#12",)), NotFound, "is a pull request"),
        (ChangeEdit(change="acme/shop#12", link_tasks=("acme/shop#99",)), NotFound, "no issue"),
        (ChangeEdit(change="acme/shop#12", link_tasks=("T3",)), InvalidInput, "no reference"),
        (ChangeEdit(change="acme/shop#7", title="x"), NotFound, "is an issue"),
        (ChangeEdit(change="acme/shop#99", title="x"), NotFound, "may see"),
        (ChangeEdit(change="acme/shop#12", source="other"), InvalidInput, "pushed with git"),
        (ChangeEdit(change="acme/shop#12", test_plan="x"), InvalidInput, "no test plan"),
        (ChangeEdit(change="acme/shop#12", state="changes_planned"), InvalidInput, "no planned changes"),
        (ChangeEdit(repo="acme/shop", title="x"), InvalidInput, "give repo, source"),
        (ChangeEdit(repo="acme/shop", source="--- a\n+++ b\n", title="x"), InvalidInput, "no patch"),
        (ChangeEdit(repo="acme/shop", source="x", title="x", state="abandoned"), InvalidInput, "not closed"),
        (ChangeEdit(repo="acme/none", source="x", title="x"), NotFound, "no repository"),
        (ChangeEdit(repo="acme/empty", source="x", title="x"), InvalidInput, "no default branch"),
    ],
)
async def test_what_is_refused(
    forge: Forge, hub: GitHubProvider, world: MakeWorld, edit: ChangeEdit, failure: type[ToolFailure], words: str
) -> None:
    """Unknown names, wrong kinds and what GitHub has not: nothing is written."""
    world()

    with pytest.raises(failure, match=words):
        await hub.edit_change(edit)
    assert writes(forge) == []


async def test_a_merged_pull_request_stays(forge: Forge, hub: GitHubProvider, world: MakeWorld) -> None:
    """What is merged is neither closed nor reopened."""
    world(state="MERGED")

    with pytest.raises(InvalidInput, match="is merged"):
        await hub.edit_change(ChangeEdit(change="acme/shop#12", state="reopened"))
    assert writes(forge) == []

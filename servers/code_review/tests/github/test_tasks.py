"""Issues: found, made and changed."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

import pytest
from opsroom_code_review.providers import Page, TaskEdit, TaskQuery
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure

from .conftest import Connect
from .contract import Contract, Json
from .forge import Answer, Forge, Request
from .world import Node, actor, issue, nodes, pull, repository, searching, user

ISSUES = "POST /repos/acme/shop/issues"
ISSUE = "PATCH /repos/acme/shop/issues/7"
LABELS = "POST /repos/acme/shop/issues/7/labels"
COMMENTS = "POST /repos/acme/shop/issues/7/comments"


def searched(forge: Forge, *found: Mapping[str, object]) -> list[str]:
    queries: list[str] = []

    def noted(query: str) -> Sequence[Mapping[str, object]]:
        queries.append(query)
        return found

    forge.root = {"search": searching(noted), "repository": repository(), "user": user}
    return queries


async def test_a_listing(forge: Forge, hub: GitHubProvider) -> None:
    """Issues of a repository come in one request, without bodies, with labels and milestone as projects."""
    queries = searched(
        forge,
        issue(
            labels=nodes({"name": "bug"}),
            milestone={"title": "1.4"},
            assignees=nodes({"login": "bob"}),
            parent={"number": 5, "repository": {"nameWithOwner": "acme/shop"}},
            closedByPullRequestsReferences=nodes({"number": 12, "repository": {"nameWithOwner": "acme/shop"}}),
        ),
        issue(id="I_8", number=8, state="CLOSED", stateReason="NOT_PLANNED", author=actor("alice"), authorAssociation="OWNER"),
    )

    found = await hub.find_tasks(
        TaskQuery(project="acme/shop", owner="bob", text="night", updated_since=datetime(2026, 11, 1, tzinfo=UTC)), Page()
    )

    assert len(forge.requests) == 1
    assert queries == [
        'is:issue sort:updated-desc is:open assignee:bob updated:>=2026-11-01T00:00:00Z "night" in:title,body repo:acme/shop'
    ]
    first, second = found.items
    assert (first.ref, first.status, first.open, first.body, first.trusted) == ("acme/shop#7", "open", True, None, False)
    assert (first.projects, first.parents, first.changes) == (["bug", "1.4"], ["acme/shop#5"], ["acme/shop#12"])
    assert first.owner is not None
    assert first.owner.name == "bob"
    assert (second.status, second.open, second.trusted) == ("not_planned", False, True)
    assert found.vocabulary.statuses == ["open", "completed", "not_planned", "duplicate"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (TaskQuery(owner="me"), ["is:open assignee:@me"]),
        (TaskQuery(owner="me", status="all"), ["assignee:@me"]),
        (TaskQuery(owner="me", status="not_planned"), ['is:closed reason:"not planned" assignee:@me']),
        (TaskQuery(owner="none", project="acme/shop", status="closed"), ["is:closed no:assignee repo:acme/shop"]),
        (TaskQuery(owner="me", project='b"ug'), ['is:open assignee:@me label:"bug"', 'is:open assignee:@me milestone:"bug"']),
    ],
)
async def test_words_of_a_search(forge: Forge, hub: GitHubProvider, query: TaskQuery, expected: list[str]) -> None:
    """What is asked for becomes qualifiers; a name that is a label or a milestone is two searches of one request."""
    queries = searched(forge)

    await hub.find_tasks(query, Page())

    assert queries == [f"is:issue sort:updated-desc {words}" for words in expected]
    assert len(forge.requests) == 1


async def test_issues_by_reference(forge: Forge, hub: GitHubProvider) -> None:
    """Named issues come in full, all in one request."""
    forge.root["repository"] = repository(issue(body="Since Monday.\nRefs #12"), issue(id="I_8", number=8))

    found = await hub.find_tasks(TaskQuery(refs=("acme/shop#8", "acme/shop#7")), Page())

    assert len(forge.requests) == 1
    assert [task.ref for task in found.items] == ["acme/shop#8", "acme/shop#7"]
    assert found.items[1].body == "Since Monday.\nRefs #12"
    assert found.items[1].changes == ["acme/shop#12"]


@pytest.mark.parametrize(
    ("query", "failure", "words"),
    [
        (TaskQuery(refs=("acme/shop#12",)), NotFound, "is a pull request"),
        (TaskQuery(refs=("acme/shop#99",)), NotFound, "no issue acme/shop#99"),
        (TaskQuery(refs=("acme/shop#7",) * 51), InvalidInput, "at most 50"),
        (TaskQuery(text="x"), InvalidInput, "everything that is public"),
        (TaskQuery(owner="mallory"), NotFound, "no user 'mallory'"),
        (TaskQuery(project="acme/none"), NotFound, "no repository acme/none"),
        (TaskQuery(owner="me", status="wontfix"), InvalidInput, "not_planned"),
        (TaskQuery(owner="me", priority="high"), InvalidInput, "no priority"),
        (TaskQuery(owner="me", column="Doing"), InvalidInput, "columns"),
    ],
)
async def test_what_cannot_be_found(
    forge: Forge, hub: GitHubProvider, query: TaskQuery, failure: type[ToolFailure], words: str
) -> None:
    """Words that GitHub has not are refused with those that it has, and unknown names are errors."""
    searched(forge)
    forge.root["repository"] = repository(issue(), pull())

    with pytest.raises(failure, match=words):
        await hub.find_tasks(query, Page())


async def test_the_repositories_of_the_settings(forge: Forge, connect: Connect) -> None:
    """Where the settings name repositories, their issues are what is searched."""
    queries = searched(forge)

    await connect(repositories=("acme/shop",)).find_tasks(TaskQuery(), Page())

    assert queries == ["is:issue sort:updated-desc is:open repo:acme/shop"]


@pytest.mark.parametrize("name", ["Bug", "1.4"])
async def test_labels_and_milestones(forge: Forge, connect: Connect, name: str) -> None:
    """A label or milestone is looked up in the repositories of the settings in the same request as the search."""
    queries = searched(forge)

    await connect(repositories=("acme/shop",)).find_tasks(TaskQuery(project=name), Page())

    assert queries == [f'is:issue sort:updated-desc is:open {kind}:"{name}" repo:acme/shop' for kind in ("label", "milestone")]
    assert len(forge.requests) == 1


async def test_a_label_that_nobody_has(forge: Forge, connect: Connect) -> None:
    """GitHub finds nothing for a label that does not exist; here that is refused with those that do."""
    searched(forge)

    with pytest.raises(InvalidInput, match=r"'urgent'\. Labels: bug, night"):
        await connect(repositories=("acme/shop",)).find_tasks(TaskQuery(project="urgent"), Page())


class World:
    """acme/shop#7 on the forge, which changes as it is told; labels, milestones and people only for who may write."""

    def __init__(self, forge: Forge, contract: Contract, *, writer: bool = True, **changed: object) -> None:
        self.forge, self.contract, self.writer, self.issue = forge, contract, writer, issue(**changed)
        self.labels: list[str] = [str(one["name"]) for one in cast("list[Node]", cast("Node", self.issue["labels"])["nodes"])]
        forge.root = {"repository": self._repository, "viewer": {"login": "bob"}, "addSubIssue": self._adopt}
        forge.on(ISSUES, self._made)
        forge.on(ISSUE, self._changed)
        forge.on(LABELS, self._labelled)
        forge.on("DELETE /repos/acme/shop/issues/7/labels/night shift", self._unlabelled)
        forge.on(COMMENTS, self._commented)

    def _repository(self, info: object, **place: str) -> Node | None:
        return repository(self.issue, issue(id="I_5", number=5), pull())(info, **place)

    def _adopt(self, _: object, input: Json) -> Node:  # noqa: A002 - GitHub's name
        assert (input["issueId"], input["subIssueId"]) == ("I_5", "I_7")
        self.issue["parent"] = {"number": 5, "repository": {"nameWithOwner": "acme/shop"}}
        return {"subIssue": self.issue}

    def _made(self, request: Request) -> Answer:
        self._take(request.payload)
        return self._answer("POST /repos/{owner}/{repo}/issues", 201)

    def _changed(self, request: Request) -> Answer:
        self._take(request.payload)
        return self._answer("PATCH /repos/{owner}/{repo}/issues/{issue_number}", 200)

    def _labelled(self, request: Request) -> Answer:
        self._take(request.payload)
        return Answer(body=self.contract.example("POST /repos/{owner}/{repo}/issues/{issue_number}/labels"))

    def _unlabelled(self, _: Request) -> Answer:
        self.labels.remove("night shift")
        self.issue["labels"] = nodes(*({"name": name} for name in self.labels))
        return Answer(body=self.contract.example("DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}"))

    def _commented(self, _: Request) -> Answer:
        return Answer(201, self.contract.example("POST /repos/{owner}/{repo}/issues/{issue_number}/comments"))

    def _take(self, sent: Json) -> None:
        self.issue |= {name: sent[name] for name in ("title", "body") if name in sent}
        if "state" in sent:
            self.issue["state"] = {"open": "OPEN", "closed": "CLOSED"}[str(sent["state"])]
            self.issue["stateReason"] = str(sent.get("state_reason", "reopened")).upper()
        if not self.writer:
            return
        self.labels += cast("list[str]", sent.get("labels", []))
        self.issue["labels"] = nodes(*({"name": name} for name in self.labels))
        if "milestone" in sent:
            self.issue["milestone"] = {"title": "1.4"} if sent["milestone"] == 3 else None
        if "assignees" in sent:
            self.issue["assignees"] = nodes(*({"login": name} for name in cast("list[str]", sent["assignees"])))

    def _answer(self, operation: str, status: int) -> Answer:
        example = self.contract.example(operation)
        assert isinstance(example, dict)
        return Answer(status, {**example, "number": 7, "node_id": "I_7"})


MakeWorld = Callable[..., World]


@pytest.fixture
def world(forge: Forge, contract: Contract) -> MakeWorld:
    def made(**changed: object) -> World:
        return World(forge, contract, **changed)  # pyright: ignore[reportArgumentType] - writer is a bool where it is given

    return made


def sent(forge: Forge) -> list[tuple[str, object]]:
    return [(f"{one.method} {one.path}", one.body) for one in forge.requests if one.path != "/graphql"]


async def test_a_new_issue(forge: Forge, hub: GitHubProvider, world: MakeWorld) -> None:
    """An issue is opened with all that it has, and read back."""
    world()
    edit = TaskEdit(
        project="acme/shop",
        title="New",
        body="Words.",
        owner="me",
        add_projects=("Bug", "1.4"),
        parent="acme/shop#5",
        comment="Look.",
        link_changes=("acme/shop#12",),
    )

    saved = await hub.save_task(edit)

    assert sent(forge) == [
        (
            ISSUES,
            {"title": "New", "body": "Words.\n\nRefs #12", "labels": ["bug"], "milestone": 3, "assignees": ["bob"]},
        ),
        (COMMENTS, {"body": "Look."}),
    ]
    assert (saved.task.ref, saved.task.title, saved.task.projects) == ("acme/shop#7", "New", ["bug", "1.4"])
    assert (saved.task.parents, saved.task.changes) == (["acme/shop#5"], ["acme/shop#12"])
    assert saved.changed == ["created", "comment", "parent"]
    assert saved.note is None


@pytest.mark.parametrize(
    ("edit", "before", "expected", "changed"),
    [
        ({"title": "New"}, {}, [(ISSUE, {"title": "New"})], ["title"]),
        ({"status": "closed"}, {}, [(ISSUE, {"state": "closed", "state_reason": "completed"})], ["status"]),
        ({"status": "not_planned"}, {}, [(ISSUE, {"state": "closed", "state_reason": "not_planned"})], ["status"]),
        ({"status": "open"}, {"state": "CLOSED", "stateReason": "COMPLETED"}, [(ISSUE, {"state": "open"})], ["status"]),
        ({"status": "closed"}, {"state": "CLOSED", "stateReason": "COMPLETED"}, [], []),
        ({"owner": "alice"}, {}, [(ISSUE, {"assignees": ["alice"]})], ["owner"]),
        ({"owner": "none"}, {"assignees": nodes({"login": "bob"})}, [(ISSUE, {"assignees": list[str]()})], ["owner"]),
        ({"owner": "none"}, {}, [], []),
        ({"add_projects": ("night",)}, {}, [(LABELS, {"labels": ["night"]})], ["projects"]),
        (
            {"remove_projects": ("Night Shift", "1.4", "other")},
            {"labels": nodes({"name": "night shift"}), "milestone": {"title": "1.4"}},
            [(ISSUE, {"milestone": None}), ("DELETE /repos/acme/shop/issues/7/labels/night%20shift", None)],
            ["milestone", "projects"],
        ),
        ({"body": "Since Monday."}, {}, [], []),
    ],
)
async def test_changes(
    forge: Forge,
    hub: GitHubProvider,
    world: MakeWorld,
    edit: dict[str, object],
    before: dict[str, object],
    expected: list[tuple[str, object]],
    changed: list[str],
) -> None:
    """Only what differs is sent, and only what was sent is claimed."""
    world(**before)

    saved = await hub.save_task(TaskEdit(task="acme/shop#7", **edit))  # pyright: ignore[reportArgumentType] - fields of the dataclass

    assert sent(forge) == expected
    assert saved.changed == changed
    assert (saved.note is not None) == (not changed)


async def test_what_github_drops_in_silence(hub: GitHubProvider, world: MakeWorld) -> None:
    """Without the right to write, labels, milestone and owner are dropped without an error; they are not claimed."""
    world(writer=False)

    saved = await hub.save_task(TaskEdit(task="acme/shop#7", title="New", owner="alice", add_projects=("bug", "1.4")))

    assert saved.changed == ["title"]
    assert saved.note is not None
    assert "projects, milestone, owner" in saved.note


@pytest.mark.parametrize(
    ("edit", "failure", "words"),
    [
        (TaskEdit(task="acme/shop#7", add_projects=("urgent",)), InvalidInput, "Labels: bug, night. Milestones: 1.4"),
        (TaskEdit(task="acme/shop#7", owner="mallory"), InvalidInput, "Nobody called 'mallory'.*alice, bob"),
        (TaskEdit(task="acme/shop#7", owner="not a name"), InvalidInput, "no user name"),
        (TaskEdit(task="acme/shop#7", status="wontfix"), InvalidInput, "open, completed, not_planned"),
        (TaskEdit(task="acme/shop#7", priority="high"), InvalidInput, "no priority"),
        (TaskEdit(task="acme/shop#7", column="Doing"), InvalidInput, "columns"),
        (TaskEdit(task="acme/shop#7", project="acme/till"), InvalidInput, "stays in its repository"),
        (TaskEdit(task="acme/shop#12", title="x"), NotFound, "is a pull request"),
        (TaskEdit(task="acme/shop#99", title="x"), NotFound, "no issue"),
        (TaskEdit(task="acme/shop#7", parent="acme/shop#99"), NotFound, "no issue acme/shop#99"),
        (TaskEdit(task="acme/shop#7", parent="acme/shop#12"), NotFound, "is a pull request"),
        (TaskEdit(task="T7", title="x"), InvalidInput, "no reference"),
        (TaskEdit(project="acme/shop"), InvalidInput, "a title"),
        (TaskEdit(project="acme/none", title="x"), NotFound, "no repository"),
        (TaskEdit(task="acme/shop#7", add_projects=("bug",) * 31), InvalidInput, "too many"),
    ],
)
async def test_what_is_refused(
    forge: Forge, hub: GitHubProvider, world: MakeWorld, edit: TaskEdit, failure: type[ToolFailure], words: str
) -> None:
    """Names and words that GitHub does not know are refused with those that it does: nothing is written."""
    world()

    with pytest.raises(failure, match=words):
        await hub.save_task(edit)
    assert sent(forge) == []

"""Issues as tasks."""

import pytest
from gitlab_forge import BOB, CAROL, Answer, Forge, Json, Request, issue, merge_request
from opsroom_code_review.models import BoardColumn, Person
from opsroom_code_review.providers import Page, TaskEdit, TaskQuery
from opsroom_code_review.providers.gitlab import GitLabProvider
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings
from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted

PROJECT = "/projects/group/app"
LIST, ALL = f"GET {PROJECT}/issues", "GET /issues"
PUT, POST, NOTES = f"PUT {PROJECT}/issues/3", f"POST {PROJECT}/issues", f"POST {PROJECT}/issues/3/notes"
LABELS = ("bug", "todo", "doing", "done", "priority::high", "priority::low", "area::api")


@pytest.fixture
def tracker(forge: Forge) -> Forge:
    """The forge with issues, labels, a board and milestones."""
    kept = issue(3)
    lists: list[Json] = [{"label": {"name": name}} for name in ("todo", "doing", "done")]
    lists.append({"id": 9})  # a list of an assignee, which has no label

    def labels(request: Request) -> Answer:
        words = request.query.get("search", [""])[0].casefold()
        return Answer([{"id": number, "name": name} for number, name in enumerate(LABELS) if words in name])

    def put(request: Request) -> Answer:
        kept.update({key: value for key, value in request.body.items() if key in kept})
        return Answer(kept)

    forge.answers |= {
        f"GET {PROJECT}/labels": labels,
        f"GET {PROJECT}/boards": [{"id": 1, "name": "Work", "lists": [*lists]}],
        f"GET {PROJECT}/milestones": [{"id": 31, "title": "v1.2"}, {"id": 32, "title": "v1.3"}],
        LIST: [issue(3), issue(4, labels=["priority::high"], assignees=[], milestone=None, author=BOB)],
        ALL: [issue(3)],
        f"GET {PROJECT}/issues/3": lambda _: Answer(kept),
        f"GET {PROJECT}/issues/3/related_merge_requests": [merge_request(1)],
        f"GET {PROJECT}/issues/4/related_merge_requests": [],
        PUT: put,
        POST: lambda request: Answer(issue(3, title=request.body["title"]), 201),
        NOTES: Answer(forge.note("Seen."), 201),
    }
    return forge


async def test_issue_is_a_task_with_labels_as_projects(gitlab: GitLabProvider, tracker: Forge) -> None:
    """Labels and milestone are projects, columns are those of the boards, and the words that this project takes come with it."""
    found = await gitlab.find_tasks(TaskQuery(project="group/app", text="retries"), Page())

    first, second = found.items
    assert (first.ref, first.status, first.open, first.body) == ("group/app#3", "opened", True, None)
    assert first.projects == ["bug", "doing", "%v1.2"]
    assert first.columns == [BoardColumn(board="Work", column="doing")]
    assert (first.owner, first.trusted) == (Person(name="bob"), False)
    assert (second.priority, second.owner, second.trusted) == ("high", None, True)
    assert found.vocabulary.model_dump() == {
        "statuses": ["opened", "closed"],
        "priorities": ["high", "low"],
        "columns": ["todo", "doing", "done"],
    }
    assert tracker.asked(LIST)[0].query["search"] == ["retries"]


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        (TaskQuery(project="group/app"), {"state": "opened"}),
        (TaskQuery(project="group/app", status="closed", owner="none"), {"state": "closed", "assignee_id": "None"}),
        (TaskQuery(project="group/app", status="all", owner="Me"), {"state": "all", "assignee_username[]": "bob"}),
        (TaskQuery(project="group/app", column="Doing", priority="HIGH"), {"labels": "doing,priority::high"}),
        (TaskQuery(project="bug"), {"labels": "bug"}),
        (TaskQuery(project='%"v1.2"', owner="carol"), {"milestone": "v1.2", "assignee_username[]": "carol"}),
    ],
)
async def test_query_is_in_the_words_of_gitlab(
    gitlab: GitLabProvider, tracker: Forge, query: TaskQuery, sent: dict[str, str]
) -> None:
    """Status, owner, column, priority, label and milestone are GitLab's parameters, with the names as the project writes them."""
    await gitlab.find_tasks(query, Page())

    asked = [*tracker.asked(LIST), *tracker.asked(ALL)][0].query
    assert {name: asked[name][0] for name in sent} == sent
    assert asked["scope"] == ["all"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (TaskQuery(project="group/app", column="review"), "no column 'review' here. There are: todo, doing, done"),
        (TaskQuery(project="group/app", priority="huge"), "no priority 'huge' here. There are: high, low"),
        (TaskQuery(priority="high"), "say which project"),
        (TaskQuery(status="resolved"), "open or closed, not 'resolved'"),
        (TaskQuery(owner="nobody-at-all"), "no user 'nobody-at-all'"),
    ],
)
async def test_unknown_words_are_refused_with_the_known_ones(
    gitlab: GitLabProvider, tracker: Forge, query: TaskQuery, words: str
) -> None:
    """GitLab would answer with an empty list."""
    with pytest.raises(InvalidInput) as refused:
        await gitlab.find_tasks(query, Page())

    assert words in str(refused.value)
    assert tracker.asked(LIST) == []


async def test_named_tasks_come_in_full(gitlab: GitLabProvider, tracker: Forge) -> None:
    """With references, bodies and changes are given, in the order asked."""
    tracker.answers[LIST] = [issue(3), issue(4)]

    found = await gitlab.find_tasks(TaskQuery(refs=("group/app#4", "group/app#3")), Page())

    assert [(task.ref, task.body, task.changes) for task in found.items] == [
        ("group/app#4", "They are not counted.", []),
        ("group/app#3", "They are not counted.", ["group/app!1"]),
    ]
    assert tracker.asked(LIST)[0].query["iids[]"] == ["4", "3"]


async def test_absent_task_is_named(gitlab: GitLabProvider, tracker: Forge) -> None:
    """GitLab leaves out what is not there; that is not passed on in silence."""
    with pytest.raises(NotFound, match="group/app#9"):
        await gitlab.find_tasks(TaskQuery(refs=("group/app#3", "group/app#9")), Page())

    assert len(tracker.asked(LIST)) == 1


@pytest.mark.usefixtures("tracker")
async def test_tasks_come_in_parts(gitlab: GitLabProvider) -> None:
    """A position leads to the next page, and the last page to none."""
    first = await gitlab.find_tasks(TaskQuery(project="group/app"), Page(limit=1))
    second = await gitlab.find_tasks(TaskQuery(project="group/app"), Page(limit=1, position=first.position))

    assert [task.ref for task in [*first.items, *second.items]] == ["group/app#3", "group/app#4"]
    assert second.position is None


async def test_task_is_made_with_known_words(gitlab: GitLabProvider, tracker: Forge) -> None:
    """Labels, priority, column, milestone and owner of a new issue are those of the project."""
    edit = TaskEdit(
        project="group/app",
        title="New",
        body="Text",
        add_projects=("BUG", "%v1.3"),
        priority="low",
        column="todo",
        owner="carol",
        comment="Seen.",
    )

    saved = await gitlab.save_task(edit)

    assert tracker.asked(POST)[0].body == {
        "title": "New",
        "description": "Text",
        "labels": "bug,todo,priority::low",
        "milestone_id": 32,
        "assignee_ids": [3],
    }
    assert (saved.task.ref, saved.changed, saved.note) == ("group/app#3", ["created", "comment"], None)


@pytest.mark.parametrize(
    ("edit", "body"),
    [
        (TaskEdit(task="group/app#3", column="done"), {"add_labels": "done", "remove_labels": "doing"}),
        (TaskEdit(task="group/app#3", priority="high"), {"add_labels": "priority::high"}),
        (
            TaskEdit(task="group/app#3", add_projects=("area::api",), remove_projects=("bug", "todo")),
            {"add_labels": "area::api", "remove_labels": "bug"},
        ),
        (TaskEdit(task="group/app#3", status="closed"), {"state_event": "close"}),
        (TaskEdit(task="group/app#3", owner="none"), {"assignee_ids": [0]}),
        (TaskEdit(task="group/app#3", remove_projects=("%v1.2",)), {"milestone_id": 0}),
        (
            TaskEdit(task="group/app#3", link_changes=("group/app!1",)),
            {"description": "They are not counted.\n\nRelates to group/app!1"},
        ),
        (TaskEdit(task="group/app#3", title="T", body="B"), {"title": "T", "description": "B"}),
    ],
)
async def test_each_edit_is_the_smallest_that_does_it(gitlab: GitLabProvider, tracker: Forge, edit: TaskEdit, body: Json) -> None:
    """A move leaves the other columns of the board; what is as asked already is not sent."""
    saved = await gitlab.save_task(edit)

    assert tracker.asked(PUT)[0].body == body
    assert saved.changed


async def test_nothing_to_change_is_not_sent(gitlab: GitLabProvider, tracker: Forge) -> None:
    """Who asks for what is there already changes nothing."""
    saved = await gitlab.save_task(
        TaskEdit(task="group/app#3", status="open", column="doing", owner="bob", add_projects=("bug", "%V1.2"))
    )

    assert tracker.written() == []
    assert saved.changed == []


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (TaskEdit(task="group/app#3", add_projects=("bgu",)), "no label 'bgu' here. There are: bug, todo"),
        (TaskEdit(task="group/app#3", add_projects=("%v9",)), "no milestone 'v9' here. There are: v1.2, v1.3"),
        (TaskEdit(task="group/app#3", status="wontfix"), "open or closed"),
        (TaskEdit(task="group/app#3", parent="group/app#4"), "no parent"),
        (TaskEdit(task="group/app#3", project="group/lib"), "cannot be moved"),
        (TaskEdit(task="group/app#3", comment="/close"), "commands"),
        (TaskEdit(task="T3", title="x"), "no issue"),
        (TaskEdit(project="group/app"), "needs project"),
        (TaskEdit(task="group/app#3", link_changes=("D1",)), "no merge request"),
    ],
)
async def test_what_gitlab_cannot_do_is_refused_in_words(
    gitlab: GitLabProvider, tracker: Forge, edit: TaskEdit, words: str
) -> None:
    """GitLab would make a new label of an unknown word; here nothing is written."""
    with pytest.raises(InvalidInput) as refused:
        await gitlab.save_task(edit)

    assert words in str(refused.value)
    assert tracker.written() == []


async def test_comment_that_was_not_posted_is_a_failure(gitlab: GitLabProvider, tracker: Forge) -> None:
    """The rest of the call may be repeated, so that what was not said can be said again."""
    tracker.answers[NOTES] = Answer({"message": "403 Forbidden"}, 403)

    with pytest.raises(NotPermitted):
        await gitlab.save_task(TaskEdit(task="group/app#3", title="T", comment="Seen."))

    assert tracker.written() == [PUT, NOTES]


async def test_made_issue_without_its_comment_is_told(gitlab: GitLabProvider, tracker: Forge) -> None:
    """A failure would lead to a second issue; so what is missing of the first is said."""
    tracker.answers[NOTES] = Answer({"commands_changes": {}}, 202)

    saved = await gitlab.save_task(TaskEdit(project="group/app", title="New", comment="Seen."))

    assert saved.changed == ["created"]
    assert saved.note == "The comment was not posted: GitLab carried out commands in the comment, and posted nothing."


async def test_project_without_boards_has_no_columns(gitlab: GitLabProvider, tracker: Forge) -> None:
    """Who may see issues and no boards gets the issues."""
    tracker.answers[f"GET {PROJECT}/boards"] = Answer({"message": "403 Forbidden"}, 403)
    tracker.answers[LIST] = [issue(3, assignees=[CAROL])]

    found = await gitlab.find_tasks(TaskQuery(project="group/app"), Page())

    assert (found.items[0].columns, found.vocabulary.columns) == ([], [])


async def test_listing_is_as_narrow_as_the_settings(forge: Forge, settings: ProviderSettings) -> None:
    """Where the settings show the issues of one group, all of GitLab is not listed."""
    forge.answers["GET /groups/group/issues"] = [issue(3)]
    provider = GitLabProvider(
        "lab", settings.model_copy(update={"projects": ("group/*",)}), CodeReviewSettings.model_validate({})
    )

    found = await provider.find_tasks(TaskQuery(), Page())
    await provider.aclose()

    assert [task.ref for task in found.items] == ["group/app#3"]

"""Making and editing merge requests."""

import pytest
from gitlab_forge import BOB, CAROL, Answer, Forge, Json, Request, merge_request
from opsroom_code_review.providers import ChangeEdit
from opsroom_code_review.providers.gitlab import GitLabProvider
from opsroom_code_review.providers.gitlab.editing import with_links
from opsroom_shared.errors import Conflict, InvalidInput

POST, PUT = "POST /projects/group/app/merge_requests", "PUT /projects/group/app/merge_requests/1"


@pytest.fixture
def editable(forge: Forge) -> Forge:
    """The forge, which keeps what is changed of its merge request."""

    def put(request: Request) -> Answer:
        reviewers = request.body.get("reviewer_ids")
        people = [person for person in (BOB, CAROL) if isinstance(reviewers, list) and person["id"] in reviewers]
        forge.merge_request |= {key: value for key, value in request.body.items() if key in forge.merge_request}
        if reviewers is not None:
            forge.merge_request["reviewers"] = [*people]
        return Answer(forge.merge_request)

    forge.answers[PUT] = put
    forge.answers[POST] = lambda request: Answer(merge_request(2, title=request.body["title"], reviewers=[CAROL]), 201)
    return forge


async def test_change_is_made_of_a_branch(gitlab: GitLabProvider, editable: Forge) -> None:
    """Without a base it goes to the default branch; a draft says so in its title, and tasks are linked, not closed."""
    edit = ChangeEdit(
        repo="group/app",
        source="fix",
        title="Fix it",
        summary="It is broken.",
        add_reviewers=("carol",),
        state="draft",
        link_tasks=("group/app#3", "group/lib#4"),
    )

    edited = await gitlab.edit_change(edit)

    assert editable.asked(POST)[0].body == {
        "source_branch": "fix",
        "target_branch": "main",
        "title": "Draft: Fix it",
        "description": "It is broken.\n\nRelates to #3\nRelates to group/lib#4",
        "reviewer_ids": [3],
    }
    assert (edited.change.ref, edited.changed, edited.note) == ("group/app!2", ["created"], None)


async def test_only_what_differs_is_changed(gitlab: GitLabProvider, editable: Forge) -> None:
    """Reviewers are added to those that there are, and what is as asked is not sent."""
    edit = ChangeEdit(change="group/app!1", title="Count retries 1", base="main", summary="New words.", add_reviewers=("carol",))

    edited = await gitlab.edit_change(edit)

    assert editable.asked(PUT)[0].body == {"description": "New words.", "reviewer_ids": [2, 3]}
    assert edited.changed == ["summary", "reviewers"]


async def test_nothing_to_change_is_not_sent(gitlab: GitLabProvider, editable: Forge) -> None:
    """Who asks for what is there already changes nothing."""
    edited = await gitlab.edit_change(ChangeEdit(change="group/app!1", state="ready", add_reviewers=("bob",)))

    assert editable.written() == []
    assert (edited.changed, edited.note) == ([], "All of it is as asked already.")


@pytest.mark.parametrize(
    ("before", "edit", "body"),
    [
        ({}, ChangeEdit(change="group/app!1", state="draft"), {"title": "Draft: Count retries 1"}),
        ({"draft": True, "title": "Draft: X"}, ChangeEdit(change="group/app!1", state="ready"), {"title": "X"}),
        ({"draft": True, "title": "[Draft] X"}, ChangeEdit(change="group/app!1", title="Y"), {"title": "Draft: Y"}),
        ({}, ChangeEdit(change="group/app!1", state="abandoned"), {"state_event": "close"}),
        ({"state": "closed"}, ChangeEdit(change="group/app!1", state="reopened"), {"state_event": "reopen"}),
        ({}, ChangeEdit(change="group/app!1", remove_reviewers=("bob",)), {"reviewer_ids": [0]}),
        ({}, ChangeEdit(change="group/app!1", base="stable"), {"target_branch": "stable"}),
        (
            {},
            ChangeEdit(change="group/app!1", link_tasks=("group/app#3",)),
            {"description": "Retries are counted.\n\nRelates to #3"},
        ),
    ],
)
async def test_each_edit_is_the_smallest_that_does_it(
    gitlab: GitLabProvider, editable: Forge, before: Json, edit: ChangeEdit, body: Json
) -> None:
    """Draft is a prefix of the title; closing and reopening are events; the last reviewer goes by a zero."""
    editable.merge_request |= before

    await gitlab.edit_change(edit)

    assert editable.asked(PUT)[0].body == body


async def test_reviewer_whom_gitlab_did_not_take_is_named(gitlab: GitLabProvider, editable: Forge) -> None:
    """An edition that keeps one reviewer answers success; what it left out is told."""
    editable.answers[PUT] = lambda _: Answer(merge_request(1, reviewers=[BOB]))

    edited = await gitlab.edit_change(ChangeEdit(change="group/app!1", add_reviewers=("carol",)))

    assert edited.note == "GitLab did not change these reviewers as asked: carol."


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (ChangeEdit(change="group/app!1", test_plan="Run it."), "no test plan"),
        (ChangeEdit(change="group/app!1", state="changes_planned"), "no such state"),
        (ChangeEdit(change="group/app!1", source="x"), "pushed to its branch"),
        (ChangeEdit(change="group/app!1", title=" Draft: "), "has a title"),
        (ChangeEdit(change="group/app!1", base="../x y"), "no name of a branch"),
        (ChangeEdit(change="group/app!1", add_reviewers=("team/core",)), "no user 'team/core'"),
        (ChangeEdit(change="group/app!1", link_tasks=("D12",)), "no issue"),
        (ChangeEdit(repo="group/app", title="X"), "needs repo, source"),
        (ChangeEdit(repo="group/app", source="x", base="main", title="X", state="abandoned"), "draft or ready"),
    ],
)
async def test_what_gitlab_cannot_do_is_refused_in_words(
    gitlab: GitLabProvider, editable: Forge, edit: ChangeEdit, words: str
) -> None:
    """Nothing is sent, and the refusal says what can be done instead."""
    with pytest.raises(InvalidInput, match=words):
        await gitlab.edit_change(edit)

    assert editable.written() == []


async def test_merged_change_is_not_closed(gitlab: GitLabProvider, editable: Forge) -> None:
    """What is merged stays merged."""
    editable.merge_request["state"] = "merged"

    with pytest.raises(Conflict, match="is merged"):
        await gitlab.edit_change(ChangeEdit(change="group/app!1", state="abandoned"))


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("", "Relates to #3"),
        ("See #3.", "See #3."),
        ("See #33.", "See #33.\n\nRelates to #3"),
        ("See x/y#3.", "See x/y#3.\n\nRelates to #3"),
    ],
)
def test_task_is_linked_once(text: str, linked: str) -> None:
    """A text that names the task already stays as it is."""
    assert with_links(text, ["#3", "#3"]) == linked

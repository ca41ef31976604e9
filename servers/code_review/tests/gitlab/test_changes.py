"""One merge request, and finding some."""

from datetime import UTC, datetime

import pytest
from gitlab_forge import ALICE, BOB, BOT, CAROL, HEAD, MR, OLDER, Answer, Forge, Json, entry, merge_request
from opsroom_code_review.models import ChangedFile, ChangeState, Person, Reviewer
from opsroom_code_review.providers import ChangeQuery, Page
from opsroom_code_review.providers.gitlab import GitLabProvider
from opsroom_shared.errors import InvalidInput, NotFound, Unavailable
from pydantic import JsonValue

LIST = "GET /projects/group/app/merge_requests"
ALL = "GET /merge_requests"


async def test_change_tells_what_is_asked_before_a_diff_is_read(gitlab: GitLabProvider) -> None:
    """Files with their counts, versions, tasks, parents, branches and what this account can do come in one answer."""
    details = await gitlab.change("group/app!1")

    assert details.change.ref == "group/app!1"
    assert details.change.version == HEAD
    assert details.change.author == Person(name="alice")
    assert details.files == [
        ChangedFile(path="src/retry.py", kind="modified", added=2, removed=1),
        ChangedFile(path="docs/new.md", old_path="docs/old.md", kind="renamed", added=1, removed=1),
        ChangedFile(path="logo.png", kind="modified", binary=True),
        ChangedFile(path="run.sh", kind="mode", added=0, removed=0),
    ]
    assert [version.id for version in details.versions] == [HEAD, OLDER]
    assert (details.base, details.head) == ("main", "count-retries")
    assert details.tasks == ["group/app#3"]
    assert details.parents == ["group/app!9"]
    assert details.can.model_dump() == {"comment": True, "accept": True, "publish_inline": True, "reply": True, "resolve": True}


@pytest.mark.parametrize(
    ("change", "approvals", "reviewer", "state"),
    [
        ({}, {}, "unreviewed", "open"),
        ({"draft": True}, {}, "unreviewed", "draft"),
        ({"state": "merged"}, {}, "approved", "closed"),
        ({"state": "closed"}, {}, "requested_changes", "abandoned"),
        ({}, {}, "requested_changes", "needs_changes"),
        ({"detailed_merge_status": "requested_changes"}, {}, "unreviewed", "needs_changes"),
        ({}, {"approved": True, "approved_by": [{"user": BOB}]}, "approved", "accepted"),
        ({}, {"approved": True, "approved_by": []}, "unreviewed", "open"),
    ],
)
async def test_state_is_told_in_common_words(
    gitlab: GitLabProvider, forge: Forge, change: Json, approvals: Json, reviewer: str, state: ChangeState
) -> None:
    """The state counts reviewers and approvals, and nothing that nobody looked at is accepted."""
    forge.merge_request = merge_request(1, **change)
    forge.approvals |= approvals
    forge.reviewers = [{"user": BOB, "state": reviewer}]

    details = await gitlab.change("group/app!1")

    assert details.change.state == state


async def test_verdict_before_the_newest_version_is_stale(gitlab: GitLabProvider, forge: Forge) -> None:
    """Who approved an earlier version is shown as accepting, and as stale; who did so after it is not."""
    approved: Json = {"system": True}
    forge.discuss(forge.note("approved this merge request", BOB, approved | {"created_at": "2026-11-02T10:00:00Z"}))
    forge.discuss(forge.note("approved this merge request", CAROL, approved | {"created_at": "2026-11-04T10:00:00Z"}))
    forge.reviewers = [{"user": BOB, "state": "approved"}]
    forge.approvals |= {"approved": True, "approved_by": [{"user": BOB}, {"user": CAROL}]}

    details = await gitlab.change("group/app!1")

    assert details.reviewers == [
        Reviewer(who=Person(name="bob"), verdict="accepted", stale=True),
        Reviewer(who=Person(name="carol"), verdict="accepted", stale=False),
    ]


async def test_open_threads_are_counted(gitlab: GitLabProvider, forge: Forge) -> None:
    """Only what can be resolved and is not counts as open."""
    forge.discuss(forge.note("a", ALICE, {"resolvable": True, "resolved": False}))
    forge.discuss(forge.note("b", ALICE, {"resolvable": True, "resolved": True}))
    forge.discuss(forge.note("c", ALICE))

    assert (await gitlab.change("group/app!1")).open_threads == 1


async def test_failed_jobs_are_counted_only_for_a_failed_pipeline(gitlab: GitLabProvider, forge: Forge) -> None:
    """A failed pipeline tells how many jobs failed that may not; a passed one is not asked."""
    forge.merge_request["head_pipeline"] = {"id": 77, "project_id": 8, "status": "failed"}
    job: Json = {"id": 1, "name": "test", "status": "failed"}
    forge.answers["GET /projects/8/pipelines/77/jobs"] = [job, job | {"id": 2, "allow_failure": True}]
    failed = (await gitlab.change("group/app!1")).checks
    forge.merge_request["head_pipeline"] = {"id": 78, "project_id": 8, "status": "success"}

    passed = (await gitlab.change("group/app!1")).checks

    assert failed is not None
    assert (failed.state, failed.failed) == ("failed", 1)
    assert passed is not None
    assert (passed.state, passed.failed) == ("passed", 0)


async def test_what_a_gitlab_does_not_offer_is_asked_for_once(gitlab: GitLabProvider, forge: Forge) -> None:
    """An older GitLab without reviewers' states, dependencies and related issues is read all the same, and not asked twice."""
    gone = Answer({"error": "404 Not Found"}, 404)
    forge.answers |= {f"{MR}/reviewers": gone, f"{MR}/blocks": gone, f"{MR}/related_issues": gone}
    forge.answers[f"{MR}/closes_issues"] = [{"id": 5, "references": {"full": "group/app#4"}}]
    await gitlab.change("group/app!1")

    details = await gitlab.change("group/app!1")

    assert details.tasks == ["group/app#4"]
    assert details.parents == []
    assert details.reviewers == [Reviewer(who=Person(name="bob"))]
    assert [len(forge.asked(f"{MR}/{name}")) for name in ("reviewers", "blocks", "related_issues")] == [1, 1, 1]


async def test_own_change_cannot_be_accepted(gitlab: GitLabProvider, forge: Forge) -> None:
    """What this account wrote is not for it to accept, even where GitLab would let it."""
    forge.merge_request["author"] = BOB

    assert (await gitlab.change("group/app!1")).can.accept is False


async def test_diff_that_is_not_ready_is_told(gitlab: GitLabProvider, forge: Forge) -> None:
    """While GitLab works out a new merge request, the caller is asked to come back."""
    forge.merge_request |= {"diff_refs": None, "sha": None}

    with pytest.raises(Unavailable, match="still preparing"):
        await gitlab.change("group/app!1")


async def test_absent_change_is_named(gitlab: GitLabProvider, forge: Forge) -> None:
    """A merge request that is not there, or not to be seen, is named in the refusal."""
    forge.answers["GET /projects/group/app/merge_requests/8"] = Answer({"message": "404 Not found"}, 404)

    with pytest.raises(NotFound, match="group/app!8"):
        await gitlab.change("group/app!8")


async def test_listing_asks_for_what_gitlab_can_filter(gitlab: GitLabProvider, forge: Forge) -> None:
    """Author, words, state and order are GitLab's work; the listing of one project is that project's."""
    forge.answers[LIST] = [merge_request(2)]

    found = await gitlab.find_changes(ChangeQuery(repo="group/app", author="Alice", text="retries"), Page(limit=5))

    assert [change.ref for change in found.items] == ["group/app!2"]
    assert forge.asked(LIST)[0].query == {
        "per_page": ["5"],
        "page": ["1"],
        "scope": ["all"],
        "state": ["opened"],
        "order_by": ["updated_at"],
        "sort": ["desc"],
        "author_username": ["alice"],
        "search": ["retries"],
        "in": ["title,description"],
    }


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        (ChangeQuery(role="author"), {"author_username": ["bob"]}),
        (ChangeQuery(role="author", author="bob"), {"author_username": ["bob"]}),
        (ChangeQuery(role="reviewer"), {"reviewer_username": ["bob"]}),
        (ChangeQuery(role="reviewer", author="alice"), {"reviewer_username": ["bob"], "author_username": ["alice"]}),
        (ChangeQuery(updated_since=datetime(2026, 11, 1, tzinfo=UTC)), {"updated_after": ["2026-11-01T00:00:00+00:00"]}),
        (ChangeQuery(state="all"), {"state": ["all"]}),
    ],
)
async def test_role_is_about_the_account(
    gitlab: GitLabProvider, forge: Forge, query: ChangeQuery, sent: dict[str, list[str]]
) -> None:
    """Whose changes and whose reviews are GitLab's parameters, with the account's own name."""
    forge.answers[ALL] = []

    await gitlab.find_changes(query, Page())

    asked = forge.asked(ALL)[0].query
    assert {name: asked[name] for name in sent} == sent


async def test_role_author_of_others_is_refused(gitlab: GitLabProvider) -> None:
    """What somebody else wrote is found without the role."""
    with pytest.raises(InvalidInput, match="leave out role"):
        await gitlab.find_changes(ChangeQuery(role="author", author="alice"), Page())


async def test_part_of_any_length_is_given(gitlab: GitLabProvider, forge: Forge) -> None:
    """More than GitLab gives in one page is put together from several."""
    forge.answers[LIST] = [merge_request(number) for number in range(1, 131)]

    found = await gitlab.find_changes(ChangeQuery(repo="group/app"), Page(limit=120))

    assert len(found.items) == 120
    assert found.position == [2, 20, 100]


async def test_pages_follow_one_another_without_gap_or_repeat(gitlab: GitLabProvider, forge: Forge) -> None:
    """A position leads to the next part, to the last one, and no further."""
    forge.answers[LIST] = [merge_request(number) for number in range(7, 0, -1)]
    query = ChangeQuery(repo="group/app")
    position: JsonValue = None
    parts: list[list[str]] = []

    for _ in range(3):
        found = await gitlab.find_changes(query, Page(limit=3, position=position))
        parts.append([change.ref.partition("!")[2] for change in found.items])
        position = found.position

    assert parts == [["7", "6", "5"], ["4", "3", "2"], ["1"]]
    assert position is None


async def test_closed_ones_are_merged_and_closed(gitlab: GitLabProvider, forge: Forge) -> None:
    """GitLab filters by one state; both that are closed are found, in parts that go on where the last one ended."""
    states = ["opened", "merged", "opened", "closed", "merged", "opened"]
    forge.answers[LIST] = [merge_request(number, state=state) for number, state in enumerate(states, 1)]
    query = ChangeQuery(repo="group/app", state="closed")

    first = await gitlab.find_changes(query, Page(limit=2))
    second = await gitlab.find_changes(query, Page(limit=2, position=first.position))

    assert [(change.ref, change.state) for change in first.items] == [("group/app!2", "closed"), ("group/app!4", "abandoned")]
    assert [change.ref for change in second.items] == ["group/app!5"]
    assert second.position is None


async def test_unknown_author_is_refused_with_similar_ones(gitlab: GitLabProvider) -> None:
    """GitLab would answer with an empty list, as if the person had written nothing."""
    with pytest.raises(InvalidInput, match=r"no user 'alicia'\. Similar: alice"):
        await gitlab.find_changes(ChangeQuery(author="alicia"), Page())


async def test_path_is_looked_for_in_the_files(gitlab: GitLabProvider, forge: Forge) -> None:
    """GitLab cannot filter by path: within a project, the files of each merge request are looked at."""
    forge.answers[LIST] = [merge_request(2), merge_request(3)]
    forge.answers["GET /projects/group/app/merge_requests/2/diffs"] = [entry("src/a.py", "")]
    forge.answers["GET /projects/group/app/merge_requests/3/diffs"] = [entry("docs/x.md", "", old_path="src/b.py")]

    exact = await gitlab.find_changes(ChangeQuery(repo="group/app", path="src/b.py"), Page())
    folder = await gitlab.find_changes(ChangeQuery(repo="group/app", path="src"), Page())

    assert [change.ref for change in exact.items] == ["group/app!3"]
    assert [change.ref for change in folder.items] == ["group/app!2", "group/app!3"]


async def test_path_without_project_is_refused(gitlab: GitLabProvider) -> None:
    """The files of all of a GitLab are not looked through."""
    with pytest.raises(InvalidInput, match="in which repo"):
        await gitlab.find_changes(ChangeQuery(path="src"), Page())


async def test_todo_is_what_waits_for_the_account(gitlab: GitLabProvider, forge: Forge) -> None:
    """Reviews without a verdict wait, and so do own changes that were sent back; what was approved or is untouched does not."""
    asked: list[JsonValue] = [merge_request(2), merge_request(3), merge_request(4)]
    own: list[JsonValue] = [
        merge_request(5, author=BOB, reviewers=[ALICE]),
        merge_request(6, author=BOB, reviewers=[], user_notes_count=2),
        merge_request(7, author=BOB, reviewers=[]),
        merge_request(8, author=BOB, reviewers=[], detailed_merge_status="discussions_not_resolved"),
    ]
    forge.answers[ALL] = lambda request: Answer(asked if "reviewer_username" in request.query else own)
    states = {2: (BOB, "unreviewed"), 3: (BOB, "approved"), 4: (BOB, "requested_changes"), 5: (ALICE, "requested_changes")}
    for number, (user, state) in states.items():
        forge.answers[f"GET /projects/group/app/merge_requests/{number}/reviewers"] = [{"user": user, "state": state}]
    thread: Json = {"id": "a" * 40, "notes": [forge.note("?", ALICE, {"resolvable": True, "resolved": False})]}
    forge.answers["GET /projects/group/app/merge_requests/6/discussions"] = [thread]

    found = await gitlab.find_changes(ChangeQuery(role="todo"), Page())

    assert [change.ref.partition("!")[2] for change in found.items] == ["8", "6", "5", "2"]
    assert found.position is None


async def test_todo_comes_in_parts(gitlab: GitLabProvider, forge: Forge) -> None:
    """A short part of what waits leads to the rest."""
    asked: list[JsonValue] = [merge_request(number) for number in (4, 3, 2)]
    forge.answers[ALL] = lambda request: Answer(asked if "reviewer_username" in request.query else [])
    for number in (4, 3, 2):
        forge.answers[f"GET /projects/group/app/merge_requests/{number}/reviewers"] = [{"user": BOB, "state": "unreviewed"}]

    first = await gitlab.find_changes(ChangeQuery(role="todo"), Page(limit=2))
    second = await gitlab.find_changes(ChangeQuery(role="todo"), Page(limit=2, position=first.position))

    assert [change.ref for change in first.items] == ["group/app!4", "group/app!3"]
    assert [change.ref for change in second.items] == ["group/app!2"]
    assert second.position is None


@pytest.mark.parametrize("position", ["x", [0, 0, 20], [1, -1, 20], [1, 0], [1, 0, 1000], {"page": 1}])
async def test_position_of_another_listing_is_refused(gitlab: GitLabProvider, position: JsonValue) -> None:
    """A position that this listing did not give is refused before GitLab is asked."""
    with pytest.raises(InvalidInput, match="cursor"):
        await gitlab.find_changes(ChangeQuery(), Page(position=position))


async def test_authors_behind_tokens_are_bots(gitlab: GitLabProvider, forge: Forge) -> None:
    """The accounts that GitLab makes for access tokens are shown as bots."""
    forge.answers[ALL] = [merge_request(2, author=BOT)]

    found = await gitlab.find_changes(ChangeQuery(), Page())

    assert found.items[0].author == Person(name="project_7_bot_2f", bot=True)

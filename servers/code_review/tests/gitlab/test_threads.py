"""Threads, replies, and whose words are trusted."""

import pytest
from gitlab_forge import ALICE, BASE, BOB, BOT, CAROL, HEAD, OLDER, START, TOKEN, Answer, Forge, Json, merge_request
from opsroom_code_review.models import Anchor, Person
from opsroom_code_review.providers import Reply
from opsroom_code_review.providers.gitlab import GitLabProvider
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings
from opsroom_shared.errors import InvalidInput, NotFound, TooLarge
from pydantic import JsonValue, SecretStr

PATH = "/projects/group/app/merge_requests/1"
OPEN: Json = {"resolvable": True, "resolved": False}


def placed(head: str = HEAD, **place: JsonValue) -> Json:
    position: Json = {"base_sha": BASE, "start_sha": START, "head_sha": head, "old_path": "old.py", "new_path": "a.py"}
    return {**OPEN, "position": position | place}


@pytest.mark.parametrize(
    ("more", "anchor"),
    [
        (placed(new_line=4, old_line=None), Anchor(path="a.py", line=4, side="new", version=HEAD)),
        (placed(new_line=None, old_line=9), Anchor(path="a.py", line=9, side="old", version=HEAD)),
        (placed(new_line=4, old_line=3), Anchor(path="a.py", line=4, side="new", version=HEAD)),
        (
            placed(new_line=8, line_range={"start": {"new_line": 5, "old_line": None}, "end": {"new_line": 8}}),
            Anchor(path="a.py", line=5, end_line=8, side="new", version=HEAD),
        ),
        (placed(OLDER, new_line=4), Anchor(path="a.py", line=4, side="new", version=OLDER, outdated=True)),
        (placed(new_line=None, old_line=None), Anchor(path="a.py", side="unknown", version=HEAD)),
        ({}, None),
    ],
)
async def test_thread_says_where_it_stands(gitlab: GitLabProvider, forge: Forge, more: Json, anchor: Anchor | None) -> None:
    """Side, lines and version of a thread; one on an earlier version is outdated."""
    forge.discuss(forge.note("Why?", ALICE, more))

    threads = await gitlab.threads(change="group/app!1", task=None)

    assert threads[0].anchor == anchor


async def test_system_notes_are_left_out_but_for_verdicts(gitlab: GitLabProvider, forge: Forge) -> None:
    """Pushes and labels are no discussion; approvals, their withdrawal and requests for changes are verdicts."""
    words = ["approved this merge request", "added 1 commit", "unapproved this merge request", "requested changes"]
    for word in words:
        forge.discuss(forge.note(word, BOB, {"system": True}))
    forge.discuss(forge.note("approved this merge request", CAROL))

    threads = await gitlab.threads(change="group/app!1", task=None)

    assert [thread.comments[0].verdict for thread in threads] == ["accept", "unapprove", "request_changes", None]


async def test_thread_is_resolved_when_all_of_it_is(gitlab: GitLabProvider, forge: Forge) -> None:
    """Open, resolved, and what cannot be resolved are told apart."""
    resolved = OPEN | {"resolved": True}
    forge.discuss(forge.note("a", ALICE, resolved), forge.note("b", BOB, OPEN))
    forge.discuss(forge.note("c", ALICE, resolved))
    forge.discuss(forge.note("d", ALICE))

    threads = await gitlab.threads(change="group/app!1", task=None)

    assert [thread.resolved for thread in threads] == [False, True, None]
    assert [comment.text for comment in threads[0].comments] == ["a", "b"]


async def test_all_pages_of_a_discussion_are_read(gitlab: GitLabProvider, forge: Forge) -> None:
    """A discussion of more than a page is read to its end."""
    for number in range(130):
        forge.discuss(forge.note(str(number), ALICE))

    threads = await gitlab.threads(change="group/app!1", task=None)

    assert [thread.comments[0].text for thread in threads] == [str(number) for number in range(130)]


async def test_who_may_push_is_trusted(gitlab: GitLabProvider, forge: Forge) -> None:
    """Developers and above are trusted, reporters and strangers are not; all of them are asked about at once."""
    for person in (ALICE, BOB, CAROL, BOT):
        forge.discuss(forge.note("x", person))

    threads = await gitlab.threads(change="group/app!1", task=None)

    comments = [thread.comments[0] for thread in threads]
    assert [(comment.author, comment.trusted) for comment in comments] == [
        (Person(name="alice"), False),
        (Person(name="bob"), True),
        (Person(name="carol"), False),
        (Person(name="project_7_bot_2f", bot=True), True),
    ]
    members = forge.asked("GET /projects/group/app/members/all")
    assert [request.query["user_ids[]"] for request in members] == [["1", "2", "3", "4"]]


async def test_trust_is_also_by_name_and_by_group(forge: Forge) -> None:
    """Whom the settings name, and whom a group of the settings has, is trusted without being a developer."""
    forge.answers["GET /groups/team/core/members/all"] = [CAROL | {"access_level": 10}]
    settings = ProviderSettings(
        kind="gitlab", url=forge.url, token=SecretStr(TOKEN), trusted=("Alice",), trusted_groups=("team/core",)
    )
    for person in (ALICE, CAROL):
        forge.discuss(forge.note("x", person))
    provider = GitLabProvider("lab", settings, CodeReviewSettings.model_validate({}))

    threads = await provider.threads(change="group/app!1", task=None)
    await provider.aclose()

    assert [thread.comments[0].trusted for thread in threads] == [True, True]


@pytest.mark.parametrize(
    "members",
    [Answer({"message": "403 Forbidden"}, 403), [BOB | {"access_level": 30, "state": "blocked"}], []],
)
async def test_nobody_is_trusted_on_a_guess(gitlab: GitLabProvider, forge: Forge, members: Answer | list[JsonValue]) -> None:
    """Where members are not told, or are blocked, nobody is trusted."""
    forge.answers["GET /projects/group/app/members/all"] = members
    forge.discuss(forge.note("x", BOB))

    threads = await gitlab.threads(change="group/app!1", task=None)

    assert threads[0].comments[0].trusted is False


async def test_reply_and_resolution_go_to_the_thread(gitlab: GitLabProvider, forge: Forge) -> None:
    """A reply is posted in its thread, and the thread is then resolved."""
    thread = forge.discuss(forge.note("Why?", ALICE, OPEN))
    one = f"{PATH}/discussions/{thread}"
    forge.answers[f"GET {one}"] = forge.discussions[0]
    forge.answers[f"POST {one}/notes"] = Answer(forge.note("Because."), 201)
    forge.answers[f"PUT {one}"] = {"id": thread, "notes": [forge.note("Why?", ALICE, OPEN | {"resolved": True})]}

    result = await gitlab.reply(Reply("group/app!1", thread, "Because.", resolve=True))

    assert (result.posted, result.resolved, result.note) == (True, True, None)
    assert result.url is not None
    assert result.url.startswith(f"{forge.url}/group/app/-/merge_requests/1#note_")
    assert forge.written() == [f"POST {one}/notes", f"PUT {one}"]


async def test_reply_without_resolution_is_told(gitlab: GitLabProvider, forge: Forge) -> None:
    """If the reply was posted and the thread could not be resolved, both are said."""
    thread = forge.discuss(forge.note("Why?", ALICE, OPEN))
    one = f"{PATH}/discussions/{thread}"
    forge.answers[f"GET {one}"] = forge.discussions[0]
    forge.answers[f"POST {one}/notes"] = Answer(forge.note("Because."), 201)
    forge.answers[f"PUT {one}"] = Answer({"message": "403 Forbidden"}, 403)

    result = await gitlab.reply(Reply("group/app!1", thread, "Because.", resolve=True))

    assert (result.posted, result.resolved) == (True, None)
    assert result.note is not None
    assert "the thread is as it was" in result.note


async def test_text_that_gitlab_carries_out_is_not_called_posted(gitlab: GitLabProvider, forge: Forge) -> None:
    """GitLab answers 202 where a text was taken for commands: nothing was posted."""
    thread = forge.discuss(forge.note("Why?", ALICE, OPEN))
    forge.answers[f"POST {PATH}/discussions/{thread}/notes"] = Answer({"commands_changes": {}, "summary": ["Closed this."]}, 202)

    result = await gitlab.reply(Reply("group/app!1", thread, "Because."))

    assert result.posted is False
    assert result.note == "GitLab carried out commands in the text, and posted nothing."


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply("group/app!1", "a" * 40, "/close"), InvalidInput),
        (Reply("group/app!1", "../../issues/1", "x"), NotFound),
        (Reply("group/app!1", "A" * 40, "x"), NotFound),
        (Reply(None, "a" * 40, "x"), InvalidInput),
        (Reply("D12", "a" * 40, "x"), InvalidInput),
    ],
)
async def test_bad_replies_are_refused_before_anything_is_sent(
    gitlab: GitLabProvider, forge: Forge, reply: Reply, failure: type[Exception]
) -> None:
    """Commands, and what is no thread, do not reach GitLab."""
    with pytest.raises(failure):
        await gitlab.reply(reply)

    assert forge.requests == []


async def test_only_threads_that_take_it_are_resolved(gitlab: GitLabProvider, forge: Forge) -> None:
    """A plain comment cannot be resolved, so the reply is not posted either."""
    thread = forge.discuss(forge.note("Why?", ALICE))
    forge.answers[f"GET {PATH}/discussions/{thread}"] = forge.discussions[0]

    with pytest.raises(InvalidInput, match="cannot resolve"):
        await gitlab.reply(Reply("group/app!1", thread, "x", resolve=True))

    assert forge.written() == []


async def test_thread_of_an_issue_is_answered(gitlab: GitLabProvider, forge: Forge) -> None:
    """The threads of an issue take replies, too."""
    path = "/projects/group/app/issues/3/discussions"
    forge.answers[f"GET {path}"] = [{"id": "c" * 40, "notes": [forge.note("Since when?", ALICE)]}]
    forge.answers[f"POST {path}/{'c' * 40}/notes"] = Answer(forge.note("Monday."), 201)
    threads = await gitlab.threads(change=None, task="group/app#3")

    result = await gitlab.reply(Reply("group/app#3", threads[0].id, "Monday."))

    assert result.posted is True
    assert result.url is not None
    assert "/group/app/-/issues/3#note_" in result.url


async def test_thread_is_found_by_one_of_its_comments(gitlab: GitLabProvider, forge: Forge) -> None:
    """Who names a comment means the thread that it stands in; one that is nowhere is refused."""
    note = forge.note("Why?", ALICE, OPEN)
    thread = forge.discuss(note)
    forge.answers[f"POST {PATH}/discussions/{thread}/notes"] = Answer(forge.note("Because."), 201)

    result = await gitlab.reply(Reply("group/app!1", str(note["id"]), "Because."))

    assert result.posted is True
    with pytest.raises(NotFound, match="no thread '999'"):
        await gitlab.reply(Reply("group/app!1", "999", "Because."))


async def test_thread_of_a_moved_change_is_outdated(gitlab: GitLabProvider, forge: Forge) -> None:
    """What stood on the head of before is outdated after a push."""
    forge.discuss(forge.note("Why?", ALICE, placed(new_line=4)))
    forge.merge_request = merge_request(1, sha=OLDER, diff_refs={"base_sha": BASE, "head_sha": OLDER, "start_sha": START})

    threads = await gitlab.threads(change="group/app!1", task=None)

    assert threads[0].anchor is not None
    assert threads[0].anchor.outdated is True


async def test_discussion_without_its_end_is_refused(gitlab: GitLabProvider, forge: Forge) -> None:
    """The last words of an endless discussion are not left out in silence."""
    note = forge.note("x", ALICE)
    forge.answers[f"GET {PATH}/discussions"] = Answer([{"id": "a" * 40, "notes": [note]}], headers={"X-Next-Page": "2"})

    with pytest.raises(TooLarge, match="more than 30 threads"):
        await gitlab.threads(change="group/app!1", task=None)

"""Maniphest's tasks."""

from datetime import UTC, datetime

import pytest
from opsroom_code_review.models import BoardColumn
from opsroom_code_review.providers import Page, TaskEdit, TaskQuery
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import InvalidInput, NotFound

from .conduit_server import ConduitServer
from .conftest import Connect
from .transcripts import as_map, maps, transcript
from .world import ALICE, World


async def _refs(provider: PhabricatorProvider, query: TaskQuery) -> list[str]:
    return [task.ref for task in (await provider.find_tasks(query, Page(100))).items]


async def test_one_by_reference(provider: PhabricatorProvider) -> None:
    """With its body, its column, its parents and its changes, all by name."""
    found = (await provider.find_tasks(TaskQuery(refs=("T2", "T3")), Page())).items
    by_ref = {task.ref: task for task in found}

    assert by_ref["T2"].columns == [BoardColumn(board="backend", column="In Progress")]
    assert sorted(by_ref["T2"].projects) == ["backend", "security_review"]
    assert by_ref["T2"].parents == ["T1"]
    assert (by_ref["T2"].priority, by_ref["T2"].status, by_ref["T2"].open) == ("unbreak", "open", True)
    assert by_ref["T3"].changes == ["D25"]
    assert by_ref["T3"].body == "No docs yet."
    assert by_ref["T3"].owner is None
    owner = by_ref["T2"].owner
    assert owner is not None
    assert owner.name == "carol"


async def test_the_words_that_this_server_takes(provider: PhabricatorProvider) -> None:
    """The vocabulary is in the answer; columns are those of the project that was asked for, from left to right."""
    found = await provider.find_tasks(TaskQuery(project="backend"), Page(2))

    assert found.vocabulary.statuses == ["open", "resolved", "wontfix", "invalid", "duplicate", "spite"]
    assert found.vocabulary.priorities == ["unbreak", "triage", "high", "normal", "low", "wish"]
    assert found.vocabulary.columns == ["Backlog", "In Progress", "In Review", "Done", "Release 1.0"]
    assert found.position is not None
    assert found.items[0].body is None


@pytest.mark.parametrize(
    ("query", "refs"),
    [
        (TaskQuery(status="closed"), ["T6"]),
        (TaskQuery(status="Resolved"), ["T6"]),
        (TaskQuery(status="open", priority="Unbreak Now!"), ["T2"]),
        (TaskQuery(priority="80"), ["T7", "T1"]),
        (TaskQuery(owner="carol"), ["T2"]),
        (TaskQuery(owner="none", project="security_review"), []),
        (TaskQuery(owner="none", priority="wish"), ["T4"]),
        (TaskQuery(project="#backend", column="in progress"), ["T2", "T1"]),
        (TaskQuery(text="hiccup"), ["T1"]),
        (TaskQuery(project="Security Review"), ["T2"]),
        (TaskQuery(updated_since=datetime(2026, 11, 22, 8, 41, tzinfo=UTC)), ["T2"]),
    ],
)
async def test_filters(provider: PhabricatorProvider, world: World, query: TaskQuery, refs: list[str]) -> None:
    """Each filter finds what the recorded world has."""
    as_map(world.task(7)["fields"])["priority"] = {"value": 80, "name": "High"}

    assert await _refs(provider, query) == refs


async def test_mine(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """`me` is the account of the token."""
    await _refs(provider, TaskQuery(owner="me"))

    asked = as_map(phorge.sent("maniphest.search")[0]["constraints"])
    assert asked["assigned"] == ["PHID-USER-jak5ckqa27svjr32g6up"]


async def test_quirk_8_priorities_are_numbers_in_searches(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """The word of an edit is refused in a search: it is sent as the number."""
    await _refs(provider, TaskQuery(priority="high"))

    assert transcript("maniphest.search.error-priority-keyword").answer["error_code"] == "ERR-CONDUIT-CORE"
    assert as_map(phorge.sent("maniphest.search")[0]["constraints"])["priorities"] == [80]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (TaskQuery(status="merged"), "There are: open, resolved"),
        (TaskQuery(priority="urgent"), "There are: unbreak, triage"),
        (TaskQuery(project="back"), "There are: .*backend"),
        (TaskQuery(project="backend", column="Doing"), "Its columns: Backlog, In Progress"),
        (TaskQuery(column="Done"), "give the project, too"),
        (TaskQuery(owner="nobody-here"), "There are: reviewbot"),
        (TaskQuery(refs=tuple(f"T{number}" for number in range(1, 102))), "At most 100"),
    ],
)
async def test_quirk_7_unknown_words_are_refused(
    provider: PhabricatorProvider, phorge: ConduitServer, query: TaskQuery, words: str
) -> None:
    """No search is made with a word that the server does not know."""
    with pytest.raises(InvalidInput, match=words):
        await provider.find_tasks(query, Page())

    assert phorge.sent("maniphest.search") == []


async def test_references_can_be_more_than_a_page(provider: PhabricatorProvider) -> None:
    """What is on a later page is not missing."""
    refs = tuple(f"T{number}" for number in range(1, 14))
    first = await provider.find_tasks(TaskQuery(refs=refs), Page(8))
    rest = await provider.find_tasks(TaskQuery(refs=refs), Page(8, first.position))

    assert sorted(task.ref for task in first.items + rest.items) == sorted(refs)


@pytest.mark.parametrize("refs", [("T5",), ("T1", "T99999")])
async def test_hidden_and_missing_tasks(connect: Connect, world: World, refs: tuple[str, ...]) -> None:
    """T5 is bob's alone, T99999 is nobody's: both are named as not there."""
    world.account = ALICE

    with pytest.raises(NotFound, match=rf"has no {refs[-1]}, or this account may not see it"):
        await connect().find_tasks(TaskQuery(refs=refs), Page())


async def test_quirk_10_a_task_on_no_board(provider: PhabricatorProvider) -> None:
    """Its boards come as an empty list instead of a map."""
    found = await provider.find_tasks(TaskQuery(refs=("T5",)), Page())

    assert found.items[0].columns == []


@pytest.mark.parametrize(
    ("name", "edit", "changed"),
    [
        ("maniphest.edit.priority", TaskEdit(task="T7", priority="High"), ["priority"]),
        ("maniphest.edit.status-resolved", TaskEdit(task="T6", status="resolved", comment="Done."), ["status", "comment"]),
        ("maniphest.edit.assign-and-unassign", TaskEdit(task="T7", owner="none"), ["owner"]),
        ("maniphest.edit.move-column", TaskEdit(task="T1", column="In Progress"), ["column"]),
        ("maniphest.edit.no-effect", TaskEdit(task="T6", status="resolved"), []),
    ],
)
async def test_quirk_8_edits_as_they_were_recorded(
    connect: Connect, phorge: ConduitServer, world: World, name: str, edit: TaskEdit, changed: list[str]
) -> None:
    """Keyword for the priority, null for nobody, a list for the column: the request is the recorded one."""
    world.account = ALICE
    as_map(world.task(7)["fields"]).update({"priority": {"value": 50, "name": "Normal"}, "ownerPHID": ALICE})
    as_map(as_map(world.task(1)["attachments"])["columns"])["boards"] = {
        "PHID-PROJ-xpocetjwszinsuta3xr4": {"columns": [{"id": 1, "phid": "PHID-PCOL-asey7ybbqsrq435yv46s", "name": "Backlog"}]}
    }
    if name != "maniphest.edit.no-effect":
        as_map(as_map(world.task(6)["fields"])["status"])["value"] = "open"
    phorge.play(name)

    saved = await connect().save_task(edit)

    assert phorge.sent("maniphest.edit") == [transcript(name).params]
    assert saved.changed == changed
    assert (saved.note is None) is bool(changed)


async def test_a_new_task(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """With its priority, owner, project and column, read back from the server."""
    world.account = ALICE
    saved = await connect().save_task(
        TaskEdit(
            title="Retries",
            body="Steps",
            priority="high",
            owner="bob",
            project="backend",
            column="In Review",
            parent="T1",
            link_changes=("D1",),
        )
    )

    assert saved.task.ref == "T14"
    assert saved.task.columns == [BoardColumn(board="backend", column="In Review")]
    assert (saved.task.priority, saved.task.parents, saved.task.changes) == ("high", ["T1"], ["D1"])
    assert sorted(saved.changed) == ["body", "changes", "column", "owner", "parent", "priority", "projects", "title"]
    assert saved.note is None
    kinds = [step["type"] for step in maps(phorge.sent("maniphest.edit")[0]["transactions"])]
    assert kinds == ["title", "description", "priority", "owner", "projects.add", "column", "parents.add"]


async def test_projects_are_added_once(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """A project that the task has is not added again, and one can be taken away."""
    saved = await provider.save_task(
        TaskEdit(task="T2", add_projects=("backend", "frontend"), remove_projects=("Security Review",))
    )

    assert sorted(saved.task.projects) == ["backend", "frontend"]
    assert saved.changed == ["projects"]
    steps = maps(phorge.sent("maniphest.edit")[0]["transactions"])
    assert [step["value"] for step in steps] == [["PHID-PROJ-mytwb6tr7km2wn3ilwtp"], ["PHID-PROJ-ex3cnuzq4ugn54t2t6zv"]]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (TaskEdit(task="T7", status="closed"), "There are: open, resolved"),
        (TaskEdit(task="T7", priority="urgent"), "There are: unbreak"),
        (TaskEdit(task="T7", owner="carl"), "There are: carol"),
        (TaskEdit(task="T2", column="Doing"), "Its columns: Backlog"),
        (TaskEdit(task="T4", column="Done"), "give the project, too"),
        (TaskEdit(body="no title"), "needs a title"),
        (TaskEdit(task="T1", title="  "), "needs a title"),
        (TaskEdit(task="T1"), "Nothing to change"),
        (TaskEdit(task="T1", comment="  "), "Nothing to change"),
    ],
)
async def test_quirk_8_unknown_words_are_never_stored(
    provider: PhabricatorProvider, phorge: ConduitServer, edit: TaskEdit, words: str
) -> None:
    """The server took the status `closed` and showed it as unknown; here no edit is made with such a word."""
    with pytest.raises(InvalidInput, match=words):
        await provider.save_task(edit)

    assert transcript("maniphest.edit.quirk-unknown-status-accepted").answer["error_code"] is None
    assert phorge.sent("maniphest.edit") == []


async def test_a_task_with_an_unknown_status_counts_as_closed(provider: PhabricatorProvider, world: World) -> None:
    """So does the server count it."""
    as_map(as_map(world.task(7)["fields"])["status"])["value"] = "closed"

    found = await provider.find_tasks(TaskQuery(refs=("T7",)), Page())

    assert (found.items[0].status, found.items[0].open) == ("closed", False)


async def test_a_link_to_a_change_that_is_not_there(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Nothing is written when one of the links cannot be made."""
    with pytest.raises(NotFound, match="D99999"):
        await provider.save_task(TaskEdit(task="T1", title="x", link_changes=("D1", "D99999")))

    assert phorge.sent("maniphest.edit") == []

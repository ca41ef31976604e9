"""What was sent, remembered over restarts and between processes."""

import subprocess
import sys
from pathlib import Path

import pytest
from opsroom_code_review.journal import Journal, key
from opsroom_code_review.models import ReplyResult
from opsroom_code_review.sending import once
from opsroom_shared.errors import Conflict, InvalidInput, NotPermitted, TimedOut, Unavailable


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "sent.sqlite")


def claimed_elsewhere(journal: Journal, *, lives: bool) -> "subprocess.Popen[bytes]":
    """Another process, which has claimed the key `k`, and lives on or has ended."""
    code = "import sys; from pathlib import Path; from opsroom_code_review.journal import Journal; "
    code += (
        f"Journal(Path({str(journal.file)!r})).claim(['k']); print('claimed', flush=True); {'sys.stdin.read()' if lives else ''}"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"claimed\n"
    if not lives:
        child.communicate()
    return child


def test_nothing_is_known_of_what_was_never_claimed(journal: Journal) -> None:
    """Looking makes no file."""
    assert journal.look(["k"]) == {}
    assert not journal.file.exists()


def test_what_was_sent_is_known_after_a_restart(journal: Journal) -> None:
    """A finished entry keeps its result; what was given back is free again."""
    journal.claim(["sent", "released"])
    journal.finish({"sent": "it went well"})
    journal.release(["released"])

    known = Journal(journal.file).look(["sent", "released", "other"])

    assert {name: (entry.state, entry.result) for name, entry in known.items()} == {"sent": ("sent", "it went well")}
    assert journal.file.parent.stat().st_mode & 0o077 == 0


def test_two_calls_do_not_send_the_same_at_once(journal: Journal) -> None:
    """What a living process is sending is refused to all others, all of it or nothing."""
    journal.claim(["a"])

    with pytest.raises(Conflict, match="right now"):
        journal.claim(["b", "a"])

    assert set(journal.look(["a", "b"])) == {"a"}


@pytest.mark.parametrize(("lives", "state"), [(True, "being_sent"), (False, "unknown")])
def test_a_claim_is_worth_as_much_as_its_process(journal: Journal, *, lives: bool, state: str) -> None:
    """Another process that lives is sending; of one that has ended nobody knows what it sent, and its claim can be taken."""
    child = claimed_elsewhere(journal, lives=lives)

    try:
        found = journal.look(["k"])["k"].state
        if not lives:
            journal.claim(["k"])
    finally:
        child.communicate()

    assert found == state


def test_a_folder_that_cannot_be_written_sends_nothing(tmp_path: Path) -> None:
    """Without a journal nothing could be kept from being sent twice."""
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable, match="Nothing was sent"):
        Journal(tmp_path / "file" / "sent.sqlite").claim(["k"])


def test_what_could_not_be_remembered_is_no_reason_to_repeat_it(journal: Journal) -> None:
    """After sending, a journal that fails says that it was sent, and is no failure that is tried again."""
    journal.claim(["k"])
    journal.file.write_bytes(b"no database" * 1_000)

    with pytest.raises(Conflict, match="It was sent, and could not be remembered") as failure:
        journal.finish({"k": None})

    assert failure.value.retryable is False


@pytest.mark.parametrize(("error", "kept"), [(InvalidInput("no"), False), (NotPermitted("no"), False), (TimedOut("?"), True)])
async def test_a_failure_gives_the_key_back_only_where_nothing_was_sent(
    journal: Journal, error: Exception, *, kept: bool
) -> None:
    """After a refusal the same call may be made again; after a lost answer nobody knows, and it says so."""

    async def fail() -> ReplyResult:
        raise error

    async def answer() -> ReplyResult:
        return ReplyResult(posted=True)

    with pytest.raises(type(error)):
        await once(journal, "k", ReplyResult, fail)

    if kept:
        with pytest.raises(Conflict, match="cut off in the middle"):
            await once(journal, "k", ReplyResult, answer)
    else:
        assert (await once(journal, "k", ReplyResult, answer))[1]


async def test_a_lost_answer_is_found_where_it_was_sent_to(journal: Journal) -> None:
    """What can be seen to have arrived is answered, and not sent again."""

    async def lost() -> ReplyResult:
        raise TimedOut("?")

    async def arrived() -> ReplyResult | None:
        return ReplyResult(posted=True, note="there")

    with pytest.raises(TimedOut):
        await once(journal, "k", ReplyResult, lost)
    answer, is_new = await once(journal, "k", ReplyResult, lost, arrived=arrived)
    again, _ = await once(journal, "k", ReplyResult, lost)

    assert (answer.note, again.note, is_new) == ("there", "there", False)


def test_keys_tell_their_parts_apart() -> None:
    """No two lists of parts make the same key by how they are joined."""
    assert len({key("a", "b"), key("ab"), key("a", "b", None), key("a", ["b"]), key("a,b")}) == 5

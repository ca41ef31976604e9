"""Sending reviews in the four ways that Phabricator leaves, and telling what became of each comment."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from opsroom_code_review.models import CommentOutcome
from opsroom_code_review.providers import InlineComment, Reply, Review
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted, ToolFailure

from .conduit_server import ConduitServer
from .conftest import Connect
from .transcripts import Map, as_map, maps, transcript
from .world import ALICE, BOB, BOT, CAROL, World

EDIT = "differential.revision.edit"
INLINE = "differential.createinline"
LOOP = InlineComment(
    index=0,
    path="widgets/http_client.py",
    old_path="widgets/http_client.py",
    side="new",
    line=15,
    end_line=20,
    ends=((None, 15), (None, 20)),
    quoted=("        for attempt in range(self.retries):", "            try:"),
    body="This swallows the last error. Re-raise it.",
)
OLD = replace(
    LOOP,
    index=1,
    side="old",
    line=6,
    end_line=6,
    ends=((6, None), (6, None)),
    quoted=("def __init__",),
    body="Why does it change?",
)
BOTH = Review("D1", "25", "comment", "Two things.", (LOOP, OLD))


def _states(outcomes: Sequence[CommentOutcome]) -> list[tuple[int, str]]:
    return [(outcome.index, outcome.state) for outcome in outcomes]


def _steps(params: Map) -> list[tuple[str, object]]:
    return [(str(step["type"]), step["value"]) for step in maps(params["transactions"])]


@pytest.fixture
def bot(world: World, connect: Connect) -> PhabricatorProvider:
    """A provider with a bot's token, which by itself says everything in the summary."""
    world.account = BOT
    return connect()


async def test_a_comment_as_it_was_recorded(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Request, answer and the history in which the comment is read back are those of a real server."""
    phorge.play("differential.revision.edit.comment", "transaction.search.after-comment")

    sent = await provider.submit(Review("D2", "2", "comment", "One blocking issue, see the inline."))

    assert phorge.sent(EDIT) == [transcript("differential.revision.edit.comment").params]
    assert sent.url is not None
    assert sent.url.endswith("/D2#177")
    assert sent.note is None


@pytest.mark.parametrize(
    ("name", "account", "number", "before", "review"),
    [
        (
            "request-changes",
            BOB,
            2,
            {BOB: "added", CAROL: "blocking"},
            Review("D2", "2", "request_changes", "Needs the placeholder fix before it can land."),
        ),
        ("accept", BOB, 3, {BOB: "added"}, Review("D3", "27", "accept", "Nice.")),
        ("accept-partly", CAROL, 10, {CAROL: "added", BOB: "added"}, Review("D10", "10", "accept", "")),
    ],
)
async def test_quirk_14_verdicts_as_they_were_recorded(
    connect: Connect,
    phorge: ConduitServer,
    world: World,
    name: str,
    account: str,
    number: int,
    before: dict[str, str],
    review: Review,
) -> None:
    """The verdict is `true` under the edit's own word, in one call with the comment, and is read back."""
    world.account = account
    world.reset(number, "needs-review", before)
    phorge.play(f"{EDIT}.{name}")

    sent = await connect().submit(review)

    assert phorge.sent(EDIT) == [transcript(f"{EDIT}.{name}").params]
    assert sent.note is None


async def test_summary_says_everything_in_one_call(bot: PhabricatorProvider, phorge: ConduitServer) -> None:
    """The comments of a bot stand in the summary with their lines, and each outcome is read back."""
    sent = await bot.submit(replace(BOTH, verdict="request_changes"))

    assert _states(sent.outcomes) == [(0, "in_summary"), (1, "in_summary")]
    (kind, value), (_, text) = _steps(phorge.sent(EDIT)[0])
    assert (kind, value) == ("reject", True)
    assert isinstance(text, str)
    assert text.startswith("Two things.\n\nComments on version 25:\n\n`widgets/http_client.py:15-20`\n\n```\n        for attempt")
    assert "`widgets/http_client.py:6 (old)`" in text
    assert sent.url is not None
    assert sent.outcomes[0].thread == sent.url.rsplit("/", 1)[1]
    assert len(phorge.sent(EDIT)) == 1


async def test_auto_asks_who_it_is(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """A person's comments become drafts, a bot's go into the summary: nobody else could see a bot's drafts."""
    person = await connect().submit(BOTH)
    world.account = BOT
    bot = await connect().submit(BOTH)

    assert _states(person.outcomes) == [(0, "draft"), (1, "draft")]
    assert _states(bot.outcomes) == [(0, "in_summary"), (1, "in_summary")]
    assert len(phorge.sent(INLINE)) == 2


async def test_quirk_17_drafts_and_their_numbers(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """`lineLength` counts lines beyond the first, the side is a boolean, and the reason says who sees the draft."""
    sent = await provider.submit(BOTH)

    first, second = phorge.sent(INLINE)
    assert first == {
        "revisionID": 1,
        "diffID": 25,
        "filePath": "widgets/http_client.py",
        "isNewFile": True,
        "lineNumber": 15,
        "lineLength": 5,
        "content": LOOP.body,
    }
    assert (second["isNewFile"], second["lineNumber"], second["lineLength"]) == (False, 6, 0)
    assert sent.outcomes[0].reason is not None
    assert sent.outcomes[0].reason.startswith("a draft that only bob sees until they press Submit at http")
    assert _steps(phorge.sent(EDIT)[0]) == [("comment", "Two things.")]


async def test_quirk_17_a_draft_at_another_place_is_not_claimed(provider: PhabricatorProvider, world: World) -> None:
    """What the server says that it stored is compared with what was sent."""
    world.misplaced_by = 1

    sent = await provider.submit(BOTH)

    assert _states(sent.outcomes) == [(0, "rejected"), (1, "rejected")]
    assert sent.outcomes[0].reason is not None
    assert "at another place" in sent.outcomes[0].reason


async def test_a_draft_that_is_refused_is_rejected_alone(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """One file that the server does not find costs that comment; the rest is sent and told."""
    missing = replace(LOOP, index=1, path="nope.py")

    sent = await provider.submit(replace(BOTH, comments=(LOOP, missing)))

    assert _states(sent.outcomes) == [(0, "draft"), (1, "rejected")]
    assert sent.outcomes[1].reason is not None
    assert "file" in sent.outcomes[1].reason
    assert len(phorge.sent(EDIT)) == 1


async def test_lint_shows_comments_beside_the_lines(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """Results of a lint run are public at once; a comment on the old side, which lint does not know, is in the summary."""
    sent = await connect(inline="lint").submit(replace(BOTH, verdict="request_changes"))

    assert _states(sent.outcomes) == [(0, "published"), (1, "in_summary")]
    assert phorge.sent("harbormaster.queryautotargets") == [transcript("harbormaster.queryautotargets").params]
    message = phorge.sent("harbormaster.sendmessage")[0]
    assert (message["receiver"], message["type"]) == ("PHID-HMBT-yh5wbxk2df4zvwuoknmv", "fail")
    assert [(entry["path"], entry["line"], entry["severity"]) for entry in world.lint] == [
        ("widgets/http_client.py", 15, "warning")
    ]
    assert sent.outcomes[0].reason is not None
    assert "cannot be read back" in sent.outcomes[0].reason


async def test_quirk_19_lint_sends_only_words_that_are_known(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """Unknown types and severities are taken in silence, as was recorded; only known ones are sent."""
    await connect(inline="lint").submit(BOTH)

    assert transcript("harbormaster.sendmessage.quirk-unknown-type-accepted").answer["error_code"] is None
    assert transcript("harbormaster.sendmessage.quirk-unknown-severity-accepted").answer["error_code"] is None
    assert phorge.sent("harbormaster.sendmessage")[0]["type"] == "pass"
    assert world.lint[0]["severity"] == "advice"


async def test_legacy_finds_out_that_it_does_not_work(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """Phorge ignores attach_inlines: one draft is enough to see it, and everything is in the summary, now and later."""
    provider = connect(inline="legacy")
    first = await provider.submit(BOTH)
    drafts = len(phorge.sent(INLINE))
    second = await provider.submit(BOTH)

    assert _states(first.outcomes) == [(0, "in_summary"), (1, "in_summary")]
    assert first.note is not None
    assert "a draft of the first one is left" in first.note
    assert drafts == 1
    assert _states(second.outcomes) == [(0, "in_summary"), (1, "in_summary")]
    assert len(phorge.sent(INLINE)) == 1
    assert (await provider.change("D1")).can.publish_inline is False
    assert len(world.drafts) == 1


async def test_legacy_publishes_where_the_server_does(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """On a fork that attaches drafts each comment is found in the history before it is called published."""
    world.publishes_inlines = True
    provider = connect(inline="legacy")

    sent = await provider.submit(BOTH)

    assert _states(sent.outcomes) == [(0, "published"), (1, "published")]
    threads = {thread.id: thread for thread in await provider.threads(change="D1", task=None)}
    thread = sent.outcomes[0].thread
    assert thread is not None
    assert threads[thread].comments[0].text == LOOP.body
    asked = phorge.sent("differential.createcomment")[0]
    assert (asked["action"], asked["attach_inlines"]) == ("none", True)
    assert (await provider.change("D1")).can.publish_inline is True


async def test_a_version_that_has_moved_on(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Nothing is written to a revision that has a newer diff; the words name it."""
    with pytest.raises(Conflict, match="its version is 25, not 1"):
        await provider.submit(replace(BOTH, version="1"))

    assert phorge.sent(INLINE) == phorge.sent(EDIT) == []


@pytest.mark.parametrize(
    ("account", "review", "kind", "words"),
    [
        (ALICE, Review("D1", "25", "accept", ""), NotPermitted, "this account's own"),
        (ALICE, Review("D1", "25", "request_changes", "x"), NotPermitted, "this account's own"),
        (CAROL, Review("D4", "4", "accept", ""), Conflict, "takes no verdict any more"),
        (BOB, Review("D3", "27", "request_changes", "x"), Conflict, "takes no verdict any more"),
        (BOB, Review("D1", "25", "comment", "  "), InvalidInput, "needs a verdict, a summary or a comment"),
        (ALICE, Review("D9", "9", "comment", "x"), NotFound, "may not see it"),
    ],
)
async def test_reviews_that_are_not_sent(
    connect: Connect, phorge: ConduitServer, world: World, account: str, review: Review, kind: type[ToolFailure], words: str
) -> None:
    """What the server would refuse, is refused before anything is written."""
    world.account = account
    number = int(review.change[1:])
    as_map(as_map(world.revision(number)["fields"])["status"])["closed"] = number in (3, 4)

    with pytest.raises(kind, match=words):
        await connect().submit(review)

    assert phorge.sent(EDIT) == []


async def test_quirk_14_accepting_twice_is_done_already(
    provider: PhabricatorProvider, phorge: ConduitServer, world: World
) -> None:
    """A verdict that stands is not sent again, which the server would refuse together with the comment."""
    world.reset(1, "needs-review", {BOB: "accepted"})

    sent = await provider.submit(Review("D1", "25", "accept", "Still fine."))

    assert _steps(phorge.sent(EDIT)[0]) == [("comment", "Still fine.")]
    assert sent.note is not None
    assert "was so already" in sent.note


async def test_quirk_14_accepted_in_the_meantime(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """The refusal of a second accept, recorded, costs only the verdict: the comment is sent by itself."""
    world.reset(3, "needs-review", {BOB: "added"})
    params = transcript("differential.revision.edit.error-accept-twice").params
    phorge.play("differential.revision.edit.error-accept-twice")

    sent = await connect().submit(Review("D3", "27", "accept", ""))

    assert phorge.sent(EDIT) == [params]
    assert sent.note == "This account had accepted already; that stands."


async def test_quirk_14_one_call_is_atomic(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """A refused verdict takes the comment with it, so the failure is raised and nothing is claimed."""
    phorge.play("differential.revision.edit.error-atomicity")
    refused = transcript("differential.revision.edit.error-atomicity")

    assert [step["type"] for step in maps(refused.params["transactions"])] == ["comment", "reject"]
    assert refused.answer["error_code"] == "ERR-CONDUIT-CORE"
    with pytest.raises(Conflict, match="takes no verdict any more"):
        await provider.submit(Review("D3", "27", "request_changes", "should not be stored"))


async def test_a_verdict_that_is_refused_leaves_no_drafts(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """The verdict goes first: when the server refuses it, nothing at all was sent."""
    world.reset(3, "needs-review", {BOB: "added"})
    phorge.play("differential.revision.edit.error-comment-on-published-verdict")

    with pytest.raises(Conflict, match="already been closed"):
        await connect().submit(Review("D3", "27", "request_changes", "", (LOOP,)))

    assert phorge.sent(INLINE) == []


async def test_once_something_is_written_the_rest_is_told(connect: Connect, phorge: ConduitServer, world: World) -> None:
    """The summary is there; when the drafts then fail, the answer says so instead of hiding what was sent."""
    world.refuses = ("differential.createinline", "differential.createinline.error-bad-revision")

    sent = await connect().submit(BOTH)

    assert _states(sent.outcomes) == [(0, "rejected"), (1, "rejected")]
    assert sent.url is not None
    assert "/D1#" in sent.url
    assert len(phorge.sent(EDIT)) == 1


async def test_nothing_written_is_a_failure(connect: Connect, world: World) -> None:
    """Without a summary the first draft is the first write: when it fails, so does the call."""
    world.refuses = ("differential.createinline", "differential.createinline.error-bad-revision")

    with pytest.raises(NotFound):
        await connect().submit(replace(BOTH, summary=""))


async def test_lint_that_fails_after_the_summary(connect: Connect, world: World) -> None:
    """What was said stays said, and the comments are told as rejected with the reason."""
    world.refuses = ("harbormaster.sendmessage", "error.read-only-mode-write")

    sent = await connect(inline="lint").submit(BOTH)

    assert _states(sent.outcomes) == [(0, "rejected"), (1, "in_summary")]
    assert sent.outcomes[0].reason is not None
    assert "read-only mode" in sent.outcomes[0].reason


async def test_a_history_that_cannot_be_read_back(bot: PhabricatorProvider, world: World) -> None:
    """What was taken is told as taken and not read back, so that nobody sends it again."""
    world.refuses = ("transaction.search", "error.read-only-mode-write")

    sent = await bot.submit(BOTH)

    assert _states(sent.outcomes) == [(0, "in_summary"), (1, "in_summary")]
    assert sent.note == "It was taken, and could not be read back."


async def test_quirk_18_suggestions_are_code(bot: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Remarkup has no suggestions: a fence of that name is plain code there, so they are announced in words."""
    rendered = as_map(transcript("remarkup.process.markdown-differences").answer)
    await bot.submit(replace(BOTH, comments=(replace(LOOP, suggestion="raise last\nreturn"),)))

    assert "suggestion" in str(rendered)
    text = str(maps(phorge.sent(EDIT)[0]["transactions"])[0]["value"])
    assert text.endswith("Re-raise it.\n\nSuggestion:\n\n```\nraise last\nreturn\n```")


async def test_quirk_16_quoted_lines_cannot_act(bot: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Mentions in the lines of a diff would subscribe people: they stand in code, whatever fences the lines have."""
    quoted = ("cc @carol, see T4", "```", "{F1} @bob")
    await bot.submit(replace(BOTH, comments=(replace(LOOP, quoted=quoted),)))

    text = str(maps(phorge.sent(EDIT)[0]["transactions"])[0]["value"])
    assert "    cc @carol, see T4\n    ```\n    {F1} @bob\n" in text


async def test_a_reply_quotes(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """There is no answering in a thread: a comment quotes it, inert, and the note says so."""
    answer = await provider.reply(Reply("D1", "D1#inline-5", "Done in version 25."))

    ((kind, text),) = _steps(phorge.sent(EDIT)[0])
    assert kind == "comment"
    assert text == (
        "In reply to bob on `widgets/http_client.py:15`:\n\n"
        "```\nThis swallows the last error and returns `None`. Re-raise after the final attempt.\n```\n\nDone in version 25."
    )
    assert answer.posted is True
    assert answer.resolved is None
    assert answer.note is not None
    assert "a comment on D1 that quotes it" in answer.note
    assert answer.url is not None
    assert "/D1#" in answer.url


@pytest.mark.parametrize("thread", ["inline-10", "D1#inline-10", "d1#INLINE-10"])
async def test_a_reply_to_an_answer_is_one_to_its_thread(
    provider: PhabricatorProvider, phorge: ConduitServer, thread: str
) -> None:
    """Any comment of a thread names it, with or without the revision in front."""
    await provider.reply(Reply("D1", thread, "Yes."))

    assert "In reply to bob" in str(phorge.sent(EDIT)[0])


async def test_a_reply_to_a_bare_verdict(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """Carol accepted D10 without a word; that can be answered, too."""
    await provider.reply(Reply("D10", "D10#200", "Thanks."))

    assert str(maps(phorge.sent(EDIT)[0]["transactions"])[0]["value"]) == "In reply to carol:\n\n```\naccept\n```\n\nThanks."


async def test_a_reply_on_a_task(provider: PhabricatorProvider, phorge: ConduitServer) -> None:
    """The thread itself says that it is a task's; what alice is asked in it does not ask her again."""
    answer = await provider.reply(Reply(None, "T1#77", "I will."))

    text = str(maps(phorge.sent("maniphest.edit")[0]["transactions"])[0]["value"])
    assert answer.posted is True
    assert "    I can reproduce this on **main**. @alice can you look?" in text


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply("D1", "D1#inline-5", "x", resolve=True), NotPermitted, "a person marks it as done at"),
        (Reply("D1", "D1#inline-5", None, resolve=False), NotPermitted, "resolve or reopen"),
        (Reply("D1", "D1#inline-5", "  "), InvalidInput, "needs a body"),
        (Reply("D1", "D1#inline-999", "x"), NotFound, "no thread"),
        (Reply("D1", "D2#178", "x"), InvalidInput, "does not belong to D1"),
        (Reply("D1", "PHID-XCMT-1", "x"), InvalidInput, "is no thread"),
        (Reply(None, "178", "x"), InvalidInput, "which change"),
    ],
)
async def test_replies_that_are_not_sent(
    provider: PhabricatorProvider, phorge: ConduitServer, reply: Reply, kind: type[ToolFailure], words: str
) -> None:
    """Nothing is posted where a part of what was asked cannot be done."""
    with pytest.raises(kind, match=words):
        await provider.reply(reply)

    assert phorge.sent(EDIT) == []

"""The client of Conduit on recorded answers. The numbers are those of the quirks that a client writer must know."""

import json
import logging
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from opsroom_code_review.providers.phabricator.conduit import Conduit, own_cursor
from opsroom_code_review.providers.phabricator.wire import Build, Results, Revision, TaskRecord, User, as_map
from opsroom_shared.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    RateLimited,
    TooLarge,
    ToolFailure,
    Unavailable,
)
from pydantic import SecretStr

from .conduit_server import TOKEN, ConduitServer, sockets
from .transcripts import Transcript, names, transcript

_SEARCH = "differential.revision.search"


@pytest_asyncio.fixture
async def conduit(recorder: ConduitServer) -> AsyncGenerator[Conduit]:
    client = Conduit("phorge", recorder.url, SecretStr(TOKEN), seconds=30, transport=sockets())
    yield client
    await client.aclose()


def recorded(name: str) -> Transcript:
    return transcript(f"differential.createinline.{name}")


async def _failure(conduit: Conduit, method: str = "user.whoami") -> ToolFailure:
    with pytest.raises(ToolFailure) as caught:
        await conduit.call(method)
    return caught.value


async def test_quirk_1_params_is_one_field_of_json(conduit: Conduit, recorder: ConduitServer) -> None:
    """A call is a form with `params` as JSON, which keeps types; the server checks the rest of the form."""
    recorder.play("user.whoami")

    answer = await conduit.call("user.whoami")

    assert isinstance(answer, dict)
    assert answer["userName"] == "bob"
    assert recorder.problems == []
    assert recorder.requests[0].token == TOKEN


async def test_quirk_1_true_stays_true(conduit: Conduit, recorder: ConduitServer) -> None:
    """As a field of a form, `true` was stored as the old side of a diff; as JSON it is the new one."""
    recorder.play("differential.createinline.new-side")

    answer = await conduit.call("differential.createinline", json.loads(json.dumps(recorded("new-side").params)), writes=True)

    assert recorder.requests[0].params["isNewFile"] is True
    assert isinstance(answer, dict)
    assert answer["isNewFile"] == 1
    assert '"isNewFile": 0' in recorded("form").body


async def test_quirk_2_a_write_that_failed_is_not_sent_again(conduit: Conduit, recorder: ConduitServer) -> None:
    """GET writes, too, and a repeated POST would write twice: a write goes out once, as a POST."""
    recorder.always("error.database-down")

    with pytest.raises(Unavailable):
        await conduit.call("maniphest.edit", {"objectIdentifier": "T1"}, writes=True)

    assert recorder.methods == ["maniphest.edit"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("error.http-404", Unavailable, "Check the address"),
        ("error.no-method", Unavailable, "Check the address"),
        ("output-human", Unavailable, "Check the address"),
        ("error.unknown-host", Unavailable, "base URI"),
        ("error.unknown-host-localhost", Unavailable, "base URI"),
        ("error.database-down", Unavailable, "database may be down"),
        ("error.database-down-ping", Unavailable, "database may be down"),
        ("error.rate-limited", RateLimited, "too many requests"),
    ],
)
async def test_quirk_3_answers_that_are_not_json(
    conduit: Conduit, recorder: ConduitServer, name: str, kind: type[ToolFailure], words: str
) -> None:
    """What is not JSON, whatever its HTTP status, is told by its content type and never parsed."""
    recorder.always(name)

    failure = await _failure(conduit)

    assert type(failure) is kind
    assert words in str(failure)


@pytest.mark.parametrize("name", [name for name in names("error.") if "read-only-mode-read" not in name])
async def test_quirk_3_no_token_comes_back(recorder: ConduitServer, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """Auth errors, and a JSON body taken for a parameter, echo the token: no message, log line or exception has it."""
    recorder.always(name)
    token = transcript(name).token or "api-token-redacted"
    echoed = ["api-xxxxxxxxxxxxxxxxxxxxxxxxxxxx", "api-short", "zzz-xxxxxxxxxxxxxxxxxxxxxxxxxxxx", token]
    secret = next(part for part in echoed if part in transcript(name).body or part == token)
    client = Conduit("phorge", recorder.url, SecretStr(secret), seconds=30, transport=sockets())

    with caplog.at_level(logging.DEBUG), pytest.raises(ToolFailure) as caught:
        await client.call("user.whoami")
    await client.aclose()
    recorder.requests.clear()

    seen = " ".join(
        [str(caught.value), repr(caught.value), str(caught.value.__cause__), str(caught.value.__context__), caplog.text]
    )
    assert not [part for part in echoed if part in seen]


async def test_quirk_3_another_token_than_ours_is_redacted_too(conduit: Conduit, recorder: ConduitServer) -> None:
    """What has the shape of a token goes, whosever it is."""
    recorder.always("error.json-content-type-charset")

    failure = await _failure(conduit)

    assert "api-token" not in str(failure)
    assert "does not define these parameters" in str(failure)


async def test_quirk_3_no_cookie_is_kept(conduit: Conduit, recorder: ConduitServer) -> None:
    """Each answer sets a session cookie; no request brings one back, which the server would report."""
    recorder.always("user.whoami")

    for _ in range(3):
        await conduit.call("user.whoami")

    assert len(recorder.requests) == 3
    assert recorder.problems == []


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("error.bad-token", NotPermitted, "not valid"),
        ("error.bad-token-form", NotPermitted, "not valid"),
        ("error.bad-token-length", NotPermitted, "32 characters"),
        ("error.bad-token-prefix", NotPermitted, "32 characters"),
        ("error.expired-token", NotPermitted, "expired"),
        ("error.disabled-account", NotPermitted, "may be disabled"),
        ("error.no-token", NotPermitted, "has no API token"),
        ("error.empty-token", NotPermitted, "has no API token"),
        ("error.unknown-method", Unavailable, "does not exist"),
        ("error.method-case", Unavailable, "does not exist"),
        (f"{_SEARCH}.error-unknown-param", Unavailable, "foo"),
        ("error.read-only-mode-write", Unavailable, "read-only mode"),
        ("error.params-not-json", InvalidInput, "Invalid parameter"),
        ("error.json-content-type", InvalidInput, "form-encoded"),
        (f"{_SEARCH}.error-constraint-type", InvalidInput, "refused"),
        (f"{_SEARCH}.error-bad-order", InvalidInput, "Supported orders"),
        (f"{_SEARCH}.error-bad-querykey", InvalidInput, "refused"),
        (f"{_SEARCH}.error-bad-cursor", Unavailable, "failed inside"),
        ("maniphest.search.error-bad-limit", InvalidInput, "100"),
        ("differential.getrawdiff.error-not-found", NotFound, "no such object"),
        ("differential.getrawdiff.error-missing-param", NotFound, "no such object"),
        ("transaction.search.error-not-found", NotFound, "no such object"),
        ("differential.createinline.error-bad-revision", NotFound, "no such object"),
        ("differential.createinline.error-bad-file", InvalidInput, "file"),
        ("differential.createinline.error-bad-diff", InvalidInput, "diff"),
        ("differential.createinline.error-need-diff", InvalidInput, "refused"),
        ("differential.createinline.error-missing-param", Unavailable, "failed inside"),
        ("differential.revision.edit.error-no-such", NotFound, "no such object"),
        ("differential.revision.edit.error-accept-own", NotPermitted, "author"),
        ("differential.revision.edit.error-abandon-other", NotPermitted, "not the author"),
        ("differential.revision.edit.error-accept-abandoned", Conflict, "already been closed"),
        ("differential.revision.edit.error-accept-twice", Conflict, "already accepted"),
        ("differential.revision.edit.error-create-missing", InvalidInput, "test plan"),
        ("maniphest.edit.error-bad-priority-word", InvalidInput, "unbreak"),
        ("maniphest.edit.error-no-such-task", NotFound, "no such object"),
    ],
)
async def test_quirk_4_every_refusal_has_its_kind(
    conduit: Conduit, recorder: ConduitServer, name: str, kind: type[ToolFailure], words: str
) -> None:
    """Conduit refuses with HTTP 200 and a code, nearly always the same one; the words tell what it means."""
    recorder.always(name)

    failure = await _failure(conduit)

    assert type(failure) is kind
    assert words in str(failure)


async def test_quirk_4_says_how_to_set_the_token(conduit: Conduit, recorder: ConduitServer) -> None:
    """A person learns where to make a token and where to put it."""
    recorder.always("error.bad-token")

    failure = await _failure(conduit)

    assert f"{recorder.url}/settings/" in str(failure)
    assert "PHABRICATOR_API_TOKEN" in str(failure)
    assert "~/.arcrc" in str(failure)


async def test_without_a_token_nothing_is_asked(recorder: ConduitServer) -> None:
    """Without a token no request is made, and the words say what is missing."""
    client = Conduit("phorge", recorder.url, None, seconds=30, transport=sockets())

    failure = await _failure(client)
    await client.aclose()

    assert isinstance(failure, NotPermitted)
    assert recorder.requests == []


async def test_quirk_5_pages_go_on_with_the_cursor(conduit: Conduit, recorder: ConduitServer) -> None:
    """`after` is a text, sent back with the same order and limit."""
    recorder.play(f"{_SEARCH}.page1", f"{_SEARCH}.page2")

    first = await conduit.search(Revision, _SEARCH, order="newest", limit=5)
    second = await conduit.search(Revision, _SEARCH, order="newest", limit=5, after=first.cursor.after)

    assert [revision.id for revision in first.data] == [25, 24, 23, 22, 21]
    assert [revision.id for revision in second.data] == [20, 19, 18, 17, 16]
    assert second.cursor.after == "16"


async def test_quirk_5_a_listing_is_bounded(conduit: Conduit, recorder: ConduitServer) -> None:
    """More pages than are allowed are an error, because a part would look like the whole."""
    recorder.play("maniphest.search.all")

    with pytest.raises(TooLarge, match="more than 5 tasks"):
        await conduit.everything(
            TaskRecord,
            "maniphest.search",
            attachments=("projects", "subscribers", "columns"),
            most=5,
            what="tasks",
            more={"limit": 5},
        )


@pytest.mark.parametrize("position", ["zzz", 5, ["1"], "-1", "1" * 30, "٣"])
def test_quirk_5_a_foreign_cursor_is_not_sent(position: str | int | list[str]) -> None:
    """The server answers a garbage cursor with SQL; what cannot be its own is refused before."""
    with pytest.raises(InvalidInput, match="cursor"):
        own_cursor(position if not isinstance(position, list) else list(position))


@pytest.mark.parametrize(
    "name",
    [
        f"{_SEARCH}.error-unknown-constraint",
        f"{_SEARCH}.error-unknown-attachment",
        f"{_SEARCH}.error-attachment-reviewers-extra",
        "maniphest.search.error-constraint-projectPHIDs",
    ],
)
async def test_quirk_6_an_unknown_key_fails_the_call(conduit: Conduit, recorder: ConduitServer, name: str) -> None:
    """Which key it is, is not said: the words name the method."""
    recorder.play(name)

    with pytest.raises(InvalidInput, match="does not know a filter of"):
        await conduit.call(transcript(name).method, json.loads(json.dumps(transcript(name).params)))


async def test_quirk_7_an_empty_constraint_is_not_sent(conduit: Conduit, recorder: ConduitServer) -> None:
    """Conduit drops an empty list and finds everything, as was recorded; so none is ever sent."""
    with pytest.raises(ValueError, match="would ignore the empty usernames"):
        await conduit.search(User, "user.search", constraints={"usernames": []})

    assert len(transcript("user.search.empty-list-constraint").data) == 5
    assert recorder.requests == []


async def test_quirk_10_empty_maps_come_as_lists(conduit: Conduit, recorder: ConduitServer) -> None:
    """`[]` stands for an empty map in answers."""
    recorder.play("differential.querydiffs.empty", "maniphest.search.quirk-empty-boards")

    nothing = await conduit.call("differential.querydiffs", {"ids": [99999]})
    tasks = await conduit.search(TaskRecord, "maniphest.search", constraints={"ids": [5, 1]}, attachments=("columns",))

    assert nothing == []
    assert as_map(nothing) == {}
    assert tasks.data[0].boards == {}
    assert [column.name for column in next(iter(tasks.data[1].boards.values())).columns] == ["In Progress"]


async def test_quirk_11_times_are_epoch_seconds(conduit: Conduit, recorder: ConduitServer) -> None:
    """Times come as epoch seconds and leave as UTC."""
    recorder.play(f"{_SEARCH}.no-attachments")

    page = await conduit.search(Revision, _SEARCH, constraints={"ids": [1]})

    assert page.data[0].modified is not None
    assert page.data[0].modified.isoformat() == "2026-11-22T08:29:47+00:00"


async def test_quirk_11_a_refusal_does_not_name_the_owner(conduit: Conduit, recorder: ConduitServer) -> None:
    """One method says who owns what the caller may not see; that does not get through."""
    recorder.always("differential.createinline.error-restricted")

    failure = await _failure(conduit, "differential.createinline")

    assert isinstance(failure, NotFound)
    assert "bob" not in str(failure)


async def test_an_answer_of_another_shape_is_no_success(conduit: Conduit, recorder: ConduitServer) -> None:
    """Results that do not have the fields that are needed are Unavailable, without their contents."""
    recorder.always("user.search")

    with pytest.raises(Unavailable, match="form that this server does not know"):
        await conduit.read(Results[Build], "harbormaster.build.search")


async def test_a_method_with_another_path_is_not_called(conduit: Conduit, recorder: ConduitServer) -> None:
    """What is no method's name never becomes part of an address."""
    with pytest.raises(ValueError, match="no method"):
        await conduit.call("../login")

    assert recorder.requests == []

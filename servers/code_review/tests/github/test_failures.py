"""What GitHub refuses, in words that say what to do."""

from typing import TYPE_CHECKING

import pytest
from opsroom_code_review.providers import ChangeEdit, ChangeQuery, FileAt, Page
from opsroom_code_review.providers.github import GitHubProvider
from opsroom_shared.errors import (
    InvalidInput,
    NotFound,
    NotPermitted,
    RateLimited,
    TimedOut,
    TooLarge,
    ToolFailure,
    Unavailable,
)
from opsroom_shared.redact import redact

from .conftest import Connect
from .forge import TOKEN, Answer, Forge
from .world import pull, repository

if TYPE_CHECKING:
    from pydantic import JsonValue

FILE = "GET /repos/acme/shop/contents/a.py"
HTML = "text/html"
SSO = {"x-github-sso": "required; url=https://github.example/orgs/acme/sso?authorization_request=x"}


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (Answer(401, {"message": "Bad credentials"}), NotPermitted, "wrong, expired or revoked"),
        (Answer(403, {"message": "Resource not accessible by integration"}), NotPermitted, "Resource not accessible"),
        (Answer(403, {"message": "Resource protected by organization SAML enforcement."}, SSO), NotPermitted, "single sign-on"),
        (Answer(403, {"message": "You have exceeded a secondary rate limit."}), RateLimited, "secondary rate limit"),
        (Answer(403, {"message": "API rate limit exceeded"}, {"retry-after": "60"}), RateLimited, "wait for 60 s"),
        (Answer(409, {"message": "Git Repository is empty."}), InvalidInput, "is empty"),
        (
            Answer(422, {"message": "Validation Failed", "errors": [{"resource": "X", "code": "invalid"}]}),
            InvalidInput,
            "X invalid",
        ),
        (Answer(422, {"message": "No.", "errors": "in one word"}), InvalidInput, "No.; in one word"),
        (Answer(500, {"message": "oops"}), Unavailable, "HTTP 500"),
        (Answer(500, b"<html>", kind=HTML), Unavailable, "not in JSON"),
        (Answer(418, b"[1]"), Unavailable, "HTTP 418"),
    ],
)
async def test_refusals_of_rest(
    forge: Forge, hub: GitHubProvider, answer: Answer, failure: type[ToolFailure], words: str
) -> None:
    """Each refusal has its kind, and words of what was wrong."""
    forge.on(FILE, answer)

    with pytest.raises(failure, match=words):
        await hub.file(FileAt("a.py", repo="acme/shop"))


def problem(message: str, kind: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    error: dict[str, JsonValue] = {"message": message, **({"type": kind} if kind else {})}
    return Answer(body={"data": None, "errors": [error]}, headers=headers or {})


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (problem("API rate limit already exceeded", "RATE_LIMITED"), RateLimited, "Try again later"),
        (
            problem("API rate limit already exceeded", "RATE_LIMITED", {"x-ratelimit-reset": "4102444800"}),
            RateLimited,
            r"wait for [\d,]+ s",
        ),
        (problem("Your token lacks ['read:org']", "INSUFFICIENT_SCOPES"), NotPermitted, "read:org"),
        (problem("Resource not accessible", "FORBIDDEN"), NotPermitted, "not accessible"),
        (problem("Resource protected by organization SAML enforcement."), NotPermitted, "SAML"),
        (
            problem("Something went wrong while executing your query. This may be the result of a timeout"),
            TimedOut,
            "Ask for less",
        ),
        (problem("Field 'x' doesn't exist on type 'PullRequest'", "undefinedField"), Unavailable, "doesn't exist"),
        (problem("Too many nodes", "MAX_NODE_LIMIT_EXCEEDED"), TooLarge, "Too many nodes"),
        (Answer(401, {"message": "Bad credentials"}), NotPermitted, "expired"),
        (
            Answer(body={"data": {"repository": {"item": {"__typename": "PullRequest"}}}}),
            Unavailable,
            "form that is not GitHub's",
        ),
        (Answer(body=[1, 2]), Unavailable, "form that is not GitHub's"),
        (Answer(200, b"<html>Log in</html>", kind=HTML), Unavailable, "did not answer in JSON"),
    ],
)
async def test_refusals_of_graphql(
    forge: Forge, hub: GitHubProvider, answer: Answer, failure: type[ToolFailure], words: str
) -> None:
    """A 200 with errors is a failure, of the kind that the errors name."""
    forge.graphql_answers = [answer]

    with pytest.raises(failure, match=words):
        await hub.change("acme/shop#12")


async def test_a_limit_beside_data(forge: Forge, hub: GitHubProvider) -> None:
    """Half an answer because of a rate limit is no answer."""
    forge.root["repository"] = repository(pull())
    forge.errors = [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]

    with pytest.raises(RateLimited):
        await hub.change("acme/shop#12")


async def test_a_query_is_repeated(forge: Forge, hub: GitHubProvider) -> None:
    """A query changes nothing, so it is sent again where GitHub was away for a moment."""
    forge.root["repository"] = repository(pull())
    forge.graphql_answers = [Answer(502, b"", kind=HTML, headers={"retry-after": "0"})]

    details = await hub.change("acme/shop#12")

    assert details.change.ref == "acme/shop#12"
    assert len(forge.requests) == 2


async def test_a_repository_that_was_renamed(forge: Forge, hub: GitHubProvider) -> None:
    """A read follows a renamed repository; a write is told its name is old."""
    forge.root["repository"] = repository(pull())
    forge.on(
        "PATCH /repos/acme/shop/pulls/12", Answer(307, {"message": "Moved"}, {"location": "/api/repositories/1/pulls/12"}, HTML)
    )
    forge.on(FILE, Answer(301, b"{}", {"location": "/api/repositories/1/contents/a.py"}, HTML))
    forge.elsewhere["/repositories/1/contents/a.py"] = Answer(body=b"text", kind="application/vnd.github.raw+json")

    text = await hub.file(FileAt("a.py", repo="acme/shop"))

    assert text.content == "text"
    with pytest.raises(NotFound, match="present name"):
        await hub.edit_change(ChangeEdit(change="acme/shop#12", title="x"))


async def test_no_token(forge: Forge, connect: Connect) -> None:
    """Without a token nothing is asked; who can change that is told."""
    provider = connect(token=None)

    with pytest.raises(NotPermitted, match="A person sets `token`"):
        await provider.find_changes(ChangeQuery(role="todo"), Page())
    assert forge.requests == []
    assert await provider.ready() is not None


async def test_the_token_stays_inside(forge: Forge, hub: GitHubProvider) -> None:
    """Even where an answer echoes the token, no failure shows it."""
    forge.on(FILE, Answer(403, {"message": f"the token {TOKEN} may not do this"}))

    with pytest.raises(NotPermitted) as caught:
        await hub.file(FileAt("a.py", repo="acme/shop"))

    assert TOKEN not in redact(str(caught.value))


async def test_ready(forge: Forge, connect: Connect) -> None:
    """Ready is who answers with the account's name; who does not is told in one line, without raising."""
    forge.root["viewer"] = {"login": "bob"}
    up, down = connect(), connect(url="http://127.0.0.1:1", seconds=2.0)

    assert await up.ready() is None
    assert "cannot be reached" in str(await down.ready())


async def test_what_is_no_reference(hub: GitHubProvider) -> None:
    """A reference of another system is refused before anything is asked."""
    with pytest.raises(InvalidInput, match="no reference of GitHub"):
        await hub.change("D12")


def test_references(connect: Connect, forge: Forge) -> None:
    """The provider's own form of a reference, and the repository that it says."""
    provider = connect()

    assert provider.change_ref(f"{forge.url}/acme/shop/pull/12/files") == "acme/shop#12"
    assert provider.task_ref("acme/shop#7") == "acme/shop#7"
    assert provider.repo_of("acme/shop#7") == "acme/shop"
    assert provider.change_ref("group/shop!3") is None
    assert (provider.name, provider.kind, provider.repo_of("D12")) == ("hub", "github", None)

"""Requests to GitHub's REST and GraphQL interfaces, with their failures in words that say what to do."""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted, RateLimited, TimedOut, TooLarge, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from ..web import MAX_BODY, Parameters, Response, Web, asked_wait, json_of
from .wire import Problem, Refusal, Replied

log = logging.getLogger(__name__)

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

PER_PAGE = 100
_MOST_WORDS = 300
_JSON = "application/vnd.github+json"
_RAW = "application/vnd.github.raw+json"

_UNSIGNED = (
    "GitHub answers without a token to nothing that is needed here. A person sets `token` in the settings of the provider."
)
_FAILURES: Mapping[str, type[ToolFailure]] = {
    "NOT_FOUND": NotFound,
    "FORBIDDEN": NotPermitted,
    "INSUFFICIENT_SCOPES": NotPermitted,
    "UNPROCESSABLE": InvalidInput,
    "RESOURCE_LIMITS_EXCEEDED": TooLarge,
    "MAX_NODE_LIMIT_EXCEEDED": TooLarge,
}
_MOVED = "has moved this elsewhere, probably since the repository was renamed. Use its present name."
_REFUSALS: Mapping[int, tuple[type[ToolFailure], str]] = {
    301: (NotFound, _MOVED),
    302: (NotFound, _MOVED),
    307: (NotFound, _MOVED),
    308: (NotFound, _MOVED),
    400: (InvalidInput, "refuses this: {words}"),
    401: (NotPermitted, "does not accept the token: it is wrong, expired or revoked. A person renews it in the settings."),
    403: (NotPermitted, "does not permit this with the token of the settings: {words}"),
    404: (NotFound, "has nothing there that this account may see: {words}"),
    409: (InvalidInput, "refuses this: {words}"),
    410: (NotFound, "has nothing there any more: {words}"),
    413: (TooLarge, "refuses this: it is too large."),
    422: (InvalidInput, "refuses this: {words}"),
}


@dataclass(frozen=True)
class Answered(Generic[Model]):
    """The data of a GraphQL query, and what GitHub could not or would not give of it."""

    data: Model
    problems: tuple[Problem, ...]

    def absence(self, otherwise: str) -> ToolFailure:
        """Why something that was asked for is not in the data: in GitHub's words where it is about permission."""
        for problem in self.problems:
            if problem.type not in (None, "NOT_FOUND"):
                return _from_problem(problem)
        return NotFound(otherwise)


class GitHubApi:
    """One account's view of one GitHub."""

    def __init__(self, web: Web, graphql: str, *, has_token: bool) -> None:
        self._web, self._graphql, self._has_token = web, graphql, has_token

    async def aclose(self) -> None:
        await self._web.aclose()

    async def read(self, kind: type[T], path: str, params: Parameters | None = None) -> T:
        """The resource at *path* as a *kind*. Raises NotFound also for what the account may not see."""
        return self.decoded(kind, await self._answer("GET", path, params=params))

    async def pages(self, kind: type[T], path: str, *, most: int) -> tuple[list[T], bool]:
        """The items at *path*, of at most *most* pages of 100, and whether these are all."""
        items: list[T] = []
        for page in range(1, most + 1):
            part = await self.read(list[kind], path, {"per_page": PER_PAGE, "page": page})
            items += part
            if len(part) < PER_PAGE:
                return items, True
        return items, False

    async def raw(self, path: str, params: Parameters | None = None, *, most: int = MAX_BODY) -> Response:
        """The bytes at *path*. A folder comes as JSON nevertheless."""
        return await self._answer("GET", path, params=params, accept=_RAW, most=most)

    async def tail(self, path: str, *, most: int, keep: int) -> Response:
        """The last *keep* bytes of a text at *path* that has at most *most*."""
        return await self._answer("GET", path, most=most, keep=keep)

    async def write(self, kind: type[T], method: str, path: str, payload: JsonValue) -> T:
        with _in_doubt():
            response = await self._answer(method, path, payload=payload)
        return self.decoded(kind, response)

    def decoded(self, kind: type[T], response: Response) -> T:
        try:
            return TypeAdapter(kind).validate_python(json_of(response, self._web.name))
        except ValidationError as error:
            log.info("%s: an answer does not have the form of %s: %s", self._web.name, kind, error.errors(include_input=False))
            raise Unavailable(f"{self._web.name} answered in a form that is not GitHub's. Check its address.") from None

    async def _answer(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        payload: JsonValue = None,
        accept: str = _JSON,
        most: int = MAX_BODY,
        keep: int | None = None,
    ) -> Response:
        if not self._has_token:
            raise NotPermitted(_UNSIGNED)
        response = await self._web.request(
            method, path, params=params, payload=payload, headers={"Accept": accept}, follow=True, most=most, keep=keep
        )
        if response.status >= 300:
            raise refusal(response, self._web.name)
        return response

    async def query(self, kind: type[Model], document: str, variables: Mapping[str, JsonValue]) -> Answered[Model]:
        """What a GraphQL query finds. Raises when nothing usable came; what is missing within is in `problems`."""
        return await self._asked(kind, document, variables, repeatable=True)

    async def mutate(self, kind: type[Model], document: str, variables: Mapping[str, JsonValue]) -> Model:
        """What a GraphQL mutation answers. Any problem means that not all of it was done, and is raised."""
        with _in_doubt():
            answered = await self._asked(kind, document, variables, repeatable=False)
        if answered.problems:
            raise _from_problem(answered.problems[0])
        return answered.data

    async def _asked(
        self, kind: type[Model], document: str, variables: Mapping[str, JsonValue], *, repeatable: bool
    ) -> Answered[Model]:
        if not self._has_token:
            raise NotPermitted(_UNSIGNED)
        payload: dict[str, JsonValue] = {"query": document, "variables": dict(variables)}
        response = await self._web.request(
            "POST", self._graphql, payload=payload, headers={"Accept": _JSON}, repeatable=repeatable
        )
        if response.status >= 300:
            raise refusal(response, self._web.name)
        replied = self.decoded(Replied, response)
        problems = tuple(replied.errors)
        if any(problem.type == "RATE_LIMITED" for problem in problems):
            wait = asked_wait(response.headers)
            when = f"It asks to wait for {wait:,.0f} s." if wait else "Try again later."
            raise RateLimited(f"{self._web.name} has had too many queries of this account. {when}")
        if problems and replied.data is None:
            raise _from_problem(problems[0])
        try:
            return Answered(kind.model_validate(replied.data), problems)
        except ValidationError as error:
            if problems:
                raise _from_problem(problems[0]) from None
            log.info("%s: GraphQL data do not fit %s: %s", self._web.name, kind.__name__, error.errors(include_input=False))
            raise Unavailable(f"{self._web.name} answered in a form that is not GitHub's. Check its address.") from None


@contextmanager
def _in_doubt() -> Generator[None]:
    """A write whose answer is missing may have been done, so nobody must be told just to try again."""
    try:
        yield
    except RateLimited:
        raise
    except (TimedOut, Unavailable) as failure:
        raise type(failure)(f"{failure} It may have been done nevertheless: look before it is sent again.") from failure


def refusal(response: Response, name: str) -> ToolFailure:
    """An answer that is no success, in words. GitHub's own explain most; they are bounded, and never carry the token."""
    words, status = _words(response), response.status
    if status == 403 and "rate limit" in words.lower():
        return RateLimited(f"{name} has had too many requests of this account: {words}")
    if status == 403 and "required" in response.headers.get("x-github-sso", ""):
        return NotPermitted(
            f"{name} wants this token authorised for the organisation's single sign-on: a person does that there."
        )
    kind, said = _REFUSALS.get(status, (Unavailable, f"could not answer (HTTP {status}): {{words}}"))
    return kind(f"{name} {said.format(words=words)}")


def _words(response: Response) -> str:
    """What a refusal says, in one line."""
    if not response.is_json:
        return f"HTTP {response.status}, not in JSON"
    try:
        said = Refusal.model_validate_json(response.body)
    except ValidationError:
        return f"HTTP {response.status}"
    return clean("; ".join([said.message or f"HTTP {response.status}", *said.details()]), _MOST_WORDS)


def _from_problem(problem: Problem) -> ToolFailure:
    words = clean(problem.message, _MOST_WORDS)
    kind = _FAILURES.get(problem.type or "")
    if kind is not None:
        return kind(f"GitHub says: {words}")
    if "timeout" in words.lower() or "timed out" in words.lower():
        return TimedOut(f"GitHub did not finish the query: {words} Ask for less, or try again.")
    if "SAML" in words:
        return NotPermitted(f"GitHub says: {words}")
    return Unavailable(f"GitHub could not answer the query: {words}")


def fragments(*texts: str) -> str:
    """A GraphQL document of an operation and the fragments that it uses, each once."""
    return "\n".join(dict.fromkeys(text.strip() for text in texts))


def names(values: Sequence[str], most: int = 20) -> str:
    """A list for a sentence, bounded."""
    shown = ", ".join(clean(value, 60) for value in values[:most])
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown or "none"

"""Requests to GitLab's REST interface, with its pages followed and its refusals in words that say what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted, TooLarge, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from ..web import MAX_BODY, Parameters, Response, Web, json_of
from .wire import Instance

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)

PER_PAGE = 100
MOST_PAGES = 10
_MOST_WORDS = 400

REVIEWER_STATES = (19, 2)
"""The first GitLab whose publishing of a review takes the state of the reviewer; earlier ones ignore it in silence."""

_FAILURES: Mapping[int, type[ToolFailure]] = {
    400: InvalidInput,
    404: NotFound,
    405: NotPermitted,
    409: Conflict,
    412: Conflict,
    413: TooLarge,
    414: TooLarge,
    422: InvalidInput,
}


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A listing as far as it was followed."""

    items: list[T]
    next_page: int | None = None
    """The page after the last one that was read."""


class GitLabApi:
    """One account's view of one GitLab."""

    def __init__(self, web: Web, *, has_token: bool) -> None:
        self._web, self._has_token = web, has_token
        self._version: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        return self._web.name

    async def aclose(self) -> None:
        await self._web.aclose()

    async def one(self, model: type[Model], path: str, params: Parameters | None = None, *, missing: str | None = None) -> Model:
        """*missing* says in words what is not there where GitLab answers 404, which it does for what may not be seen, too."""
        response = await self._web.request("GET", path, params=params)
        return self._parsed(TypeAdapter(model), self._checked(response, missing))

    async def page(
        self, model: type[Model], path: str, params: Parameters | None = None, *, missing: str | None = None
    ) -> Listed[Model]:
        """One page of a listing, which *params* may choose by `page` and `per_page`."""
        response = self._checked(await self._web.request("GET", path, params={"per_page": PER_PAGE, **(params or {})}), missing)
        following = response.headers.get("x-next-page", "")
        number = int(following) if following.isascii() and following.isdecimal() else None
        return Listed(self._parsed(_lists(model), response), number)

    async def pages(
        self,
        model: type[Model],
        path: str,
        params: Parameters | None = None,
        *,
        most: int = MOST_PAGES,
        missing: str | None = None,
    ) -> Listed[Model]:
        """A listing to its end, or its first *most* pages."""
        listed: Listed[Model] = Listed([], 1)
        for _ in range(most):
            if listed.next_page is None:
                break
            page = await self.page(model, path, {**(params or {}), "page": listed.next_page}, missing=missing)
            listed = Listed([*listed.items, *page.items], page.next_page)
        return listed

    async def raw(
        self, path: str, params: Parameters | None = None, *, most: int = MAX_BODY, missing: str | None = None
    ) -> bytes:
        return self._checked(await self._web.request("GET", path, params=params, most=most), missing).body

    async def log(self, path: str, *, most: int, keep: int) -> bytes:
        """The end of a log, which may be kept in another place."""
        return self._checked(await self._web.request("GET", path, most=most, keep=keep, follow=True), None).body

    async def send(
        self, method: str, path: str, payload: Mapping[str, JsonValue] | None = None, *, missing: str | None = None
    ) -> Response:
        """A write, which is sent once."""
        body = dict(payload) if payload is not None else None
        return self._checked(await self._web.request(method, path, payload=body, repeatable=False), missing)

    async def made(
        self, model: type[Model], method: str, path: str, payload: Mapping[str, JsonValue], *, missing: str | None = None
    ) -> Model:
        return self.parsed(model, await self.send(method, path, payload, missing=missing))

    def parsed(self, model: type[Model], response: Response) -> Model:
        return self._parsed(TypeAdapter(model), response)

    async def version(self) -> tuple[int, int]:
        """Major and minor version; (0, 0) where GitLab does not say it in the usual form. Asked for once."""
        if self._version is None:
            words = (await self.one(Instance, "version")).version.split(".")
            numbers = [int(word) for word in words[:2] if word.isascii() and word.isdecimal()]
            self._version = (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)
        return self._version

    def _parsed(self, adapter: TypeAdapter[T], response: Response) -> T:
        value = json_of(response, self.name)
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise Unavailable(
                f"{self.name} answered in a form that is not GitLab's. Check the address in its settings."
            ) from error

    def _checked(self, response: Response, missing: str | None) -> Response:
        """*response*, if it is a success. This is the one place where GitLab's refusals become failures."""
        status = response.status
        if status < 300:
            return response
        words = _words(response)
        if status == 401:
            if not self._has_token:
                raise NotPermitted(f"{self.name} has no token. A person sets `token` in the settings of the provider.")
            raise NotPermitted(f"{self.name} does not take the token, or not for this ({words}). It may have expired.")
        if status == 403:
            raise NotPermitted(f"{self.name} does not allow this account to do that: {words}.")
        if status == 404 and missing:
            raise NotFound(missing)
        if status in _FAILURES:
            raise _FAILURES[status](f"{self.name} refuses: {words}.")
        if status < 400:
            raise Unavailable(f"{self.name} sends to another address (HTTP {status}). Check the address in its settings.")
        raise Unavailable(f"{self.name} failed (HTTP {status}): {words}. Try again later.")


def _lists(model: type[Model]) -> TypeAdapter[list[Model]]:
    return TypeAdapter(list[model])  # pyright: ignore[reportInvalidTypeForm] - pydantic takes a type that is known only when it runs


def _words(response: Response) -> str:
    """What GitLab says is wrong: `message` or `error`, each a text, a list, or texts by field."""
    said: JsonValue = None
    if response.is_json:
        try:
            body = _JSON.validate_json(response.body)
        except ValidationError:
            body = None
        if isinstance(body, dict):
            said = body.get("message") or body.get("error_description") or body.get("error")
    words = "; ".join(_flat(said)) or f"HTTP {response.status}"
    return clean(redact(words), _MOST_WORDS).rstrip(". ")


def _flat(said: JsonValue, field: str = "") -> Sequence[str]:
    prefix = f"{field} " if field and field != "base" else ""
    if isinstance(said, dict):
        return [words for key, value in list(said.items())[:10] for words in _flat(value, key)]
    if isinstance(said, list):
        return [words for value in said[:10] for words in _flat(value, field)]
    return [] if said is None else [f"{prefix}{said}"]

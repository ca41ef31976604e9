"""Conduit, the API of Phabricator and Phorge: one POST form per call, in the strict mode that checks types."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx2
from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted, TooLarge, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import MASK, hide, redact
from pydantic import BaseModel, JsonValue, SecretStr, ValidationError

from ..web import MAX_BODY, Response, Web, json_of
from .wire import Results

log = logging.getLogger(__name__)

PAGE = 100
"""What Conduit gives at most, and refuses to exceed."""

FOREIGN_CURSOR = "The cursor does not belong to this listing. Start again without one."

M = TypeVar("M", bound=BaseModel)
Params = Mapping[str, JsonValue]

_METHOD = re.compile(r"[a-z]+(?:\.[a-z]+)+")
_MAX_MESSAGE = 600
_TOKEN_SHAPES = re.compile(r"\b(?:api|cli|clr)-[a-z0-9][a-z0-9-]{3,}", re.IGNORECASE)
_ABSENT = ("ERR_NOT_FOUND", "ERR-NOT-FOUND", "ERR-BAD-REVISION", "ERR-INVALID-OBJECT-PHID")
_ABSENT_WORDS = ("does not identify a valid object", "You Shall Not Pass", "do not have permission to view")
_RAW_WORDS = re.compile(r"#\d{4}: |%L?[dsfn] conversion|Command failed with error|Query: ")
"""Errors of the server's database or of a program that it ran: of no use to a caller, and not meant to be seen."""

_CHANGED = re.compile(
    r"already been closed|already (?:been )?(?:accepted|abandoned|requested)|has already|is already", re.IGNORECASE
)
_FORBIDDEN = re.compile(
    r"you are (?:not )?the (?:revision )?author|you do not have permission|not permitted|not allowed|Only the author",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Outcome:
    """What a call came to: a result, or a code and words in which no token stands."""

    result: JsonValue
    code: str | None = None
    words: str = ""


class Conduit:
    """One server, seen through one account."""

    def __init__(
        self,
        name: str,
        url: str,
        token: SecretStr | None,
        *,
        seconds: float,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self.url = url.strip().rstrip("/").removesuffix("/api")
        self._token = token.get_secret_value() if token else ""
        hide(self._token)
        self._web = Web(name, self.url, seconds=seconds, transport=transport)

    async def aclose(self) -> None:
        await self._web.aclose()

    def page(self, path: str) -> str:
        """The address of a page for people."""
        return f"{self.url}/{path}"

    async def call(self, method: str, params: Params | None = None, *, writes: bool = False) -> JsonValue:
        """The result of *method*. Raises a ToolFailure for every way in which there is none."""
        outcome = await self.ask(method, params, writes=writes)
        if outcome.code is not None:
            raise self.failure(outcome, method)
        return outcome.result

    async def ask(self, method: str, params: Params | None = None, *, writes: bool = False) -> Outcome:
        """As `call`, but what Conduit itself refuses comes back as an outcome. Reads are tried again, writes are not."""
        if not self._token:
            raise self._no_token()
        if not _METHOD.fullmatch(method):
            raise ValueError(f"{method!r} is no method of Conduit")
        form = {
            "params": json.dumps({**(params or {}), "__conduit__": {"token": self._token}}),
            "output": "json",
            "__conduit__": "1",
        }
        response = await self._web.request("POST", f"api/{method}", form=form, repeatable=not writes, most=MAX_BODY)
        answer = self._decoded(response)
        code = answer.get("error_code")
        if code is None:
            return Outcome(answer.get("result"))
        return Outcome(None, str(code), self._redacted(str(answer.get("error_info") or "")))

    async def read(self, model: type[M], method: str, params: Params | None = None, *, writes: bool = False) -> M:
        return self.validated(model, await self.call(method, params, writes=writes), method)

    async def search(
        self,
        model: type[M],
        method: str,
        *,
        constraints: Params | None = None,
        attachments: tuple[str, ...] = (),
        order: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        more: Params | None = None,
    ) -> Results[M]:
        """One page of a *.search method. No constraint may be an empty list: Conduit would drop it and find everything."""
        params: dict[str, JsonValue] = dict(more or {})
        if constraints:
            if empty := [key for key, value in constraints.items() if value in ([], None)]:
                raise ValueError(f"{method} would ignore the empty {', '.join(empty)}")
            params["constraints"] = dict(constraints)
        if attachments:
            params["attachments"] = dict.fromkeys(attachments, True)
        paging: dict[str, JsonValue] = {"order": order, "limit": limit, "after": after}
        params.update({key: value for key, value in paging.items() if value is not None})
        return await self.read(Results[model], method, params)

    async def everything(
        self,
        model: type[M],
        method: str,
        *,
        most: int,
        what: str,
        constraints: Params | None = None,
        attachments: tuple[str, ...] = (),
        order: str | None = None,
        more: Params | None = None,
    ) -> list[M]:
        """All pages together. Raises TooLarge where there are more than *most*, because a part would look like the whole."""
        found: list[M] = []
        after: str | None = None
        while True:
            page = await self.search(
                model, method, constraints=constraints, attachments=attachments, order=order, after=after, more=more
            )
            found += page.data
            if page.cursor.after is None or page.cursor.after == after or not page.data:
                return found
            if len(found) >= most:
                raise TooLarge(f"{self.name} has more than {most:,} {what}. Narrow the question.")
            after = page.cursor.after

    def validated(self, model: type[M], value: JsonValue, method: str) -> M:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            places = [".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False)[:3]]
            log.warning("%s: %s answered in another form than expected, at %s", self.name, method, ", ".join(places))
            raise Unavailable(f"{self.name} answered {method} in a form that this server does not know.") from None

    def failure(self, outcome: Outcome, method: str) -> ToolFailure:
        """What a refusal of Conduit means. Only its words tell a missing permission from a wrong value."""
        code, words = outcome.code or "", outcome.words
        if code in _ABSENT or any(part in words for part in _ABSENT_WORDS):
            # the words may name who owns what this account may not see
            return NotFound(f"{self.name} has no such object, or this account may not see it.")
        match code:
            case "ERR-INVALID-SESSION":
                return self._no_token()
            case "ERR-INVALID-AUTH":
                return self._refused_token(words)
            case "ERR-CONDUIT-CALL":
                return Unavailable(f"{self.name} does not know {method} as it is asked for here: {words}")
            case "ERR-INVALID-CONSTRAINT" | "ERR-INVALID-ATTACHMENT":
                return InvalidInput(f"{self.name} cannot answer this: its version does not know a filter of {method}.")
            case _:
                return self._judged(words or code, method)

    def _judged(self, words: str, method: str) -> ToolFailure:
        """Everything else has one code, so its words must do."""
        if "read-only mode" in words:
            return Unavailable(f"{self.name} is in read-only mode at the moment: it can be read, not changed.")
        if _RAW_WORDS.search(words):
            log.warning("%s: %s failed inside the server: %s", self.name, method, words)
            return Unavailable(f"{self.name} failed inside while it did {method}.")
        text = re.sub(r"\s*\n\s*(?:- )?", " ", words.removeprefix("Validation errors:")).strip()
        if _FORBIDDEN.search(text):
            return NotPermitted(f"{self.name} refused: {text}")
        return Conflict(f"{self.name} refused: {text}") if _CHANGED.search(text) else InvalidInput(f"{self.name} refused: {text}")

    def _decoded(self, response: Response) -> dict[str, JsonValue]:
        if not response.is_json:
            raise self._not_json(response)
        answer = json_of(response, self.name)
        if not isinstance(answer, dict) or not {"result", "error_code"} & answer.keys():
            raise Unavailable(f"{self.name} answered with JSON that is not Conduit's. Check the address in its settings.")
        return answer

    def _not_json(self, response: Response) -> ToolFailure:
        text, kind = response.text(), response.headers.get("content-type", "").partition(";")[0] or "nothing"
        if "no site is configured" in text:
            why = f"it does not know itself by the address {self.url}. Use the one that it calls its base URI"
        elif "fatal setup error" in text:
            why = "it reports a fatal setup error: its database may be down"
        elif response.status >= 500:
            why = f"it failed (HTTP {response.status})"
        else:
            why = f"there is no Conduit at {self.url}/api/ (HTTP {response.status}, {kind}). Check the address in its settings"
        return Unavailable(f"{self.name} gave no answer of its API: {why}.")

    def _redacted(self, words: str) -> str:
        if self._token:
            words = words.replace(self._token, MASK)
        return redact(_TOKEN_SHAPES.sub(MASK, clean(words, _MAX_MESSAGE)))

    def _no_token(self) -> NotPermitted:
        return NotPermitted(f"{self.name} has no API token. {self._how()}")

    def _refused_token(self, words: str) -> NotPermitted:
        """Conduit's own words quote the token, so they are not used."""
        if "expired" in words:
            why = "the API token has expired"
        elif "not permitted" in words:
            why = "the account of the API token may not use the API; it may be disabled"
        elif "wrong length" in words or "wrong format" in words:
            why = "the API token does not have the form of one: 32 characters that begin with api- or cli-"
        else:
            why = "the API token is not valid"
        return NotPermitted(f"{self.name} refused: {why}. {self._how()}")

    def _how(self) -> str:
        return (
            f"A person makes one at {self.url}/settings/ under Conduit API Tokens and sets it as `token` of the provider,"
            " as PHABRICATOR_API_TOKEN, or in ~/.arcrc."
        )


def page_size(limit: int) -> int:
    return min(max(limit, 1), PAGE)


def own_cursor(position: JsonValue) -> str | None:
    """A cursor that Conduit can have given. It answers any other with a piece of SQL, so it does not get one."""
    if position is None:
        return None
    if not (isinstance(position, str) and position.isascii() and position.isdecimal() and len(position) <= 20):
        raise InvalidInput(FOREIGN_CURSOR)
    return position

"""Deployments from an address that answers a JSON list of them."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from opsroom_shared.errors import ToolFailure, Unavailable
from opsroom_shared.times import parse_time
from pydantic import AliasChoices, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from ...models import DeploymentMark
from ...series import Window
from ...settings import HttpChanges
from ..refusals import refusal
from ..web import Web, json_of
from .marks import asked_for, mark

log = logging.getLogger(__name__)

_MAX_BODY = 4 << 20
_MAX_ENTRIES = 10_000
_MILLISECONDS_FROM = 100_000_000_000
"""A unix time above it is in milliseconds: in seconds it would be in the year 5138."""


def _time(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1_000 if abs(value) > _MILLISECONDS_FROM else value, UTC)
    if isinstance(value, str):
        try:
            return parse_time(value, datetime.now(UTC))
        except ToolFailure as failure:
            raise ValueError(str(failure)) from None
    return value


def _text(value: object) -> object:
    """A version may be written as a number."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Text = Annotated[str | None, BeforeValidator(_text)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore")

    at: Annotated[AwareDatetime, BeforeValidator(_time)] = Field(
        validation_alias=AliasChoices("at", "time", "started_at", "timestamp")
    )
    service: Annotated[str, Field(min_length=1)]
    environment: Text = None
    release: Text = Field(default=None, validation_alias=AliasChoices("release", "version", "after"))
    outcome: Text = Field(default=None, validation_alias=AliasChoices("outcome", "state", "status"))
    by: Text = None
    deployment_id: Text = Field(default=None, validation_alias=AliasChoices("deployment_id", "id"))


class HttpFeed:
    """Asks anew each time: a list is small, and what is deployed now is what is looked for."""

    def __init__(self, name: str, settings: HttpChanges) -> None:
        self._name = name
        scheme, _, rest = settings.url.partition("://")
        host, _, path = rest.partition("/")
        folder, _, file = path.rpartition("/")
        # Web wants a folder and a path in it; with the dot, a colon in the name is not taken for the end of a scheme
        self._file = f"./{file}"
        self._web = Web(name, f"{scheme}://{host}/{folder}", headers=settings.all_headers(), seconds=settings.seconds)

    @property
    def name(self) -> str:
        return self._name

    async def ready(self) -> str | None:
        try:
            await self._entries()
        except ToolFailure as failure:
            return str(failure)
        return None

    async def aclose(self) -> None:
        await self._web.aclose()

    async def changes(self, window: Window, service: str | None) -> Sequence[DeploymentMark]:
        marks = [
            mark(
                self._name,
                each.at,
                each.service,
                environment=each.environment,
                release=each.release,
                outcome=each.outcome,
                by=each.by,
                deployment_id=each.deployment_id,
            )
            for each in await self._entries()
        ]
        return asked_for(marks, window, service)

    async def _entries(self) -> list[_Entry]:
        response = await self._web.request("GET", self._file, follow=True, most=_MAX_BODY)
        if response.status != 200:
            raise refusal(self._name, response, "" if response.is_json else response.text()[:1_000])
        answer = json_of(response, self._name)
        if not isinstance(answer, list):
            raise Unavailable(f"{self._name} did not answer with a JSON list of deployments.")
        if len(answer) > _MAX_ENTRIES:
            raise Unavailable(f"{self._name} answered with {len(answer):,} entries; at most {_MAX_ENTRIES:,} are read.")
        return self._read(answer)

    def _read(self, answer: list[JsonValue]) -> list[_Entry]:
        entries: list[_Entry] = []
        problem = ""
        for each in answer:
            try:
                entries.append(_Entry.model_validate(each))
            except (ValidationError, OverflowError, OSError) as error:
                problem = problem or _problem(error)
        if answer and not entries:
            raise Unavailable(f"{self._name} answered with entries that are no deployments: {problem}")
        if problem:
            log.warning(
                "%s: %d of %d entries are no deployments: %s", self._name, len(answer) - len(entries), len(answer), problem
            )
        return entries


def _problem(error: Exception) -> str:
    """What is wrong with the first entry, without its values."""
    if not isinstance(error, ValidationError):
        return "a time that no calendar has."
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'an entry'}: {first['msg']}."

"""An Alertmanager, API v2: alerts with what mutes them, and silences."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue
from typing_extensions import override

from ..models import Alert, AlertState, Transition
from ..promql import quoted
from ..series import Window
from ..settings import AlertmanagerSettings
from . import AlertsSource, Matcher, SilenceRecord, SilencesSource
from .refusals import refusal
from .web import Parameters, Response, Web, json_of

Json = Mapping[str, JsonValue]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MAX_WORDS = 500


class Alertmanager(AlertsSource, SilencesSource):
    def __init__(self, name: str, settings: AlertmanagerSettings, tenant: Mapping[str, str] | None = None) -> None:
        self._name = name
        self._tenant = [Matcher(label, value) for label, value in (tenant or {}).items()]
        self._web = Web(name, settings.url, headers=settings.all_headers(), seconds=settings.seconds)

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    async def ready(self) -> str | None:
        try:
            await self._asked("GET", "api/v2/receivers")
        except ToolFailure as failure:
            return str(failure)
        return None

    @override
    async def aclose(self) -> None:
        await self._web.aclose()

    @override
    async def alerts(self) -> Sequence[Alert]:
        return await self._alerts([])

    @override
    async def transitions(self, window: Window) -> Sequence[Transition]:
        """Beginnings only: an Alertmanager forgets an alert when it ends."""
        return [
            Transition(name=each.name, at=each.since, to="firing", labels=each.labels)
            for each in await self.alerts()
            if each.since and window.start <= each.since <= window.end
        ]

    @override
    async def silences(self) -> Sequence[SilenceRecord]:
        found = [_silence(each) for each in _tables(await self._asked("GET", "api/v2/silences"))]
        return [each for each in found if all(own in each.matchers for own in self._tenant)]

    @override
    async def muted_by(self, matchers: Sequence[Matcher]) -> Sequence[Alert]:
        return await self._alerts(matchers)

    @override
    async def save(self, silence: SilenceRecord) -> str:
        matchers = dict.fromkeys((*silence.matchers, *self._tenant))
        payload: dict[str, JsonValue] = {
            "matchers": [
                {"name": each.name, "value": each.value, "isRegex": each.is_regex, "isEqual": each.is_equal} for each in matchers
            ],
            "startsAt": silence.starts.isoformat(),
            "endsAt": silence.ends.isoformat(),
            "createdBy": silence.author,
            "comment": silence.reason,
        }
        if silence.silence_id:
            payload["id"] = _checked(silence.silence_id)
        saved = _table(await self._asked("POST", "api/v2/silences", payload=payload)).get("silenceID")
        if not isinstance(saved, str):
            raise Unavailable(f"{self._name} did not say which silence it made. list_alerts shows what is muted.")
        return saved

    @override
    async def expire(self, silence_id: str) -> None:
        await self._asked("DELETE", f"api/v2/silence/{_checked(silence_id)}")

    async def _alerts(self, matchers: Sequence[Matcher]) -> list[Alert]:
        wanted = dict.fromkeys((*matchers, *self._tenant))
        filters = [_filter(each) for each in wanted]
        return [_alert(each) for each in _tables(await self._asked("GET", "api/v2/alerts", {"filter": filters}))]

    async def _asked(self, method: str, path: str, params: Parameters | None = None, payload: JsonValue = None) -> JsonValue:
        # a POST makes a silence each time it is sent; expiring one again changes nothing
        response = await self._web.request(method, path, params=params, payload=payload, repeatable=method != "POST")
        if response.status != 200:
            raise _failure(self._name, response)
        return json_of(response, self._name) if response.body else None


def _failure(name: str, response: Response) -> ToolFailure:
    """One of three shapes: an object with a message, a bare text in JSON, and nothing at all."""
    if response.status == 404 and not response.body:
        return NotFound(f"{name} has no silence of this id. list_alerts shows the ids of those that mute something.")
    said: JsonValue = response.text()
    if response.is_json:
        try:
            said = json_of(response, name)
        except Unavailable as failure:
            return failure
    words = said.get("message") if isinstance(said, dict) else said
    return refusal(name, response, redact(words) if isinstance(words, str) else "")


def _alert(found: Json) -> Alert:
    labels = _texts(found.get("labels"))
    notes, status = _texts(found.get("annotations")), _table(found.get("status"))
    silenced, inhibited = _names(status.get("silencedBy")), _names(status.get("inhibitedBy"))
    state: AlertState = "silenced" if silenced else "inhibited" if inhibited else "firing"
    return Alert(
        name=labels.pop("alertname", "?"),
        state=state,
        since=_moment(found.get("startsAt")),
        labels=labels,
        summary=redact(notes.get("summary") or notes.get("description") or "") or None,
        runbook=notes.get("runbook_url"),
        silenced_by=silenced,
        inhibited_by=inhibited,
        fingerprint=_text(found.get("fingerprint")) or None,
    )


def _silence(found: Json) -> SilenceRecord:
    matchers = tuple(
        Matcher(_text(each.get("name")), _text(each.get("value")), each.get("isRegex") is True, each.get("isEqual") is not False)
        for each in _tables(found.get("matchers"))
    )
    return SilenceRecord(
        silence_id=_text(found.get("id")),
        matchers=matchers,
        starts=_needed_moment(found.get("startsAt")),
        ends=_needed_moment(found.get("endsAt")),
        author=_text(found.get("createdBy")),
        reason=_text(found.get("comment")),
        active=_table(found.get("status")).get("state") != "expired",
    )


def _filter(matcher: Matcher) -> str:
    sign = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
    return f"{matcher.name}{sign[matcher.is_equal, matcher.is_regex]}{quoted(matcher.value)}"


def _checked(silence_id: str) -> str:
    if not _UUID.fullmatch(silence_id):
        raise InvalidInput("A silence's id looks like dd82f836-41b3-45e2-bd23-fb5bb260d631; list_alerts shows them.")
    return silence_id


def _needed_moment(found: JsonValue) -> datetime:
    moment = _moment(found)
    if moment is None:
        raise Unavailable("A silence came without its times.")
    return moment


def _moment(found: JsonValue) -> datetime | None:
    try:
        return datetime.fromisoformat(str(found)).astimezone(UTC)
    except ValueError:
        return None


def _text(found: JsonValue) -> str:
    return clean(found, _MAX_WORDS) if isinstance(found, str) else ""


def _texts(found: JsonValue) -> dict[str, str]:
    return {clean(name, 200): clean(str(value), _MAX_WORDS) for name, value in _table(found).items()}


def _names(found: JsonValue) -> list[str]:
    return [clean(each, 100) for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _table(found: JsonValue) -> Json:
    return found if isinstance(found, dict) else {}


def _tables(found: JsonValue) -> list[Json]:
    return [cast("Json", each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []

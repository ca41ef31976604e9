"""Dashboards, panels, data sources and annotations of a Grafana, over its HTTP API."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from opsroom_shared.errors import InvalidInput, NotFound, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import JsonValue, SecretStr

from ..models import TelemetryItem
from ..series import Window
from ..settings import GrafanaSettings, LokiSettings, PrometheusSettings
from . import Panel
from .grafana_panels import panels_of
from .refusals import refusal
from .web import Parameters, Response, Web, json_of

_UID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_LINK = re.compile(r"/d(?:-solo)?/([A-Za-z0-9_-]{1,80})(?:[/?#]|$)")
_MAX_SEARCH = 5_000
_MAX_ANNOTATIONS = 500
_MAX_DATASOURCES = 1_000
_MAX_TITLE = 200
_MAX_TEXT = 500
_MAX_TAGS = 20


@dataclass(frozen=True)
class Annotation:
    """Something that somebody, or a tool, has marked on the time axis."""

    annotation_id: int | None
    at: datetime
    end: datetime | None
    text: str
    tags: tuple[str, ...]
    by: str | None


@dataclass(frozen=True)
class Datasource:
    uid: str
    name: str
    type: str
    """prometheus, loki, or what else Grafana calls it."""
    default: bool


def proxy_url(settings: GrafanaSettings, uid: str) -> str:
    """Where the data source *uid* answers through Grafana, as it would itself. Raises InvalidInput for what is no uid."""
    return f"{settings.url}/api/datasources/proxy/uid/{_checked(uid, 'a data source')}"


def proxied_prometheus(settings: GrafanaSettings, uid: str) -> PrometheusSettings:
    """What a Prometheus source is made of to ask the data source *uid* through Grafana, with Grafana's token."""
    return PrometheusSettings(
        url=proxy_url(settings, uid), token=settings.token, headers=_proxied_headers(settings), seconds=settings.seconds
    )


def proxied_loki(settings: GrafanaSettings, uid: str) -> LokiSettings:
    return LokiSettings(
        url=proxy_url(settings, uid), token=settings.token, headers=_proxied_headers(settings), seconds=settings.seconds
    )


class GrafanaDashboards:
    """Connects to nothing before the first question."""

    def __init__(self, name: str, settings: GrafanaSettings) -> None:
        headers = settings.all_headers()
        if settings.org_id is not None:
            headers["X-Grafana-Org-Id"] = str(settings.org_id)
        self._name = name
        self._web = Web(name, settings.url, headers=headers, seconds=settings.seconds)

    @property
    def name(self) -> str:
        return self._name

    async def aclose(self) -> None:
        await self._web.aclose()

    async def ready(self) -> str | None:
        try:
            health = await self._json("api/health")
            if not isinstance(health, dict) or health.get("database") != "ok":
                return f"{self._name} says that its database is not ok"
            # health is told to everybody; whether the token is accepted, only a question tells
            await self._json("api/search", {"limit": 1, "type": "dash-db"})
        except ToolFailure as failure:
            return str(failure)
        return None

    async def search(self, words: str, limit: int) -> Sequence[TelemetryItem]:
        """Dashboards whose title has *words*; for none, all."""
        limit = max(1, min(limit, _MAX_SEARCH))
        params: dict[str, str | int | list[str]] = {"type": "dash-db", "limit": limit}
        if words.strip():
            params["query"] = words.strip()[:500]
        found = _tables(self._name, await self._json("api/search", params))
        return [item for each in found[:limit] if (item := _dashboard(each)) is not None]

    async def panels(self, dashboard: str) -> Sequence[Panel]:
        """The panels of a dashboard, given by its uid or its address, those in rows and from the library included.

        Variables in a query are filled in with what the dashboard has chosen for them.
        """
        link = _LINK.search(dashboard) if "/" in dashboard else None
        uid = link[1] if link else _checked(dashboard.strip(), "a dashboard")
        try:
            answer = await self._json(f"api/dashboards/uid/{uid}")
        except NotFound:
            raise NotFound(f"{self._name} has no dashboard {uid!r}. Search for dashboards to see their uids.") from None
        model = answer.get("dashboard") if isinstance(answer, dict) else None
        if not isinstance(model, dict):
            raise Unavailable(f"{self._name} answered with something that is no dashboard.")
        return panels_of(uid, model)

    async def datasources(self) -> Sequence[Datasource]:
        found = _tables(self._name, await self._json("api/datasources"))
        return [
            Datasource(
                uid=_text(each, "uid", 80),
                name=_text(each, "name", _MAX_TITLE),
                type=_text(each, "type", 80),
                default=each.get("isDefault") is True,
            )
            for each in found[:_MAX_DATASOURCES]
        ]

    async def datasource_problem(self, uid: str) -> str | None:
        """What Grafana says is wrong with a data source; None where it answers."""
        try:
            await self._json(f"api/datasources/uid/{_checked(uid, 'a data source')}/health")
        except ToolFailure as failure:
            return str(failure)
        return None

    async def annotations(self, window: Window, tags: Sequence[str] = (), limit: int = 100) -> Sequence[Annotation]:
        """What was marked in *window* with all of *tags*, by people and tools rather than by alerts, the newest first."""
        params: dict[str, str | int | list[str]] = {
            "from": _milliseconds(window.start),
            "to": _milliseconds(window.end),
            "type": "annotation",
            "limit": max(1, min(limit, _MAX_ANNOTATIONS)),
        }
        if tags:
            params["tags"] = list(tags)
        found = _tables(self._name, await self._json("api/annotations", params))
        marks = [mark for each in found[:_MAX_ANNOTATIONS] if (mark := _annotation(each)) is not None]
        # Grafana gives those that overlap the window
        begun = [each for each in marks if window.start <= each.at <= window.end]
        return sorted(begun, key=lambda each: each.at, reverse=True)

    async def _json(self, path: str, params: Parameters | None = None) -> JsonValue:
        response = await self._web.request("GET", path, params=params)
        if response.status != 200:
            raise refusal(self._name, response, _words(response))
        return json_of(response, self._name)


def _proxied_headers(settings: GrafanaSettings) -> dict[str, SecretStr]:
    org = {} if settings.org_id is None else {"X-Grafana-Org-Id": SecretStr(str(settings.org_id))}
    return {**settings.headers, **org}


def _checked(uid: str, what: str) -> str:
    if not _UID.fullmatch(uid):
        raise InvalidInput(f"{clean(uid, 80)!r} is no uid of {what}: letters, digits, - and _.")
    return uid


def _words(response: Response) -> str:
    """Grafana's message, and what it adds in `error`."""
    if not response.is_json:
        return response.text()[:1_000]
    try:
        body = json_of(response, "")
    except Unavailable:
        return ""
    if not isinstance(body, dict):
        return ""
    return ": ".join(dict.fromkeys(str(body[key]) for key in ("message", "error") if isinstance(body.get(key), str)))


def _tables(name: str, answer: JsonValue) -> list[Mapping[str, JsonValue]]:
    if not isinstance(answer, list):
        raise Unavailable(f"{name} answered with something that is no list. Check the address in its settings.")
    return [each for each in answer if isinstance(each, dict)]


def _dashboard(hit: Mapping[str, JsonValue]) -> TelemetryItem | None:
    uid, title = _text(hit, "uid", 80), _text(hit, "title", _MAX_TITLE)
    if not uid:
        return None
    tags = ", ".join(_tags(hit.get("tags")))
    folder = _text(hit, "folderTitle", _MAX_TITLE)
    details = [f"uid {uid}", f"folder {folder}" if folder else "", f"tags {tags}" if tags else "", _text(hit, "url", _MAX_TITLE)]
    return TelemetryItem(name=title or uid, type="dashboard", detail="; ".join(each for each in details if each))


def _annotation(found: Mapping[str, JsonValue]) -> Annotation | None:
    at = _moment(found.get("time"))
    if at is None:
        return None
    end, number = _moment(found.get("timeEnd")), found.get("id")
    return Annotation(
        annotation_id=number if isinstance(number, int) else None,
        at=at,
        end=end if end is not None and end > at else None,
        text=_text(found, "text", _MAX_TEXT),
        tags=tuple(_tags(found.get("tags"))),
        by=_text(found, "login", 100) or None,
    )


def _tags(value: JsonValue) -> Iterator[str]:
    tags: Iterable[JsonValue] = value[:_MAX_TAGS] if isinstance(value, list) else ()
    return (clean(each, 100) for each in tags if isinstance(each, str))


def _text(table: Mapping[str, JsonValue], key: str, limit: int) -> str:
    value = table.get(key)
    return redact(clean(value, limit)).strip() if isinstance(value, str) else ""


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)


def _moment(value: JsonValue) -> datetime | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
        return None
    try:
        return datetime.fromtimestamp(value / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None

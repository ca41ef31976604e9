"""Who hears of a deployment: a Grafana as an annotation, any address as JSON. None of them can hold a deployment up."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import httpx2

from .settings import DeploymentsSettings
from .vocabulary import Action, DeploymentState

log = logging.getLogger(__name__)

_SECONDS = 5.0
_CLOSE_SECONDS = 0.5


@dataclass(frozen=True)
class Marker:
    """A deployment as others see it, when it begins and when it ends."""

    deployment_id: str
    service: str
    environment: str
    action: Action
    state: DeploymentState
    before: str | None
    after: str | None
    by: str
    reason: str
    started_at: datetime
    ended_at: datetime | None = None


class Sink(Protocol):
    async def post(self, marker: Marker) -> None:
        """Raises what httpx2 raises."""
        ...


class Sinks:
    """All of them. They are told behind the back of the deployment; what one does not take in time is logged, and no more."""

    def __init__(self, settings: DeploymentsSettings) -> None:
        self._sinks: list[Sink] = []
        self._client: httpx2.AsyncClient | None = None
        self._telling: set[asyncio.Task[None]] = set()
        if settings.grafana_url or settings.webhook:
            self._client = httpx2.AsyncClient(timeout=_SECONDS, follow_redirects=False)
            if settings.grafana_url:
                token = settings.grafana_token.get_secret_value() if settings.grafana_token else None
                self._sinks.append(GrafanaAnnotations(self._client, settings.grafana_url, token))
            if settings.webhook:
                self._sinks.append(Webhook(self._client, settings.webhook.get_secret_value()))

    def tell(self, marker: Marker) -> None:
        for sink in self._sinks:
            task = asyncio.ensure_future(_told(sink, marker))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def aclose(self) -> None:
        """Waits a moment for those that are being told."""
        if self._telling:
            _, late = await asyncio.wait([*self._telling], timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()


async def _told(sink: Sink, marker: Marker) -> None:
    try:
        # as a whole: a server that sends a byte now and then would never run into the timeouts of its parts
        async with asyncio.timeout(_SECONDS):
            await sink.post(marker)
    except TimeoutError:
        log.warning("%s did not take the marker of %s within %s s", type(sink).__name__, marker.deployment_id, _SECONDS)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        # not its words: they hold the address, which may be a secret
        why = f"HTTP {error.response.status_code}" if isinstance(error, httpx2.HTTPStatusError) else type(error).__name__
        log.warning("%s did not take the marker of %s: %s", type(sink).__name__, marker.deployment_id, why)


async def _post(client: httpx2.AsyncClient, url: str, body: Mapping[str, object], headers: Mapping[str, str]) -> None:
    """Sends *body*; the answer is not read, whatever its length."""
    async with client.stream("POST", url, json=body, headers=dict(headers)) as answer:
        answer.raise_for_status()


class GrafanaAnnotations:
    """One annotation over the time of the deployment, made when it has ended."""

    def __init__(self, client: httpx2.AsyncClient, url: str, token: str | None) -> None:
        self._client, self._url = client, url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def post(self, marker: Marker) -> None:
        if marker.ended_at is None:
            return
        annotation = {
            "time": _milliseconds(marker.started_at),
            "timeEnd": _milliseconds(marker.ended_at),
            "tags": ["deployment", marker.service, marker.environment, marker.state],
            "text": f"{marker.action} {marker.service} {marker.before or 'nothing'} → {marker.after or 'nothing'}: "
            f"{marker.state}, by {marker.by}: {marker.reason}",
        }
        await _post(self._client, f"{self._url}/api/annotations", annotation, self._headers)


class Webhook:
    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        self._client, self._url = client, url

    async def post(self, marker: Marker) -> None:
        body = {
            "deployment_id": marker.deployment_id,
            "service": marker.service,
            "environment": marker.environment,
            "action": marker.action,
            "state": marker.state,
            "before": marker.before,
            "after": marker.after,
            "by": marker.by,
            "reason": marker.reason,
            "started_at": marker.started_at.isoformat(),
            "ended_at": marker.ended_at.isoformat() if marker.ended_at else None,
        }
        await _post(self._client, self._url, body, {})


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

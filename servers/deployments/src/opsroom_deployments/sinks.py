"""Who hears of a deployment: a Grafana as an annotation, any address as JSON. None of them can hold a deployment up."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import httpx2
from opsroom_shared.redact import redact

from .models import Action, DeploymentState
from .settings import DeploymentsSettings

log = logging.getLogger(__name__)

_SECONDS = 5.0


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
    """All of them. What one does not take is logged, and no more."""

    def __init__(self, settings: DeploymentsSettings, client: httpx2.AsyncClient | None = None) -> None:
        self._client = client or httpx2.AsyncClient(timeout=_SECONDS)
        sinks: list[Sink] = []
        if settings.grafana_url:
            token = settings.grafana_token.get_secret_value() if settings.grafana_token else None
            sinks.append(GrafanaAnnotations(self._client, settings.grafana_url, token))
        if settings.webhook:
            sinks.append(Webhook(self._client, settings.webhook.get_secret_value()))
        self._sinks = sinks

    async def post(self, marker: Marker) -> None:
        await asyncio.gather(*(self._one(sink, marker) for sink in self._sinks))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _one(self, sink: Sink, marker: Marker) -> None:
        try:
            await sink.post(marker)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            log.warning("%s did not take the marker of %s: %s", type(sink).__name__, marker.deployment_id, redact(str(error)))


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
            "text": f"{marker.action} {marker.service} {marker.before} → {marker.after}: {marker.state}, by {marker.by}",
        }
        answer = await self._client.post(f"{self._url}/api/annotations", json=annotation, headers=self._headers)
        answer.raise_for_status()


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
        answer = await self._client.post(self._url, json=body)
        answer.raise_for_status()


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

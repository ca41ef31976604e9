"""Deployments that are marked as annotations in a Grafana."""

import re
from collections.abc import Sequence

from ...models import DeploymentMark
from ...series import Window
from ...settings import GrafanaChanges, GrafanaSettings
from ..grafana import Annotation, GrafanaDashboards
from .marks import asked_for, mark

_LIMIT = 500
# what the deployments server writes: deploy checkout 1.4.0 → 1.4.1: succeeded, by demo
_SENTENCE = re.compile(r"(?P<action>[a-z]+) (?P<service>\S+) (?P<before>\S+) → (?P<after>\S+): (?P<outcome>\w+), by (?P<by>.+)")
_KEYED = re.compile(r"\s*([A-Za-z_.-]{1,40})\s*[:=]\s*(\S.*)")
_TAG = re.compile(r"<[^<>]{0,200}>")
_SERVICE = ("service", "app", "application", "component", "job")
_ENVIRONMENT = ("environment", "env", "stage", "namespace")
_RELEASE = ("release", "version", "revision", "sha", "commit")
_OUTCOME = ("outcome", "state", "status", "result")


class GrafanaAnnotations:
    """Reads what the deployments server writes, tags such as `service:checkout`, and otherwise takes tags as they come."""

    def __init__(self, name: str, settings: GrafanaChanges, grafana: GrafanaSettings) -> None:
        self._name, self._tags = name, settings.tags
        self._grafana = GrafanaDashboards(name, grafana)

    @property
    def name(self) -> str:
        return self._name

    async def ready(self) -> str | None:
        return await self._grafana.ready()

    async def aclose(self) -> None:
        await self._grafana.aclose()

    async def changes(self, window: Window, service: str | None) -> Sequence[DeploymentMark]:
        found = await self._grafana.annotations(window, self._tags, _LIMIT)
        return asked_for((deployment_of(each, self._tags, self._name) for each in found), window, service)


def deployment_of(annotation: Annotation, asked_tags: Sequence[str], source: str) -> DeploymentMark:
    """What *annotation* tells of a deployment; its text stands in for a release that it does not name."""
    text = _TAG.sub(" ", annotation.text).strip()
    keyed = {found[1].lower(): found[2] for tag in annotation.tags if (found := _KEYED.fullmatch(tag))}
    plain = [tag for tag in annotation.tags if tag not in asked_tags and not _KEYED.fullmatch(tag)]
    sentence = _SENTENCE.fullmatch(text)
    if sentence is not None:
        rest = [tag for tag in plain if tag not in (sentence["service"], sentence["outcome"])]
        return mark(
            source,
            annotation.at,
            sentence["service"],
            environment=_first(keyed, _ENVIRONMENT) or (rest[0] if rest else None),
            release=sentence["after"],
            outcome=sentence["outcome"],
            by=sentence["by"],
        )
    return mark(
        source,
        annotation.at,
        _first(keyed, _SERVICE) or (plain[0] if plain else "unknown"),
        environment=_first(keyed, _ENVIRONMENT),
        release=_first(keyed, _RELEASE) or text or None,
        outcome=_first(keyed, _OUTCOME),
        by=annotation.by,
    )


def _first(keyed: dict[str, str], names: Sequence[str]) -> str | None:
    return next((keyed[name] for name in names if name in keyed), None)

"""Which systems there are: those of the settings, and those whose tokens the environment or ~/.arcrc already has."""

import logging
from collections.abc import Mapping
from pathlib import Path

from opsroom_shared.config import ConfigError
from opsroom_shared.redact import hide
from pydantic import SecretStr

from .models import ProviderKind
from .settings import CodeReviewSettings, ProviderSettings

log = logging.getLogger(__name__)

NOTHING = (
    "no code review system is configured; pass --repo PATH for a git repository, set GITHUB_TOKEN, GITLAB_TOKEN or "
    "PHABRICATOR_URL and PHABRICATOR_API_TOKEN, write [providers.NAME] into the file of --config, or pass --demo to try it"
)

_VARIABLES: Mapping[ProviderKind, tuple[str, str]] = {
    "phabricator": ("PHABRICATOR_URL", "PHABRICATOR_API_TOKEN"),
    "github": ("GITHUB_API_URL", "GITHUB_TOKEN"),
    "gitlab": ("GITLAB_URL", "GITLAB_TOKEN"),
}


def systems(settings: CodeReviewSettings, environment: Mapping[str, str], arcrc: Path) -> dict[str, ProviderSettings]:
    """The systems by name. Raises ConfigError where there are none, or one of them lacks what it needs."""
    if settings.demo:
        from .demo import DEMO_NAME, demo_repository

        return {DEMO_NAME: ProviderSettings(kind="local", path=demo_repository(settings.state_folder))}
    found = {name: _with_token(provider, environment, arcrc) for name, provider in settings.providers.items()}
    for name, provider in found.items():
        if provider.kind == "local":
            _check_repository(name, provider.path)
        if provider.kind == "phabricator" and (provider.url is None or provider.token is None):
            raise ConfigError(f"providers.{name}: phabricator needs url and token; the token can also stand in ~/.arcrc")
    for kind in _VARIABLES:
        if all(provider.kind != kind for provider in found.values()):
            ambient = _ambient(kind, environment, arcrc)
            if ambient is not None and kind not in found:
                found[kind] = ambient
    if not found:
        raise ConfigError(NOTHING)
    return found


def _check_repository(name: str, path: Path | None) -> None:
    from .providers.local import find_place

    if path is None:
        raise ConfigError(f"providers.{name}.path: a local provider needs the path of its git repository")
    try:
        find_place(path)
    except ConfigError as error:
        raise ConfigError(f"providers.{name}: {error}") from None


def _ambient(kind: ProviderKind, environment: Mapping[str, str], arcrc: Path) -> ProviderSettings | None:
    address, token = (environment.get(variable) for variable in _VARIABLES[kind])
    if kind != "phabricator":
        return ProviderSettings(kind=kind, url=address or None, token=_secret(token)) if token else None
    if address and token:
        return ProviderSettings(kind=kind, url=address, token=_secret(token))
    if token:
        raise ConfigError("PHABRICATOR_API_TOKEN is set, and PHABRICATOR_URL is not; set it to https://phorge.example")
    host = _arc_host(arcrc, address)
    if address and host is None:
        raise ConfigError(
            f"PHABRICATOR_URL is set, and there is no token for it: set PHABRICATOR_API_TOKEN, or add it to {arcrc}"
        )
    return host


def _with_token(provider: ProviderSettings, environment: Mapping[str, str], arcrc: Path) -> ProviderSettings:
    """*provider* with the token that the environment has for the same address, if its own settings have none."""
    if provider.token is not None or provider.kind == "local":
        return provider
    address, token = (environment.get(variable) for variable in _VARIABLES[provider.kind])
    if token and _same(address, provider.url):
        return provider.model_copy(update={"token": _secret(token)})
    if provider.kind == "phabricator" and provider.url and (host := _arc_host(arcrc, provider.url)) is not None:
        return provider.model_copy(update={"token": host.token})
    return provider


def _arc_host(arcrc: Path, url: str | None) -> ProviderSettings | None:
    from .providers.phabricator import arcrc as arc

    try:
        found = arc.load(arcrc)
    except ValueError as error:
        log.warning("%s", error)
        return None
    for warning in found.warnings:
        log.warning("%s", warning)
    host = found.host(url)
    if host is None and found.hosts and url is None:
        log.warning("%s names several servers and no default; set PHABRICATOR_URL to choose one", arcrc)
    return ProviderSettings(kind="phabricator", url=host.url, token=host.token) if host else None


def _same(address: str | None, url: str | None) -> bool:
    """Whether a token is for this address: it is never sent to another one than it was meant for."""
    return (address or "").rstrip("/") == (url or "").rstrip("/")


def _secret(token: str | None) -> SecretStr | None:
    if token is None:
        return None
    hide(token)
    return SecretStr(token)

"""Where a rung's model is reached and with which key; nothing else of the machine's configuration is used silently."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..settings import RungSettings

DEFAULT_BASE_URL = "https://api.anthropic.com"
DEFAULT_KEY_ENV = "ANTHROPIC_API_KEY"
TOKEN_ENV = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 -- a variable's name


@dataclass(frozen=True)
class Credential:
    base_url: str
    key: str = field(repr=False)
    is_token: bool = False
    """Whether the key came as ANTHROPIC_AUTH_TOKEN."""


def credential_of(rung: RungSettings, environ: Mapping[str, str]) -> Credential | None:
    """What *rung* is called with, or None when its key is not set or could not be sent in a header."""
    base_url = (rung.base_url or environ.get("ANTHROPIC_BASE_URL", "").strip() or DEFAULT_BASE_URL).rstrip("/")
    if key := _sendable(environ.get(rung.api_key_env)):
        return Credential(base_url, key)
    # A token stands in for the standard key only, never for one that the configuration names.
    if rung.api_key_env == DEFAULT_KEY_ENV and (token := _sendable(environ.get(TOKEN_ENV))):
        return Credential(base_url, token, is_token=True)
    return None


def configured(rungs: Iterable[RungSettings], environ: Mapping[str, str]) -> tuple[RungSettings, ...]:
    """The rungs that have a key; none of them: the answer is made without a model."""
    return tuple(rung for rung in rungs if credential_of(rung, environ))


def _sendable(key: str | None) -> str | None:
    key = (key or "").strip()
    return key if key.isascii() and key.isprintable() and " " not in key else None

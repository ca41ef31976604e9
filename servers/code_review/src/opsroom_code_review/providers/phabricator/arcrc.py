"""The file ~/.arcrc, in which users of the arc command already have their token."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from opsroom_shared.redact import hide
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class ArcHost:
    """A server and the token of the account there."""

    url: str
    """The base address: what arc's own ends with, /api/, is taken off."""
    token: SecretStr


@dataclass(frozen=True)
class Arcrc:
    hosts: tuple[ArcHost, ...] = ()
    default: str | None = None
    """The base address of the server that arc uses where nothing else is said."""
    warnings: tuple[str, ...] = ()
    """What a person should know; each is a sentence without any secret."""

    def host(self, url: str | None = None) -> ArcHost | None:
        """The entry for the server at *url*; without one, the default, or the only one that there is."""
        if wanted := url or self.default:
            place = _place(wanted)
            return next((host for host in self.hosts if _place(host.url) == place), None)
        return self.hosts[0] if len(self.hosts) == 1 else None


class _Entry(BaseModel):
    token: SecretStr | None = None
    cert: SecretStr | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    hosts: dict[str, _Entry] = Field(default_factory=dict[str, _Entry])
    config: dict[str, object] = Field(default_factory=dict[str, object])


def parse(text: str) -> Arcrc:
    """What the text of an .arcrc says. Raises ValueError, without any of its contents, for one that cannot be read."""
    try:
        raw = json.loads(text)
        for part in ("hosts", "config"):
            if isinstance(raw, dict) and raw.get(part) == []:  # pyright: ignore[reportUnknownMemberType] - any JSON
                raw[part] = {}  # PHP's empty map
        content = _File.model_validate(raw)
    except (ValueError, RecursionError) as error:  # a ValidationError is one, and would quote a token
        kind = "is not in the form that arc writes" if isinstance(error, ValidationError) else "is not JSON"
        raise ValueError(f"it {kind}") from None
    hosts: list[ArcHost] = []
    warnings: list[str] = []
    for address, entry in content.hosts.items():
        if entry.token is None:
            old = "an old certificate, which is not supported" if entry.cert else "no token"
            warnings.append(f"The entry for {_base(address)} has {old}: run `arc install-certificate` again.")
            continue
        hide(entry.token.get_secret_value())
        hosts.append(ArcHost(_base(address), entry.token))
    default = content.config.get("default")
    return Arcrc(tuple(hosts), _base(default) if isinstance(default, str) and default else None, tuple(warnings))


def load(path: Path) -> Arcrc:
    """The .arcrc at *path*; nothing where there is none. Raises ValueError for one that cannot be read or understood.

    One that others may read is used, with a warning.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Arcrc()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from None
    if len(text) > _MAX_BYTES:
        raise ValueError(f"{path} has more than {_MAX_BYTES:,} bytes")
    try:
        found = parse(text.decode())
    except ValueError as error:
        what = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ValueError(f"{path} cannot be used: {what}") from None
    if os.name == "posix" and mode & 0o077:
        warning = f"{path} can be read by others (mode {mode:03o}), and it holds tokens: run chmod 600 on it."
        return Arcrc(found.hosts, found.default, (*found.warnings, warning))
    return found


def _base(address: str) -> str:
    return address.strip().rstrip("/").removesuffix("/api")


def _place(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port, by which two ways to write an address are the same."""
    parts = urlsplit(_base(url))
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.scheme.lower(), parts.hostname, port or {"https": 443, "http": 80}.get(parts.scheme.lower())

"""What people type for a pull request or an issue of GitHub: `owner/repo#12`, or the address of its page."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
from opsroom_shared.errors import InvalidInput
from opsroom_shared.outside import clean

_OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,63})"
_NAME = r"(?!\.{1,2}(?![A-Za-z0-9._-]))[A-Za-z0-9._-]{1,100}"
_REPOSITORY = re.compile(rf"({_OWNER})/({_NAME})")
_REFERENCE = re.compile(rf"({_OWNER})/({_NAME})#([1-9][0-9]{{0,9}})")
_PAGE = re.compile(rf"/({_OWNER})/({_NAME})/(?:pull|issues)/([1-9][0-9]{{0,9}})(?:/.*)?")
_LOGIN = re.compile(rf"{_OWNER}(?:\[bot\])?")
_TEAM = re.compile(rf"({_OWNER})/([A-Za-z0-9._-]{{1,100}})")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")

GITHUB = "https://github.com"


@dataclass(frozen=True)
class Repository:
    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def path(self) -> str:
        """Where the REST interface has it. Both parts are of characters that a URL takes as they are."""
        return f"repos/{self.owner}/{self.name}"


@dataclass(frozen=True)
class Item:
    """A pull request or an issue: both count in one row, so only GitHub knows which."""

    repository: Repository
    number: int

    def __str__(self) -> str:
        return f"{self.repository}#{self.number}"


@dataclass(frozen=True)
class Site:
    """Where GitHub, or a GitHub Enterprise, has its pages and its interfaces."""

    host: str
    rest: str
    graphql: str
    """Relative to *rest*."""

    @classmethod
    def of(cls, url: str | None) -> "Site":
        """The site of any of its addresses. Raises ValueError for what is no address."""
        parts = httpx2.URL(url or GITHUB)
        if parts.scheme not in ("http", "https") or not parts.host:
            raise ValueError("the url of a github provider is an address such as https://github.example")
        if parts.scheme == "http" and not _is_loopback(parts.host):
            raise ValueError("a github provider is reached over https: over http its token could be read on the way")
        host = parts.host.removeprefix("api.").removeprefix("www.")
        if host == "github.com" or host.endswith(".ghe.com"):
            return cls(host, f"https://api.{host}", "graphql")
        path = parts.path.rstrip("/").removesuffix("/api/v3").removesuffix("/api/graphql")
        address = str(parts.copy_with(path=f"{path}/api/v3", query=None, fragment=None))
        return cls(parts.netloc.decode().lower(), address, "../graphql")

    def item(self, text: str) -> Item | None:
        """The pull request or issue that *text* names, if it has the form of one."""
        text = text.strip()
        if len(text) > 2_000:
            return None
        match = _REFERENCE.fullmatch(text)
        if match is None and text.startswith(("https://", "http://")):
            match = _PAGE.fullmatch(self._page(text))
        return Item(Repository(match[1], match[2]), int(match[3])) if match else None

    def _page(self, text: str) -> str:
        """The path of an address of this site; of another one, nothing."""
        try:
            parts = urlsplit(text)
        except ValueError:
            return ""
        own = parts.netloc.lower().removeprefix("www.") == self.host
        return parts.path if own else ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def repository(text: str) -> Repository:
    """The repository `owner/name`. Raises InvalidInput."""
    if match := _REPOSITORY.fullmatch(text.strip()):
        return Repository(match[1], match[2])
    raise InvalidInput(f"{clean(text, 80)!r} is no repository of GitHub. Say owner/name.")


def login(text: str) -> str:
    """A user name. Raises InvalidInput for what cannot be one."""
    name = text.strip().removeprefix("@")
    if _LOGIN.fullmatch(name):
        return name
    raise InvalidInput(f"{clean(text, 80)!r} is no user name of GitHub.")


def team(text: str) -> tuple[str, str] | None:
    """Organisation and slug of `org/team`, if *text* has that form."""
    match = _TEAM.fullmatch(text.strip().removeprefix("@"))
    return (match[1], match[2]) if match else None


def commit(text: str, what: str = "version") -> str:
    """A commit id. Raises InvalidInput: a branch would mean something else in a minute."""
    if _COMMIT.fullmatch(text):
        return text
    raise InvalidInput(f"{clean(text, 80)!r} is no {what}: on GitHub that is a commit id, as get_change lists them.")

"""What people type for a merge request or an issue of GitLab: `group/project!12`, `group/project#12`, or the page's address."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from opsroom_shared.errors import InvalidInput
from opsroom_shared.outside import clean

GITLAB = "https://gitlab.com"

_SEGMENT = r"(?!\.{1,2}(?![A-Za-z0-9_.-]))[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}"
_PATH = rf"{_SEGMENT}(?:/{_SEGMENT}){{1,20}}"
_NUMBER = r"[1-9][0-9]{0,9}"
_PROJECT = re.compile(_PATH)
_GROUP = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,20}}")
_CHANGE = re.compile(rf"({_PATH})!({_NUMBER})")
_TASK = re.compile(rf"({_PATH})#({_NUMBER})")
_PAGE = re.compile(rf"/({_PATH}?)(?:/-)?/(merge_requests|issues|work_items)/({_NUMBER})(?:/.*)?")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
_LONGEST = 2_000
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Item:
    """A merge request or an issue by its number within its project."""

    project: str
    number: int
    sign: str
    """`!` for a merge request, `#` for an issue."""

    def __str__(self) -> str:
        return f"{self.project}{self.sign}{self.number}"

    @property
    def path(self) -> str:
        """Where the interface has it."""
        return f"{project_path(self.project)}/{'merge_requests' if self.sign == '!' else 'issues'}/{self.number}"


class Site:
    """Where one GitLab has its pages, and its interface below them."""

    def __init__(self, url: str | None) -> None:
        parts = urlsplit((url or GITLAB).rstrip("/"))
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.query:
            raise ValueError(f"{url!r} is no address of a GitLab; one looks like {GITLAB}")
        self._root = parts.path.removesuffix("/api/v4").rstrip("/")
        self._host = _host(parts)
        self._pages = f"{parts.scheme}://{parts.netloc}{self._root}"
        self.api = f"{self._pages}/api/v4"

    def change(self, text: str) -> Item | None:
        """The merge request that *text* names, if it has the form of one of this GitLab's."""
        if len(text) > _LONGEST:
            return None
        if match := _CHANGE.fullmatch(text.strip()):
            return Item(match[1], int(match[2]), "!")
        return self._page(text.strip(), "!")

    def task(self, text: str) -> Item | None:
        if len(text) > _LONGEST:
            return None
        if match := _TASK.fullmatch(text.strip()):
            return Item(match[1], int(match[2]), "#")
        return self._page(text.strip(), "#")

    def note_url(self, item: Item, note: int) -> str:
        """Where the page of *item* shows the comment *note*."""
        kind = "merge_requests" if item.sign == "!" else "issues"
        return f"{self._pages}/{item.project}/-/{kind}/{item.number}#note_{note}"

    def _page(self, text: str, sign: str) -> Item | None:
        try:
            parts = urlsplit(text)
            if parts.scheme not in _PORTS or _host(parts) != self._host or not parts.path.startswith(self._root):
                return None
        except ValueError:
            return None
        match = _PAGE.fullmatch(parts.path[len(self._root) :])
        if match is None or ("!" if match[2] == "merge_requests" else "#") != sign:
            return None
        return Item(match[1], int(match[3]), sign)


def project(text: str) -> str:
    """*text*, which must be the full path of a project. Raises InvalidInput."""
    if not _PROJECT.fullmatch(text):
        raise InvalidInput(f"{clean(text, 80)!r} is no project of GitLab; one looks like group/project.")
    return text


def is_project(text: str) -> bool:
    return _PROJECT.fullmatch(text) is not None


def is_user_name(text: str) -> bool:
    return _USER.fullmatch(text) is not None


def project_path(name: str) -> str:
    """Where the interface has the project: its full path as one segment."""
    return f"projects/{quote(project(name), safe='')}"


def group_path(name: str) -> str:
    if not _GROUP.fullmatch(name):
        raise InvalidInput(f"{clean(name, 80)!r} is no group of GitLab; one looks like group or group/subgroup.")
    return f"groups/{quote(name, safe='')}"


def segment(text: str) -> str:
    """*text* as one segment of an address. What would climb out of it is refused."""
    if not text or text.startswith("/") or any(part in ("", ".", "..") for part in text.split("/")):
        raise InvalidInput(f"{clean(text, 80)!r} is no path in a repository; give it from the root, such as src/main.py.")
    return quote(text, safe="", errors="surrogateescape")


def listing_path(patterns: Sequence[str]) -> str | None:
    """Where the interface has the one project or group that *patterns* allow; None where they allow more."""
    if len(patterns) != 1:
        return None
    if is_project(patterns[0]):
        return project_path(patterns[0])
    group = patterns[0].removesuffix("/**").removesuffix("/*")
    return group_path(group) if group != patterns[0] and _GROUP.fullmatch(group) else None


def _host(parts: SplitResult) -> tuple[str | None, int | None]:
    return parts.hostname, parts.port or _PORTS.get(parts.scheme)

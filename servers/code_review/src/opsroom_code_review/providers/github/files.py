"""Texts of files at a commit."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from opsroom_shared.errors import InvalidInput, NotFound
from opsroom_shared.outside import clean

from ...models import FileText
from .. import FileAt
from .api import GitHubApi
from .references import Item, Repository, commit
from .wire import RestComparison, RestPull

_MOST_BYTES = 4 << 20
_LOOKED_AT = 8_000


class FileReader:
    def __init__(self, api: GitHubApi) -> None:
        self._api = api

    async def read(
        self, where: FileAt, repository: Repository, item: Item | None, pull_of: Callable[[Item], Awaitable[RestPull]]
    ) -> FileText:
        at = where.at if item is None else await self._commit(where.at, item, await pull_of(item))
        ref = None if item is None and at in ("head", "base") else commit(at, "commit")
        text = await self.text_or_none(repository, where.path, ref)
        if text is None:
            place = f"at {ref[:12]}" if ref else "on the default branch"
            raise NotFound(f"{repository} has no file {clean(where.path, 200)!r} {place}.")
        return FileText(
            path=where.path, commit=ref, content=text, total_lines=text.count("\n") + (not text.endswith("\n") and bool(text))
        )

    async def _commit(self, at: str, item: Item, pull: RestPull) -> str:
        """`base` is the old side of the diff: where the change left the branch that it is for."""
        if at == "head":
            return pull.head.sha
        if at != "base":
            return at
        path = f"{item.repository.path}/compare/{pull.base.sha}...{pull.head.sha}"
        return (await self._api.read(RestComparison, path, {"per_page": 1})).merge_base_commit.sha

    async def text_or_none(self, repository: Repository, path: str, ref: str | None) -> str | None:
        """The text, or None where there is no such file. Raises InvalidInput for what is no text, and TooLarge."""
        try:
            response = await self._api.raw(
                f"{repository.path}/contents/{_quoted(path)}", {"ref": ref} if ref else None, most=_MOST_BYTES
            )
        except NotFound:
            return None
        if response.headers.get("content-type", "").startswith("application/json"):
            raise InvalidInput(f"{clean(path, 200)!r} is a folder or a submodule, no file.")
        if b"\0" in response.body[:_LOOKED_AT]:
            raise InvalidInput(f"{clean(path, 200)!r} is no text.")
        return response.body.decode(errors="replace")


def _quoted(path: str) -> str:
    """*path* for a URL. It must stay a path inside the repository, whatever it holds."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(f"{clean(path, 200)!r} is no path inside a repository: no empty part, no . and no .. can be in it.")
    return "/".join(quote(part, safe="", errors="surrogateescape") for part in parts)

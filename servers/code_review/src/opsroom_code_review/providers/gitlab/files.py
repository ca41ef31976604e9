"""Whole files, as they are at a commit."""

import re

from opsroom_shared.errors import InvalidInput, TooLarge
from opsroom_shared.outside import clean

from ...models import FileText
from .. import FileAt
from .api import GitLabApi
from .changes import Changes
from .patches import head, refs
from .references import Item, project_path, segment

MAX_FILE = 2 << 20
_REVISION = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\]{1,250}")


class Files:
    def __init__(self, api: GitLabApi, changes: Changes) -> None:
        self._api, self._changes = api, changes

    async def read(self, where: FileAt, item: Item | None) -> FileText:
        if item is None and where.repo is None:
            raise InvalidInput("Say of which change or repo the file is.")
        project = item.project if item else where.repo or ""
        revision = await self._revision(item, where.at)
        path = f"{project_path(project)}/repository/files/{segment(where.path)}/raw"
        missing = (
            f"There is no file {clean(where.path, 200)!r} at {clean(revision, 60)} of {project}, or this account may not see it."
        )
        try:
            raw = await self._api.raw(path, {"ref": revision}, most=MAX_FILE, missing=missing)
        except TooLarge:
            raise TooLarge(f"The file has more than {MAX_FILE >> 20} MiB, which is not read here.") from None
        if b"\0" in raw:
            raise InvalidInput("The file is binary; only texts are read.")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise InvalidInput("The file is no UTF-8 text; only such are read.") from None
        lines = text.count("\n") + (not text.endswith("\n") and bool(text))
        return FileText(path=where.path, commit=None if revision == "HEAD" else revision, content=text, total_lines=lines)

    async def _revision(self, item: Item | None, at: str) -> str:
        if at not in ("head", "base"):
            if not _REVISION.fullmatch(at) or ".." in at:
                raise InvalidInput(f"{clean(at, 80)!r} is no commit; give head, base, or the id of one.")
            return at
        if item is None:
            if at == "base":
                raise InvalidInput("Only a change has a base; give head or a commit.")
            return "HEAD"
        merge_request = await self._changes.merge_request(item)
        return head(merge_request) if at == "head" else refs(merge_request, head(merge_request)).base_sha

"""Versions of a change: heads that it has or had, each with what it was compared with."""

import re

from opsroom_shared.errors import InvalidInput, NotFound

from .change_records import ChangeRecord
from .repository import Repository, Resolved

_COMMIT = re.compile(r"[0-9a-f]{7,64}")


async def version_of(
    repository: Repository, resolved: Resolved, record: ChangeRecord, version: str | None
) -> tuple[str, str, str]:
    """Base, head and full name of a version; of the newest without one. Raises NotFound for a commit that is gone."""
    if version is None or version == resolved.version:
        return resolved.base, resolved.head, resolved.version
    parts = version.split("..")
    if len(parts) > 2 or not all(_COMMIT.fullmatch(part) for part in parts):
        raise InvalidInput(f"{version!r} is no version of {resolved.ref}; the newest is {resolved.version}.")
    try:
        commits = await repository.commits(*parts)
    except NotFound:
        raise NotFound(
            f"Version {version} is not in the repository (any more: a rebase leaves it behind until git cleans up). "
            f"The newest is {resolved.version}."
        ) from None
    if len(commits) == 2:
        return commits[0], commits[1], "..".join(commits)
    head = commits[0]
    if head == resolved.head and ".." not in resolved.version:
        return resolved.base, head, head
    known = record.versions.get(head)
    return (known[0] if known else await repository.merge_base(head, *resolved.tips)), head, head

"""Harbormaster's builds of the diff that a revision is about."""

import asyncio
import base64
import binascii
from typing import Literal

from opsroom_shared.errors import NotFound, TooLarge
from pydantic import JsonValue

from ...models import Annotation, Check, Checks, ChecksSummary, CheckState
from .conduit import Conduit
from .wire import Build, Buildable, Log, Target

_MOST_BUILDS = 500
_MOST_LOG_BYTES = 16 << 20

_STATES: dict[str, CheckState] = {
    "inactive": "queued",
    "pending": "queued",
    "paused": "queued",
    "building": "running",
    "passed": "passed",
    "failed": "failed",
    "error": "failed",
    "deadlocked": "failed",
    # somebody stopped it, so it says nothing of the change
    "aborted": "unknown",
}
_ORDER: tuple[CheckState, ...] = ("failed", "running", "queued", "unknown", "passed")
_LEVELS: dict[str, Literal["failure", "notice"]] = {"target/failed": "failure", "target/aborted": "failure"}


class Builds:
    def __init__(self, conduit: Conduit) -> None:
        self._conduit = conduit

    async def of(self, diff: str | None) -> list[Build]:
        """The builds of a diff. Not the state of the buildable, which lags behind them by minutes."""
        if diff is None:
            return []
        page = await self._conduit.search(Buildable, "harbormaster.buildable.search", constraints={"objectPHIDs": [diff]})
        if not page.data:
            return []
        return await self._conduit.everything(
            Build,
            "harbormaster.build.search",
            constraints={"buildables": list[JsonValue](item.phid for item in page.data)},
            most=_MOST_BUILDS,
            what="builds of one diff",
        )

    async def one(self, build: Build, log_lines: int) -> Check:
        """A build with the state of its targets, and the end of the logs of those that wrote one."""
        targets = await self._conduit.everything(
            Target,
            "harbormaster.target.search",
            constraints={"buildPHIDs": [build.phid]},
            most=_MOST_BUILDS,
            what="targets of one build",
        )
        annotations = [
            Annotation(level=_LEVELS.get(target.status, "notice"), text=f"{target.name}: {target.status_name or target.status}")
            for target in sorted(targets, key=lambda target: target.id)
        ]
        return self._check(build).model_copy(
            update={"annotations": annotations, "log_tail": await self._log(targets, log_lines) if log_lines > 0 else None}
        )

    def all(self, builds: list[Build]) -> list[Check]:
        return [self._check(build) for build in builds]

    def _check(self, build: Build) -> Check:
        return Check(
            id=str(build.id),
            name=build.name or f"Build {build.id}",
            state=_STATES.get(build.status, "unknown"),
            url=self._conduit.page(f"harbormaster/build/{build.id}/"),
        )

    async def _log(self, targets: list[Target], log_lines: int) -> str | None:
        if not targets:
            return None
        page = await self._conduit.search(
            Log, "harbormaster.log.search", constraints={"buildTargetPHIDs": list[JsonValue](t.phid for t in targets)}
        )
        ends = await asyncio.gather(*(self._end(log, log_lines) for log in page.data[:5] if log.file))
        return "\n".join("\n".join(ends).splitlines()[-log_lines:]) or None

    async def _end(self, log: Log, log_lines: int) -> str:
        if log.length > _MOST_LOG_BYTES:
            return f"(a log of {log.length:,} bytes, which is too large to fetch)"
        try:
            data = await downloaded(self._conduit, log.file or "")
        except TooLarge:
            return "(a log that is too large to fetch)"
        return "\n".join(data.decode(errors="replace").splitlines()[-log_lines:])


async def downloaded(conduit: Conduit, file: str) -> bytes:
    """The bytes of a stored file."""
    text = await conduit.call("file.download", {"phid": file})
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except binascii.Error:
        raise NotFound(f"{conduit.name} did not send the contents of a file that it named.") from None


def overall(builds: list[Build]) -> CheckState:
    """One state for all: the worst, where one that is not finished counts less than one that failed."""
    states = {_STATES.get(build.status, "unknown") for build in builds}
    for state in _ORDER:
        if state in states:
            return state
    return "unknown"


def summary(builds: list[Build]) -> ChecksSummary | None:
    if not builds:
        return None
    failed = sum(_STATES.get(build.status) == "failed" for build in builds)
    return ChecksSummary(state=overall(builds), failed=failed)


async def checks(builds: Builds, diff: str, version: int, ref: str, *, check: str | None, log_lines: int) -> Checks:
    found = await builds.of(diff)
    if check is not None:
        one = next((build for build in found if str(build.id) == check.strip()), None)
        if one is None:
            there = ", ".join(f"{build.id} ({build.name})" for build in found[:20]) or "none"
            raise NotFound(f"{ref} has no check {check!r} for version {version}. There are: {there}.")
        return Checks(state=overall([one]), checks=[await builds.one(one, log_lines)])
    hint = None if found else f"Nothing was built for version {version}."
    return Checks(state=overall(found), checks=builds.all(found), hint=hint)

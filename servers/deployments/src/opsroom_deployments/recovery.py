"""Brings to an end what a process that died has left: the platform is made whole, the journal is closed, the lock is freed."""

import logging
import os
import socket
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from opsroom_shared.errors import ToolFailure

from .journals import LoggedJournal, StoredJournal
from .platforms import Outcome, Platform, Target
from .state.records import AuditRecord, DeploymentRecord
from .state.store import Store
from .vocabulary import DeploymentState, LockHolder

log = logging.getLogger(__name__)

_GONE_SECONDS = 15.0
"""A process that has not been heard of for so long is taken for dead."""


def owner_of_this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


class Recovery:
    """One per server. *own* are the deployments that this process carries out itself."""

    def __init__(self, store: Store, platform: Callable[[Target], Platform], own: Collection[str], owner: str) -> None:
        self._store, self._platform, self._own, self._owner = store, platform, own, owner

    def is_gone(self, record: DeploymentRecord) -> bool:
        """Whether the process that carries it out has died."""
        if record.deployment_id in self._own:
            return False
        host, _, pid = record.owner.rpartition(":")
        if host == socket.gethostname() and pid.isdecimal() and not _exists(int(pid)):
            return True
        return (datetime.now(UTC) - record.alive_at).total_seconds() > _GONE_SECONDS

    async def recover(self, target: Target) -> None:
        """Ends the deployments of *target* whose process has died."""
        for record in await self._store.running(target):
            if self.is_gone(record):
                await self._finish(record)

    async def make_whole(self, target: Target) -> None:
        """What a server does when it starts: also starts what is live and does not run. Whoever holds the lock is left alone.

        What cannot be reached is logged, and looked at again when it is changed.
        """
        try:
            await self.recover(target)
            platform = self._platform(target)
            if (await platform.observe(target)).lock is None:
                await platform.reconcile(target, self._holder(f"start of {self._owner}"), LoggedJournal())
        except ToolFailure as error:
            log.warning("%s could not be made whole: %s", target, error)

    async def reconcile(self, target: Target) -> Outcome | None:
        """Makes a target whole, whoever holds its lock: for a person who knows that nobody is at it any more."""
        found: Outcome | None = None
        for record in await self._store.running(target):
            if record.deployment_id not in self._own:
                found = await self._finish(record)
        return (
            await self._platform(target).reconcile(target, self._holder(f"reconcile by {self._owner}"), LoggedJournal()) or found
        )

    async def _finish(self, record: DeploymentRecord) -> Outcome | None:
        if not await self._store.take_over(record, self._owner):
            return None  # another process was faster
        target = Target(record.service, record.environment)
        platform = self._platform(target)
        journal = StoredJournal(self._store, record.deployment_id, self._owner)
        holder = self._holder(f"recovery of {record.deployment_id}", record.plan_id)
        outcome = await platform.reconcile(target, holder, journal)
        seen = await platform.observe(target)
        live = seen.live[0] if seen.live else None
        wanted = (await self._store.plan(record.plan_id)).order.get("replicas")
        state: DeploymentState = "failed"
        if live == record.after and (record.action != "scale" or seen.replicas == wanted):
            state = "succeeded"
        elif live == record.before:
            state = "rolled_back"
        note = outcome.note if outcome and outcome.note else ""
        reason = f"The process that carried it out ended. {note}".strip()
        await self._store.end(
            record.deployment_id, self._owner, state, live, None if state == "succeeded" else {"reason": reason}
        )
        detail = {"deployment": record.deployment_id, "state": state, "live": live}
        await self._store.note(AuditRecord(datetime.now(UTC), "recover", str(target), self._owner, "server", "", detail))
        return outcome or Outcome(state, live, note=reason)

    def _holder(self, who: str, plan_id: str | None = None) -> LockHolder:
        return LockHolder(holder=who, since=datetime.now(UTC), plan_id=plan_id)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

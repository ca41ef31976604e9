"""The journals that platforms write: into the state for a deployment, into the log for what belongs to none."""

import asyncio
import logging
from dataclasses import dataclass, field

from .state.store import Store
from .vocabulary import Stage

log = logging.getLogger(__name__)


@dataclass
class StoredJournal:
    """The journal of a deployment that the process *owner* carries out; it can be written for as long as that one has it."""

    store: Store
    deployment_id: str
    owner: str
    stop: bool = False
    """Whether somebody has asked to stop it."""
    task: "asyncio.Task[None] | None" = None
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def step(self, stage: Stage, text: str) -> None:
        await self.store.step(self.deployment_id, self.owner, stage, text)
        self.moved.set()

    def aborted(self) -> bool:
        return self.stop


class LoggedJournal:
    async def step(self, stage: Stage, text: str) -> None:
        log.info("%s: %s", stage, text)

    def aborted(self) -> bool:
        return False

"""Where instances run: a Platform carries out whole plans; a Host is what the zero-loss release needs of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ..spec import Probe, Resources, Strategy
from ..vocabulary import Action, DeploymentState, Health, LockHolder, PlanCheck, Stage


@dataclass(frozen=True)
class Target:
    """A service in an environment: what has one live release, one lock, and one stable address."""

    service: str
    environment: str

    def __str__(self) -> str:
        return f"{self.service}/{self.environment}"


@dataclass(frozen=True)
class Release:
    """Everything of a release that cannot change: it is made once, and rolled back to as it was."""

    target: Target
    name: str
    """Unique among the target's releases, and part of the names of its instances."""
    image: str | None
    command: tuple[str, ...]
    folder: str | None
    port: int
    probe: Probe | None
    replicas: int
    strategy: Strategy
    resources: Resources
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    """Variable → where its value is; the value is read when an instance is created, and kept nowhere else."""
    user: str | None
    drain_seconds: float
    grace_seconds: float
    publish: int
    created_by: str
    plan_id: str
    spec_hash: str


@dataclass(frozen=True)
class Instance:
    """One replica of a release, as the host shows it."""

    release: str
    number: int
    health: Health
    """`stopped` also for one that was created and never started."""
    live: bool = False
    """Whether the pointer names it."""
    restarts: int = 0
    started_at: datetime | None = None
    image: str | None = None
    created_by: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class Observed:
    """A target as it is now, read from the host and never from our own records."""

    live: tuple[str, ...]
    """The releases that get requests: one, or two while a rolling release is under way, the new one first."""
    instances: tuple[Instance, ...]
    lock: LockHolder | None
    address: str | None
    replicas: int = 0
    """How many instances the live pointer names."""
    problems: tuple[str, ...] = ()

    def of(self, release: str) -> list[Instance]:
        return [instance for instance in self.instances if instance.release == release]


@dataclass(frozen=True)
class GateFailure:
    """Why an instance may not get requests."""

    reason: str
    last_probe: str | None
    log_tail: tuple[str, ...]


@dataclass(frozen=True)
class LogRow:
    at: datetime | None
    text: str


class Host(Protocol):
    """What the zero-loss release asks of a host. Each step can be repeated after a crash: what is done already is no error.

    The live pointer is the proxy's own configuration, written before the proxy reads it: whatever happens to this server, the
    host itself says which release is live. All raise ToolFailure children; Conflict where somebody else holds the lock.
    """

    async def observe(self, target: Target) -> Observed: ...

    async def release(self, target: Target, name: str) -> Release | None:
        """What `create` was once given for an instance that is still there, ended or not."""
        ...

    async def preflight(self, release: Release) -> list[PlanCheck]:
        """What can be found out before anything is done: the image or folder, a probe, the port, memory and disk."""
        ...

    async def lock(self, target: Target, holder: LockHolder) -> None:
        """Atomic on the host. Raises Conflict that says who holds it and since when."""
        ...

    async def unlock(self, target: Target) -> None: ...

    async def create(self, release: Release, number: int) -> None:
        """An instance that is not started. Secrets are read here."""
        ...

    async def start(self, target: Target, release: str, number: int) -> None: ...

    async def gate(self, release: Release, number: int) -> GateFailure | None:
        """Waits until the instance is healthy, or shows that it will not be: unhealthy, ended, restarted, or out of time."""
        ...

    async def point(self, target: Target, instances: Sequence[tuple[Release, int]]) -> None:
        """Writes which instances get requests, of the release that is to be live first. After a crash it decides what is live."""
        ...

    async def switch(self, target: Target) -> None:
        """Makes the proxy follow what `point` wrote, without a lost request, and returns when new requests do."""
        ...

    async def drain(self, target: Target, release: str, number: int, seconds: float) -> None:
        """Waits until the instance has no request left, at most *seconds*."""
        ...

    async def stop(self, target: Target, release: str, number: int, grace: float) -> None:
        """Ends the instance and keeps it."""
        ...

    async def remove(self, target: Target, release: str, number: int) -> None: ...

    async def logs(self, target: Target, release: str, *, since: datetime | None, tail: int) -> list[LogRow]:
        """The last *tail* lines of all instances of the release, of ended ones too, oldest first."""
        ...

    async def ready(self) -> str | None:
        """None when the host answers, otherwise one line on why it does not."""
        ...

    async def aclose(self) -> None: ...


class Journal(Protocol):
    """Writes down each step before it is taken; what is written survives this process."""

    async def step(self, stage: Stage, text: str) -> None: ...

    def aborted(self) -> bool:
        """Whether someone has asked to stop. It is looked at all the time until the old release is stopped."""
        ...


@dataclass(frozen=True)
class Order:
    """What a platform is to do."""

    action: Action
    target: Target
    release: Release | None
    """What is to be live afterwards; None for stop and remove."""
    before: str | None
    """The release that is live as the plan saw it."""
    replicas: int
    keep: int
    watch_seconds: float
    auto_rollback: bool
    holder: LockHolder
    proven: tuple[str, ...] = ()
    """Releases that have been live: of these `keep` are kept to go back to, whatever has failed since."""


@dataclass(frozen=True)
class Outcome:
    """How it ended. A failure that was undone says so: the old release is live, as before."""

    state: DeploymentState
    live: str | None
    failure: GateFailure | None = None
    note: str | None = None


class Platform(Protocol):
    """Carries out plans: the zero-loss release over a Host, or a system that has rollouts of its own."""

    @property
    def name(self) -> str: ...

    async def observe(self, target: Target) -> Observed: ...

    async def release(self, target: Target, name: str) -> Release | None: ...

    async def preflight(self, release: Release) -> list[PlanCheck]: ...

    async def carry_out(self, order: Order, journal: Journal) -> Outcome: ...

    async def reconcile(self, target: Target, holder: LockHolder, journal: Journal) -> Outcome | None:
        """Makes a target whole after a crash: exactly one release live, the lock freed. None where nothing was wrong.

        The caller knows that whoever holds the lock is gone; it is taken over as *holder* meanwhile.
        """
        ...

    async def logs(self, target: Target, release: str, *, since: datetime | None, tail: int) -> list[LogRow]: ...

    async def ready(self) -> str | None: ...

    async def aclose(self) -> None: ...

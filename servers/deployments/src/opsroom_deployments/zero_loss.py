"""The zero-loss release over a Host: the new beside the old, a gate, one pointer that is moved, and only then the old ends."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import TypeVar

from opsroom_shared.errors import ToolFailure

from .platforms import GateFailure, Host, Instance, Journal, LogRow, Observed, Order, Outcome, Release, Target
from .vocabulary import LockHolder, PlanCheck

T = TypeVar("T")

_LOOK_SECONDS = 0.25
"""How often it is looked whether somebody asked to stop, and how a watched release does."""
_KEPT_FAILURES = 1

Placed = tuple[Release, int]
"""One instance: a release and the number of its replica."""


class _Stopped(Exception):
    """The release is not to go on: a gate failed, or somebody asked to stop."""

    def __init__(self, failure: GateFailure | None) -> None:
        super().__init__(failure.reason if failure else "aborted")
        self.failure = failure


class ZeroLossPlatform:
    """A Platform over a Host. It keeps nothing between calls: what is live is what the host says."""

    def __init__(self, name: str, host: Host) -> None:
        self._name, self._host = name, host

    @property
    def name(self) -> str:
        return self._name

    async def observe(self, target: Target) -> Observed:
        return await self._host.observe(target)

    async def release(self, target: Target, name: str) -> Release | None:
        return await self._host.release(target, name)

    async def preflight(self, release: Release) -> list[PlanCheck]:
        return await self._host.preflight(release)

    async def logs(self, target: Target, release: str, *, since: datetime | None, tail: int) -> list[LogRow]:
        return await self._host.logs(target, release, since=since, tail=tail)

    async def ready(self) -> str | None:
        return await self._host.ready()

    async def aclose(self) -> None:
        await self._host.aclose()

    async def carry_out(self, order: Order, journal: Journal) -> Outcome:
        await journal.step("lock", f"locking {order.target}")
        await self._host.lock(order.target, order.holder)
        try:
            return await _Work(self._host, order.target, journal).carry_out(order)
        finally:
            # not after a cancellation: this process is ending, and the lock tells the next one to look
            if not _is_cancelled():
                await journal.step("unlock", f"unlocking {order.target}")
                await self._host.unlock(order.target)

    async def reconcile(self, target: Target, holder: LockHolder, journal: Journal) -> Outcome | None:
        seen = await self._host.observe(target)
        if seen.lock is None and not seen.problems and not _stray(seen) and not _down(seen):
            return None
        if seen.lock is not None:
            await self._host.unlock(target)
        await self._host.lock(target, holder)  # two servers that start at once: one of them does it
        try:
            return await _Work(self._host, target, journal).reconcile()
        finally:
            if not _is_cancelled():
                await journal.step("unlock", f"unlocking {target}")
                await self._host.unlock(target)


class _Work:
    """One change of one target, with the lock held."""

    def __init__(self, host: Host, target: Target, journal: Journal) -> None:
        self._host, self._target, self._journal = host, target, journal

    async def carry_out(self, order: Order) -> Outcome:
        old = await self._live()
        live = old[0][0].name if old else None
        if live != order.before:
            reason = f"{live or 'nothing'} is live, and it was planned from {order.before or 'nothing'}; make a new plan"
            return Outcome("failed", live, GateFailure(reason, None, ()))
        if order.release is None:
            await self._take_away(old)
            if order.action == "remove":
                await self._remove_all()
            return Outcome("succeeded", None)
        new = [(order.release, number) for number in range(order.replicas)]
        try:
            if order.action == "scale":
                await self._scale(old, new)
            elif order.release.strategy == "rolling" and old:
                await self._roll(old, new)
            else:
                await self._bring_up(new)
                await self._point(new)
            await self._watch(new, order.watch_seconds, undo=order.auto_rollback)
        except _Stopped as stopped:
            return await self._undone(old, new, stopped.failure)
        except ToolFailure as error:  # the host could not do a step
            return await self._undone(old, new, GateFailure(str(error), None, ()))
        await self._end(await self._that_run(_without(old, new)))
        await self._prune(order)
        return Outcome("succeeded", order.release.name)

    async def reconcile(self) -> Outcome:
        """The pointer decides. A rolling release that was interrupted goes on, because what it points to has passed its gate."""
        seen = await self._host.observe(self._target)
        live = await self._live()
        if not live:
            await self._host.switch(self._target)  # a stop may have ended between its pointer and its switch
            await self._end_instances(seen.instances)
            return Outcome("failed", None, note="Nothing was live; what had been started was stopped.")
        wanted = live[0][0]
        new = [(wanted, number) for number in range(max(seen.replicas, len(live)))]
        await self._journal.step("start", f"starting what of {wanted.name} is not running")
        try:
            await self._bring_up(new)
            await self._point(new)
        except (_Stopped, ToolFailure) as error:
            older = [placed for placed in live if placed[0].name != wanted.name]
            if not older:
                await self._journal.step("switch", "reading the pointer again")
                await self._host.switch(self._target)
                return Outcome("failed", wanted.name, note=f"It is live and not healthy: {error}")
            wanted, new = older[0][0], [(older[0][0], number) for number in range(len(new))]
            await self._bring_up(new)
            await self._point(new)
        keep = {_key(placed) for placed in new}
        await self._end_instances([each for each in seen.instances if (each.release, each.number) not in keep])
        return Outcome("succeeded", wanted.name, note="What was interrupted was brought to an end.")

    async def _live(self) -> list[Placed]:
        """The instances that the pointer names, those of the release that is to be live first."""
        seen = await self._host.observe(self._target)
        placed: list[Placed] = []
        for name in seen.live:
            release = await self._host.release(self._target, name)
            if release is not None:
                placed += [(release, each.number) for each in seen.of(name) if each.live]
        return placed

    async def _live_names(self) -> tuple[str | None, ...]:
        return (await self._host.observe(self._target)).live or (None,)

    async def _bring_up(self, new: Sequence[Placed]) -> None:
        """Creates and starts what is not running, and lets each through its gate; the first one goes ahead of the others."""
        seen = await self._host.observe(self._target)
        there = {(each.release, each.number): each for each in seen.instances}
        for group in (new[:1], new[1:]):
            for release, number in group:
                instance = there.get((release.name, number))
                if instance is None:
                    await self._journal.step("create", f"creating {_called(release, number)}")
                    await self._host.create(release, number)
                if instance is None or instance.health == "stopped":
                    await self._journal.step("start", f"starting {_called(release, number)}")
                    await self._host.start(self._target, release.name, number)
            if group:
                await self._journal.step("gate", f"waiting until {_listed(group)} can take requests")
                failures = await self._unless_aborted(
                    asyncio.gather(*(self._host.gate(release, number) for release, number in group))
                )
                for failure in failures:
                    if failure is not None:
                        raise _Stopped(failure)

    async def _point(self, placed: Sequence[Placed]) -> None:
        await self._journal.step("point", f"pointing to {_listed(placed) or 'nothing'}")
        await self._host.point(self._target, placed)
        await self._journal.step("switch", "switching the requests over")
        await self._host.switch(self._target)

    async def _roll(self, old: Sequence[Placed], new: Sequence[Placed]) -> None:
        """One replica at a time, one more than wanted while it changes."""
        for at in range(len(new)):
            await self._bring_up(new[at : at + 1])
            await self._point([*new[: at + 1], *old[at + 1 :]])
            await self._end(old[at : at + 1])
        if len(old) > len(new):
            await self._point(new)

    async def _scale(self, old: Sequence[Placed], new: Sequence[Placed]) -> None:
        await self._bring_up(_without(new, old))
        await self._point(new)

    async def _watch(self, new: Sequence[Placed], seconds: float, *, undo: bool) -> None:
        """Raises _Stopped when the new release turns bad while it gets the requests."""
        if seconds <= 0 or not new:
            return
        await self._journal.step("watch", f"watching {_listed(new)} for {seconds:g} s")
        begun = {(each.release, each.number): each.restarts for each in (await self._host.observe(self._target)).instances}
        until = time.monotonic() + seconds
        while True:
            if self._journal.aborted():
                raise _Stopped(None)
            seen = {(each.release, each.number): each for each in (await self._host.observe(self._target)).instances}
            for release, number in new:
                reason = _turned_bad(seen.get((release.name, number)), begun.get((release.name, number), 0))
                if reason and undo:
                    rows = await self._host.logs(self._target, release.name, since=None, tail=20)
                    words = f"{_called(release, number)} {reason} after the switch"
                    raise _Stopped(GateFailure(words, None, tuple(row.text for row in rows)))
            left = until - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(_LOOK_SECONDS, left))

    async def _undone(self, old: Sequence[Placed], new: Sequence[Placed], failure: GateFailure | None) -> Outcome:
        """Back to what was live. The instances of the new release are ended and kept, for their logs."""
        seen = await self._host.observe(self._target)
        pointed = {(each.release, each.number) for each in seen.instances if each.live}
        switched = pointed != {_key(placed) for placed in old}
        if switched:
            await self._journal.step("start", "returning to the release before")
            back = _Work(self._host, self._target, _Unstoppable(self._journal))
            try:
                await back._bring_up(old)
                await back._point(old)
            except (_Stopped, ToolFailure) as error:
                reason = f"{failure.reason if failure else 'It was aborted'}; and the release before did not come back: {error}"
                last_probe, tail = (failure.last_probe, failure.log_tail) if failure else (None, ())
                return Outcome("failed", (await self._live_names())[0], GateFailure(reason, last_probe, tail))
        await self._end(_without(new, old))
        live = old[0][0].name if old else None
        if failure is None:
            return Outcome("aborted", live)
        return Outcome("rolled_back" if switched else "failed", live, failure)

    async def _take_away(self, old: Sequence[Placed]) -> None:
        await self._point([])
        await self._end(old)

    async def _that_run(self, placed: Sequence[Placed]) -> list[Placed]:
        seen = {(each.release, each.number): each for each in (await self._host.observe(self._target)).instances}
        return [each for each in placed if (found := seen.get(_key(each))) is not None and found.health != "stopped"]

    async def _end(self, placed: Sequence[Placed]) -> None:
        """Lets requests that still run come to their end, then stops the instances, all at once."""
        if not placed:
            return
        await self._journal.step("drain", f"letting the requests of {_listed(placed)} end")
        await asyncio.gather(
            *(self._host.drain(self._target, release.name, number, release.drain_seconds) for release, number in placed)
        )
        await self._journal.step("stop", f"stopping {_listed(placed)}")
        await asyncio.gather(
            *(self._host.stop(self._target, release.name, number, release.grace_seconds) for release, number in placed)
        )

    async def _end_instances(self, instances: Sequence[Instance]) -> None:
        """Ends what runs, and removes what was created and never started."""
        for each in instances:
            release = await self._host.release(self._target, each.release)
            if each.started_at is None:
                await self._host.remove(self._target, each.release, each.number)
            elif each.health != "stopped" and release is not None:
                await self._end([(release, each.number)])

    async def _prune(self, order: Order) -> None:
        """Removes what is older than the releases that are kept: those to go back to, and the last that failed, for its log."""
        seen = await self._host.observe(self._target)
        ended: dict[str, list[Instance]] = {}
        for each in seen.instances:
            if each.release not in seen.live:
                ended.setdefault(each.release, []).append(each)
        newest_first = sorted(ended, key=lambda name: max(map(_age, ended[name])), reverse=True)
        proven = [name for name in newest_first if name in order.proven or name == order.before]
        failed = [name for name in newest_first if name not in proven]
        for name in (*proven[order.keep :], *failed[_KEPT_FAILURES:]):
            await self._journal.step("prune", f"removing {name}")
            for each in ended[name]:
                await self._host.remove(self._target, name, each.number)
        for each in seen.instances:  # replicas that a smaller scale has no place for
            if each.release in seen.live and each.health == "stopped" and not each.live:
                await self._host.remove(self._target, each.release, each.number)

    async def _remove_all(self) -> None:
        for each in (await self._host.observe(self._target)).instances:
            await self._journal.step("prune", f"removing {each.release}")
            await self._host.remove(self._target, each.release, each.number)

    async def _unless_aborted(self, work: Awaitable[T]) -> T:
        """What *work* gives. Raises _Stopped, with the work cancelled, as soon as somebody asks to stop."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
                if self._journal.aborted():
                    raise _Stopped(None)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})


class _Unstoppable:
    """The journal of a way back, which nobody can stop half-way."""

    def __init__(self, journal: Journal) -> None:
        self.step = journal.step

    def aborted(self) -> bool:
        return False


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _stray(seen: Observed) -> bool:
    """Whether something runs, or was made, that gets no requests."""
    return any(each.started_at is None or (not each.live and each.health != "stopped") for each in seen.instances)


def _down(seen: Observed) -> bool:
    return any(each.live and each.health == "stopped" for each in seen.instances)


def _turned_bad(instance: Instance | None, restarts: int) -> str | None:
    if instance is None or instance.health == "stopped":
        return "ended"
    if instance.restarts > restarts:
        return "was restarted"
    return "became unhealthy" if instance.health == "unhealthy" else None


def _age(instance: Instance) -> float:
    return instance.started_at.timestamp() if instance.started_at else 0.0


def _key(placed: Placed) -> tuple[str, int]:
    """What tells instances apart: a release that is scaled is the same one with another number of replicas."""
    return placed[0].name, placed[1]


def _without(placed: Sequence[Placed], others: Sequence[Placed]) -> list[Placed]:
    keys = {_key(other) for other in others}
    return [each for each in placed if _key(each) not in keys]


def _called(release: Release, number: int) -> str:
    return f"{release.name} #{number}"


def _listed(placed: Sequence[Placed]) -> str:
    return ", ".join(_called(release, number) for release, number in placed)

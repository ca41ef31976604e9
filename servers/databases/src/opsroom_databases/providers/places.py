"""How many queries run side by side: so many that slow ones do not keep out quick ones."""

import asyncio

from opsroom_shared.errors import Unavailable

_LONG_SECONDS = 0.1


class Places:
    """*count* queries on the database *name* may run, and *long* more that have been running for a while; more wait."""

    def __init__(self, name: str, count: int, long: int | None = None) -> None:
        """Where *long* is left out it is the same as *count*."""
        self._name = name
        self.most = count + (count if long is None else long)
        """How many queries run at most."""
        self.quick = asyncio.Semaphore(count)
        self.long = asyncio.Semaphore(self.most - count)

    async def take(self, seconds: float) -> "Place":
        """A place for one query. Raises Unavailable when none was free within *seconds*."""
        try:
            async with asyncio.timeout(seconds):
                await self.quick.acquire()
        except TimeoutError:
            running = "A query is" if self.most == 1 else f"{self.most} queries are"
            raise Unavailable(f"{running} running on {self._name} already, and none ended within {seconds:g} s.") from None
        return Place(self)


class Place:
    """A query's place, to be left exactly once. After a while it becomes one of the long ones, when one of those is free."""

    def __init__(self, places: Places) -> None:
        self._places, self._taken = places, places.quick
        self._moving: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_LONG_SECONDS, self._has_run_long)

    def _has_run_long(self) -> None:
        self._moving = asyncio.ensure_future(self._move())

    async def _move(self) -> None:
        await self._places.long.acquire()
        self._taken.release()
        self._taken = self._places.long

    def leave(self) -> None:
        self._timer.cancel()
        if self._moving is not None:
            self._moving.cancel()
        self._taken.release()

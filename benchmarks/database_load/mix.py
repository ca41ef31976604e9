"""The 32 clients: half of them ask for little; the others run into the limit, ask for far too much, or give up."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .clients import Client
from .statements import Asking, Statements

PLACES: Mapping[Asking, int] = {"fast": 16, "slow": 4, "huge cell": 3, "huge rows": 5, "cancelled": 4}
"""How many of the clients do what."""
CLIENTS = sum(PLACES.values())
QUERY_SECONDS = 1.0
"""The time limit in these runs."""
GIVES_UP_SECONDS = 0.2
_SETTLED_SECONDS = 10.0


@dataclass(frozen=True)
class Pace:
    """How long clients think between two calls, on average."""

    name: str
    fast_seconds: float
    others_seconds: float


PACED = Pace("each fast client asks 5 times a second, the others twice", 0.2, 0.5)
SATURATING = Pace("every client asks again at once", 0.0, 0.0)


@dataclass
class Run:
    """What the clients of one run have seen."""

    latencies: list[float] = field(default_factory=list[float])
    """Of the fast queries that were answered."""
    calls: Counter[str] = field(default_factory=Counter[str])
    problems: Counter[str] = field(default_factory=Counter[str])
    """Outcomes that nothing in the query explains."""
    memory: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Seconds since the beginning, and MiB of the server."""


def places() -> list[Asking]:
    """What each client asks."""
    return [kind for kind, count in PLACES.items() for _ in range(count)]


async def mixed(clients: Sequence[Client], statements: Statements, pace: Pace, seconds: float, pid: int | None = None) -> Run:
    """All clients at once. The memory of the process *pid* is watched."""
    total = Run()
    watching = asyncio.create_task(_watch(pid, total)) if pid is not None else None
    await asyncio.gather(
        *(
            _client(kind, client, _turns(kind, statements, pace, seconds, number), total)
            for number, (kind, client) in enumerate(zip(places(), clients, strict=True))
        )
    )
    if watching is not None:
        watching.cancel()
    return total


async def _client(kind: Asking, caller: Client, turns: AsyncGenerator[str], run: Run) -> None:
    async for sql in turns:
        run.calls[kind] += 1
        begun = time.perf_counter()
        if kind == "cancelled":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GIVES_UP_SECONDS):
                    await caller.call(sql)
            await caller.leave()
            continue
        answer = await caller.call(sql)
        if kind == "fast" and not answer.error:
            run.latencies.append(time.perf_counter() - begun)
        if answer.error is not (kind == "slow"):
            run.problems[f"{kind}: {answer.text[:150]}"] += 1
    await caller.leave()


async def _turns(kind: Asking, statements: Statements, pace: Pace, seconds: float, seed: int) -> AsyncGenerator[str]:
    """What to ask, each after a pause, until the time is over."""
    chance = random.Random(seed)  # noqa: S311 - the same for every run
    pause = pace.fast_seconds if kind == "fast" else pace.others_seconds
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await asyncio.sleep(pause * chance.uniform(0.5, 1.5))
        yield statements.asked(kind, chance)


async def _watch(pid: int, run: Run) -> None:
    begun = time.perf_counter()
    while True:
        run.memory.append((time.perf_counter() - begun, memory(pid)))
        await asyncio.sleep(0.25)


def memory(pid: int) -> float:
    """What a process holds of the machine's memory, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def settled(count: Callable[[], int]) -> int:
    """What *count* counts when all clients are gone, after a moment: the engine ends some queries a little later."""
    end = time.monotonic() + _SETTLED_SECONDS
    while (left := await asyncio.to_thread(count)) and time.monotonic() < end:  # noqa: ASYNC110 - no engine has an event for it
        await asyncio.sleep(0.1)
    return left

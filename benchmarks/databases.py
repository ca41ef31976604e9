"""Many clients of the databases server at once, on private engines, beside the bare driver, an empty server, and dbhub.

Prints how long fast queries take alone, among 32 clients that think between their calls, and among 32 that do not: that last
mix shows what one process can do at most, as everything in it waits for everything else. The floor is what the protocol
costs by itself: fast clients ask a fastmcp server that has nothing behind it, while the others keep the engine as busy as ever.
Ends with 1 where there was an error that nothing caused, a session that was left, growing memory, or fast queries that take too
long among clients that think.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from database_load.clients import Client, HttpClient
from database_load.engines import ENGINES, Engine, Missing
from database_load.mix import CLIENTS, PACED, PLACES, SATURATING, Pace, Run, mixed, places, settled
from database_load.report import TIMES_DRIVER, TIMES_FLOOR, Report, counted, grown, is_fast_enough, is_flat, line, p50, problems
from database_load.servers import (
    DBHUB,
    NoPeer,
    Served,
    dbhub,
    dbhub_stdio,
    floor,
    floor_stdio,
    install_dbhub,
    opsroom,
    opsroom_stdio,
)
from database_load.statements import in_turn
from opsroom_shared.testing.process import ERAS, ServerProcess

_WARM_UP = 6
SPEED = f"{TIMES_DRIVER:g} times the driver, or {TIMES_FLOOR:g} times the floor where that is more"


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    engine: Engine
    seconds: float
    rounds: int
    dbhub: Path | None
    report: Report

    @property
    def patience(self) -> float:
        return self.seconds + 120


async def timed(ask: Callable[[str], Awaitable[object]], rounds: int) -> list[float]:
    taken: list[float] = []
    for sql in in_turn(rounds + _WARM_UP):
        begun = time.perf_counter()
        await ask(sql)
        taken.append(time.perf_counter() - begun)
    return taken[_WARM_UP:]


async def idle(plan: Plan) -> None:
    """One client, nothing else, over stdio."""

    def through(process: ServerProcess, tool: str) -> Callable[[str], Awaitable[object]]:
        return lambda sql: process.call(tool, sql=sql)

    print(f"\n one client, {plan.rounds} fast queries one after the other, over stdio")
    driver = plan.engine.connect()
    base = await timed(driver.call, plan.rounds)
    await driver.leave()
    async with floor_stdio() as process:
        least = await timed(through(process, "run_query"), plan.rounds)
    async with opsroom_stdio(plan.engine) as process:
        own = await timed(through(process, "run_query"), plan.rounds)
    print(line(plan.engine.driver, base))
    print(line("floor: fastmcp and nothing behind it", least, p50(base)))
    print(line("opsroom-databases", own, p50(base), p50(least)))
    if plan.dbhub:
        try:
            async with dbhub_stdio(plan.dbhub, plan.engine) as process:
                print(line("dbhub", await timed(through(process, "execute_sql"), plan.rounds), p50(base), p50(least)))
        except (OSError, AssertionError, RuntimeError, TimeoutError) as error:
            print(f"  dbhub: left out; {str(error)[:200]}")


async def in_mix(plan: Plan, pace: Pace) -> None:
    """32 clients, over HTTP in both eras."""
    print(
        f"\n {CLIENTS} clients for {plan.seconds:g} s each: {', '.join(f'{n} {what}' for what, n in PLACES.items())}; {pace.name}"
    )
    bare = await run(plan, pace, [plan.engine.connect() for _ in range(CLIENTS)])
    driver = p50(bare.latencies)
    print(line(f"{plan.engine.driver}, a session for each client", bare.latencies))
    for era in ERAS:
        async with floor(free_port(), era, plan.patience) as served:
            clients = [HttpClient(served.tool) if kind == "fast" else plan.engine.connect() for kind in places()]
            least = await run(plan, pace, clients)
        print(line(f"floor, {era}", least.latencies, driver))
        async with opsroom(plan.engine, era, plan.patience) as served:
            own = await over_http(plan, pace, served)
            left = await settled(plan.engine.busy)
            await served.process.stop(signal.SIGTERM)
        held = await settled(plan.engine.held)
        print(line(f"opsroom-databases, {era}", own.latencies, driver, p50(least.latencies)))
        print(counted(own))
        judge(plan, own, left, held)
        if pace is PACED and era == "modern":
            plan.report.must(
                is_fast_enough(p50(own.latencies), driver, p50(least.latencies)),
                f"{plan.engine.name}: fast queries among clients that think take more than {SPEED}",
            )
    await beside_dbhub(plan, pace, driver)


def judge(plan: Plan, own: Run, left: int, held: int) -> None:
    """What holds at every pace."""
    name = plan.engine.name
    memory = grown(own)
    if memory is None:
        print(f"    memory: {own.memory[-1][1]:.0f} MiB at the end; too short a run to say whether it grows")
    else:
        most = max(size for _, size in own.memory)
        print(f"    memory: {memory[0]:.0f} MiB after 5 s, {memory[1]:.0f} at the end, {most:.0f} at most")
        plan.report.must(is_flat(*memory), f"{name}: memory grows")
    print(f"    sessions still busy: {left}; held after the server has ended: {held}")
    plan.report.must(not left and not held, f"{name}: sessions are left")
    if own.problems:
        print(problems(own))
    plan.report.must(not own.problems, f"{name}: errors that nothing caused")


async def beside_dbhub(plan: Plan, pace: Pace, driver: float) -> None:
    if plan.dbhub is None:
        return
    try:
        async with dbhub(plan.dbhub, plan.engine, free_port(), plan.patience) as served:
            theirs = await over_http(plan, pace, served)
    except (OSError, AssertionError, RuntimeError, TimeoutError, asyncio.IncompleteReadError) as error:
        print(f"  dbhub: left out; {type(error).__name__}: {str(error)[:200]}")
        return
    print(line("dbhub, over HTTP", theirs.latencies, driver))
    print(counted(theirs))
    print(problems(theirs))


async def over_http(plan: Plan, pace: Pace, served: Served) -> Run:
    return await run(plan, pace, [HttpClient(served.tool) for _ in range(CLIENTS)], served.pid)


async def run(plan: Plan, pace: Pace, clients: Sequence[Client], pid: int | None = None) -> Run:
    """A run whose clients are connected before it begins."""
    await asyncio.gather(*(client.call("SELECT 1") for client in clients))
    return await mixed(clients, plan.engine.statements, pace, plan.seconds, pid)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def measured(plan: Plan, paces: Sequence[Pace]) -> None:
    await idle(plan)
    for pace in paces:
        await in_mix(plan, pace)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=[*ENGINES, "all"], default="all")
    parser.add_argument("--seconds", type=float, default=15, help="of each run; 60 show whether memory is flat")
    parser.add_argument("--rounds", type=int, default=300, help="fast queries of the one client that is alone")
    parser.add_argument("--pace", choices=["thinking", "saturating", "both"], default="both")
    parser.add_argument("--no-dbhub", action="store_true", help=f"do not fetch {DBHUB} from npm into a throw-away folder")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    report = Report()
    paces = {"thinking": [PACED], "saturating": [SATURATING]}.get(asked.pace, [PACED, SATURATING])
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the first run")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = None
        try:
            program = None if asked.no_dbhub else install_dbhub(folder)
        except NoPeer as reason:
            print(f"dbhub: left out; {reason}")
        for engine in ENGINES if asked.engine == "all" else [asked.engine]:
            try:
                with contextlib.contextmanager(ENGINES[engine])(folder) as opened:
                    print(f"\n{opened.name}, load {os.getloadavg()[0]:.1f}")
                    asyncio.run(measured(Plan(opened, asked.seconds, asked.rounds, program, report), paces))
            except Missing as reason:
                print(f"\n{engine}: left out; {reason}")
    print(f"\nwanted: no such errors, no such sessions, flat memory; among clients that think, fast queries take at most {SPEED}")
    print("\n".join(["as it must be" if not report.missed else "NOT as it must be:", *report.missed]))
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The process that outlives the server: it holds the stable ports and the instances of one folder, and takes orders on a socket.

python -m opsroom_deployments.platforms.processes.daemon FOLDER [--until-stdin-ends]
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from .. import Target
from .layout import Layout
from .proxy import StablePort, Upstream
from .supervisor import Supervisor

log = logging.getLogger(__name__)

_MAX_ORDER = 1 << 20
_IDLE_SECONDS = 30.0
"""After this long without an instance, a port or an order it ends by itself."""

Order = Mapping[str, JsonValue]
Answer = dict[str, JsonValue]


class Daemon:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._supervisor = Supervisor(layout)
        self._ports: dict[Target, StablePort] = {}
        self._left: dict[Target, list[StablePort]] = {}
        """Ports that were let go, while connections that came through them are still open."""
        self._orders = 0
        self._staying: set[asyncio.StreamWriter] = set()
        """Servers that want to hear of the end, and to tell one that was wanted from a crash."""
        self._doing: Mapping[str, Callable[[Target, Order], Awaitable[Answer]]] = {
            "start": self._start,
            "stop": self._stop,
            "switch": self._switch,
            "drain": self._drain,
            "look": self._look,
        }

    async def run(self, ends: asyncio.Event, *, idle: bool) -> None:
        """Serves until *ends* is set, or with *idle* until there has been nothing to do for a while."""
        for target in self._layout.targets():
            self._supervisor.adopt(target)
            try:
                await self._lead(target)
            except OSError:
                log.exception("the port of %s cannot be held", target)
        path = self._layout.socket
        _private(path.parent)
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, path, limit=_MAX_ORDER)
        try:
            await self._until(ends, idle=idle)
        finally:
            server.close()
            path.unlink(missing_ok=True)
            for writer in self._staying:
                writer.write(b"{}\n")
                writer.close()
            left = [port for ports in self._left.values() for port in ports]
            await asyncio.gather(*(port.aclose() for port in (*self._ports.values(), *left)))
            await self._supervisor.aclose(stop=not idle)

    async def _until(self, ends: asyncio.Event, *, idle: bool) -> None:
        seen = -1
        while not ends.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ends.wait(), _IDLE_SECONDS)
            if idle and not self._supervisor.any_runs and not self._ports and self._orders == seen:
                return
            seen = self._orders

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One order and one answer per connection."""
        self._orders += 1
        try:
            order = cast("Order", json.loads(await reader.readline()))
            if order["do"] == "stay":
                self._staying.add(writer)
                return
            target = Target(str(order["service"]), str(order["environment"]))
            answer = await self._doing[str(order["do"])](target, order)
        except OSError as error:
            answer: Answer = {"error": f"{error.strerror or error}"}
        except (ValueError, KeyError, asyncio.LimitOverrunError) as error:
            answer = {"error": f"not an order: {error!r}"}
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _start(self, target: Target, order: Order) -> Answer:
        release = self._layout.read_release(target, str(order["release"]))
        if release is None:
            return {"error": f"there is no release {order['release']}"}
        await self._supervisor.start(target, release, _number(order), cast("Mapping[str, str]", order["secrets"]))
        return {}

    async def _stop(self, target: Target, order: Order) -> Answer:
        await self._supervisor.stop(target, str(order["release"]), _number(order), float(str(order["grace"])))
        return {}

    async def _switch(self, target: Target, order: Order) -> Answer:  # noqa: ARG002 - the pointer says it all
        await self._lead(target)
        return {}

    async def _drain(self, target: Target, order: Order) -> Answer:
        placed = (str(order["release"]), _number(order))
        ports = [port for port in (self._ports.get(target), *self._left.get(target, ())) if port is not None]
        emptied = asyncio.gather(*(port.emptied(placed) for port in ports))
        done, _ = await asyncio.wait({emptied}, timeout=float(str(order["seconds"])))
        if not done:
            emptied.cancel()
        return {"emptied": bool(done)}

    async def _look(self, target: Target, order: Order) -> Answer:  # noqa: ARG002
        found: list[JsonValue] = []
        for name, number in self._layout.instances(target):
            watched = self._supervisor.find(target, name, number)
            if watched is not None:
                found.append({"release": name, "number": number, "health": watched.health, "last_probe": watched.last_probe})
        return {"instances": found}

    async def _lead(self, target: Target) -> None:
        """Holds the stable port of *target*, and leads it where the pointer says. Raises OSError where it is taken."""
        pointer, port = self._layout.read_pointer(target), self._ports.get(target)
        if pointer is None or not pointer.instances:
            self._let_go(target)
            return
        upstreams: list[Upstream] = []
        for name, number in pointer.instances:
            state = self._layout.read_instance(target, name, number)
            if state is not None and state.port is not None:
                upstreams.append(Upstream((name, number), state.port))
        if port is not None and (port.host, port.port) != (pointer.bind, pointer.publish):
            self._let_go(target)
            port = None
        if port is None:
            port = StablePort(pointer.bind, pointer.publish)
            await port.listen()
            self._ports[target] = port
        port.lead_to(upstreams)

    def _let_go(self, target: Target) -> None:
        """Takes no new connections for *target*; those that are open come to their end by themselves, or with the instance."""
        self._left[target] = [port for port in self._left.get(target, []) if port.busy]
        port = self._ports.pop(target, None)
        if port is not None:
            port.lead_to(())
            port.deafen()
            self._left[target].append(port)


def main() -> None:
    folder, *flags = sys.argv[1:]
    layout = Layout(Path(folder))
    until_stdin_ends = "--until-stdin-ends" in flags
    if not until_stdin_ends and os.fork():
        os._exit(0)  # whoever has started it does not have to wait for it
    layout.root.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=layout.daemon_log, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    with (layout.root / "daemon.pid").open("a+") as single:
        try:
            fcntl.flock(single, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another one serves this folder
        single.truncate(0)
        single.write(str(os.getpid()))
        single.flush()
        asyncio.run(_main(layout, until_stdin_ends=until_stdin_ends))


async def _main(layout: Layout, *, until_stdin_ends: bool) -> None:
    ends = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ends.set)
    if until_stdin_ends:
        loop.add_reader(0, lambda: os.read(0, 1) or ends.set())
    await Daemon(layout).run(ends, idle=not until_stdin_ends)


def _number(order: Order) -> int:
    return int(str(order["number"]))


def _private(folder: Path) -> None:
    """Makes *folder*, for this user alone. Raises OSError where somebody else has made it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.stat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise PermissionError(f"{folder} is not this user's own")


if __name__ == "__main__":
    main()

"""A Host of plain processes: files say what there is, and a daemon of their folder starts, probes, ends and connects them."""

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from opsroom_shared.errors import Conflict, NotFound, TimedOut, ToolFailure, Unavailable
from pydantic import JsonValue

from ...vocabulary import Health, LockHolder, PlanCheck
from .. import GateFailure, Instance, LogRow, Observed, Release, Target
from ..secret_values import check_secret, read_secret
from . import children
from .layout import InstanceFile, Layout, Pointer

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 10.0
_START_SECONDS = 10.0
_END_SECONDS = 1.0
"""How long it is waited for the daemon to end; it goes on ending what it has started by itself."""
_LOOK_SECONDS = 0.05
_MAX_ANSWER = 1 << 20
_MAX_LOG_READ = 2 << 20
_TAIL = 30
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)")


class ProcessHost:
    """Instances are processes of this user below *folder*; services are published at *bind*.

    With *ends_with_us* everything ends when this process does, whatever way it ends: for demos and tests.
    """

    def __init__(self, folder: Path, bind: str = "127.0.0.1", *, ends_with_us: bool = False) -> None:
        self._layout, self._bind, self._ends_with_us = Layout(folder), bind, ends_with_us
        self._daemon: asyncio.subprocess.Process | None = None
        self._guarding: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def ready(self) -> str | None:
        there = next(
            folder for folder in (self._layout.root.absolute(), *self._layout.root.absolute().parents) if folder.exists()
        )
        return None if os.access(there, os.W_OK) else f"{there} cannot be written"

    async def aclose(self) -> None:
        await _ended(self._guarding)
        if self._daemon is not None and self._daemon.stdin is not None:
            self._daemon.stdin.close()  # where everything ends with us, this is how it hears of it
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._daemon.wait(), _END_SECONDS)

    async def observe(self, target: Target) -> Observed:
        pointer = self._layout.read_pointer(target)
        placed = pointer.instances if pointer else ()
        healths = await self._healths(target)
        problems: list[str] = []
        if placed and healths is None:
            problems.append("nobody answers at its port and looks after its processes: their daemon has ended, or hangs")
        return Observed(
            live=tuple(dict.fromkeys(name for name, _ in placed)),
            instances=tuple(self._instance(target, each, placed, healths or {}) for each in self._layout.instances(target)),
            lock=self._read_lock(target),
            address=f"http://{pointer.bind}:{pointer.publish}" if pointer and placed else None,
            replicas=len(placed),
            problems=tuple(problems),
        )

    async def release(self, target: Target, name: str) -> Release | None:
        return self._layout.read_release(target, name)

    async def preflight(self, release: Release) -> list[PlanCheck]:
        return [
            _check_folder(release),
            _check_command(release),
            PlanCheck(
                name="probe",
                ok=release.probe is not None,
                detail="" if release.probe else 'a process needs a probe; add probe = { path = "/healthz" } to the service',
            ),
            *(check_secret(name, where) for name, where in release.secrets.items()),
            self._check_port(release),
        ]

    async def lock(self, target: Target, holder: LockHolder) -> None:
        file = self._layout.lock_file(target)
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_name(f"lock.{os.getpid()}.{time.monotonic_ns()}")
        whole.write_text(holder.model_dump_json(), encoding="utf-8")
        try:
            os.link(whole, file)  # fails where it exists, and it never exists half-written
        except FileExistsError:
            other = self._read_lock(target)
            who = f"{other.holder} since {other.since.isoformat()}" if other else "somebody who has just ended"
            raise Conflict(f"{target} is being changed by {who}. Wait until that has ended.") from None
        finally:
            whole.unlink()

    async def unlock(self, target: Target) -> None:
        self._layout.lock_file(target).unlink(missing_ok=True)

    async def create(self, release: Release, number: int) -> None:
        self._layout.write_release(release)
        if self._layout.read_instance(release.target, release.name, number) is None:
            self._layout.write_instance(release.target, release.name, number, InstanceFile())

    async def start(self, target: Target, release: str, number: int) -> None:
        made = self._layout.read_release(target, release)
        if made is None:
            raise NotFound(f"There is no release {release} of {target}.")
        secrets: dict[str, JsonValue] = {name: read_secret(name, where) for name, where in made.secrets.items()}
        await self._order("start", target, release=release, number=number, secrets=secrets)

    async def gate(self, release: Release, number: int) -> GateFailure | None:
        deadline = time.monotonic() + (release.probe.deadline_seconds if release.probe else _START_SECONDS)
        begun = self._layout.read_instance(release.target, release.name, number) or InstanceFile()
        last_probe: str | None = None
        while True:
            await self._ensure_daemon()
            file = self._layout.read_instance(release.target, release.name, number) or InstanceFile()
            healths = await self._healths(release.target)
            health, words = ("unknown", None) if healths is None else healths.get((release.name, number), ("stopped", None))
            last_probe = words or last_probe
            if health == "healthy":
                return None
            if file.restarts > begun.restarts or health == "stopped" or (file.pid is None and file.exit_code is not None):
                code = "" if file.exit_code is None else f" with exit status {file.exit_code}"
                return await self._failure(release, f"it ended{code} before it was healthy", last_probe)
            if time.monotonic() >= deadline:
                return await self._failure(release, "it was not healthy in time", last_probe)
            await asyncio.sleep(_LOOK_SECONDS)

    async def point(self, target: Target, instances: Sequence[tuple[Release, int]]) -> None:
        before = self._layout.read_pointer(target)
        publish = instances[0][0].publish if instances else before.publish if before else 0
        placed = tuple((release.name, number) for release, number in instances)
        self._layout.write_pointer(target, Pointer(self._bind, publish, placed))

    async def switch(self, target: Target) -> None:
        await self._order("switch", target)

    async def drain(self, target: Target, release: str, number: int, seconds: float) -> None:
        await self._order("drain", target, wait=seconds, release=release, number=number, seconds=seconds)

    async def stop(self, target: Target, release: str, number: int, grace: float) -> None:
        await self._order("stop", target, wait=grace, release=release, number=number, grace=grace)

    async def remove(self, target: Target, release: str, number: int) -> None:
        await self.stop(target, release, number, 0.0)
        shutil.rmtree(self._layout.instance(target, release, number), ignore_errors=True)
        folder = self._layout.release(target, release)
        if not any(name == release for name, _ in self._layout.instances(target)):
            shutil.rmtree(folder, ignore_errors=True)

    async def logs(self, target: Target, release: str, *, since: datetime | None, tail: int) -> list[LogRow]:
        numbers = [number for name, number in self._layout.instances(target) if name == release]
        if not numbers:
            there = ", ".join(dict.fromkeys(name for name, _ in self._layout.instances(target))) or "none"
            raise NotFound(f"There is no release {release!r} of {target}. There are: {there}.")
        rows: list[LogRow] = []
        for number in numbers:
            lines = await asyncio.to_thread(_last_lines, self._layout.log(target, release, number), tail)
            rows += _rows(lines, f"#{number} " if len(numbers) > 1 else "")
        kept = [row for row in rows if since is None or row.at is None or row.at >= since]
        return kept[-tail:]

    def _instance(
        self,
        target: Target,
        placed: tuple[str, int],
        live: Sequence[tuple[str, int]],
        healths: Mapping[tuple[str, int], tuple[Health, str | None]],
    ) -> Instance:
        name, number = placed
        file = self._layout.read_instance(target, name, number) or InstanceFile()
        release = self._layout.read_release(target, name)
        runs = file.pid is not None and children.birth_of(file.pid) == file.birth
        health, _ = healths.get(placed, ("unknown" if runs else "stopped", None))
        return Instance(
            release=name,
            number=number,
            health=health,
            live=placed in live,
            restarts=file.restarts,
            started_at=datetime.fromtimestamp(file.started_at, UTC) if file.started_at is not None else None,
            image=release.folder if release else None,
            created_by=release.created_by if release else None,
            exit_code=file.exit_code,
        )

    async def _healths(self, target: Target) -> dict[tuple[str, int], tuple[Health, str | None]] | None:
        """As the daemon sees it; None where it does not answer, because then nothing is looked after."""
        try:
            answer = await self._asked({"do": "look", "service": target.service, "environment": target.environment}, 0.0)
        except (OSError, ToolFailure):
            return None
        found = cast("list[dict[str, JsonValue]]", answer.get("instances", []))
        return {
            (str(each["release"]), int(str(each["number"]))): (
                cast("Health", each["health"]),
                cast("str | None", each["last_probe"]),
            )
            for each in found
        }

    async def _failure(self, release: Release, reason: str, last_probe: str | None) -> GateFailure:
        rows = await self.logs(release.target, release.name, since=None, tail=_TAIL)
        return GateFailure(reason, last_probe, tuple(row.text for row in rows))

    def _read_lock(self, target: Target) -> LockHolder | None:
        try:
            return LockHolder.model_validate_json(self._layout.lock_file(target).read_bytes())
        except FileNotFoundError:
            return None

    def _check_port(self, release: Release) -> PlanCheck:
        pointer = self._layout.read_pointer(release.target)
        if pointer is not None and pointer.instances and (pointer.bind, pointer.publish) == (self._bind, release.publish):
            return PlanCheck(name="port", ok=True, detail=f"{release.publish} is held already")
        for other in self._layout.targets():
            held = self._layout.read_pointer(other)
            if other != release.target and held is not None and held.publish == release.publish and held.instances:
                return PlanCheck(name="port", ok=False, detail=f"{release.publish} is {other}'s; give another publish")
        if not children.is_free(release.publish, self._bind):
            detail = f"{release.publish} cannot be held: somebody else has it; give another publish"
            return PlanCheck(name="port", ok=False, detail=detail)
        return PlanCheck(name="port", ok=True, detail=f"{release.publish} is free")

    async def _order(self, do: str, target: Target, *, wait: float = 0.0, **about: JsonValue) -> dict[str, JsonValue]:
        order: dict[str, JsonValue] = {"do": do, "service": target.service, "environment": target.environment, **about}
        await self._ensure_daemon()
        try:
            answer = await self._asked(order, wait)
        except OSError as error:
            raise Unavailable(f"The daemon of the processes does not answer: {error}") from None
        if "error" in answer:
            raise Unavailable(f"The {do} of {target} failed: {answer['error']}")
        return answer

    async def _asked(self, order: Mapping[str, JsonValue], wait: float) -> dict[str, JsonValue]:
        """Raises OSError where nobody listens."""
        reader, writer = await asyncio.open_unix_connection(self._layout.socket, limit=_MAX_ANSWER)
        try:
            writer.write(json.dumps(order).encode() + b"\n")
            line = await asyncio.wait_for(reader.readline(), wait + _ANSWER_SECONDS)
        except TimeoutError:
            raise TimedOut("The daemon of the processes did not answer in time.") from None
        finally:
            writer.close()
        if not line:
            raise ConnectionResetError("it ended while it was asked")
        return cast("dict[str, JsonValue]", json.loads(line))

    async def _ensure_daemon(self) -> None:
        async with self._starting:
            if await self._listens():
                return
            self._layout.root.mkdir(parents=True, exist_ok=True)
            flags = ["--until-stdin-ends"] if self._ends_with_us else []
            command = [sys.executable, "-m", f"{__package__}.daemon", str(self._layout.root), *flags]
            daemon = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE if self._ends_with_us else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env=children.environment({}),
            )
            if self._ends_with_us:
                self._daemon = daemon
            until = time.monotonic() + _START_SECONDS
            while not await self._listens():
                if time.monotonic() > until:
                    raise Unavailable(f"The daemon of the processes did not start; {self._layout.daemon_log} says why.")
                await asyncio.sleep(_LOOK_SECONDS)
            if not self._ends_with_us:
                await daemon.wait()  # it has left a child of its own behind, which is nobody's
            if self._guarding is None or self._guarding.done():
                self._guarding = asyncio.ensure_future(self._guard())

    async def _guard(self) -> None:
        """Starts another daemon where the one that is there is killed: the stable ports depend on it."""
        while await self._is_killed():
            log.warning("the daemon of the processes was killed; another one takes over")
            try:
                await self._ensure_daemon()
            except (OSError, ToolFailure) as error:
                log.warning("it could not be started: %s", error)
                return

    async def _is_killed(self) -> bool:
        """Returns when the daemon has ended; False where it did so as it was told to."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._layout.socket)
        except OSError:
            return False
        try:
            writer.write(b'{"do": "stay"}\n')
            return not await reader.readline()
        except OSError:
            return True
        finally:
            writer.close()

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self._layout.socket)
        except OSError:
            return False
        writer.close()
        return True


async def _ended(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


def _check_folder(release: Release) -> PlanCheck:
    if release.folder is None or not Path(release.folder).is_dir():
        detail = f"there is no folder {release.folder}; a release of a process is a folder below `releases` of the service"
        return PlanCheck(name="release", ok=False, detail=detail)
    return PlanCheck(name="release", ok=True)


def _check_command(release: Release) -> PlanCheck:
    if not release.command:
        detail = 'the service has no command; add command = ["./server", "--port", "{port}"]'
        return PlanCheck(name="command", ok=False, detail=detail)
    program = release.command[0].replace("{folder}", release.folder or "")
    path = Path(release.folder or ".", program) if "/" in program else Path(shutil.which(program) or "/nowhere")
    if not os.access(path, os.X_OK):
        return PlanCheck(name="command", ok=False, detail=f"{program} cannot be run; give a program that is there")
    return PlanCheck(name="command", ok=True)


def _last_lines(file: Path, most: int) -> list[str]:
    with contextlib.suppress(FileNotFoundError), file.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(stream.tell() - _MAX_LOG_READ, 0))
        return stream.read().decode(errors="replace").splitlines()[-most:]
    return []


def _rows(lines: Sequence[str], mark: str) -> list[LogRow]:
    """A line that carries no time has that of the line before it."""
    rows: list[LogRow] = []
    at: datetime | None = None
    for line in lines:
        found = _TIME.match(line)
        if found:
            with contextlib.suppress(ValueError):
                moment = datetime.fromisoformat(found[1].replace(",", "."))
                at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        rows.append(LogRow(at, mark + line))
    return rows

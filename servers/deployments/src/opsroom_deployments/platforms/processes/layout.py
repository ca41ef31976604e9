"""Where the process platform keeps things: a folder per target, with its pointer, its lock, releases and their instances."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter

from .. import Release, Target

_RELEASE: TypeAdapter[Release] = TypeAdapter(Release)


@dataclass(frozen=True)
class Pointer:
    """Which instances of a target get the requests that come to its stable port. It is what decides what is live."""

    bind: str
    publish: int
    instances: tuple[tuple[str, int], ...]
    """Release and number, those of the release that is to be live first."""


@dataclass(frozen=True)
class InstanceFile:
    """What is known of an instance, as the daemon wrote it down last."""

    pid: int | None = None
    birth: str = ""
    """When the process began, as the system tells it: another process with the same number has another one."""
    port: int | None = None
    started_at: float | None = None
    exit_code: int | None = None
    restarts: int = 0


class Layout:
    """The folder of one host of processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def socket(self) -> Path:
        """Where the daemon listens. A path below the root may be too long for a socket, so it is elsewhere, named by it."""
        folder = Path(tempfile.gettempdir()) / f"opsroom-{os.getuid()}"
        return folder / f"{hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:16]}.sock"

    @property
    def daemon_log(self) -> Path:
        return self.root / "daemon.log"

    def target(self, target: Target) -> Path:
        return self.root / f"{target.service}.{target.environment}"

    def targets(self) -> Iterator[Target]:
        for folder in sorted(self.root.glob("*.*/pointer.json")):
            service, _, environment = folder.parent.name.partition(".")
            yield Target(service, environment)

    def pointer_file(self, target: Target) -> Path:
        return self.target(target) / "pointer.json"

    def lock_file(self, target: Target) -> Path:
        return self.target(target) / "lock.json"

    def release(self, target: Target, name: str) -> Path:
        return self.target(target) / "releases" / name

    def instance(self, target: Target, name: str, number: int) -> Path:
        return self.release(target, name) / str(number)

    def log(self, target: Target, name: str, number: int) -> Path:
        return self.instance(target, name, number) / "log"

    def instances(self, target: Target) -> Iterator[tuple[str, int]]:
        for folder in sorted(self.target(target).glob("releases/*/*/instance.json")):
            yield folder.parents[1].name, int(folder.parent.name)

    def read_pointer(self, target: Target) -> Pointer | None:
        found = _read(self.pointer_file(target))
        if found is None:
            return None
        placed = cast("list[tuple[str, int]]", found["instances"])
        return Pointer(str(found["bind"]), cast("int", found["publish"]), tuple((name, number) for name, number in placed))

    def write_pointer(self, target: Target, pointer: Pointer) -> None:
        _write(self.pointer_file(target), asdict(pointer))

    def read_release(self, target: Target, name: str) -> Release | None:
        found = _read(self.release(target, name) / "release.json")
        return None if found is None else _RELEASE.validate_python(found)

    def write_release(self, release: Release) -> None:
        facts = cast("Mapping[str, object]", _RELEASE.dump_python(release, mode="json"))
        _write(self.release(release.target, release.name) / "release.json", facts)

    def read_instance(self, target: Target, name: str, number: int) -> InstanceFile | None:
        found = _read(self.instance(target, name, number) / "instance.json")
        return None if found is None else InstanceFile(**found)  # pyright: ignore[reportArgumentType] - as it was written

    def write_instance(self, target: Target, name: str, number: int, state: InstanceFile) -> None:
        _write(self.instance(target, name, number) / "instance.json", asdict(state))


def _read(file: Path) -> dict[str, object] | None:
    try:
        return cast("dict[str, object]", json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _write(file: Path, content: Mapping[str, object]) -> None:
    """Whole or not at all, also when the power goes: a half-written pointer would be an outage."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)

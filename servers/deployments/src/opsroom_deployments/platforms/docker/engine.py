"""The calls of the Docker Engine that a host needs: each in a thread, bounded in time, its errors in our words."""

import asyncio
import contextlib
import io
import os
import posixpath
import re
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Protocol, TypeVar, cast

import docker
import docker.constants
import docker.errors
import docker.utils
import requests
from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted, TimedOut, ToolFailure, Unavailable
from opsroom_shared.redact import redact
from pydantic import JsonValue

from .. import LogRow
from .wire import Container, Engine, Image, Listed

T = TypeVar("T")

_TIMEOUT_SECONDS = 60.0
"""Between two bytes of an answer. Starting a container on a busy machine takes seconds, never this long."""
_PULL_SECONDS = 1_800.0
_THREADS = 64
"""Ending instances blocks a thread for their time of grace; looking at the others must go on meanwhile."""
_NEWEST_API = "1.45"
"""The newest that the library knows. An older engine is spoken to in its own version."""
_OLDEST_API = "1.24"
_MAX_FILE = 1 << 20
_MAX_LOG = 4 << 20
_MAX_ERROR = 500


class _Api(Protocol):
    """What is used of docker.APIClient."""

    def version(self, *, api_version: bool) -> Mapping[str, str]: ...
    def info(self) -> object: ...
    def close(self) -> None: ...
    def containers(self, *, all: bool, filters: Mapping[str, Sequence[str]]) -> Sequence[object]: ...  # noqa: A002 - its name
    def inspect_container(self, container: str) -> object: ...
    def create_container_from_config(self, config: Mapping[str, JsonValue], name: str) -> object: ...
    def start(self, container: str) -> None: ...
    def stop(self, container: str, timeout: int) -> None: ...
    def kill(self, container: str, signal: str) -> None: ...
    def remove_container(self, container: str, *, v: bool, force: bool) -> None: ...
    def put_archive(self, container: str, path: str, data: bytes) -> bool: ...
    def get_archive(self, container: str, path: str) -> tuple[Iterable[bytes], Mapping[str, JsonValue]]: ...
    def top(self, container: str, ps_args: str) -> Mapping[str, Sequence[Sequence[str]] | None]: ...
    def exec_create(self, container: str, cmd: Sequence[str]) -> Mapping[str, str]: ...
    def exec_start(self, exec_id: str) -> bytes: ...
    def exec_inspect(self, exec_id: str) -> Mapping[str, int]: ...
    def logs(
        self, container: str, *, stream: bool, follow: bool, timestamps: bool, tail: int, since: float | None
    ) -> Iterator[bytes]: ...
    def inspect_image(self, image: str) -> object: ...
    def inspect_distribution(self, image: str) -> object: ...
    def pull(self, repository: str, *, tag: str, stream: bool, decode: bool) -> Iterator[Mapping[str, JsonValue]]: ...
    def networks(self, *, names: Sequence[str]) -> Sequence[Mapping[str, JsonValue]]: ...
    def create_network(self, name: str, *, driver: str, labels: Mapping[str, str], check_duplicate: bool) -> object: ...


class DockerEngine:
    """One engine. Nothing is connected before the first call; an engine that comes back is found again by the next one."""

    def __init__(self, url: str | None = None) -> None:
        self._url = url
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="docker")
        self._connecting = threading.Lock()
        self._api: _Api | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is reached by a socket of this machine, so that ports of this machine are likely its own."""
        where = self._url or os.environ.get("DOCKER_HOST", "")
        return not where or where.startswith(("unix://", "/"))

    async def aclose(self) -> None:
        if self._api is not None:
            await asyncio.to_thread(self._api.close)
        self._threads.shutdown(wait=False)

    async def info(self) -> Engine:
        return Engine.model_validate(await self._call(lambda api: api.info()))

    async def find(self, labels: Mapping[str, str]) -> Sequence[Listed]:
        """All containers that carry *labels*, ended ones too."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        found = await self._call(lambda api: api.containers(all=True, filters={"label": wanted} if wanted else {}))
        return [Listed.model_validate(each) for each in found]

    async def inspect(self, name: str) -> Container | None:
        try:
            return Container.model_validate(await self._call(lambda api: api.inspect_container(name)))
        except NotFound:
            return None

    async def create(self, name: str, config: Mapping[str, JsonValue]) -> None:
        """Raises Conflict where the name is taken."""
        await self._call(lambda api: api.create_container_from_config(config, name))

    async def start(self, name: str) -> None:
        await self._call(lambda api: api.start(name))

    async def stop(self, name: str, grace: float) -> None:
        """What is not there, or has ended, is stopped."""
        with contextlib.suppress(NotFound):
            await self._call(lambda api: api.stop(name, timeout=int(grace + 0.999)))

    async def kill(self, name: str, signal: str) -> None:
        await self._call(lambda api: api.kill(name, signal))

    async def remove(self, name: str) -> None:
        """With its own volumes, running or not."""
        with contextlib.suppress(NotFound):
            await self._call(lambda api: api.remove_container(name, v=True, force=True))

    async def write(self, name: str, path: str, content: bytes) -> None:
        folder, file = posixpath.split(path)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo(file)
            entry.size, entry.mode, entry.mtime = len(content), 0o644, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
        await self._call(lambda api: api.put_archive(name, folder, packed.getvalue()))

    async def read(self, name: str, path: str) -> bytes | None:
        """None where there is no such container or file."""

        def read(api: _Api) -> bytes:
            chunks, _ = api.get_archive(name, path)
            return b"".join(_bounded(chunks, 2 * _MAX_FILE))

        try:
            packed = await self._call(read)
        except NotFound:
            return None
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            file = archive.extractfile(posixpath.basename(path))
            return file.read(_MAX_FILE) if file else None

    async def run(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        """Runs *command* in a running container: its exit status, and what it said."""

        def run(api: _Api) -> tuple[int, str]:
            execution = api.exec_create(name, command)["Id"]
            said = api.exec_start(execution)
            return api.exec_inspect(execution)["ExitCode"], said.decode(errors="replace")

        return await self._call(run)

    async def processes(self, name: str) -> Sequence[tuple[int, int]] | None:
        """Process and parent, numbered as the engine's machine does. None where that machine has no `ps` to tell them."""
        try:
            found = await self._call(lambda api: api.top(name, "-o pid,ppid"))
        except (NotFound, Conflict):  # it has ended
            return ()
        except Unavailable as error:
            if "not running" in str(error):
                return ()
            if "ps" not in str(error):
                raise
            return None
        return [(int(pid), int(parent)) for pid, parent in found["Processes"] or ()]  # null where none is left

    async def logs(self, name: str, *, tail: int, since: datetime | None = None) -> list[LogRow]:
        """The last lines, oldest first. It is never followed: a silent container would hold its thread for ever."""

        def read(api: _Api) -> bytes:
            begin = since.timestamp() if since else None
            chunks = api.logs(name, stream=True, follow=False, timestamps=True, tail=tail, since=begin)
            return b"".join(_bounded(chunks, _MAX_LOG))

        said = await self._call(read)
        return [_row(line) for line in said.decode(errors="replace").splitlines()][-tail:]

    async def image(self, reference: str) -> Image | None:
        try:
            return Image.model_validate(await self._call(lambda api: api.inspect_image(reference)))
        except NotFound:
            return None

    async def ask_registry(self, reference: str) -> None:
        """Returns where the registry has the image. Raises NotFound, NotPermitted and Unavailable."""
        await self._call(lambda api: api.inspect_distribution(reference))

    async def pull(self, reference: str) -> None:
        repository, tag = docker.utils.parse_repository_tag(reference)
        ended = threading.Event()
        until = time.monotonic() + _PULL_SECONDS

        def pull(api: _Api) -> None:
            for line in api.pull(repository, tag=tag or "latest", stream=True, decode=True):
                if "error" in line:
                    raise Unavailable(f"{reference} could not be pulled: {_brief(str(line['error']))}")
                if ended.is_set() or time.monotonic() > until:
                    raise TimedOut(f"{reference} could not be pulled within {_PULL_SECONDS / 60:g} minutes.")

        try:
            await self._call(pull)
        finally:
            ended.set()  # after a cancellation: the thread ends with the next word of the registry

    async def ensure_network(self, name: str, labels: Mapping[str, str]) -> None:
        def ensure(api: _Api) -> None:
            if any(each["Name"] == name for each in api.networks(names=[name])):
                return
            with contextlib.suppress(Conflict):  # another deployment was faster
                _translated(lambda: api.create_network(name, driver="bridge", labels=labels, check_duplicate=True))

        await self._call(ensure)

    async def _call(self, work: Callable[[_Api], T]) -> T:
        def call() -> T:
            return _translated(lambda: work(self._connected()))

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _connected(self) -> _Api:
        with self._connecting:
            if self._api is None:
                self._api = self._connect()
            return self._api

    def _connect(self) -> _Api:
        # kwargs_from_env knows DOCKER_HOST, and the certificates that go with it
        about: dict[str, object] = {} if self._url else dict(docker.utils.kwargs_from_env())
        if self._url:
            about["base_url"] = self._url
        about["timeout"] = _TIMEOUT_SECONDS
        _knock(str(about.get("base_url") or docker.constants.DEFAULT_UNIX_SOCKET))
        first = _client(_OLDEST_API, about)
        told = first.version(api_version=False)
        # asked for its own version an engine that is newer than the library would answer what the library cannot read
        version = min(told["ApiVersion"], _NEWEST_API, key=_version)
        if _version(version) < _version(told.get("MinAPIVersion", version)):
            version = told["MinAPIVersion"]
        first.close()
        return _client(version, about)


def _knock(url: str) -> None:
    """Raises OSError where nobody listens at a socket of this machine; the client would leave its own end of it open."""
    scheme, _, path = url.partition("://")
    if scheme in ("unix", "http+unix"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_TIMEOUT_SECONDS)
            probe.connect(path)


def _client(version: str, about: Mapping[str, object]) -> _Api:
    return cast("Callable[..., _Api]", docker.APIClient)(version=version, **about)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _translated(work: Callable[[], T]) -> T:
    """The one place where a failure of the engine becomes a ToolFailure."""
    try:
        return work()
    except docker.errors.APIError as error:
        raise _of_status(error.status_code or 500, _brief(str(error.explanation or error))) from None
    except requests.exceptions.Timeout:
        raise TimedOut("The Docker Engine did not answer in time.") from None
    except (requests.exceptions.RequestException, docker.errors.DockerException, OSError) as error:
        raise Unavailable(_unreachable(error)) from None


def _of_status(status: int, words: str) -> ToolFailure:
    match status:
        case 400:
            return InvalidInput(f"The Docker Engine refuses it: {words}")
        case 401 | 403:
            return NotPermitted(f"The Docker Engine does not permit it: {words}")
        case 404:
            return NotFound(f"The Docker Engine has no such thing: {words}")
        case 409:
            return Conflict(f"The Docker Engine is in another state: {words}")
        case _:
            return Unavailable(f"The Docker Engine failed: {words}")


def _unreachable(error: Exception) -> str:
    words = str(error)
    if "Permission denied" in words:
        return "The Docker Engine does not let this user in. Run this server as a user who may use its socket."
    if "No such file" in words or "Connection refused" in words:
        return "No Docker Engine answers. Start it, or say where it is with `socket` of the platform or DOCKER_HOST."
    return f"The Docker Engine cannot be reached: {_brief(words)}"


def _brief(words: str) -> str:
    words = redact(re.sub(r"\s+", " ", words).strip())
    return words if len(words) <= _MAX_ERROR else words[:_MAX_ERROR] + "…"


def _bounded(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            return
        yield chunk


def _row(line: str) -> LogRow:
    stamp, _, text = line.partition(" ")
    try:
        return LogRow(datetime.fromisoformat(stamp), text)
    except ValueError:
        return LogRow(None, line)

"""Running git on a repository that may be hostile: no hook, filter, helper or pager of its configuration is ever started."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from opsroom_shared.errors import TimedOut, TooLarge, ToolFailure, Unavailable
from opsroom_shared.outside import clean

LARGEST_TEXT = 8 << 20
"""Bytes of a file above which git calls it binary here, so that it is neither compared nor sent."""

_AT_ONCE = 4
_OUTPUT = 32 << 20
_ERROR_SHOWN = 300
_ENDING = 5.0
_CONFIG = (
    "advice.graftFileDeprecated=false",  # said for the empty file of grafts below
    "core.quotePath=off",
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    f"core.bigFileThreshold={LARGEST_TEXT}",
    "core.pager=cat",
    "diff.external=",
    f"diff.orderFile={os.devnull}",
    "log.showSignature=false",
    "protocol.allow=never",
    "submodule.recurse=false",
)
_KEPT = ("HOME", "PATH", "TMPDIR", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM")
_SET = {
    "LC_ALL": "C",  # its messages are read here
    "GIT_ALLOW_PROTOCOL": "none",  # beats protocol.*.allow of a repository: a missing object must not start a transport
    "GIT_ASKPASS": "",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # an id must stand for the commit that it names
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
}


@dataclass(frozen=True)
class Output:
    """What git answered. Of a cut answer only the beginning is there."""

    code: int
    data: bytes
    error: str
    cut: bool = False

    def failure(self) -> ToolFailure:
        return Unavailable(f"git could not do that: {self.error or f'it ended with {self.code}'}")


@dataclass
class Git:
    """The git program in one folder."""

    folder: Path
    seconds: float
    started: int = 0
    """How many processes were started so far: what a call costs."""

    def __post_init__(self) -> None:
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def read(self, *arguments: str | bytes, stdin: bytes | None = None, config: Iterable[str] = ()) -> bytes:
        """The whole output of a command that must succeed."""
        output = await self.run(*arguments, stdin=stdin, config=config)
        if output.code:
            raise output.failure()
        return output.data

    async def run(
        self,
        *arguments: str | bytes,
        stdin: bytes | None = None,
        config: Iterable[str] = (),
        limit: int = _OUTPUT,
        may_cut: bool = False,
    ) -> Output:
        """Raises TooLarge for more than *limit* bytes, unless it *may_cut*; TimedOut; and Unavailable where git is missing."""
        async with self._gate:
            self.started += 1
            try:
                process = await asyncio.create_subprocess_exec(
                    *command(arguments, config),
                    cwd=self.folder,
                    env=environment(),
                    stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,  # so that it ends with all that it may have started
                )
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                raise Unavailable("The repository's folder is gone, or cannot be entered.") from None
            try:
                async with asyncio.timeout(self.seconds):
                    output = await _talk(process, stdin, limit)
            except TimeoutError:
                raise TimedOut(f"git did not finish within {self.seconds:g} s. Ask for less, such as fewer files.") from None
            finally:
                await _end(process)
        if output.cut and not may_cut:
            raise TooLarge(f"git answered more than {limit >> 20} MiB. Ask for less, such as fewer files.")
        return output


async def _talk(process: asyncio.subprocess.Process, stdin: bytes | None, limit: int) -> Output:
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("the pipes of a process are missing")
    feeding = asyncio.create_task(_feed(process, stdin))
    errors = asyncio.create_task(_part(process.stderr, 16_384))
    try:
        data = await _part(process.stdout, limit)
        if cut := len(data) > limit:
            _kill(process)
        error = await errors
        await feeding
        code = await process.wait()
    finally:
        feeding.cancel()
        errors.cancel()
    return Output(0 if cut else code, data[:limit], _first_words(error), cut)


async def _feed(process: asyncio.subprocess.Process, stdin: bytes | None) -> None:
    if process.stdin is None or stdin is None:
        return
    try:
        process.stdin.write(stdin)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it ended early; its exit status says why
    finally:
        process.stdin.close()


async def _part(stream: asyncio.StreamReader, limit: int) -> bytes:
    """What the stream holds, or a little more than *limit* bytes of it."""
    data = bytearray()
    while chunk := await stream.read(1 << 16):
        data += chunk
        if len(data) > limit:
            break
    return bytes(data)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        _kill(process)
        await process.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(_ENDING):
            for stream in (process.stdout, process.stderr):
                while stream is not None and await stream.read(1 << 16):
                    pass  # a pipe that nobody reads to its end is never closed


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _first_words(error: bytes) -> str:
    lines = [line for line in error.decode(errors="replace").splitlines() if line.strip()]
    text = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else "")
    return clean(text.removeprefix("fatal: ").removeprefix("error: "), _ERROR_SHOWN)


def command(arguments: Iterable[str | bytes], config: Iterable[str] = ()) -> list[str | bytes]:
    """The program and its arguments. Raises Unavailable where there is no git."""
    program = shutil.which("git")
    if program is None or not Path(program).is_absolute():  # a relative one could be the repository's
        raise Unavailable("The program git was not found on this machine.")
    settings = [part for setting in (*_CONFIG, *config) for part in ("-c", setting)]
    return [program, "--no-pager", *settings, *arguments]


def environment() -> Mapping[str, str]:
    """What git may know: who the user is, and none of the variables that name programs or other repositories."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | _SET

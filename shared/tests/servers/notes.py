"""A small tool server, built on opsroom_shared as a team of its own would build one; with tools that misbehave on demand."""

import argparse
import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Literal

from fastmcp import FastMCP
from opsroom_shared.config import ConfigError
from opsroom_shared.serve import App, Command, Program, run
from opsroom_shared.settings import ServerSettings
from opsroom_shared.tools import Answer, Tool, create_server
from pydantic import Field, SecretStr

log = logging.getLogger("notes")


class Settings(ServerSettings):
    name: ClassVar[str] = "notes"

    greeting: str = Field("hello", max_length=20, description="What list_notes starts with.")
    vault: SecretStr | None = Field(None, description="A secret, to see that it is never shown.")
    unready: str | None = Field(None, description="Why /readyz answers that the server is not ready.")
    fail: Literal["build", "config", "lifespan", "teardown"] | None = Field(
        None, description="Where the start goes wrong, and how."
    )


class Notes(Answer):
    notes: list[str]


async def list_notes(limit: Annotated[int, Field(description="At most this many.", ge=1, le=100)] = 10) -> Notes:
    """List the newest notes."""
    return Notes(notes=[f"note {number}" for number in range(limit)])


async def add_note(text: Annotated[str, Field(description="The note.", max_length=100)]) -> Notes:
    """Add a note."""
    return Notes(notes=[text])


async def wait_long() -> Notes:
    """Wait until the call is cancelled."""
    log.warning("waiting")
    try:
        await asyncio.sleep(3_600)
    finally:
        log.warning("cancelled")
    return Notes(notes=[])


async def wait_briefly(seconds: Annotated[float, Field(description="How long.", ge=0, le=5)] = 1.0) -> Notes:
    """Wait a moment."""
    log.warning("waiting")
    await asyncio.sleep(seconds)
    return Notes(notes=["waited"])


async def block_thread() -> Notes:
    """Block a thread, which nothing can cancel."""
    log.warning("waiting")
    await asyncio.to_thread(time.sleep, 3_600)
    return Notes(notes=[])


async def break_down() -> Notes:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError("cannot reach postgresql://notes:hunter2@db/notes with the key correct-horse-battery")


async def write_stray() -> Notes:
    """Print to stdout, and let a child read stdin and print to stdout."""
    print("stray output of the server")  # noqa: T201 - what must not reach the wire
    child = await asyncio.to_thread(subprocess.run, ["sh", "-c", "cat; echo stray output of a child"], check=True, timeout=10)
    return Notes(notes=[f"child ended with {child.returncode}"])


READ_TOOLS = (list_notes, wait_long, wait_briefly, block_thread, break_down, write_stray)


def build(settings: Settings) -> App:
    if settings.fail == "build":
        raise RuntimeError("no such driver for mysql://root:hunter2@db/x")
    if settings.fail == "config":
        raise ConfigError("notes.shelf: no such shelf; one of: left, right")

    @asynccontextmanager
    async def shelf(_: FastMCP) -> AsyncGenerator[dict[str, object]]:
        if settings.fail == "lifespan":
            raise ConfigError("notes.shelf: is locked; unlock it first")
        log.warning("shelf opened")
        try:
            yield {}
        finally:
            if settings.fail == "teardown":
                await asyncio.sleep(3_600)
            log.warning("shelf closed")

    async def ready() -> dict[str, str | None]:
        if settings.unready == "defect":
            raise RuntimeError("password=hunter2")
        return {"shelf": settings.unready}

    server = create_server(
        "notes",
        distribution="opsroom-shared",
        instructions="Keeps notes.",
        tools=[*map(Tool, READ_TOOLS), Tool(add_note, read_only=False, idempotent=False)],
        allow_writes=settings.allow_writes,
        lifespan=shelf,
    )
    return App(server, ready)


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--greeting", metavar="TEXT", help="what list_notes starts with")


async def greet(settings: Settings, name: str) -> str:
    if name == "nobody":
        raise ConfigError("nobody is not here")
    return f"{settings.greeting} {name}"


PROGRAM = Program(
    name="notes",
    distribution="opsroom-shared",
    description="Keeps notes.",
    examples="Examples:\n  opsroom-notes --demo",
    settings=Settings,
    build=build,
    add_flags=add_flags,
    commands={"greet": Command("NAME", "print a greeting", greet)},
)

if __name__ == "__main__":
    sys.exit(run(PROGRAM))

"""The servers that are compared: ours, a bare fastmcp server that does nothing, and dbhub."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from opsroom_shared.testing.process import Era, ServerProcess, server_process

from .clients import HttpClient, Tool
from .engines import Engine
from .mix import QUERY_SECONDS

OPSROOM = Path(sys.executable).parent / "opsroom-databases"
DBHUB = "@bytebase/dbhub"
_INSTALL_SECONDS = 300
_START_SECONDS = 60

# What no server on fastmcp can be faster than without leaving parts of it out: the same page, and nothing behind it.
FLOOR = '''
import sys

import uvicorn
from fastmcp import FastMCP
from pydantic import BaseModel


class Column(BaseModel):
    name: str
    type: str


class QueryPage(BaseModel):
    columns: list[Column]
    rows: list[list[bool | int | float | str | None]]
    row_count: int
    truncated: bool = False
    next_cursor: str | None = None
    hint: str | None = None
    masked: list[str] = []


PAGE = QueryPage(
    columns=[Column(name=name, type="text") for name in ("id", "name", "country")], rows=[[1, "guest1", "DE"]] * 10, row_count=10
)
mcp = FastMCP("floor", version="1")


@mcp.tool
async def run_query(sql: str, database: str | None = None, limit: int = 100, cursor: str | None = None) -> QueryPage:
    """Answer what it always answers."""
    return PAGE


if len(sys.argv) > 1:
    uvicorn.run(mcp.http_app(path="/mcp"), host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
else:
    mcp.run("stdio", show_banner=False)
'''


@dataclass(frozen=True)
class Served:
    """A server that answers over HTTP."""

    process: ServerProcess
    tool: Tool

    @property
    def pid(self) -> int:
        return self.process.process.pid


def _settings(engine: Engine) -> dict[str, str]:
    return {"OPSROOM_DATABASES_DATABASES__SHOP__URL": engine.url, "OPSROOM_DATABASES_QUERY_SECONDS": str(QUERY_SECONDS)}


@asynccontextmanager
async def opsroom(engine: Engine, era: Era, patience: float) -> AsyncGenerator[Served]:
    command = [OPSROOM, "--http", "127.0.0.1:0"]
    async with server_process(command, env=_settings(engine), patience=patience) as process:
        where = await process.logged(r"listens on http://(\S+):(\d+)/mcp\n")
        yield Served(process, Tool(where[1], int(where[2]), era))


@asynccontextmanager
async def opsroom_stdio(engine: Engine) -> AsyncGenerator[ServerProcess]:
    async with server_process([OPSROOM], env=_settings(engine)) as process:
        await process.handshake()
        yield process


@asynccontextmanager
async def floor(port: int, era: Era, patience: float) -> AsyncGenerator[Served]:
    async with server_process([sys.executable, "-c", FLOOR, str(port)], patience=patience) as process:
        tool = Tool("127.0.0.1", port, era)
        await _listening(tool)
        yield Served(process, tool)


@asynccontextmanager
async def floor_stdio() -> AsyncGenerator[ServerProcess]:
    async with server_process([sys.executable, "-c", FLOOR]) as process:
        await process.handshake()
        yield process


class NoPeer(Exception):
    """dbhub cannot be compared with here, for this reason."""


def install_dbhub(folder: Path) -> Path:
    """The program, from its package."""
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), DBHUB]
    try:
        subprocess.run(install, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoPeer(f"it cannot be installed: {error}") from None
    return folder / "node_modules" / ".bin" / "dbhub"


def _dsn(engine: Engine) -> str:
    return engine.url if engine.url.startswith("sqlite") else f"{engine.url}?sslmode=disable"


@asynccontextmanager
async def dbhub(program: Path, engine: Engine, port: int, patience: float) -> AsyncGenerator[Served]:
    command = [program, "--transport", "http", "--port", str(port), "--dsn", _dsn(engine)]
    async with server_process(command, patience=patience) as process:
        tool = Tool("127.0.0.1", port, "legacy", "execute_sql", engine.statements.cut)
        await _listening(tool)
        yield Served(process, tool)


@asynccontextmanager
async def dbhub_stdio(program: Path, engine: Engine) -> AsyncGenerator[ServerProcess]:
    async with server_process([program, "--transport", "stdio", "--dsn", _dsn(engine)], era="legacy") as process:
        await process.handshake()
        yield process


async def _listening(tool: Tool) -> None:
    """Waits until the server answers."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            client = HttpClient(tool)
            with contextlib.suppress(OSError):
                await client.call("SELECT 1")
                await client.leave()
                return
            await asyncio.sleep(0.05)

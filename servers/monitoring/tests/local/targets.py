"""A real HTTP target on loopback, whose answer a test decides."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class Page:
    """What the target answers from now on."""

    body: str = ""
    status: str = "200 OK"
    answers: bool = True
    """Whether it answers at all, or holds the line."""
    asked: int = field(default=0)


@contextlib.asynccontextmanager
async def serving(page: Page) -> AsyncGenerator[str]:
    """The address of *page*."""
    let_go = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            page.asked += 1
            if not page.answers:
                await let_go.wait()
            payload = page.body.encode(errors="surrogateescape")
            head = f"HTTP/1.1 {page.status}\r\ncontent-length: {len(payload)}\r\nconnection: close\r\n\r\n"
            writer.write(head.encode() + payload)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            let_go.set()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until *holds*, and fails after half a minute."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - what is waited for happens in the product, which has no event for it
            await asyncio.sleep(0.01)

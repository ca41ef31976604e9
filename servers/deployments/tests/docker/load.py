"""A steady load of POST requests that are never sent twice, until its standard input ends; then a line of JSON says how it went.

Run as a program of its own, so that what is tested cannot slow it down: load.py PORT REQUESTS_PER_SECOND. Half of the requests
come on a connection of their own each, the other half on connections that are kept.
"""

import asyncio
import contextlib
import json
import sys
from collections import Counter

_KEPT_CONNECTIONS = 20
_ANSWER_SECONDS = 30.0
_WORDS_KEPT = 10


class _Lost(Exception):
    """A request that got no answer, or not the one it was to get."""


class Load:
    def __init__(self, port: int, rate: float) -> None:
        self._port, self._rate = port, rate
        self._ends = asyncio.Event()
        self._sent: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._by: Counter[str] = Counter()
        self._words: list[str] = []
        self._slowest = 0.0

    async def run(self) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        ending = loop.run_in_executor(None, sys.stdin.read)
        ending.add_done_callback(lambda _: self._ends.set())
        await asyncio.gather(self._new(), *(self._kept(number) for number in range(_KEPT_CONNECTIONS)))
        return {
            "sent": dict(self._sent),
            "lost": dict(self._lost),
            "by": dict(self._by),
            "words": self._words,
            "slowest_seconds": round(self._slowest, 3),
        }

    async def _new(self) -> None:
        """Requests that begin at their time, whether or not the ones before have been answered."""
        tasks: set[asyncio.Task[None]] = set()
        async for _ in self._beats(self._rate / 2):
            task = asyncio.create_task(self._single())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def _single(self) -> None:
        with contextlib.suppress(_Lost):
            async with self._counted("new"):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    await self._post(reader, writer, keep=False)
                finally:
                    writer.close()

    async def _kept(self, number: int) -> None:
        """Requests on one connection. It is made anew only when an answer has said that it will be closed."""
        writer: asyncio.StreamWriter | None = None
        reader: asyncio.StreamReader | None = None
        await asyncio.sleep(number / self._rate)
        async for _ in self._beats(self._rate / 2 / _KEPT_CONNECTIONS):
            keeps = False
            with contextlib.suppress(_Lost):
                async with self._counted("kept"):
                    if writer is None or reader is None:
                        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    keeps = await self._post(reader, writer, keep=True)
            if not keeps and writer is not None:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    async def _beats(self, rate: float):  # noqa: ANN202 - an async generator of nothing
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._ends.is_set():
            yield
            due = max(due + 1 / rate, loop.time() - 1)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), max(due - loop.time(), 0))

    @contextlib.asynccontextmanager
    async def _counted(self, kind: str):  # noqa: ANN202 - as above
        begun = asyncio.get_running_loop().time()
        self._sent[kind] += 1
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                yield
        except (OSError, ValueError, EOFError, TimeoutError, _Lost) as error:
            self._lost[kind] += 1
            if len(self._words) < _WORDS_KEPT:
                self._words.append(f"{kind}: {error!r}")
            raise _Lost from error
        finally:
            self._slowest = max(self._slowest, asyncio.get_running_loop().time() - begun)

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool) -> bool:
        """Whether the connection can be used again."""
        connection = "keep-alive" if keep else "close"
        writer.write(
            f"POST /orders HTTP/1.1\r\nhost: shop\r\nconnection: {connection}\r\ncontent-length: 5\r\n\r\norder".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
        body = await reader.readexactly(int(fields["content-length"]))
        if " 200 " not in head.splitlines()[0]:
            raise _Lost(head.splitlines()[0])
        self._by[body.decode().strip()] += 1
        return keep and fields.get("connection") != "close"


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Load(int(sys.argv[1]), float(sys.argv[2])).run())))  # noqa: T201 - what it is run for

"""Requests on a connection of their own each, at a steady rate, never sent twice, until its input ends; then how they went.

Run as a program of its own, so that what is tested cannot slow it down: load.py PORT REQUESTS_PER_SECOND.
"""

import asyncio
import contextlib
import json
import sys
from collections import Counter

_ANSWER_SECONDS = 30.0


async def main(port: int, rate: float) -> None:
    loop = asyncio.get_running_loop()
    ends = asyncio.Event()
    loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: ends.set())
    by: Counter[str] = Counter()
    tasks: set[asyncio.Task[None]] = set()
    due = loop.time()
    while not ends.is_set():
        task = asyncio.create_task(one(port, by))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        due = max(due + 1 / rate, loop.time() - 0.2)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ends.wait(), max(due - loop.time(), 0))
    await asyncio.gather(*tasks)
    print(json.dumps(by))  # noqa: T201 - what it is run for


async def one(port: int, by: Counter[str]) -> None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"POST /orders HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
            finally:
                writer.close()
        by[body if " 200 " in head else f"lost: {head[:60]!r}"] += 1
    except (OSError, TimeoutError) as error:
        by[f"lost: {error!r}"] += 1


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))

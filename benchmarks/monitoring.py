"""A range query of many series through opsroom-monitoring, against a plain PromQL passthrough on the same Prometheus.

Bytes are what the reader of the answer pays for; the passthrough hands on the JSON that the server sends.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import cast

import httpx2
from opsroom_shared.testing.process import Json, ServerProcess, server_process

ROUNDS = int(os.environ.get("ROUNDS", "9"))
SERIES, POINTS, STEP = 5, 500, 15
QUERY = "bench_requests"


@contextlib.contextmanager
def prometheus(folder: Path, end: int) -> Generator[str]:
    """A private Prometheus that holds the series."""
    lines = [f"# TYPE {QUERY} gauge"]
    for series in range(SERIES):
        for point in range(POINTS + 1):
            at = end - (POINTS - point) * STEP
            lines.append(f'{QUERY}{{job="checkout",instance="10.0.0.{series}:8080"}} {series * 100 + point % 37 * 1.37} {at}')
    (folder / "samples.om").write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "samples.om"), str(folder / "data")]
    subprocess.run(made, check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    running = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(f"{url}/-/ready").is_success:
                    break
            with contextlib.suppress(subprocess.TimeoutExpired):
                sys.exit(f"prometheus ended: {running.wait(0.1)}")
        yield url
    finally:
        running.terminate()
        running.wait(30)


def text_of(answer: Json) -> str:
    return "".join(str(part.get("text", "")) for part in cast("list[Json]", answer["content"]))


async def ours(server: ServerProcess, end: int) -> tuple[float, int]:
    begun = time.perf_counter()
    answer = await server.call("query_metrics", query=QUERY, start=str(end - POINTS * STEP), end=str(end), step=f"{STEP}s")
    took = time.perf_counter() - begun
    if answer.get("isError"):
        sys.exit(text_of(answer))
    return took, len(text_of(answer).encode())


async def passthrough(client: httpx2.AsyncClient, url: str, end: int) -> tuple[float, int]:
    begun = time.perf_counter()
    answer = await client.post(
        f"{url}/api/v1/query_range", data={"query": QUERY, "start": end - POINTS * STEP, "end": end, "step": STEP}
    )
    return time.perf_counter() - begun, len(answer.content)


async def main() -> None:
    if not (shutil.which("prometheus") and shutil.which("promtool")):
        print("skipped: prometheus is not installed")
        return
    end = int(time.time()) - 60
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder), end) as url:
        env = {**os.environ, "PROMETHEUS_URL": url, "OPSROOM_MONITORING_STATE": str(Path(folder) / "state")}
        script = Path(sys.executable).parent / "opsroom-monitoring"
        async with server_process([script], env=env) as server, httpx2.AsyncClient() as client:
            await server.handshake()
            await ours(server, end)
            await passthrough(client, url, end)
            pairs = [(await ours(server, end), await passthrough(client, url, end)) for _ in range(ROUNDS)]
    own, plain = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
    small, large = pairs[0][0][1], pairs[0][1][1]
    print(f"{SERIES} series x {POINTS + 1} points, median of {ROUNDS} rounds")
    print(f"{'':24}{'bytes to the reader':>20}{'tokens':>10}{'ms':>10}")
    print(f"{'opsroom-monitoring':24}{small:>20,}{small // 4:>10,}{own * 1000:>10.1f}")
    print(f"{'plain passthrough':24}{large:>20,}{large // 4:>10,}{plain * 1000:>10.1f}")
    print(f"{'ratio':24}{f'1 : {large / small:.0f}':>20}{'':>10}{f'{own / plain:.1f} : 1':>10}")


if __name__ == "__main__":
    asyncio.run(main())

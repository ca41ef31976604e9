"""A real Prometheus that holds exactly the samples of a store, to compare answers with."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import httpx2
import pytest

PROGRAMS = ("prometheus", "promtool")

Points = dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]


def require_prometheus() -> None:
    """Skips without the programs, or fails where services are required."""
    if all(map(shutil.which, PROGRAMS)):
        return
    if os.environ.get("OPSROOM_REQUIRE_SERVICES"):
        pytest.fail("prometheus is required and not installed")
    pytest.skip("prometheus is not installed")


@contextlib.contextmanager
def prometheus_with(samples: Sequence[tuple[str, dict[str, str], float, float]], folder: Path) -> Generator[str]:
    """The address of a Prometheus with *samples*: name, labels, time, value."""
    lines: list[str] = []
    for name in sorted({each[0] for each in samples}):
        lines.append(f"# TYPE {name} unknown")
        for _, labels, at, value in sorted(
            (each for each in samples if each[0] == name), key=lambda each: sorted(each[1].items())
        ):
            text = ",".join(f'{label}="{word}"' for label, word in labels.items())
            lines.append(f"{name}{{{text}}} {value!r} {at:.3f}")
    metrics, data = folder / "samples.om", folder / "data"
    metrics.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(metrics), str(data)], check=True, capture_output=True
    )
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _until_ready(url, running)
        yield url
    finally:
        running.terminate()
        running.wait(30)


def _until_ready(url: str, running: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(f"{url}/-/ready", timeout=5).is_success:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.05)
    pytest.fail("prometheus did not become ready")


def ask(url: str, query: str, start: float, end: float, step: float) -> Points:
    """What Prometheus answers to a range query, by labels."""
    form = {"query": query, "start": str(start), "end": str(end), "step": str(step)}
    answer = httpx2.post(f"{url}/api/v1/query_range", data=form, timeout=30)
    assert answer.is_success, f"{query}: {answer.text}"
    return {
        tuple(sorted(each["metric"].items())): [(float(at), float(value)) for at, value in each["values"]]
        for each in answer.json()["data"]["result"]
    }

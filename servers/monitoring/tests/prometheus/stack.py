"""A private Prometheus, Alertmanager and node exporter: own folders, free ports, short intervals."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

PROGRAMS = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")

_RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: InstanceDown
        expr: up{job="gone"} == 0
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance }} is down", runbook_url: https://runbooks.example/InstanceDown}
      - alert: StaysPending
        expr: up{job="node"} == 1
        for: 1h
      - alert: NodeIsUp
        expr: up{job="node"} == 1
      - alert: ManyToMany
        expr: up * on (env) group_left () up
      - record: job:up:sum
        expr: sum by (job) (up)
"""
_ROUTES = """
route: {receiver: nobody, group_wait: 1s, group_interval: 1s}
receivers: [{name: nobody}]
"""


@dataclass(frozen=True)
class Stack:
    prometheus: str
    alertmanager: str


@contextlib.contextmanager
def running(folder: Path) -> Generator[Stack]:
    """The three programs until the block ends; skipped where they are missing, or failed where services are required."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        reason = f"not installed: {', '.join(lacking)}"
        if os.environ.get("OPSROOM_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    prometheus, alertmanager, node, gone = _free_ports(4)
    (folder / "rules.yml").write_text(_RULES, encoding="utf-8")
    (folder / "alertmanager.yml").write_text(_ROUTES, encoding="utf-8")
    (folder / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s, external_labels: {{cluster: lab}}}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs:
  - {{job_name: node, static_configs: [{{targets: ["127.0.0.1:{node}"], labels: {{env: lab}}}}]}}
  - {{job_name: self, static_configs: [{{targets: ["127.0.0.1:{prometheus}"], labels: {{env: lab}}}}]}}
  - {{job_name: gone, static_configs: [{{targets: ["127.0.0.1:{gone}"]}}]}}
""",
        encoding="utf-8",
    )
    commands = (
        ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{node}"],
        [
            "prometheus-alertmanager",
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ],
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
            "--query.max-samples=20000",
        ],
    )
    stack = Stack(f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{alertmanager}")
    with contextlib.ExitStack() as ending:
        processes = [ending.enter_context(_process(command, folder)) for command in commands]
        _until_ready(stack, processes[-1])
        yield stack


def _until_ready(stack: Stack, prometheus: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and prometheus.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            if all(httpx2.get(f"{url}/-/ready").is_success for url in (stack.alertmanager, stack.prometheus)):
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            prometheus.wait(0.05)
    pytest.fail("prometheus and its alertmanager did not become ready")


@contextlib.contextmanager
def _process(command: Sequence[str], folder: Path) -> Generator["subprocess.Popen[bytes]"]:
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_until_all_are_known:
        sockets = [open_until_all_are_known.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]

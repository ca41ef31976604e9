"""The service of the demo: a small HTTP shop in one file of the standard library, copied into the folder of each release.

release.json beside it says how the release behaves: {"version": "1.4.0", "delay_ms": 15, "sick": false, "startup_seconds": 0.2}.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RELEASE = json.loads(Path(__file__).with_name("release.json").read_text(encoding="utf-8"))
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

counts: Counter[tuple[str, int]] = Counter()
buckets: Counter[float] = Counter()
seconds: dict[str, float] = {"GET": 0.0, "POST": 0.0}
lock = threading.Lock()


def log(text: str) -> None:
    print(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}", flush=True)  # noqa: T201 - its log is its output


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/healthz":
            sick = RELEASE.get("sick", False)
            self.answer(503 if sick else 200, "database migrations are missing" if sick else "ok")
        elif self.path == "/metrics":
            self.answer(200, metrics())
        else:
            self.work("ok")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.work("order taken")

    def work(self, text: str) -> None:
        begun = time.monotonic()
        time.sleep(RELEASE.get("delay_ms", 10) / 1000)
        self.answer(200, f"{text} by checkout {RELEASE['version']}")
        took = time.monotonic() - begun
        with lock:
            counts[self.command, 200] += 1
            seconds[self.command] += took
            for bound in BUCKETS:
                buckets[bound] += took <= bound
        if took > 0.25:
            log(f"WARN slow request {self.command} {self.path} took {took * 1000:.0f} ms")

    def answer(self, status: int, text: str) -> None:
        body = text.encode() + b"\n"
        self.send_response(status)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Requests are counted, not logged."""


def metrics() -> str:
    lines = [
        "# HELP build_info The release that answers.",
        "# TYPE build_info gauge",
        f'build_info{{service="checkout",version="{RELEASE["version"]}"}} 1',
        "# HELP http_requests_total Requests by method and status.",
        "# TYPE http_requests_total counter",
    ]
    with lock:
        lines += [f'http_requests_total{{method="{m}",status="{s}"}} {n}' for (m, s), n in sorted(counts.items())]
        total = sum(counts.values())
        lines += [
            "# HELP http_request_duration_seconds How long requests take.",
            "# TYPE http_request_duration_seconds histogram",
            *(f'http_request_duration_seconds_bucket{{le="{bound}"}} {buckets[bound]}' for bound in BUCKETS),
            f'http_request_duration_seconds_bucket{{le="+Inf"}} {total}',
            f"http_request_duration_seconds_sum {sum(seconds.values()):.6f}",
            f"http_request_duration_seconds_count {total}",
        ]
    return "\n".join(lines)


def main() -> None:
    log(f"INFO checkout {RELEASE['version']} starts")
    time.sleep(RELEASE.get("startup_seconds", 0.1))
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop)
    server.daemon_threads = False  # requests that still run come to their end

    def end(_number: int, _frame: object) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    log(f"INFO checkout {RELEASE['version']} listens")
    if RELEASE.get("sick", False):
        log("ERROR relation orders_v2 does not exist; run the migrations first")
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    log("INFO checkout has ended")
    sys.exit(0)


if __name__ == "__main__":
    main()

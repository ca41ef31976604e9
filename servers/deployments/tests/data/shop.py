"""A service for tests, which starts fast: release.json beside it says how the release behaves."""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

ABOUT = json.loads(Path("release.json").read_text(encoding="utf-8"))
BEGUN = time.monotonic()
working: set[threading.Thread] = set()


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - its log is its output


def healthy() -> bool:
    after = ABOUT.get("sick_after")
    return not ABOUT.get("sick") and (after is None or time.monotonic() - BEGUN < after)


def answer(client: socket.socket) -> None:
    with client:
        request = b""
        while b"\r\n\r\n" not in request and (chunk := client.recv(65_536)):
            request += chunk
        path = request.split(b" ")[1].decode() if request.count(b" ") > 1 else ""
        if path == "/healthz":
            status, body = ("200 OK", "fine") if healthy() else ("503 Sick", "the orders are locked")
        else:
            time.sleep(ABOUT.get("work_ms", 5) / 1000)
            status, body = "200 OK", ABOUT["version"]
        client.sendall(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode())
    working.discard(threading.current_thread())


def end(*_: object) -> None:
    for each in [*working]:
        each.join()
    say("it ends")
    os._exit(0)


def main() -> None:
    say(f"{ABOUT['version']} starts")
    for name in ABOUT.get("says", ()):
        say(f"connecting with {os.environ.get(name)}")
    if "crash" in ABOUT:
        say("no such table: orders")
        sys.exit(ABOUT["crash"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ABOUT.get("stubborn") else end)
    if ABOUT.get("deaf"):
        signal.pause()
    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"]) + ABOUT.get("port_off_by", 0)), backlog=512)
    if after := ABOUT.get("crash_after"):
        threading.Timer(after, lambda: os._exit(7)).start()
    while True:
        thread = threading.Thread(target=answer, args=(listener.accept()[0],))
        working.add(thread)
        thread.start()


main()

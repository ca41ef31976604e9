"""An HTTP server on a real socket that answers what a test has scripted, and records what nobody has."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pydantic import JsonValue
from typing_extensions import override


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names in lower case."""

    def one(self, name: str) -> str:
        """The value of a parameter that is sent once."""
        (value,) = self.query[name]
        return value


@dataclass(frozen=True)
class Answer:
    body: JsonValue = None
    status: int = 200
    text: str | None = None
    """Sent as it is, instead of *body* as JSON."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Scripted:
    """*answers* are by method and path, such as `GET /api/health`; of several, each but the last is given once."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.unknown: list[str] = []
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def answer(self, request: str, *answers: Answer) -> None:
        self._answers[request] = list(answers)

    def scripted(self) -> Mapping[str, list[Answer]]:
        return self._answers

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _take(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            waiting = self._answers.get(f"{request.method} {request.path}")
            if not waiting:
                self.unknown.append(f"{request.method} {request.path}")
                return Answer(status=500, text="nothing is scripted for this request", content_type="text/plain")
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._respond("GET")

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self._respond("POST")

            def _respond(self, method: str) -> None:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(method, parts.path, parse_qs(parts.query, keep_blank_values=True), headers)
                answer = server._take(request)
                body = (json.dumps(answer.body) if answer.text is None else answer.text).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: what was asked stands in `requests`."""

        return Handler


@contextmanager
def scripted() -> Generator[Scripted]:
    """Whatever was asked and not scripted fails the test at its end."""
    server = Scripted()
    server.start()
    try:
        yield server
    finally:
        server.stop()
    assert server.unknown == [], f"asked and not scripted: {server.unknown}"

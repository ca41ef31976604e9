"""A Conduit server on a real socket that answers from recorded transcripts, or from the world that they show.

What is replayed verbatim: every transcript given to `play` or `always`. A request whose method and decoded parameters are those
of a played transcript gets its recorded status, content type and body; with `always`, every request gets them.

A played edit also changes the world, so that what is read afterwards shows it, under the recorded PHIDs of its transactions.

What is composed: every other request, if the server has a `World` (see there). A request that neither of them knows is kept in
`unexpected`, and the fixture fails the test with its name.
"""

import json
import ssl
import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx2
from typing_extensions import override

from .transcripts import Json, Map, Transcript, as_map, transcript
from .world import Refused, World

TOKEN = "api-0123456789abcdefghij01234567"  # noqa: S105 - of no real account

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""The server speaks none, and a context with all certificates takes longer to make than most tests take."""


def sockets() -> httpx2.AsyncHTTPTransport:
    """What a client reaches the server with."""
    return httpx2.AsyncHTTPTransport(verify=_NO_TLS)


@dataclass(frozen=True)
class Request:
    method: str
    params: Map
    """Without the token."""
    token: str


class ConduitServer:
    def __init__(self, world: World | None = None) -> None:
        self.world = world
        self.requests: list[Request] = []
        self.unexpected: list[str] = []
        self.problems: list[str] = []
        """Requests that are not in the form that Conduit's strict mode wants."""
        self._played: defaultdict[str, list[Transcript]] = defaultdict(list)
        self._always: Transcript | None = None
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def play(self, *names: str) -> None:
        """Answers requests like the recorded ones as recorded; of several with the same request, one after the other."""
        for name in names:
            found = transcript(name)
            self._played[_key(found.method, found.params)].append(found)

    def always(self, name: str) -> None:
        """Answers every request with this transcript."""
        self._always = transcript(name)

    def sent(self, method: str) -> list[Map]:
        """The parameters of the requests of *method*."""
        return [request.params for request in self.requests if request.method == method]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path: str, content_type: str, body: bytes) -> tuple[int, str, bytes]:
        with self._lock:
            request = self._read(path, content_type, body)
            self.requests.append(request)
            recorded = self._always or self._recorded(request)
            if recorded is not None:
                if self.world is not None and request.method.endswith(".edit"):
                    self.world.take_part(request.method, request.params, recorded.answer)
                return recorded.status, recorded.content_type, recorded.body.encode()
            if self.world is None:
                return self._unknown(request)
            try:
                return _result(self.world.answer(request.method, request.params))
            except Refused as refused:
                return _body({"result": None, "error_code": refused.code, "error_info": refused.info})
            except KeyError as error:
                return self._unknown(request, f" ({error})")

    def _read(self, path: str, content_type: str, body: bytes) -> Request:
        form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        if content_type != "application/x-www-form-urlencoded":
            self.problems.append(f"{path}: the body is {content_type}")
        if form.keys() != {"params", "output", "__conduit__"} or form["output"] != "json" or form["__conduit__"] != "1":
            self.problems.append(f"{path}: the form has {sorted(form)}")
        params = as_map(json.loads(form.get("params", "{}")))
        token = str(as_map(params.pop("__conduit__", {})).get("token"))
        return Request(path.removeprefix("/api/"), params, token)

    def _recorded(self, request: Request) -> Transcript | None:
        waiting = self._played.get(_key(request.method, request.params))
        if not waiting:
            return None
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def _unknown(self, request: Request, why: str = "") -> tuple[int, str, bytes]:
        self.unexpected.append(f"{request.method} {json.dumps(request.params)}{why}")
        return 500, "text/plain", b"the replaying server has no transcript for this request"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, kind, answer = server.answer(self.path, self.headers["Content-Type"], body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("Set-Cookie", "phsid=of-one-answer; path=/; HttpOnly")
                self.end_headers()
                self.wfile.write(answer)
                if self.headers.get("Cookie"):
                    server.problems.append(f"{self.path}: a cookie was sent")

            def do_GET(self) -> None:
                server.problems.append(f"{self.path}: a GET, which puts the token into the address")
                self.send_error(400)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: what was asked stands in `requests`."""

        return Handler


def _key(method: str, params: Map) -> str:
    return f"{method} {json.dumps(params, sort_keys=True)}"


def _result(result: Json) -> tuple[int, str, bytes]:
    return _body({"result": result, "error_code": None, "error_info": None})


def _body(answer: Map) -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps(answer).encode()

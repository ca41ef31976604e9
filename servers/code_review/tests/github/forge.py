"""A GitHub on a real socket: it answers what a test scripts, and notes every breach of the contract on either side."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import JsonValue
from typing_extensions import override

from .contract import Contract, Json

TOKEN = "ghp_" + "0123456789abcdefghij" + "0123456789abcdef"
"""Looks like one, and is none."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: JsonValue

    @property
    def payload(self) -> Json:
        assert isinstance(self.body, dict)
        return self.body


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: JsonValue | bytes = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    kind: str = "application/json; charset=utf-8"


Script = Answer | Callable[[Request], Answer]


class Forge:
    """What the server answers: scripts by method and path, and *root* for GraphQL; and what it was asked."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._scripts: dict[str, list[Script]] = {}
        self.root: dict[str, object] = {}
        self.errors: list[Json] = []
        """Problems that a GraphQL answer carries beside its data."""
        self.graphql_answers: list[Answer] = []
        """Whole answers to the next GraphQL requests, instead of what *root* gives."""
        self.elsewhere: dict[str, Answer] = {}
        """Addresses that are no part of the interface, to which it can redirect."""
        self.requests: list[Request] = []
        self.breaches: list[str] = []
        self.url = ""

    def on(self, operation: str, *scripts: Script) -> None:
        """What the requests of a method and path get, one after the other; the last script answers all that follow."""
        self._scripts[operation] = list(scripts)

    def asked(self, operation: str) -> list[Request]:
        """The requests of a method and path, such as `POST /graphql`."""
        method, path = operation.split()
        return [one for one in self.requests if (one.method, one.path) == (method, path)]

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.path in self.elsewhere:
            return self.elsewhere[request.path]
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            self.breaches.append(f"{request.path} came without the token")
        if request.headers.get("x-github-api-version") != "2022-11-28":
            self.breaches.append(f"{request.path} came without the version of the interface")
        if request.path == "/graphql":
            return self._graphql(request)
        return self._rest(request)

    def _graphql(self, request: Request) -> Answer:
        if self.graphql_answers:
            return self.graphql_answers.pop(0)
        variables = cast("Json", request.payload["variables"])
        data, problems = self.contract.graphql(str(request.payload["query"]), variables, self.root)
        self.breaches += problems
        return Answer(body={"data": data, **({"errors": cast("JsonValue", self.errors)} if self.errors else {})})

    def _rest(self, request: Request) -> Answer:
        operation = self.contract.operation(request.method, request.path)
        if operation is None:
            self.breaches.append(f"GitHub has no {request.method} {request.path}")
            return Answer(500)
        self.breaches += self.contract.request_problems(operation, request.query, request.body)
        scripts = self._scripts.get(f"{request.method} {unquote(request.path)}")
        if scripts is None:
            self.breaches.append(f"nothing is scripted for {request.method} {request.path}")
            return Answer(500)
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        answer = script if isinstance(script, Answer) else script(request)
        if answer.status < 400 and answer.kind.startswith("application/json") and not isinstance(answer.body, bytes):
            self.breaches += self.contract.answer_problems(operation, answer.status, answer.body)
        return answer


class ForgeServer:
    """The socket in front of a forge."""

    def __init__(self, forge: Forge) -> None:
        class Handler(_Handler):
            answers = forge

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        forge.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: Forge

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request(
            method=self.command,
            path=parts.path.removeprefix("/api/v3").removeprefix("/api"),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=cast("JsonValue", json.loads(raw)) if raw else None,
        )
        answer = self.answers.answer(request)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("content-type", answer.kind)
        self.send_header("content-length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 - the names that http.server calls

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Quiet: a failed test shows the requests itself."""

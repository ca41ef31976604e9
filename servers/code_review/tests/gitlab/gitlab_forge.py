"""A GitLab on a real socket: it holds every request against the contract, and remembers what is written to it."""

import itertools
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import JsonValue
from typing_extensions import override

Json = dict[str, JsonValue]

TOKEN = "glpat-made-up-for-the-tests-1"  # noqa: S105 - made up
BASE, START, HEAD, OLDER = "b" * 40, "5" * 40, "f" * 40, "e" * 40
ALICE: Json = {"id": 1, "username": "alice", "state": "active"}
BOB: Json = {"id": 2, "username": "bob", "state": "active"}
CAROL: Json = {"id": 3, "username": "carol", "state": "active"}
BOT: Json = {"id": 4, "username": "project_7_bot_2f", "state": "active"}
MR = "GET /projects/group/app/merge_requests/1"


@dataclass(frozen=True)
class Request:
    """A request as it arrived, with the names of the contract."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    body: Json

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    body: JsonValue | bytes = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Handler = Callable[[Request], Answer]


class Contract:
    """What GitLab takes, by call."""

    def __init__(self, text: str) -> None:
        data = json.loads(text)
        self._pages: Json = data["pages"]
        self._calls: dict[str, Json] = {call["call"]: call for call in data["calls"]}
        self._patterns = [
            (name.split(" ")[0], re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(name.split(" ")[1]))), name)
            for name in self._calls
        ]

    def problems(self, request: Request, raw_path: str) -> list[str]:
        """What is wrong with *request*; nothing if GitLab would take it."""
        name = next(
            (name for method, path, name in self._patterns if method == request.method and path.fullmatch(raw_path)), None
        )
        if name is None:
            return [f"{request.method} {raw_path} is no call of the contract"]
        call = self._calls[name]
        call = self._calls[str(call["same"])] if "same" in call else call
        query = dict(cast("Json", call.get("query", {}))) | (self._pages if call.get("pages") else {})
        found = [
            f"{request}: {key}: {problem}" for key, values in request.query.items() for problem in _query(query.get(key), values)
        ]
        found += [f"{request}: {key} is missing" for key, kind in query.items() if _needed(kind) and key not in request.query]
        return found + [f"{request}: {problem}" for problem in _object(cast("Json", call.get("body", {})), request.body)]


def _query(kind: JsonValue, values: list[str]) -> list[str]:
    match str(kind).rstrip("!") if not isinstance(kind, list) else kind:
        case "None":
            return ["is no parameter"]
        case "integer" | "integers":
            good = all(value.isdecimal() for value in values)
        case "boolean":
            good = values in (["true"], ["false"])
        case "time":
            good = len(values) == 1 and datetime.fromisoformat(values[0]).tzinfo is not None
        case list(words):
            good = len(values) == 1 and values[0] in words
        case "strings":
            good = True
        case _:
            good = len(values) == 1
    return [] if good else [f"{values} is not {kind}"]


def _object(kinds: Json, value: Json) -> list[str]:
    found = [f"{key} is missing" for key, kind in kinds.items() if _needed(kind) and key not in value]
    for key, given in value.items():
        kind = kinds.get(key)
        if isinstance(kind, dict):
            found += (
                [f"{key}.{problem}" for problem in _object(kind, given)] if isinstance(given, dict) else [f"{key} is no object"]
            )
        elif not _fits(kind, given):
            found.append(f"{key} is {given!r}, not {kind}")
    return found


def _fits(kind: JsonValue, given: JsonValue) -> bool:
    if isinstance(kind, list):
        return given in kind
    match str(kind).rstrip("!"):
        case "string":
            return isinstance(given, str) or given is None
        case "integer":
            return isinstance(given, int) and not isinstance(given, bool)
        case "boolean":
            return isinstance(given, bool)
        case "integers":
            return isinstance(given, list) and all(isinstance(each, int) for each in given)
        case _:
            return False


def _needed(kind: JsonValue) -> bool:
    return isinstance(kind, str) and kind.endswith("!")


class Forge:
    """One project, group/app, with one merge request by alice; the account is bob, a developer.

    `answers` says what a call gives, by method and decoded path; a test replaces what it is about. A list is given in pages.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.requests: list[Request] = []
        self.problems: list[str] = []
        self.answers: dict[str, JsonValue | bytes | Answer | Handler] = {}
        self.drafts: list[Json] = []
        self.discussions: list[Json] = []
        self.merge_request = merge_request(1)
        self.approvals: Json = {"approved": False, "approved_by": [], "user_has_approved": False, "user_can_approve": True}
        self.reviewers: list[JsonValue] = [{"user": BOB, "state": "unreviewed", "created_at": "2026-11-01T08:00:00Z"}]
        self.version = "19.2.1-ee"
        self.url = ""
        self._ids = itertools.count(1000)
        self._furnish()

    def asked(self, call: str) -> list[Request]:
        """The requests of *call*, such as `GET /user`."""
        return [request for request in self.requests if str(request) == call]

    def written(self) -> list[str]:
        return [str(request) for request in self.requests if request.method != "GET"]

    def answer(self, request: Request) -> Answer:
        found = self.answers.get(str(request))
        if found is None:
            self.problems.append(f"{request} has no answer")
            return Answer({"message": "404 Not Found"}, 404)
        if isinstance(found, Answer):
            return found
        if callable(found):
            return found(request)
        if isinstance(found, list):
            return _page(found, request)
        return Answer(found)

    def note(self, body: str, author: Json = BOB, more: Json | None = None) -> Json:
        at = datetime.now(UTC).isoformat()
        plain: Json = {
            "id": next(self._ids),
            "body": body,
            "author": author,
            "created_at": at,
            "system": False,
            "resolvable": False,
        }
        return plain | (more or {})

    def discuss(self, *notes: Json) -> str:
        name = f"{next(self._ids):040x}"
        self.discussions.append({"id": name, "individual_note": len(notes) == 1, "notes": list(notes)})
        return name

    def thread(self, body: str) -> str:
        """The id of the thread that begins with *body*."""
        return next(str(each["id"]) for each in self.discussions if cast("list[Json]", each["notes"])[0]["body"] == body)

    def _furnish(self) -> None:
        project = "/projects/group/app"
        one = f"{project}/merge_requests/1"
        self.answers |= {
            "GET /user": BOB | {"bot": False},
            "GET /version": lambda _: Answer({"version": self.version, "revision": "0"}),
            "GET /users": self._users,
            f"GET {project}": {"path_with_namespace": "group/app", "default_branch": "main"},
            f"GET {project}/members/all": self._members,
            f"GET {one}": lambda _: Answer(self.merge_request),
            f"GET {one}/versions": [_version(12, HEAD, "2026-11-03T10:00:00Z"), _version(11, OLDER, "2026-11-01T10:00:00Z")],
            f"GET {one}/raw_diffs": PATCH.encode(),
            f"GET {one}/approvals": lambda _: Answer(self.approvals),
            f"GET {one}/reviewers": lambda _: Answer(self.reviewers),
            f"GET {one}/discussions": lambda request: _page(cast("list[JsonValue]", self.discussions), request),
            f"GET {one}/related_issues": [
                {"id": 5, "iid": 3, "references": {"full": "group/app#3"}},
                {"id": "EXT-1", "title": "Elsewhere"},
            ],
            f"GET {one}/blocks": [{"id": 1, "blocking_merge_request": merge_request(9)}, {"id": 2}],
            f"GET {one}/draft_notes": lambda _: Answer(cast("list[JsonValue]", self.drafts)),
            f"POST {one}/draft_notes": self._draft,
            f"POST {one}/draft_notes/bulk_publish": self._publish,
            f"POST {one}/approve": self._approve,
            f"POST {one}/unapprove": self._unapprove,
        }

    def _users(self, request: Request) -> Answer:
        people = [ALICE, BOB, CAROL, BOT]
        if "username" in request.query:
            return Answer([each for each in people if each["username"] == request.query["username"][0]])
        return Answer([each for each in people if request.query["search"][0][:3] in str(each["username"])])

    def _members(self, request: Request) -> Answer:
        levels = {1: 20, 2: 30, 4: 40}
        asked = [int(number) for number in request.query.get("user_ids[]", [])]
        found = [each | {"access_level": levels[int(str(each["id"]))]} for each in (ALICE, BOB, BOT) if each["id"] in asked]
        return Answer(cast("list[JsonValue]", found))

    def _draft(self, request: Request) -> Answer:
        draft = {"id": next(self._ids), "note": request.body["note"], "position": request.body.get("position")}
        self.drafts.append(draft)
        self.answers[f"DELETE {request.path}/{draft['id']}"] = self._undraft
        return Answer(draft, 201)

    def _undraft(self, request: Request) -> Answer:
        self.drafts = [draft for draft in self.drafts if not request.path.endswith(f"/{draft['id']}")]
        return Answer(None, 204)

    def _publish(self, request: Request) -> Answer:
        for draft in self.drafts:
            placed: Json = {"position": draft["position"], "resolvable": True, "resolved": False} if draft["position"] else {}
            self.discuss(self.note(str(draft["note"]), more=placed))
        self.drafts = []
        state = request.body.get("reviewer_state") if self.version >= "19.2" else None
        if state == "requested_changes":
            self.discuss(self.note("requested changes", more={"system": True}))
            self.reviewers = [{"user": BOB, "state": state}]
        return Answer(None, 204)

    def _approve(self, request: Request) -> Answer:
        if request.body.get("sha") not in (None, self.merge_request["sha"]):
            return Answer({"message": "SHA does not match HEAD of source branch: x"}, 409)
        self.approvals |= {"approved": True, "user_has_approved": True, "approved_by": [{"user": BOB}]}
        return Answer(self.approvals, 201)

    def _unapprove(self, _: Request) -> Answer:
        self.approvals |= {"approved": False, "user_has_approved": False, "approved_by": []}
        return Answer(self.approvals, 201)


def merge_request(number: int, **changes: JsonValue) -> Json:
    return {
        "id": 500 + number,
        "iid": number,
        "project_id": 7,
        "title": f"Count retries {number}",
        "description": "Retries are counted.",
        "state": "opened",
        "draft": False,
        "author": ALICE,
        "reviewers": [BOB],
        "sha": HEAD,
        "diff_refs": {"base_sha": BASE, "head_sha": HEAD, "start_sha": START},
        "source_branch": "count-retries",
        "target_branch": "main",
        "updated_at": f"2026-11-03T{10 + number // 60}:{number % 60:02}:00.000Z",
        "web_url": f"https://gitlab.test/group/app/-/merge_requests/{number}",
        "references": {"short": f"!{number}", "relative": f"!{number}", "full": f"group/app!{number}"},
        "detailed_merge_status": "not_approved",
        "user_notes_count": 0,
        "head_pipeline": None,
        "changes_count": "4",
        **changes,
    }


def issue(number: int, **changes: JsonValue) -> Json:
    return {
        "id": 900 + number,
        "iid": number,
        "project_id": 7,
        "title": f"Retries are lost {number}",
        "description": "They are not counted.",
        "state": "opened",
        "labels": ["bug", "doing"],
        "milestone": {"id": 31, "iid": 1, "title": "v1.2"},
        "assignees": [BOB],
        "author": ALICE,
        "updated_at": "2026-11-02T09:00:00.000Z",
        "web_url": f"https://gitlab.test/group/app/-/issues/{number}",
        "references": {"short": f"#{number}", "relative": f"#{number}", "full": f"group/app#{number}"},
        **changes,
    }


def entry(path: str, diff: str, **changes: JsonValue) -> Json:
    """A file as GitLab's lists of diffs have it."""
    return {
        "old_path": path,
        "new_path": path,
        "a_mode": "100644",
        "b_mode": "100644",
        "new_file": False,
        "renamed_file": False,
        "deleted_file": False,
        "generated_file": False,
        "collapsed": False,
        "too_large": False,
        "diff": diff,
        **changes,
    }


def _version(number: int, head: str, at: str) -> Json:
    return {
        "id": number,
        "head_commit_sha": head,
        "base_commit_sha": BASE,
        "start_commit_sha": START,
        "created_at": at,
        "state": "collected",
    }


def _page(items: list[JsonValue], request: Request) -> Answer:
    size = int(request.query.get("per_page", ["20"])[0])
    page = int(request.query.get("page", ["1"])[0])
    part, rest = items[(page - 1) * size : page * size], items[page * size :]
    return Answer(part, headers={"X-Next-Page": str(page + 1) if rest else "", "X-Page": str(page)})


# a blank line of a patch is a space, which must stay
PATCH = """\
diff --git a/src/retry.py b/src/retry.py
index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644
--- a/src/retry.py
+++ b/src/retry.py
@@ -1,5 +1,6 @@ def retry():
 import time
-count = 0
+count = 1
+limit = 3
{blank}
 def retry():
     return count
diff --git a/docs/old.md b/docs/new.md
similarity index 90%
rename from docs/old.md
rename to docs/new.md
index 3333333333333333333333333333333333333333..4444444444444444444444444444444444444444 100644
--- a/docs/old.md
+++ b/docs/new.md
@@ -1,2 +1,2 @@
-# Old
+# New
 text
diff --git a/logo.png b/logo.png
index 5555555555555555555555555555555555555555..6666666666666666666666666666666666666666 100644
Binary files a/logo.png and b/logo.png differ
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
""".replace("{blank}", " ")


class Server(ThreadingHTTPServer):
    """Serves a forge until it is closed."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, forge: Forge) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.forge = forge
        self.lock = threading.Lock()
        self.url = forge.url = f"http://127.0.0.1:{self.server_port}/gitlab"


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        server = cast("Server", self.server)
        length = int(self.headers.get("content-length", "0"))
        raw = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/gitlab/api/v4")
        body = cast("Json", json.loads(raw)) if raw else {}
        request = Request(self.command, unquote(path), parse_qs(parts.query, keep_blank_values=True), body)
        with server.lock:
            server.forge.requests.append(request)
            server.forge.problems += server.forge.contract.problems(request, path)
            if self.headers.get("private-token") != TOKEN:
                answer = Answer({"message": "401 Unauthorized"}, 401)
            else:
                answer = server.forge.answer(request)
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        plain = isinstance(answer.body, bytes)
        content = (
            answer.body if isinstance(answer.body, bytes) else b"" if answer.status == 204 else json.dumps(answer.body).encode()
        )
        self.send_response(answer.status)
        headers = {
            "Content-Type": "text/plain" if plain else "application/json",
            "Content-Length": str(len(content)),
            **answer.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the names that http.server looks for

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: tests read the forge's own list of requests."""


def contract() -> Contract:
    return Contract((Path(__file__).with_name("data") / "contract.json").read_text(encoding="utf-8"))
